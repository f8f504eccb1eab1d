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
//! 2. `running + draining ≤ limit`: only [`take`](State::take), [`take_here`](State::take_here) and
//!    [`resume`](State::resume) add to the left side, and look first. More on slots in
//!    `suspended.rs`.
//! 3. `waiting + reserved + taken slots ≤ queue + limit` when a job or a reservation is let in. A
//!    reserved place is let in already: its job comes in whatever is taken by then, which is more
//!    where a suspended job has gone on with a free slot and left its own to whoever had that. What
//!    [`reserve_beyond`](State::reserve_beyond) lets in is let in in any case.
//! 4. If a home has a waiting job and the lane a free slot, then a worker is on its way to it
//!    (`waking`), or a worker is between two jobs and will look, or one watches over it (`watch`;
//!    others may be parked meanwhile), or no thread can be had. Every step that frees a slot, parks a worker or lets one go asks
//!    [`next_step`](State::next_step).
//! 5. `submitted = waiting + running + suspended + detached + finished jobs by outcome`, at every
//!    moment, with those of the suspended that have a caller. A job whose caller is gone has its outcome counted at that moment, and drains off the books.

mod jobs;
mod mail;
mod room;
mod suspended;
mod unseen;
mod workers;

use std::{collections::BTreeMap, task::Waker, time::Duration};

pub(crate) use self::{
    jobs::Take,
    suspended::{Begun, Resume, TakeHere},
    workers::{LookUp, Step},
};

use slab::Slab;
use tokio::time::Instant;

use self::suspended::{Nesting, Suspended};
use super::{
    home::{Home, HomeId, Keeper},
    inbox::{Arrival, Inbox},
    pace::Pace,
    signal::Signal,
    stats::{Counts, JobInfo, JobState},
};
use crate::{
    cancel::HookGuard,
    job::{JobId, Work},
    sync::Arc,
};

/// Which job: its slot, and a number that no other job of the lane has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) slot: usize,
    pub(crate) ticket: u64,
}

/// The room that empty books keep for the next jobs.
const KEPT: usize = 1024;

/// What the books have to know of where threads come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads {
    /// Workers may stay without a job, to look out for one or to watch.
    pub(crate) linger: bool,
    /// One that was asked for for a runtime comes as soon as for another. Tokio's pools may have none
    /// to spare for a long time, each by itself.
    pub(crate) always_come: bool,
    /// They are a pool's, and others may have them all.
    pub(crate) shared: bool,
}

pub(crate) struct State {
    pub(super) limit: usize,
    pub(super) queue: Option<usize>,
    pub(crate) jobs: Slab<Entry>,
    pub(crate) homes: Vec<Home>,
    next_ticket: u64,
    next_home: HomeId,
    pub(crate) closed: bool,
    /// Every job there is is being cancelled: no other starts.
    pub(crate) ended: bool,
    pub(crate) counts: Counts,
    reserved: usize,
    pub(crate) suspended: Suspended,
    threads: Threads,
    pace: Pace,
    /// What the pace says, for those who do not hold the lock.
    pub(crate) signal: Arc<Signal>,
    /// Jobs that threads have finished, for watchers to see whether there is progress.
    finished: u64,
    inbox: Arc<Inbox>,
    /// The inbox is open, for jobs of the only home.
    inbox_open: bool,
    /// Places in the queue that the inbox may fill.
    lent: usize,
    /// For carrying jobs over without making a list each time.
    carried: Vec<Arrival>,
    /// Callers that wait for room in the queue, by the number they drew.
    line: BTreeMap<u64, Option<Waker>>,
    next_in_line: u64,
    /// Whom to tell when the last job and the last thread are gone.
    quiet: Vec<Waker>,
    /// Whom to wake after the lock is released.
    calls: Vec<Waker>,
    /// Homes that have nothing left, to be dropped after the lock.
    retired: Vec<Home>,
    /// Callers of brisk jobs that are over, to be woken together with the next few.
    later: Vec<Waker>,
    /// Jobs that are over and whose tasks were not waiting to be called: they look out, or come by.
    unseen: Vec<JobId>,
    /// Of these, those whose tasks are called after the lock is released, if they still look out.
    told: Vec<JobId>,
}

pub(crate) struct Entry {
    pub(crate) ticket: u64,
    pub(crate) home: HomeId,
    pub(crate) work: Arc<dyn Work>,
    pub(crate) place: Place,
    /// Nobody waits for the outcome, by the caller's own choice.
    pub(crate) detached: bool,
    /// Few jobs have any. Dropped after the lock.
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub(crate) ties: Option<Box<Ties>>,
    /// What few jobs have to do: with others that they wait for, or that wait for them.
    pub(super) nesting: Option<Box<Nesting>>,
}

/// What a job is tied to for as long as it is on the books.
pub(crate) struct Ties {
    /// To the token that it was handed in under.
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub(crate) token: Option<HookGuard>,
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub(crate) company: Option<Company>,
}

/// Whatever wants to know, by its drop, that a job is over and its thread free.
pub(crate) type Company = Arc<dyn Send + Sync>;

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

impl State {
    pub(crate) fn new(
        limit: usize,
        queue: Option<usize>,
        threads: Threads,
        inbox: Arc<Inbox>,
    ) -> Self {
        Self {
            limit,
            queue,
            jobs: Slab::new(),
            homes: Vec::new(),
            next_ticket: 0,
            next_home: 0,
            closed: false,
            ended: false,
            counts: Counts::new(),
            reserved: 0,
            suspended: Suspended::default(),
            threads,
            pace: Pace::new(),
            signal: Arc::default(),
            finished: 0,
            inbox,
            inbox_open: false,
            lent: 0,
            carried: Vec::new(),
            line: BTreeMap::new(),
            next_in_line: 0,
            quiet: Vec::new(),
            calls: Vec::new(),
            retired: Vec::new(),
            later: Vec::new(),
            unseen: Vec::new(),
            told: Vec::new(),
        }
    }

    fn is_brisk(&self) -> bool {
        self.threads.linger && self.pace.is_brisk()
    }

    fn busy(&self) -> usize {
        self.counts.running + self.counts.draining
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.shut_inbox();
        self.calls
            .extend(self.line.values_mut().filter_map(Option::take));
        self.call_if_quiet();
    }

    /// Has somebody told when nothing is left. What is left of `waker` is not needed.
    pub(crate) fn call_when_quiet(&mut self, waker: &mut Option<Waker>) {
        let known = |waker: &Waker| self.quiet.iter().any(|other| other.will_wake(waker));
        if !waker.as_ref().is_some_and(known) {
            self.quiet.extend(waker.take());
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

    /// Whom to wake and what to drop, now that the lock is about to be released.
    pub(crate) fn take_leftovers(&mut self) -> (Vec<Waker>, Vec<JobId>, Vec<Home>) {
        (
            std::mem::take(&mut self.calls),
            std::mem::take(&mut self.told),
            std::mem::take(&mut self.retired),
        )
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

    pub(crate) fn list(&self, lane: &Arc<str>, now: Instant) -> Vec<JobInfo> {
        let mut jobs: Vec<(u64, JobInfo)> = (self.jobs.iter())
            .map(|(_, entry)| {
                let meta = entry.work.meta();
                let state = match &entry.nesting {
                    Some(nesting) if nesting.suspended => JobState::Suspended,
                    _ => entry.place.state(),
                };
                let since = match entry.place {
                    Place::Waiting(_) => None,
                    Place::Running(since) | Place::Draining(since) => Some(since),
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
