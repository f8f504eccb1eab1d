//! What a user holds of a resource of one object.

use std::{error::Error as StdError, fmt, future::Future, panic::Location, time::Duration};

use tokio::time::Instant;

use super::{builder::Builder, permit::Permit, shared::Shared};
use crate::{
    cancel::CancelToken,
    error::Error,
    job::{Job, Task},
    lane::{JobInfo, Lane, Shutdown, Stats, Stuck},
    sync::Arc,
};

/// One blocking object on a thread of its own, which closures come to.
///
/// The object is made on that thread, used there, and dropped there; it need be neither [`Send`]
/// nor [`Sync`]. [`with`](Self::with) hands a closure in and gives a [`Task`]. Closures run one at a
/// time, in the order in which they came. A handle is cheap to clone, and clones are the same
/// resource; the methods that take options ([`timeout`](Self::timeout), [`label`](Self::label), …)
/// give a handle on the same resource with other options.
///
/// - **The object is made when it is first needed**, by the maker, and kept as long as there is a
///   handle, or for [as long as it is used](Builder::keep_alive). Calls wait in line while it is
///   being made, and their time runs.
/// - **A maker that fails**, or panics, has its error told to every call that waits at that moment,
///   as [`Error::Unavailable`]. It is tried again for the first call that comes later, and only
///   then: 100 calls that wait for a connection share one failed attempt.
/// - **A closure that is cancelled or panics** may leave the object in the middle of something. The
///   next closure does not get it before [`recycle`](Builder::recycle) has seen to that, and by
///   default does not get it at all: it is dropped, and another is made when one is needed.
/// - **A closure that waits for another on the same resource** would wait for ever. The inner one is not
///   run; it gets [`Error::InUse`] as soon as the outer one awaits it, alone or together with other
///   futures. The same holds where jobs of other lanes are in between, if each of them waits in
///   [`Job::block_on`] for the next and for nothing else.
///
/// It behaves otherwise as a [`Lane`](crate::Lane) with one thread does, and promises the same. Two
/// things differ. The thread belongs to no runtime: the object outlives all of them, also as a
/// `static`, although each closure finds itself in the runtime of its caller, and the maker in none.
/// And deadlines are kept by a second thread, which is there from the first one on, in real time: a
/// test that pauses Tokio's clock cannot rely on them.
///
/// # Examples
///
/// ```
/// use longshore::Resource;
/// use rusqlite::Connection;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let db = Resource::new("orders-db", Connection::open_in_memory);
/// db.with(|db, _| db.execute_batch("CREATE TABLE orders (id INTEGER, total INTEGER)")).await??;
///
/// let total: i64 = db
///     .with(|db, job| {
///         // From here on, a caller that goes away ends the query.
///         let interrupt = db.get_interrupt_handle();
///         let _guard = job.on_cancel(move || interrupt.interrupt());
///         db.query_row("SELECT coalesce(sum(total), 0) FROM orders", [], |row| row.get(0))
///     })
///     .await??;
/// assert_eq!(total, 0);
/// # Ok(())
/// # }
/// ```
///
/// What may not leave its thread does not:
///
/// ```compile_fail,E0277
/// # use std::{io, rc::Rc};
/// # use longshore::Resource;
/// let counter = Resource::new("counter", || Ok::<_, io::Error>(Rc::new(7)));
/// let escaped = counter.with(|it, _| it.clone()); // an `Rc`, on its way to another thread
/// ```
pub struct Resource<T> {
    shared: Shared<T>,
}

