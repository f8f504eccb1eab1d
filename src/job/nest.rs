//! Jobs that wait for jobs.
//!
//! A job that waits for another of its own lane would, where every slot is held by one that does
//! so, wait for ever: the other has no slot to run in. So a job that waits *lends* its slot to jobs
//! that are waited for, and its thread, which is parked anyway, runs the one that it waits for:
//!
//! ```text
//!  thread   ── outer job ── block_on(task) ─┐        ┌─ task's outcome ── outer job ──►
//!                                           ▼        │
//!                                  suspended: runs the inner job
//! ```
//!
//! What a thread waits for is written on a [`Post`], one for each job that waits: by the tasks
//! themselves, when they are polled and have no outcome yet. They learn where they are polled from
//! what this thread has been told ([`here`]): by the loop of [`block_on`](super::block_on), or by a
//! future that is polled elsewhere in the name of a job ([`OnBehalf`](super::OnBehalf)).
//!
//! Nothing but a job that another job waits for is run in such a way. To run a stranger on top of a
//! job's stack could make that job wait for what it has nothing to do with, and that one for it.

use std::{
    cell::RefCell,
    collections::VecDeque,
    sync::atomic::{AtomicBool as Flag, Ordering},
    task::Waker,
};

use super::{Job, Owner, Work};
use crate::sync::{Arc, Mutex, Weak, thread_local};

thread_local! {
    /// What the thread does for its lane.
    static SERVICE: RefCell<Service> = RefCell::new(Service::default());
}

#[derive(Default)]
struct Service {
    /// The lane whose worker this thread is; of a nested job, that job's.
    owner: Option<Arc<dyn Owner>>,
    job: Option<Job>,
    /// What the job waits for. Few jobs do.
    post: Option<Arc<Post>>,
    here: Here,
}

/// Where a task is being polled.
#[derive(Default)]
pub(super) enum Here {
    /// Neither in a loop of ours nor in the name of a job; on a job's thread perhaps, in somebody
    /// else's loop.
    #[default]
    Elsewhere,
    /// In the loop in which a job waits, with this waker.
    Waiting(Arc<Post>, Waker),
    /// In the name of a job, by another thread.
    OnBehalf(Arc<Post>),
}

impl Here {
    pub(super) fn post(&self) -> Option<&Arc<Post>> {
        match self {
            Self::Elsewhere => None,
            Self::Waiting(post, _) | Self::OnBehalf(post) => Some(post),
        }
    }
}

/// A job as others see it who wait for it.
#[derive(Clone)]
pub(crate) struct Awaited {
    pub(crate) owner: Arc<dyn Owner>,
    pub(crate) work: Weak<dyn Work>,
}

// ===== What a thread does =====

/// Tells this thread whose worker it is, until the guard is dropped.
pub(crate) fn serve(owner: Arc<dyn Owner>) -> Served {
    let now = Service {
        owner: Some(owner),
        ..Service::default()
    };
    Served(Some(SERVICE.with(|service| service.replace(now))))
}

/// Brings back what the thread did before.
pub(crate) struct Served(Option<Service>);

impl Drop for Served {
    fn drop(&mut self) {
        let before = self.0.take().unwrap_or_default();
        let over = SERVICE.with(|service| service.replace(before));
        // Not while the cell is borrowed.
        drop(over);
    }
}

impl Job {
    /// Makes this the thread's job until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        SERVICE.with(|service| {
            let mut service = service.borrow_mut();
            Entered {
                job: service.job.replace(self.clone()),
                post: service.post.take(),
                here: std::mem::take(&mut service.here),
            }
        })
    }
}

/// Brings back what was current before: a job on rayon that waits for its own parts may run another
/// on top of itself.
pub(crate) struct Entered {
    job: Option<Job>,
    post: Option<Arc<Post>>,
    here: Here,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let over = SERVICE.with(|service| {
            let mut service = service.borrow_mut();
            (
                std::mem::replace(&mut service.job, self.job.take()),
                std::mem::replace(&mut service.post, self.post.take()),
                std::mem::replace(&mut service.here, std::mem::take(&mut self.here)),
            )
        });
        // Not the last handles, and if they were: not while the cell is borrowed.
        drop(over);
    }
}

/// The job that this thread runs.
pub(super) fn current() -> Option<Job> {
    // A thread that ends has no job any more, though destructors may still ask.
    SERVICE
        .try_with(|service| service.borrow().job.clone())
        .unwrap_or_default()
}

/// The job that this thread runs, and what it is to be waited for with.
pub(super) fn current_post() -> Option<(Job, Arc<Post>)> {
    SERVICE
        .try_with(|service| {
            let mut service = service.borrow_mut();
            let job = service.job.clone()?;
            let owner = service.owner.clone()?;
            let post = service.post.get_or_insert_with(|| {
                Arc::new(Post {
                    waits: Awaited {
                        owner,
                        work: Arc::downgrade(job.shared_work()),
                    },
                    noted: Flag::new(false),
                    board: Mutex::new(Board::default()),
                })
            });
            Some((job, post.clone()))
        })
        .unwrap_or_default()
}

