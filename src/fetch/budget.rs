//! How many retries a fetcher may make in all.

use crate::sync::Mutex;

/// A token bucket, in the manner of Finagle's `RetryBudget` (which tower's `TpsBudget` follows, too):
/// a call puts a fraction of a token in, a retry takes a whole one out. So retries are a fraction of
/// the calls, whatever fails, and a service that is down is not asked many times as often as one
/// that is up.
///
/// Finagle lets what was put in expire after ten seconds. Here the bucket has a size instead, so
/// that a good hour does not pay for a storm of retries; and what there is to begin with, Finagle's
/// minimum per second, is there once.
#[derive(Debug)]
pub(super) struct Budget {
    /// In hundredths of a token.
    level: Mutex<u64>,
    size: u64,
    share: u64,
}

/// A token, in the unit of the bucket.
const TOKEN: u64 = 100;

impl Budget {
    /// A full bucket of so many tokens, in which each call puts `percent` of one.
    pub(super) fn new(tokens: u32, percent: u32) -> Self {
        let size = u64::from(tokens) * TOKEN;
        Self {
            level: Mutex::new(size),
            size,
            share: u64::from(percent),
        }
    }

    /// A call begins.
    pub(super) fn deposit(&self) {
        let mut level = self.level.lock();
        // In a bucket of less than a token nothing could ever be saved up.
        *level = (*level + self.share).min(self.size.max(TOKEN));
    }

    /// Whether there may be one more retry.
    pub(super) fn withdraw(&self) -> bool {
        let mut level = self.level.lock();
        let enough = *level >= TOKEN;
        if enough {
            *level -= TOKEN;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_what_there_was_and_a_share_of_the_calls() {
        let budget = Budget::new(10, 20);
        let mut retries = 0;
        for _ in 0..100 {
            budget.deposit();
            // Each call would like two.
            retries += u32::from(budget.withdraw()) + u32::from(budget.withdraw());
        }
        // The first deposit finds the bucket full.
        assert_eq!(retries, 10 + 99 * 20 / 100);
    }

    #[test]
    fn what_is_not_used_is_not_saved_without_end() {
        let budget = Budget::new(3, 100);
        (0..1000).for_each(|_| budget.deposit());
        assert_eq!((0..10).filter(|_| budget.withdraw()).count(), 3);
        let budget = Budget::new(0, 50);
        assert!(!budget.withdraw());
        budget.deposit();
        budget.deposit();
        assert!(budget.withdraw() && !budget.withdraw());
    }
}
