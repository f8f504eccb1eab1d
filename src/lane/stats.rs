//! What a lane counts, and how it is read.

use std::{fmt, panic::Location, time::Duration};

use super::histogram::Histogram;
use crate::sync::Arc;

/// How a job ended, for the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Completed,
    Panicked,
    Cancelled,
    TimedOut,
    NoThread,
    NoRuntime,
    Unavailable,
}

impl Outcome {
    /// In the order in which they are declared.
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 7] = [
        Self::Completed,
        Self::Panicked,
        Self::Cancelled,
        Self::TimedOut,
        Self::NoThread,
        Self::NoRuntime,
        Self::Unavailable,
    ];

    /// Of a job that was run to its end.
    pub(crate) fn of_run(panicked: bool) -> Self {
        if panicked {
            Self::Panicked
        } else {
            Self::Completed
        }
    }

    /// What it is called in metrics and events.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Panicked => "panicked",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::NoThread => "no_thread",
            Self::NoRuntime => "no_runtime",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The counters, kept under the lane's lock.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) waiting: usize,
    pub(crate) running: usize,
    pub(crate) draining: usize,
    /// Those that have a caller.
    pub(crate) suspended: usize,
    pub(crate) detached: usize,
    pub(crate) peak_waiting: usize,
    pub(crate) peak_busy: usize,
    pub(crate) submitted: u64,
    pub(crate) refused: u64,
    pub(crate) late_panics: u64,
    outcomes: [u64; 7],
    queue_time: Histogram,
    run_time: Histogram,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            waiting: 0,
            running: 0,
            draining: 0,
            suspended: 0,
            detached: 0,
            peak_waiting: 0,
            peak_busy: 0,
            submitted: 0,
            refused: 0,
            late_panics: 0,
            outcomes: [0; 7],
            queue_time: Histogram::new(),
            run_time: Histogram::new(),
        }
    }

    pub(crate) fn started(&mut self, detached: bool, waited: Duration) {
        self.waiting -= 1;
        if detached {
            self.draining += 1;
            self.detached += 1;
        } else {
            self.running += 1;
        }
        self.peak_busy = self.peak_busy.max(self.running + self.draining);
        self.queue_time.record(waited);
    }

    /// The caller of a job that is on a thread is gone.
    pub(crate) fn abandoned(&mut self, before: JobState) {
        if before == JobState::Suspended {
            self.suspended -= 1;
        } else {
            self.running -= 1;
            self.draining += 1;
        }
    }

    /// A job on a thread waits for others.
    pub(crate) fn suspended(&mut self, state: JobState) {
        if state == JobState::Running {
            self.running -= 1;
            self.suspended += 1;
        } else {
            self.draining -= 1;
        }
    }

    /// It goes on.
    pub(crate) fn resumed(&mut self, state: JobState) {
        if state == JobState::Running {
            self.suspended -= 1;
            self.running += 1;
            self.peak_busy = self.peak_busy.max(self.running + self.draining);
        } else {
            self.draining += 1;
        }
    }

    pub(crate) fn count(&mut self, outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
    }

    pub(crate) fn ran(&mut self, ran: Duration) {
        self.run_time.record(ran);
    }

    pub(crate) fn finished(&mut self, outcome: Outcome, ran: Duration) {
        self.count(outcome);
        self.ran(ran);
    }

    pub(crate) fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }
}

