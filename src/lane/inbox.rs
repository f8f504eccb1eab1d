//! The way in for jobs while a worker is on its way anyway.
//!
//! A burst of jobs and the worker that drains it would otherwise fight for the lane's lock, job by
//! job, each dragging the books from one core's cache to the other's. So while a wake-up is under
//! way, callers leave their jobs here, under a lock of its own that covers next to nothing, and
//! whoever looks at the books next carries them all over at once.
//!
//! Invariants:
//!
//! 1. The inbox is open only while some worker of the lane's only home is sure to look into it in
//!    time: one that has been woken and has not arrived, one that looks out for jobs before it parks,
//!    one that watches over those at work; or those at work themselves, where they hold every slot and
//!    nobody else could start a job. Whoever ends the last of these reasons shuts it. What is put in
//!    is so not forgotten.
//! 2. Whoever needs the books exact (to admit, to count, to cancel, to keep time) empties it first.
//!    A job is only left here if time is kept for a deadline no later than its own.
//! 3. A lane with a bounded queue lends the inbox a number of places. They count as reserved until
//!    they are used or taken back. None are lent while somebody stands in line for one.
//!
//! Lock order: the lane's lock, then this one.

use std::sync::atomic::Ordering;

use tokio::{runtime, time::Instant};

use super::state::Ties;
use crate::{
    job::Work,
    sync::{Arc, AtomicBool, Mutex},
};

#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Inbox {
    slip: Mutex<Slip>,
    /// Something is in it. Written under the lock, for a worker to look at without.
    mail: AtomicBool,
}

#[derive(Default)]
struct Slip {
    /// Of which runtime jobs are taken; `None` while the inbox is shut.
    open_for: Option<runtime::Id>,
    /// How many more jobs are taken.
    places: usize,
    /// When the books will be looked at for the sake of a deadline.
    armed: Option<Instant>,
    jobs: Vec<Arrival>,
}

/// A job on its way in.
pub(crate) struct Arrival {
    pub(crate) work: Arc<dyn Work>,
    pub(crate) ties: Option<Box<Ties>>,
}

/// What happens to an inbox that has been emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Those who come meanwhile leave their jobs, as long as there are places.
    GoOn,
    /// The places are taken back: until new ones are lent, the books are exact.
    Hold,
    /// Nothing is taken any more.
    Shut,
}

impl Inbox {
    /// Leaves a job, or gives it back if it has to go the long way.
    pub(crate) fn leave(&self, runtime: runtime::Id, arrival: Arrival) -> Result<(), Arrival> {
        let deadline = arrival.work.meta().deadline;
        let mut slip = self.slip.lock();
        let kept =
            deadline.is_none_or(|deadline| slip.armed.is_some_and(|armed| armed <= deadline));
        if slip.open_for != Some(runtime) || slip.places == 0 || !kept {
            return Err(arrival);
        }
        slip.places -= 1;
        slip.jobs.push(arrival);
        if slip.jobs.len() == 1 {
            self.mail.store(true, Ordering::Release);
        }
        Ok(())
    }

    pub(crate) fn has_mail(&self) -> bool {
        self.mail.load(Ordering::Acquire)
    }

    /// Opens it for the jobs of one runtime, and for so many of them. `armed` is when its keeper will
    /// look at the books, if at any time.
    pub(crate) fn open(&self, runtime: runtime::Id, places: usize, armed: Option<Instant>) {
        let mut slip = self.slip.lock();
        slip.open_for = Some(runtime);
        slip.places = places;
        slip.armed = armed;
    }

    /// Takes out what is in it. Returns how many places are lent from now on.
    pub(crate) fn empty(&self, into: &mut Vec<Arrival>, then: Then) -> usize {
        let mut slip = self.slip.lock();
        if then != Then::GoOn {
            slip.places = 0;
        }
        if then == Then::Shut {
            slip.open_for = None;
        }
        std::mem::swap(&mut slip.jobs, into);
        self.mail.store(false, Ordering::Release);
        slip.places
    }
}
