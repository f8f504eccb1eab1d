//! The books of a lane: every job, every worker, every count. Plain data, no threads.
//!
//! [`Core`](super::core::Core) holds it in a mutex; each method here is one step of the protocol
//! under that lock. What must happen outside of the lock (waking, starting, dropping) is returned.
//!
//! Invariants:
//!
//! 1. A job is in `jobs` from the moment it is taken until its thread has left the user's code, or
//!    until it is taken back from the queue. Being in its home's queue is what makes it *waiting*:
//!    whoever removes it from there, worker or canceller, owns it.
//! 2. `running + draining ≤ limit`: only [`take`](State::take) adds to the left side, and looks
//!    first.
//! 3. `waiting + reserved + running + draining ≤ queue + limit` when a job or a reservation is let
//!    in.
//! 4. If a home has a waiting job and the lane a free slot, then a worker is on its way to it
//!    (`waking`), or a worker is between two jobs and will look, or no thread can be had. Every
//!    step that frees a slot, parks a worker or lets one go asks [`next_step`](State::next_step).
//! 5. `submitted = waiting + running + detached + finished jobs by outcome`, at every moment. A job
//!    whose caller is gone has its outcome counted at that moment, and drains off the books.

use std::{collections::BTreeMap, task::Waker, time::Duration};

use slab::Slab;
use tokio::{runtime, time::Instant};

use super::{
    home::{Home, HomeId, Idle, Keeper, Watch},
    inbox::Inbox,
    pace::Pace,
    stats::{Counts, JobInfo, JobState, Outcome},
};
use crate::{
    cancel::HookGuard,
    job::Work,
    sync::{Arc, Thread},
};

/// Which job: its slot, and a number that no other job of the lane has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) slot: usize,
    pub(crate) ticket: u64,
}

/// How many callers are woken together at the most.
const TOGETHER: usize = 16;

/// The room that empty books keep for the next jobs.
const KEPT: usize = 1024;

pub(crate) struct State {
    pub(super) limit: usize,
    pub(super) queue: Option<usize>,
    pub(crate) jobs: Slab<Entry>,
    pub(crate) homes: Vec<Home>,
    next_ticket: u64,
    next_home: HomeId,
    pub(crate) closed: bool,
    pub(crate) counts: Counts,
    reserved: usize,
    pace: Pace,
    /// Jobs that threads have finished, for watchers to see whether there is progress.
    finished: u64,
    inbox: Arc<Inbox>,
    /// The inbox is open, for jobs of the only home.
    inbox_open: bool,
    /// Places in the queue that the inbox may fill.
    lent: usize,
    /// For carrying jobs over without making a list each time.
    carried: Vec<Arc<dyn Work>>,
    /// Callers that wait for room in the queue, by the number they drew.
    line: BTreeMap<u64, Option<Waker>>,
    next_in_line: u64,
    /// Whom to tell when the last job and the last thread are gone.
    quiet: Vec<Waker>,
    /// Whom to wake after the lock is released.
    calls: Vec<Waker>,
    /// Callers of brisk jobs that are over, to be woken together with the next few.
    later: Vec<Waker>,
}

pub(crate) struct Entry {
    pub(crate) ticket: u64,
    pub(crate) home: HomeId,
    pub(crate) work: Arc<dyn Work>,
    pub(crate) place: Place,
    /// Nobody waits for the outcome, by the caller's own choice.
    pub(crate) detached: bool,
    /// Ties the job to the token it was handed in under. Dropped after the lock.
    pub(crate) token: Option<HookGuard>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In its home's queue, under this key.
    Waiting(usize),
    /// On a thread, since; and somebody waits for it.
    Running(Instant),
    /// On a thread, since; and nobody does.
    Draining(Instant),
}

/// What to do, after the lock, so that waiting jobs get a worker.
pub(crate) enum Step {
    Wake(Thread),
    Start(HomeId, Option<runtime::Handle>),
}

/// What a worker finds when it looks for a job.
pub(crate) enum Take {
    Run(Key, Arc<dyn Work>),
    /// The next job's time is up already: stop it, then look again.
    Expired(Key),
    Nothing,
    /// Nor will there be anything.
    Leave,
}

impl State {
    pub(crate) fn new(limit: usize, queue: Option<usize>, inbox: Arc<Inbox>) -> Self {
        Self {
            limit,
            queue,
            jobs: Slab::new(),
            homes: Vec::new(),
            next_ticket: 0,
            next_home: 0,
            closed: false,
            counts: Counts::new(),
            reserved: 0,
            pace: Pace::new(),
            finished: 0,
            inbox,
            inbox_open: false,
            lent: 0,
            carried: Vec::new(),
            line: BTreeMap::new(),
            next_in_line: 0,
            quiet: Vec::new(),
            calls: Vec::new(),
            later: Vec::new(),
        }
    }

