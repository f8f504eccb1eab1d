//! Why an operation on the network ended without its result, and when it has to.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use crate::{error::Cancelled, job::Job};

/// How long after a job's deadline a thread leaves by itself.
///
/// At the deadline the lane cancels the job, and tells its caller so. But where nobody drives the
/// runtime of the caller, nobody keeps its time either, and the thread has to see for itself.
const GRACE: Duration = Duration::from_millis(25);

/// Why an operation ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody waits for the job any more.
    Cancelled,
    /// The job's time is up.
    Deadline,
    /// The time that ureq gives the operation is up.
    Timeout,
    /// The same, by the name that ureq has for it.
    Late(ureq::Timeout),
    /// Nobody takes what has come already, so there is no hurry to wait for more.
    Idle,
    /// The system, or the peer.
    Io(io::Error),
}

impl Stop {
    /// By the name that ureq has for it, if it is a timeout.
    pub(super) fn named(self, name: ureq::Timeout) -> Self {
        match self {
            Self::Timeout => Self::Late(name),
            other => other,
        }
    }

    /// The same once more, for whoever tries again.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Cancelled => Self::Cancelled,
            Self::Deadline => Self::Deadline,
            Self::Timeout => Self::Timeout,
            Self::Late(name) => Self::Late(*name),
            Self::Idle => Self::Idle,
            Self::Io(error) => Self::Io(match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => error.kind().into(),
            }),
        }
    }
}

impl From<io::Error> for Stop {
    /// The way back from below.
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Io)
    }
}

impl From<Stop> for io::Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Io(error) => error,
            other => Self::other(other),
        }
    }
}

impl std::error::Error for Stop {}

impl From<Cancelled> for Stop {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => Cancelled.fmt(f),
            Self::Deadline | Self::Timeout | Self::Late(_) => f.write_str("time is up"),
            Self::Idle => Idle.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// What [`Stop::Idle`] is on its way through ureq: reading can go on later where it stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle;

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads")
    }
}

impl std::error::Error for Idle {}

/// By when an operation has to be over, in real time. By default never.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Until(Option<Instant>);

impl Until {
    /// `None`, and a time too long to be represented, are for ever.
    pub(super) fn after(time: Option<Duration>) -> Self {
        Self(time.and_then(|time| Instant::now().checked_add(time)))
    }

    /// The same, or after this time if that is sooner.
    pub(super) fn within(self, time: Duration) -> Self {
        Self(self.0.into_iter().chain(Self::after(Some(time)).0).min())
    }

    pub(super) const NEVER: Self = Self(None);

    pub(super) fn left(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }
}

/// Has the operation go on, and says how long it may still take: for as long as `until` and the
/// job, if this thread runs one, both allow.
///
/// To be asked again after each wait: a job's time is Tokio's, which a test may have paused.
pub(super) fn time_left(job: Option<&Job>, until: Until) -> Result<Option<Duration>, Stop> {
    let mut left = until.left();
    if let Some(job) = job {
        job.check()?;
        if let Some(deadline) = job.deadline() {
            // A deadline without end stays one.
            let end = deadline.checked_add(GRACE).unwrap_or(deadline);
            let of_job = end.saturating_duration_since(tokio::time::Instant::now());
            if of_job.is_zero() {
                return Err(Stop::Deadline);
            }
            left = left.into_iter().chain([of_job]).min();
        }
    }
    if left.is_some_and(|time| time.is_zero()) {
        return Err(Stop::Timeout);
    }
    Ok(left)
}
