//! How long the jobs of a lane take of late, and what that says about waking.
//!
//! Waking a thread costs microseconds, on some virtual machines tens of them. Against a job that
//! waits for a network that is nothing; against a stream of jobs that take less than the wake-up
//! itself it is everything. So a lane whose recent jobs were *brisk* treats its workers
//! differently: see [`super::worker`]. Guessing wrong costs a job [`WATCH`] at the most.

use std::time::Duration;

/// Up to this average, jobs are brisk.
const BRISK: Duration = Duration::from_micros(20);

/// How often a watcher looks whether the jobs that wait are being served.
pub(crate) const WATCH: Duration = Duration::from_micros(100);

/// So many jobs from one look of a watcher to the next, 80,000 in a second, are a stream: while it
/// lasts the watcher stays awake, which is cheaper then than waking it.
pub(crate) const STREAM: u64 = 8;

/// How long an idle worker looks out for the next job before it parks, where jobs are brisk.
pub(crate) const SPIN: Duration = Duration::from_micros(50);

/// How long elsewhere: about what it would take to put a thread to sleep and to wake it. Whoever is
/// handed an outcome often has the next job ready by then.
pub(crate) const GLANCE: Duration = Duration::from_micros(10);

/// The running average of the jobs' run times, the last eight or so counting most.
#[derive(Debug)]
pub(crate) struct Pace {
    average: u64,
}

impl Pace {
    /// Jobs are taken for slow until they have shown otherwise.
    pub(crate) const fn new() -> Self {
        Self { average: 1_000_000 }
    }

    pub(crate) fn record(&mut self, ran: Duration) {
        let ran = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX / 8);
        self.average = self.average - self.average / 8 + ran / 8;
    }

    /// A job turned out to take long, although nobody knows yet how long.
    pub(crate) fn stumble(&mut self) {
        *self = Self::new();
    }

    pub(crate) fn is_brisk(&self) -> bool {
        self.average <= BRISK.as_nanos() as u64
    }
}
