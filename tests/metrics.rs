//! The numbers of a lane through the `metrics` facade. In a binary of its own, since a recorder is
//! for the whole process.

#![cfg(feature = "metrics")]

use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Barrier, mpsc},
    time::{Duration, Instant},
};

use longshore::{
    Job, Lane,
    lane::{Builder, JobInfo, JobState, Stats, Threads},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::runtime;

/// How long "in the end" may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was recorded for a lane so far, by name, and by outcome where there is one. (A look takes what
/// it sees: counters and gauges begin anew.)
struct Recorded<'a> {
    lane: String,
    snapshotter: &'a Snapshotter,
    counters: BTreeMap<String, u64>,
    /// Those that are told in steps.
    gauges: BTreeMap<String, f64>,
    times: BTreeMap<String, Vec<f64>>,
}

impl Recorded<'_> {
    fn look(&mut self) {
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let (_, key) = key.into_parts();
            let label = |name| key.labels().find(|label| label.key() == name);
            if label("lane").is_none_or(|lane| lane.value() != self.lane) {
                continue;
            }
            let name = key.name().strip_prefix("longshore_").expect("ours");
            let name = match label("outcome") {
                Some(outcome) => format!("{name} {}", outcome.value()),
                None => name.to_owned(),
            };
            match value {
                DebugValue::Counter(value) => *self.counters.entry(name).or_default() += value,
                DebugValue::Gauge(value) => {
                    *self.gauges.entry(name).or_default() += value.into_inner();
                }
                DebugValue::Histogram(values) => {
                    let values = values.into_iter().map(f64::from);
                    self.times.entry(name).or_default().extend(values);
                }
            }
        }
    }

    fn gauge(&self, name: &str) -> usize {
        let value = self.gauges.get(name).copied().unwrap_or_default();
        assert!(value >= 0.0 && value.fract() == 0.0, "{name}: {value}");
        value as usize
    }

    fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }

    /// Everything is what the stats say. What a thread has just done it may not have told of yet.
    #[track_caller]
    fn is_told(&mut self, lane: &Lane) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.look();
            let stats = lane.stats();
            let (told, counted) = (self.all(), in_order(&stats));
            if told == counted {
                return;
            }
            assert!(
                Instant::now() < end,
                "{}: told {told:#?}, and counted {counted:#?}",
                self.lane
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn all(&self) -> Vec<(&'static str, u64)> {
        NAMES
            .iter()
            .map(|&name| match name {
                "waiting" | "running" | "draining" | "suspended" => (name, self.gauge(name) as u64),
                "queue_seconds" | "run_seconds" => {
                    (name, self.times.get(name).map_or(0, Vec::len) as u64)
                }
                _ => (name, self.counter(name)),
            })
            .collect()
    }
}

const NAMES: [&str; 16] = [
    "waiting",
    "running",
    "draining",
    "suspended",
    "jobs_submitted_total",
    "jobs_refused_total",
    "jobs_total completed",
    "jobs_total panicked",
    "jobs_total cancelled",
    "jobs_total timed_out",
    "jobs_total no_thread",
    "jobs_total no_runtime",
    "jobs_total unavailable",
    "late_panics_total",
    "queue_seconds",
    "run_seconds",
];

/// The same of the stats.
fn in_order(stats: &Stats) -> Vec<(&'static str, u64)> {
    let numbers = [
        stats.waiting as u64,
        stats.running as u64,
        stats.draining as u64,
        stats.suspended as u64,
        stats.submitted,
        stats.refused,
        stats.completed,
        stats.panicked,
        stats.cancelled,
        stats.timed_out,
        stats.no_thread,
        stats.no_runtime,
        stats.unavailable,
        stats.late_panics,
        stats.queue_time.count(),
        stats.run_time.count(),
    ];
    NAMES.into_iter().zip(numbers).collect()
}

