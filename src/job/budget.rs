//! Giving way: whoever takes one thing after the other, and finds one there each time, counts what it
//! takes towards the budget of Tokio's task.
//!
//! Tokio's own `poll_proceed` leaves the waker of one who has used it up with the scheduler, to be called
//! when that has looked at everything else. Somebody else's loop may block the scheduler's thread until
//! that very waker is called, a `block_on` in the middle of a task for instance. So here
//!
//! - a waker that is not one of Tokio's tasks is called at once. (Called at once, a task would have the next
//!   turn before the runtime looks at timers and I/O, which it does every 61 turns at the least.)
//! - who is polled again with such a waker, and has no more budget than before, goes on without: nobody
//!   renews it there. (Nor in the same turn of a runtime's `block_on`, of which that cannot be told. What
//!   has other things to give out has to count these itself, before it polls what may give way.)
//!
//! With the waker of a task it is Tokio's way: it is polled with by the scheduler, or in a loop that does
//! not wait for it.

use std::{
    ptr,
    sync::OnceLock,
    task::{Context, Poll, RawWakerVTable, Waker},
};

use tokio::task::coop::{self, RestoreOnPending};

/// By what the wakers of Tokio's tasks can be told, all of them by the same.
static OF_TASKS: OnceLock<&'static RawWakerVTable> = OnceLock::new();

/// To be told the waker of a task that was spawned on a runtime, before one can be known.
pub(crate) fn this_is_of_a_task(waker: &Waker) {
    OF_TASKS.get_or_init(|| waker.vtable());
}

fn is_of_a_task(waker: &Waker) -> bool {
    (OF_TASKS.get()).is_some_and(|tasks| ptr::eq(*tasks, waker.vtable()))
}

/// What a future or a stream keeps from one poll to the next, to give way where that is possible.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// It did when it was last polled.
    gave_way: bool,
}

/// The right to take one thing.
#[must_use]
pub(crate) struct Share(Option<RestoreOnPending>);

impl Budget {
    /// Pending if others should have a turn first.
    pub(crate) fn poll_share(&mut self, cx: &mut Context<'_>) -> Poll<Share> {
        // Not left with the scheduler, who would keep each of them until it has its thread back.
        if !coop::has_budget_remaining() && !is_of_a_task(cx.waker()) {
            if std::mem::take(&mut self.gave_way) {
                return Poll::Ready(Share(None));
            }
            self.gave_way = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        coop::poll_proceed(cx).map(|share| {
            self.gave_way = false;
            Share(Some(share))
        })
    }
}

impl Share {
    /// It was there, and counts.
    pub(crate) fn was_taken(&self) {
        if let Some(share) = &self.0 {
            share.made_progress();
        }
    }
}
