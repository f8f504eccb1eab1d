//! What a lane keeps for one runtime.
//!
//! A lane may be used from several runtimes. A job runs on a worker of the runtime it was handed
//! in from, so that `Handle::current()` in it is the one its author means, and so that no runtime,
//! when it is dropped, waits for a thread that works for another. Jobs handed in outside of any
//! runtime have a home of their own.
//!
//! A home exists while it has a job or a worker, and is forgotten after.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::atomic::Ordering,
    task::Waker,
    time::{Duration, Instant as RealInstant},
};

use slab::Slab;
use tokio::{runtime, time::Instant};

use super::{
    fifo::Fifo,
    state::{Entry, Key},
};
use crate::sync::{Arc, AtomicBool, Thread};

/// After a refused thread, and with workers that serve the queue, how long not to ask again: a
/// lane under load would otherwise spend its time on failing `clone` calls.
const REFUSED_FOR: Duration = Duration::from_millis(10);

/// A number that no other home of the lane has had.
pub(crate) type HomeId = u64;

pub(crate) struct Home {
    pub(crate) id: HomeId,
    pub(crate) runtime: Option<runtime::Handle>,
    /// Slots of the jobs that wait.
    pub(crate) queue: Fifo<usize>,
    /// Jobs of this home, in the queue and on threads.
    pub(crate) jobs: usize,
    /// Threads that serve this home or have been asked for.
    pub(crate) workers: usize,
    /// Threads that have been asked for and have not come yet.
    pub(crate) starting: Option<Starting>,
    /// Workers that are parked, the last to park first to be woken.
    pub(crate) idle: Vec<Idle>,
    /// How many wake-ups and starts are under way.
    pub(crate) waking: usize,
    /// Whether a worker looks every now and then if the waiting jobs are being served.
    pub(crate) watch: Watch,
    /// How many of the workers that were taken off `idle` should leave.
    pub(crate) leaving: usize,
    /// The runtime is shutting down: nothing starts here any more.
    pub(crate) closed: bool,
    /// The runtime is shutting down, and jobs go on without it: no task keeps their time.
    pub(crate) orphaned: bool,
    refused: Option<RealInstant>,
    alarms: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    /// For when the keepers are set; `None` if for nothing.
    armed: Option<Instant>,
    keepers: [Option<Waker>; 2],
    /// A thread keeps the deadlines, as there is no runtime that could.
    pub(crate) timer_thread: bool,
}

/// Threads that have been asked for and have not come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Starting {
    pub(crate) threads: usize,
    /// When the first of them was asked for, or when one last came.
    pub(crate) since: Instant,
}

/// Whether somebody watches over the waiting jobs of a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Off,
    /// The next worker to come will.
    Wanted,
    On,
}

/// A worker that has nothing to do.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) worker: u64,
    pub(crate) thread: Thread,
    /// Raised, under the lane's lock, when the worker is taken off the list.
    pub(crate) called: Arc<AtomicBool>,
    /// It looks at `called` all the time and need not be woken.
    pub(crate) spinning: bool,
}

impl Idle {
    /// Calls the worker back; what is returned has to be unparked after the lock.
    pub(crate) fn call(self) -> Option<Thread> {
        self.called.store(true, Ordering::Release);
        (!self.spinning).then_some(self.thread)
    }
}

/// Who keeps the time of a home: see [`super::keeper`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// An async task of the home's runtime.
    Task = 0,
    /// A thread, where no runtime keeps time.
    Thread = 1,
}

impl Home {
    pub(crate) fn new(id: HomeId, runtime: Option<runtime::Handle>) -> Self {
        Self {
            id,
            runtime,
            queue: Fifo::new(),
            jobs: 0,
            workers: 0,
            starting: None,
            idle: Vec::new(),
            waking: 0,
            watch: Watch::Off,
            leaving: 0,
            closed: false,
            orphaned: false,
            refused: None,
            alarms: BinaryHeap::new(),
            armed: None,
            keepers: [None, None],
            timer_thread: false,
        }
    }

    pub(crate) fn serves(&self, runtime: Option<&runtime::Handle>) -> bool {
        self.runtime.as_ref().map(runtime::Handle::id) == runtime.map(runtime::Handle::id)
    }

    /// Threads that have come and not gone.
    pub(crate) fn present(&self) -> usize {
        self.workers - self.starting.map_or(0, |starting| starting.threads)
    }

    /// A thread has been asked for.
    pub(crate) fn asked(&mut self) {
        self.workers += 1;
        self.waking += 1;
        let starting = self.starting.get_or_insert_with(|| Starting {
            threads: 0,
            since: Instant::now(),
        });
        starting.threads += 1;
    }

    /// A thread that had been asked for has come, or is known not to.
    pub(crate) fn answered(&mut self) {
        self.waking -= 1;
        self.starting = self.starting.and_then(|Starting { threads, .. }| {
            (threads > 1).then(|| Starting {
                threads: threads - 1,
                since: Instant::now(),
            })
        });
    }

