//! Whether another thread may be the worker by now.

use std::time::Duration;

use super::super::{
    subject::Subject,
    traces::{Before, Crowd},
    trail::{Seen, Trail},
    workers,
};

/// How much processor time another thread may use that may be a worker that is just busy: no more
/// than Tokio takes to note the progress of one whose polls are not too long themselves. And for how
/// long nothing is said where that cannot be seen.
const IN_DOUBT: Duration = Duration::from_secs(1);
/// For how long there may be such threads at all, which may be another one each time.
const LONGEST: Duration = Duration::from_secs(3);

pub(super) enum Doubt {
    None,
    /// Nothing is to be said yet.
    Some,
    /// There still is such a thread, and it has computed for so long, or so much time has passed,
    /// that the worker is stuck in any case, on one thread or on the other.
    Outlasted,
}

/// Whose thread is in doubt, and what is known of it.
pub(super) struct Suspect<'a> {
    pub(super) worker: usize,
    pub(super) thread: u32,
    pub(super) trail: &'a Trail,
    /// What the others had done when it had been there for a while.
    pub(super) before: &'a mut Option<Before>,
}

impl Subject {
    /// What the other threads have done so far, for `doubt` to compare with.
    ///
    /// Taken half-way: what gets that far is rare enough that it may cost a little more.
    pub(super) fn note_others(&self, suspect: &mut Suspect<'_>, crowd: &mut Crowd, now: Seen) {
        let is_half_way = suspect.trail.age(now) >= self.threshold() / 2;
        if !self.single && suspect.before.is_none() && is_half_way {
            let others = crowd.now(now, suspect.thread);
            *suspect.before = others.map(|others| Before {
                first: others.clone(),
                others,
                at: now,
                asked: now.awake,
            });
        }
    }

    /// Whether what is seen of a worker's thread may be what `block_in_place` runs there, while another
    /// thread is the worker and has a lot to do.
    ///
    /// A worker that was handed on makes progress, in Tokio's books, when it parks for the first time
    /// or after so many ticks. Until then nothing is known of its thread but that it has the name of
    /// all the others, and that it computes; if it does not, the worker is stuck there, and if it
    /// does for very long, the worker is stuck as well. While there is such a thread, nothing is
    /// said; whether there is one is asked anew as half the threshold passes, again and again. Where
    /// threads cannot be looked at, or not all of them, there may always be one.
    pub(super) fn doubt(&self, mut suspect: Suspect<'_>, crowd: &mut Crowd, now: Seen) -> Doubt {
        if self.single {
            return Doubt::None;
        }
        if suspect.before.is_none() && suspect.trail.last().is_some() {
            // It has computed until now, so that nobody has asked; or it could not be told.
            self.note_others(&mut suspect, crowd, now);
            if suspect.before.is_some() {
                return Doubt::Some;
            }
        }
        let age = suspect.trail.age(now);
        let unseen = if age >= self.threshold().saturating_add(IN_DOUBT) {
            Doubt::None
        } else {
            Doubt::Some
        };
        let Some(before) = suspect.before else {
            return unseen;
        };
        // Where there are thousands of threads it takes long to look at them.
        if now.awake.since(before.asked) < self.threshold() / 4 {
            return Doubt::Some;
        }
        let Some(others) = crowd.now(now, suspect.thread) else {
            return unseen;
        };
        before.asked = now.awake;
        // Another worker is not this one. This one may be known to have been on another thread.
        let known = self.workers.thread(suspect.worker);
        let is_another = |other| known != Some(other) && workers::is_worker(other);
        let is_old = age >= self.threshold().saturating_add(LONGEST);
        match others.busy(suspect.thread, &before.others, &before.first, is_another) {
            None => Doubt::None,
            Some(used) if used >= IN_DOUBT || is_old => Doubt::Outlasted,
            Some(_) => {
                if now.at.saturating_duration_since(before.at.at) >= self.threshold() / 2 {
                    before.others = others;
                    before.at = now;
                }
                Doubt::Some
            }
        }
    }
}
