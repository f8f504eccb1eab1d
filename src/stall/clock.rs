//! The time during which the watchdog was awake.
//!
//! It stands still while there is no watchdog, and while the watchdog gets no processor: stopped by
//! a signal, paused with its virtual machine, starved by other programs. So what is measured with
//! it has been seen, and what a whole process slept through is nobody's stall.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How many bits a time takes: three years of it.
pub(super) const BITS: u32 = 40;

const STEP: Duration = Duration::from_micros(100);

static AWAKE: AtomicU64 = AtomicU64::new(1);

/// A moment of that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl Moment {
    pub(super) fn now() -> Self {
        Self(AWAKE.load(Ordering::Relaxed) & ((1 << BITS) - 1))
    }

    pub(super) fn since(self, earlier: Self) -> Duration {
        let steps = u32::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(u32::MAX);
        STEP * steps
    }
}

/// The watchdog has looked again, after so long. One call at a time.
pub(super) fn advance(by: Duration) -> Moment {
    let steps = by.as_nanos().div_ceil(STEP.as_nanos());
    AWAKE.fetch_add(u64::try_from(steps).unwrap_or(0), Ordering::Relaxed);
    Moment::now()
}
