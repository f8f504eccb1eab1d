//! What a user holds of a lane.

use std::{fmt, panic::Location, time::Duration};

use futures_util::Stream;

use super::{
    builder::Builder,
    core::Core,
    map::Map,
    options::Options,
    reserve::Reserve,
    stats::{JobInfo, Stats},
};
use crate::{
    error::Error,
    job::{Job, Task},
    sync::Arc,
};

/// Runs closures that block, on threads where they may, and so many of them at once: one lane for each
/// resource that is called.
///
/// A handle is cheap to clone, and clones are the same lane. The methods that take options
/// ([`timeout`](Self::timeout), [`deadline`](Self::deadline), [`label`](Self::label),
/// [`cancelled_by`](Self::cancelled_by)) give a handle on the same lane with other options, for one
/// call or for many.
///
/// At most [`limit`](Builder::limit) jobs run at once, those that drain included; the rest wait in the
/// order in which they came. The limit is kept by the threads themselves: a job holds its slot until
/// its thread has left the job's code, whether its caller still waits or not. (One that waits for
/// others in [`Job::block_on`] keeps its thread and lends its slot.) A lane that stays idle gives its
/// threads back.
///
/// When the last handle is dropped, jobs that were handed in go on, and so do their tasks; idle
/// threads leave at once.
///
/// A lane may be a `static` and used from several runtimes. A job runs on a thread of the runtime
/// it was handed in from, and `Handle::current()` in it is that runtime.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use longshore::Lane;
///
/// # fn fetch(id: u32) -> String { format!("invoice {id}") }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), longshore::Error> {
/// let billing = Lane::builder("billing").limit(20).timeout(Duration::from_secs(10)).build();
///
/// let invoice = billing.offload(|| fetch(7)).await?;
/// assert_eq!(invoice, "invoice 7");
///
/// // Two at once, one of them with less time.
/// let first = billing.offload(|| fetch(1));
/// let second = billing.timeout(Duration::from_secs(2)).offload(|| fetch(2));
/// assert_eq!((first.await?, second.await?), ("invoice 1".into(), "invoice 2".into()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Lane {
    shared: Arc<Shared>,
    pub(super) options: Options,
}

/// Dropped with the last handle. Workers hold the core alone.
struct Shared {
    core: Arc<Core>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Nobody can hand in another job, so idle threads have nothing to wait for.
        self.core.close();
    }
}

impl Lane {
    /// Starts to make a lane. The name appears in errors, reports, metrics and thread names.
    #[doc(alias = "new")]
    pub fn builder(name: impl Into<Arc<str>>) -> Builder {
        Builder::new(name.into())
    }

    /// Not `new`: the compiler would tell whoever tries that of a core, which is nobody's business.
    pub(super) fn over(core: Arc<Core>, timeout: Option<Duration>) -> Self {
        Self {
            shared: Arc::new(Shared { core }),
            options: Options::timing_out_after(timeout),
        }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.shared.core
    }

