//! What the world outside is told, if it wants to hear: the features `tracing` and `metrics`.
//!
//! Never called under a lock, since both run code of the user's; a panic in that is contained, or
//! it would take a worker with it. Without the features these functions are empty.

use std::{io, time::Duration};

use tokio::time::Instant;

use super::{core::Core, stats::Outcome};
use crate::job::{Job, Meta};

/// A job was taken into the lane.
pub(crate) fn submitted(core: &Core) {
    #[cfg(feature = "metrics")]
    quietly(|| {
        metrics::counter!("longshore_jobs_submitted_total", "lane" => lane(core)).increment(1);
        gauges(core);
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
pub(crate) fn started(core: &Core, meta: &Meta, now: Instant) {
    #[cfg(feature = "metrics")]
    quietly(|| {
        let waited = now.saturating_duration_since(meta.queued);
        metrics::histogram!("longshore_queue_seconds", "lane" => lane(core))
            .record(waited.as_secs_f64());
        gauges(core);
    });
    let _ = (core, meta, now);
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
        match outcome {
            Some(outcome) => ended(core, outcome),
            None => quietly(|| gauges(core)),
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
        gauges(core);
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

#[cfg(feature = "metrics")]
fn gauges(core: &Core) {
    let (waiting, running, draining) = core.with_state(|state| {
        let counts = &state.counts;
        (counts.waiting, counts.running, counts.draining)
    });
    let set = |name: &'static str, value: usize| {
        metrics::gauge!(name, "lane" => lane(core)).set(value as f64);
    };
    set("longshore_waiting", waiting);
    set("longshore_running", running);
    set("longshore_draining", draining);
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
fn quietly(tell: impl FnOnce()) {
    crate::error::call_quietly(tell);
}
