//! Ending a lane within a bounded time.

use std::{fmt, future::Future, pin::pin, task::Poll, time::Duration};

use super::{
    core::Core,
    stats::{JobInfo, Outcome},
    timer::Timer,
};
use crate::sync::Arc;

/// How long a cancelled job has to leave its thread before it is called stuck.
const SETTLING: Duration = Duration::from_millis(50);

/// What [`Lane::shutdown`](super::Lane::shutdown) did, when nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Jobs that ended by themselves meanwhile.
    pub finished: u64,
    /// Jobs that were cancelled when the grace was over.
    pub cancelled: usize,
}

/// What [`Lane::shutdown`](super::Lane::shutdown) could not end: jobs whose closures have not
/// returned although they were cancelled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stuck {
    /// Jobs that ended by themselves meanwhile.
    pub finished: u64,
    /// Jobs that were cancelled when the grace was over, the stuck ones among them.
    pub cancelled: usize,
    /// Jobs that still hold a thread, the oldest first.
    pub jobs: Vec<JobInfo>,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (jobs, their) = match self.jobs.len() {
            1 => ("1 job".to_owned(), "its thread"),
            jobs => (format!("{jobs} jobs"), "their threads"),
        };
        write!(f, "{jobs} did not leave {their}")?;
        for (i, job) in self.jobs.iter().enumerate() {
            write!(f, "{} {job}", if i == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Stuck {}

pub(super) async fn shutdown(core: Arc<Core>, grace: Duration) -> Result<Shutdown, Stuck> {
    let finished_before = finished(&core);
    let mut cancelled = 0;
    if !quiet_within(&core, grace).await {
        cancelled = core.cancel_all();
        quiet_within(&core, SETTLING).await;
    }
    let finished = finished(&core) - finished_before;
    let jobs = core.jobs();
    if jobs.is_empty() {
        Ok(Shutdown {
            finished,
            cancelled,
        })
    } else {
        #[cfg(feature = "tracing")]
        for job in &jobs {
            super::observe::stuck(job);
        }
        Err(Stuck {
            finished,
            cancelled,
            jobs,
        })
    }
}

fn finished(core: &Core) -> u64 {
    core.with_state(|state| {
        state.counts.of(Outcome::Completed) + state.counts.of(Outcome::Panicked)
    })
}

/// Waits until no job and no thread is left; `false` if the time was over before.
async fn quiet_within(core: &Core, time: Duration) -> bool {
    let mut timer = pin!(Timer::after(time));
    std::future::poll_fn(|cx| {
        let mut waker = Some(cx.waker().clone());
        let quiet = core.with_state(|state| {
            let quiet = state.is_quiet();
            if !quiet {
                state.call_when_quiet(&mut waker);
            }
            quiet
        });
        drop(waker);
        if quiet {
            return Poll::Ready(true);
        }
        timer.as_mut().poll(cx).map(|()| false)
    })
    .await
}
