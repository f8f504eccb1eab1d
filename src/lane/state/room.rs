//! Who may come in: room in the queue, places that are reserved, and the line for them.

use std::task::Waker;

use super::State;

impl State {
    pub(crate) fn has_room(&self) -> bool {
        self.queue.is_none_or(|queue| {
            self.spoken_for() + self.lent + self.busy() < queue.saturating_add(self.limit)
        })
    }

    /// Jobs in the queue and places kept in it.
    pub(crate) fn spoken_for(&self) -> usize {
        self.counts.waiting + self.reserved
    }

    /// Takes a place, or stands in line for one: `true` if the place was had.
    pub(crate) fn reserve(&mut self, in_line: &mut Option<u64>, waker: Waker) -> bool {
        match *in_line {
            None if self.has_room() => {
                self.reserved += 1;
                true
            }
            None => {
                *in_line = Some(self.next_in_line);
                self.line.insert(self.next_in_line, Some(waker));
                self.next_in_line += 1;
                false
            }
            Some(number) => match self.line.get_mut(&number) {
                Some(waiting) => {
                    *waiting = Some(waker);
                    false
                }
                None => {
                    // Not in line any more: the place is this one's already.
                    *in_line = None;
                    true
                }
            },
        }
    }

    /// Leaves the line. A place that had been granted already goes to the next.
    pub(crate) fn leave_line(&mut self, number: u64) {
        if self.line.remove(&number).is_none() {
            self.give_back();
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
