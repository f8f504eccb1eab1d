//! What the programs of the tutorial share: a slow [`Server`], and three ways to look at what a
//! program does to its threads, [`Heartbeat`], [`Gauge`] and [`until`].
//!
//! A package of its own, so that the programs and the chapters can name it alike. Nothing in it is
//! about Longshore.

mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

pub use server::Server;
use tokio::task::JoinHandle;

/// A task that has nothing to do with the calls, and wants to run every 10 ms. How late it runs is
/// what the calls do to everybody else on the runtime.
#[derive(Debug)]
pub struct Heartbeat {
    task: JoinHandle<Duration>,
    stop: Arc<AtomicUsize>,
}

impl Heartbeat {
    /// How often it wants to run.
    pub const BEAT: Duration = Duration::from_millis(10);

    /// Beats from now on, on the runtime that this is called in.
    #[must_use]
    pub fn start() -> Self {
        let stop = Arc::new(AtomicUsize::new(0));
        let stopped = stop.clone();
        let first = Instant::now() + Self::BEAT;
        let task = tokio::spawn(async move {
            let (mut due, mut worst) = (first, Duration::ZERO);
            loop {
                tokio::time::sleep_until(due.into()).await;
                worst = worst.max(due.elapsed());
                if stopped.load(Ordering::SeqCst) == 1 {
                    return worst;
                }
                due = Instant::now() + Self::BEAT;
            }
        });
        Self { task, stop }
    }

    /// After one more beat, how late the latest was.
    pub async fn stop(self) -> Duration {
        self.stop.store(1, Ordering::SeqCst);
        self.task.await.expect("a heartbeat does not panic")
    }
}

/// Counts threads that are inside of a call, whoever still waits for them or not.
#[derive(Clone, Debug, Default)]
pub struct Gauge {
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gauge {
    /// Counts the caller as inside, until what is returned is dropped.
    #[must_use]
    pub fn enter(&self) -> Inside {
        let now = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Inside(self.clone())
    }

    /// How many are inside at this moment.
    #[must_use]
    pub fn now(&self) -> usize {
        self.inside.load(Ordering::SeqCst)
    }

    /// How many have ever been inside at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// One that is inside; see [`Gauge::enter`].
#[derive(Debug)]
pub struct Inside(Gauge);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until `condition` holds, and says whether it did within five seconds. What a program must
/// not do is to sleep and hope.
pub async fn until(mut condition: impl FnMut() -> bool) -> bool {
    let given_up = Instant::now() + Duration::from_secs(5);
    while !condition() {
        if Instant::now() > given_up {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}
