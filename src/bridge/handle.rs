//! What a user holds of a bridge.

use std::{fmt, future::Future, panic::Location, time::Duration};

use futures_util::future::AbortHandle;
use tokio::runtime;

use super::{
    books::{Books, Driver, Stage},
    builder::Builder,
    error::Error,
    limits::Limits,
    scope::{self, Scope},
    shared::Shared,
    spawned::Spawned,
    starting, wait,
};
use crate::sync::Arc;

/// A way from synchronous code into async code, from wherever that is called.
///
/// A handle is cheap to clone, and clones are the same bridge. Make one and keep it: in a `static`,
/// or beside the client that needs it.
///
/// - [`start`](Self::start) has a runtime of its own, on a thread in the background. It works from
///   everywhere where anything can.
/// - [`current`](Self::current) and [`From`] take a runtime that is there already.
///
/// Where the caller may wait, and where it is told to do otherwise, is the table in the
/// [module](super)'s documentation. It is neither a panic nor a wait without an end, but for what
/// stands there under "What cannot be told".
///
/// When the last handle of a started bridge is dropped, its runtime ends in the background, and
/// its thread with it; the drop does not wait, so it may be anywhere, async code included. What
/// was detached is cancelled then; on a runtime of somebody else's it goes on. A [`Spawned`] is a
/// handle as well.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use longshore::{Bridge, bridge};
///
/// /// Synchronous, and stays so.
/// fn report(bridge: &Bridge) -> Result<String, bridge::Error> {
///     let total = bridge.spawn(async { 6 * 7 });
///     let title = bridge.call(async {
///         tokio::time::sleep(Duration::from_millis(1)).await;
///         "total"
///     })?;
///     Ok(format!("{title}: {}", total.wait()?))
/// }
///
/// # fn main() -> Result<(), bridge::Error> {
/// let bridge = Bridge::start()?;
/// assert_eq!(report(&bridge)?, "total: 42");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
}

impl Bridge {
    // ===== Making one =====

    /// Starts a runtime on a thread of its own, called `longshore-bridge`.
    ///
    /// It has timers and I/O, as far as Tokio's features go. It may be called in async code too.
    ///
    /// # Errors
    ///
    /// [`Error::NoThread`] if the system has no thread, or no descriptor, for it.
    pub fn start() -> Result<Self, Error> {
        Self::builder().start()
    }

