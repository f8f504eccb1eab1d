//! One thread while it serves a lane.
//!
//! ```text
//!            ┌──────────────── a job ◄──────────────┐
//!            ▼                                      │
//!  arrive ─► take ──► pass the wake-up on ──► run ──┘
//!            │ ▲
//!   nothing  │ │ woken, or patience over: look once more
//!            ▼ │
//!           park ──► leave ──► ask who needs a thread now
//! ```
//!
//! A few wake-ups at most are under way at a time. The woken worker takes a job and, if more wait,
//! sends the next wake-up itself. A burst of jobs so costs its caller a few wake-ups, and brings as
//! many workers as there is work for: those that find the queue empty park again.
//!
//! An idle worker looks out for jobs for a moment before it parks (`spin`), one worker at a time, and
//! callers leave theirs in the [inbox](super::inbox) meanwhile, so that neither a system call nor a
//! fight for the lane's lock stands between the two.
//!
//! Where jobs are [brisk](super::pace), one wake-up costs more than several jobs do. There
//!
//! - it looks out for longer;
//! - more workers are not woken for jobs that those at work will have taken before they could come.
//!   One worker *watches* instead: ten thousand times a second it looks whether jobs are being
//!   finished, and if not, if one job takes long after all, it takes the next and the wake-ups go
//!   out as ever. Meanwhile others are called only if so much work has piled up that it is worth a
//!   wake-up. So a job waits some hundred microseconds at the most for a thread that it could have
//!   had;
//! - callers are woken a few at a time, under the same watch, if they do not look out themselves as
//!   tasks do at first.
//!
//! The order at the end of a job matters. (1) The closure has returned and its captured values are
//! dropped. (2) If nobody waits for the outcome, it is dropped here, with the slot still taken: it
//! is the user's code as well. (3) Under the lock the slot is given back, the job is counted and
//! its outcome published, all in one: a caller that has the outcome finds it in the books. (4) The
//! next job is taken, under the same lock. (5) The caller is woken.

use std::{
    cell::Cell,
    error::Error as StdError,
    sync::atomic::{AtomicU64, Ordering},
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    core::Core,
    home::{HomeId, Idle},
    observe::{self, Took},
    pace::WATCH,
    source::Turn,
    state::{Entry, Key, LookUp, Place, State, Step, Take},
    stats::{JobState, Outcome},
};
use crate::{
    error::call_quietly,
    job::{Cause, Job, Meta, Ran, Work, serve},
    sync::{self, Arc, AtomicBool, Patience},
};

/// A number for each worker of the process, to find itself among the parked.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The right to serve a home, and the duty to say so if it cannot be used.
pub(crate) struct Worker {
    core: Option<Arc<Core>>,
    home: HomeId,
}

impl Worker {
    pub(crate) fn new(core: Arc<Core>, home: HomeId) -> Self {
        Self {
            core: Some(core),
            home,
        }
    }

    /// Gives up the right without a word: the thread was refused, and whoever asked knows.
    pub(crate) fn disarm(mut self) {
        self.core = None;
    }

    /// Gives up the right as this thread cannot be made to serve, and has the jobs told why if
    /// there is no other for them.
    pub(crate) fn decline(mut self, cause: Arc<dyn StdError + Send + Sync>) {
        if let Some(core) = self.core.take() {
            core.nobody_comes(self.home, &Cause::Unavailable(cause));
        }
    }

    /// Serves on this thread until there is nothing left to do.
    pub(crate) fn serve(mut self) {
        if let Some(core) = self.core.take() {
            let turn = Turn::begin();
            let _served = serve(core.clone());
            Shift {
                core,
                home: self.home,
                number: NEXT.fetch_add(1, Ordering::Relaxed),
                called: Arc::new(AtomicBool::new(false)),
                relief: Cell::new(if turn.is_stacked() {
                    Relief::AfterOne
                } else {
                    Relief::No
                }),
            }
            .work();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Dropped unused: the thread source was shut down with this in its queue.
        if let Some(core) = self.core.take() {
            core.worker_lost(self.home);
        }
    }
}

struct Shift {
    core: Arc<Core>,
    home: HomeId,
    number: u64,
    called: Arc<AtomicBool>,
    relief: Cell<Relief>,
}

/// Whether a worker goes although there are jobs.
///
/// A job on rayon that waits for its own parts, in `join` say, runs other closures of the pool
/// meanwhile, and one of them may be a worker of its lane. That one sits on top of the job and must
/// not keep it from going on: it serves once, and another takes its place. And a thread that has
/// lost what it was fitted out with cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relief {
    No,
    AfterOne,
    Now,
}

/// What a look at the books led to, and what to do about the other waiting jobs.
enum Look {
    Run(Key, Arc<dyn Work>, JobState, Option<Step>),
    InVain(Key, Cause),
    /// This worker is on the list of the parked.
    Parked(Duration, Option<Step>),
    /// This worker is off the books.
    Gone(Option<Step>),
}

