//! The twin of `src/lane/pace.rs`: the model says whether jobs are brisk.

use std::{cell::Cell, time::Duration};

thread_local! {
    /// Shuttle runs all of a model on one thread.
    static BRISK: Cell<bool> = const { Cell::new(false) };
}

pub(crate) const WATCH: Duration = Duration::from_micros(100);
pub(crate) const STREAM: u64 = 2;
pub(crate) const FEW: usize = 1;
pub(crate) const SPIN: Duration = Duration::from_micros(50);
pub(crate) const GLANCE: Duration = Duration::from_micros(10);

pub(crate) fn say_brisk(brisk: bool) {
    BRISK.set(brisk);
}

#[derive(Debug)]
pub(crate) struct Pace {
    stumbled: bool,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { stumbled: false }
    }

    pub(crate) fn record(&mut self, _ran: Duration) {
        // Forgiven at the next job, so that models reach the change in both directions.
        self.stumbled = false;
    }

    pub(crate) fn stumble(&mut self) {
        self.stumbled = true;
    }

    pub(crate) fn is_brisk(&self) -> bool {
        BRISK.get() && !self.stumbled
    }

    pub(crate) fn is_momentary(&self) -> bool {
        self.is_brisk()
    }

    /// Few enough jobs to each, so that in models workers are called for many and rest for one.
    pub(crate) fn workers_for(&self, jobs: usize) -> usize {
        1 + jobs / 3
    }
}
