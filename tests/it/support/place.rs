//! Where a test runs: on which threads, under which runtime.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// Runs one cell of the table, watched.
pub(crate) fn everywhere_runs<F>(source: Source, flavour: Flavour, body: fn(Place) -> F)
where
    F: Future<Output = ()> + 'static,
{
    watchdog::watched(move || {
        let runtime = flavour.runtime();
        runtime.block_on(body(Place { source, flavour }));
    });
}

/// Makes six tests of each function: every source, both flavours.
macro_rules! everywhere {
    ($( $(#[$meta:meta])* async fn $name:ident($place:ident: Place) $body:block )*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn body($place: Place) $body

            #[test]
            fn tokio_on_current_thread() {
                $crate::support::everywhere_runs(
                    $crate::support::Source::Tokio,
                    $crate::support::Flavour::CurrentThread,
                    body,
                );
            }

            #[test]
            fn tokio_on_multi_thread() {
                $crate::support::everywhere_runs(
                    $crate::support::Source::Tokio,
                    $crate::support::Flavour::MultiThread,
                    body,
                );
            }

            #[test]
            fn own_threads_on_current_thread() {
                $crate::support::everywhere_runs(
                    $crate::support::Source::Threads,
                    $crate::support::Flavour::CurrentThread,
                    body,
                );
            }

            #[test]
            fn own_threads_on_multi_thread() {
                $crate::support::everywhere_runs(
                    $crate::support::Source::Threads,
                    $crate::support::Flavour::MultiThread,
                    body,
                );
            }

            #[cfg(feature = "rayon")]
            #[test]
            fn rayon_on_current_thread() {
                $crate::support::everywhere_runs(
                    $crate::support::Source::Rayon,
                    $crate::support::Flavour::CurrentThread,
                    body,
                );
            }

            #[cfg(feature = "rayon")]
            #[test]
            fn rayon_on_multi_thread() {
                $crate::support::everywhere_runs(
                    $crate::support::Source::Rayon,
                    $crate::support::Flavour::MultiThread,
                    body,
                );
            }
        }
    )*};
}
