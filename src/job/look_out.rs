//! How a task looks out for the outcome of a brisk job, before it waits to be called.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::task::coop;

use super::{
    cell::Work,
    id::JobId,
    nest,
    owner::{CameTo, Looker, Owner},
};
use crate::sync::Patience;

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
pub(crate) const STAY: Duration = Duration::from_micros(3);

/// And for how long if it is the only one, and the lane's jobs are done in less: about what it takes until
/// a worker has the processor back that somebody took from it.
///
/// Who gave way then would wake the next to take it, and so on from job to job: each of them costs as much as
/// if the worker had been asleep. Nearly always the outcome is there in a microsecond or two.
const STAY_ALONE: Duration = Duration::from_micros(20);

/// Of so few at a time each may stay.
const STAYING: usize = 4;

/// So many looks in vain say that the worker does not get on.
const LOOKS: u32 = 32;

/// Whether the task has itself polled again rather than wait to be called.
#[derive(Clone, Copy, Debug)]
pub(super) enum LookOut {
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
    pub(super) fn goes_on(&mut self, owner: &dyn Owner, work: &dyn Work, waker: &Waker) -> bool {
        let (patience, looks, looker) = match *self {
            // A job's thread would not let anybody else have a turn. Nor would somebody else's loop, in which
            // nobody renews the budget; and the scheduler would keep the waker for as long as that goes on.
            Self::Undecided if coop::has_budget_remaining() && !nest::is_for_a_job() => {
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

    /// Looks whether the outcome is there; at the first look for a moment, if only a few look
    /// out.
    pub(super) fn stays_until(&self, is_there: impl Fn() -> bool) -> bool {
        match self {
            Self::Until(None, _, looker) => looker.stay.while_not(is_there),
            _ => is_there(),
        }
    }

    /// Nobody looks out any more, whatever there is to see.
    pub(super) fn abandon(self, owner: &dyn Owner) {
        if let Self::Until(_, _, looker) = self {
            owner.looked_out(CameTo::Others(looker));
        }
    }

    fn ends(&mut self) -> bool {
        *self = Self::Over;
        false
    }
}

/// For how long a task stays where it is at its first look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stay(Option<Duration>);

impl Stay {
    /// Beside so many others that look out. `momentary`: jobs take less than [`STAY`], and a worker is awake.
    pub(crate) fn beside(others: usize, momentary: bool) -> Self {
        Self(match others {
            0 if momentary => Some(STAY_ALONE),
            ..STAYING => Some(STAY),
            _ => None,
        })
    }

    fn while_not(self, is_there: impl Fn() -> bool) -> bool {
        match self.0 {
            Some(time) => Patience::lasting(time).stare(is_there),
            None => is_there(),
        }
    }
}

/// Has the task polled again when the runtime has looked at everything else, I/O and timers
/// included. The waker is not left with the cell: whoever settles the outcome does not call it at once.
pub(super) fn look_again_soon<T>(cx: &mut Context<'_>) -> Poll<T> {
    let turn = pin!(tokio::task::yield_now());
    let first = turn.poll(cx);
    debug_assert!(first.is_pending(), "it gives way once");
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_alone_with_a_momentary_job_stays_long() {
        assert_eq!(Stay::beside(0, true), Stay(Some(STAY_ALONE)));
        assert_eq!(Stay::beside(0, false), Stay(Some(STAY)));
        for momentary in [true, false] {
            assert_eq!(Stay::beside(1, momentary), Stay(Some(STAY)));
            assert_eq!(Stay::beside(STAYING - 1, momentary), Stay(Some(STAY)));
            assert_eq!(Stay::beside(STAYING, momentary), Stay(None));
        }
    }
}
