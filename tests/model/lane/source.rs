//! The twin of `src/lane/source.rs`: Shuttle's threads, some of which may be refused.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use shuttle::rand::Rng;
use tokio::runtime;

use super::worker::Worker;
use crate::{
    job::{Aside, Run},
    sync::{Arc, Condvar, Mutex},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) linger: Option<Duration>,
    /// How often a thread is refused.
    pub(crate) refusals: f64,
    /// How often a thread for a job that another job waits for is.
    pub(crate) refusals_aside: f64,
    /// How often a worker is dropped before it has served, as when a runtime shuts down.
    pub(crate) losses: f64,
    /// How often a thread comes, and cannot serve.
    pub(crate) declines: f64,
    /// How often a thread that comes asks first whether it is still needed.
    pub(crate) asks: f64,
    /// How often a job takes from its thread what that needs to go on.
    pub(crate) spends: f64,
    /// For which all threads but the first wait before they come.
    pub(crate) late: Option<Arc<Late>>,
}

/// Threads that are long in coming.
#[derive(Debug, Default)]
pub(crate) struct Late {
    asked: AtomicUsize,
    come: Mutex<bool>,
    changed: Condvar,
}

impl Late {
    /// From now on they come.
    pub(crate) fn come(&self) {
        *self.come.lock() = true;
        self.changed.notify_all();
    }

    fn is_first(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) == 0
    }

    fn wait(&self) {
        let mut come = self.come.lock();
        while !*come {
            come = self.changed.wait(come);
        }
    }
}

impl Source {
    pub(crate) fn needs_runtime(&self) -> bool {
        self.losses > 0.0
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.needs_runtime()
    }

    pub(crate) fn runtime(&self) -> Option<runtime::Handle> {
        runtime::Handle::try_current().ok()
    }

    pub(crate) fn is_lost(&self) -> bool {
        shuttle::rand::thread_rng().gen_bool(self.spends)
    }

    pub(crate) fn lets_run(&self) -> Elsewhere {
        Elsewhere::Gladly
    }

    pub(crate) fn linger(&self) -> Option<Duration> {
        self.linger
    }

    pub(crate) fn start(
        &self,
        _runtime: Option<&runtime::Handle>,
        worker: Worker,
        _lane: &str,
    ) -> io::Result<()> {
        if shuttle::rand::thread_rng().gen_bool(self.refusals) {
            worker.disarm();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if shuttle::rand::thread_rng().gen_bool(self.losses) {
            shuttle::thread::spawn(move || drop(worker));
            return Ok(());
        }
        if shuttle::rand::thread_rng().gen_bool(self.declines) {
            shuttle::thread::spawn(move || {
                worker.decline(Arc::new(io::Error::other("no object")));
            });
            return Ok(());
        }
        let asks = shuttle::rand::thread_rng().gen_bool(self.asks);
        let late = self.late.clone().filter(|late| !late.is_first());
        shuttle::thread::spawn(move || {
            if let Some(late) = late {
                late.wait();
            }
            match asks && !worker.is_wanted() {
                true => worker.turn_back(),
                false => worker.serve(),
            }
        });
        Ok(())
    }
}

impl Source {
    /// Runs something on a thread of its own, or gives it back if none can be had.
    pub(crate) fn run_aside(&self, _lane: &str, run: Run) -> Result<Aside, Run> {
        if shuttle::rand::thread_rng().gen_bool(self.refusals_aside) {
            return Err(run);
        }
        let thread = shuttle::thread::spawn(run);
        Ok(Box::new(move || {
            thread.join().expect("it contains its panics")
        }))
    }
}

/// Shuttle's threads are one thread to Tokio.
pub(crate) fn enter(_runtime: Option<&runtime::Handle>) -> Option<()> {
    None
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    Gladly,
    InVain,
    Never,
}

/// No thread of a model has two workers.
pub(crate) struct Turn;

impl Turn {
    pub(crate) fn begin() -> Self {
        Self
    }

    pub(crate) fn is_stacked(&self) -> bool {
        false
    }
}
