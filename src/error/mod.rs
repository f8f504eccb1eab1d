//! What a call through a lane can come to, other than its value.
//!
//! One enum, because a caller matches on it in one place. Every variant says when it happens and
//! which setting governs it. `Display` tells this level only; where there is a cause, it is the
//! `source()`.

mod panic;
#[cfg(test)]
mod tests;
mod unavailable;

use std::{fmt, io, sync::Arc, time::Duration};

pub(crate) use self::panic::{call_quietly, catch, catch_for_later, drop_quietly};
pub use self::{
    panic::{Panic, PanicPlace, locate_panics},
    unavailable::Unavailable,
};

/// Why a job did not give its caller a value.
///
/// A job resolves exactly once: with what its closure returned, or with one of these.
///
/// # Examples
///
/// ```
/// use longshore::{Error, Lane};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lane = Lane::builder("billing").limit(1).queue(0).build();
/// let (release, gate) = std::sync::mpsc::channel::<()>();
/// let busy = lane.offload(move || gate.recv());
///
/// match lane.offload(|| "next").await {
///     Err(Error::QueueFull { limit, .. }) => assert_eq!(limit, 1),
///     other => panic!("expected a refusal, got {other:?}"),
/// }
/// # drop(release);
/// # let _ = busy.await;
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lane holds as many jobs as it may: every thread and every place in the queue is taken, or
    /// [reserved](crate::Lane::reserve).
    ///
    /// The bounds are [`Builder::limit`](crate::lane::Builder::limit) and
    /// [`Builder::queue`](crate::lane::Builder::queue). The closure was dropped without being run.
    /// A group's [`limit`](crate::group::Builder::limit) keeps its children from filling the queue.
    #[error(
        "lane `{lane}` is full, with room for {} ({limit} on {}, {queue} in the queue): \
         {running} running, {draining} draining, {waiting} waiting or reserved",
        counted(limit.saturating_add(*queue), "job", "jobs"),
        if *limit == 1 { "a thread" } else { "threads" }
    )]
    #[non_exhaustive]
    QueueFull {
        /// The lane that refused.
        lane: Arc<str>,
        /// Jobs that run and have a caller.
        running: usize,
        /// Jobs whose caller is gone and whose thread is not yet free.
        draining: usize,
        /// How many jobs may run at once.
        limit: usize,
        /// Jobs that are not on a thread yet, and places that are reserved. Jobs for whom a thread
        /// is on its way are among them, so that this can be more than `queue`.
        waiting: usize,
        /// How many jobs may wait.
        queue: usize,
    },

    /// The deadline passed, in the queue or on a thread.
    ///
    /// Set by `timeout` or `deadline`, on the [builder](crate::lane::Builder::timeout), for
    /// [one call](crate::Lane::timeout) or for the [group](crate::group::Builder::timeout) that has the job. A job that timed out while waiting never ran; one that
    /// timed out while running was cancelled and drains until its thread is free.
    #[error(
        "timed out while {phase} in lane `{lane}`, after {waited:?} in the queue and {ran:?} running"
    )]
    #[non_exhaustive]
    TimedOut {
        /// The lane the job was in.
        lane: Arc<str>,
        /// Where the deadline found the job.
        phase: Phase,
        /// How long the job was in the queue.
        waited: Duration,
        /// How long the job had been running; zero if it never started.
        ran: Duration,
    },

    /// The job was cancelled while its caller was still there to hear of it: by
    /// [`Task::cancel`](crate::Task::cancel), by a [`Canceller`](crate::job::Canceller), by a
    /// [`CancelToken`](crate::CancelToken), by its [`Group`](crate::Group) or by
    /// [`Lane::shutdown`](crate::Lane::shutdown).
    #[error("cancelled while {phase} in lane `{lane}`")]
    #[non_exhaustive]
    Cancelled {
        /// The lane the job was in.
        lane: Arc<str>,
        /// Where the cancel found the job. A job that was `Waiting` never ran.
        phase: Phase,
    },

    /// The closure panicked. The thread lives on and other jobs are untouched.
    #[error(transparent)]
    Panicked(#[from] Panic),

    /// No thread could be had for the job's runtime, and the lane had none there that the job could
    /// wait for; or the job has a deadline, and no thread could be had to keep it.
    ///
    /// The system's reason is the `source()`. The closure was dropped without being run. Nothing
    /// is switched off by it: the next job asks for a thread again.
    #[error("no thread could be started for lane `{lane}`")]
    #[non_exhaustive]
    NoThread {
        /// The lane that asked for the thread.
        lane: Arc<str>,
        /// What the system said.
        #[source]
        cause: Arc<io::Error>,
    },

    /// The lane was closed, by [`Lane::close`](crate::Lane::close) or
    /// [`Lane::shutdown`](crate::Lane::shutdown), before the job was handed in.
    #[error("lane `{lane}` is closed")]
    #[non_exhaustive]
    Closed {
        /// The closed lane.
        lane: Arc<str>,
    },

    /// There is no Tokio runtime whose blocking pool could run the job: the call came from
    /// outside of one, or the runtime shut down while the job waited.
    ///
    /// Only lanes on Tokio's blocking pool (the default) need a runtime;
    /// [own threads](crate::lane::Builder::own_threads) do not. Synchronous code that has a
    /// [`Bridge`](crate::Bridge) hands the job in inside of the future, where the bridge's runtime is:
    /// `bridge.call(async { lane.offload(f).await })`.
    #[error(
        "no running Tokio runtime to run a job of lane `{lane}` on: hand it in where there is one \
         (through a bridge: in the future itself), or give the lane threads of its own \
         (`own_threads`)"
    )]
    #[non_exhaustive]
    NoRuntime {
        /// The lane the job was meant for.
        lane: Arc<str>,
    },

    /// The object of a [`Resource`](crate::Resource) could not be made, and there was no other.
    ///
    /// What the maker said is the `source()`. Every call that waited is told, and none of the
    /// closures was run; the next call has the maker tried again.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),

    /// A closure that has the object of a [`Resource`](crate::Resource) waits for this call, which
    /// needs the object as well.
    ///
    /// The closure was dropped without being run. Do both in one closure, or give the object back
    /// first.
    #[error("the object of `{lane}` is in use by a closure that waits for this one")]
    #[non_exhaustive]
    InUse {
        /// The name of the resource.
        lane: Arc<str>,
    },

    /// The job waits, in the end, for the job that waits for it: neither would ever go on.
    ///
    /// Told to one of the jobs in such a circle, each of which waits for the next and for nothing
    /// else, in [`Job::block_on`](crate::Job::block_on). The job that was waited for is cancelled.
    ///
    /// And to a job that sends what the job that waits for it brings, a stream, where there is but one thread
    /// for both and no other can be had.
    #[error("a job of lane `{lane}` waits for the job that waits for it")]
    #[non_exhaustive]
    WouldDeadlock {
        /// The lane of the job that was waited for.
        lane: Arc<str>,
    },

    /// A child of a [`Group`](crate::Group) was stopped by its group, or never got into it.
    ///
    /// Said of children that are futures, and of those that the group has not handed to their lane
    /// yet. A job that is in its lane is told what the lane tells: [`Cancelled`](Self::Cancelled) or
    /// [`TimedOut`](Self::TimedOut).
    #[error("{}", cause.told(group, *phase))]
    #[non_exhaustive]
    Stopped {
        /// The group the child was in, or was meant for.
        group: Arc<str>,
        /// What stopped it.
        cause: Stop,
        /// Where that found the child. One that was `Waiting` never ran: a future was not polled
        /// once.
        phase: Phase,
    },
}