impl Shift {
    fn work(self) {
        self.core.with_books(|state| state.arrive(self.home));
        self.watch();
        let mut now = Instant::now();
        let mut look = self.look_again(now, false);
        loop {
            look = match look {
                Look::Run(key, work, state, step) => {
                    self.core.perform(step);
                    observe::started(&self.core, work.meta(), state, now);
                    let mut next = Look::Gone(None);
                    self.run(key, work, &mut now, &mut next);
                    next
                }
                Look::InVain(key, cause) => {
                    self.core.stop_in_vain(key, &cause);
                    self.look_again(now, false)
                }
                Look::Parked(patience, step) => {
                    self.core.perform(step);
                    let woken = self.park(patience);
                    now = Instant::now();
                    match woken {
                        LookUp::Leave => break self.core.worker_leaves(self.home),
                        LookUp::Park | LookUp::Woken => {
                            self.watch();
                            now = Instant::now();
                            self.look_again(now, false)
                        }
                        LookUp::Helps => self.look_again(now, false),
                        LookUp::LastTry => self.look_again(now, true),
                    }
                }
                Look::Gone(step) => break self.core.perform(step),
            };
        }
    }

    fn look_again(&self, now: Instant, last_try: bool) -> Look {
        self.core
            .with_books(|state| self.look(state, now, last_try))
    }

    /// Takes a job, or parks, or leaves: each in the same critical section as the look that led to
    /// it, or a job that is handed in between the two would find nobody to wake.
    fn look(&self, state: &mut State, now: Instant, last_try: bool) -> Look {
        if self.relief.get() == Relief::Now {
            state.leave(self.home, true);
            return Look::Gone(state.next_step());
        }
        match state.take(self.home, now) {
            Take::Run(key, work, place) => Look::Run(key, work, place, state.next_step()),
            Take::InVain(key, cause) => Look::InVain(key, cause),
            nothing @ (Take::Nothing | Take::Leave) => {
                let stays = !last_try && matches!(nothing, Take::Nothing);
                let Some(patience) = self.core.source.linger().filter(|_| stays) else {
                    state.leave(self.home, true);
                    return Look::Gone(state.next_step());
                };
                self.called.store(false, Ordering::Relaxed);
                state.park(
                    self.home,
                    Idle {
                        worker: self.number,
                        thread: sync::current(),
                        called: self.called.clone(),
                        spinning: false,
                    },
                );
                Look::Parked(patience, state.next_step())
            }
        }
    }

    /// Runs a job and takes the next.
    fn run(&self, key: Key, work: Arc<dyn Work>, now: &mut Instant, next: &mut Look) {
        if self.relief.get() == Relief::AfterOne {
            self.relief.set(Relief::Now);
        }
        let then = |state: &mut State, now: Instant, caller: Option<Waker>, next: &mut Look| {
            if self.core.source.is_lost() {
                self.relief.set(Relief::Now);
            }
            *next = self.look(state, now, false);
            state.call(caller, matches!(next, Look::Run(..)));
        };
        run(&self.core, key, work, now, next, then, |core, next| {
            if let Look::Run(.., step) | Look::Parked(.., step) = next {
                // Whom it calls should not wait for what follows, some of which is the user's code.
                core.perform(step.take());
            }
        })
    }

    /// Looks, every now and then, whether the jobs that wait are being served by those at work.
    ///
    /// Returns at once if there is no need for that, else when somebody should help.
    fn watch(&self) {
        let mut round = self.core.with_books(|state| state.wants_watcher(self.home));
        while let Some(last) = round {
            let patience = Patience::lasting(WATCH);
            if last.stream {
                patience.spin(|| false);
            } else {
                while !patience.park() {}
            }
            round = self.core.with_state(|state| state.watch(self.home, &last));
        }
    }

    fn park(&self, patience: Duration) -> LookUp {
        // Not before: jobs are left in the inbox for whoever looks out, and what came between its
        // last job and here may have been the user's code.
        let spin = (self.core).with_books(|state| state.look_out(self.home, self.number));
        if let Some(time) = spin {
            Patience::lasting(time)
                .spin(|| self.called.load(Ordering::Acquire) || self.core.inbox.has_mail());
            let up = (self.core).with_books(|state| state.look_up(self.home, self.number, false));
            if up != LookUp::Park {
                return up;
            }
        }
        let patience = Patience::lasting(patience);
        loop {
            let ended = patience.park();
            let up = (self.core).with_books(|state| state.look_up(self.home, self.number, ended));
            if up != LookUp::Park {
                return up;
            }
        }
    }
}

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
        over.close(core, key, *now, ran, |state, caller| {
            then(state, *now, caller, next);
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
        now: Instant,
        ran: &mut dyn Ran,
        mut then: impl FnMut(&mut State, Option<Waker>),
    ) {
        let panicked = ran.panicked();
        self.panicked = panicked;
        let mut close = |state: &mut State, caller: Option<Waker>| {
            self.entry = Some(state.finish(key, now, panicked));
            then(state, caller);
            state.offer_slot();
        };
        let in_time = core.with_books(|state| {
            // Only a job whose place is `Running` has a caller.
            let awaited =
                (state.entry(key)).is_some_and(|entry| matches!(entry.place, Place::Running(_)));
            if awaited {
                close(state, ran.publish());
            }
            awaited
        });
        if !in_time {
            let in_drop = ran.discard() && !panicked;
            core.with_books(|state| {
                state.counts.late_panics += u64::from(in_drop);
                close(state, None);
            });
            if in_drop {
                observe::late_panic(core);
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
