//! Groups in groups: what the outer one is for the inner, and the other way.

use tokio::time::Instant;

use super::{
    core::Shared,
    info::ChildInfo,
    leftovers::Leftovers,
    waiting::{Breadth, note},
};
use crate::{
    cancel::CancelToken,
    error::Stop,
    job::Waits,
    sync::{Arc, Weak},
};

/// A group, whatever its children give. Calls go outwards with the inner group's lock held at most,
/// inwards with none.
pub(super) trait Family: Send + Sync {
    fn token(&self) -> &CancelToken;
    fn deadline(&self) -> Option<Instant>;

    /// A group is made within this one.
    fn adopt(&self, inner: Weak<dyn Family>) -> usize;
    /// It is gone.
    fn disown(&self, inner: usize);

    /// No more children, here and in the groups within.
    fn close(&self);

    /// A group within gets its first child. Not, and why not, if this one is over.
    fn enter(&self) -> Result<(), Stop>;
    /// Nothing is left of that group's children.
    fn leave(&self);

    /// A job waits until one of its children is over, and another can start.
    fn waits_for_a_place(&self, waits: Waits);

    /// Every child of this group and of those within.
    fn list(&self, into: &mut Vec<ChildInfo>);

    /// The jobs that wait for the groups within too, and from here outwards.
    fn who_waits(&self, into: &mut Vec<Waits>);
    /// Notes every job of this group and of those within.
    fn note_all(&self, waits: &Waits);
}

/// What a group knows of the one that it is in.
pub(super) struct Outer {
    group: Arc<dyn Family>,
    /// Which of its groups this one is.
    place: usize,
}

impl Outer {
    pub(super) fn of(group: Arc<dyn Family>, inner: Weak<dyn Family>) -> Self {
        let place = group.adopt(inner);
        Self { group, place }
    }

    pub(super) fn enter(&self) -> Result<(), Stop> {
        self.group.enter()
    }

    pub(super) fn leave(&self) {
        self.group.leave();
    }

    pub(super) fn who_waits(&self, into: &mut Vec<Waits>) {
        self.group.who_waits(into);
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        self.group.disown(self.place);
    }
}

impl<T: Send + 'static> Family for Shared<T> {
    fn token(&self) -> &CancelToken {
        &self.token
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn adopt(&self, inner: Weak<dyn Family>) -> usize {
        self.state.lock().within.insert(inner)
    }

    fn disown(&self, inner: usize) {
        let gone = self.state.lock().within.remove(inner);
        drop(gone);
    }

    fn close(&self) {
        self.close();
    }

    fn enter(&self) -> Result<(), Stop> {
        let mut state = self.state.lock();
        if let Some(cause) = state.ended {
            return Err(cause);
        }
        self.no_longer_quiet(&state)?;
        state.busy_within += 1;
        Ok(())
    }

    fn leave(&self) {
        self.step(|state| {
            state.busy_within -= 1;
            let mut leftovers = Leftovers::none();
            state.look_whether_quiet(&mut leftovers);
            leftovers
        });
    }

    fn waits_for_a_place(&self, waits: Waits) {
        let mut state = self.state.lock();
        // Else it is woken, or is about to be, and nobody would take it off the list.
        if state.is_quiet() {
            return;
        }
        let concerned = state.waited_for(Some(&waits), Breadth::Own);
        drop(state);
        note(Some(waits), concerned);
    }

    fn list(&self, into: &mut Vec<ChildInfo>) {
        let within = {
            let state = self.state.lock();
            state.list(&self.name, Instant::now(), into);
            state.groups_within()
        };
        for inner in within {
            if let Some(inner) = inner.upgrade() {
                inner.list(into);
            }
        }
    }

    fn who_waits(&self, into: &mut Vec<Waits>) {
        self.who_waits_for(Breadth::Within, into);
    }

    fn note_all(&self, waits: &Waits) {
        let concerned = self.state.lock().concerned(Breadth::Within);
        concerned.note(waits);
    }
}
