//! A job on the books: in, taken, given up, finished, or taken back.

use slab::Slab;
use tokio::{runtime, time::Instant};

use super::{
    super::{
        home::{Home, HomeId},
        inbox::Arrival,
        stats::{JobState, Outcome},
    },
    Entry, KEPT, Key, Place, State,
};
use crate::{
    job::{Cause, Work},
    sync::Arc,
};

/// What a worker finds when it looks for a job.
pub(crate) enum Take {
    /// A job, which runs from now on, or drains if it was detached before.
    Run(Key, Arc<dyn Work>, JobState),
    /// The next job must not start, as its time is up or its token cancelled: stop it, then look
    /// again.
    InVain(Key, Cause),
    Nothing,
    /// Nor will there be anything.
    Leave,
}

impl State {
    /// The home for a runtime, and whether it is new.
    pub(crate) fn home_for(&mut self, runtime: Option<runtime::Handle>) -> (usize, bool) {
        if let Some(at) = self
            .homes
            .iter()
            .position(|home| home.serves(runtime.as_ref()))
        {
            return (at, false);
        }
        // The inbox is for one home only.
        self.shut_inbox();
        let id = self.next_home;
        self.next_home += 1;
        self.homes.push(Home::new(id, runtime));
        (self.homes.len() - 1, true)
    }

    pub(crate) fn home(&mut self, id: HomeId) -> Option<&mut Home> {
        self.homes.iter_mut().find(|home| home.id == id)
    }

    pub(crate) fn push(&mut self, at: usize, arrival: Arrival) {
        let deadline = arrival.work.meta().deadline;
        self.enter(at, arrival);
        self.arm(at, deadline);
    }

    /// The same, but for that somebody keeps the deadline: see [`arm`](Self::arm).
    pub(super) fn enter(&mut self, at: usize, arrival: Arrival) {
        let Arrival { work, ties } = arrival;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let home = &mut self.homes[at];
        let deadline = work.meta().deadline;
        let slot = self.jobs.vacant_key();
        work.slot().set(Some(slot));
        self.jobs.insert(Entry {
            ticket,
            home: home.id,
            work,
            place: Place::Waiting(home.queue.push(slot)),
            detached: false,
            ties,
            nesting: None,
        });
        home.jobs += 1;
        if let Some(deadline) = deadline {
            home.note_deadline(deadline, Key { slot, ticket }, &self.jobs);
        }
        self.counts.submitted += 1;
        self.counts.waiting += 1;
        self.counts.peak_waiting = self.counts.peak_waiting.max(self.counts.waiting);
    }

    /// Has somebody come for the earliest deadline of the jobs that have just been entered.
    pub(super) fn arm(&mut self, at: usize, earliest: Option<Instant>) {
        if let Some(deadline) = earliest {
            let keepers = self.homes[at].arm(deadline);
            self.calls.extend(keepers.into_iter().flatten());
        }
    }

    /// Whether a home has deadlines that no one keeps yet.
    pub(crate) fn wants_timer_thread(&self, at: usize) -> bool {
        let home = &self.homes[at];
        (home.runtime.is_none() || home.orphaned) && home.has_alarms() && !home.timer_thread
    }

    /// Whether jobs of a home that are on threads have deadlines that concern anybody.
    pub(crate) fn has_deadlines_on_threads(&self, id: HomeId) -> bool {
        let concerns = |entry: &Entry| match entry.place {
            Place::Waiting(_) => false,
            Place::Running(_) => true,
            Place::Draining(_) => entry.detached,
        };
        (self.jobs.iter())
            .filter(|(_, entry)| entry.home == id && concerns(entry))
            .any(|(_, entry)| entry.work.meta().deadline.is_some())
    }

    /// Where a job stands; `None` if it is over.
    pub(crate) fn find(&self, job: &dyn Work) -> Option<Key> {
        let slot = job.slot().get()?;
        Some(Key {
            slot,
            ticket: self.jobs[slot].ticket,
        })
    }

    pub(crate) fn entry(&mut self, key: Key) -> Option<&mut Entry> {
        self.jobs
            .get_mut(key.slot)
            .filter(|entry| entry.ticket == key.ticket)
    }

