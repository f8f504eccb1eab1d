//! Groups in groups: what the outer one is for the inner, and the other way.

use std::task::Waker;

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

/// A group, whatever its children give. Calls go outwards with the locks of the groups that they come from
/// held at most, inwards with none.
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
    /// Nothing is left of that group's children. Whom that concerns here is to be woken when no lock is
    /// held any more.
    fn leave(&self, wakers: &mut Vec<Waker>);

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

    pub(super) fn leave(&self, wakers: &mut Vec<Waker>) {
        self.group.leave(wakers);
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

    fn leave(&self, wakers: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        state.busy_within -= 1;
        let mut leftovers = Leftovers::none();
        state.look_whether_quiet(&mut leftovers);
        self.tell_outer(&mut leftovers);
        drop(state);
        wakers.append(&mut leftovers.wakers);
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

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::mpsc};

    use tokio::runtime::Builder;

    use crate::Group;

    /// By a hook, for instance, which runs in the step that ends the inner group, or by another thread.
    #[test]
    fn whoever_finds_the_inner_group_over_finds_the_outer_one_to_know_it() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let outer = Group::<()>::new();
        let inner = outer.nested::<Result<(), ()>>("in").build();
        let entered = runtime.enter();
        drop(inner.spawn(pending()));
        drop(entered);
        let (ours, theirs) = (inner.shared().clone(), outer.shared().clone());
        let (tell, told) = mpsc::channel();
        let hook = inner.token().on_cancel(move || {
            let are_quiet = (ours.state.lock().is_quiet(), theirs.state.lock().is_quiet());
            tell.send(are_quiet).unwrap();
        });
        // Its first failure cancels it: here that of the child, when the runtime drops it.
        let joined = inner.try_join_all();
        drop(runtime);
        assert_eq!(told.try_recv(), Ok((true, true)));
        drop((joined, hook));
    }
}
