//! What one job waits for, for all to see whom that concerns.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool as Flag, Ordering},
    task::Waker,
};

use super::{How, Owner, Taken, Work};
use crate::sync::{Arc, Mutex, Weak};

/// A job as others see it who wait for it.
#[derive(Clone)]
pub(crate) struct Awaited {
    pub(crate) owner: Arc<dyn Owner>,
    pub(crate) work: Weak<dyn Work>,
}

/// Where it is written which jobs one job waits for.
pub(super) struct Post {
    /// Whose it is.
    pub(super) waits: Awaited,
    /// It has waited for a job at least once: only then does it lend its slot.
    noted: Flag,
    /// It has lent its slot in a wait within another one, which is to take it back.
    lent: Flag,
    board: Mutex<Board>,
}

#[derive(Default)]
struct Board {
    /// Whom to call when something is added: the job's thread, while it waits.
    waiter: Option<Waker>,
    /// The jobs that are waited for, by lane, in the order in which they were first polled. Those
    /// that have left the queue are taken out as they come to the front, or when there are many.
    lanes: Vec<Waiting>,
    /// The task that was polled last by the job itself.
    last: Option<Awaited>,
    /// Jobs that run in slots of suspended ones because this one waits for them.
    begun: Vec<Awaited>,
    /// The job is over: nobody reads this any more.
    closed: bool,
}

struct Waiting {
    owner: Arc<dyn Owner>,
    jobs: VecDeque<Weak<dyn Work>>,
    /// At how many to look for those that have left the queue.
    trim_at: usize,
}

impl Post {
    pub(super) fn new(waits: Awaited) -> Self {
        Self {
            waits,
            noted: Flag::new(false),
            lent: Flag::new(false),
            board: Mutex::new(Board::default()),
        }
    }

    /// Adds a job. `first` if this task was not seen here before; `direct` if it is the job itself
    /// that its outcome will wake, and nothing in between.
    ///
    /// What it gives back is to be dropped under no lock.
    pub(super) fn note(&self, awaited: Awaited, first: bool, direct: bool) -> impl Sized + use<> {
        self.noted.store(true, Ordering::Relaxed);
        let mut board = self.board.lock();
        if board.closed {
            return (None, None);
        }
        let waiter = first.then(|| board.waiter.clone()).flatten();
        let over = first.then(|| board.add(&awaited));
        let before = direct.then(|| board.last.replace(awaited)).flatten();
        drop(board);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        (before, over)
    }

    pub(super) fn has_noted(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }

    /// Leaves it to the wait around this one to take the slot back.
    pub(super) fn leave_lent(&self) {
        self.lent.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_left_lent(&self) -> bool {
        self.lent.swap(false, Ordering::Relaxed)
    }

    /// Puts up whom to call; gives back who was there.
    pub(super) fn set_waiter(&self, waiter: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut self.board.lock().waiter, waiter)
    }

    /// The task that was polled last by the job itself, of those that had no outcome.
    pub(super) fn last(&self) -> Option<Awaited> {
        self.board.lock().last.clone()
    }

    /// Takes a job that is waited for and can have a slot, to be run.
    pub(super) fn find(&self, how: How<'_>, look: &Waker) -> Taken {
        let mut found = Taken::Nothing;
        let mut lane = 0;
        while let Some((owner, front)) = self.front(lane) {
            let Some(work) = front else {
                lane += 1;
                continue;
            };
            match owner.take_here(work.clone(), how, look) {
                Taken::Gone => self.pop(lane, &work),
                Taken::Job(run, awaited) => {
                    self.pop(lane, &work);
                    self.has_begun(awaited.clone());
                    return Taken::Job(run, awaited);
                }
                taken @ (Taken::Coming | Taken::Nothing) => {
                    if matches!(taken, Taken::Coming) {
                        found = taken;
                    }
                    lane += 1;
                }
            }
        }
        found
    }

    /// A job runs because this one waits for it.
    pub(super) fn has_begun(&self, awaited: Awaited) {
        let mut board = self.board.lock();
        let mut over = Vec::new();
        if board.begun.len() == board.begun.capacity() {
            let all = std::mem::take(&mut board.begun);
            for begun in all {
                let work = begun.work.upgrade();
                if work.as_ref().is_some_and(|work| !work.is_settled()) {
                    board.begun.push(begun);
                }
                over.push(work);
            }
        }
        board.begun.push(awaited);
        drop(board);
        // Any of them may be the last handle.
        drop(over);
    }

    /// The jobs that have begun because this one waited for them, and may run still.
    pub(super) fn take_begun(&self) -> Vec<Awaited> {
        std::mem::take(&mut self.board.lock().begun)
    }

    /// The job is over.
    pub(super) fn close(&self) {
        let mut board = self.board.lock();
        board.closed = true;
        let over = (
            std::mem::take(&mut board.lanes),
            board.last.take(),
            std::mem::take(&mut board.begun),
        );
        drop(board);
        drop(over);
    }

    /// A lane and the first of its jobs, if it has any; `None` if there are no more lanes.
    fn front(&self, lane: usize) -> Option<Front> {
        let mut board = self.board.lock();
        let waiting = board.lanes.get_mut(lane)?;
        let work = loop {
            match waiting.jobs.front() {
                None => break None,
                Some(work) => match work.upgrade() {
                    Some(work) => break Some(work),
                    None => drop(waiting.jobs.pop_front()),
                },
            }
        };
        Some((waiting.owner.clone(), work))
    }

    fn pop(&self, lane: usize, work: &Arc<dyn Work>) {
        let mut board = self.board.lock();
        let is_this = |front: &Weak<dyn Work>| std::ptr::addr_eq(front.as_ptr(), Arc::as_ptr(work));
        if let Some(waiting) = board.lanes.get_mut(lane)
            && waiting.jobs.front().is_some_and(is_this)
        {
            waiting.jobs.pop_front();
        }
    }
}

impl Board {
    /// What it gives back is to be dropped after the lock: any of it may be the last handle.
    fn add(&mut self, awaited: &Awaited) -> Vec<Option<Arc<dyn Work>>> {
        let known = (self.lanes.iter()).position(|waiting| same(&waiting.owner, &awaited.owner));
        let at = known.unwrap_or_else(|| {
            self.lanes.push(Waiting {
                owner: awaited.owner.clone(),
                jobs: VecDeque::new(),
                trim_at: 64,
            });
            self.lanes.len() - 1
        });
        let waiting = &mut self.lanes[at];
        let mut over = Vec::new();
        if waiting.jobs.len() >= waiting.trim_at {
            waiting.jobs.retain(|work| {
                let work = work.upgrade();
                let waits = work.as_ref().is_some_and(|work| !work.has_begun());
                over.push(work);
                waits
            });
            waiting.trim_at = 64.max(2 * waiting.jobs.len());
        }
        waiting.jobs.push_back(awaited.work.clone());
        over
    }
}

type Front = (Arc<dyn Owner>, Option<Arc<dyn Work>>);

/// Whether two handles are of one lane.
pub(super) fn same(one: &Arc<dyn Owner>, other: &Arc<dyn Owner>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}
