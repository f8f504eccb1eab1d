//! Jobs that come by way of the [inbox](super::super::inbox).

use tokio::time::Instant;

use super::{
    super::{
        home::Watch,
        inbox::{Arrival, Then},
        pace::FEW,
    },
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
        for Arrival { work, .. } in &carried {
            if let Some(deadline) = work.meta().deadline {
                earliest = Some(earliest.map_or(deadline, |other: Instant| other.min(deadline)));
            }
        }
        for arrival in carried.drain(..) {
            self.enter(0, arrival);
        }
        self.arm(0, earliest);
        if carried.capacity() <= KEPT {
            self.carried = carried;
        }
    }

    /// Whether somebody is sure to look into the inbox soon.
    fn is_looked_after(&self) -> bool {
        let [home] = self.homes.as_slice() else {
            return false;
        };
        let woken = home.woken() > 0;
        let looked_out_for = home.idle.last().is_some_and(|idle| idle.spinning);
        let watched = home.watch == Watch::On && self.busy() > 0;
        woken || looked_out_for || watched
    }

    /// Whether nobody could start a job before one of those at work is done, and looks.
    fn is_full(&self) -> bool {
        self.busy() > 0 && !self.has_free_slot()
    }

    /// Opens the inbox, or lends it places anew, if jobs may go that way now. Last of all before
    /// the lock is released.
    pub(crate) fn lend(&mut self) {
        let [home] = self.homes.as_slice() else {
            return;
        };
        let Some(runtime) = &home.runtime else { return };
        // What an orphan is given a deadline for may need a thread that keeps it: no short cuts.
        let open = !self.closed && !home.closed && !home.orphaned;
        if self.lent > 0 || !open || !self.line.is_empty() {
            return;
        }
        // In a full lane only for many brisk jobs: else there is no fight for the lane's lock.
        let many = || self.is_full() && self.pace.is_brisk() && self.counts.waiting >= FEW;
        if !self.is_looked_after() && !many() {
            return;
        }
        self.lent = self.queue.map_or(usize::MAX, |queue| {
            queue
                .saturating_add(self.limit)
                .saturating_sub(self.spoken_for() + self.taken())
        });
        self.inbox_open = true;
        self.inbox.open(runtime.id(), self.lent, home.armed());
    }

    /// A reason to keep it open may have ended: shuts it if that was the last.
    pub(crate) fn shut_inbox_if_forgotten(&mut self) {
        if self.inbox_open && !self.is_looked_after() && !self.is_full() {
            self.shut_inbox();
        }
    }

    /// Nobody need look into it from now on: what is in it comes over, and nothing more.
    pub(super) fn shut_inbox(&mut self) {
        if self.inbox_open {
            self.inbox_open = false;
            self.empty_inbox(Then::Shut);
        }
    }
}
