//! What a closure can ask about the job it is.

use std::{fmt, future::Future, panic::Location, time::Duration};

use tokio::time::Instant;

use crate::{
    cancel::{HookGuard, on_cancel},
    error::Cancelled,
    job::{Work, block_on_in, nest},
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

    pub(super) fn shared_work(&self) -> &Arc<dyn Work> {
        &self.work
    }

    pub(super) fn is_the_same_as(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.work), Arc::as_ptr(&other.work))
    }

    /// True once the job was stopped: its task was dropped or cancelled, its token or group was
    /// cancelled, its deadline passed, its lane's `shutdown` ran out of patience, or it waited in a
    /// circle. A job that was [detached](crate::Task::detach) is not cancelled by that.
    ///
    /// An atomic load, cheap enough for an inner loop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let cancelled = self.work.cancels().is_cancelled();
        if cancelled {
            nest::tell(self);
        }
        cancelled
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

    /// Runs async code from within the job, and blocks until it is done: timers, I/O, other jobs.
    ///
    /// It is polled on this thread, in the context of the runtime that the job was handed in from,
    /// so it need be neither `Send` nor `'static`. That runtime has to be driven by another thread,
    /// as it is if this is a lane's. A job that was handed in from outside of any runtime has none:
    /// timers and sockets of Tokio's then panic as they do elsewhere. A
    /// [`Bridge`](crate::Bridge) brings its own.
    ///
    /// # Jobs that wait for jobs
    ///
    /// The future may wait for other jobs, of the same lane too, at any depth. A job that does is
    /// *suspended*: in a full lane its slot is lent to a job that another job waits for. Such a job
    /// runs on the thread that waits, if that waits for it alone, else on a thread of its own. So a
    /// lane of one can serve a job that waits for a job that waits for a job. When the future is
    /// ready it is dropped, and the job goes on as soon as a slot is free. Keep the tasks *in* the
    /// future, then: one that is kept outside, and has the slot, is waited for.
    ///
    /// It is seen which [`Task`](crate::Task)s are awaited in the future itself, in what it spawns through
    /// a [`Group`](crate::Group) or a [`Bridge`](crate::Bridge), and in the stream that the body of an upload
    /// by `longshore::ureq::Client` comes from. Not seen is what `tokio::spawn` was given, what comes
    /// through channels or `Shared` futures, and who waits for room in the lane
    /// ([`reserve`](crate::Lane::reserve), [`map`](crate::Lane::map)): such a wait can be for ever if every
    /// slot is held by one that waits so.
    ///
    /// Where jobs wait for each other in a circle, each for the next and for nothing else, one of
    /// them is told, or more than one: [`Error::WouldDeadlock`](crate::Error::WouldDeadlock). A circle
    /// of more than a thousand jobs is not looked through.
    ///
    /// A [`Task`](crate::Task) polled in another executor's loop within a job runs as well, if its
    /// lane is the job's own and full: on another thread, in the slot of the job that waits, and the
    /// poll takes that long. Circles, and lanes that call each other, are not seen there, nor is
    /// anything in a foreign loop within this one.
    ///
    /// A job needs room in the queue here as anywhere: a full lane with a `queue` of 0 refuses it.
    ///
    /// Slots are lent by the job's own thread only, and there alone the runtime's context is entered.
    /// Another that waits in the name of the job, with a clone of it, just waits, in the context it
    /// has by itself.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] as soon as the job is. The future is dropped, and with it the tasks it holds.
    ///
    /// # Cancel safety
    ///
    /// *The waiter*, which is this thread, drops the future and goes on at once, unless a job that it
    /// waits for has its slot: that one is cancelled with it, and has to return first.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use longshore::Lane;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), longshore::Error> {
    /// let lane = Lane::builder("prices").limit(1).build();
    /// let inner = lane.clone();
    /// let total = lane.offload_with(move |job| {
    ///     job.block_on(async {
    ///         tokio::time::sleep(Duration::from_millis(1)).await;
    ///         inner.offload(|| 20).await.map(|price| price + 1)
    ///     })
    /// });
    /// assert_eq!(total.await?.expect("it was not cancelled")?, 21);
    /// # Ok(())
    /// # }
    /// ```
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        block_on_in(self, future)
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
            .field("cancelled", &self.work.cancels().is_cancelled())
            .finish()
    }
}
