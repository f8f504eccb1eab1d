//! Which job is meant, for those who must not keep it.

use tokio::time::Instant;

use super::cell::Work;

/// A job, and no other: not one that comes to lie in the same place afterwards. (Unless the clock stands
/// still, as in a test: to take that for this does no harm, as its task is called for nothing.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobId {
    at: usize,
    queued: Instant,
}

impl JobId {
    pub(crate) fn of(work: &(impl Work + ?Sized)) -> Self {
        Self {
            at: std::ptr::from_ref(work).cast::<()>().addr(),
            queued: work.meta().queued,
        }
    }

    /// Where it lies.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// That of a job that there is not.
    #[cfg(test)]
    pub(crate) fn made_up(at: usize, turn: u64) -> Self {
        use std::{sync::OnceLock, time::Duration};

        static BEGUN: OnceLock<Instant> = OnceLock::new();
        let begun = *BEGUN.get_or_init(Instant::now);
        Self {
            at,
            queued: begun + Duration::from_secs(turn),
        }
    }
}
