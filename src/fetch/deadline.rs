//! Until when a call may take.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    task::coop::{has_budget_remaining, poll_proceed},
    time::Instant,
};

use super::{error::Failure, kind::TimeLimit, moment::Moment};

/// How late a timer of Tokio's may be, on a machine with nothing else to do.
const GRAIN: Duration = Duration::from_millis(1);

/// How often a call is polled again when its time is up, to take what is there. More than it needs for
/// any body of a sensible size, and an end for what would take for ever, or is never given a budget.
const TURNS: u32 = 1024;

/// A moment, and whose it is.
#[derive(Clone, Copy, Default)]
pub(super) struct Deadline(Option<(Instant, TimeLimit)>);

impl Deadline {
    /// The earlier of this and another.
    pub(super) fn or(self, other: Option<Instant>, limit: TimeLimit) -> Self {
        match (self.0, other) {
            (Some((ours, _)), Some(other)) if other < ours => Self(Some((other, limit))),
            (None, Some(other)) => Self(Some((other, limit))),
            _ => self,
        }
    }

    /// An error if it has passed.
    pub(super) fn check(self) -> Result<(), Failure> {
        match self.0 {
            Some((at, limit)) if Instant::now() >= at => Err(Failure::timed_out(limit)),
            _ => Ok(()),
        }
    }

    /// Whether a pause would end before it, with a timer that is late.
    pub(super) fn leaves(self, pause: Duration) -> bool {
        let end = Instant::now().checked_add(pause.saturating_add(GRAIN));
        self.0.is_none_or(|(at, _)| end.is_some_and(|end| end < at))
    }

    /// What `future` gives, if it does so in time, or is found to have it when the time is up.
    pub(super) async fn keep<T>(
        self,
        future: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some((at, limit)) = self.0 else {
            return future.await;
        };
        // Not even polled once: a service that is called has begun.
        self.check()?;
        let (mut future, mut moment, mut turns) = (pin!(future), Moment::at(at), TURNS);
        poll_fn(|cx| {
            if let Poll::Ready(result) = future.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            ready!(Pin::new(&mut moment).poll(cx))?;
            // What is there already may be more than the task may take in one turn, and others of the
            // batch may have taken before. Not without a budget: a peer that is always ready would
            // have the thread for itself.
            if turns > 0 && is_spent(cx) {
                turns -= 1;
                // Whoever found no budget has left the waker with a scheduler that may be blocked by a
                // loop around this. It is that of a list of futures, which does not poll for ever.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Err(Failure::timed_out(limit)))
        })
        .await
    }
}

/// So long after `begun`. A time too long to be represented is no limit.
pub(super) fn after(begun: Instant, time: Option<Duration>) -> Option<Instant> {
    begun.checked_add(time?)
}

/// Whether it may have been for want of budget that there was nothing. The task has another turn then.
fn is_spent(cx: &mut Context<'_>) -> bool {
    if !has_budget_remaining() {
        return true;
    }
    // Whoever counts one and finds none left for what is within gives that one back.
    let _one = poll_proceed(cx);
    !has_budget_remaining()
}