    /// The worker that was to watch will not come.
    pub(crate) fn nobody_comes(&mut self) {
        if self.watch == Watch::Wanted {
            self.watch = Watch::Off;
        }
    }

    pub(crate) fn refuse_threads(&mut self) {
        self.refused = Some(RealInstant::now());
    }

    /// Whether it makes sense to ask for a thread.
    pub(crate) fn may_start(&self) -> bool {
        self.workers == 0 || self.refused.is_none_or(|at| at.elapsed() >= REFUSED_FOR)
    }

    /// Whether a worker can be had for a job that waits here.
    pub(crate) fn can_be_served(&self) -> bool {
        !self.idle.is_empty() || self.may_start()
    }

    /// Wake-ups of parked workers that are under way. They come soon, which cannot be said of
    /// threads that were asked for: Tokio's pool may have none to spare.
    pub(crate) fn woken(&self) -> usize {
        self.waking - self.starting.map_or(0, |starting| starting.threads)
    }

    /// How many are on their way to what waits here. Beside a parked worker, which would come at once,
    /// threads that were asked for do not count.
    pub(crate) fn on_the_way(&self) -> usize {
        if self.idle.is_empty() {
            self.waking
        } else {
            self.woken()
        }
    }

    // ===== Deadlines =====

    /// Notes a job's deadline, which has to be [`armed`](Self::arm) for.
    pub(crate) fn note_deadline(&mut self, deadline: Instant, key: Key, jobs: &Slab<Entry>) {
        if self.alarms.len() > 2 * self.jobs + 64 {
            // Alarms of jobs that are over are left behind; this pays for itself.
            self.alarms
                .retain(|&Reverse((_, ticket, slot))| is_alive(jobs, slot, ticket));
        }
        self.alarms.push(Reverse((deadline, key.ticket, key.slot)));
    }

    /// Has the keepers come in time for a deadline. Returns whom to tell, if that is the earliest.
    pub(crate) fn arm(&mut self, deadline: Instant) -> [Option<Waker>; 2] {
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return [None, None];
        }
        self.armed = Some(deadline);
        self.take_keepers()
    }

    /// The jobs whose time is up, and when to look again. The keeper leaves its waker here.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        keeper: Keeper,
        waker: Waker,
        jobs: &Slab<Entry>,
    ) -> (Vec<Key>, Option<Instant>) {
        self.keepers[keeper as usize] = Some(waker);
        let mut due = Vec::new();
        while let Some(&Reverse((deadline, ticket, slot))) = self.alarms.peek() {
            let alive = is_alive(jobs, slot, ticket);
            if alive && deadline > now {
                break;
            }
            self.alarms.pop();
            if alive {
                due.push(Key { slot, ticket });
            }
        }
        self.armed = self.alarms.peek().map(|Reverse((deadline, ..))| *deadline);
        (due, self.armed)
    }

    pub(crate) fn take_keepers(&mut self) -> [Option<Waker>; 2] {
        std::mem::take(&mut self.keepers)
    }

    /// When the keepers will look, if they have any reason to.
    pub(crate) fn armed(&self) -> Option<Instant> {
        self.armed
    }

    pub(crate) fn has_alarms(&self) -> bool {
        !self.alarms.is_empty()
    }
}

fn is_alive(jobs: &Slab<Entry>, slot: usize, ticket: u64) -> bool {
    jobs.get(slot).is_some_and(|entry| entry.ticket == ticket)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::{
        super::{
            inbox::Arrival,
            state::{State, Step, Take, Threads},
        },
        *,
    };
    use crate::{
        job::{Cell, Job, Meta},
        sync::{self, test},
    };

    fn a_job() -> Arrival {
        Arrival {
            work: Arc::new(Cell::new(Meta::plain(), |_: &Job| Ok(()))),
            ties: None,
        }
    }

    #[test]
    fn a_thread_that_is_long_in_coming_keeps_no_parked_worker_from_being_called() {
        test(|| {
            let threads = Threads {
                linger: true,
                always_come: false,
                shared: false,
            };
            let mut state = State::new(2, None, threads, Arc::default());
            let runtime = Builder::new_current_thread().build().unwrap();
            let (mine, _) = state.home_for(Some(runtime.handle().clone()));
            let (other, _) = state.home_for(None);
            let home = &mut state.homes[mine];
            home.workers = 1;
            home.idle.push(Idle {
                worker: 0,
                thread: sync::current(),
                called: Arc::new(AtomicBool::new(false)),
                spinning: false,
            });
            home.asked();
            state.push(mine, a_job());
            state.push(other, a_job());
            let other = state.homes[other].id;
            let taken = state.take(other, Instant::now());
            assert!(matches!(taken, Take::Nothing), "the older job goes first");
            assert!(matches!(state.next_step(), Some(Step::Wake(_))));
        });
    }
}
