//! What jobs are counted in, under the names of one lane.
//!
//! The recorder is asked each time, since it may be installed later, or be another one on this thread.
//! What it is asked for is put together once for each lane: names, labels and their hashes, which
//! would cost more than all that is done with them.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, with_recorder};

use super::stats::{JobState, Outcome};
use crate::sync::Arc;

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

pub(crate) struct Meters {
    submitted: Key,
    refused: Key,
    late_panics: Key,
    waiting: Key,
    running: Key,
    draining: Key,
    suspended: Key,
    queue_time: Key,
    run_time: Key,
    outcomes: [Key; Outcome::ALL.len()],
}

impl Meters {
    pub(super) fn new(lane: &Arc<str>) -> Self {
        let label = || Label::new("lane", lane.clone());
        let key = |name| Key::from_parts(name, vec![label()]);
        Self {
            submitted: key("longshore_jobs_submitted_total"),
            refused: key("longshore_jobs_refused_total"),
            late_panics: key("longshore_late_panics_total"),
            waiting: key("longshore_waiting"),
            running: key("longshore_running"),
            draining: key("longshore_draining"),
            suspended: key("longshore_suspended"),
            queue_time: key("longshore_queue_seconds"),
            run_time: key("longshore_run_seconds"),
            outcomes: Outcome::ALL.map(|outcome| {
                let outcome = Label::from_static_parts("outcome", outcome.name());
                Key::from_parts("longshore_jobs_total", vec![label(), outcome])
            }),
        }
    }

    pub(super) fn submitted(&self) -> Counter {
        counter(&self.submitted)
    }

    pub(super) fn refused(&self) -> Counter {
        counter(&self.refused)
    }

    pub(super) fn late_panics(&self) -> Counter {
        counter(&self.late_panics)
    }

    pub(super) fn over(&self, outcome: Outcome) -> Counter {
        counter(&self.outcomes[outcome as usize])
    }

    pub(super) fn jobs(&self, state: JobState) -> Gauge {
        let key = match state {
            JobState::Waiting => &self.waiting,
            JobState::Running => &self.running,
            JobState::Draining => &self.draining,
            JobState::Suspended => &self.suspended,
        };
        with_recorder(|recorder| recorder.register_gauge(key, &METADATA))
    }

    pub(super) fn queue_time(&self) -> Histogram {
        histogram(&self.queue_time)
    }

    pub(super) fn run_time(&self) -> Histogram {
        histogram(&self.run_time)
    }
}

fn counter(key: &Key) -> Counter {
    with_recorder(|recorder| recorder.register_counter(key, &METADATA))
}

fn histogram(key: &Key) -> Histogram {
    with_recorder(|recorder| recorder.register_histogram(key, &METADATA))
}
