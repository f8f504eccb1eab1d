//! What a closure can ask about the job it is.

use std::{fmt, panic::Location, time::Duration};

use tokio::time::Instant;

use crate::{
    cancel::{HookGuard, on_cancel},
    error::Cancelled,
    job::Work,
    sync::Arc,
};

/// The job a closure runs as, given to it by [`Lane::offload_with`](crate::Lane::offload_with).
///
/// A closure that blocks should either look at [`check`](Self::check) between its steps, or give
/// its blocking calls [`remaining`](Self::remaining) as their timeout, or say with
/// [`on_cancel`](Self::on_cancel) how to interrupt them. One that does none of these runs to its
/// end whatever its caller does, and holds its slot of the lane until then: no library can stop a
/// thread from outside.
///
/// It can be cloned and sent to other threads that work for the same job.
///
/// # Examples
///
/// ```
/// use longshore::Lane;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lane = Lane::builder("import").limit(2).build();
/// let rows = lane.offload_with(|job| {
///     let mut rows = 0;
///     while rows < 1_000 {
///         job.check()?; // an early return if the caller has gone
///         rows += 1;
///     }
///     Ok::<_, std::io::Error>(rows)
/// });
/// assert_eq!(rows.await.unwrap().unwrap(), 1_000);
/// # }
/// ```
#[derive(Clone)]
pub struct Job {
    work: Arc<dyn Work>,
}

impl Job {
    pub(crate) fn new(work: Arc<dyn Work>) -> Self {
        Self { work }
    }

    pub(crate) fn work(&self) -> &dyn Work {
        &*self.work
    }

    /// True once nobody waits for this job any more: its task was dropped or cancelled, its
    /// deadline passed, or its lane was shut down.
    ///
    /// An atomic load, cheap enough for an inner loop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.work.cancels().is_cancelled()
    }

    /// An early way out: `job.check()?`.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if [`is_cancelled`](Self::is_cancelled).
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }

    /// Runs `hook` when the job is cancelled, to interrupt what the closure is about to block in;
    /// at once if it is cancelled already.
    ///
    /// The hook runs on the thread that cancels, often one that drives async tasks, so it must not
    /// block. A panic in it is contained. It runs at most once, and neither runs nor goes on
    /// running after the guard was dropped: what it refers to may be reused from then on.
    ///
    /// ```text
    ///  worker    ──on_cancel──► blocks in query ··········► Err(interrupted) ──► drop(guard)
    ///                                              ▲
    ///  caller    ──awaits──────── drop(task) ── hook()
    /// ```
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) -> HookGuard {
        on_cancel(self.work.clone(), hook)
    }

    /// When the job's time is up, on Tokio's clock. `None` if it has no deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.work.meta().deadline
    }

    /// How much time is left: what to give a blocking call as its timeout. Zero if the deadline
    /// has passed, `None` if there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline()
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The label the job was given with [`Lane::label`](crate::Lane::label).
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.work.meta().label.as_deref()
    }

    /// Where the job was handed in.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.work.meta().location
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("label", &self.label())
            .field("location", &format_args!("{}", self.location()))
            .field("deadline", &self.deadline())
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}
