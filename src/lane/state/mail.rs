//! Jobs that come by way of the [inbox](super::super::inbox).

use tokio::time::Instant;

use super::{
    super::{home::Watch, inbox::Then},
    KEPT, State,
};

impl State {
    /// Carries over what was left in the inbox, so that the books are exact.
    pub(crate) fn carry_over(&mut self) {
        if self.inbox_open {
            self.empty_inbox(Then::Hold);
        }
    }

    /// The same for a worker that looks for a job. Callers may leave more meanwhile: if they could
    /// not, they would wait for the lane's lock until this one has carried all of them over.
    pub(super) fn carry_on(&mut self) {
        if self.inbox_open {
            self.empty_inbox(Then::GoOn);
        }
    }

    fn empty_inbox(&mut self, then: Then) {
        let mut carried = std::mem::take(&mut self.carried);
        self.lent = self.inbox.empty(&mut carried, then);
        // Each job is in the cache of the core that has handed it in. Looked at one right after the
        // other, several of them are on their way from there at the same time.
        let mut earliest = None;
        for work in &carried {
            if let Some(deadline) = work.meta().deadline {
                earliest = Some(earliest.map_or(deadline, |other: Instant| other.min(deadline)));
            }
        }
        for work in carried.drain(..) {
            self.enter(0, work);
        }
        self.arm(0, earliest);
        if carried.capacity() <= KEPT {
            self.carried = carried;
        }
    }

    /// Opens the inbox, or lends it places anew, if jobs may go that way now. Last of all before
    /// the lock is released.
    pub(crate) fn lend(&mut self) {
        let [home] = self.homes.as_slice() else {
            return;
        };
        let woken = home.woken() > 0;
        let looked_out_for = home.idle.last().is_some_and(|idle| idle.spinning);
        let soon = woken || looked_out_for || home.watch == Watch::On && self.busy() > 0;
        let Some(runtime) = &home.runtime else { return };
        // What an orphan is given a deadline for may need a thread that keeps it: no short cuts.
        let open = !self.closed && !home.closed && !home.orphaned;
        if !soon || !open || self.lent > 0 || !self.line.is_empty() {
            return;
        }
        self.lent = self.queue.map_or(usize::MAX, |queue| {
            queue
                .saturating_add(self.limit)
                .saturating_sub(self.spoken_for() + self.taken())
        });
        self.inbox_open = true;
        self.inbox.open(runtime.id(), self.lent);
    }

    /// No wake-up is under way any more: what is in the inbox comes over, and nothing more.
    pub(super) fn shut_inbox(&mut self) {
        if self.inbox_open {
            self.inbox_open = false;
            self.empty_inbox(Then::Shut);
        }
    }
}
