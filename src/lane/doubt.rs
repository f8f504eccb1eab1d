//! Whether it is worth while to look out for outcomes.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::job::Seen;

/// After how many look-outs that were not made to try again, at first.
const FEW: u32 = 16;

/// And at the most, after one failure upon the other.
const MANY: u32 = 1024;

/// Grows with every look-out that is made in vain, and is gone with the first outcome that is not
/// waited for in vain.
///
/// A task that looks out keeps a processor busy. Where there is one to spare for the worker, that
/// saves a wake-up; where there is none, the task keeps the worker from the very thing that it looks
/// out for. A look-out is in vain if no task of the lane was given its outcome meanwhile: if others
/// were, the worker does get on, and has only not come to this one. A race between two of them does
/// no harm: it is a guess in any case.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    /// How many more are not made.
    left: AtomicU32,
    /// How many were not made after the last failure.
    last: AtomicU32,
    /// How many outcomes tasks were given, about.
    outcomes: AtomicU32,
}

impl Doubt {
    /// Begins one, if one should be made now.
    pub(crate) fn begin(&self) -> Option<Seen> {
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
            return None;
        }
        Some(Seen(self.outcomes.load(Ordering::Relaxed)))
    }

    /// A task was given its outcome. A count that two of them make as one is one more all the same.
    pub(crate) fn outcome(&self) {
        let outcomes = self.outcomes.load(Ordering::Relaxed);
        self.outcomes
            .store(outcomes.wrapping_add(1), Ordering::Relaxed);
    }

    /// One was ended as it had taken too long.
    pub(crate) fn give_up(&self, seen: Seen) {
        if self.outcomes.load(Ordering::Relaxed) == seen.0 {
            let next = (2 * self.last.load(Ordering::Relaxed)).clamp(FEW, MANY);
            self.last.store(next, Ordering::Relaxed);
            self.left.store(next, Ordering::Relaxed);
        }
    }

    /// One found what it looked out for.
    pub(crate) fn succeed(&self) {
        if self.last.load(Ordering::Relaxed) > 0 {
            self.last.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(doubt: &Doubt) -> u32 {
        (0..).take_while(|_| doubt.begin().is_none()).count() as u32
    }

    fn fail(doubt: &Doubt) {
        let seen = doubt.begin().expect("looks out");
        doubt.give_up(seen);
    }

    #[test]
    fn each_failure_is_followed_by_a_longer_pause_and_a_success_by_none() {
        let doubt = Doubt::default();
        for pause in [16, 32, 64, 128, 256, 512, 1024, 1024] {
            fail(&doubt);
            assert_eq!(skipped(&doubt), pause);
        }
        doubt.succeed();
        assert_eq!(skipped(&doubt), 0);
        fail(&doubt);
        assert_eq!(skipped(&doubt), 16);
    }

    #[test]
    fn who_waits_while_others_are_given_their_outcomes_does_not_wait_in_vain() {
        let doubt = Doubt::default();
        let seen = doubt.begin().expect("looks out");
        doubt.outcome();
        doubt.give_up(seen);
        assert_eq!(skipped(&doubt), 0);
    }
}
