//! Making a resource.

use std::{error::Error as StdError, fmt, panic::Location, time::Duration};

use super::{
    Resource, ResourcePool,
    places::Places,
    shared::Shared,
    stock::{Clean, Make, Stock},
};
use crate::{
    lane::{Lane, Threads},
    sync::Arc,
};

/// What becomes of an object that a cancelled or a panicking closure has left; see
/// [`Builder::recycle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recycle {
    /// It is in order: the next closure gets it.
    Keep,
    /// It is dropped, at once, and another is made when one is needed.
    Discard,
}

/// Makes a [`Resource`] or a [`ResourcePool`]; from [`Resource::builder`].
///
/// Values that make no sense are errors of the program and panic at the line that gives them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use longshore::resource::{Recycle, Resource};
/// use rusqlite::Connection;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let db = Resource::builder("orders-db", Connection::open_in_memory)
///     .queue(100)
///     .timeout(Duration::from_secs(5))
///     // An interrupted query leaves a connection in order, unless a transaction is open.
///     .recycle(|db: &mut Connection| match db.is_autocommit() {
///         true => Recycle::Keep,
///         false => Recycle::Discard,
///     })
///     .build();
/// let two: i64 = db.with(|db, _| db.query_row("SELECT 1 + 1", [], |row| row.get(0))).await??;
/// assert_eq!(two, 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<T> {
    name: Arc<str>,
    make: Make<T>,
    clean: Clean<T>,
    location: &'static Location<'static>,
    queue: Option<usize>,
    timeout: Option<Duration>,
    keep_alive: Option<Duration>,
    stack_size: Option<usize>,
}

impl<T: 'static> Builder<T> {
    #[track_caller]
    pub(super) fn new<F, E>(name: Arc<str>, make: F) -> Self
    where
        F: Fn() -> Result<T, E> + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self {
            name,
            make: Box::new(move || make().map_err(|error| Arc::from(error.into()))),
            clean: Box::new(|_| Recycle::Discard),
            location: Location::caller(),
            queue: None,
            timeout: None,
            keep_alive: None,
            stack_size: None,
        }
    }

    /// Says what becomes of an object that a closure left while its job was cancelled, its deadline
    /// included, or in a panic. Defaults to [`Recycle::Discard`] for all.
    ///
    /// It runs on the object's thread, right after that closure and before anybody else gets the
    /// object, and may put things in order: roll back, reset, ask for a sign of life. It is part of
    /// the same job, which is cancelled: what asks [`Job::current`](crate::Job::current), as agents of
    /// [`longshore::ureq`](crate::ureq) do, gives up at once in it. The thread is busy meanwhile, and the caller of a closure that panicked is told only then; a cancelled one
    /// has long gone. An object whose recycling panics is discarded; of that panic, and of one in
    /// the object's own drop, nobody hears but the panic hook.
    pub fn recycle(mut self, recycle: impl Fn(&mut T) -> Recycle + Send + Sync + 'static) -> Self {
        self.clean = Box::new(recycle);
        self
    }

    /// How many calls may wait for an object; one more is refused with
    /// [`Error::QueueFull`](crate::Error::QueueFull). Defaults to any number. As for a
    /// [lane](crate::lane::Builder::queue).
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = Some(calls);
        self
    }

    /// How long a call may take, waiting and running together, and the making of the object too if
    /// it has to wait for that. Defaults to no limit. [`Resource::timeout`] sets it for one call.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// How long an object that nobody uses is kept. Then it is dropped and its thread ends; the
    /// next call has another made. Defaults to 10 s for a [`ResourcePool`], and for a [`Resource`]
    /// to as long as there is a handle on it.
    pub fn keep_alive(mut self, time: Duration) -> Self {
        self.keep_alive = Some(time);
        self
    }

    /// The size of each thread's stack, in bytes. Defaults to that of the standard library (2 MiB,
    /// or the environment variable `RUST_MIN_STACK`).
    ///
    /// # Panics
    ///
    /// If `bytes` is less than 16 KiB (16,384), which no thread can live on.
    #[track_caller]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        // Asked here, so that the panic is at the caller's line.
        let _ = Threads::new().stack_size(bytes);
        self.stack_size = Some(bytes);
        self
    }

    /// Makes a resource of one object. The maker is not called before the first call needs it.
    #[must_use]
    pub fn build(self) -> Resource<T> {
        Resource::new_shared(self.share(1, Duration::MAX))
    }

    /// Makes a pool of up to `objects` objects. The maker is not called before a call needs it.
    ///
    /// # Panics
    ///
    /// If `objects` is zero.
    #[track_caller]
    #[must_use]
    pub fn build_pool(self, objects: usize) -> ResourcePool<T> {
        assert!(
            objects > 0,
            "a pool must have room for at least 1 object, not 0: `{}`",
            self.name
        );
        ResourcePool::new_shared(self.share(objects, POOLED))
    }

    fn share(self, objects: usize, keep_alive: Duration) -> Shared<T> {
        let stock = Arc::new(Stock {
            name: self.name.clone(),
            make: self.make,
            clean: self.clean,
            places: Arc::new(Places::new(objects)),
            location: self.location,
        });
        let mut threads = Threads::new()
            .keep_alive(self.keep_alive.unwrap_or(keep_alive))
            .outfit(stock.clone());
        if let Some(bytes) = self.stack_size {
            threads = threads.stack_size(bytes);
        }
        let mut lane = Lane::builder(self.name).limit(objects).own_threads(threads);
        if let Some(calls) = self.queue {
            lane = lane.queue(calls);
        }
        if let Some(time) = self.timeout {
            lane = lane.timeout(time);
        }
        Shared {
            lane: lane.build(),
            stock,
        }
    }
}

/// How long a pool keeps an object that nobody uses.
const POOLED: Duration = Duration::from_secs(10);

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("queue", &self.queue)
            .field("timeout", &self.timeout)
            .field("keep_alive", &self.keep_alive)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}
