//! Where a lane's threads come from. The only place that starts threads for jobs.

use std::{
    cell::Cell,
    fmt, io,
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::runtime;

use super::{
    threads::{Outfit, Threads},
    worker::Worker,
};
use crate::{
    job::{Aside, Run},
    sync::{Arc, Mutex},
};

/// How long a worker stays parked on a thread of Tokio's pool before it gives it back. Short,
/// because somebody else may want the thread and because the next worker costs little: the pool
/// keeps its threads for a while (10 s by default).
const LINGER: Duration = Duration::from_millis(10);

/// Where a lane's threads come from.
#[derive(Clone)]
pub(crate) enum Source {
    /// Tokio's blocking pool, of the runtime that the call comes from.
    Tokio,
    /// Threads of the lane's own.
    Threads(Threads),
    #[cfg(feature = "rayon")]
    Rayon(Rayon),
}

/// A rayon pool, or the global one.
#[cfg(feature = "rayon")]
#[derive(Clone)]
pub(crate) struct Rayon(pub(crate) Option<Arc<rayon::ThreadPool>>);

/// What comes of a job that is run on a thread that is not a worker of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    Gladly,
    /// It does without what only the lane's threads have, and says so. For a job that one of these
    /// threads waits for, if nobody else could run it: better than to wait for ever.
    InVain,
    Never,
}

impl Source {
    /// Jobs can only run on behalf of a running Tokio runtime, and end with it.
    pub(crate) fn needs_runtime(&self) -> bool {
        matches!(self, Self::Tokio)
    }

    /// Threads are a pool's, and others may have them all for a long time.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self, Self::Threads(_))
    }

    /// The runtime that a call made here is served on behalf of.
    pub(crate) fn runtime(&self) -> Option<runtime::Handle> {
        match self {
            Self::Threads(threads) if threads.outfit.is_some() => None,
            _ => runtime::Handle::try_current().ok(),
        }
    }

    /// Whether this thread, a worker's, has lost what it needs to serve.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Threads(threads) => (threads.outfit.as_ref()).is_some_and(|it| it.is_lost()),
            _ => false,
        }
    }

    /// Whether a job that is waited for can be run by the thread that waits, or by any other.
    pub(crate) fn lets_run(&self) -> Elsewhere {
        match self {
            Self::Threads(Threads {
                outfit: Some(outfit),
                ..
            }) => match outfit.is_in_use() {
                true => Elsewhere::InVain,
                false => Elsewhere::Never,
            },
            _ => Elsewhere::Gladly,
        }
    }

    /// How long an idle worker keeps its thread; `None` if it must not.
    pub(crate) fn linger(&self) -> Option<Duration> {
        match self {
            Self::Tokio => Some(LINGER),
            Self::Threads(threads) => Some(threads.keep_alive),
            // A parked worker would take a thread from the computations of others.
            #[cfg(feature = "rayon")]
            Self::Rayon(_) => None,
        }
    }

    /// Has `worker` serve on a thread, or says why there is none. In the latter case the worker
    /// has been disarmed.
    pub(crate) fn start(
        &self,
        runtime: Option<&runtime::Handle>,
        worker: Worker,
        lane: &str,
    ) -> io::Result<()> {
        match self {
            Self::Tokio => {
                let runtime =
                    runtime.expect("a lane on Tokio's pool takes no job without a runtime");
                hand_over(worker, None, |serve| {
                    // Tokio panics where the system refuses a thread and no other could serve. It
                    // leaves the closure in its queue then, for a thread that may come later.
                    panic::catch_unwind(AssertUnwindSafe(|| {
                        runtime.spawn_blocking(serve);
                    }))
                    .map_err(|payload| {
                        let said = payload.downcast_ref::<String>().map_or("", String::as_str);
                        io::Error::new(io::ErrorKind::WouldBlock, format!("tokio: {said}"))
                    })
                })
            }
            Self::Threads(threads) => {
                let context = runtime.cloned();
                let mut builder = std::thread::Builder::new().name(thread_name(lane));
                if let Some(bytes) = threads.stack_size {
                    builder = builder.stack_size(bytes);
                }
                hand_over(worker, threads.outfit.clone(), |serve| {
                    builder
                        .spawn(move || {
                            let _context = enter(context.as_ref());
                            serve();
                        })
                        .map(drop)
                })
            }
            #[cfg(feature = "rayon")]
            Self::Rayon(rayon) => {
                let context = runtime.cloned();
                hand_over(worker, None, |serve| {
                    let serve = move || {
                        let _context = enter(context.as_ref());
                        serve();
                    };
                    // The global pool is built on first use, and panics if it cannot be.
                    panic::catch_unwind(AssertUnwindSafe(|| match &rayon.0 {
                        Some(pool) => pool.spawn(serve),
                        None => rayon::spawn(serve),
                    }))
                    .map_err(|_| io::Error::other("rayon's global pool could not be built"))
                })
            }
        }
    }
}

