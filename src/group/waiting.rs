//! Jobs that wait for a group: what they wait for is the jobs among its children.
//!
//! A job that waits lends its slot to those it waits for, and has to be told which these are. For a
//! group they are known when it is waited for, not when they are put in: who puts a child in may
//! never wait for it, and who waits may have put none in. So the group remembers who waits, from
//! the first poll that finds it waiting until nothing is left of any child, and notes each job that
//! it has then and each that is handed to a lane later.

use super::{child::Offloaded, core::Shared, family::Family};
use crate::{job::Waits, sync::Weak};

/// How much of a group is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Breadth {
    /// The outcomes of its own children.
    Own,
    /// The end of everything, in the groups within too.
    Within,
}

/// The jobs that wait for a group. Few do, and mostly there is none.
#[derive(Default)]
pub(super) struct Waiters(Vec<(Waits, Breadth)>);

impl Waiters {
    /// `false` if that is known.
    pub(super) fn add(&mut self, waits: &Waits, breadth: Breadth) -> bool {
        self.0.retain(|(known, _)| !known.is_over());
        let known = self.0.iter_mut().find(|(known, _)| known.is_same(waits));
        match known {
            Some((_, known)) if *known >= breadth => return false,
            Some((_, known)) => *known = breadth,
            None => self.0.push((waits.clone(), breadth)),
        }
        true
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// Those that wait for at least that much.
    fn list(&self, least: Breadth, into: &mut Vec<Waits>) {
        let such = self.0.iter().filter(|(_, breadth)| *breadth >= least);
        into.extend(such.map(|(waits, _)| waits.clone()));
    }
}

/// What is to be noted where a job has begun to wait.
pub(super) struct Concerned {
    offloaded: Vec<Weak<dyn Offloaded>>,
    within: Vec<Weak<dyn Family>>,
}

impl Concerned {
    pub(super) fn new(offloaded: Vec<Weak<dyn Offloaded>>, within: Vec<Weak<dyn Family>>) -> Self {
        Self { offloaded, within }
    }

    /// To be called under no lock.
    pub(super) fn note(self, waits: &Waits) {
        for offloaded in self.offloaded {
            if let Some(awaited) = offloaded.upgrade().and_then(|job| job.awaited()) {
                waits.note(awaited);
            }
        }
        for inner in self.within {
            if let Some(inner) = inner.upgrade() {
                inner.note_all(waits);
            }
        }
    }
}

/// Notes for who waits, if it is a job and anything is new to it. To be called under no lock.
pub(super) fn note(waits: Option<Waits>, concerned: Option<Concerned>) {
    if let (Some(waits), Some(concerned)) = (waits, concerned) {
        concerned.note(&waits);
    }
}

impl<T> Shared<T> {
    /// Notes a job that has been handed to its lane.
    ///
    /// Whoever begins to wait meanwhile sees to it by itself: it is on the list before it looks for
    /// the job, as the job is in its place before this looks at the list. Who sees it twice does no
    /// harm by it.
    pub(super) fn note_for_who_waits(&self, offloaded: &dyn Offloaded) {
        let mut waiting = Vec::new();
        self.who_waits_for(Breadth::Own, &mut waiting);
        for waits in waiting {
            if let Some(awaited) = offloaded.awaited() {
                waits.note(awaited);
            }
        }
    }

    /// The jobs that wait for at least that much of this group, and for all of those around it.
    pub(super) fn who_waits_for(&self, least: Breadth, into: &mut Vec<Waits>) {
        self.state.lock().waiters.list(least, into);
        if let Some(outer) = &self.outer {
            outer.who_waits(into);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{group::Group, lane::Lane};

    /// A group may last as long as the program, and be waited for by one job after the other.
    #[tokio::test]
    async fn jobs_that_are_over_are_not_remembered() {
        let lane = Lane::builder("waiters").limit(1).build();
        let group = Group::builder("long").limit(1).build();
        group.spawn(std::future::pending::<()>());
        for _ in 0..20 {
            let place = group.spawn(async {});
            let polled = lane.offload_with(move |job| {
                job.block_on(async { futures_util::poll!(place).is_pending() })
            });
            assert!(polled.await.unwrap().unwrap());
        }
        let known = group.shared().state.lock().waiters.0.len();
        assert_eq!(known, 1, "that of the last");
    }
}
