//! What the world outside is told, if it wants to hear: the features `tracing` and `metrics`.
//!
//! An event of a job's has the span for a parent that was current where the job was handed in. What
//! every job does is told at `TRACE` and `DEBUG`, what would be silent otherwise at `WARN`.
//!
//! Never called under a lock, since both run code of the user's; a panic in that is contained, or
//! it would take a worker with it. Without the features these functions are empty.

use std::{io, time::Duration};

use tokio::time::Instant;
#[cfg(feature = "tracing")]
use tracing::{Level, Span};

use super::{
    core::Core,
    stats::{JobState, Outcome},
};
use crate::{error::Error, job::Meta};

/// What events are filtered by.
#[cfg(feature = "tracing")]
pub(super) const TARGET: &str = "longshore::lane";

/// An event about a job, if anybody listens.
#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $core:expr, $meta:expr, $($what:tt)+) => {
        if tracing::level_enabled!(Level::$level) {
            quietly(|| {
                tracing::event!(
                    target: TARGET, parent: &$meta.span, Level::$level,
                    lane = &*$core.name,
                    label = $meta.label.as_deref(),
                    location = %$meta.location,
                    $($what)+
                );
            });
        }
    };
}

/// A job has gone from one place to another; `None` is outside of the lane.
///
/// As steps up and down, which come to the same in whatever order threads tell of them. A value
/// that is read and then set would not.
pub(crate) fn moved(core: &Core, from: Option<JobState>, to: Option<JobState>) {
    #[cfg(feature = "metrics")]
    quietly(|| {
        if let Some(state) = from {
            core.meters.jobs(state).decrement(1.0);
        }
        if let Some(state) = to {
            core.meters.jobs(state).increment(1.0);
        }
    });
    let _ = (core, from, to);
}

/// A job that was in a state waits for others. One whose caller has gone goes on being counted as one
/// that drains, as in `Stats`.
pub(crate) fn suspended(core: &Core, before: JobState) {
    if before == JobState::Running {
        moved(core, Some(before), Some(JobState::Suspended));
    }
}

/// It goes on, in a state.
pub(crate) fn resumed(core: &Core, now: JobState) {
    if now == JobState::Running {
        moved(core, Some(JobState::Suspended), Some(now));
    }
}

/// A job is being handed in: told before, so that nobody hears of it afterwards who heard of its
/// start.
pub(crate) fn handed_in(core: &Core, meta: &Meta) {
    #[cfg(feature = "tracing")]
    event!(TRACE, core, meta, "a job is handed in");
    let _ = (core, meta);
}

/// A job was taken in.
pub(crate) fn submitted(core: &Core) {
    #[cfg(feature = "metrics")]
    quietly(|| core.meters.submitted().increment(1));
    let _ = core;
}

/// A call was refused.
pub(crate) fn refused(core: &Core, why: &Error) {
    #[cfg(feature = "metrics")]
    quietly(|| core.meters.refused().increment(1));
    #[cfg(feature = "tracing")]
    if tracing::level_enabled!(Level::DEBUG) {
        quietly(|| {
            tracing::event!(
                target: TARGET, Level::DEBUG, lane = &*core.name, error = %why, "a job was refused"
            );
        });
    }
    let _ = (core, why);
}

/// A worker takes a job up.
pub(crate) fn started(core: &Core, meta: &Meta, state: JobState, now: Instant) {
    moved(core, Some(JobState::Waiting), Some(state));
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    let waited = now.saturating_duration_since(meta.queued);
    #[cfg(feature = "metrics")]
    quietly(|| core.meters.queue_time().record(waited.as_secs_f64()));
    #[cfg(feature = "tracing")]
    event!(TRACE, core, meta, ?waited, "a job starts");
    let _ = (meta, now);
}

/// What a job took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    #[cfg_attr(
        not(feature = "tracing"),
        expect(dead_code, reason = "only its event tells of it")
    )]
    pub(crate) waited: Duration,
    #[cfg_attr(
        not(any(feature = "metrics", feature = "tracing")),
        expect(dead_code, reason = "nobody is told")
    )]
    pub(crate) ran: Duration,
}

