//! What the stall detector says of a strategy that blocks async threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore::stall::{Watch, Watching};
use tokio::runtime::Handle;

use crate::observer;
use crate::wire::Stalls;

/// How long a worker may be held up unnoticed.
const THRESHOLD: Duration = Duration::from_millis(100);

/// A detector at work.
#[derive(Debug)]
pub(crate) struct Detector {
    watching: Watching,
    first: Arc<Mutex<Option<String>>>,
}

impl Detector {
    /// Watches the runtime that this is called in. `None` if no thread can be had for that: then there
    /// is nothing to tell, and everything else goes on.
    pub(crate) fn start() -> Option<Self> {
        let first = Arc::new(Mutex::new(None::<String>));
        let kept = Arc::clone(&first);
        let watching = Watch::new()
            .threshold(THRESHOLD)
            .without_cpu()
            .on_stall(move |stall| {
                let mut first = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if first.is_none() {
                    // The thread that this runs on came with the first report.
                    observer::leave_out_one();
                    *first = Some(stall.to_string());
                }
            })
            .attach(&Handle::current())
            .ok()?;
        observer::leave_out_one();
        Some(Self { watching, first })
    }

    /// What it has seen.
    pub(crate) fn finish(self) -> Stalls {
        let count = self.watching.stalls();
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        Stalls {
            count,
            first: first.take(),
        }
    }
}
