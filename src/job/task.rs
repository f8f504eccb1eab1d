//! The caller's end of a job.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{
    error::Error,
    job::{
        cell::{Outcome, Work},
        help::run_now,
        id::JobId,
        nest,
        owner::{CameTo, Cause, Looker, Owner},
        post::{Awaited, Post},
    },
    sync::{Arc, Patience, Weak},
};

/// How long a task looks out for the outcome of a brisk job.
///
/// To put the runtime's thread to sleep and to wake it again takes 15 to 30 µs on a virtual
/// machine: many times what such a job takes. So the task does not wait to be called at first, but
/// lets the runtime poll it again when the other tasks have had their turn. Where that is in vain, as
/// somebody else has the processor that the worker would need, the lane's next tasks do without.
const LOOK_OUT: Duration = Duration::from_micros(50);

/// For how long a task that looks out stays where it is at first, if only a few others do: a worker that
/// looks out for their jobs is done with them by then.
///
/// That is no longer than a few turns of a runtime that has nothing else to do. And such turns have their
/// price: before each one, a worker of Tokio's multi-thread runtime wakes another one, in case that
/// there is more to do, and that one takes the processor from the lane's worker, if there are but two.
const STAY: Duration = Duration::from_micros(3);

/// So many looks in vain say that the worker does not get on.
const LOOKS: u32 = 32;

/// A job's outcome, in the future.
///
/// The job is in its lane from the moment [`offload`](crate::Lane::offload) returns, whether the
/// task is polled or not. The outcome is the closure's value, or an [`Error`].
///
/// # Cancel safety
///
/// Dropping the task cancels the job; `tokio::time::timeout(d, task)` and a losing branch of
/// `select!` do so because they drop it. *The waiter* returns at once. *The thread*: a job that
/// still waits never starts, and its place in the queue is free at once; a job that runs has its
/// flag raised and its hooks run, and its slot of the lane stays taken until the closure has
/// really returned. Its late result is dropped on the worker. A closure that never starts is
/// dropped, with what it has captured, on the thread that stops it: here that of the caller, else
/// that of whoever cancels, or the runtime's where a deadline does. To let the job run on, say
/// [`detach`](Self::detach).
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

/// Whether the task has itself polled again rather than wait to be called.
#[derive(Clone, Copy, Debug)]
enum LookOut {
    /// It was not polled yet.
    Undecided,
    /// Until when, once it has looked a second time; with how often it has, and what had been seen
    /// before.
    Until(Option<Patience>, u32, Looker),
    /// It is called by whoever settles the outcome.
    Over,
    /// The same from the beginning: nobody waits where it is polled.
    Never,
}

impl LookOut {
    /// One look that found nothing. `true` if another should follow.
    fn goes_on(&mut self, owner: &dyn Owner, work: &dyn Work, waker: &Waker) -> bool {
        let (patience, looks, looker) = match *self {
            // A job's thread would not let anybody else have a turn.
            Self::Undecided if !nest::is_for_a_job() => {
                match owner.look_out(JobId::of(work), waker) {
                    Some(looker) => (None, 0, looker),
                    None => return self.ends(),
                }
            }
            // Nearly always the outcome is there at the second look: only then is the clock read.
            Self::Until(None, looks, looker) => {
                owner.look_again(looker, waker);
                (Some(Patience::lasting(LOOK_OUT)), looks, looker)
            }
            Self::Until(Some(patience), looks, looker) if !patience.is_over() => {
                owner.look_again(looker, waker);
                (Some(patience), looks, looker)
            }
            Self::Until(Some(_), looks, looker) => {
                // First, as it is true once only.
                self.ends();
                // Of few looks others are the reason, who had their turns in between.
                owner.looked_out(if looks >= LOOKS {
                    CameTo::Nothing(looker)
                } else {
                    CameTo::Others(looker)
                });
                return false;
            }
            Self::Never => return false,
            Self::Undecided | Self::Over => return self.ends(),
        };
        *self = Self::Until(patience, looks.saturating_add(1), looker);
        true
    }

    /// Looks whether the outcome is there; at the first look for a moment, if only a few look out.
    fn stays_until(&self, is_there: impl Fn() -> bool) -> bool {
        match self {
            Self::Until(None, _, looker) if looker.early => Patience::lasting(STAY).stare(is_there),
            _ => is_there(),
        }
    }

    /// Nobody looks out any more, whatever there is to see.
    fn abandon(self, owner: &dyn Owner) {
        if let Self::Until(_, _, looker) = self {
            owner.looked_out(CameTo::Others(looker));
        }
    }

    fn ends(&mut self) -> bool {
        *self = Self::Over;
        false
    }
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
        }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused(error),
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
        Pin::new(self).poll(cx)
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

    /// True if awaiting the task would not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Live { outcome, .. } => outcome.is_settled(),
            State::Refused(_) | State::Over => true,
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Live {
            outcome,
            owner,
            look_out,
            noted,
        } = &mut self.state
        {
            // Once more after the waker was left: see `look_out`.
            if !outcome.is_settled()
                && look_out.goes_on(&**owner, &**outcome, cx.waker())
                && !look_out.stays_until(|| outcome.is_settled())
            {
                return look_again_soon(cx);
            }
            let mut polled = outcome.poll(cx);
            if polled.is_pending() && !matches!(look_out, LookOut::Never) {
                let work = || -> Arc<dyn Work> { outcome.clone() };
                if !nest::pending(owner, work, noted, cx.waker())
                    && run_now(owner, work(), cx.waker())
                {
                    polled = outcome.poll(cx);
                }
            }
            let result = std::task::ready!(polled);
            match std::mem::replace(look_out, LookOut::Over) {
                LookOut::Until(_, _, looker) => owner.looked_out(CameTo::Outcome(looker)),
                LookOut::Over => owner.looked_out(CameTo::Call),
                LookOut::Undecided | LookOut::Never => {}
            }
            self.state = State::Over;
            return Poll::Ready(result);
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Refused(error) => Poll::Ready(Err(error)),
            State::Over | State::Live { .. } => panic!("`Task` polled after it gave its outcome"),
        }
    }
}

/// Has the task polled again when the runtime has looked at everything else, I/O and timers
/// included. The waker is not left with the cell: whoever settles the outcome does not call it at once.
fn look_again_soon<T>(cx: &mut Context<'_>) -> Poll<T> {
    let turn = pin!(tokio::task::yield_now());
    let first = turn.poll(cx);
    debug_assert!(first.is_pending(), "it gives way once");
    Poll::Pending
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
