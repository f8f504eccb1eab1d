//! The books of a group.
//!
//! Invariants:
//!
//! 1. A child is on the books from the moment it is taken in until *nothing* of it is left: the
//!    future has been dropped, or the job is off its thread. Its outcome may come before that.
//! 2. Each child that was taken in, and each one that was refused while somebody could still take
//!    its outcome, is told of exactly once.
//! 3. A child waits in the group's queue only while `limit` others are in flight, or while a place
//!    that has become free is being given away.
//! 4. Nothing of the user's is dropped, woken or called under the lock: every method gives what is
//!    to be done to its caller.

use std::{collections::VecDeque, task::Waker};

use slab::Slab;
use tokio::{task::AbortHandle, time::Instant};

use super::{
    child::{Birth, Child, Key, Stage},
    core::Shared,
    family::Family,
    keeper::Clock,
    leftovers::Leftovers,
    outcomes::{Outcomes, Told},
    starting::Ticket,
    waiting::{Breadth, Concerned, Waiters},
};
use crate::{
    error::{Error, Phase, Stop},
    job::Waits,
    lane::Timer,
    sync::{Arc, Weak},
};

/// Room that is kept when there is nothing in it. A burst must not hold its memory for ever.
pub(super) const KEPT: usize = 1024;

/// A child in the group's queue.
pub(super) struct Queued<T> {
    pub(super) key: Key,
    pub(super) start: Start<T>,
    pub(super) ticket: Arc<Ticket>,
}

pub(super) type Start<T> = Box<dyn FnOnce(&Arc<Shared<T>>, Key) + Send>;

pub(super) struct State<T> {
    pub(super) children: Slab<Child>,
    next: u64,
    /// Children that were not told of yet.
    untold: usize,
    /// Of those that were told of.
    pub(super) outcomes: Outcomes<T>,
    pub(super) queue: VecDeque<Queued<T>>,
    /// Children on the books that are not in the queue.
    pub(super) in_flight: usize,
    /// Somebody is starting what waits in the queue.
    pub(super) pumping: bool,
    /// Why no more children are taken in. `Closed` may become one of the others.
    pub(super) ended: Option<Stop>,
    /// How many children came to an end by themselves.
    pub(super) finished: u64,
    /// Who waits for the end; a place is kept by whom it belongs to.
    quiet_wakers: Slab<Option<Waker>>,
    /// The jobs that wait for the group.
    pub(super) waiters: Waiters,
    /// The groups within this one, and how many of them are not quiet.
    pub(super) within: Slab<Weak<dyn Family>>,
    pub(super) busy_within: usize,
    /// The runtimes on which the group's time is kept.
    pub(super) clocks: Vec<Clock>,
    /// The thread that keeps it where no runtime does.
    pub(super) timer: Option<Timer>,
}

impl<T> State<T> {
    pub(super) fn new() -> Self {
        Self {
            children: Slab::new(),
            next: 0,
            untold: 0,
            outcomes: Outcomes::new(),
            queue: VecDeque::new(),
            in_flight: 0,
            pumping: false,
            ended: None,
            finished: 0,
            quiet_wakers: Slab::new(),
            waiters: Waiters::default(),
            within: Slab::new(),
            busy_within: 0,
            clocks: Vec::new(),
            timer: None,
        }
    }

    /// Nothing is left of any child, here or in the groups within.
    pub(super) fn is_quiet(&self) -> bool {
        self.children.is_empty() && self.busy_within == 0
    }

    /// Children that were not told of yet, queued ones included.
    pub(super) fn untold(&self) -> usize {
        self.untold
    }

    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    // ===== Coming =====