/// Says where tasks are being polled from now on, until the guard is dropped.
pub(super) fn poll_here(here: Here) -> Polled {
    let before =
        SERVICE.try_with(|service| std::mem::replace(&mut service.borrow_mut().here, here));
    Polled(before.ok())
}

pub(super) struct Polled(Option<Here>);

impl Drop for Polled {
    fn drop(&mut self) {
        let Some(before) = self.0.take() else { return };
        let over =
            SERVICE.try_with(|service| std::mem::replace(&mut service.borrow_mut().here, before));
        drop(over);
    }
}

/// For which job this thread polls: one that waits here, or in whose name it does.
pub(super) fn here() -> Option<Arc<Post>> {
    SERVICE
        .try_with(|service| service.borrow().here.post().cloned())
        .unwrap_or_default()
}

/// A task was polled and has no outcome yet. What is to be done about it?
pub(super) fn pending(
    owner: &Arc<dyn Owner>,
    work: impl FnOnce() -> Arc<dyn Work>,
    noted: &mut Option<Weak<Post>>,
    waker: &Waker,
) -> Pending {
    let looked = SERVICE.try_with(|service| {
        let service = service.borrow();
        let Some(post) = service.here.post() else {
            return match service.job {
                Some(_) => Pending::InAForeignLoop,
                None => Pending::Waits,
            };
        };
        let first = (noted.as_ref()).is_none_or(|old| old.as_ptr() != Arc::as_ptr(post));
        if first {
            *noted = Some(Arc::downgrade(post));
        }
        let mine = match &service.here {
            Here::Waiting(_, mine) => mine.will_wake(waker),
            Here::OnBehalf(_) | Here::Elsewhere => false,
        };
        post.note(owner, work(), first, mine);
        Pending::Waits
    });
    looked.unwrap_or(Pending::Waits)
}

pub(super) enum Pending {
    /// To wait.
    Waits,
    /// A job's thread polls it, and where that waits for it is no business of ours.
    InAForeignLoop,
}

// ===== What a job waits for =====

/// What one job waits for, for its thread to see.
pub(super) struct Post {
    /// Whose it is.
    pub(super) waits: Awaited,
    /// It has waited for a job at least once: only then is its slot of use to others.
    noted: Flag,
    board: Mutex<Board>,
}

#[derive(Default)]
struct Board {
    /// Whom to call when something is added: the job's thread, while it waits.
    waiter: Option<Waker>,
    /// The jobs that are waited for, by lane, in the order in which they were first polled. Those
    /// that run or are over are taken out as they come to the front.
    lanes: Vec<(Arc<dyn Owner>, VecDeque<Weak<dyn Work>>)>,
    /// The tasks that found no outcome since this was last taken, as far as they are to wake the
    /// job itself: how many, and the last of them.
    polled: usize,
    last: Option<Awaited>,
}

impl Post {
    /// Adds a job. `first` if this task was not seen here before; `direct` if it is the job itself
    /// that its outcome will wake, and nothing in between.
    fn note(&self, owner: &Arc<dyn Owner>, work: Arc<dyn Work>, first: bool, direct: bool) {
        let work = Arc::downgrade(&work);
        self.noted.store(true, Ordering::Relaxed);
        let mut board = self.board.lock();
        if direct {
            board.polled += 1;
            board.last = Some(Awaited {
                owner: owner.clone(),
                work: work.clone(),
            });
        }
        let mut waiter = None;
        if first {
            waiter = board.waiter.clone();
            board.queue(owner).push_back(work);
        }
        drop(board);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Whether any job was ever noted here.
    pub(super) fn has_noted(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }

    /// Puts up whom to call; gives back who was there.
    pub(super) fn set_waiter(&self, waiter: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut self.board.lock().waiter, waiter)
    }

    /// The task that is to wake the job itself and had no outcome when it was polled, if it was one
    /// alone since the last call.
    pub(super) fn take_sole(&self) -> Option<Awaited> {
        let mut board = self.board.lock();
        let polled = std::mem::take(&mut board.polled);
        board.last.take().filter(|_| polled == 1)
    }

    /// The jobs at the front, one of each lane, that might be run here.
    pub(super) fn fronts(&self) -> Vec<(Arc<dyn Owner>, Arc<dyn Work>)> {
        let mut board = self.board.lock();
        let mut fronts = Vec::new();
        let mut over = Vec::new();
        for (owner, queue) in &mut board.lanes {
            while let Some(work) = queue.front() {
                match work.upgrade() {
                    Some(work) if !work.has_begun() => {
                        fronts.push((owner.clone(), work));
                        break;
                    }
                    other => over.extend(other),
                }
                queue.pop_front();
            }
        }
        drop(board);
        // What may be the last handle of a job is dropped after the lock.
        drop(over);
        fronts
    }
}

impl Board {
    fn queue(&mut self, owner: &Arc<dyn Owner>) -> &mut VecDeque<Weak<dyn Work>> {
        let at = self.lanes.iter().position(|(other, _)| same(other, owner));
        let at = at.unwrap_or_else(|| {
            self.lanes.push((owner.clone(), VecDeque::new()));
            self.lanes.len() - 1
        });
        &mut self.lanes[at].1
    }
}

fn same(one: &Arc<dyn Owner>, other: &Arc<dyn Owner>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}
