//! What has been seen of one thread since it went on last, and what follows from it (`verdict`).
//!
//! No clock, no files and no threads in here: only looks and times.

#[cfg(test)]
mod tests;
mod verdict;

use std::time::{Duration, Instant};

pub(super) use self::verdict::{Limits, Verdict};
use super::{
    clock::Moment,
    proc::{Look, Sleep, State},
};

/// More calls than this in one stall are not told apart.
const CALLS: usize = 16;

#[derive(Debug)]
pub(super) struct Trail {
    began: Seen,
    /// The processor time that the thread had used by then.
    cpu: Option<Duration>,
    last: Option<Look>,
    /// Since when it has been in the sleep of the last look.
    sleep: Option<Seen>,
    last_seen: Moment,
    /// Nothing could be seen the last time.
    missed: bool,
    /// How much of the time it was looked at, and how much of that it slept.
    looked: Duration,
    slept: Duration,
    calls: Vec<(Sleep, u32)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) awake: Moment,
}

impl Seen {
    /// Later in the same look, which may take long where there is a lot to look at: what is seen now is
    /// not as old as the look.
    pub(super) fn by_now(self) -> Self {
        Self {
            at: self.at.max(Instant::now()),
            ..self
        }
    }

    fn lasted(self, earlier: Self, long: Duration) -> bool {
        self.at.saturating_duration_since(earlier.at) >= long
            && self.awake.since(earlier.awake) >= long / 2
    }
}

impl Trail {
    pub(super) fn begin(now: Seen) -> Self {
        Self {
            began: now,
            cpu: None,
            last: None,
            sleep: None,
            last_seen: now.awake,
            missed: false,
            looked: Duration::ZERO,
            slept: Duration::ZERO,
            calls: Vec::new(),
        }
    }

    /// Another look at the thread, which has not gone on; `None` if nothing could be seen.
    pub(super) fn look(&mut self, look: Option<Look>, now: Seen) {
        let step = now.awake.since(self.last_seen);
        self.last_seen = now.awake;
        let Some(look) = look else {
            // What it sleeps in, if it does, may be another call by now.
            self.sleep = None;
            self.last = None;
            self.missed = true;
            return;
        };
        if self.missed {
            // Nor is it known what it did meanwhile.
            *self = Self::begin(now);
        }
        self.cpu.get_or_insert(look.account.cpu);
        let same = self
            .last
            .as_ref()
            .is_some_and(|last| last.same_sleep(&look));
        if let State::Asleep(sleep) = &look.state {
            if !same {
                self.sleep = Some(now);
            }
            self.slept += step;
            self.count(sleep);
        } else {
            self.sleep = None;
        }
        self.looked += step;
        self.last = Some(look);
    }

    fn count(&mut self, sleep: &Sleep) {
        // The stack may differ from call to call, and so may a buffer: the call and what it is about
        // are what is counted.
        let alike = |(other, _): &&mut (Sleep, u32)| match (other, sleep) {
            (Sleep::Call(a), Sleep::Call(b)) => {
                a.number == b.number && a.arguments[0] == b.arguments[0]
            }
            (a, b) => *a == *b,
        };
        if let Some((latest, count)) = self.calls.iter_mut().find(alike) {
            *latest = sleep.clone();
            *count += 1;
        } else if self.calls.len() < CALLS {
            self.calls.push((sleep.clone(), 1));
        }
    }

    pub(super) fn age(&self, now: Seen) -> Duration {
        now.at.saturating_duration_since(self.began.at)
    }

    /// Whether it has slept most of the time.
    pub(super) fn sleeps(&self) -> bool {
        self.slept * 2 >= self.looked
    }

    /// The last look, which is that of the sleep in a verdict of one call.
    pub(super) fn last(&self) -> Option<&Look> {
        self.last.as_ref()
    }
}
