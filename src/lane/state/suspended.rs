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
    job::{Awaited, Work},
    sync::Arc,
};

/// What a job on the books has to do with others.
#[derive(Default)]
pub(crate) struct Nesting {
    /// It is suspended.
    pub(crate) suspended: bool,
    /// It was given the slot of a suspended one.
    borrowed: bool,
    /// The job that it waits for alone.
    pub(crate) waits_for: Option<Awaited>,
    /// It waits in the queue, and who waits for it could run it, had it a slot.
    helper: Option<Waker>,
}

/// The lane's suspended jobs.
#[derive(Default)]
pub(crate) struct Suspended {
    pub(crate) jobs: usize,
    pub(crate) borrowed: usize,
    /// Those that would go on and have no slot, the first to ask first.
    line: Vec<(Key, Waker)>,
    /// Jobs in the queue that have a helper. Those that have left it are forgotten every now and
    /// then.
    helped: Vec<Key>,
}

/// What became of a job that the thread which waits for it would run.
pub(crate) enum TakeHere {
    Run(Key, Arc<dyn Work>, JobState, Option<runtime::Handle>),
    Coming,
    Nothing,
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

    /// A running job waits. Says where it was before, if it was running.
    pub(crate) fn suspend(&mut self, key: Key, waits_for: Option<Awaited>) -> Option<JobState> {
        let entry = self.entry(key)?;
        let nesting = entry.nesting.get_or_insert_default();
        nesting.waits_for = waits_for;
        if std::mem::replace(&mut nesting.suspended, true) {
            return None;
        }
        let place = entry.place;
        self.suspended.jobs += 1;
        self.counts.suspended(place.state());
        self.lend_slots();
        Some(place.state())
    }

    /// A suspended job would go on. `None` if it has to wait for a slot, in line; else what it is
    /// from now on.
    pub(crate) fn resume(&mut self, key: Key, look: &mut Option<Waker>) -> Option<JobState> {
        let entry = self.entry(key)?;
        if !entry.is_suspended() {
            // It was given one while it stood in line.
            return Some(entry.place.state());
        }
        if self.can_resume() {
            return Some(self.give_slot(key));
        }
        if !self.suspended.line.iter().any(|(other, _)| *other == key) {
            self.suspended
                .line
                .extend(look.take().map(|look| (key, look)));
        }
        None
    }

    fn can_resume(&self) -> bool {
        self.suspended.jobs > self.suspended.borrowed || self.taken() < self.limit
    }

    fn give_slot(&mut self, key: Key) -> JobState {
        self.suspended.jobs -= 1;
        self.suspended.borrowed = self.suspended.borrowed.min(self.suspended.jobs);
        let entry = &mut self.jobs[key.slot];
        if let Some(nesting) = &mut entry.nesting {
            nesting.suspended = false;
            nesting.waits_for = None;
        }
        let place = entry.place;
        self.counts.resumed(place.state());
        place.state()
    }

    /// Slots may have become free: those who go on come first, then those who could run what they
    /// wait for.
    pub(super) fn lend_slots(&mut self) {
        while !self.suspended.line.is_empty() && self.can_resume() {
            let (key, look) = self.suspended.line.remove(0);
            self.give_slot(key);
            self.calls.push(look);
        }
        if self.suspended.jobs > self.suspended.borrowed {
            for key in std::mem::take(&mut self.suspended.helped) {
                let nesting = self.entry(key).and_then(|entry| entry.nesting.as_mut());
                let helper = nesting.and_then(|nesting| nesting.helper.take());
                self.calls.extend(helper);
            }
        }
    }

    /// Has somebody told when a slot can be borrowed. What is left of `look` is not needed.
    fn ask_for_help(&mut self, key: Key, look: &mut Option<Waker>) {
        if self.suspended.helped.len() > 2 * self.jobs.len() + 64 {
            let mut helped = std::mem::take(&mut self.suspended.helped);
            helped.retain(|&key| self.entry(key).is_some());
            self.suspended.helped = helped;
        }
        let nesting = self.jobs[key.slot].nesting.get_or_insert_default();
        let known = nesting.helper.is_some();
        std::mem::swap(&mut nesting.helper, look);
        if !known {
            self.suspended.helped.push(key);
        }
    }

    /// Takes a job out of the queue for the thread that waits for it: into a slot that is set aside
    /// for a suspended job; or, if `impatient`, into a free one, for which a thread should have come.
    pub(crate) fn take_here(
        &mut self,
        job: &dyn Work,
        now: Instant,
        impatient: bool,
        look: &mut Option<Waker>,
    ) -> TakeHere {
        let Some(key) = self.find(job) else {
            return TakeHere::Nothing;
        };
        let free = self.has_free_slot();
        let aside = self.suspended.jobs > self.suspended.borrowed;
        let entry = &self.jobs[key.slot];
        let id = entry.home;
        let Place::Waiting(in_queue) = entry.place else {
            return TakeHere::Nothing;
        };
        // What is in vain is stopped by whoever keeps its time or cancels it.
        if self.ended || entry.work.meta().in_vain(now).is_some() {
            return TakeHere::Nothing;
        }
        if free && !impatient {
            return TakeHere::Coming;
        }
        if !free && !aside {
            self.ask_for_help(key, look);
            return TakeHere::Nothing;
        }
        let home = self.home(id).filter(|home| !home.closed);
        let Some(home) = home else {
            return TakeHere::Nothing;
        };
        home.queue.remove(in_queue);
        let runtime = home.runtime.clone();
        if !free {
            self.suspended.borrowed += 1;
        }
        let (work, state) = self.begin(key, now);
        self.jobs[key.slot].nesting.get_or_insert_default().borrowed = !free;
        TakeHere::Run(key, work, state, runtime)
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
            self.suspended.borrowed = self.suspended.borrowed.saturating_sub(1);
        }
        self.lend_slots();
    }
}

impl Entry {
    pub(crate) fn is_suspended(&self) -> bool {
        self.nesting
            .as_ref()
            .is_some_and(|nesting| nesting.suspended)
    }
}

impl Place {
    pub(crate) fn state(self) -> JobState {
        match self {
            Self::Waiting(_) => JobState::Waiting,
            Self::Running(_) => JobState::Running,
            Self::Draining(_) => JobState::Draining,
        }
    }
}
