//! What a user holds of a pool.

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

/// Up to n blocking objects of a kind, each on a thread of its own.
///
/// Like a [`Resource`](super::Resource), with more than one object: closures start in the order in
/// which they came, each with an object to itself, on whichever thread is free.
///
/// - **Objects are made on demand**: for a call that finds none idle, as long as there are fewer
///   than n. Of the idle ones, those that were used last are taken first, so that the others grow old:
///   one that nobody has used for [`keep_alive`](Builder::keep_alive), 10 s unless it is set, is
///   dropped on the thread that made it. At most four are being made at a time.
/// - **A maker that fails** while there are other objects is nobody's failure: the calls wait for
///   those. Only when there is no other, and none is being made, [`Error::Unavailable`] is told to
///   all that wait. A pool that has fewer objects than calls for them asks again as calls come and
///   go, every 10 ms at the most.
/// - **A closure that waits for another** of the same pool holds an object meanwhile. Where every
///   object is held by a closure that waits so, in [`Job::block_on`](crate::Job::block_on), and no
///   further one can be had, an inner call is told [`Error::InUse`]. One of them may wait in another
///   executor's loop instead. Of a second one that does so it is not seen that it waits, nor are
///   circles through jobs of other lanes: give calls a timeout where closures call the pool they are
///   in.
///
/// # Examples
///
/// ```
/// use longshore::ResourcePool;
/// use rusqlite::Connection;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let readers = ResourcePool::new("orders-db", 4, Connection::open_in_memory);
/// assert_eq!(readers.objects(), 0);
///
/// let one: i64 = readers.with(|db, _| db.query_row("SELECT 1", [], |row| row.get(0))).await??;
/// assert_eq!((one, readers.objects()), (1, 1));
/// # Ok(())
/// # }
/// ```
pub struct ResourcePool<T> {
    shared: Shared<T>,
}

impl<T: 'static> ResourcePool<T> {
    /// A pool of up to `objects` objects with the defaults of the
    /// [builder](super::Resource::builder), whose last step is
    /// [`build_pool`](Builder::build_pool).
    ///
    /// # Panics
    ///
    /// If `objects` is zero.
    #[track_caller]
    pub fn new<F, E>(name: impl Into<Arc<str>>, objects: usize, make: F) -> Self
    where
        F: Fn() -> Result<T, E> + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Builder::new(name.into(), make).build_pool(objects)
    }

    pub(super) fn new_shared(shared: Shared<T>) -> Self {
        Self { shared }
    }

    // ===== Handing in =====

    /// Hands in a closure that is to have an object for itself, and its [`Job`]; see
    /// [`Resource::with`](super::Resource::with).
    ///
    /// # Cancel safety
    ///
    /// *The waiter* is free at once when the task is dropped. *The thread* is free when the closure
    /// has returned and the object is recycled; a closure that was still waiting never sees one.
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
    /// The future gives [`Error::Closed`] if the pool is closed, before or meanwhile.
    pub fn reserve(&self) -> impl Future<Output = Result<Permit<T>, Error>> + Send + use<T> {
        Permit::reserve(self.shared.clone())
    }

    // ===== Ending it =====

    /// Refuses new calls at once and, when awaited, ends what is there; see
    /// [`Resource::shutdown`](super::Resource::shutdown).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the pool closed and its jobs as they are.
    ///
    /// # Errors
    ///
    /// [`Stuck`], which names the jobs that still have an object.
    pub fn shutdown(
        &self,
        grace: Duration,
    ) -> impl Future<Output = Result<Shutdown, Stuck>> + Send + use<T> {
        self.shared.shutdown(grace)
    }
}

impl<T> ResourcePool<T> {
    /// The name that the pool was made with.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.lane.name()
    }

    // ===== Options =====

    /// The same pool, with this long for a call to take; see
    /// [`Lane::timeout`](crate::Lane::timeout).
    #[must_use]
    pub fn timeout(&self, time: Duration) -> Self {
        self.on(self.shared.lane.timeout(time))
    }

    /// The same pool, with this moment as the end of every call's time; see
    /// [`Lane::deadline`](crate::Lane::deadline).
    #[must_use]
    pub fn deadline(&self, deadline: Instant) -> Self {
        self.on(self.shared.lane.deadline(deadline))
    }

    /// The same pool, with a name for its jobs in reports and traces.
    #[must_use]
    pub fn label(&self, label: impl Into<Arc<str>>) -> Self {
        self.on(self.shared.lane.label(label))
    }

    /// The same pool, with jobs that are cancelled when `token` is; see
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

    /// What the pool has done and is doing, all of one moment. Its `limit` is the number of objects
    /// that there may be.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.lane.stats()
    }

    /// The jobs that are in the pool, the oldest first.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobInfo> {
        self.shared.lane.jobs()
    }

    /// How many objects there are, those included that are being made or dropped.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.shared.objects()
    }

    /// Refuses new calls from now on with [`Error::Closed`]. Those that are in line go on; then the
    /// objects are dropped. There is no way back.
    pub fn close(&self) {
        self.shared.lane.close();
    }

    /// True once the pool was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lane.is_closed()
    }
}

impl<T> Clone for ResourcePool<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> fmt::Debug for ResourcePool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("ResourcePool")
            .field("name", &self.name())
            .field("limit", &stats.limit)
            .field("objects", &self.objects())
            .field("waiting", &stats.waiting)
            .field("running", &stats.running)
            .field("draining", &stats.draining)
            .finish_non_exhaustive()
    }
}