impl<T: 'static> Resource<T> {
    /// A resource with the defaults of its [builder](Self::builder). The maker is not called before
    /// it is needed.
    #[track_caller]
    pub fn new<F, E>(name: impl Into<Arc<str>>, make: F) -> Self
    where
        F: Fn() -> Result<T, E> + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::builder(name, make).build()
    }

    /// Starts to make a resource, or a [pool](Builder::build_pool). The name appears in errors,
    /// reports, metrics and thread names.
    #[track_caller]
    pub fn builder<F, E>(name: impl Into<Arc<str>>, make: F) -> Builder<T>
    where
        F: Fn() -> Result<T, E> + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Builder::new(name.into(), make)
    }

    pub(super) fn new_shared(shared: Shared<T>) -> Self {
        Self { shared }
    }

    // ===== Handing in =====

    /// Hands in a closure that is to have the object for itself, and its [`Job`].
    ///
    /// It is in the resource when this returns; nothing has to be polled for it to run. The task
    /// resolves to what the closure returns, or to an [`Error`].
    ///
    /// # Cancel safety
    ///
    /// See [`Task`]: *the waiter* is free at once when the task is dropped. *The thread* is free
    /// when the closure has returned and the object is recycled; a closure that was still waiting
    /// never sees the object.
    #[track_caller]
    pub fn with<F, R>(&self, f: F) -> Task<R>
    where
        F: FnOnce(&mut T, &Job) -> R + Send + 'static,
        R: Send + 'static,
    {
        let location = Location::caller();
        (self.shared.with(f, location)).unwrap_or_else(Task::refused)
    }

    /// As [`with`](Self::with), but a refusal is told at once rather than by the task.
    ///
    /// # Errors
    ///
    /// [`Error::QueueFull`] or [`Error::Closed`]. The closure was dropped.
    #[track_caller]
    pub fn try_with<F, R>(&self, f: F) -> Result<Task<R>, Error>
    where
        F: FnOnce(&mut T, &Job) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.shared.with(f, Location::caller())
    }

    /// Waits for room in the queue, in the order of the calls, as
    /// [`Lane::reserve`](crate::Lane::reserve) does.
    ///
    /// # Errors
    ///
    /// The future gives [`Error::Closed`] if the resource is closed, before or meanwhile.
    pub fn reserve(&self) -> impl Future<Output = Result<Permit<T>, Error>> + Send + use<T> {
        Permit::reserve(self.shared.clone())
    }

    // ===== Ending it =====

    /// Refuses new calls at once, and, when awaited, ends what is there as
    /// [`Lane::shutdown`](crate::Lane::shutdown) does: jobs have `grace`, then they are cancelled.
    ///
    /// When it is over the object has been dropped, and none is made any more. A drop that takes longer
    /// than the grace and 50 ms is not waited for, nor is a maker that is still at it: see
    /// [`objects`](Self::objects).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the resource closed and its jobs as they are.
    ///
    /// # Errors
    ///
    /// [`Stuck`], which names the job that still has the object.
    pub fn shutdown(
        &self,
        grace: Duration,
    ) -> impl Future<Output = Result<Shutdown, Stuck>> + Send + use<T> {
        self.shared.shutdown(grace)
    }
}

impl<T> Resource<T> {
    /// The name that the resource was made with.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.lane.name()
    }

    // ===== Options =====

    /// The same resource, with this long for a call to take; see
    /// [`Lane::timeout`](crate::Lane::timeout).
    #[must_use]
    pub fn timeout(&self, time: Duration) -> Self {
        self.on(self.shared.lane.timeout(time))
    }

    /// The same resource, with this moment as the end of every call's time; see
    /// [`Lane::deadline`](crate::Lane::deadline).
    #[must_use]
    pub fn deadline(&self, deadline: Instant) -> Self {
        self.on(self.shared.lane.deadline(deadline))
    }

    /// The same resource, with a name for its jobs in reports and traces.
    #[must_use]
    pub fn label(&self, label: impl Into<Arc<str>>) -> Self {
        self.on(self.shared.lane.label(label))
    }

    /// The same resource, with jobs that are cancelled when `token` is; see
    /// [`Lane::cancelled_by`](crate::Lane::cancelled_by).
    #[must_use]
    pub fn cancelled_by(&self, token: &CancelToken) -> Self {
        self.on(self.shared.lane.cancelled_by(token))
    }

    fn on(&self, lane: Lane) -> Self {
        Self {
            shared: self.shared.on(lane),
        }
    }

    // ===== Looking at it =====

    /// What the resource has done and is doing, all of one moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.lane.stats()
    }

    /// The jobs that are in the resource, the oldest first.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobInfo> {
        self.shared.lane.jobs()
    }

    /// 1 if there is an object, or one that is being made or dropped; else 0.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.shared.objects()
    }

    /// Refuses new calls from now on with [`Error::Closed`]. Those that are in line go on; then the
    /// object is dropped. There is no way back.
    pub fn close(&self) {
        self.shared.lane.close();
    }

    /// True once the resource was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lane.is_closed()
    }
}

impl<T> Clone for Resource<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> fmt::Debug for Resource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Resource")
            .field("name", &self.name())
            .field("objects", &self.objects())
            .field("waiting", &stats.waiting)
            .field("running", &stats.running)
            .field("draining", &stats.draining)
            .finish_non_exhaustive()
    }
}
