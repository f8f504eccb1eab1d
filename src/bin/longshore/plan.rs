//! The plan: how long each endpoint of the embedded server takes to answer.
//!
//! Latencies are whole milliseconds. They add up to the total exactly and none is over one second,
//! so that a serial loop needs the total, and a concurrent one about as long as the slowest call.

use crate::random::Random;

/// No endpoint is slower than this.
pub(crate) const SLOWEST_MS: u64 = 1_000;

/// What a plan was asked for: it says which range would have been right.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PlanError {
    #[error(
        "--total {}: {calls} calls of 1ms to 1s each make {} to {}s in all",
        crate::value::seconds(*.total_ms), crate::value::seconds(u64::from(*.calls)), .calls
    )]
    OutOfRange { total_ms: u64, calls: u32 },
}

/// The latencies of `calls` endpoints, in milliseconds: they add up to `total_ms`.
pub(crate) fn latencies(calls: u32, total_ms: u64, seed: u64) -> Result<Vec<u64>, PlanError> {
    let n = u64::from(calls);
    if calls == 0 || total_ms < n || total_ms > n * SLOWEST_MS {
        return Err(PlanError::OutOfRange { total_ms, calls });
    }

    // Draw around the mean, as far as both ends allow, but no further than a third of it.
    let mean = total_ms / n;
    let spread = (mean / 3).min(mean - 1).min(SLOWEST_MS - mean);
    let mut random = Random::new(seed);
    let mut plan: Vec<u64> = (0..calls)
        .map(|_| mean - spread + random.up_to(2 * spread))
        .collect();

    // Then level the sum, a millisecond at a time over all that have room. This ends, since the
    // total lies between the sums of the least and the greatest latencies.
    let mut sum: u64 = plan.iter().sum();
    while sum != total_ms {
        for latency in &mut plan {
            if sum < total_ms && *latency < SLOWEST_MS {
                *latency += 1;
                sum += 1;
            } else if sum > total_ms && *latency > 1 {
                *latency -= 1;
                sum -= 1;
            }
        }
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::{PlanError, SLOWEST_MS, latencies};

    #[test]
    fn the_default_plan_is_twenty_calls_of_eighteen_seconds_in_all() {
        let plan = latencies(20, 18_000, 0).expect("the default is in range");
        assert_eq!(plan.len(), 20);
        assert_eq!(plan.iter().sum::<u64>(), 18_000);
        assert!(plan.iter().all(|&latency| latency <= SLOWEST_MS));
    }

    #[test]
    fn every_seed_and_size_adds_up_exactly() {
        for seed in 0..50 {
            for (calls, total) in [(1, 1), (1, 1_000), (7, 6_999), (20, 18_000), (333, 12_345)] {
                let plan = latencies(calls, total, seed).expect("in range");
                assert_eq!(
                    plan.iter().sum::<u64>(),
                    total,
                    "{calls} calls, seed {seed}"
                );
                assert!(
                    plan.iter()
                        .all(|latency| (1..=SLOWEST_MS).contains(latency))
                );
            }
        }
    }

    #[test]
    fn a_seed_varies_the_plan_and_keeps_it() {
        assert_eq!(latencies(20, 18_000, 5), latencies(20, 18_000, 5));
        assert_ne!(latencies(20, 18_000, 5), latencies(20, 18_000, 6));
    }

    #[test]
    fn a_total_out_of_range_names_the_range() {
        let error = latencies(20, 60_000, 0).expect_err("over one second a call");
        assert_eq!(
            error,
            PlanError::OutOfRange {
                total_ms: 60_000,
                calls: 20
            }
        );
        assert_eq!(
            error.to_string(),
            "--total 60s: 20 calls of 1ms to 1s each make 0.02s to 20s in all"
        );
    }
}