impl Source {
    /// Runs something on a thread of its own, or gives it back if none can be had.
    ///
    /// Never on a pool: this is for jobs whose waiters may be what has all its threads.
    pub(crate) fn run_aside(&self, lane: &str, run: Run) -> Result<Aside, Run> {
        let slot = Arc::new(Mutex::new(Some(run)));
        let theirs = slot.clone();
        let mut builder = std::thread::Builder::new().name(thread_name(lane));
        if let Self::Threads(Threads {
            stack_size: Some(bytes),
            ..
        }) = self
        {
            builder = builder.stack_size(*bytes);
        }
        let thread = builder.spawn(move || {
            let run = theirs.lock().take();
            if let Some(run) = run {
                run();
            }
        });
        match thread {
            // What it runs contains its panics.
            Ok(thread) => Ok(Box::new(move || drop(thread.join()))),
            Err(_) => Err(slot.lock().take().expect("nobody else has had it")),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokio => f.write_str("tokio's blocking pool"),
            Self::Threads(threads) => threads.fmt(f),
            #[cfg(feature = "rayon")]
            Self::Rayon(Rayon(Some(_))) => f.write_str("a rayon pool"),
            #[cfg(feature = "rayon")]
            Self::Rayon(Rayon(None)) => f.write_str("rayon's global pool"),
        }
    }
}

thread_local! {
    /// A worker serves on this thread.
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

/// A worker's time on a thread.
pub(crate) struct Turn {
    stacked: bool,
}

impl Turn {
    pub(crate) fn begin() -> Self {
        Self {
            stacked: SERVING.replace(true),
        }
    }

    /// It sits on top of another worker's job, which cannot go on until this is over.
    pub(crate) fn is_stacked(&self) -> bool {
        self.stacked
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        SERVING.set(self.stacked);
    }
}

/// Hands a worker to a thread in such a way that it can be taken back if that fails: whoever comes
/// first, the thread or the failure, finds the worker; the other finds nothing and goes away.
fn hand_over(
    worker: Worker,
    outfit: Option<Arc<dyn Outfit>>,
    spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> io::Result<()>,
) -> io::Result<()> {
    let slot = Arc::new(Mutex::new(Some(worker)));
    let theirs = slot.clone();
    let refused = spawn(Box::new(move || {
        let Some(worker) = theirs.lock().take() else {
            return;
        };
        let Some(outfit) = outfit else {
            return worker.serve();
        };
        // Who asks whether it is wanted does so before it serves.
        let worker = Cell::new(Some(worker));
        let is_wanted = || {
            let asks = worker.take();
            let is_wanted = asks.as_ref().is_some_and(Worker::is_wanted);
            worker.set(asks);
            is_wanted
        };
        let fitted = outfit.around(&is_wanted, &mut || {
            if let Some(worker) = worker.take() {
                worker.serve();
            }
        });
        match (fitted, worker.into_inner()) {
            (Err(cause), Some(worker)) => worker.decline(cause),
            (Ok(()), Some(worker)) => worker.turn_back(),
            (_, None) => {}
        }
    }));
    let Err(refusal) = refused else { return Ok(()) };
    let back = slot.lock().take();
    match back {
        Some(worker) => {
            worker.disarm();
            Err(refusal)
        }
        None => Ok(()),
    }
}

/// The context in which a job runs that was handed in from `runtime`.
pub(crate) fn enter(runtime: Option<&runtime::Handle>) -> Option<runtime::EnterGuard<'_>> {
    runtime.map(runtime::Handle::enter)
}

/// `<lane>-<number>`; a system that shows fewer characters shows the first.
fn thread_name(lane: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // A name with a zero byte in it would make the standard library panic.
    format!("{}-{number}", lane.replace('\0', " "))
}