    pub(super) fn add(&mut self, birth: Birth, waits: bool) -> Key {
        let number = self.number();
        let child = Child {
            number,
            birth,
            since: Instant::now(),
            stage: if waits {
                Stage::Waiting
            } else {
                Stage::Starting
            },
        };
        self.untold += 1;
        self.in_flight += usize::from(!waits);
        Key {
            slot: self.children.insert(child),
            number,
        }
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// A child that comes too late: its outcome is known and it is not on the books.
    pub(super) fn turn_away(&mut self, birth: Birth, error: Error) -> Leftovers<T> {
        let number = self.number();
        self.outcomes.tell(Told {
            number,
            label: birth.label,
            location: birth.location,
            outcome: Err(Box::new(error)),
            late: false,
        })
    }

    /// The next one in the queue, if there is a place for it. It is in flight from here on.
    pub(super) fn next_to_start(&mut self, limit: usize) -> Option<Queued<T>> {
        if self.pumping || self.in_flight >= limit {
            return None;
        }
        let next = self.queue.pop_front()?;
        if let Some(child) = self.child(next.key) {
            child.stage = Stage::Starting;
        }
        if self.queue.is_empty() && self.queue.capacity() > KEPT {
            self.queue = VecDeque::new();
        }
        self.in_flight += 1;
        self.pumping = true;
        Some(next)
    }

    /// Notes what became of a child that was started. What comes back has to be aborted or dropped.
    pub(super) fn set_stage(&mut self, key: Key, stage: Stage) -> Option<Stage> {
        if self.is_stopped() && matches!(stage, Stage::Future(_)) {
            return Some(stage);
        }
        match self.child(key) {
            // Or it has been told of, or is even gone, before its starter came to this.
            Some(child) if matches!(child.stage, Stage::Starting) => {
                child.stage = stage;
                None
            }
            _ => Some(stage),
        }
    }

    fn child(&mut self, key: Key) -> Option<&mut Child> {
        self.children
            .get_mut(key.slot)
            .filter(|child| child.number == key.number)
    }

    // ===== Going =====

    /// The outcome of a child, whose thread may not be free yet. `late` is whether the deadline had
    /// passed: whoever takes the outcome may come at any time.
    pub(super) fn record(
        &mut self,
        key: Key,
        outcome: Result<T, Error>,
        late: bool,
    ) -> Leftovers<T> {
        let child = self
            .child(key)
            .expect("a child is on the books until nothing of it is left");
        child.stage = Stage::Draining;
        let (label, location) = (child.birth.label.clone(), child.birth.location);
        self.untold -= 1;
        if matches!(outcome, Ok(_) | Err(Error::Panicked(_))) {
            self.finished += 1;
        }
        self.outcomes.tell(Told {
            number: key.number,
            label,
            location,
            outcome: outcome.map_err(Box::new),
            late,
        })
    }

    /// Nothing is left of a child. One of which nobody was told is told of with `otherwise`.
    pub(super) fn remove(&mut self, key: Key, otherwise: impl FnOnce() -> Error) -> Leftovers<T> {
        let untold = self
            .child(key)
            .is_some_and(|child| !matches!(child.stage, Stage::Draining));
        let mut leftovers = if untold {
            self.record(key, Err(otherwise()), false)
        } else {
            Leftovers::none()
        };
        self.children.remove(key.slot);
        self.in_flight -= 1;
        self.look_whether_quiet(&mut leftovers);
        leftovers
    }

    /// Takes no more children in.
    pub(super) fn close(&mut self) {
        self.ended.get_or_insert(Stop::Closed);
    }

    /// Stops every child: no more are taken in, none that waits starts. Gives whom to abort and
    /// what was in the queue.
    pub(super) fn end(&mut self, cause: Stop) -> (Vec<AbortHandle>, VecDeque<Queued<T>>) {
        let closed = self.ended == Some(Stop::Closed);
        // One that is closed and over stays so: there is nothing to stop.
        if closed && self.is_quiet() || self.is_stopped() {
            return Default::default();
        }
        self.ended = Some(cause);
        let mut futures = Vec::new();
        for (_, child) in &mut self.children {
            if matches!(child.stage, Stage::Future(_))
                && let Stage::Future(abort) = std::mem::replace(&mut child.stage, Stage::Starting)
            {
                futures.push(abort);
            }
        }
        (futures, std::mem::take(&mut self.queue))
    }

    /// Takes a child off that has been in the queue until now.
    pub(super) fn withdraw(&mut self, key: Key, error: Error) -> Leftovers<T> {
        self.in_flight += 1;
        self.remove(key, || error)
    }

    pub(super) fn look_whether_quiet(&mut self, leftovers: &mut Leftovers<T>) {
        if !self.is_quiet() {
            return;
        }
        leftovers.quiet = true;
        self.waiters.clear();
        let waiting = self.quiet_wakers.iter_mut();
        leftovers
            .wakers
            .extend(waiting.filter_map(|(_, waker)| waker.take()));
        if self.children.capacity() > KEPT {
            self.children = Slab::new();
        }
    }

    /// Something waits in the queue, and nobody keeps its time.
    pub(super) fn wants_timer(&self) -> bool {
        !self.queue.is_empty() && self.clocks.is_empty() && self.timer.is_none()
    }

    /// Whether children were told to stop.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.ended, Some(Stop::Cancelled | Stop::TimedOut))
    }

    pub(super) fn stopped(&self, group: &Arc<str>, phase: Phase) -> Error {
        let cause = match self.ended {
            Some(cause @ (Stop::Cancelled | Stop::TimedOut)) => cause,
            // Nobody has stopped it: its runtime has.
            _ => Stop::NoRuntime,
        };
        Error::Stopped {
            group: group.clone(),
            cause,
            phase,
        }
    }

    // ===== Waiting for it =====

    /// Has somebody told when the group is quiet. Gives back whom it would have told before.
    pub(super) fn call_when_quiet(
        &mut self,
        place: &mut Option<usize>,
        waker: Waker,
    ) -> Option<Waker> {
        let place = place.get_or_insert_with(|| self.quiet_wakers.insert(None));
        self.quiet_wakers[*place].replace(waker)
    }

    pub(super) fn call_no_more(&mut self, place: usize) -> Option<Waker> {
        let waker = self.quiet_wakers.remove(place);
        if self.quiet_wakers.is_empty() && self.quiet_wakers.capacity() > KEPT {
            self.quiet_wakers = Slab::new();
        }
        waker
    }

    /// Says which jobs to note for who waits, if it is a job and that is news.
    pub(super) fn waited_for(
        &mut self,
        waits: Option<&Waits>,
        breadth: Breadth,
    ) -> Option<Concerned> {
        let is_new = self.waiters.add(waits?, breadth);
        is_new.then(|| self.concerned(breadth))
    }
}
