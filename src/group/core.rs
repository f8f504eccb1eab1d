//! The group's lock, and what happens right after it.
//!
//! Lock order: the lock of a group, then that of the group that it is in. A lane's lock is taken
//! with neither held.

use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::{
    child::{Birth, Key, Stage},
    family::{Family, Outer},
    keeper,
    leftovers::Leftovers,
    outcomes::Told,
    starting::{Starting, Ticket},
    state::{Queued, State},
    waiting::{Breadth, note},
};
use crate::{
    cancel::{CancelToken, HookGuard},
    error::{Error, Phase, Stop, call_quietly, drop_quietly},
    job::{Budget, Waits},
    sync::{Arc, Mutex},
};

pub(super) struct Shared<T> {
    pub(super) name: Arc<str>,
    pub(super) limit: usize,
    pub(super) deadline: Option<Instant>,
    /// Cancels the jobs among the children, the groups within, and by its first hook this group.
    pub(super) token: CancelToken,
    pub(super) outer: Option<Outer>,
    /// The hook by which this group hears of a cancel.
    pub(super) tie: Mutex<Option<HookGuard>>,
    pub(super) state: Mutex<State<T>>,
}

impl<T> Shared<T> {
    /// One step on the books, and what it leaves to do.
    pub(super) fn step(&self, step: impl FnOnce(&mut State<T>) -> Leftovers<T>) {
        let mut state = self.state.lock();
        let mut leftovers = step(&mut state);
        self.tell_outer(&mut leftovers);
        drop(state);
        if leftovers.cancel {
            self.token.cancel();
        }
        for waker in leftovers.wakers {
            call_quietly(|| waker.wake());
        }
        if leftovers.lost.is_some() {
            drop_quietly(leftovers.lost);
        }
    }

    /// To be called under the lock of the books: whoever finds this group over, by a wake-up, by a hook or
    /// on another thread, finds the outer one to know it.
    pub(super) fn tell_outer(&self, leftovers: &mut Leftovers<T>) {
        if leftovers.quiet
            && let Some(outer) = &self.outer
        {
            outer.leave(&mut leftovers.wakers);
        }
    }

    /// To be called before the first child, here or in a group within, is on the books.
    pub(super) fn no_longer_quiet(&self, state: &State<T>) -> Result<(), Stop> {
        match &self.outer {
            Some(outer) if state.is_quiet() => outer.enter(),
            _ => Ok(()),
        }
    }

    // ===== Ending it =====

    /// Stops every child that the group can stop by itself: futures, and what waits in its queue.
    pub(super) fn end(&self, cause: Stop) {
        let (timer, (futures, queue)) = {
            let mut state = self.state.lock();
            (state.timer.take(), state.end(cause))
        };
        drop(timer);
        for future in futures {
            future.abort();
        }
        for Queued { key, start, ticket } in queue {
            // Closures and futures of the user's, which may panic when they are dropped.
            drop_quietly(start);
            self.step(|state| {
                let error = state.stopped(&self.name, Phase::Waiting);
                state.withdraw(key, error)
            });
            ticket.resolve(Some(self.refusal(cause)));
        }
    }

    /// The group's only owner has gone.
    pub(super) fn orphan(&self) {
        let (told, clocks) = {
            let mut state = self.state.lock();
            (state.outcomes.orphan(), std::mem::take(&mut state.clocks))
        };
        for keeper in clocks.into_iter().filter_map(|clock| clock.keeper) {
            keeper.abort();
        }
        self.token.cancel();
        for Told { outcome, .. } in told {
            drop_quietly(outcome);
        }
    }

    /// Takes no more children in, nor do the groups within.
    pub(super) fn close(&self) {
        let within = {
            let mut state = self.state.lock();
            state.close();
            state.groups_within()
        };
        for inner in within {
            if let Some(inner) = inner.upgrade() {
                inner.close();
            }
        }
    }

    /// The deadline has passed.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|end| end <= Instant::now())
    }

    pub(super) fn refusal(&self, cause: Stop) -> Error {
        Error::Stopped {
            group: self.name.clone(),
            cause,
            phase: Phase::Waiting,
        }
    }

    // ===== Waiting for it =====

    /// The next outcome; `None` if there is none to come.
    pub(super) fn poll_told(
        &self,
        budget: &mut Budget,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Told<T>>> {
        // A producer may be faster than who takes.
        let share = ready!(budget.poll_share(cx));
        let (waker, waits) = (cx.waker().clone(), Waits::here());
        let (mut state, mut concerned) = (self.state.lock(), None);
        let next = match state.outcomes.take() {
            Some(told) => Poll::Ready(Some(told)),
            None if state.untold() == 0 => Poll::Ready(None),
            None => Poll::Pending,
        };
        let unused = if next.is_pending() {
            concerned = state.waited_for(waits.as_ref(), Breadth::Own);
            state.outcomes.call_at_next(waker)
        } else {
            share.was_taken();
            Some(waker)
        };
        drop(state);
        drop(unused);
        note(waits, concerned);
        next
    }
}

