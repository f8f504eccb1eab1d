//! The metrics of lanes: their descriptions, and the gauges that are set when somebody collects.
//!
//! All others are counted where the thing happens, in [`observe`](super::observe), under the names in
//! [`meters`](super::meters).

use super::{core::Core, observe::quietly, stats::Stats};

/// Describes the metrics of lanes to the recorder that is installed: what each counts, and in which
/// unit. To be called once, after it was installed.
///
/// # Examples
///
/// ```
/// // metrics::set_global_recorder(recorder)?;
/// longshore::lane::describe_metrics();
/// ```
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

    describe_counter!(
        "longshore_jobs_submitted_total",
        Unit::Count,
        "Jobs that were taken in."
    );
    describe_counter!(
        "longshore_jobs_refused_total",
        Unit::Count,
        "Calls that were refused: the lane was full or closed, or there was no runtime."
    );
    describe_counter!(
        "longshore_jobs_total",
        Unit::Count,
        "Jobs that are over, by outcome."
    );
    describe_counter!(
        "longshore_late_panics_total",
        Unit::Count,
        "Panics that no caller was told of."
    );
    describe_gauge!("longshore_waiting", Unit::Count, "Jobs in the queue.");
    describe_gauge!(
        "longshore_running",
        Unit::Count,
        "Jobs on a thread whose caller waits."
    );
    describe_gauge!(
        "longshore_draining",
        Unit::Count,
        "Jobs that were given up and whose thread is not free yet."
    );
    describe_gauge!(
        "longshore_suspended",
        Unit::Count,
        "Jobs on a thread whose caller waits, and that wait for other jobs."
    );
    for (name, what) in [
        (
            "longshore_detached",
            "Jobs on a thread that were detached and have no outcome yet.",
        ),
        (
            "longshore_lent",
            "Slots of suspended jobs in which others run.",
        ),
        (
            "longshore_limit",
            "How many jobs may run at once, those that drain included.",
        ),
        (
            "longshore_queue",
            "How many jobs may wait, of lanes where that is bounded.",
        ),
        ("longshore_workers", "Threads that serve the lane."),
        (
            "longshore_idle_workers",
            "Threads that serve the lane and have nothing to do.",
        ),
        (
            "longshore_starting_workers",
            "Threads that were asked for and have not come.",
        ),
        ("longshore_peak_waiting", "The most jobs that ever waited."),
        (
            "longshore_peak_running",
            "The most jobs that ever ran at once, those that drained included.",
        ),
    ] {
        describe_gauge!(name, Unit::Count, what);
    }
    describe_gauge!(
        "longshore_starting_seconds",
        Unit::Seconds,
        "For how long none of the threads that were asked for has come."
    );
    describe_histogram!(
        "longshore_queue_seconds",
        Unit::Seconds,
        "Time in the queue."
    );
    describe_histogram!("longshore_run_seconds", Unit::Seconds, "Time on a thread.");
}

/// The numbers that are no sums of what is told of jobs, set to what they are.
pub(super) fn gauges(core: &Core, stats: &Stats) {
    let gauges = [
        ("longshore_detached", stats.detached as f64),
        ("longshore_lent", stats.lent as f64),
        ("longshore_limit", stats.limit as f64),
        ("longshore_workers", stats.workers as f64),
        ("longshore_idle_workers", stats.idle as f64),
        ("longshore_starting_workers", stats.starting as f64),
        (
            "longshore_starting_seconds",
            stats.starting_for.unwrap_or_default().as_secs_f64(),
        ),
        ("longshore_peak_waiting", stats.peak_waiting as f64),
        ("longshore_peak_running", stats.peak_running as f64),
    ];
    quietly(|| {
        let queue = stats.queue.map(|queue| ("longshore_queue", queue as f64));
        for (name, value) in gauges.into_iter().chain(queue) {
            metrics::gauge!(name, "lane" => core.name.clone()).set(value);
        }
    });
}
