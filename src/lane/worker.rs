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
//! What happens at the end of a job, and in which order, is in [`run`](super::run).

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
    observe,
    pace::WATCH,
    run::run,
    source::Turn,
    state::{Key, LookUp, State, Step, Take},
    stats::JobState,
};
use crate::{
    job::{Cause, Work, serve},
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

    /// Whether a job waits that it could serve. What it says may be true no longer a moment later.
    pub(crate) fn is_wanted(&self) -> bool {
        let is_wanted = |core: &Arc<Core>| core.with_state(|state| state.is_wanted(self.home));
        self.core.as_ref().is_some_and(is_wanted)
    }

    /// Gives up the right as it is not needed. If it is after all, as a job has come that counts on it,
    /// another thread is asked for.
    pub(crate) fn turn_back(mut self) {
        if let Some(core) = self.core.take() {
            core.worker_goes(self.home, false);
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

/// How often whoever watches looks for those who look out for outcomes since the last time, to call them:
/// they are few, if any, but to find them takes time.
const CALL: Duration = Duration::from_millis(5);

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
    InVain(Key, Cause, Option<Step>),
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
                Look::InVain(key, cause, step) => {
                    self.core.perform(step);
                    self.core.stop_in_vain(key, &cause);
                    // The closure was dropped there, which may have taken long.
                    now = Instant::now();
                    self.look_again(now, false)
                }
                Look::Parked(patience, step) => {
                    self.core.perform(step);
                    let woken = self.park(patience);
                    now = Instant::now();
                    match woken {
                        LookUp::Leave => break self.core.worker_goes(self.home, true),
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
            Take::Run(key, work, place) => {
                let step = state.next_step();
                state.tell_lookers_unless_watched();
                Look::Run(key, work, place, step)
            }
            Take::InVain(key, cause) => {
                state.tell_lookers();
                // The closure is dropped here, which may take long: those behind it do not wait for that.
                state.carry_over();
                let more = state.counts.waiting > 1;
                Look::InVain(key, cause, more.then(|| state.next_step()).flatten())
            }
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
            if let Look::Run(.., step) | Look::InVain(.., step) | Look::Parked(.., step) = next {
                // Whom it calls should not wait for what follows, some of which is the user's code.
                core.perform(step.take());
            }
        });
    }

    /// Looks, every now and then, whether the jobs that wait are being served by those at work.
    ///
    /// Returns at once if there is no need for that, else when somebody should help.
    fn watch(&self) {
        let round = |state: &mut State| state.wants_watcher(self.home);
        let Some(mut last) = self.core.with_books(round) else {
            return;
        };
        let mut call = Patience::lasting(CALL);
        loop {
            let patience = Patience::lasting(WATCH);
            if last.stream {
                patience.spin(|| false);
            } else {
                while !patience.park() {}
            }
            match self.core.with_state(|state| state.watch(self.home, &last)) {
                Some(round) => last = round,
                None => break,
            }
            if call.is_over() {
                self.core.lookers.call_old();
                call = Patience::lasting(CALL);
            }
        }
        self.core.lookers.call_all();
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
            // Since it was listed, code of the user's has run on this thread, wakers and drops, and may have
            // parked it for a reason of its own: with the wake-up that was meant for here.
            let ended = !self.called.load(Ordering::Acquire) && patience.park();
            let up = (self.core).with_books(|state| state.look_up(self.home, self.number, ended));
            if up != LookUp::Park {
                return up;
            }
        }
    }
}
