//! Running one job to its end, on a worker's thread or on that of who waits for the job.
//!
//! The order at the end of a job matters. (1) The closure has returned and its captured values are
//! dropped. (2) If nobody waits for the outcome, it is dropped here, with the slot still taken: it
//! is the user's code as well. (3) Under the lock the slot is given back, the job is counted and
//! its outcome published, all in one: a caller that has the outcome finds it in the books. (4) The
//! next job is taken, under the same lock. (5) The caller is woken.

use std::task::Waker;

use tokio::time::Instant;

use super::{
    core::Core,
    observe::{self, Took},
    state::{Entry, Key, Place, State},
    stats::Outcome,
};
use crate::{
    error::call_quietly,
    job::{Job, JobId, Meta, Ran, Work},
    sync::Arc,
};

/// Runs a job on this thread to its end. `then` is part of the step in which it goes off the books,
/// and is given whom to call; `after` follows right after the lock. Both leave in `next` what is to
/// be done next.
pub(super) fn run<N>(
    core: &Arc<Core>,
    key: Key,
    work: Arc<dyn Work>,
    now: &mut Instant,
    next: &mut N,
    then: impl Fn(&mut State, Instant, Option<Waker>, &mut N),
    after: impl FnOnce(&Arc<Core>, &mut N),
) {
    let started = *now;
    let job = Job::new(work);
    let mut entered = Some(job.enter());
    let mut over = Over {
        entry: None,
        in_time: false,
        panicked: false,
    };
    job.work().run(&job, &mut |ran| {
        drop(entered.take());
        *now = Instant::now();
        over.close(core, key, now, &job, ran, |state, now, caller| {
            then(state, now, caller, next);
        });
    });
    after(core, next);
    over.tell(core, job.work().meta(), started, *now);
    // A token's guard may wait here for a hook that is just running elsewhere; and a caller
    // that has just gone may have left the outcome to this thread after all.
    let dropped = call_quietly(|| {
        over.entry = None;
        drop(job);
    });
    if dropped {
        core.count_late_panics(1);
    }
}

/// A job that has gone off the books.
struct Over {
    /// `None` before.
    entry: Option<Entry>,
    /// Its caller was there to be told.
    in_time: bool,
    panicked: bool,
}

impl Over {
    /// The step in which it does so. What comes of it is filled in in place, as with `then`: handed
    /// from one function to the next, on the way of every job, it costs as much as the step itself.
    fn close(
        &mut self,
        core: &Core,
        key: Key,
        now: &mut Instant,
        job: &Job,
        ran: &mut dyn Ran,
        mut then: impl FnMut(&mut State, Instant, Option<Waker>),
    ) {
        let panicked = ran.panicked();
        self.panicked = panicked;
        let mut close = |state: &mut State, now: Instant, caller: Option<Waker>| {
            self.entry = Some(state.finish(key, now, panicked));
            then(state, now, caller);
            state.offer_slot();
        };
        let in_time = core.with_books(|state| {
            // Only a job whose place is `Running` has a caller.
            let awaited =
                (state.entry(key)).is_some_and(|entry| matches!(entry.place, Place::Running(_)));
            if awaited {
                let caller = ran.publish();
                if caller.is_none() {
                    state.unseen(JobId::of(job.work()));
                }
                close(state, *now, caller);
            }
            awaited
        });
        if !in_time {
            // In the job, which is on the books and has its slot: it may wait for others here as well.
            let entered = job.enter();
            let in_drop = ran.discard() && !panicked;
            drop(entered);
            // That may have taken long.
            *now = Instant::now();
            core.with_books(|state| {
                state.counts.late_panics += u64::from(in_drop);
                close(state, *now, None);
            });
            if in_drop {
                observe::late_panics(core, 1);
            }
        }
        self.in_time = in_time;
    }

    /// Tells the world.
    fn tell(&self, core: &Core, meta: &Meta, started: Instant, ended: Instant) {
        let Some(entry) = &self.entry else { return };
        let outcome = (self.in_time || entry.detached).then(|| Outcome::of_run(self.panicked));
        observe::moved(core, Some(entry.place.state()), None);
        let took = Took::from(meta, started, ended);
        observe::finished(core, meta, outcome, self.panicked && !self.in_time, took);
    }
}
