//! The caller's end of a job.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{
    error::Error,
    job::{
        budget::Budget,
        cell::{Outcome, Work},
        help::{Meanwhile, run_now},
        look_out::{LookOut, look_again_soon},
        nest,
        owner::{CameTo, Cause, Owner},
        post::{Awaited, Post},
    },
    sync::{Arc, Weak},
};

/// A job's outcome, in the future.
///
/// The job is in its lane from the moment [`offload`](crate::Lane::offload) returns, whether the
/// task is polled or not. The outcome is the closure's value, or an [`Error`].
///
/// Each outcome counts towards the budget of a Tokio task, as those of Tokio's own `JoinHandle` do:
/// whoever awaits one task after the other, and finds the outcome there each time, gives way to others
/// now and then. Polled only once, by `now_or_never` for instance, a task may then have to be polled again.
///
/// # Cancel safety
///
/// Dropping the task cancels the job; `tokio::time::timeout(d, task)` and a losing branch of
/// `select!` do so because they drop it. *The waiter* returns at once. *The thread*: a job that
/// still waits never starts, and its place in the queue is free at once; a job that runs has its
/// flag raised and its hooks run, and its slot of the lane stays taken until the closure has
/// really returned. Its late result is dropped on the worker; an outcome that is there already, with
/// the task. A closure that never starts is dropped, with what it has captured, on the thread that
/// stops it: here that of the caller, else that of whoever cancels, or the runtime's where a deadline
/// does. To let the job run on, say [`detach`](Self::detach).
///
/// # Errors
///
/// What the lane has to say where there is no value: [`Error`]. What the closure itself returned,
/// `Result` or not, is inside.
///
/// # Panics
///
/// Polling it again after it gave its outcome panics, as with most futures.
#[must_use = "dropping a task cancels its job: await it, keep it, or `detach` it"]
pub struct Task<T> {
    state: State<T>,
    budget: Budget,
}

enum State<T> {
    /// The lane has the job, or had it and its outcome waits in the cell.
    Live {
        outcome: Arc<dyn Outcome<T>>,
        owner: Arc<dyn Owner>,
        look_out: LookOut,
        /// Where the job that waits for it has been told.
        noted: Option<Weak<Post>>,
    },
    /// The lane never took it.
    Refused(Error),
    /// The outcome was given, or the job detached.
    Over,
}

impl<T> Task<T> {
    pub(crate) fn live(outcome: Arc<dyn Outcome<T>>, owner: Arc<dyn Owner>) -> Self {
        Self {
            state: State::Live {
                outcome,
                owner,
                look_out: LookOut::Undecided,
                noted: None,
            },
            budget: Budget::default(),
        }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused(error),
            budget: Budget::default(),
        }
    }

    /// Asks the job to stop. The task then resolves to [`Error::Cancelled`], at once, unless it
    /// had its outcome already.
    pub fn cancel(&self) {
        if let State::Live { owner, outcome, .. } = &self.state {
            owner.stop(&**outcome, Cause::Cancelled);
        }
    }

    /// A handle with which other code can cancel this job, and that does nothing when dropped.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller {
            job: match &self.state {
                State::Live { owner, outcome, .. } => {
                    let work: Arc<dyn Work> = outcome.clone();
                    Some((owner.clone(), Arc::downgrade(&work)))
                }
                State::Refused(_) | State::Over => None,
            },
        }
    }

    /// Lets the job run on by itself and forgets its outcome.
    ///
    /// A waiting job still starts when its turn comes; a running one is counted as draining until
    /// its thread is free. Its deadline, if it has one, still holds, and
    /// [`Lane::shutdown`](crate::Lane::shutdown) still waits for it and cancels it.
    pub fn detach(mut self) {
        if let State::Live {
            owner,
            outcome,
            look_out,
            ..
        } = std::mem::replace(&mut self.state, State::Over)
        {
            look_out.abandon(&*owner);
            owner.detach(&*outcome);
            outcome.forget();
        }
    }

    /// As `poll`, but leaves its waker from the first time on: for those who poll when called. As
    /// nobody waits where that is, the job is noted by nobody either: see [`awaited`](Self::awaited).
    pub(crate) fn poll_when_called(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        if let State::Live {
            look_out, owner, ..
        } = &mut self.state
        {
            std::mem::replace(look_out, LookOut::Never).abandon(&**owner);
        }
        self.poll_uncounted(cx)
    }

    /// As `poll`, for those who have the budget counted elsewhere, or must not give way.
    pub(crate) fn poll_uncounted(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        self.poll_outcome(cx, None, |_, _| Poll::Ready(()))
    }

    /// As `poll`, for a job that waits for what `meanwhile` brings it, which is polled here: where the job
    /// runs while this thread is blocked.
    #[cfg(feature = "ureq")]
    pub(crate) fn poll_bringing(
        &mut self,
        cx: &mut Context<'_>,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Poll<Result<T, Error>> {
        self.poll_outcome(cx, Some(meanwhile), count)
    }

    /// The job, for those who wait for it otherwise than by polling the task.
    pub(crate) fn awaited(&self) -> Option<Awaited> {
        let State::Live { owner, outcome, .. } = &self.state else {
            return None;
        };
        let work: Arc<dyn Work> = outcome.clone();
        Some(Awaited {
            owner: owner.clone(),
            work: Arc::downgrade(&work),
        })
    }

    /// True if awaiting the task would not wait, but for giving others a turn.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Live { outcome, .. } => outcome.is_settled(),
            State::Refused(_) | State::Over => true,
        }
    }
}

