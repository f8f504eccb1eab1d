//! Jobs that wait for other jobs, and whose slots these may have meanwhile.
//!
//! A *suspended* job is on a thread and does nothing. Its slot is set aside for it, and may be
//! *borrowed* by a job that some job waits for; by nobody else, so that what a lane protects is
//! never in more hands than it has slots, and strangers do not delay those who wait. Always:
//!
//! - `borrowed ≤ suspended`
//! - `running + draining + (suspended - borrowed) ≤ limit`, where neither of the first two counts a
//!   suspended job.
//!
//! A job that would go on takes a slot that nobody has borrowed, or the next that becomes free,
//! before any job from the queue.

use std::task::Waker;

use tokio::{runtime, time::Instant};

use super::{super::stats::JobState, Entry, Key, Place, State};
use crate::{
    job::{Awaited, Cause, How, Work},
    sync::Arc,
};

/// What a job on the books has to do with others.
#[derive(Default)]
pub(crate) struct Nesting {
    /// It is suspended.
    pub(crate) suspended: bool,
    /// It was given the slot of a suspended one.
    borrowed: bool,
    /// The job that it waits for alone, if it is suspended.
    pub(crate) waits_for: Option<Awaited>,
    /// What it was when it was given a slot, until it has noticed.
    resumed_as: Option<JobState>,
}

/// The lane's suspended jobs.
#[derive(Default)]
pub(crate) struct Suspended {
    pub(crate) jobs: usize,
    pub(crate) borrowed: usize,
    /// Those that would go on and have no slot, the first to ask first.
    line: Vec<(Key, Waker)>,
    /// Who waits for jobs in the queue and could run them, had these a slot. Whoever is on this list
    /// looks again: when a slot can be borrowed or is free, when there is no free one any more, when a worker
    /// goes or does not come, and when the list becomes long.
    helpers: Vec<Waker>,
}

/// What came of asking for the slot back.
pub(crate) enum Resume {
    /// It has one, and is this from now on.
    As(JobState),
    /// It never gave it away.
    NotSuspended,
    InLine,
}

/// What became of a job that is to be run for who waits for it.
pub(crate) enum TakeHere {
    Run(Begun),
    /// It must not start, as its time is up or its token cancelled: stop it.
    InVain(Key, Cause),
    Coming,
    Nothing,
    Gone,
}

/// A job that was taken so.
pub(crate) struct Begun {
    pub(crate) key: Key,
    pub(crate) work: Arc<dyn Work>,
    pub(crate) state: JobState,
    /// Where it was handed in.
    pub(crate) runtime: Option<runtime::Handle>,
    /// What the job was that was suspended for it.
    pub(crate) lender: Option<JobState>,
}

impl State {
    /// Slots that are in use, or set aside for who was there before.
    pub(crate) fn taken(&self) -> usize {
        self.busy() + (self.suspended.jobs - self.suspended.borrowed)
    }

    /// Whether a job from the queue may have a slot.
    pub(crate) fn has_free_slot(&self) -> bool {
        self.taken() + self.suspended.line.len() < self.limit
    }

    /// A running job waits. Says what it was before, if it was not suspended; and what it is said
    /// to have waited for before, to be dropped after the lock.
    pub(crate) fn suspend(
        &mut self,
        key: Key,
        waits_for: Option<Awaited>,
    ) -> (Option<JobState>, Option<Awaited>) {
        let nesting = self.jobs[key.slot].nesting.get_or_insert_default();
        let before = std::mem::replace(&mut nesting.waits_for, waits_for);
        let was = self.set_aside(key);
        self.lend_slots();
        (was, before)
    }

    /// Sets its slot aside, if that was not done.
    fn set_aside(&mut self, key: Key) -> Option<JobState> {
        let entry = &mut self.jobs[key.slot];
        let nesting = entry.nesting.get_or_insert_default();
        if std::mem::replace(&mut nesting.suspended, true) {
            return None;
        }
        let state = entry.place.state();
        self.suspended.jobs += 1;
        self.counts.suspended(state);
        Some(state)
    }