    /// The name that the lane was made with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core().name
    }

    /// As [`name`](Self::name), to keep.
    pub(crate) fn name_to_keep(&self) -> Arc<str> {
        self.core().name.clone()
    }

    // ===== Handing in =====

    /// Hands a closure in, to be run on a thread where it may block.
    ///
    /// It is in the lane when this returns; nothing has to be polled for it to run. The task
    /// resolves to what the closure returns, or to an [`Error`]: also to the refusal, if the lane
    /// is full, is closed or has no runtime to run on.
    ///
    /// # Cancel safety
    ///
    /// See [`Task`]: *the waiter* is free at once when the task is dropped. *The thread* is free
    /// when the closure returns; one that was still waiting never starts.
    #[track_caller]
    pub fn offload<F, T>(&self, f: F) -> Task<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(move |_| f(), Location::caller())
            .unwrap_or_else(Task::refused)
    }

    /// As [`offload`](Self::offload), for a closure that wants to know about its own job: whether
    /// it is cancelled, how much time is left, how to be interrupted. See [`Job`].
    ///
    /// # Cancel safety
    ///
    /// As for [`offload`](Self::offload).
    #[track_caller]
    pub fn offload_with<F, T>(&self, f: F) -> Task<T>
    where
        F: FnOnce(&Job) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(f, Location::caller())
            .unwrap_or_else(Task::refused)
    }

    /// As [`offload`](Self::offload), but a refusal is told at once rather than by the task.
    ///
    /// # Cancel safety
    ///
    /// As for [`offload`](Self::offload).
    ///
    /// # Errors
    ///
    /// [`Error::QueueFull`], [`Error::Closed`] or [`Error::NoRuntime`]. The closure was dropped. A job
    /// whose time is up or whose token is cancelled already is not refused: its task says so.
    #[track_caller]
    pub fn try_offload<F, T>(&self, f: F) -> Result<Task<T>, Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(move |_| f(), Location::caller())
    }

    /// As [`offload_with`](Self::offload_with), but a refusal is told at once rather than by the
    /// task.
    ///
    /// # Cancel safety
    ///
    /// As for [`offload`](Self::offload).
    ///
    /// # Errors
    ///
    /// As for [`try_offload`](Self::try_offload).
    #[track_caller]
    pub fn try_offload_with<F, T>(&self, f: F) -> Result<Task<T>, Error>
    where
        F: FnOnce(&Job) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(f, Location::caller())
    }

    /// Waits for room in the queue, in the order of the calls.
    ///
    /// Where [`offload`](Self::offload) refuses, this waits: for a producer that should go no
    /// faster than the lane.
    ///
    /// The timeout, the deadline and the token of this handle are for the job, and a timeout counts
    /// from when that is handed in: they do not end this wait. Put a `tokio::time::timeout` round it
    /// where it must end.
    ///
    /// # Errors
    ///
    /// The future gives [`Error::Closed`] if the lane is closed, before or meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::Lane;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), longshore::Error> {
    /// let lane = Lane::builder("thumbnails").limit(2).queue(2).build();
    /// let mut tasks = Vec::new();
    /// for image in 0..20 {
    ///     let permit = lane.reserve().await?;
    ///     tasks.push(permit.offload(move || image * 2));
    /// }
    /// assert_eq!(tasks.pop().unwrap().await?, 38);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reserve(&self) -> Reserve {
        Reserve::new(self.clone())
    }

    /// Runs `f` on every item, with as many jobs in the lane at once as its limit, unless
    /// [`concurrency`](Map::concurrency) says otherwise, and gives the results as they come. See
    /// [`Map`] for the order, the bound, and streams as input.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::TryStreamExt;
    /// use longshore::Lane;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), longshore::Error> {
    /// let lane = Lane::builder("squares").limit(4).build();
    /// let squares: Vec<u64> = lane.map(1..=5, |n: u64| n * n).ordered().try_collect().await?;
    /// assert_eq!(squares, [1, 4, 9, 16, 25]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map<I, F, T>(&self, items: I, f: F) -> Map<futures_util::stream::Iter<I::IntoIter>, F, T>
    where
        I: IntoIterator,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        I::Item: Send + 'static,
        T: Send + 'static,
    {
        self.map_stream(futures_util::stream::iter(items), f)
    }

    /// As [`map`](Self::map), over a stream.
    #[track_caller]
    pub fn map_stream<S, F, T>(&self, items: S, f: F) -> Map<S, F, T>
    where
        S: Stream,
        F: Fn(S::Item) -> T + Send + Sync + 'static,
        S::Item: Send + 'static,
        T: Send + 'static,
    {
        Map::new(self.clone(), items, f, Location::caller())
    }

    // ===== Looking at it =====

    /// What the lane has done and is doing, all of one moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Sets the gauges that do not follow each job: threads, slots, peaks. To be called whenever the
    /// numbers are collected, before a scrape for instance; one read of [`stats`](Self::stats). All
    /// other metrics of a lane are told as things happen.
    ///
    /// # Examples
    ///
    /// ```
    /// # let lane = longshore::Lane::builder("files").build();
    /// // metrics::set_global_recorder(recorder)?;
    /// lane.record_metrics(); // then render the recorder's numbers
    /// ```
    #[cfg(feature = "metrics")]
    pub fn record_metrics(&self) {
        super::metrics::gauges(self.core(), &self.stats());
    }

    /// The jobs that are in the lane, the oldest first: what waits, what runs, and what drains.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobInfo> {
        self.core().jobs()
    }

    // ===== Ending it =====

    /// Refuses new jobs from now on with [`Error::Closed`]. Jobs that are in the lane, waiting ones
    /// too, go on. There is no way back.
    pub fn close(&self) {
        self.core().close();
    }

    /// True once the lane was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.core().with_state(|state| state.closed)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Lane")
            .field("name", &self.name())
            .field("source", &self.core().source)
            .field("limit", &stats.limit)
            .field("waiting", &stats.waiting)
            .field("running", &stats.running)
            .field("suspended", &stats.suspended)
            .field("draining", &stats.draining)
            .finish_non_exhaustive()
    }
}