    fn busy(&self) -> usize {
        self.counts.running + self.counts.draining
    }

    // ===== The inbox =====

    /// Carries over what was left in the inbox, so that the books are exact.
    pub(crate) fn carry_over(&mut self) {
        if self.inbox_open {
            self.empty_inbox(false);
        }
    }

    fn empty_inbox(&mut self, shut: bool) {
        let mut carried = std::mem::take(&mut self.carried);
        self.inbox.empty(&mut carried, shut);
        self.lent = 0;
        for work in carried.drain(..) {
            self.push(0, work);
        }
        if carried.capacity() <= KEPT {
            self.carried = carried;
        }
    }

    /// Opens the inbox, or lends it places anew, if jobs may go that way now. Last of all before
    /// the lock is released.
    pub(crate) fn lend(&mut self) {
        let [home] = self.homes.as_slice() else {
            return;
        };
        let woken = home.waking && home.starting.is_none();
        let looked_out_for = home.idle.last().is_some_and(|idle| idle.spinning);
        let soon = woken || looked_out_for || home.watch != Watch::Off && self.busy() > 0;
        let Some(runtime) = &home.runtime else { return };
        if !soon || self.lent > 0 || self.closed || home.closed || !self.line.is_empty() {
            return;
        }
        self.lent = self.queue.map_or(usize::MAX, |queue| {
            queue
                .saturating_add(self.limit)
                .saturating_sub(self.spoken_for() + self.busy())
        });
        self.inbox_open = true;
        self.inbox.open(runtime.id(), self.lent);
    }

    /// No wake-up is under way any more: what is in the inbox comes over, and nothing more.
    fn shut_inbox(&mut self) {
        if self.inbox_open {
            self.inbox_open = false;
            self.empty_inbox(true);
        }
    }

    // ===== Room in the queue =====

    pub(crate) fn has_room(&self) -> bool {
        self.queue.is_none_or(|queue| {
            self.spoken_for() + self.lent + self.busy() < queue.saturating_add(self.limit)
        })
    }

    /// Jobs in the queue and places kept in it.
    pub(crate) fn spoken_for(&self) -> usize {
        self.counts.waiting + self.reserved
    }

    /// Takes a place, or stands in line for one: `true` if the place was had.
    pub(crate) fn reserve(&mut self, in_line: &mut Option<u64>, waker: Waker) -> bool {
        match *in_line {
            None if self.has_room() => {
                self.reserved += 1;
                true
            }
            None => {
                *in_line = Some(self.next_in_line);
                self.line.insert(self.next_in_line, Some(waker));
                self.next_in_line += 1;
                false
            }
            Some(number) => match self.line.get_mut(&number) {
                Some(waiting) => {
                    *waiting = Some(waker);
                    false
                }
                None => {
                    // Not in line any more: the place is this one's already.
                    *in_line = None;
                    true
                }
            },
        }
    }

    /// Leaves the line. A place that had been granted already goes to the next.
    pub(crate) fn leave_line(&mut self, number: u64) {
        if self.line.remove(&number).is_none() {
            self.give_back();
        }
    }

    /// Gives a reserved place back.
    pub(crate) fn give_back(&mut self) {
        self.reserved -= 1;
        self.grant();
    }

    /// Turns a reserved place into room for the job that is handed in right after.
    pub(crate) fn spend_reservation(&mut self) {
        self.reserved -= 1;
    }

    /// Gives the first in line the room that has become free, if any has.
    pub(crate) fn grant(&mut self) {
        if self.line.is_empty() || !self.has_room() {
            return;
        }
        self.reserved += 1;
        if let Some((_, Some(waker))) = self.line.pop_first() {
            self.calls.push(waker);
        }
    }

    // ===== Jobs =====

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

