//! The lane's lock, and what happens right after it.
//!
//! Every method here has the same shape: one step on the [books](super::state) under the lock,
//! then, with the lock released, whatever concerns the world: wakers, threads, hooks, and values of
//! the user's that have to be dropped.
//!
//! Lock order: a lane's lock, then a cell's. Neither is held while anything of the user's runs,
//! nor while a thread is started or woken.

use std::{io, task::Waker, time::Duration};

use tokio::{runtime, time::Instant};

#[cfg(feature = "metrics")]
use super::meters::Meters;
use super::{
    doubt::Doubt,
    home::{Home, HomeId},
    inbox::{Arrival, Inbox},
    keeper,
    lookers::Lookers,
    observe::{self, Took},
    signal::Signal,
    source::Source,
    state::{State, Step, Threads, Ties},
    stats::{JobInfo, JobState, Stats},
    worker::Worker,
};
use crate::{
    error::{Error, Phase, call_quietly},
    job::{Cause, Work},
    sync::{Arc, Mutex, Thread},
};

pub(crate) struct Core {
    pub(crate) name: Arc<str>,
    pub(crate) limit: usize,
    pub(crate) source: Source,
    pub(crate) inbox: Arc<Inbox>,
    /// What the pace of the jobs says to callers, who see it without the lock.
    pub(super) signal: Arc<Signal>,
    /// Whether tasks look out for outcomes in vain.
    pub(super) doubt: Doubt,
    /// Those that do.
    pub(super) lookers: Lookers,
    #[cfg(feature = "metrics")]
    pub(super) meters: Meters,
    state: CacheLine<Mutex<State>>,
}

/// Keeps what workers write away from what callers write: two lines, as processors fetch in pairs.
#[repr(align(128))]
struct CacheLine<T>(T);

impl Core {
    pub(crate) fn new(name: Arc<str>, limit: usize, queue: Option<usize>, source: Source) -> Self {
        let inbox = Arc::new(Inbox::default());
        let threads = Threads {
            linger: source.linger().is_some(),
            always_come: !source.needs_runtime(),
            shared: source.is_shared(),
        };
        let state = State::new(limit, queue, threads, inbox.clone());
        Self {
            #[cfg(feature = "metrics")]
            meters: Meters::new(&name),
            name,
            limit,
            source,
            inbox,
            signal: state.signal.clone(),
            doubt: Doubt::default(),
            lookers: Lookers::default(),
            state: CacheLine(Mutex::new(state)),
        }
    }

