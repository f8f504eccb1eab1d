//! What the jobs of a model meet at, on the locks of the model checker.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};

use shuttle::thread;

use crate::sync::{Arc, Condvar, Mutex};

/// How many are inside at once.
#[derive(Default)]
pub(super) struct Gauge {
    inside: AtomicUsize,
    entered: AtomicUsize,
}

impl Gauge {
    pub(super) fn pass(&self, limit: usize) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(
            inside <= limit,
            "{inside} jobs at once with a limit of {limit}"
        );
        self.entered.fetch_add(1, Ordering::SeqCst);
        thread::yield_now();
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    /// How often somebody has passed.
    pub(super) fn entered(&self) -> usize {
        self.entered.load(Ordering::SeqCst)
    }
}

/// Something that a job waits for.
#[derive(Default)]
pub(super) struct Event {
    happened: Mutex<bool>,
    changed: Condvar,
}

impl Event {
    pub(super) fn happen(&self) {
        *self.happened.lock() = true;
        self.changed.notify_all();
    }

    pub(super) fn wait(&self) {
        let mut happened = self.happened.lock();
        while !*happened {
            happened = self.changed.wait(happened);
        }
    }
}

/// Something that is handed over.
pub(super) struct Handed<T> {
    what: Mutex<Option<T>>,
    changed: Condvar,
}

impl<T> Handed<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            what: Mutex::new(None),
            changed: Condvar::default(),
        })
    }

    pub(super) fn give(&self, what: T) {
        *self.what.lock() = Some(what);
        self.changed.notify_all();
    }

    pub(super) fn take(&self) -> T {
        let mut what = self.what.lock();
        loop {
            match what.take() {
                Some(what) => return what,
                None => what = self.changed.wait(what),
            }
        }
    }
}

impl Handed<Option<Waker>> {
    /// Ready once it was released.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut what = self.what.lock();
        match &*what {
            Some(None) => Poll::Ready(()),
            _ => {
                *what = Some(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    pub(super) fn release(&self) {
        let waker = self.what.lock().replace(None).flatten();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