impl<T> Task<T> {
    /// As `poll`; `count` is asked when there is an outcome to give.
    fn poll_outcome(
        &mut self,
        cx: &mut Context<'_>,
        meanwhile: Option<&mut Meanwhile<'_>>,
        count: impl FnOnce(&mut Budget, &mut Context<'_>) -> Poll<()>,
    ) -> Poll<Result<T, Error>> {
        if let State::Live {
            outcome,
            owner,
            look_out,
            noted,
        } = &mut self.state
        {
            // Once more after the waker was left: see `look_out`.
            let mut is_there = outcome.is_settled();
            if !is_there && look_out.goes_on(&**owner, &**outcome, cx.waker()) {
                is_there = look_out.stays_until(|| outcome.is_settled());
                if !is_there {
                    return look_again_soon(cx);
                }
            }
            if is_there {
                ready!(count(&mut self.budget, cx));
            }
            let mut polled = outcome.poll(cx);
            if polled.is_pending() && !matches!(look_out, LookOut::Never) {
                let work = || -> Arc<dyn Work> { outcome.clone() };
                if !nest::pending(owner, work, noted, cx.waker())
                    && run_now(owner, work(), cx.waker(), meanwhile)
                {
                    polled = outcome.poll(cx);
                }
            }
            let result = ready!(polled);
            match std::mem::replace(look_out, LookOut::Over) {
                LookOut::Until(_, _, looker) => owner.looked_out(CameTo::Outcome(looker)),
                LookOut::Over => owner.looked_out(CameTo::Call),
                LookOut::Undecided | LookOut::Never => {}
            }
            self.state = State::Over;
            return Poll::Ready(result);
        }
        if let State::Refused(_) = self.state {
            ready!(count(&mut self.budget, cx));
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Refused(error) => Poll::Ready(Err(error)),
            State::Over | State::Live { .. } => panic!("`Task` polled after it gave its outcome"),
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_outcome(cx, None, count)
    }
}

/// Counts an outcome. Not before there is one: nobody gives way for what he would have to wait for anyway.
fn count(budget: &mut Budget, cx: &mut Context<'_>) -> Poll<()> {
    budget.poll_share(cx).map(|share| share.was_taken())
}

// Nothing in it is pinned: the outcome is behind an `Arc`.
impl<T> Unpin for Task<T> {}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let State::Live {
            owner,
            outcome,
            look_out,
            ..
        } = &self.state
        {
            look_out.abandon(&**owner);
            owner.stop(&**outcome, Cause::Dropped);
            outcome.forget();
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Cancels one job from anywhere, made by [`Task::canceller`].
///
/// It keeps neither the job nor its outcome alive.
#[derive(Clone)]
pub struct Canceller {
    job: Option<(Arc<dyn Owner>, Weak<dyn Work>)>,
}

impl Canceller {
    /// Asks the job to stop, as [`Task::cancel`] does. Does nothing if it is over.
    pub fn cancel(&self) {
        let Some((owner, job)) = &self.job else {
            return;
        };
        if let Some(job) = job.upgrade() {
            owner.stop(&*job, Cause::Cancelled);
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}