impl Took {
    /// Of a job that was handed in, started and left at these times.
    pub(crate) fn from(meta: &Meta, started: Instant, left: Instant) -> Self {
        // Not for nothing: this is on the way of every job.
        if cfg!(any(feature = "metrics", feature = "tracing")) {
            Self {
                waited: started.saturating_duration_since(meta.queued),
                ran: left - started,
            }
        } else {
            Self::default()
        }
    }
}

/// A thread has left a job's code. If that gave the job its outcome, `outcome` says which; `late`
/// if it panicked with nobody waiting.
pub(crate) fn finished(core: &Core, meta: &Meta, outcome: Option<Outcome>, late: bool, took: Took) {
    #[cfg(feature = "metrics")]
    quietly(|| core.meters.run_time().record(took.ran.as_secs_f64()));
    if let Some(outcome) = outcome {
        ended(core, Some(meta), outcome, took);
    } else {
        returned(core, meta, took);
    }
    #[cfg(feature = "metrics")]
    if late {
        quietly(|| count_late_panics(core, 1));
    }
    #[cfg(feature = "tracing")]
    if late {
        event!(WARN, core, meta, ran = ?took.ran, "a job panicked after its caller had gone");
    }
    let _ = late;
}

/// The thread of a job that was given up is free.
fn returned(core: &Core, meta: &Meta, took: Took) {
    #[cfg(feature = "tracing")]
    event!(DEBUG, core, meta, ran = ?took.ran, "an abandoned job has returned");
    let _ = (core, meta, took);
}

/// A job's caller has gone, or was told that it is over, and its closure runs on.
pub(crate) fn abandoned(core: &Core, meta: &Meta) {
    #[cfg(feature = "tracing")]
    event!(DEBUG, core, meta, "a job is abandoned");
    let _ = (core, meta);
}

/// A job got its outcome. It has no `meta` if it had that before it was taken in.
pub(crate) fn ended(core: &Core, meta: Option<&Meta>, outcome: Outcome, took: Took) {
    #[cfg(feature = "metrics")]
    quietly(|| core.meters.over(outcome).increment(1));
    #[cfg(feature = "tracing")]
    if tracing::level_enabled!(Level::DEBUG) {
        quietly(|| {
            let here = Span::current();
            tracing::event!(
                target: TARGET, parent: meta.map_or(&here, |meta| &meta.span), Level::DEBUG,
                lane = &*core.name,
                label = meta.and_then(|meta| meta.label.as_deref()),
                location = meta.map(|meta| tracing::field::display(meta.location)),
                outcome = outcome.name(), waited = ?took.waited, ran = ?took.ran,
                "a job is over"
            );
        });
    }
    let _ = (core, meta, outcome, took);
}

/// Something of the user's panicked where nobody could be told, so many times.
pub(crate) fn late_panics(core: &Core, panics: usize) {
    #[cfg(feature = "metrics")]
    quietly(|| count_late_panics(core, panics));
    #[cfg(feature = "tracing")]
    quietly(|| {
        tracing::warn!(
            target: TARGET, lane = &*core.name,
            "a hook, or the drop of what a job held, panicked"
        );
    });
    let _ = (core, panics);
}

/// A job is still on its thread after its lane was shut down.
#[cfg(feature = "tracing")]
pub(crate) fn stuck(job: &super::stats::JobInfo) {
    quietly(|| {
        tracing::warn!(target: TARGET, %job, "a job is stuck after its lane was shut down");
    });
}

/// The system refused a thread.
pub(crate) fn thread_refused(core: &Core, refusal: &io::Error) {
    #[cfg(feature = "tracing")]
    quietly(|| {
        tracing::warn!(
            target: TARGET, lane = &*core.name, error = %refusal, "no thread could be started"
        );
    });
    let _ = (core, refusal);
}

#[cfg(feature = "metrics")]
fn count_late_panics(core: &Core, panics: usize) {
    core.meters.late_panics().increment(panics as u64);
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(super) fn quietly(tell: impl FnOnce()) {
    crate::error::call_quietly(tell);
}
