//! An unrelated task, due every 10 ms on the runtime under test: how late does it run?

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{task::JoinHandle, time};

const BEAT: Duration = Duration::from_millis(10);

/// Beats from [`start`](Self::start) to [`stop`](Self::stop).
pub(crate) struct Heartbeat {
    beats: Arc<Mutex<Beats>>,
    task: JoinHandle<()>,
}

struct Beats {
    due: Instant,
    worst: Duration,
}

impl Beats {
    /// Every beat that was due counts, also those that nobody was there for.
    fn catch_up(&mut self) {
        let now = Instant::now();
        while self.due <= now {
            self.worst = self.worst.max(now - self.due);
            self.due += BEAT;
        }
    }
}

impl Heartbeat {
    /// On the runtime that this is called from.
    pub(crate) fn start() -> Self {
        let beats = Arc::new(Mutex::new(Beats {
            due: Instant::now() + BEAT,
            worst: Duration::ZERO,
        }));
        let theirs = beats.clone();
        let task = tokio::spawn(async move {
            loop {
                let due = lock(&theirs).due;
                time::sleep_until(due.into()).await;
                lock(&theirs).catch_up();
            }
        });
        Self { beats, task }
    }

    /// How late the worst beat ran; one that was due and has not run counts as late until now.
    pub(crate) fn stop(self) -> Duration {
        self.task.abort();
        let mut beats = lock(&self.beats);
        beats.catch_up();
        beats.worst
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
