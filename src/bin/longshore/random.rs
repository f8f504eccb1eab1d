//! A small seeded generator, so that a seed gives the same plan on every machine and in every
//! release.
//!
//! This is SplitMix64: a counter passed through a mixing function. It is not for secrets.

/// The state of the generator: the counter.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Mixed once, so that neighbouring seeds do not give shifted copies of one sequence.
        Self(mix(seed))
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to `bound`, both included.
    pub(crate) fn up_to(&mut self, bound: u64) -> u64 {
        // The bias of a remainder is below 2^-40 for any bound used here.
        self.bits() % (bound + 1)
    }

    /// A number from 0 up to but not including 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let mut a = Random::new(7);
        let mut b = Random::new(7);
        let mut other = Random::new(8);
        let first: Vec<u64> = (0..8).map(|_| a.bits()).collect();
        assert_eq!(first, (0..8).map(|_| b.bits()).collect::<Vec<_>>());
        assert_ne!(first, (0..8).map(|_| other.bits()).collect::<Vec<_>>());
    }

    #[test]
    fn fractions_and_bounded_numbers_stay_in_range() {
        let mut random = Random::new(0);
        for _ in 0..1_000 {
            assert!((0.0..1.0).contains(&random.fraction()));
            assert!(random.up_to(3) <= 3);
        }
    }
}
