//! Workers that change their thread: what the one they were on does from there on is nobody's stall.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use longshore::stall::{Watch, watched};
use tokio::{
    runtime::{Handle, RuntimeMetrics},
    task::{JoinHandle, block_in_place},
};

use crate::support::{
    Flavour, Gate, LOOKS, Watched, assert_quiet, child, compute, in_child, in_time, listen, looks,
    passes, wait_for_looks,
};

/// Blocks in `block_in_place` until it has been looked at for long, in a few tasks.
async fn in_place(watched_runtime: &Watched, wrap: bool) {
    let (gate, opener) = Gate::new();
    let tasks: Vec<_> = (0..2)
        .map(|task| {
            let gate = gate.clone();
            let body = async move {
                block_in_place(|| {
                    if task == 0 {
                        compute(Duration::from_millis(200));
                    }
                    gate.wait();
                });
            };
            if wrap {
                tokio::spawn(watched(body))
            } else {
                tokio::spawn(body)
            }
        })
        .collect();
    looks(&watched_runtime.watching, 2 * LOOKS).await;
    drop(opener);
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn block_in_place_is_not_reported() {
    in_time(|| {
        let watched = Watched::new(Flavour::MultiThread);
        watched.is_quiet(in_place(&watched, false));
    });
}

#[test]
fn block_in_place_is_not_reported_in_a_watched_future_either() {
    in_time(|| {
        let watched = Watched::new(Flavour::MultiThread);
        watched.is_quiet(in_place(&watched, true));
    });
}

/// Whether the machine lets a worker compute, as far as its polls show.
#[derive(Clone, Default)]
struct Polls {
    slowest: Arc<AtomicU64>,
}

impl Polls {
    /// So many milliseconds at a time, until the gate is opened.
    async fn until_open(self, gate: Gate, millis: u64) {
        while !gate.is_open() {
            let begun = Instant::now();
            compute(Duration::from_millis(millis));
            let took = begun.elapsed().as_micros() as u64;
            self.slowest.fetch_max(took, SeqCst);
            tokio::task::yield_now().await;
        }
    }

    /// Eight tasks that do so.
    fn spawn(&self, runtime: &Handle, gate: &Gate, millis: u64) -> Vec<JoinHandle<()>> {
        let task = |_| runtime.spawn(self.clone().until_open(gate.clone(), millis));
        (0..8).map(task).collect()
    }

    /// It takes 61 of them until Tokio notes that there is progress. Of a worker that is kept from its
    /// processor meanwhile nobody can tell that it is not stuck.
    fn were_slow(&self) -> bool {
        61 * Duration::from_micros(self.slowest.load(SeqCst)) > Duration::from_millis(1_500)
    }
}

/// Runs a test in which nothing is to be reported: once more if something is on a machine that has other
/// things to do, and not for ever.
#[track_caller]
fn nothing_is_reported(test: impl Fn(&Polls) -> Watched) {
    for tries in 1.. {
        let polls = Polls::default();
        let watched = test(&polls);
        if watched.watching.stalls() == 0 || !polls.were_slow() || tries == 5 {
            return assert_quiet(&watched.watching, &watched.begun);
        }
    }
}

/// The thread that was the worker sleeps, and the one that is it now has a lot to do.
#[test]
fn a_worker_that_is_busy_on_another_thread_is_not_reported() {
    in_time(|| is_busy_on_another_thread(|| Watched::new(Flavour::MultiThread)));
}

/// Threads may have names of their own.
#[test]
fn nor_is_one_whose_threads_are_numbered() {
    in_time(|| {
        is_busy_on_another_thread(|| {
            let threads = AtomicUsize::new(0);
            let mut builder = Flavour::MultiThread.builder();
            builder.thread_name_fn(move || format!("w-{}", threads.fetch_add(1, SeqCst)));
            Watched::built_by(&mut builder, Watch::new())
        });
    });
}

fn is_busy_on_another_thread(watched: impl Fn() -> Watched) {
    nothing_is_reported(|polls| {
        let watched = watched();
        watched.watching.block_on(&watched.runtime, async {
            let (gate, opener) = Gate::new();
            let mut tasks = Vec::new();
            for _ in 0..2 {
                let gate = gate.clone();
                tasks.push(tokio::spawn(async move { block_in_place(|| gate.wait()) }));
            }
            tasks.extend(polls.spawn(&Handle::current(), &gate, 5));
            looks(&watched.watching, 3 * LOOKS).await;
            drop(opener);
            for task in tasks {
                task.await.unwrap();
            }
        });
        watched
    });
}

/// A runtime of one worker.
fn with_one_worker(watch: Watch) -> Watched {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Watched::built_by(builder.worker_threads(1).enable_all(), watch)
}

/// The thread that takes over says so when it parks, before the poll was seen for the first time, and
/// then has a lot to do.
#[test]
fn a_watched_poll_that_has_handed_its_worker_on_is_not_reported() {
    in_time(|| {
        nothing_is_reported(|polls| {
            let watched_runtime = with_one_worker(Watch::new());
            let metrics = watched_runtime.runtime.metrics();
            let test = async {
                for _ in 0..10 {
                    let (gate, opener) = Gate::new();
                    let theirs = gate.clone();
                    let (tell, in_place) = tokio::sync::oneshot::channel();
                    let blocks = tokio::spawn(watched(async move {
                        block_in_place(|| {
                            tell.send(()).unwrap();
                            theirs.wait();
                        });
                    }));
                    in_place.await.unwrap();
                    the_worker_parks(&metrics).await;
                    let busy = tokio::spawn(polls.clone().until_open(gate, 4));
                    looks(&watched_runtime.watching, LOOKS / 2).await;
                    drop(opener);
                    blocks.await.unwrap();
                    busy.await.unwrap();
                }
            };
            let (runtime, watching) = (&watched_runtime.runtime, &watched_runtime.watching);
            watching.block_on(runtime, test);
            watched_runtime
        });
    });
}

/// Waits until the only worker, which is another thread by now, has parked.
async fn the_worker_parks(metrics: &RuntimeMetrics) {
    let before = metrics.worker_park_count(0);
    while metrics.worker_park_count(0) == before {
        tokio::spawn(async {}).await.unwrap();
    }
}

/// It has computed until then, and goes on doing so on another thread.
#[test]
fn block_in_place_of_a_worker_that_is_busy_is_not_reported() {
    in_time(|| goes_into_place_while_busy(|| ()));
}

/// It cannot be seen then that another thread is busy.
#[test]
fn nor_is_it_in_a_process_that_has_no_descriptors_left() {
    if !in_child() {
        let name = "::nor_is_it_in_a_process_that_has_no_descriptors_left";
        return passes(child(&format!("{}{name}", module_path!())));
    }
    in_time(|| {
        let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let few = rustix::process::Rlimit {
            current: Some(64),
            ..limits
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
        goes_into_place_while_busy(|| -> Vec<fs::File> {
            std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect()
        });
    });
}

/// What `takes` gives is kept as long as a task blocks in place.
fn goes_into_place_while_busy<T>(takes: impl Fn() -> T) {
    nothing_is_reported(|polls| {
        let watched = with_one_worker(Watch::new().without_cpu());
        let runtime = &watched.runtime;
        for round in 0..8 {
            let (gate, opener) = Gate::new();
            let busy = polls.spawn(runtime.handle(), &gate, 6);
            // Here and not by Tokio's clock, which is looked at when progress is noted: it is to come at
            // all points of the 61 ticks in between.
            thread::sleep(Duration::from_millis(400 + 37 * round));
            let (held, release) = Gate::new();
            let taken = takes();
            let in_place = runtime.spawn(async move { block_in_place(|| held.wait()) });
            wait_for_looks(&watched.watching, LOOKS);
            drop(taken);
            drop(release);
            runtime.block_on(in_place).unwrap();
            drop(opener);
            for task in busy {
                runtime.block_on(task).unwrap();
            }
        }
        watched
    });
}

/// A future that is watched and run to its end within `block_in_place` holds up no worker either.
#[test]
fn what_runs_within_block_in_place_is_not_reported() {
    in_time(|| {
        nothing_is_reported(|polls| {
            let watched_runtime = with_one_worker(Watch::new().without_cpu());
            let metrics = watched_runtime.runtime.metrics();
            let test = async {
                for _ in 0..4 {
                    let (gate, opener) = Gate::new();
                    let (held, go_on) = Gate::new();
                    let (tell, told) = tokio::sync::oneshot::channel();
                    let in_place = tokio::spawn(async move {
                        block_in_place(|| {
                            tell.send(()).unwrap();
                            held.wait();
                            let nap = || thread::sleep(Duration::from_millis(400));
                            let blocks = watched(async move { nap() });
                            Handle::current().block_on(blocks);
                        });
                    });
                    told.await.unwrap();
                    the_worker_parks(&metrics).await;
                    // And then it has a lot to do.
                    let tasks = polls.spawn(&Handle::current(), &gate, 6);
                    drop(go_on);
                    in_place.await.unwrap();
                    drop(opener);
                    for task in tasks {
                        task.await.unwrap();
                    }
                }
            };
            let (runtime, watching) = (&watched_runtime.runtime, &watched_runtime.watching);
            watching.block_on(runtime, test);
            watched_runtime
        });
    });
}

/// The same, attached: what was the worker's thread goes back to the pool, and takes a closure there.
#[test]
fn a_thread_that_was_a_worker_may_block_afterwards() {
    in_time(|| {
        let runtime = Flavour::MultiThread.builder().build().unwrap();
        let (watch, begun, _) = listen(Watch::new());
        let watching = watch.attach(runtime.handle()).unwrap();
        runtime.block_on(async {
            let swap =
                || tokio::spawn(async { block_in_place(|| compute(Duration::from_millis(1))) });
            for _ in 0..20 {
                swap().await.unwrap();
            }
            let (gate, opener) = Gate::new();
            let mut all = Vec::new();
            for _ in 0..4 {
                let gate = gate.clone();
                all.push(tokio::task::spawn_blocking(move || gate.wait()));
            }
            for _ in 0..8 {
                let gate = gate.clone();
                all.push(tokio::spawn(async move {
                    while !gate.is_open() {
                        compute(Duration::from_millis(5));
                        tokio::task::yield_now().await;
                    }
                }));
            }
            looks(&watching, 3 * LOOKS).await;
            drop(opener);
            for one in all {
                one.await.unwrap();
            }
        });
        assert_quiet(&watching, &begun);
    });
}