    /// The next job for a worker of `home`.
    pub(crate) fn take(&mut self, home: HomeId, now: Instant) -> Take {
        if self.counts.waiting == 0 {
            self.carry_on();
        }
        let closed = self.closed;
        let free = self.has_free_slot();
        let gives_way = self.homes.len() > 1 && self.gives_way(home);
        let home = self.homes.iter_mut().find(|other| other.id == home);
        let Some(home) = home.filter(|home| !home.closed && !self.ended) else {
            return Take::Leave;
        };
        let Some(&slot) = home.queue.front() else {
            return if closed { Take::Leave } else { Take::Nothing };
        };
        if !free || gives_way {
            return Take::Nothing;
        }
        let entry = &self.jobs[slot];
        let key = Key {
            slot,
            ticket: entry.ticket,
        };
        if let Some(cause) = entry.work.meta().in_vain(now) {
            return Take::InVain(key, cause);
        }
        home.queue.pop();
        let (work, state) = self.begin(key, now);
        Take::Run(key, work, state)
    }

    /// A job that was in the queue is on a thread from now on.
    pub(super) fn begin(&mut self, key: Key, now: Instant) -> (Arc<dyn Work>, JobState) {
        let entry = &mut self.jobs[key.slot];
        entry.place = if entry.detached {
            Place::Draining(now)
        } else {
            Place::Running(now)
        };
        let waited = now.saturating_duration_since(entry.work.meta().queued);
        self.counts.started(entry.detached, waited);
        let begun = (entry.work.clone(), entry.place.state());
        if !self.has_free_slot() {
            // Who waits for a job and had left it to a thread that would come may have to help.
            self.call_helpers();
        }
        begun
    }

    /// Whether a job of another home has waited longer than the next one of this, and somebody
    /// would come for it.
    fn gives_way(&self, id: HomeId) -> bool {
        let age = |home: &Home| home.queue.front().map(|&slot| self.jobs[slot].ticket);
        let Some(mine) = self.homes.iter().find(|home| home.id == id).and_then(age) else {
            return false;
        };
        self.homes.iter().any(|home| {
            home.id != id
                && !home.closed
                && home.on_the_way() == 0
                && home.can_be_served()
                && age(home).is_some_and(|theirs| theirs < mine)
        })
    }

    /// Takes a job off the books: out of the queue, or off its thread.
    fn remove(&mut self, key: Key) -> Entry {
        let entry = self.jobs.remove(key.slot);
        entry.work.slot().set(None);
        if let Some(home) = self.home(entry.home) {
            home.jobs -= 1;
            if let Place::Waiting(in_queue) = entry.place {
                home.queue.remove(in_queue);
            }
        }
        if self.jobs.is_empty() {
            self.call_if_quiet();
            if self.jobs.capacity() > KEPT {
                // A burst must not hold its memory for ever.
                self.jobs = Slab::new();
            }
        }
        entry
    }

    /// The caller of a job that is on a thread has gone. Says what the job was.
    pub(crate) fn abandon(&mut self, key: Key) -> JobState {
        let entry = &mut self.jobs[key.slot];
        let Place::Running(since) = entry.place else {
            unreachable!("no other job has a caller and a thread");
        };
        entry.place = Place::Draining(since);
        let before = match entry.is_suspended() {
            true => JobState::Suspended,
            false => JobState::Running,
        };
        self.counts.abandoned(before);
        before
    }

    /// The books of a job whose thread has left the user's code.
    pub(crate) fn finish(&mut self, key: Key, now: Instant, panicked: bool) -> Entry {
        let entry = self.remove(key);
        let outcome = Outcome::of_run(panicked);
        self.finished += 1;
        let (since, awaited) = match entry.place {
            Place::Running(since) => (since, true),
            Place::Draining(since) => (since, false),
            Place::Waiting(_) => unreachable!("a job that a worker has run is not in the queue"),
        };
        let ran = now.saturating_duration_since(since);
        self.pace.record(ran);
        self.signal.follow(&self.pace);
        if awaited {
            self.counts.running -= 1;
            self.counts.finished(outcome, ran);
        } else {
            self.counts.draining -= 1;
            self.counts.ran(ran);
            if entry.detached {
                self.counts.detached -= 1;
                self.counts.count(outcome);
            }
            self.counts.late_panics += u64::from(panicked);
        }
        self.return_slot(&entry);
        // If it was run by who waited for it, it may be the last that its home had.
        self.retire(entry.home);
        self.grant();
        entry
    }

    /// The books of a job that is taken back before it started.
    pub(crate) fn withdraw(&mut self, key: Key, outcome: Outcome) -> Entry {
        let entry = self.remove(key);
        self.counts.waiting -= 1;
        self.counts.count(outcome);
        self.retire(entry.home);
        self.grant();
        entry
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
