//! Waiting until nothing is left of a group.

use std::task::{Context, Poll, ready};

use super::{
    core::Shared,
    outcomes::Told,
    state::State,
    waiting::{Breadth, note},
};
use crate::job::{Budget, Waits};

/// Somebody who waits for the end of all children. Its waker is taken off the books with it.
pub(super) struct Quiet<'a, T> {
    shared: &'a Shared<T>,
    /// Where its waker is.
    place: Option<usize>,
    budget: Budget,
}

impl<'a, T> Quiet<'a, T> {
    pub(super) fn of(shared: &'a Shared<T>) -> Self {
        Self {
            shared,
            place: None,
            budget: Budget::default(),
        }
    }

    /// Ready when nothing is left of any child.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_and(cx, |_| ())
    }

    /// As [`poll`](Self::poll), and from then on the group is closed.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_and(cx, State::close)
    }

    fn poll_and(&mut self, cx: &mut Context<'_>, then: fn(&mut State<T>)) -> Poll<()> {
        let (waker, waits) = (cx.waker().clone(), Waits::here());
        let mut state = self.shared.state.lock();
        if state.is_quiet() {
            then(&mut state);
            return Poll::Ready(());
        }
        let before = state.call_when_quiet(&mut self.place, waker);
        let concerned = state.waited_for(waits.as_ref(), Breadth::Within);
        drop(state);
        drop(before);
        note(waits, concerned);
        Poll::Pending
    }

    /// The next outcome; `None` when nothing is left of any child, and from then on the group is
    /// closed.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Told<T>>> {
        let share = ready!(self.budget.poll_share(cx));
        let (for_next, for_end, waits) = (cx.waker().clone(), cx.waker().clone(), Waits::here());
        let mut state = self.shared.state.lock();
        if let Some(told) = state.outcomes.take() {
            share.was_taken();
            return Poll::Ready(Some(told));
        }
        if state.is_quiet() {
            state.close();
            return Poll::Ready(None);
        }
        let before = (
            state.outcomes.call_at_next(for_next),
            state.call_when_quiet(&mut self.place, for_end),
        );
        let concerned = state.waited_for(waits.as_ref(), Breadth::Within);
        drop(state);
        drop(before);
        note(waits, concerned);
        Poll::Pending
    }
}

impl<T> Drop for Quiet<'_, T> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.shared.state.lock().call_no_more(place);
            drop(waker);
        }
    }
}
