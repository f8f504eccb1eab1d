//! What is under way through a bridge, or in a scope, and how it is told to end.
//!
//! Invariants:
//!
//! 1. The stage goes one way: `Open` → `Closed` → `Stopped` → `Gone` → `Over`, leaving some out.
//! 2. An entry is on the books from before its work starts until after the last of it was dropped.
//! 3. What an entry is stopped by is called exactly once: when the stage becomes `Stopped`, or at
//!    once if it is so already.
//! 4. Wakers and whatever else stops an entry are called and dropped outside of the lock.

use std::{
    fmt,
    task::{Context, Poll, Waker},
};

use futures_util::future::AbortHandle;
use slab::Slab;

use crate::{
    cancel::CancelToken,
    error::call_quietly,
    job::Canceller,
    sync::{Arc, Mutex},
};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Open,
    /// Nothing new.
    Closed,
    /// What was under way has been told to end.
    Stopped,
    /// The runtime has ended or is about to.
    Gone,
    /// And its thread with it, where that is a bridge's own.
    Over,
}

pub(super) struct Books {
    state: Mutex<State>,
    /// Cancelled when what does not end is waited for no longer.
    given_up: CancelToken,
}

struct State {
    stage: Stage,
    live: Slab<Stop>,
    /// How many of these are tasks.
    tasks: usize,
    finished: u64,
    stopped: usize,
    /// Those who wait for something to change here.
    watchers: Vec<Waker>,
}

/// What goes on with what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// Of a task: it ends only if somebody drives the runtime.
    Runtime,
    /// Of a call or a job.
    Thread,
}

/// What ends an entry.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot be told yet.
    Unset,
    /// Somebody waits, and looks at the stage when called.
    Call(Waker),
    Task(AbortHandle),
    Job(Canceller),
}

/// How many have ended by themselves, how many were told to, and how many are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) stage: Stage,
    pub(super) live: usize,
    /// Of those that are left.
    pub(super) tasks: usize,
    pub(super) finished: u64,
    pub(super) stopped: usize,
}

impl Books {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                stage: Stage::Open,
                live: Slab::new(),
                tasks: 0,
                finished: 0,
                stopped: 0,
                watchers: Vec::new(),
            }),
            given_up: CancelToken::new(),
        })
    }

    /// `None` if there is to be nothing new.
    pub(super) fn enter(self: &Arc<Self>, driver: Driver) -> Option<Entry> {
        let mut state = self.state.lock();
        if state.stage > Stage::Open {
            return None;
        }
        state.tasks += usize::from(driver == Driver::Runtime);
        Some(Entry {
            key: state.live.insert(Stop::Unset),
            driver,
            books: self.clone(),
        })
    }

    /// Brings the end as far as this, if it has not come further already.
    pub(super) fn advance(&self, stage: Stage) {
        let mut stops = Vec::new();
        let mut watchers = Vec::new();
        let mut state = self.state.lock();
        if stage > state.stage {
            if state.stage < Stage::Stopped && stage >= Stage::Stopped {
                state.stopped = state.live.len();
                for (_, stop) in &mut state.live {
                    stops.push(std::mem::replace(stop, Stop::Unset));
                }
            }
            state.stage = stage;
            watchers = std::mem::take(&mut state.watchers);
        }
        drop(state);
        for stop in stops {
            stop.call();
        }
        wake(watchers);
    }

    /// Sends away those who wait for an entry that was told to end and has not.
    pub(super) fn give_up(&self) {
        self.given_up.cancel();
    }

    pub(super) fn given_up(&self) -> &CancelToken {
        &self.given_up
    }

    pub(super) fn stage(&self) -> Stage {
        self.state.lock().stage
    }

    pub(super) fn count(&self) -> Count {
        self.state.lock().count()
    }

    /// Ready when it is so. Looks again whenever an entry ends or the stage changes.
    pub(super) fn poll_until(
        &self,
        cx: &mut Context<'_>,
        is_so: impl FnOnce(Count) -> bool,
    ) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        if is_so(state.count()) {
            drop(state);
            return Poll::Ready(());
        }
        // One who is polled more often than called is on the list once.
        if !state.watchers.iter().any(|known| known.will_wake(&waker)) {
            state.watchers.push(waker);
        }
        Poll::Pending
    }
}

impl State {
    fn count(&self) -> Count {
        Count {
            stage: self.stage,
            live: self.live.len(),
            tasks: self.tasks,
            finished: self.finished,
            stopped: self.stopped,
        }
    }
}

impl Stop {
    fn call(self) {
        match self {
            Self::Unset => {}
            Self::Call(waker) => drop(call_quietly(|| waker.wake())),
            Self::Task(task) => task.abort(),
            Self::Job(job) => job.cancel(),
        }
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.count().fmt(f)
    }
}

/// One thing that is under way; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    books: Arc<Books>,
    key: usize,
    driver: Driver,
}

impl Entry {
    /// Says how to end it. At once, if it is to end.
    pub(super) fn stopped_by(&self, stop: Stop) {
        let mut state = self.books.state.lock();
        if state.stage >= Stage::Stopped {
            drop(state);
            stop.call();
        } else {
            let before = std::mem::replace(&mut state.live[self.key], stop);
            drop(state);
            drop(before);
        }
    }

    /// Ready if it is to end. Else the waker is called when it is.
    pub(super) fn poll_stopped(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.books.state.lock();
        if state.stage >= Stage::Stopped {
            return Poll::Ready(());
        }
        if matches!(&state.live[self.key], Stop::Call(known) if known.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        // Cloning a waker is not for under the lock, and is needed once for each call.
        drop(state);
        let waker = cx.waker().clone();
        state = self.books.state.lock();
        if state.stage >= Stage::Stopped {
            return Poll::Ready(());
        }
        let before = std::mem::replace(&mut state.live[self.key], Stop::Call(waker));
        drop(state);
        drop(before);
        Poll::Pending
    }

    pub(super) fn is_gone(&self) -> bool {
        self.books.stage() >= Stage::Gone
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = self.books.state.lock();
        let stop = state.live.remove(self.key);
        state.tasks -= usize::from(self.driver == Driver::Runtime);
        if state.stage < Stage::Stopped {
            state.finished += 1;
        }
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        drop(stop);
        wake(watchers);
    }
}

fn wake(watchers: Vec<Waker>) {
    for watcher in watchers {
        call_quietly(|| watcher.wake());
    }
}
