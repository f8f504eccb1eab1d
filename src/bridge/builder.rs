//! Starting a bridge with a runtime of its own.

use std::{io, panic::Location, sync::mpsc, time::Duration};

use futures_util::future::abortable;
use tokio::runtime::Runtime;

use super::{
    books::{Books, Stage},
    error::Error,
    handle::Bridge,
    runtime, threads,
};
use crate::sync::Arc;

/// How long the runtime's own threads have to leave when it ends. Closures on its blocking pool may
/// take longer, and are not waited for.
const SETTLING: Duration = Duration::from_millis(50);

/// Starts a [`Bridge`] with a runtime of its own; from [`Bridge::builder`].
///
/// # Examples
///
/// ```
/// use longshore::{Bridge, bridge};
///
/// # fn main() -> Result<(), bridge::Error> {
/// let bridge = Bridge::builder().name("mail").workers(2).start()?;
/// let thread = bridge.spawn(async { std::thread::current().name().map(str::to_owned) });
/// assert_eq!(thread.wait()?.as_deref(), Some("mail"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it starts nothing before `start`"]
pub struct Builder {
    name: String,
    workers: Option<usize>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            name: String::from("longshore-bridge"),
            workers: None,
        }
    }

    /// The name of its threads, where a zero byte becomes a space. Defaults to `longshore-bridge`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        // It would make the standard library panic.
        self.name = name.into().replace('\0', " ");
        self
    }

    /// A multi-thread runtime with this many workers, and a thread more that does nothing but end
    /// it. Defaults to a current-thread runtime: one thread, which is enough for what waits.
    ///
    /// With workers, tasks of the bridge's own may use it in turn: they wait in `block_in_place`.
    ///
    /// # Panics
    ///
    /// If `workers` is zero.
    #[track_caller]
    pub fn workers(mut self, workers: usize) -> Self {
        assert!(workers > 0, "`workers` must be at least 1");
        self.workers = Some(workers);
        self
    }

    /// Starts it.
    ///
    /// With [`workers`](Self::workers) it waits until their threads have started or one was refused,
    /// which blocks for as long as that takes, in async code too.
    ///
    /// # Errors
    ///
    /// [`Error::NoThread`] if the system has no thread, or no descriptor, for it. Of the workers there
    /// are all or none; where there are none, Tokio does not give back the few descriptors that it has
    /// opened for them.
    #[track_caller]
    pub fn start(self) -> Result<Bridge, Error> {
        let at = Location::caller();
        let books = Books::new();
        let (until_told, owner) = abortable(std::future::pending::<()>());
        let theirs = books.clone();
        let handle = match self.workers {
            None => {
                let runtime = runtime::of_one_thread(&self.name)?;
                let handle = runtime.handle().clone();
                // Where there is no thread, it is dropped with the closure, perhaps in async code.
                let runtime = Owned(Some(runtime));
                threads::start_owner(self.name, move || own(runtime, until_told, &theirs))
                    .map_err(Error::NoThread)?;
                handle
            }
            Some(workers) => {
                let (tell, told) = mpsc::channel();
                let name = self.name.clone();
                threads::start_owner(self.name, move || {
                    // Here, as this may be async code, which is no place to build it.
                    match runtime::of_workers(workers, &name, at) {
                        Ok(runtime) => {
                            let _ = tell.send(Ok(runtime.handle().clone()));
                            own(Owned(Some(runtime)), until_told, &theirs);
                        }
                        Err(refused) => drop(tell.send(Err(refused))),
                    }
                })
                .map_err(Error::NoThread)?;
                let gone = |gone| Err(Error::NoThread(io::Error::other(gone)));
                told.recv().unwrap_or_else(gone)?
            }
        };
        Ok(Bridge::own(handle, books, owner))
    }
}

/// Drives the runtime until there is no handle any more, or a shutdown is over; then ends it.
///
/// Whoever waits is told before, so that nobody polls a timer or a socket of a runtime that is gone.
fn own(mut runtime: Owned, until_told: impl Future, books: &Arc<Books>) {
    if let Some(runtime) = runtime.0.take() {
        runtime.block_on(until_told);
        books.advance(Stage::Gone);
        runtime.shutdown_timeout(SETTLING);
    }
    books.advance(Stage::Over);
}

/// A runtime that may be dropped anywhere.
struct Owned(Option<Runtime>);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
