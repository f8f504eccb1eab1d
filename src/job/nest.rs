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

use std::{cell::RefCell, task::Waker};

use super::{
    Job, Owner, Work,
    post::{Awaited, Post},
};
use crate::sync::{Arc, Weak, thread_local};

thread_local! {
    /// What the thread does for its lane.
    static SERVICE: RefCell<Service> = RefCell::new(Service::default());
}

#[derive(Default)]
struct Service {
    /// The lane whose worker this thread is; of a nested job, that job's.
    owner: Option<Arc<dyn Owner>>,
    job: Option<Job>,
    /// The job was cancelled, and its closure has been told.
    knows: bool,
    /// What the job waits for. Few jobs do.
    post: Option<Arc<Post>>,
    here: Here,
    /// How many jobs are beneath on the stack, each of which waits for the next.
    depth: usize,
    /// How many clones of the waker of the innermost wait are with somebody who would not bring it
    /// on.
    beside: usize,
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

// ===== What a thread does =====

/// Tells this thread whose worker it is, until the guard is dropped.
pub(crate) fn serve(owner: Arc<dyn Owner>) -> Served {
    SERVICE.with(|service| {
        let now = Service {
            owner: Some(owner),
            depth: service.borrow().depth + usize::from(service.borrow().job.is_some()),
            ..Service::default()
        };
        Served(Some(service.replace(now)))
    })
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
                knows: std::mem::take(&mut service.knows),
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
    knows: bool,
    post: Option<Arc<Post>>,
    here: Here,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let over = SERVICE.with(|service| {
            let mut service = service.borrow_mut();
            service.knows = self.knows;
            (
                std::mem::replace(&mut service.job, self.job.take()),
                std::mem::replace(&mut service.post, self.post.take()),
                std::mem::replace(&mut service.here, std::mem::take(&mut self.here)),
            )
        });
        if let (_, Some(post), _) = &over {
            post.close();
        }
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

/// A job that is cancelled was asked whether it is: the closure knows, if it was this thread's.
pub(super) fn tell(job: &Job) {
    let _ = SERVICE.try_with(|service| {
        let mut service = service.borrow_mut();
        let mine = (service.job.as_ref()).is_some_and(|mine| mine.is_the_same_as(job));
        service.knows |= mine;
    });
}

/// Whether the closure that this thread runs has been told that its job is cancelled.
pub(crate) fn knows_of_its_cancel() -> bool {
    SERVICE
        .try_with(|service| service.borrow().knows)
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
                Arc::new(Post::new(Awaited {
                    owner,
                    work: Arc::downgrade(job.shared_work()),
                }))
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

/// Whether this thread runs a job, or polls in the name of one.
pub(super) fn is_for_a_job() -> bool {
    SERVICE
        .try_with(|service| {
            let service = service.borrow();
            service.job.is_some() || service.here.post().is_some()
        })
        .unwrap_or_default()
}

/// How many jobs are on top of each other on this thread's stack, but one.
pub(super) fn depth() -> usize {
    SERVICE
        .try_with(|service| service.borrow().depth)
        .unwrap_or_default()
}

/// A task was polled and has no outcome yet: notes it where that is of interest. `false` if this is
/// a job's thread, in a loop that is not one of ours.
pub(super) fn pending(
    owner: &Arc<dyn Owner>,
    work: impl FnOnce() -> Arc<dyn Work>,
    noted: &mut Option<Weak<Post>>,
    waker: &Waker,
) -> bool {
    let looked = SERVICE.try_with(|service| {
        let service = service.borrow();
        let Some(post) = service.here.post() else {
            return Err(service.job.is_none());
        };
        let direct = match &service.here {
            Here::Waiting(_, mine) => mine.will_wake(waker),
            Here::OnBehalf(_) | Here::Elsewhere => false,
        };
        Ok((post.clone(), direct))
    });
    match looked {
        Ok(Ok((post, direct))) => {
            let first = (noted.as_ref()).is_none_or(|old| old.as_ptr() != Arc::as_ptr(&post));
            if first {
                *noted = Some(Arc::downgrade(&post));
            }
            let awaited = Awaited {
                owner: owner.clone(),
                work: Arc::downgrade(&work()),
            };
            drop(post.note(awaited, first, direct));
            true
        }
        Ok(Err(no_job)) => no_job,
        Err(_) => true,
    }
}

/// Says that a future which this thread polls has left its waker with somebody who only calls it
/// if everything is given up, so that what the wait comes to does not depend on it.
pub(crate) fn leaves_waker_beside() {
    let _ = SERVICE.try_with(|service| service.borrow_mut().beside += 1);
}

/// How often that was said in the innermost wait.
pub(super) fn beside() -> usize {
    SERVICE
        .try_with(|service| service.borrow().beside)
        .unwrap_or_default()
}

/// A wait begins; until the guard is dropped.
pub(super) fn begin_wait() -> Wait {
    Wait(set_beside(0))
}

pub(super) struct Wait(usize);

impl Drop for Wait {
    fn drop(&mut self) {
        set_beside(self.0);
    }
}

fn set_beside(count: usize) -> usize {
    SERVICE
        .try_with(|service| std::mem::replace(&mut service.borrow_mut().beside, count))
        .unwrap_or_default()
}
