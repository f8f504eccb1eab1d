//! What the watchdog keeps from one look to the next.

use std::{sync::Arc, time::Instant};

#[cfg(feature = "stall-stacks")]
use super::stack::Modules;
use super::{
    clock::Moment,
    proc::{Account, Eye, Names, Others},
    report::Stall,
    trail::{Seen, Trail},
};

#[derive(Debug, Default)]
pub(super) struct Traces {
    pub(super) workers: Vec<WorkerTrace>,
    pub(super) polls: Vec<PollTrace>,
    pub(super) names: Names,
    pub(super) crowd: Crowd,
    /// What was mapped at that moment, for samples.
    #[cfg(feature = "stall-stacks")]
    pub(super) modules: Option<(Instant, Modules)>,
}

/// How far a worker has come: parks and unparks, and time busy.
pub(super) type Progress = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct WorkerTrace {
    pub(super) progress: Option<Progress>,
    pub(super) eye: Option<(u32, Eye)>,
    /// What the thread had been given, and where the worker was when that was first seen.
    pub(super) last: Option<(Progress, Account)>,
    pub(super) trail: Option<Trail>,
    pub(super) others: Option<Before>,
    /// Nothing more is said of it until the worker goes on, or is in another poll that is watched.
    pub(super) told: Option<Told>,
    /// When the poll began that it was in when that was told.
    pub(super) told_of: Option<Moment>,
    /// It was about one call, that of the last look of the trail.
    pub(super) told_call: bool,
}

#[derive(Debug)]
pub(super) struct PollTrace {
    pub(super) thread: u32,
    pub(super) since: Moment,
    /// The worker that it runs on, and where that was when the poll was first seen.
    pub(super) on: Option<(usize, Progress)>,
    pub(super) eye: Option<Eye>,
    pub(super) trail: Trail,
    pub(super) others: Option<Before>,
    pub(super) told: Option<Told>,
}

/// What the other threads had used, and when that was.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) others: Arc<Others>,
    pub(super) at: Seen,
    /// When it was asked for the last time.
    pub(super) asked: Moment,
    /// And what it was the first time.
    pub(super) first: Arc<Others>,
}

/// What other threads did at one look, found out once for all that ask.
#[derive(Debug)]
pub(super) struct Crowd {
    at: Moment,
    /// Those of each name that was asked for.
    known: Vec<Arc<Others>>,
    read: ReadOthers,
}

/// Gives those of the same name as this thread, and this one.
pub(super) type ReadOthers = fn(u32) -> Option<Others>;

impl Default for Crowd {
    fn default() -> Self {
        Self::read_by(Others::of)
    }
}

impl Crowd {
    pub(super) fn read_by(read: ReadOthers) -> Self {
        Self {
            at: Moment::default(),
            known: Vec::new(),
            read,
        }
    }

    /// Those that are called like this thread, and this one; `None` if that cannot be told.
    pub(super) fn now(&mut self, now: Seen, thread: u32) -> Option<Arc<Others>> {
        if self.at != now.awake {
            self.at = now.awake;
            self.known.clear();
        }
        if let Some(others) = self.known.iter().find(|others| others.has(thread)) {
            return Some(others.clone());
        }
        let others = Arc::new((self.read)(thread)?);
        self.known.push(others.clone());
        Some(others)
    }
}

/// A stall that is not over.
#[derive(Debug)]
pub(super) enum Told {
    /// Somebody is to hear of its end.
    Open {
        stall: Box<Stall>,
        began: Instant,
        number: u64,
    },
    /// Nobody is, or it was told as part of another.
    Silent,
}