impl Error {
    /// True if the deadline passed, in the queue or on a thread.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. }
                | Self::Stopped {
                    cause: Stop::TimedOut,
                    ..
                }
        )
    }

    /// True if the job was cancelled, other than by its deadline.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled { .. }
                | Self::Stopped {
                    cause: Stop::Cancelled,
                    ..
                }
        )
    }

    /// True if the closure panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panicked(_))
    }

    /// True if the lane was full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::QueueFull { .. })
    }

    /// True if the closure has certainly not run, not even in part: the call may be made again
    /// elsewhere without doing anything twice.
    #[must_use]
    pub fn never_started(&self) -> bool {
        match self {
            Self::QueueFull { .. }
            | Self::NoThread { .. }
            | Self::Closed { .. }
            | Self::NoRuntime { .. }
            | Self::Unavailable(_)
            | Self::InUse { .. } => true,
            Self::TimedOut { phase, .. }
            | Self::Cancelled { phase, .. }
            | Self::Stopped { phase, .. } => matches!(phase, Phase::Waiting),
            Self::Panicked(_) | Self::WouldDeadlock { .. } => false,
        }
    }
}

/// A number of things, in words: `1 job`, `2 jobs`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What stopped a child of a group; see [`Error::Stopped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// The group was cancelled, or a token or a group that it is under, or it was dropped.
    Cancelled,
    /// The group's deadline passed, or that of a group that it is in.
    TimedOut,
    /// The group was closed before the child came: it was shut down, or joined.
    Closed,
    /// There was no runtime to run the future on, or it shut down.
    NoRuntime,
}

impl Stop {
    fn told(self, group: &str, phase: Phase) -> String {
        match self {
            Self::Cancelled => format!("cancelled while {phase} in group `{group}`"),
            Self::TimedOut => format!("timed out while {phase} in group `{group}`"),
            Self::Closed => format!("group `{group}` is closed"),
            Self::NoRuntime => {
                format!("no running Tokio runtime for a future of group `{group}`")
            }
        }
    }
}

/// Where a job was when something happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// In the lane's queue.
    Waiting,
    /// On a thread.
    Running,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
        })
    }
}

/// The answer of [`Job::check`](crate::Job::check): this job was cancelled, for whatever reason.
///
/// It converts into an [`io::Error`] (of kind `Other`, since several libraries retry
/// `Interrupted` by themselves), so that `job.check()?` reads well in code that does I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the job was cancelled")]
pub struct Cancelled;

impl From<Cancelled> for io::Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::other(cancelled)
    }
}