/// A job that is on a thread and stays there until the barrier is passed.
fn held(lane: &Lane) -> (longshore::Task<()>, Arc<Barrier>) {
    loop {
        let (says, said) = mpsc::channel();
        let barrier = Arc::new(Barrier::new(2));
        let waits = barrier.clone();
        let task = lane.offload(move || {
            let _ = says.send(());
            waits.wait();
        });
        // If its time was up before it had a thread: another.
        if said.recv().is_ok() {
            return (task, barrier);
        }
    }
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it has not come to this");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn what_is_told_is_what_is_counted(lane: &Lane, recorded: &mut Recorded<'_>) {
    // Running, waiting, refused; given up while waiting, and while running.
    let (running, first) = held(lane);
    let (dropped, second) = held(lane);
    let waiting = lane.offload(|| ());
    lane.offload(|| ()).await.unwrap_err();
    recorded.is_told(lane);
    assert_eq!(
        (recorded.gauge("running"), recorded.gauge("waiting")),
        (2, 1)
    );
    drop(waiting);
    drop(dropped);
    recorded.is_told(lane);
    assert_eq!(
        (recorded.gauge("draining"), recorded.gauge("waiting")),
        (1, 0)
    );
    first.wait();
    running.await.unwrap();
    second.wait();
    eventually(|| lane.jobs().is_empty()).await;

    // Out of time before it starts and while it runs; panics, told and not; detached.
    lane.timeout(Duration::ZERO)
        .offload(|| ())
        .await
        .unwrap_err();
    let (late, third) = held(&lane.timeout(Duration::from_millis(50)));
    late.await.unwrap_err();
    recorded.is_told(lane);
    assert_eq!(recorded.gauge("draining"), 1);
    third.wait();
    eventually(|| lane.jobs().is_empty()).await;
    lane.offload(|| panic!("as planned")).await.unwrap_err();
    let (go, gone) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (goes, is_gone) = (go.clone(), gone.clone());
    let unheard = lane.offload(move || {
        goes.wait();
        is_gone.wait();
        panic!("as planned, and nobody hears of it");
    });
    go.wait();
    drop(unheard);
    gone.wait();
    let (detached, fourth) = held(lane);
    detached.detach();
    recorded.is_told(lane);
    lane.record_metrics();
    recorded.gauges.remove("detached");
    recorded.look();
    assert_eq!(recorded.gauge("detached"), 1);
    fourth.wait();
    eventually(|| lane.jobs().is_empty()).await;
    recorded.is_told(lane);

    // Suspended; given up as such; and without a caller when it comes to that.
    for fate in ["awaited", "given up", "detached"] {
        let inner = lane.clone();
        let (go, barrier) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (goes, waits) = (go.clone(), barrier.clone());
        let mut outer = Some(lane.offload_with(move |job: &Job| {
            goes.wait();
            let nested = inner.offload(move || waits.wait());
            // An error if it was given up.
            let _ = job.block_on(nested);
        }));
        if fate == "detached" {
            outer.take().expect("it is there").detach();
        }
        go.wait();
        let is_suspended = |job: &JobInfo| job.state == JobState::Suspended;
        eventually(|| lane.jobs().iter().any(is_suspended) && lane.stats().running == 1).await;
        recorded.is_told(lane);
        let suspended = usize::from(fate != "detached");
        assert_eq!(recorded.gauge("suspended"), suspended, "{fate}");
        assert_eq!(recorded.gauge("draining"), 1 - suspended, "{fate}");
        if fate == "given up" {
            drop(outer.take());
            recorded.is_told(lane);
            assert_eq!(recorded.gauge("suspended"), 0);
        }
        barrier.wait();
        if let Some(outer) = outer {
            outer.await.unwrap();
        }
        eventually(|| lane.jobs().is_empty()).await;
        recorded.is_told(lane);
    }

    // Two hooks that panic at one cancel.
    let barrier = Arc::new(Barrier::new(2));
    let theirs = barrier.clone();
    let task = lane.offload_with(move |job: &Job| {
        let _both = [(); 2].map(|()| job.on_cancel(|| panic!("as planned")));
        theirs.wait();
        theirs.wait();
    });
    barrier.wait();
    task.cancel();
    barrier.wait();
    task.await.unwrap_err();
    eventually(|| lane.jobs().is_empty()).await;
    recorded.is_told(lane);

    // All of it over.
    recorded.is_told(lane);
    for gauge in ["waiting", "running", "draining", "suspended"] {
        assert_eq!(recorded.gauge(gauge), 0, "{gauge}");
    }
    for outcome in ["completed", "panicked", "cancelled", "timed_out"] {
        let times = recorded.counter(&format!("jobs_total {outcome}"));
        assert!(times > 0, "{outcome}");
    }
    assert_eq!(recorded.counter("late_panics_total"), 3);
    let times = recorded.times.values().flatten();
    assert!(times.into_iter().all(|time| (0.0..60.0).contains(time)));

    // What is told on request.
    lane.record_metrics();
    let peaks = ["limit", "peak_running", "peak_waiting", "lent"];
    recorded
        .gauges
        .retain(|name, _| !peaks.contains(&name.as_str()));
    recorded.look();
    let stats = lane.stats();
    assert_eq!(
        peaks.map(|name| recorded.gauge(name)),
        [2, stats.peak_running, stats.peak_waiting, 0]
    );
}

/// K12. One test, since a look takes from all.
#[test]
fn the_facade_is_told_what_the_stats_tell() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("nobody else has installed one");
    let pool = Arc::new(
        rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap(),
    );
    type Source = Box<dyn Fn(Builder) -> Builder>;
    let sources: [(&str, Source); 3] = [
        ("tokio", Box::new(|lane| lane)),
        ("own", Box::new(|lane| lane.own_threads(Threads::new()))),
        ("rayon", Box::new(move |lane| lane.rayon(pool.clone()))),
    ];
    for (source, lane) in &sources {
        for flavour in ["current", "multi"] {
            let runtime = match flavour {
                "current" => runtime::Builder::new_current_thread(),
                _ => runtime::Builder::new_multi_thread(),
            }
            .enable_all()
            .build()
            .unwrap();
            let name = format!("{source}-{flavour}");
            let lane = lane(Lane::builder(name.as_str()).limit(2).queue(1)).build();
            let mut recorded = Recorded {
                lane: name,
                snapshotter: &snapshotter,
                counters: BTreeMap::new(),
                gauges: BTreeMap::new(),
                times: BTreeMap::new(),
            };
            let test = || runtime.block_on(what_is_told_is_what_is_counted(&lane, &mut recorded));
            let outcome = panic::catch_unwind(AssertUnwindSafe(test));
            // After a failure there are jobs that never end.
            runtime.shutdown_background();
            outcome.unwrap_or_else(|failure| panic::resume_unwind(failure));
        }
    }
}
