//! Whether another thread may be the worker by now.

use std::time::Duration;

use super::super::{
    proc::Others,
    subject::Subject,
    traces::Before,
    trail::{Seen, Trail},
    workers,
};

/// For how long another thread that computes may be a worker that is just busy: no longer than Tokio
/// takes to note the progress of one whose polls are not too long themselves.
const IN_DOUBT: Duration = Duration::from_secs(1);
/// Processor time that no thread uses by just being there.
const A_LITTLE: Duration = Duration::from_micros(500);

pub(super) enum Doubt {
    None,
    /// Nothing is to be said yet.
    Some,
    /// There is still such a thread, and so much time has passed that the worker is stuck in any case, on
    /// one thread or on the other.
    Outlasted,
}

impl Subject {
    /// What the other threads have done so far, for `doubt` to compare with.
    ///
    /// Taken half-way: what gets that far is rare enough that it may cost a little more.
    pub(super) fn note_others(
        &self,
        thread: u32,
        trail: &Trail,
        before: &mut Option<Before>,
        now: Seen,
    ) {
        if !self.single && before.is_none() && trail.age(now) >= self.threshold() / 2 {
            let others = Others::of(thread);
            *before = others.map(|others| Before { others, at: now });
        }
    }

    /// Whether what is seen of a worker's thread may be what `block_in_place` runs there, while another
    /// thread is the worker and has a lot to do.
    ///
    /// A worker that was handed on makes progress, in Tokio's books, when it parks for the first time or
    /// after so many ticks. Until then nothing is known of its thread but that it has the name of all
    /// the others, and that it computes; if it does not, the worker is stuck there, and if it does for very
    /// long, the worker is stuck as well. While there is such a thread, nothing is said; whether there is
    /// one is asked anew each time that half the threshold has passed. Where threads cannot be looked at,
    /// there may always be one.
    pub(super) fn doubt(
        &self,
        thread: u32,
        trail: &Trail,
        before: &mut Option<Before>,
        now: Seen,
    ) -> Doubt {
        if self.single {
            return Doubt::None;
        }
        let is_over = trail.age(now) >= self.threshold().saturating_add(IN_DOUBT);
        let Some(Before { others, at }) = before else {
            return match trail.last() {
                None if !is_over => Doubt::Some,
                _ => Doubt::None,
            };
        };
        if !is_over && now.awake.since(at.awake) < self.threshold() / 4 {
            return Doubt::Some;
        }
        let busy = (self.threshold() / 20).max(A_LITTLE);
        if !others.any_busy(thread, busy, workers::is_worker) {
            return Doubt::None;
        }
        if is_over {
            return Doubt::Outlasted;
        }
        *before = None;
        self.note_others(thread, trail, before, now);
        Doubt::Some
    }
}
