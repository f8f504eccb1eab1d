//! Whether it is worth while to look out for outcomes.

use std::sync::atomic::{AtomicU32, Ordering};

/// After how many look-outs that were not made to try again, at first.
const FEW: u32 = 16;

/// And at the most, after one failure upon the other.
const MANY: u32 = 1024;

/// Grows with every look-out that is made in vain, and is gone with the first that is not.
///
/// A task that looks out keeps a processor busy. Where there is one to spare for the worker, that
/// saves a wake-up; where there is none, the task keeps the worker from the very thing that it looks
/// out for. A race between two of them does no harm: it is a guess in any case.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    /// How many more are not made.
    left: AtomicU32,
    /// How many were not made after the last failure.
    last: AtomicU32,
}

impl Doubt {
    /// Whether one should be made now.
    pub(crate) fn is_over(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    pub(crate) fn learn(&self, in_vain: bool) {
        let last = self.last.load(Ordering::Relaxed);
        if in_vain {
            let next = (2 * last).clamp(FEW, MANY);
            self.last.store(next, Ordering::Relaxed);
            self.left.store(next, Ordering::Relaxed);
        } else if last > 0 {
            self.last.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(doubt: &Doubt) -> u32 {
        (0..).take_while(|_| !doubt.is_over()).count() as u32
    }

    #[test]
    fn each_failure_is_followed_by_a_longer_pause_and_a_success_by_none() {
        let doubt = Doubt::default();
        assert_eq!(skipped(&doubt), 0);
        for pause in [16, 32, 64, 128, 256, 512, 1024, 1024] {
            doubt.learn(true);
            assert_eq!(skipped(&doubt), pause);
            assert_eq!(skipped(&doubt), 0);
        }
        doubt.learn(false);
        assert_eq!(skipped(&doubt), 0);
        doubt.learn(true);
        assert_eq!(skipped(&doubt), 16);
    }
}