    /// A suspended job would go on, or stands in line for a slot to do so.
    pub(crate) fn resume(&mut self, key: Key, look: &mut Option<Waker>) -> Resume {
        let nesting = self.entry(key).and_then(|entry| entry.nesting.as_mut());
        let Some(nesting) = nesting else {
            return Resume::NotSuspended;
        };
        if let Some(state) = nesting.resumed_as.take() {
            return Resume::As(state);
        }
        if !nesting.suspended {
            return Resume::NotSuspended;
        }
        if self.can_resume() {
            self.give_slot(key);
            return self.resume(key, look);
        }
        let line = &mut self.suspended.line;
        if !line.iter().any(|(other, _)| *other == key) {
            line.extend(look.take().map(|look| (key, look)));
        }
        Resume::InLine
    }

    fn can_resume(&self) -> bool {
        self.suspended.jobs > self.suspended.borrowed || self.taken() < self.limit
    }

    fn give_slot(&mut self, key: Key) {
        self.suspended.jobs -= 1;
        if self.suspended.borrowed > self.suspended.jobs {
            // There was a free one besides: whoever has that of this job keeps it for good.
            self.suspended.borrowed -= 1;
            let borrower = (self.jobs.iter_mut())
                .filter_map(|(_, entry)| entry.nesting.as_mut())
                .find(|nesting| nesting.borrowed);
            debug_assert!(borrower.is_some(), "somebody has it");
            borrower.into_iter().for_each(|it| it.borrowed = false);
        }
        let entry = &mut self.jobs[key.slot];
        let state = entry.place.state();
        let nesting = entry.nesting.get_or_insert_default();
        nesting.suspended = false;
        nesting.resumed_as = Some(state);
        self.counts.resumed(state);
    }

    fn can_lend(&self) -> bool {
        self.suspended.jobs > self.suspended.borrowed
    }

    /// Slots may have become free: those who go on come first, then those who could have run what
    /// they wait for.
    pub(super) fn lend_slots(&mut self) {
        while !self.suspended.line.is_empty() && self.can_resume() {
            let (key, look) = self.suspended.line.remove(0);
            self.give_slot(key);
            self.calls.push(look);
        }
        if self.can_lend() {
            self.call_helpers();
        }
    }

    /// A job is over and its slot was not given to another: it may be free now for one whose thread
    /// does not come.
    pub(crate) fn offer_slot(&mut self) {
        if !self.suspended.helpers.is_empty() && self.counts.waiting > 0 && self.has_free_slot() {
            self.call_helpers();
        }
    }

    /// Has those look again who could run what they wait for.
    pub(super) fn call_helpers(&mut self) {
        self.calls.append(&mut self.suspended.helpers);
    }

    /// Whether one of the lane's threads, or one that was asked for, will take another job without
    /// anybody's help: all but those whose jobs wait for jobs of this lane.
    pub(crate) fn somebody_goes_on(
        &self,
        how: How<'_>,
        is_ours: impl Fn(&Awaited) -> bool,
    ) -> bool {
        let waits_here = |entry: &Entry| {
            let nesting = entry.nesting.as_ref();
            nesting.is_some_and(|it| it.suspended && it.waits_for.as_ref().is_none_or(&is_ours))
        };
        let stuck = (self.jobs.iter()).filter(|(_, entry)| waits_here(entry));
        let threads: usize = self.homes.iter().map(|home| home.workers).sum();
        threads > stuck.count() + how.suspends()
    }

    /// Has somebody told when to look again. What is left of `look` is not needed.
    pub(crate) fn offer_help(&mut self, look: &mut Option<Waker>) {
        if self.suspended.helpers.len() > 2 * self.jobs.len() + 64 {
            // Many of them do not wait any more. The others come back.
            self.call_helpers();
        }
        let helpers = &mut self.suspended.helpers;
        let known = |look: &Waker| helpers.iter().any(|other| other.will_wake(look));
        if !look.as_ref().is_some_and(known) {
            helpers.extend(look.take());
        }
    }

