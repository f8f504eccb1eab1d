//! Making a lane.

use std::time::Duration;

use super::{Lane, core::Core, source::Source, threads::Threads};
use crate::sync::Arc;

/// How many jobs a lane runs at once unless it is told otherwise.
///
/// An eighth of the 512 threads of Tokio's blocking pool, so that a few lanes with defaults leave
/// room there for one another, for files and for name resolution.
pub(crate) const DEFAULT_LIMIT: usize = 64;

/// Makes a [`Lane`]; from [`Lane::builder`].
///
/// Values that make no sense are errors of the program and panic at the line that gives them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use longshore::Lane;
///
/// let lane = Lane::builder("billing")
///     .limit(20)
///     .queue(200)
///     .timeout(Duration::from_secs(10))
///     .build();
/// assert_eq!(lane.name(), "billing");
/// assert_eq!(lane.stats().limit, 20);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    name: Arc<str>,
    limit: usize,
    queue: Option<usize>,
    timeout: Option<Duration>,
    source: Source,
}

impl Builder {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            limit: DEFAULT_LIMIT,
            queue: None,
            timeout: None,
            source: Source::Tokio,
        }
    }

    /// How many jobs may run at once, those included whose callers have gone. Defaults to 64. (A job
    /// that waits for others in [`Job::block_on`](crate::Job::block_on) keeps its thread beyond that,
    /// and lends its slot.)
    ///
    /// What the resource behind the lane can take is a good limit: the size of a connection pool,
    /// the calls that a service allows you. On Tokio's blocking pool (the default source) no more
    /// jobs run than that pool has threads: `max_blocking_threads` of the runtime's builder, 512
    /// unless it was changed, for all lanes and everything else together. A lane whose threads do
    /// not come shows it in [`Stats::starting_for`](super::Stats::starting_for). For more than
    /// that, take [`own_threads`](Self::own_threads).
    ///
    /// # Panics
    ///
    /// If `jobs` is zero.
    #[track_caller]
    pub fn limit(mut self, jobs: usize) -> Self {
        assert!(
            jobs > 0,
            "`limit` of lane `{}` must be at least 1, not 0",
            self.name
        );
        self.limit = jobs;
        self
    }

    /// How many jobs may wait for a thread; one more is refused with
    /// [`Error::QueueFull`](crate::Error::QueueFull). Zero lets nobody wait. Defaults to any
    /// number.
    ///
    /// The lane takes `limit + queue` jobs in all. Those for whom there is a free slot do not count
    /// towards the queue, although they wait as well until a thread has come for them. There may be
    /// more for a while where jobs wait for jobs of their own lane: one that has lent its slot goes
    /// on as soon as there is a free one, also if the room for that is promised to others by then. Nor is
    /// a job refused that reads the rest of an HTTP response, of which another has read the beginning.
    ///
    /// A bounded queue is what keeps a service that is overloaded answering: better refuse early
    /// than let every caller wait until its patience is over. Where each request calls many lanes at
    /// once, though, lanes of one limit without a queue refuse the same request all together.
    pub fn queue(mut self, jobs: usize) -> Self {
        self.queue = Some(jobs);
        self
    }

    /// How long a job may take, waiting and running together, counted from the call that hands it
    /// in. Defaults to no limit. [`Lane::timeout`] sets it for one call.
    ///
    /// A timeout of zero lets no job start.
    ///
    /// Where there is no runtime with a timer, a thread keeps the times of a lane. If that cannot be had, jobs
    /// that wait fail with [`Error::NoThread`](crate::Error::NoThread); one that was started before it was
    /// needed goes on without its deadline, until the next job with one asks for the thread again.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Runs the jobs on threads of the lane's own. Defaults to Tokio's blocking pool, that of the
    /// runtime which a job is handed in from.
    ///
    /// For a lane past that pool's 512 threads, for threads with another stack size, for jobs that
    /// must not hold up the shutdown of a runtime (which waits for the blocking threads of its
    /// pool), and for calls from outside of any runtime.
    ///
    /// A paused test clock runs ahead while only such threads are busy: Tokio does not know of
    /// them. Jobs that a test gives a deadline under a paused clock belong on the default source.
    pub fn own_threads(mut self, threads: Threads) -> Self {
        self.source = Source::Threads(threads);
        self
    }

    /// Runs the jobs on a rayon pool: for CPU work, which wants as many threads as there are
    /// cores, and whose own `par_iter`s then run in the same pool. Defaults to Tokio's blocking pool.
    ///
    /// Not for calls that block: each of them takes one of a few threads away from everything else
    /// in the pool. A worker there never lingers: it takes a thread of the pool only while there
    /// are jobs.
    #[cfg(feature = "rayon")]
    pub fn rayon(mut self, pool: std::sync::Arc<rayon::ThreadPool>) -> Self {
        self.source = Source::Rayon(super::source::Rayon(Some(pool)));
        self
    }

    /// As [`rayon`](Self::rayon), on the process's global pool.
    ///
    /// Whoever uses that pool first has its threads started, which on Linux are then shown under the
    /// name of that thread unless the pool was given names: `tokio-rt-worker`, perhaps.
    ///
    /// If that pool cannot be built, jobs fail with [`Error::NoThread`](crate::Error::NoThread).
    #[cfg(feature = "rayon")]
    pub fn rayon_global(mut self) -> Self {
        self.source = Source::Rayon(super::source::Rayon(None));
        self
    }

    /// Makes the lane. It holds no thread until it is given a job.
    #[must_use]
    pub fn build(self) -> Lane {
        let core = Core::new(self.name, self.limit, self.queue, self.source);
        Lane::over(Arc::new(core), self.timeout)
    }
}
