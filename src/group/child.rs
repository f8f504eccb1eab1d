//! A child on the books of its group.

use std::{panic::Location, sync::atomic::Ordering};

use tokio::{task::AbortHandle, time::Instant};

use super::info::ChildInfo;
use crate::{
    job::Awaited,
    lane::JobState,
    sync::{Arc, AtomicBool, Weak},
};

/// Where a child stands on the books, and which one stood there: places are used again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) slot: usize,
    pub(super) number: u64,
}

/// What is known of a child from the start.
pub(super) struct Birth {
    pub(super) label: Option<Arc<str>>,
    pub(super) location: &'static Location<'static>,
    pub(super) lane: Option<Arc<str>>,
}

pub(super) struct Child {
    pub(super) number: u64,
    pub(super) birth: Birth,
    pub(super) since: Instant,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// In the group's queue.
    Waiting,
    /// On its way to its runtime or lane.
    Starting,
    Future(AbortHandle),
    /// In its lane; the flag goes up when its thread has taken it.
    Job(Arc<AtomicBool>, Weak<dyn Offloaded>),
    /// It was told of.
    Draining,
}

/// What a child that is a job is to those who wait for its group.
pub(super) trait Offloaded: Send + Sync {
    /// The job, as long as it has no outcome.
    fn awaited(&self) -> Option<Awaited>;
}

impl Child {
    /// As reports name it. `stopped` says whether the children of its group were told to stop.
    pub(super) fn info(&self, group: &Arc<str>, now: Instant, stopped: bool) -> ChildInfo {
        ChildInfo {
            group: group.clone(),
            lane: self.birth.lane.clone(),
            label: self.birth.label.clone(),
            location: self.birth.location,
            state: self.place(stopped),
            age: now.saturating_duration_since(self.since),
        }
    }

    fn place(&self, stopped: bool) -> JobState {
        let is_future = self.birth.lane.is_none();
        match &self.stage {
            Stage::Draining => JobState::Draining,
            Stage::Starting | Stage::Future(_) if is_future && stopped => JobState::Draining,
            Stage::Future(_) => JobState::Running,
            Stage::Job(taken, _) if taken.load(Ordering::Relaxed) => JobState::Running,
            Stage::Waiting | Stage::Starting | Stage::Job(..) => JobState::Waiting,
        }
    }
}