    /// One step on the books, which are exact, and after it the wake-ups that it brought.
    pub(crate) fn with_state<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        self.with_books(|state| {
            state.carry_over();
            step(state)
        })
    }

    /// One step on the books as they are: jobs may have come in of which they do not know.
    pub(crate) fn with_books<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.0.lock();
        let result = step(&mut state);
        state.lend();
        let (calls, told, retired) = state.take_leftovers();
        drop(state);
        wake(calls);
        self.lookers.call(&told);
        // The last handle of a runtime drops its hooks, which are the user's.
        drop(retired);
        result
    }

    // ===== Handing in =====

    /// Takes a job into the queue, or says why not.
    ///
    /// With `reserved`, room was made for it beforehand. What it is tied to goes with it: dropped with
    /// its books, and here if it is refused, under no lock in either case.
    pub(crate) fn submit(
        self: &Arc<Self>,
        work: Arc<dyn Work>,
        ties: Option<Box<Ties>>,
        reserved: bool,
    ) -> Result<(), Error> {
        observe::handed_in(self, work.meta());
        let mut arrival = Arrival { work, ties };
        let runtime = self.source.runtime();
        if let Some(runtime) = runtime.as_ref().filter(|_| !reserved) {
            match self.inbox.leave(runtime.id(), arrival) {
                Ok(()) => {
                    observe::submitted(self);
                    observe::moved(self, None, Some(JobState::Waiting));
                    return Ok(());
                }
                Err(back) => arrival = back,
            }
        }
        // Not into the closure by value: if it is refused, it must not be dropped in there.
        let mut arrival = Some(arrival);
        let admitted = self.with_state(|state| {
            if reserved {
                state.spend_reservation();
            }
            if let Err(error) = self.admit(state, runtime.as_ref(), reserved) {
                state.counts.refused += 1;
                // The place that was reserved, if one was, is free for the next in line.
                state.grant();
                return Err(error);
            }
            let (at, new) = state.home_for(runtime);
            if let Some(arrival) = arrival.take() {
                state.push(at, arrival);
            }
            let timer = state.wants_timer_thread(at);
            let home = &state.homes[at];
            let keeper = new.then(|| home.runtime.clone()).flatten();
            Ok((home.id, keeper, timer, state.next_step()))
        });
        let (home, keeper, timer, step) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => {
                observe::refused(self, &error);
                return Err(error);
            }
        };
        observe::submitted(self);
        observe::moved(self, None, Some(JobState::Waiting));
        if let Some(runtime) = keeper {
            keeper::spawn(self, home, &runtime);
        }
        if timer {
            self.start_timer_thread(home);
        }
        self.perform(step);
        Ok(())
    }

    /// Counts a job whose end was known before it was taken in, and says what came of it.
    pub(crate) fn turn_away(&self, cause: &Cause, reserved: bool) -> Error {
        self.with_state(|state| {
            if reserved {
                state.give_back();
            }
            state.counts.submitted += 1;
            state.counts.count(cause.outcome());
        });
        observe::submitted(self);
        observe::ended(self, None, cause.outcome(), Took::default());
        self.error(cause, Phase::Waiting, Duration::ZERO, Duration::ZERO)
            .expect("only a dropped task has nobody to tell")
    }

    fn admit(
        &self,
        state: &mut State,
        runtime: Option<&runtime::Handle>,
        reserved: bool,
    ) -> Result<(), Error> {
        if state.closed {
            return Err(self.closed());
        }
        let dead = |home: &Home| home.closed && home.serves(runtime);
        if self.source.needs_runtime() && (runtime.is_none() || state.homes.iter().any(dead)) {
            return Err(self.no_runtime());
        }
        // What was promised is kept: a job that has gone on meanwhile may have taken the room.
        if !reserved && !state.has_room() {
            return Err(Error::QueueFull {
                lane: self.name.clone(),
                running: state.counts.running + state.counts.suspended,
                draining: state.counts.draining,
                limit: self.limit,
                waiting: state.spoken_for(),
                queue: state.queue.unwrap_or(usize::MAX),
            });
        }
        Ok(())
    }

    // ===== Workers =====

    /// Wakes or starts a worker.
    pub(crate) fn perform(self: &Arc<Self>, step: Option<Step>) {
        match step {
            None => {}
            Some(Step::Wake(thread)) => thread.unpark(),
            Some(Step::Start(home, runtime)) => {
                let worker = Worker::new(self.clone(), home);
                match self.source.start(runtime.as_ref(), worker, &self.name) {
                    Err(refusal) => self.thread_refused(home, refusal),
                    // It may be long in coming; the jobs of other runtimes do not wait for it.
                    Ok(()) => {
                        let next = self.with_books(State::next_step_elsewhere);
                        self.perform(next);
                    }
                }
            }
        }
    }

    /// No thread could be had.
    fn thread_refused(self: &Arc<Self>, id: HomeId, refusal: io::Error) {
        observe::thread_refused(self, &refusal);
        self.nobody_comes(id, &Cause::NoThread(Arc::new(refusal)));
    }

    /// A worker that was asked for will not come. Jobs wait for another that their home has; if it
    /// has none, they fail.
    pub(crate) fn nobody_comes(self: &Arc<Self>, id: HomeId, cause: &Cause) {
        let (stranded, step) = self.with_state(|state| {
            let alone = state.home(id).is_some_and(|home| {
                home.refuse_threads();
                home.workers == 1
            });
            let stranded = if alone {
                state.waiting_in(id)
            } else {
                Vec::new()
            };
            state.leave(id, false);
            // With nobody there the jobs are about to fail; do not ask again for their sake.
            (stranded, if alone { None } else { state.next_step() })
        });
        self.fail(stranded, cause);
        // But for the sake of another home, whom this one may have kept waiting.
        let step = step.or_else(|| self.with_state(State::next_step));
        self.perform(step);
    }

    /// A worker that was asked for will not come: its runtime has shut down.
    pub(crate) fn worker_lost(self: &Arc<Self>, id: HomeId) {
        self.runtime_gone(id);
        self.worker_goes(id, false);
    }

    /// A worker goes, for its own reasons; perhaps before it came.
    pub(crate) fn worker_goes(self: &Arc<Self>, id: HomeId, came: bool) {
        let step = self.with_state(|state| {
            state.leave(id, came);
            state.next_step()
        });
        self.perform(step);
    }

    // ===== Closing and reporting =====

    /// Refuses new jobs from now on. Those that wait still run.
    pub(crate) fn close(&self) {
        self.with_state(State::close);
        self.dismiss_idle();
    }

    /// Sends idle workers home, all at once.
    pub(crate) fn dismiss_idle(&self) {
        let idle = self.with_state(|state| state.dismiss_idle(None));
        idle.iter().for_each(Thread::unpark);
    }

    pub(crate) fn stats(&self) -> Stats {
        let now = Instant::now();
        self.with_state(|state| state.stats(now))
    }

    pub(crate) fn jobs(&self) -> Vec<JobInfo> {
        let now = Instant::now();
        self.with_state(|state| state.list(&self.name, now))
    }

    pub(crate) fn closed(&self) -> Error {
        Error::Closed {
            lane: self.name.clone(),
        }
    }

    pub(super) fn no_runtime(&self) -> Error {
        Error::NoRuntime {
            lane: self.name.clone(),
        }
    }

    pub(super) fn timed_out(&self, phase: Phase, waited: Duration, ran: Duration) -> Error {
        Error::TimedOut {
            lane: self.name.clone(),
            phase,
            waited,
            ran,
        }
    }

    pub(super) fn cancelled(&self, phase: Phase) -> Error {
        Error::Cancelled {
            lane: self.name.clone(),
            phase,
        }
    }
}

/// Wakes tasks. A waker is the user's code and may panic; that is no concern of ours.
pub(crate) fn wake(wakers: impl IntoIterator<Item = impl Into<Option<Waker>>>) {
    for waker in wakers {
        if let Some(waker) = waker.into() {
            call_quietly(|| waker.wake());
        }
    }
}
