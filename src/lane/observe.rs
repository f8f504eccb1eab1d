//! What the world outside is told, if it wants to hear: the features `tracing` and `metrics`.
//!
//! Never called under a lock, since both run code of the user's; a panic in that is contained, or
//! it would take a worker with it. Without the features these functions are empty.

use std::{io, time::Duration};

use tokio::time::Instant;

use super::{
    core::Core,
    stats::{JobState, Outcome},
};
use crate::job::{Job, Meta};

/// A job has gone from one place to another; `None` is outside of the lane.
///
/// As steps up and down, which come to the same in whatever order threads tell of them. A value
/// that is read and then set would not.
pub(crate) fn moved(core: &Core, from: Option<JobState>, to: Option<JobState>) {
    #[cfg(feature = "metrics")]
    quietly(|| {
        let gauge = |state| {
            let name = match state {
                JobState::Waiting => "longshore_waiting",
                JobState::Running => "longshore_running",
                JobState::Draining => "longshore_draining",
                JobState::Suspended => "longshore_suspended",
            };
            metrics::gauge!(name, "lane" => lane(core))
        };
        if let Some(state) = from {
            gauge(state).decrement(1.0);
        }
        if let Some(state) = to {
            gauge(state).increment(1.0);
        }
    });
    let _ = (core, from, to);
}

/// A job was handed in.
pub(crate) fn submitted(core: &Core) {
    #[cfg(feature = "metrics")]
    quietly(|| {
        metrics::counter!("longshore_jobs_submitted_total", "lane" => lane(core)).increment(1);
    });
    let _ = core;
}

/// A call was refused.
pub(crate) fn refused(core: &Core) {
    #[cfg(feature = "metrics")]
    quietly(|| {
        metrics::counter!("longshore_jobs_refused_total", "lane" => lane(core)).increment(1);
    });
    let _ = core;
}

/// A worker takes a job up.
pub(crate) fn started(core: &Core, meta: &Meta, state: JobState, now: Instant) {
    moved(core, Some(JobState::Waiting), Some(state));
    #[cfg(feature = "metrics")]
    quietly(|| {
        let waited = now.saturating_duration_since(meta.queued);
        metrics::histogram!("longshore_queue_seconds", "lane" => lane(core))
            .record(waited.as_secs_f64());
    });
    let _ = (meta, now);
}

/// A thread has left a job's code. If that gave the job its outcome, `outcome` says which; `late`
/// if it panicked with nobody waiting.
pub(crate) fn finished(
    core: &Core,
    job: &Job,
    outcome: Option<Outcome>,
    late: bool,
    ran: Duration,
) {
    #[cfg(feature = "metrics")]
    {
        quietly(|| {
            metrics::histogram!("longshore_run_seconds", "lane" => lane(core))
                .record(ran.as_secs_f64());
        });
        if let Some(outcome) = outcome {
            ended(core, outcome);
        }
    }
    #[cfg(feature = "metrics")]
    if late {
        quietly(|| count_late_panic(core));
    }
    #[cfg(feature = "tracing")]
    if late {
        quietly(|| {
            tracing::warn!(
                lane = &*core.name,
                label = job.label(),
                location = %job.location(),
                ran = ?ran,
                "a job panicked after its caller had gone"
            );
        });
    }
    let _ = (core, job, outcome, late, ran);
}

/// A job got its outcome.
pub(crate) fn ended(core: &Core, outcome: Outcome) {
    #[cfg(feature = "metrics")]
    quietly(|| {
        let (lane, outcome) = (lane(core), outcome.name());
        metrics::counter!("longshore_jobs_total", "lane" => lane, "outcome" => outcome)
            .increment(1);
    });
    let _ = (core, outcome);
}

/// Something of the user's panicked where nobody could be told.
pub(crate) fn late_panic(core: &Core) {
    #[cfg(feature = "metrics")]
    quietly(|| count_late_panic(core));
    #[cfg(feature = "tracing")]
    quietly(|| {
        tracing::warn!(
            lane = &*core.name,
            "a hook, or the drop of what a job held, panicked"
        );
    });
    let _ = core;
}

/// The system refused a thread.
pub(crate) fn thread_refused(core: &Core, refusal: &io::Error) {
    #[cfg(feature = "tracing")]
    quietly(|| {
        tracing::warn!(lane = &*core.name, error = %refusal, "no thread could be started");
    });
    let _ = (core, refusal);
}

#[cfg(feature = "metrics")]
fn lane(core: &Core) -> String {
    core.name.to_string()
}

#[cfg(feature = "metrics")]
fn count_late_panic(core: &Core) {
    metrics::counter!("longshore_late_panics_total", "lane" => lane(core)).increment(1);
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
fn quietly(tell: impl FnOnce()) {
    crate::error::call_quietly(tell);
}