/// What a lane has done and is doing, read at one moment by [`Lane::stats`](crate::Lane::stats).
///
/// All figures are of the same moment: they are read under one lock. Always true of them:
///
/// - `running + draining + suspended - lent ≤ limit`
/// - `submitted = waiting + running + suspended + detached + completed + panicked + cancelled +
///   timed_out + no_thread + no_runtime + unavailable`
///
/// A job whose caller has gone is counted as `cancelled` or `timed_out` at that moment, and as
/// `draining` besides until its thread is free.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Jobs in the queue.
    pub waiting: usize,
    /// Jobs on a thread, with a caller.
    pub running: usize,
    /// Jobs on a thread whose caller is gone. They hold their slots until their threads are free.
    pub draining: usize,
    /// Jobs on a thread, with a caller, that wait in [`Job::block_on`](crate::Job::block_on) for
    /// other jobs, and whose slots these may have meanwhile.
    pub suspended: usize,
    /// Slots of suspended jobs in which others run at this moment.
    pub lent: usize,
    /// Jobs on threads that were [detached](crate::Task::detach) and have no outcome yet. They are
    /// among the draining.
    pub detached: usize,
    /// How many jobs may run at once, those that drain included. One that is suspended counts as
    /// well, unless its slot is lent.
    pub limit: usize,
    /// How many jobs may wait; `None` for any number.
    pub queue: Option<usize>,
    /// Threads that serve the lane at this moment, idle ones included.
    pub workers: usize,
    /// Threads that serve the lane and have nothing to do. They leave soon.
    pub idle: usize,
    /// Threads that were asked for and have not come yet.
    pub starting: usize,
    /// For how long none of these has come. On Tokio's pool, more than a few
    /// milliseconds mean that the pool itself is exhausted: its threads
    /// (`max_blocking_threads`, 512 by default) are all busy, with this lane's work or another's.
    pub starting_for: Option<Duration>,
    /// Jobs ever handed in and not refused. Those whose time was up or whose token was cancelled
    /// already are among them.
    pub submitted: u64,
    /// Calls that were not: the lane was full or closed, or there was no runtime.
    pub refused: u64,
    /// Jobs that returned a value.
    pub completed: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs whose caller went away or cancelled them, that a token, their group or a shutdown
    /// cancelled, or that waited in a circle; waiting or running.
    pub cancelled: u64,
    /// Jobs whose deadline passed, waiting or running.
    pub timed_out: u64,
    /// Jobs that failed because no thread could be had.
    pub no_thread: u64,
    /// Jobs that failed because their runtime went away.
    pub no_runtime: u64,
    /// Jobs that failed because what they are for could not be made: of a
    /// [`Resource`](crate::Resource).
    pub unavailable: u64,
    /// Panics that nobody was told of: of a job whose caller was gone, in the `Drop` of what a
    /// job had captured or returned, or in a hook that a cancel ran.
    pub late_panics: u64,
    /// The largest number of jobs that were ever in the queue.
    pub peak_waiting: usize,
    /// The largest number of jobs that ever ran at once, those that drained included.
    pub peak_running: usize,
    /// How long jobs that started had waited.
    pub queue_time: Histogram,
    /// How long jobs ran, until their threads were free.
    pub run_time: Histogram,
}

impl super::state::State {
    pub(crate) fn stats(&self, now: tokio::time::Instant) -> Stats {
        let counts = &self.counts;
        let starting = || self.homes.iter().filter_map(|home| home.starting);
        Stats {
            waiting: counts.waiting,
            running: counts.running,
            // A suspended job whose caller has gone is on its way out too.
            draining: counts.draining + (self.suspended.jobs - counts.suspended),
            suspended: counts.suspended,
            lent: self.suspended.borrowed,
            detached: counts.detached,
            limit: self.limit,
            queue: self.queue,
            workers: self.homes.iter().map(super::home::Home::present).sum(),
            idle: self.homes.iter().map(|home| home.idle.len()).sum(),
            starting: starting().map(|starting| starting.threads).sum(),
            starting_for: starting()
                .map(|starting| now.saturating_duration_since(starting.since))
                .max(),
            submitted: counts.submitted,
            refused: counts.refused,
            completed: counts.of(Outcome::Completed),
            panicked: counts.of(Outcome::Panicked),
            cancelled: counts.of(Outcome::Cancelled),
            timed_out: counts.of(Outcome::TimedOut),
            no_thread: counts.of(Outcome::NoThread),
            no_runtime: counts.of(Outcome::NoRuntime),
            unavailable: counts.of(Outcome::Unavailable),
            late_panics: counts.late_panics,
            peak_waiting: counts.peak_waiting,
            peak_running: counts.peak_busy,
            queue_time: counts.queue_time.clone(),
            run_time: counts.run_time.clone(),
        }
    }
}

/// A job that is in a lane, as [`Lane::jobs`](crate::Lane::jobs) and
/// [`Stuck`](super::Stuck) list it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JobInfo {
    /// The lane it is in.
    pub lane: Arc<str>,
    /// What it was labelled with.
    pub label: Option<Arc<str>>,
    /// Where it was handed in.
    pub location: &'static Location<'static>,
    /// Where it is.
    pub state: JobState,
    /// How long it was, or has been, in the queue.
    pub waited: Duration,
    /// How long it has been on a thread; zero if it still waits.
    pub ran: Duration,
}

impl fmt::Display for JobInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.label {
            write!(f, "`{label}` ")?;
        }
        write!(
            f,
            "of lane `{}`, handed in at {}, ",
            self.lane, self.location
        )?;
        match self.state {
            JobState::Waiting => write!(f, "waiting for {:?}", self.waited),
            JobState::Running => write!(f, "running for {:?}", self.ran),
            JobState::Draining => write!(f, "draining, on its thread for {:?}", self.ran),
            JobState::Suspended => write!(
                f,
                "suspended as it waits for other jobs, on its thread for {:?}",
                self.ran
            ),
        }
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobState {
    /// In the queue.
    Waiting,
    /// On a thread, and somebody waits for its outcome.
    Running,
    /// On a thread, and nobody does any more.
    Draining,
    /// On a thread, and waiting for other jobs, which may have its slot meanwhile.
    Suspended,
}
