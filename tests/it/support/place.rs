//! Where a test runs: on which threads, under which runtime.

use std::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use longshore::{
    Lane,
    lane::{Builder, Threads},
};
use tokio::runtime::Runtime;

use super::watchdog;

/// Whose threads the jobs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Tokio,
    Threads,
    #[cfg(feature = "rayon")]
    Rayon,
}

/// What drives the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    CurrentThread,
    MultiThread,
}

impl Flavour {
    pub(crate) fn runtime(self) -> Runtime {
        self.builder().build().expect("a runtime can be had")
    }

    pub(crate) fn builder(self) -> tokio::runtime::Builder {
        let mut builder = match self {
            Self::CurrentThread => tokio::runtime::Builder::new_current_thread(),
            Self::MultiThread => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                builder.worker_threads(2);
                builder
            }
        };
        builder.enable_all();
        builder
    }
}

/// All that there are.
pub(crate) fn sources() -> Vec<Source> {
    vec![
        Source::Tokio,
        Source::Threads,
        #[cfg(feature = "rayon")]
        Source::Rayon,
    ]
}

/// The whole table.
pub(crate) fn places() -> impl Iterator<Item = Place> {
    [Flavour::CurrentThread, Flavour::MultiThread]
        .into_iter()
        .flat_map(|flavour| {
            let at = move |source| Place { source, flavour };
            sources().into_iter().map(at)
        })
}

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) source: Source,
    pub(crate) flavour: Flavour,
}

impl Place {
    /// How long an idle thread of the lanes made here stays, where that can be chosen.
    pub(crate) const KEEP_ALIVE: Duration = Duration::from_millis(20);

    /// A builder for a lane on this source, with a name that no other lane of the process has.
    pub(crate) fn builder(self, limit: usize) -> Builder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let builder = Lane::builder(format!("it{number}")).limit(limit);
        match self.source {
            Source::Tokio => builder,
            Source::Threads => builder.own_threads(Threads::new().keep_alive(Self::KEEP_ALIVE)),
            #[cfg(feature = "rayon")]
            Source::Rayon => {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(limit)
                    .thread_name(move |i| format!("r{number}-{i}"))
                    .build()
                    .expect("a pool can be had");
                builder.rayon(std::sync::Arc::new(pool))
            }
        }
    }

    /// A lane with nothing but a limit.
    pub(crate) fn lane(self, limit: usize) -> Lane {
        watchdog::watch_over(self.builder(limit).build())
    }

    /// A lane whose idle threads stay for so long, where that can be chosen. It is not watched: it
    /// goes with its last handle.
    pub(crate) fn keeping_threads(self, keep_alive: Duration, limit: usize) -> Lane {
        let builder = self.builder(limit);
        match self.source {
            Source::Threads => builder
                .own_threads(Threads::new().keep_alive(keep_alive))
                .build(),
            _ => builder.build(),
        }
    }

    /// A lane with a bounded queue.
    pub(crate) fn bounded(self, limit: usize, queue: usize) -> Lane {
        watchdog::watch_over(self.builder(limit).queue(queue).build())
    }

    /// Whether jobs need a runtime, and end with it.
    pub(crate) fn needs_runtime(self) -> bool {
        self.source == Source::Tokio
    }

    /// Whether an idle worker keeps its thread for a while.
    pub(crate) fn lingers(self) -> bool {
        match self.source {
            Source::Tokio | Source::Threads => true,
            #[cfg(feature = "rayon")]
            Source::Rayon => false,
        }
    }
}

/// Runs one cell of the table, watched: on the thread that the test is on.
pub(crate) fn everywhere_runs<F>(source: Source, flavour: Flavour, body: fn(Place) -> F)
where
    F: Future<Output = ()> + 'static,
{
    watchdog::watched(move || {
        // In a box: compiling a runtime's loop once for each body takes longer than running them all.
        let body: Pin<Box<dyn Future<Output = ()>>> = Box::pin(body(Place { source, flavour }));
        flavour.runtime().block_on(body);
    });
}

/// As [`everywhere_runs`], on a worker of a runtime with several. A task that is polled there is
/// woken, and gives way, by other means than one that is polled by the thread in `block_on`.
pub(crate) fn on_a_worker_runs<F>(source: Source, body: fn(Place) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    watchdog::watched(move || {
        let flavour = Flavour::MultiThread;
        let mut builder = flavour.builder();
        // The lanes are made on its threads.
        let lanes = watchdog::lanes();
        builder.on_thread_start(move || watchdog::show(&lanes));
        let runtime = builder.build().expect("a runtime can be had");
        let body: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(body(Place { source, flavour }));
        if let Err(error) = runtime.block_on(runtime.spawn(body)) {
            std::panic::resume_unwind(error.into_panic());
        }
    });
}

/// Makes six tests of each function: every source, both flavours.
macro_rules! everywhere {
    ($( $(#[$meta:meta])* async fn $name:ident($place:ident: Place) $body:block )*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn body($place: Place) $body

            everywhere!(@tests);
        }
    )*};
    (@tests) => {
        everywhere!(@test tokio_on_current_thread: Tokio, CurrentThread);
        everywhere!(@test tokio_on_multi_thread: Tokio, MultiThread);
        everywhere!(@test own_threads_on_current_thread: Threads, CurrentThread);
        everywhere!(@test own_threads_on_multi_thread: Threads, MultiThread);
        #[cfg(feature = "rayon")]
        everywhere!(@test rayon_on_current_thread: Rayon, CurrentThread);
        #[cfg(feature = "rayon")]
        everywhere!(@test rayon_on_multi_thread: Rayon, MultiThread);
    };
    (@test $test:ident: $source:ident, $flavour:ident) => {
        #[test]
        fn $test() {
            $crate::support::everywhere_runs(
                $crate::support::Source::$source,
                $crate::support::Flavour::$flavour,
                body,
            );
        }
    };
}

/// As `everywhere!`, and three more: every source, with the function on a worker of the runtime.
macro_rules! everywhere_and_on_workers {
    ($( $(#[$meta:meta])* async fn $name:ident($place:ident: Place) $body:block )*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn body($place: Place) $body

            everywhere!(@tests);
            everywhere_and_on_workers!(@test tokio_on_a_worker: Tokio);
            everywhere_and_on_workers!(@test own_threads_on_a_worker: Threads);
            #[cfg(feature = "rayon")]
            everywhere_and_on_workers!(@test rayon_on_a_worker: Rayon);
        }
    )*};
    (@test $test:ident: $source:ident) => {
        #[test]
        fn $test() {
            $crate::support::on_a_worker_runs($crate::support::Source::$source, body);
        }
    };
}