    /// As [`start`](Self::start), with a name and a number of threads to choose.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A bridge into the runtime that this is called in.
    ///
    /// In a lane's job that is the runtime that the job was handed in from, in the closure of
    /// `spawn_blocking` the one whose pool it is. The bridge does not keep the runtime alive.
    ///
    /// # Errors
    ///
    /// [`Error::NoRuntime`] outside of one.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::{Bridge, Lane};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let lane = Lane::builder("legacy").limit(4).build();
    /// let name = lane.offload(|| Bridge::current()?.call(async { "from inside" })).await??;
    /// assert_eq!(name, "from inside");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn current() -> Result<Self, Error> {
        match runtime::Handle::try_current() {
            Ok(runtime) => Ok(Self::from(runtime)),
            Err(_) => Err(Error::NoRuntime {
                at: Location::caller(),
            }),
        }
    }

    /// A bridge whose runtime is ended by whoever is told so by `owner`.
    pub(super) fn own(runtime: runtime::Handle, books: Arc<Books>, owner: AbortHandle) -> Self {
        Self {
            shared: Arc::new(Shared::own(runtime, books, owner)),
        }
    }

    /// The runtime under it.
    #[must_use]
    pub fn runtime(&self) -> &runtime::Handle {
        &self.shared.runtime
    }

    // ===== Calling =====

    /// Runs a future and gives what it resolves to. Blocks until then.
    ///
    /// The future is polled on this very thread, so it may borrow from its caller, and need not be
    /// [`Send`]. The bridge's runtime is entered meanwhile: its timers and its I/O work in it, and
    /// `tokio::spawn` spawns there.
    ///
    /// What has to find the runtime when it is made, as a timer, is to be made inside of the future:
    /// `call(async { sleep(time).await })`.
    ///
    /// On a worker of a multi-thread runtime this does what `tokio::task::block_in_place` does, so
    /// that the worker's other tasks go on elsewhere.
    ///
    /// A guard of `Handle::enter` may be held in the future, but not given out of it: Tokio panics
    /// then, which is an error here, and this thread does not get out of the bridge's runtime again.
    ///
    /// # Cancel safety
    ///
    /// In a [`Job`](crate::Job), a cancel of the job ends the call. *The waiter*, which is the job's
    /// thread, drops the future and goes on at once. A closure that has been told of the cancel, by
    /// such an error or by [`is_cancelled`](crate::Job::is_cancelled), may call again, to clear up:
    /// then nothing but the future ends the call.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlockRuntime`] where it must not block; the future is not polled then.
    /// [`Error::Panicked`] if the future panics. [`Error::ShutDown`] if the bridge or its runtime
    /// has ended or ends meanwhile. [`Error::Cancelled`] if this is a job's thread, and the job is
    /// cancelled meanwhile. [`Error::NotDriven`] if nobody drives the runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::{Bridge, bridge};
    /// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bridge = Bridge::start()?;
    /// let greeting = String::from("hello");
    /// let heard = bridge.call(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let mut here = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (mut there, _) = listener.accept().await?;
    ///     here.write_all(greeting.as_bytes()).await?;
    ///     let mut heard = [0; 5];
    ///     there.read_exact(&mut heard).await?;
    ///     Ok::<_, std::io::Error>(heard)
    /// })??;
    /// assert_eq!(heard, *b"hello");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        self.call_within(None, future, Location::caller())
    }

    /// As [`call`](Self::call), for no longer than `time`: then the future is dropped.
    ///
    /// It is real time, whatever a test does to Tokio's clock, and counted from here. A future that
    /// never gives way cannot be interrupted. It is polled once even if `time` is zero.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and those of [`call`](Self::call). [`Error::NoThread`] if there is no
    /// thread to keep the time.
    #[track_caller]
    pub fn call_timeout<F: Future>(&self, time: Duration, future: F) -> Result<F::Output, Error> {
        self.call_within(Some(time), future, Location::caller())
    }

    fn call_within<F: Future>(
        &self,
        time: Option<Duration>,
        future: F,
        at: &'static Location<'static>,
    ) -> Result<F::Output, Error> {
        let limits = self
            .shared
            .alive(Limits::default().time(time).with_this_job());
        let entry = self
            .shared
            .books
            .enter(Driver::Thread)
            .ok_or(Error::ShutDown)?;
        wait::call(self.runtime(), &entry, limits, future, at)
    }

    /// Has a future run by the runtime, and gives a handle to wait for it.
    ///
    /// It starts at once, and this does not block: it may be called from anywhere.
    ///
    /// # Cancel safety
    ///
    /// Dropping the handle cancels the task, as dropping a [`Task`](crate::Task) does. *The waiter*
    /// is free at once. *The runtime* drops the future as soon as it has given way. To let it run
    /// on, say [`detach`](Spawned::detach).
    #[must_use = "dropping the handle cancels it: wait for it, keep it, or `detach` it"]
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Spawned<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        starting::task(self, None, future, Location::caller())
    }

    /// Hands a closure that blocks to a thread of the runtime's blocking pool, and gives a handle
    /// to wait for it.
    ///
    /// For synchronous code that itself needs async code: it is given the bridge, and may
    /// [`call`](Self::call) there. Up to 64 such closures of one bridge run at once; the rest wait.
    /// [`Job::current`](crate::Job::current) tells it whether it was cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the handle cancels the job. *The waiter* is free at once. *The thread* is when the
    /// closure returns, and what it waits for through a bridge ends; one that has not started never
    /// does.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::{Bridge, bridge};
    ///
    /// # fn main() -> Result<(), bridge::Error> {
    /// let bridge = Bridge::start()?;
    /// let sums: Vec<_> = (0..3)
    ///     .map(|n| bridge.offload(move |bridge| bridge.call(async move { n * n })))
    ///     .collect();
    /// let sums: Result<Vec<i32>, _> = sums.into_iter().map(|sum| sum.wait()?).collect();
    /// assert_eq!(sums?, [0, 1, 4]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "dropping the handle cancels it: wait for it, keep it, or `detach` it"]
    #[track_caller]
    pub fn offload<F, T>(&self, f: F) -> Spawned<T>
    where
        F: FnOnce(&Self) -> T + Send + 'static,
        T: Send + 'static,
    {
        starting::job(self, None, f)
    }

    /// Runs a closure that starts things, and cancels what of them is left when it returns.
    ///
    /// It does not return before all of it has ended, what it offloaded included, but for two errors.
    /// A panic of the closure goes on after that. What a task gave and nobody took may be dropped a
    /// moment later, by the runtime.
    ///
    /// # Cancel safety
    ///
    /// A cancel of the job that this is in ends the waits in the closure, but not the one for what
    /// was started.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlockRuntime`] where it must not block; the closure is not called then.
    /// [`Error::ShutDown`] if the bridge was shut down before. [`Error::NotDriven`] if nobody drives
    /// the runtime, so that its tasks cannot end. [`Error::NoThread`] if it cannot wait, since this is
    /// a worker of a runtime and there is no thread to do its work meanwhile. With these two, what is
    /// left is cancelled, and still there.
    ///
    /// # Panics
    ///
    /// If the closure does.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::{Bridge, bridge};
    ///
    /// # fn main() -> Result<(), bridge::Error> {
    /// let bridge = Bridge::start()?;
    /// let first = bridge.scope(|scope| {
    ///     let quick = scope.spawn(async { "quick" });
    ///     scope.spawn(std::future::pending::<()>());
    ///     quick.wait()
    /// })??;
    /// assert_eq!(first, "quick"); // and the other is gone
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn scope<R>(&self, f: impl FnOnce(&Scope<'_>) -> R) -> Result<R, Error> {
        scope::run(self, f, Location::caller())
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// Into a runtime that is there already. The bridge does not keep it alive.
impl From<runtime::Handle> for Bridge {
    fn from(runtime: runtime::Handle) -> Self {
        Self {
            shared: Arc::new(Shared::of_another(runtime)),
        }
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.shared.books.count();
        f.debug_struct("Bridge")
            .field("under_way", &count.live)
            .field("shut_down", &(count.stage > Stage::Open))
            .finish_non_exhaustive()
    }
}
