//! Holding jobs where a test wants them, and counting them there.

use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// Jobs stop at its doors until it is opened; it opens when it is dropped, so that a test that
/// fails does not hang.
pub(crate) struct Gate(Door);

/// What a job takes along, to stop at.
#[derive(Clone)]
pub(crate) struct Door(Arc<Inner>);

#[derive(Default)]
struct Inner {
    open: Mutex<bool>,
    opened: Condvar,
    arrived: AtomicUsize,
    passed: AtomicUsize,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Door(Arc::default()))
    }

    pub(crate) fn door(&self) -> Door {
        self.0.clone()
    }

    pub(crate) fn open(&self) {
        self.0.open();
    }

    /// How many have come to a door so far.
    pub(crate) fn count(&self) -> usize {
        self.0.0.arrived.load(Ordering::SeqCst)
    }

    /// Waits until so many have come to a door.
    #[track_caller]
    pub(crate) fn arrived(&self, jobs: usize) -> impl Future<Output = ()> + '_ {
        super::eventually("jobs arrive at the gate", move || self.count() >= jobs)
    }

    /// How many have gone through.
    pub(crate) fn passed(&self) -> usize {
        self.0.0.passed.load(Ordering::SeqCst)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

impl Door {
    /// Blocks until the gate is open.
    pub(crate) fn pass(&self) {
        self.0.arrived.fetch_add(1, Ordering::SeqCst);
        let open = self.0.open.lock().unwrap();
        drop(self.0.opened.wait_while(open, |open| !*open).unwrap());
        self.0.passed.fetch_add(1, Ordering::SeqCst);
    }

    /// From a hook, for instance.
    pub(crate) fn open(&self) {
        *self.0.open.lock().unwrap() = true;
        self.0.opened.notify_all();
    }
}

/// How many closures are inside at once, measured by themselves.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<MeterInner>);

#[derive(Default)]
struct MeterInner {
    inside: AtomicUsize,
    peak: AtomicUsize,
    entered: AtomicUsize,
}

pub(crate) struct Inside(Meter);

impl Meter {
    /// Counts the caller as inside until the guard is dropped.
    #[must_use]
    pub(crate) fn enter(&self) -> Inside {
        let inside = self.0.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.peak.fetch_max(inside, Ordering::SeqCst);
        self.0.entered.fetch_add(1, Ordering::SeqCst);
        Inside(self.clone())
    }

    pub(crate) fn peak(&self) -> usize {
        self.0.peak.load(Ordering::SeqCst)
    }

    pub(crate) fn inside(&self) -> usize {
        self.0.inside.load(Ordering::SeqCst)
    }

    pub(crate) fn entered(&self) -> usize {
        self.0.entered.load(Ordering::SeqCst)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}