    /// Takes a job out of the queue to run it for who waits for it.
    pub(crate) fn take_here(
        &mut self,
        job: &dyn Work,
        now: Instant,
        how: How<'_>,
        look: &mut Option<Waker>,
    ) -> TakeHere {
        let Some(key) = self.find(job) else {
            return TakeHere::Gone;
        };
        let free = self.has_free_slot();
        let entry = &self.jobs[key.slot];
        let Place::Waiting(in_queue) = entry.place else {
            return TakeHere::Gone;
        };
        if let Some(cause) = entry.work.meta().in_vain(now) {
            return TakeHere::InVain(key, cause);
        }
        let id = entry.home;
        let shared = self.threads.shared;
        let Some(home) = self.home(id).filter(|home| !home.closed) else {
            return TakeHere::Nothing;
        };
        // Whoever cannot look again later does not leave it to a thread that may never come: one of a
        // pool's that was asked for, or of the lane's own one that is not even asked for, as there was
        // none to be had.
        let asked_for = !shared && home.starting.is_some();
        let nobody_comes = home.idle.is_empty() && home.woken() == 0 && !asked_for;
        let mut lender = None;
        match how {
            _ if self.ended => return TakeHere::Nothing,
            How::Impatient if free => {}
            How::InPlaceOf(_) if free && nobody_comes => {}
            _ if free => {
                self.offer_help(look);
                return TakeHere::Coming;
            }
            How::InPlaceOf(other) => {
                let other = self.find(other).expect("its thread has not left it");
                // For this job and nobody else, not even those who stand in line.
                lender = self.set_aside(other);
                if !self.can_lend() {
                    return TakeHere::Nothing;
                }
            }
            _ if self.can_lend() => {}
            How::Patient | How::Impatient => {
                self.offer_help(look);
                return TakeHere::Nothing;
            }
        }
        if !free {
            self.suspended.borrowed += 1;
        }
        let home = self.home(id).expect("it was there a moment ago");
        home.queue.remove(in_queue);
        let runtime = home.runtime.clone();
        let (work, state) = self.begin(key, now);
        self.jobs[key.slot].nesting.get_or_insert_default().borrowed = !free;
        // There is a place in the queue now, and none the less on threads.
        self.grant();
        TakeHere::Run(Begun {
            key,
            work,
            state,
            runtime,
            lender,
        })
    }

    /// For which job alone a suspended job waits.
    pub(crate) fn waits_for(&mut self, job: &dyn Work) -> Option<Awaited> {
        let nesting = self.nesting_of(job)?;
        nesting.suspended.then(|| nesting.waits_for.clone())?
    }

    pub(crate) fn nesting_of(&mut self, job: &dyn Work) -> Option<&mut Nesting> {
        let key = self.find(job)?;
        self.entry(key)?.nesting.as_deref_mut()
    }

    /// The job that has the only slot there is, if this one waits in the queue for that.
    pub(crate) fn the_one_ahead_of(&mut self, job: &dyn Work) -> Option<Arc<dyn Work>> {
        let key = self.find(job)?;
        let waits = matches!(self.entry(key)?.place, Place::Waiting(_));
        if self.limit != 1 || !waits {
            return None;
        }
        (self.jobs.iter())
            .find(|(_, entry)| !matches!(entry.place, Place::Waiting(_)))
            .map(|(_, entry)| entry.work.clone())
    }

    /// A job is over: if its slot was borrowed, it is lent again.
    pub(super) fn return_slot(&mut self, entry: &Entry) {
        if entry
            .nesting
            .as_ref()
            .is_some_and(|nesting| nesting.borrowed)
        {
            self.suspended.borrowed -= 1;
        }
        self.lend_slots();
    }
}

impl Entry {
    pub(super) fn is_suspended(&self) -> bool {
        self.nesting
            .as_ref()
            .is_some_and(|nesting| nesting.suspended)
    }
}
