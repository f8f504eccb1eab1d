//! Ending a lane within a bounded time.

use std::{fmt, future::Future, pin::pin, task::Poll, time::Duration};

use super::{
    Lane,
    core::Core,
    stats::{JobInfo, Outcome},
    timer::Timer,
};
use crate::sync::Arc;

/// How long a cancelled job has to leave its thread before it is called stuck.
const SETTLING: Duration = Duration::from_millis(50);

impl Lane {
    /// Closes the lane at once and ends what is in it, within a bounded time, when awaited.
    ///
    /// Jobs have `grace` to end by themselves, waiting ones included, which still start. Then every
    /// job that is left is cancelled: a waiting one never starts, a running one is asked and
    /// interrupted. What has not left its thread 50 ms after that is reported. It can be called
    /// more than once and from anywhere. Times are on Tokio's clock: where a test has paused that, a
    /// job that is stuck on Tokio's pool keeps it from going on by itself, and the test has to
    /// advance it. In somebody else's loop that blocks the only thread of a current-thread runtime,
    /// nobody drives that clock, and the grace does not end. Outside of a runtime a thread measures the
    /// grace; if that is refused, the grace is over at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the lane closed and its jobs as they are. *The waiter* is free at
    /// once, *the threads* are not touched.
    ///
    /// # Errors
    ///
    /// [`Stuck`], which names each job that still holds a thread. They are still counted as
    /// draining; the threads leave when the closures return.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use longshore::Lane;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let lane = Lane::builder("mail").limit(1).build();
    /// let sent = lane.offload(|| "sent");
    /// let ended = lane.shutdown(Duration::from_secs(5)).await.unwrap();
    /// assert_eq!((ended.finished, ended.cancelled), (1, 0));
    /// assert_eq!(sent.await.unwrap(), "sent");
    /// # }
    /// ```
    pub fn shutdown(
        &self,
        grace: Duration,
    ) -> impl Future<Output = Result<Shutdown, Stuck>> + Send + use<> {
        self.close();
        shutdown(self.core().clone(), grace)
    }
}

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

async fn shutdown(core: Arc<Core>, grace: Duration) -> Result<Shutdown, Stuck> {
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
