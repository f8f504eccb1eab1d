//! Durations, counted in buckets of a fixed relative width.

use std::time::Duration;

/// Sub-buckets of each power of two, as a number of bits: 8 of them, so that a quantile is at
/// most one eighth too high.
const SUB_BITS: u32 = 3;
const SUBS: usize = 1 << SUB_BITS;
/// The last bucket starts at 2^44 ns, about five hours.
const BUCKETS: usize = (44 - SUB_BITS as usize + 1) * SUBS + 1;

/// How long things took: a count, a sum, a maximum and quantiles, in fixed memory.
///
/// Recording is a handful of instructions. The buckets are eight to each power of two
/// nanoseconds (the scheme of HdrHistogram, <http://hdrhistogram.org>), so that a quantile is
/// exact to one eighth; count, mean and maximum are exact.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    sum: Duration,
    max: Duration,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS].into_boxed_slice(),
            count: 0,
            sum: Duration::ZERO,
            max: Duration::ZERO,
        }
    }

    pub(crate) fn record(&mut self, time: Duration) {
        self.buckets[bucket_of(time)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(time);
        self.max = self.max.max(time);
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest; zero if nothing was recorded.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The sum of all.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The average; zero if nothing was recorded.
    #[must_use]
    pub fn mean(&self) -> Duration {
        if self.count == 0 {
            return Duration::ZERO;
        }
        let mean = self.sum.as_secs_f64() / self.count as f64;
        Duration::try_from_secs_f64(mean).unwrap_or(self.max)
    }

    /// The time that a share `q` of all (0.0 to 1.0; what is outside is taken as the nearer end)
    /// did not exceed, at most one eighth too high. Zero if nothing was recorded.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        if self.count == 0 {
            return Duration::ZERO;
        }
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_end(bucket).min(self.max);
            }
        }
        self.max
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count)
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}

fn bucket_of(time: Duration) -> usize {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    if nanos < SUBS as u64 {
        return nanos as usize;
    }
    let power = nanos.ilog2();
    let sub = (nanos >> (power - SUB_BITS)) as usize & (SUBS - 1);
    let bucket = (power - SUB_BITS + 1) as usize * SUBS + sub;
    bucket.min(BUCKETS - 1)
}

/// The longest time that falls into a bucket.
fn upper_end(bucket: usize) -> Duration {
    if bucket < SUBS {
        return Duration::from_nanos(bucket as u64);
    }
    if bucket == BUCKETS - 1 {
        return Duration::MAX;
    }
    let power = (bucket / SUBS - 1) as u32 + SUB_BITS;
    let width = 1_u64 << (power - SUB_BITS);
    let start = (1_u64 << power) + (bucket % SUBS) as u64 * width;
    Duration::from_nanos(start + width - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_at_most_an_eighth_too_high(
            mut nanos in proptest::collection::vec(0_u64..1 << 44, 1..100),
            q in 0.0_f64..=1.0,
        ) {
            let mut histogram = Histogram::new();
            for &n in &nanos {
                histogram.record(Duration::from_nanos(n));
            }
            nanos.sort_unstable();
            let rank = ((q * nanos.len() as f64).ceil() as usize).max(1);
            let exact = nanos[rank - 1];
            let told = histogram.quantile(q).as_nanos() as u64;
            prop_assert!(told >= exact && told <= exact + exact / 8 + 1, "{} for {}", told, exact);
        }
    }

    #[test]
    fn what_is_longer_than_the_last_bucket_still_counts() {
        let mut histogram = Histogram::new();
        histogram.record(Duration::MAX);
        histogram.record(Duration::MAX);
        assert_eq!(histogram.count(), 2);
        assert_eq!(histogram.quantile(0.5), Duration::MAX);
        assert_eq!(histogram.sum(), Duration::MAX);
        assert!(histogram.mean() >= Duration::MAX / 3);
    }

    #[test]
    fn nothing_recorded_is_zero_and_not_a_division_by_it() {
        let histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        assert_eq!(histogram.mean(), Duration::ZERO);
    }
}
