//! What the children of a group came to, as long as nobody has taken it.

use std::{collections::VecDeque, panic::Location, task::Waker};

use super::{leftovers::Leftovers, state::KEPT};
use crate::{error::Error, sync::Arc};

/// An outcome that nobody has taken yet.
pub(super) struct Told<T> {
    /// In which place it was spawned.
    pub(super) number: u64,
    pub(super) label: Option<Arc<str>>,
    pub(super) location: &'static Location<'static>,
    /// The error in a box, so that little memory is held for a child that has none.
    pub(super) outcome: Result<T, Box<Error>>,
    /// It came when the group's own time was up.
    pub(super) late: bool,
}

impl<T> Told<T> {
    /// `fails` is a pointer to a function of ours, which only looks: it may be called under the lock.
    fn is_failure(&self, fails: fn(&T) -> bool) -> bool {
        self.outcome.as_ref().map_or(true, fails)
    }
}

/// A part of the books; see [`State`](super::state::State).
pub(super) struct Outcomes<T> {
    told: VecDeque<Told<T>>,
    /// Nobody is left who could take one.
    orphaned: bool,
    /// Which values are failures, if a failure cancels the rest.
    fails: Option<fn(&T) -> bool>,
    /// Who waits for the next.
    waker: Option<Waker>,
}

impl<T> Outcomes<T> {
    pub(super) fn new() -> Self {
        Self {
            told: VecDeque::new(),
            orphaned: false,
            fails: None,
            waker: None,
        }
    }

    /// Another one. Who waits for it is to be woken; if nobody is left to take it, it is to be
    /// dropped.
    pub(super) fn tell(&mut self, told: Told<T>) -> Leftovers<T> {
        let mut leftovers = Leftovers::none();
        leftovers.cancel = self.fails.is_some_and(|fails| told.is_failure(fails));
        if self.orphaned {
            leftovers.lost = Some(told.outcome);
        } else {
            self.told.push_back(told);
            leftovers.wakers.extend(self.waker.take());
        }
        leftovers
    }

    /// From now on a failure cancels the rest. `true` if there is one among the outcomes that nobody
    /// has taken.
    pub(super) fn cancel_on(&mut self, fails: fn(&T) -> bool) -> bool {
        self.fails = Some(fails);
        self.told.iter().any(|told| told.is_failure(fails))
    }

    /// The next one, in the order in which they came.
    pub(super) fn take(&mut self) -> Option<Told<T>> {
        let next = self.told.pop_front();
        if self.told.is_empty() && self.told.capacity() > KEPT {
            self.told = VecDeque::new();
        }
        next
    }

    pub(super) fn take_all(&mut self) -> VecDeque<Told<T>> {
        std::mem::take(&mut self.told)
    }

    /// Has somebody told of the next one. Gives back whom it would have told before.
    pub(super) fn call_at_next(&mut self, waker: Waker) -> Option<Waker> {
        self.waker.replace(waker)
    }

    /// Nobody will take one any more. Gives those that are there.
    pub(super) fn orphan(&mut self) -> VecDeque<Told<T>> {
        self.orphaned = true;
        self.take_all()
    }

    pub(super) fn is_orphaned(&self) -> bool {
        self.orphaned
    }
}