impl<T: Send + 'static> Shared<T> {
    /// Every child comes this way. It is started at once if there is a place for it.
    pub(super) fn take_in(
        self: &Arc<Self>,
        birth: Birth,
        start: impl FnOnce(&Arc<Self>, Key) + Send + 'static,
    ) -> Starting {
        keeper::ensure(self);
        let mut state = self.state.lock();
        let refused = match state.ended {
            Some(cause) => Err(cause),
            // From a cancel on nothing starts, also while it is still on its way from above.
            None if self.token.is_cancelled() => Err(Stop::Cancelled),
            None => self.no_longer_quiet(&state),
        };
        if let Err(cause) = refused {
            drop(state);
            return self.refuse(birth, start, cause);
        }
        let waits = state.in_flight >= self.limit || !state.queue.is_empty();
        let key = state.add(birth, waits);
        if !waits {
            drop(state);
            call_quietly(|| start(self, key));
            return Starting::started();
        }
        let ticket = Arc::new(Ticket::default());
        state.queue.push_back(Queued {
            key,
            start: Box::new(start),
            ticket: ticket.clone(),
        });
        drop(state);
        keeper::ensure_queue(self);
        // A place may have become free, and nobody else may look.
        self.pump();
        let group: Arc<dyn Family> = self.clone();
        Starting::queued(ticket, Arc::downgrade(&group))
    }

    /// As [`take_in`](Self::take_in), for a child that has no runtime to run on.
    pub(super) fn take_in_vain(self: &Arc<Self>, birth: Birth, unwanted: impl Send) -> Starting {
        keeper::ensure(self);
        let cause = self.state.lock().ended.unwrap_or(Stop::NoRuntime);
        self.refuse(birth, unwanted, cause)
    }

    fn refuse(&self, birth: Birth, unwanted: impl Send, cause: Stop) -> Starting {
        drop_quietly(unwanted);
        self.step(|state| state.turn_away(birth, self.refusal(cause)));
        Starting::refused(self.refusal(cause))
    }

    /// Notes what a child that was started can be stopped or seen by.
    pub(super) fn started(&self, key: Key, stage: Stage) {
        let unwanted = self.state.lock().set_stage(key, stage);
        if let Some(Stage::Future(abort)) = unwanted {
            abort.abort();
        }
    }

    pub(super) fn record(&self, key: Key, outcome: Result<T, Error>) {
        // It may have been its lane that has kept the deadline.
        let late = self.is_late();
        self.step(|state| state.record(key, outcome, late));
        if late {
            self.end(Stop::TimedOut);
        }
    }

    /// Nothing is left of a child. `phase` is for one that nobody was told of yet.
    pub(super) fn over(self: &Arc<Self>, key: Key, phase: Phase) {
        self.step(|state| {
            let error = state.stopped(&self.name, phase);
            state.remove(key, || error)
        });
        self.pump();
    }

    /// Starts what waits in the queue, as long as there are places.
    ///
    /// A child may be over before its start returns, which gives a place back: so this is a loop,
    /// and one thread's at a time, or a queue of jobs that a lane refuses would be a recursion.
    fn pump(self: &Arc<Self>) {
        // The keeper may come a moment later; and a cancel, from above.
        if self.is_late() {
            self.end(Stop::TimedOut);
        } else if self.token.is_cancelled() {
            self.end(Stop::Cancelled);
        }
        loop {
            let next = self.state.lock().next_to_start(self.limit);
            let Some(Queued { key, start, ticket }) = next else {
                return;
            };
            // A panic, of a subscriber for instance, must not keep the rest in the queue for ever.
            call_quietly(|| start(self, key));
            self.state.lock().pumping = false;
            ticket.resolve(None);
        }
    }
}

/// A group's name, if it was given none.
pub(super) fn unnamed() -> Arc<str> {
    Arc::from("unnamed")
}

#[cfg(test)]
mod tests {
    use std::{future::pending, panic::Location, time::Duration};

    use super::*;
    use crate::group::Group;

    /// Cancelled by another thread, that is, between its coming and its start.
    #[tokio::test]
    async fn a_future_whose_group_ends_before_it_is_in_its_place_is_aborted() {
        let group = Group::<()>::new();
        let birth = Birth {
            label: None,
            location: Location::caller(),
            lane: None,
        };
        let key = group.shared().state.lock().add(birth, false);
        group.cancel();
        let task = tokio::spawn(pending::<()>());
        group
            .shared()
            .started(key, Stage::Future(task.abort_handle()));
        let task = tokio::time::timeout(Duration::from_secs(10), task).await;
        assert!(task.expect("it is aborted").unwrap_err().is_cancelled());
        group.shared().over(key, Phase::Waiting);
        assert!(group.is_empty());
    }
}
