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

/// A beat is due this often.
pub(crate) const PERIOD: Duration = Duration::from_millis(10);

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
            late: Vec::new(),
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
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Beats, Lateness};

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
        assert_eq!(
            beats.lateness(),
            Some(Lateness {
                worst: MS(990),
                p99: MS(980)
            })
        );
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
        assert_eq!(
            beats.lateness(),
            Some(Lateness {
                worst: MS(0),
                p99: MS(0)
            })
        );
    }
}
