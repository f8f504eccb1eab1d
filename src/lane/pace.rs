//! How long the jobs of a lane take of late, and what that says about waking.
//!
//! Waking a thread costs microseconds, on some virtual machines tens of them. Against a job that
//! waits for a network that is nothing; against a stream of jobs that take less than the wake-up
//! itself it is everything. So a lane whose recent jobs were *brisk* treats its workers
//! differently: see [`super::worker`]. Guessing wrong costs a job some hundred microseconds: up to
//! two looks of the watcher, or [`BACKLOG`].

use std::time::Duration;

use crate::job::STAY;

/// Up to this average, jobs are brisk.
const BRISK: Duration = Duration::from_micros(20);

/// And up to this one they are momentary: done while their tasks would not even give way.
const MOMENTARY: Duration = STAY;

/// How often a watcher looks whether the jobs that wait are being served.
pub(crate) const WATCH: Duration = Duration::from_micros(100);

/// How much work may pile up for each worker before another is called, where jobs are brisk: it
/// should be worth the wake-up.
const BACKLOG: Duration = Duration::from_micros(100);

/// What of a job's time may be the lane's own, in nanoseconds. More workers do not help with that:
/// they would be in each other's way.
const HAND_OFF: u64 = 1_000;

/// So many jobs from one look of a watcher to the next, 80,000 in a second, are a stream: while it
/// lasts the watcher stays awake, which is cheaper then than waking it.
pub(crate) const STREAM: u64 = 8;

/// With fewer brisk jobs waiting, callers are woken one by one, as they are what keeps the worker in
/// jobs; and they do not fight for the lane's lock.
pub(crate) const FEW: usize = 4;

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

    pub(crate) fn is_momentary(&self) -> bool {
        self.average <= MOMENTARY.as_nanos() as u64
    }

    /// From how many workers on no more are called for so many jobs.
    pub(crate) fn workers_for(&self, jobs: usize) -> usize {
        let work = (self.average.saturating_sub(HAND_OFF)).saturating_mul(jobs as u64);
        1 + usize::try_from(work / BACKLOG.as_nanos() as u64).unwrap_or(usize::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::signal::Signal, *};

    fn pace_of(ran: Duration) -> Pace {
        let mut pace = Pace::new();
        for _ in 0..200 {
            pace.record(ran);
        }
        pace
    }

    #[test]
    fn jobs_that_take_less_than_a_hand_off_are_one_worker_s_however_many() {
        let pace = pace_of(Duration::from_nanos(900));
        assert!(pace.is_brisk());
        assert_eq!(pace.workers_for(0), 1);
        assert_eq!(pace.workers_for(usize::MAX), 1);
    }

    #[test]
    fn a_worker_is_called_for_each_hundred_microseconds_that_pile_up() {
        let pace = pace_of(Duration::from_micros(11));
        for (jobs, workers) in [(0, 1), (9, 1), (11, 2), (55, 6), (105, 11)] {
            assert_eq!(pace.workers_for(jobs), workers, "{jobs} jobs");
        }
    }

    #[test]
    fn jobs_are_brisk_when_they_have_shown_it_and_not_after_a_stumble() {
        let mut pace = Pace::new();
        assert!(!pace.is_brisk());
        pace = pace_of(Duration::from_micros(19));
        assert!(pace.is_brisk());
        pace.stumble();
        assert!(!pace.is_brisk());
        assert!(!pace_of(Duration::from_micros(21)).is_brisk());
    }

    #[test]
    fn jobs_are_momentary_until_a_worker_sleeps_and_again_with_the_next_that_is() {
        let signal = Signal::default();
        let follow = |pace| {
            signal.follow(&pace);
            (signal.is_brisk(), signal.is_momentary())
        };
        assert_eq!(follow(Pace::new()), (false, false));
        assert_eq!(follow(pace_of(Duration::from_micros(4))), (true, false));
        let quick = Duration::from_micros(2);
        assert_eq!(follow(pace_of(quick)), (true, true));
        signal.sleeps();
        assert!(signal.is_brisk() && !signal.is_momentary());
        assert_eq!(follow(pace_of(quick)), (true, true));
    }
}