    pub(crate) fn push(&mut self, at: usize, work: Arc<dyn Work>) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let home = &mut self.homes[at];
        let deadline = work.meta().deadline;
        let slot = self.jobs.vacant_key();
        work.meta().slot.set(Some(slot));
        self.jobs.insert(Entry {
            ticket,
            home: home.id,
            work,
            place: Place::Waiting(home.queue.push(slot)),
            detached: false,
            token: None,
        });
        home.jobs += 1;
        if let Some(deadline) = deadline {
            let keepers = home.set_alarm(deadline, Key { slot, ticket }, &self.jobs);
            self.calls.extend(keepers.into_iter().flatten());
        }
        self.counts.submitted += 1;
        self.counts.waiting += 1;
        self.counts.peak_waiting = self.counts.peak_waiting.max(self.counts.waiting);
    }

    /// Whether a home has deadlines that no one keeps yet. Says so once.
    pub(crate) fn wants_timer_thread(&mut self, at: usize) -> bool {
        let home = &mut self.homes[at];
        home.runtime.is_none()
            && home.has_alarms()
            && !std::mem::replace(&mut home.timer_thread, true)
    }

    /// Where a job stands; `None` if it is over.
    pub(crate) fn find(&self, job: &dyn Work) -> Option<Key> {
        let slot = job.meta().slot.get()?;
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
            self.carry_over();
        }
        let closed = self.closed;
        let free = self.busy() < self.limit;
        let gives_way = self.homes.len() > 1 && self.gives_way(home);
        let home = self.homes.iter_mut().find(|other| other.id == home);
        let Some(home) = home.filter(|home| !home.closed) else {
            return Take::Leave;
        };
        let Some(&slot) = home.queue.front() else {
            return if closed { Take::Leave } else { Take::Nothing };
        };
        if !free || gives_way {
            return Take::Nothing;
        }
        let entry = &mut self.jobs[slot];
        let key = Key {
            slot,
            ticket: entry.ticket,
        };
        let meta = entry.work.meta();
        if meta.deadline.is_some_and(|deadline| deadline <= now) {
            return Take::Expired(key);
        }
        home.queue.pop();
        let waited = now.saturating_duration_since(meta.queued);
        entry.place = if entry.detached {
            Place::Draining(now)
        } else {
            Place::Running(now)
        };
        let work = entry.work.clone();
        self.counts.started(entry.detached, waited);
        Take::Run(key, work)
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
                && !home.waking
                && age(home).is_some_and(|theirs| theirs < mine)
        })
    }

    /// Takes a job off the books: out of the queue, or off its thread.
    fn remove(&mut self, key: Key) -> Entry {
        let entry = self.jobs.remove(key.slot);
        entry.work.meta().slot.set(None);
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

    /// The books of a job whose thread has left the user's code.
    pub(crate) fn finish(&mut self, key: Key, now: Instant, panicked: bool) -> Entry {
        let entry = self.remove(key);
        let outcome = Outcome::of_run(panicked);
        self.finished += 1;
        if let Place::Running(since) | Place::Draining(since) = entry.place {
            self.pace.record(now.saturating_duration_since(since));
        }
        match entry.place {
            Place::Running(since) => {
                self.counts.running -= 1;
                self.counts
                    .finished(outcome, now.saturating_duration_since(since));
            }
            Place::Draining(since) => {
                self.counts.draining -= 1;
                self.counts.ran(now.saturating_duration_since(since));
                if entry.detached {
                    self.counts.detached -= 1;
                    self.counts.count(outcome);
                }
                self.counts.late_panics += u64::from(panicked);
            }
            Place::Waiting(_) => unreachable!("a job that a worker has run is not in the queue"),
        }
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

    // ===== Workers =====

    /// What brings a worker to the job that has waited longest, of those that nobody comes for.
    pub(crate) fn next_step(&mut self) -> Option<Step> {
        let busy = self.busy();
        if self.counts.waiting == 0 || busy >= self.limit {
            return None;
        }
        if let [home] = self.homes.as_mut_slice() {
            // Nearly always, and on the way of every job.
            if home.waking || home.closed || home.queue.is_empty() {
                return None;
            }
            if busy > 0 && self.pace.is_brisk() {
                // Whoever is busy will be back before anybody could come; unless this is the one
                // job that takes long. One worker keeps an eye on that.
                if home.watch != Watch::Off {
                    return None;
                }
                home.watch = Watch::Wanted;
            }
            if let Some(idle) = home.idle.pop() {
                home.waking = true;
                return idle.call().map(Step::Wake);
            }
            if home.workers < self.limit
                && let Some(step) = Self::start(home)
            {
                return Some(step);
            }
            home.watch = Watch::Off;
            return None;
        }
        self.next_step_among_homes()
    }

    fn next_step_among_homes(&mut self) -> Option<Step> {
        let mut in_need: Vec<(u64, usize)> = (self.homes.iter().enumerate())
            .filter(|(_, home)| !home.waking && !home.closed)
            .filter_map(|(at, home)| Some((self.jobs[*home.queue.front()?].ticket, at)))
            .collect();
        in_need.sort_unstable();
        let threads: usize = self.homes.iter().map(|home| home.workers).sum();
        let leaving: usize = self.homes.iter().map(|home| home.leaving).sum();
        for (_, at) in in_need {
            let home = &mut self.homes[at];
            if let Some(idle) = home.idle.pop() {
                home.waking = true;
                return idle.call().map(Step::Wake);
            }
            if threads < self.limit {
                if let Some(step) = Self::start(home) {
                    return Some(step);
                }
            } else if leaving == 0 {
                // Every thread is there for somebody else; one that has nothing to do makes room,
                // and asks again for the step when it has left.
                if let Some(other) = self.homes.iter_mut().find(|home| !home.idle.is_empty()) {
                    other.leaving += 1;
                    return other.idle.pop().and_then(Idle::call).map(Step::Wake);
                }
            }
        }
        None
    }

    fn start(home: &mut Home) -> Option<Step> {
        if !home.may_start() {
            return None;
        }
        home.workers += 1;
        home.waking = true;
        home.starting = Some(Instant::now());
        Some(Step::Start(home.id, home.runtime.clone()))
    }

    /// A worker that was asked for has come.
    pub(crate) fn arrive(&mut self, home: HomeId) {
        if let Some(home) = self.home(home) {
            home.waking = false;
            home.starting = None;
        }
        self.shut_inbox();
    }

    /// Lists an idle worker. `true` if it should spin for a while, as no other does.
    pub(crate) fn park(&mut self, home: HomeId, mut idle: Idle) -> bool {
        let Some(home) = self.homes.iter_mut().find(|other| other.id == home) else {
            return false;
        };
        idle.spinning = self.pace.is_brisk() && !home.idle.iter().any(|other| other.spinning);
        let spinning = idle.spinning;
        // The one that looks out stays last, to be called first: it costs nothing to call.
        let last = home.idle.pop_if(|last| last.spinning);
        home.idle.push(idle);
        home.idle.extend(last);
        if !home.waking && self.busy() == 0 {
            // Nobody is left who would come back by himself.
            self.shut_inbox();
        }
        spinning
    }

    /// Whether a worker that has just come should watch rather than work. How many jobs were
    /// finished by now is what it compares with later.
    pub(crate) fn wants_watcher(&mut self, home: HomeId) -> Option<u64> {
        let finished = self.finished;
        let home = self.home(home)?;
        if home.watch != Watch::Wanted {
            return None;
        }
        home.watch = Watch::On;
        Some(finished)
    }

    /// Has the caller of a finished job woken; together with the next ones if this worker has
    /// brisk jobs to go on with, and somebody watches that it does go on.
    pub(crate) fn call(&mut self, caller: Option<Waker>, goes_on: bool) {
        self.later.extend(caller);
        let watched = self
            .homes
            .first()
            .is_some_and(|home| home.watch == Watch::On);
        if !goes_on || !watched || !self.pace.is_brisk() || self.later.len() >= TOGETHER {
            self.calls.append(&mut self.later);
        }
    }

    /// A watcher looks. It goes on watching while there is progress.
    pub(crate) fn watch(&mut self, id: HomeId, seen: u64) -> Option<u64> {
        self.calls.append(&mut self.later);
        let progress = self.finished != seen;
        let served = self.homes.len() == 1 && self.pace.is_brisk() && !self.closed;
        if progress && served && self.home(id).is_some_and(|home| !home.closed) {
            return Some(self.finished);
        }
        if !progress && self.counts.waiting > 0 {
            self.pace.stumble();
        }
        if let Some(home) = self.home(id) {
            home.watch = Watch::Off;
        }
        self.shut_inbox();
        None
    }

    /// An idle worker looks up.
    pub(crate) fn look_up(&mut self, home: HomeId, worker: u64, patience_ended: bool) -> LookUp {
        let Some(mine) = self.home(home) else {
            return LookUp::Leave;
        };
        if let Some(at) = mine.idle.iter().position(|idle| idle.worker == worker) {
            if mine.idle[at].spinning {
                // From here on nobody looks into the inbox unasked.
                mine.idle[at].spinning = false;
                self.shut_inbox();
                if self.counts.waiting == 0 {
                    return LookUp::Park;
                }
            } else if !patience_ended {
                return LookUp::Park;
            }
            if let Some(home) = self.home(home) {
                home.idle.remove(at);
            }
            return if patience_ended {
                LookUp::LastTry
            } else {
                LookUp::Helps
            };
        }
        let Some(home) = self.home(home) else {
            return LookUp::Leave;
        };
        // Those that were taken off the list are alike: the first to come leaves for all.
        if home.leaving > 0 {
            home.leaving -= 1;
            return LookUp::Leave;
        }
        home.waking = false;
        self.shut_inbox();
        LookUp::Woken
    }

    /// A worker has gone, or will not come.
    pub(crate) fn leave(&mut self, id: HomeId, came: bool) {
        if let Some(home) = self.home(id) {
            home.workers -= 1;
            if !came {
                home.waking = false;
                home.starting = None;
                self.shut_inbox();
            }
        }
        self.retire(id);
        self.call_if_quiet();
    }

    /// Forgets a home that has nothing left, and lets its keepers know.
    fn retire(&mut self, id: HomeId) {
        let nothing_left = |home: &Home| home.id == id && home.workers == 0 && home.jobs == 0;
        if let Some(at) = self.homes.iter().position(nothing_left) {
            let keepers = self.homes.swap_remove(at).take_keepers();
            self.calls.extend(keepers.into_iter().flatten());
        }
    }

    /// Sends the parked workers home, of all homes or of one.
    pub(crate) fn dismiss_idle(&mut self, of: Option<HomeId>) -> Vec<Thread> {
        let mut dismissed = Vec::new();
        for home in self
            .homes
            .iter_mut()
            .filter(|home| of.is_none_or(|id| home.id == id))
        {
            home.leaving += home.idle.len();
            dismissed.extend(home.idle.drain(..).filter_map(Idle::call));
        }
        dismissed
    }

    // ===== Closing =====

    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.shut_inbox();
        self.calls
            .extend(self.line.values_mut().filter_map(Option::take));
        self.call_if_quiet();
    }

    pub(crate) fn call_when_quiet(&mut self, waker: Waker) {
        if !self.quiet.iter().any(|other| other.will_wake(&waker)) {
            self.quiet.push(waker);
        }
    }

    fn call_if_quiet(&mut self) {
        if !self.quiet.is_empty() && self.is_quiet() {
            self.calls.append(&mut self.quiet);
        }
    }

    /// Neither a job nor a thread is left.
    pub(crate) fn is_quiet(&self) -> bool {
        self.jobs.is_empty() && self.homes.iter().all(|home| home.present() == 0)
    }

    /// Whom to wake, now that the lock is about to be released.
    pub(crate) fn take_calls(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.calls)
    }

    /// The keys of the jobs in a home's queue.
    pub(crate) fn waiting_in(&self, id: HomeId) -> Vec<Key> {
        (self.homes.iter().filter(|home| home.id == id))
            .flat_map(|home| home.queue.iter())
            .map(|&slot| Key {
                slot,
                ticket: self.jobs[slot].ticket,
            })
            .collect()
    }

    /// Every job's key.
    pub(crate) fn keys(&self) -> Vec<Key> {
        (self.jobs.iter())
            .map(|(slot, entry)| Key {
                slot,
                ticket: entry.ticket,
            })
            .collect()
    }

    /// The jobs of a home whose time is up, and when to look again; `None` if the home is gone.
    pub(crate) fn due(
        &mut self,
        id: HomeId,
        keeper: Keeper,
        now: Instant,
        waker: Waker,
    ) -> Option<(Vec<Key>, Option<Instant>)> {
        let home = self.homes.iter_mut().find(|home| home.id == id)?;
        Some(home.due(now, keeper, waker, &self.jobs))
    }

    // ===== Reports =====

    pub(crate) fn list(&self, lane: &Arc<str>, now: Instant) -> Vec<JobInfo> {
        let mut jobs: Vec<(u64, JobInfo)> = (self.jobs.iter())
            .map(|(_, entry)| {
                let meta = entry.work.meta();
                let (state, since) = match entry.place {
                    Place::Waiting(_) => (JobState::Waiting, None),
                    Place::Running(since) => (JobState::Running, Some(since)),
                    Place::Draining(since) => (JobState::Draining, Some(since)),
                };
                let started = since.unwrap_or(now);
                let info = JobInfo {
                    lane: lane.clone(),
                    label: meta.label.clone(),
                    location: meta.location,
                    state,
                    waited: started.saturating_duration_since(meta.queued),
                    ran: since.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
                };
                (entry.ticket, info)
            })
            .collect();
        jobs.sort_unstable_by_key(|(ticket, _)| *ticket);
        jobs.into_iter().map(|(_, info)| info).collect()
    }
}

/// What a parked worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookUp {
    /// Nothing happened: park on.
    Park,
    /// It was woken for a job.
    Woken,
    /// It found a job by itself.
    Helps,
    /// Its patience is over: look once more, then go.
    LastTry,
    Leave,
}
