//! What a lane's pace says to those who do not hold its lock.

use std::sync::atomic::Ordering;

use super::pace::Pace;
use crate::sync::AtomicBool;

/// Read by every task at its first look: a guess of a moment ago, as things change meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    brisk: AtomicBool,
    momentary: AtomicBool,
}

impl Signal {
    /// The pace has changed; so may what it says.
    pub(crate) fn follow(&self, pace: &Pace) {
        put(&self.brisk, pace.is_brisk());
        put(&self.momentary, pace.is_momentary());
    }

    /// A worker goes to sleep, or leaves: the next job will not be done before one has been woken.
    pub(crate) fn sleeps(&self) {
        put(&self.momentary, false);
    }

    pub(crate) fn is_brisk(&self) -> bool {
        self.brisk.load(Ordering::Relaxed)
    }

    /// Whether jobs are done at once, as long as a worker is there that gets on.
    pub(crate) fn is_momentary(&self) -> bool {
        self.momentary.load(Ordering::Relaxed)
    }
}

/// Compared first: whoever hands a job in reads it, and should find it in his own cache.
fn put(sign: &AtomicBool, value: bool) {
    if sign.load(Ordering::Relaxed) != value {
        sign.store(value, Ordering::Relaxed);
    }
}
