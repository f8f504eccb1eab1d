//! The numbers of a lane through the `metrics` facade. In a binary of its own, since a recorder is
//! for the whole process.

#![cfg(feature = "metrics")]

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use longshore::Lane;
use metrics_util::{
    MetricKind,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};

static SNAPSHOTTER: LazyLock<Snapshotter> = LazyLock::new(|| {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("nobody else has installed one");
    snapshotter
});

/// What was recorded for a lane: by name, and by outcome where there is one. Counters and
/// histograms begin anew with each look.
fn recorded(lane: &str) -> BTreeMap<String, (MetricKind, DebugValue)> {
    SNAPSHOTTER
        .snapshot()
        .into_vec()
        .into_iter()
        .filter_map(|(key, _, _, value)| {
            let (kind, key) = key.into_parts();
            let label = |name| key.labels().find(|label| label.key() == name);
            if label("lane")?.value() != lane {
                return None;
            }
            let name = match label("outcome") {
                Some(outcome) => format!("{} {}", key.name(), outcome.value()),
                None => key.name().to_owned(),
            };
            Some((name, (kind, value)))
        })
        .collect()
}

/// K12. One test, since a look takes from all.
#[test]
fn the_facade_is_told_what_the_stats_tell() {
    LazyLock::force(&SNAPSHOTTER);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let lane = Lane::builder("measured").limit(1).queue(1).build();
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let (say, started) = std::sync::mpsc::channel();
        let running = lane.offload(move || {
            say.send(()).unwrap();
            let _ = gate.recv();
        });
        started.recv().unwrap();
        let waiting = lane.offload(|| ());
        lane.offload(|| ()).await.unwrap_err();

        let now = recorded("measured");
        let gauge = |name: &str| match now.get(name) {
            Some((MetricKind::Gauge, DebugValue::Gauge(value))) => value.into_inner(),
            // Nothing has drained so far, so nobody has been told of it.
            None if name == "longshore_draining" => 0.0,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(
            [
                "longshore_waiting",
                "longshore_running",
                "longshore_draining"
            ]
            .map(gauge),
            [1.0, 1.0, 0.0],
        );
        let counter = |name: &str| match now.get(name) {
            Some((MetricKind::Counter, DebugValue::Counter(value))) => *value,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(
            [
                "longshore_jobs_submitted_total",
                "longshore_jobs_refused_total"
            ]
            .map(counter),
            [2, 1],
        );

        drop(waiting);
        open.send(()).unwrap();
        running.await.unwrap();
        lane.offload(|| panic!("as planned")).await.unwrap_err();
        lane.timeout(Duration::ZERO)
            .offload(|| ())
            .await
            .unwrap_err();
        while lane.stats().workers > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        let now = recorded("measured");
        let stats = lane.stats();
        for (outcome, told) in [
            ("completed", stats.completed),
            ("panicked", stats.panicked),
            ("cancelled", stats.cancelled),
            ("timed_out", stats.timed_out),
        ] {
            match now.get(&format!("longshore_jobs_total {outcome}")) {
                Some((MetricKind::Counter, DebugValue::Counter(value))) => {
                    assert_eq!((*value, told), (1, 1), "{outcome}");
                }
                other => panic!("{outcome}: {other:?}"),
            }
        }
        for (name, times) in [("longshore_queue_seconds", 1), ("longshore_run_seconds", 2)] {
            match now.get(name) {
                Some((MetricKind::Histogram, DebugValue::Histogram(values))) => {
                    assert_eq!(values.len(), times, "{name}");
                    assert!(
                        values
                            .iter()
                            .all(|value| (0.0..60.0).contains(&value.into_inner()))
                    );
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        // The first look has taken what the gauges stood at, so this is what came and went since.
        for (name, since) in [("longshore_waiting", -1.0), ("longshore_running", -1.0)] {
            match now.get(name) {
                Some((_, DebugValue::Gauge(value))) => {
                    assert_eq!(value.into_inner(), since, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    });
}
