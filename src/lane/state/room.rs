//! Who may come in: room in the queue, places that are reserved, and the line for them.

use std::task::Waker;

use super::State;

impl State {
    pub(crate) fn has_room(&self) -> bool {
        self.queue.is_none_or(|queue| {
            self.spoken_for() + self.lent + self.taken() < queue.saturating_add(self.limit)
        })
    }

    /// Jobs in the queue and places kept in it.
    pub(crate) fn spoken_for(&self) -> usize {
        self.counts.waiting + self.reserved
    }

    /// Takes a place, or stands in line for one: `true` if the place was had.
    ///
    /// Gives back in `waker` what is not needed, to be dropped after the lock.
    pub(crate) fn reserve(&mut self, in_line: &mut Option<u64>, waker: &mut Option<Waker>) -> bool {
        let Some(number) = *in_line else {
            if self.has_room() {
                self.reserved += 1;
                return true;
            }
            *in_line = Some(self.next_in_line);
            self.line.insert(self.next_in_line, waker.take());
            self.next_in_line += 1;
            return false;
        };
        match self.line.get_mut(&number) {
            Some(waiting) => {
                std::mem::swap(waiting, waker);
                false
            }
            None => {
                // Not in line any more: the place is this one's already.
                *in_line = None;
                true
            }
        }
    }

    /// Takes a place, whether there is one or not.
    #[cfg(feature = "ureq")]
    pub(crate) fn reserve_beyond(&mut self) {
        self.reserved += 1;
    }

    /// Leaves the line. A place that had been granted already goes to the next.
    pub(crate) fn leave_line(&mut self, number: u64) -> Option<Waker> {
        match self.line.remove(&number) {
            Some(waker) => waker,
            None => {
                self.give_back();
                None
            }
        }
    }

    /// Gives a reserved place back.
    pub(crate) fn give_back(&mut self) {
        self.reserved -= 1;
        self.grant();
    }

    /// Turns a reserved place into room for the job that is handed in right after.
    pub(crate) fn spend_reservation(&mut self) {
        self.reserved -= 1;
    }

    /// Gives the first in line the room that has become free, if any has.
    pub(crate) fn grant(&mut self) {
        if self.line.is_empty() || !self.has_room() {
            return;
        }
        self.reserved += 1;
        if let Some((_, Some(waker))) = self.line.pop_first() {
            self.calls.push(waker);
        }
    }
}
