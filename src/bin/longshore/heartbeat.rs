//! The heartbeat: an unrelated task, due every 10 ms on the runtime that the strategy runs on.
//!
//! What is measured is lateness: when a beat ran, less when it was due. Beats are due on a fixed
//! grid, and every one of them counts. A runtime that is blocked for a second does not run one beat
//! late and skip the rest; a hundred beats were due meanwhile, and all of them are late. (Counting
//! only the beats that ran is the mistake called coordinated omission: the worse the stall, the
//! fewer the samples.) A beat that was due and had not run by the end is late by the time until
//! then, at least.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::wire;

/// A beat is due this often.
pub(crate) const PERIOD: Duration = Duration::from_millis(10);

/// A course has at most so many figures. A run of up to 20 s has one for each beat.
const COURSE: usize = 2_000;

/// A running heartbeat.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    beats: Arc<Mutex<Beats>>,
    task: JoinHandle<()>,
}

/// How late the beats ran.
#[derive(Debug, PartialEq)]
pub(crate) struct Lateness {
    pub(crate) worst: Duration,
    pub(crate) p99: Duration,
    pub(crate) course: wire::Beats,
}

#[derive(Debug)]
struct Beats {
    began: Instant,
    late: Vec<Duration>,
}

impl Heartbeat {
    /// Starts it on the current runtime. The first beat is due one period after `began`.
    pub(crate) fn start(began: Instant) -> Self {
        let beats = Arc::new(Mutex::new(Beats {
            began,
            // Room for a run of ordinary length, so that no beat waits for memory.
            late: Vec::with_capacity(COURSE),
        }));
        let task = tokio::spawn({
            let beats = Arc::clone(&beats);
            async move {
                loop {
                    let due = beats
                        .lock()
                        .expect("no code that holds it panics")
                        .next_due();
                    tokio::time::sleep_until(due.into()).await;
                    beats
                        .lock()
                        .expect("no code that holds it panics")
                        .account(Instant::now());
                }
            }
        });
        Self { beats, task }
    }

    /// Ends it, with all beats accounted for that were due by `end`; `None` if none was.
    pub(crate) fn finish(self, end: Instant) -> Option<Lateness> {
        self.task.abort();
        let mut beats = self.beats.lock().expect("no code that holds it panics");
        beats.account(end);
        beats.lateness()
    }
}

impl Beats {
    fn next_due(&self) -> Instant {
        let number = u32::try_from(self.late.len() + 1).expect("a run of less than 497 days");
        self.began + PERIOD * number
    }

    /// All beats due by `now` run now.
    fn account(&mut self, now: Instant) {
        loop {
            let due = self.next_due();
            if due > now {
                return;
            }
            self.late.push(now - due);
        }
    }

    fn lateness(&self) -> Option<Lateness> {
        let mut late = self.late.clone();
        late.sort_unstable();
        // The nearest rank: the smallest value that 99 % of all are not over.
        let rank = (late.len() * 99).div_ceil(100);
        Some(Lateness {
            worst: *late.last()?,
            p99: *late.get(rank.checked_sub(1)?)?,
            course: self.course(),
        })
    }

    /// All beats in their order; of several in a row the worst, if there are too many.
    fn course(&self) -> wire::Beats {
        let together = self.late.len().div_ceil(COURSE).max(1);
        let worst = |beats: &[Duration]| beats.iter().max().map_or(0.0, |late| late.as_secs_f64());
        wire::Beats {
            every_ms: PERIOD.as_secs_f64() * 1_000.0 * together as f64,
            // To the microsecond: there may be many of them.
            late_ms: (self.late.chunks(together))
                .map(|beats| (worst(beats) * 1e6).round() / 1e3)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Beats, COURSE};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn every_beat_that_was_due_counts() {
        let began = Instant::now();
        let mut beats = Beats {
            began,
            late: Vec::new(),
        };
        // One second blocked from the start: 100 beats were due, the first of them 990 ms ago.
        beats.account(began + MS(1_000));
        assert_eq!(beats.late.len(), 100);
        let late = beats.lateness().expect("beats were due");
        assert_eq!((late.worst, late.p99), (MS(990), MS(980)));
        assert_eq!(late.course.every_ms, 10.0);
        assert_eq!(late.course.late_ms[..3], [990.0, 980.0, 970.0]);
        assert_eq!(late.course.late_ms.len(), 100);
    }

    #[test]
    fn beats_on_time_are_not_late() {
        let began = Instant::now();
        let mut beats = Beats {
            began,
            late: Vec::new(),
        };
        assert_eq!(beats.lateness(), None);
        for number in 1..=200 {
            beats.account(began + MS(10 * number));
        }
        let late = beats.lateness().expect("beats were due");
        assert_eq!((late.worst, late.p99), (MS(0), MS(0)));
    }

    #[test]
    fn a_long_run_keeps_the_worst_of_the_beats_it_puts_together() {
        let late = (0..3 * COURSE as u64).map(MS).collect();
        let began = Instant::now();
        let course = Beats { began, late }.course();
        assert_eq!((course.every_ms, course.late_ms.len()), (30.0, COURSE));
        assert_eq!(course.late_ms[..3], [2.0, 5.0, 8.0]);
    }
}
