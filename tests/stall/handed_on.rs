//! Workers that change their thread: what the one they were on does from there on is nobody's stall.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::Duration,
};

use longshore::stall::{Watch, watched};
use tokio::{
    runtime::{Handle, RuntimeMetrics},
    task::block_in_place,
};

use crate::support::{
    Flavour, Gate, LOOKS, Watched, assert_quiet, compute, in_time, listen, looks, wait_for_looks,
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

/// The thread that was the worker sleeps, and the one that is it now has a lot to do.
#[test]
fn a_worker_that_is_busy_on_another_thread_is_not_reported() {
    in_time(|| is_busy_on_another_thread(&Watched::new(Flavour::MultiThread)));
}

/// Threads may have names of their own.
#[test]
fn nor_is_one_whose_threads_are_numbered() {
    in_time(|| {
        let threads = AtomicUsize::new(0);
        let mut builder = Flavour::MultiThread.builder();
        builder.thread_name_fn(move || format!("w-{}", threads.fetch_add(1, SeqCst)));
        is_busy_on_another_thread(&Watched::built_by(&mut builder, Watch::new()));
    });
}

fn is_busy_on_another_thread(watched: &Watched) {
    watched.is_quiet(async {
        let (gate, opener) = Gate::new();
        let mut tasks = Vec::new();
        for _ in 0..2 {
            let gate = gate.clone();
            tasks.push(tokio::spawn(async move { block_in_place(|| gate.wait()) }));
        }
        for _ in 0..8 {
            let gate = gate.clone();
            tasks.push(tokio::spawn(async move {
                while !gate.is_open() {
                    compute(Duration::from_millis(5));
                    tokio::task::yield_now().await;
                }
            }));
        }
        looks(&watched.watching, 3 * LOOKS).await;
        drop(opener);
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// The thread that takes over says so when it parks, before the poll was seen for the first time, and
/// then has a lot to do.
#[test]
fn a_watched_poll_that_has_handed_its_worker_on_is_not_reported() {
    in_time(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        let watched_runtime = Watched::built_by(&mut builder, Watch::new());
        let metrics = watched_runtime.runtime.metrics();
        watched_runtime.is_quiet(async {
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
                let busy = tokio::spawn(async move {
                    while !gate.is_open() {
                        compute(Duration::from_millis(4));
                        tokio::task::yield_now().await;
                    }
                });
                looks(&watched_runtime.watching, LOOKS / 2).await;
                drop(opener);
                blocks.await.unwrap();
                busy.await.unwrap();
            }
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
    in_time(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        let watched = Watched::built_by(&mut builder, Watch::new().without_cpu());
        let runtime = &watched.runtime;
        for round in 0..8 {
            let (gate, opener) = Gate::new();
            let busy: Vec<_> = (0..8)
                .map(|_| {
                    let gate = gate.clone();
                    runtime.spawn(async move {
                        while !gate.is_open() {
                            compute(Duration::from_millis(6));
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            // Here and not by Tokio's clock, which is looked at when progress is noted: it is to come
            // at all points of the 61 ticks in between.
            thread::sleep(Duration::from_millis(400 + 37 * round));
            let (held, release) = Gate::new();
            let in_place = runtime.spawn(async move { block_in_place(|| held.wait()) });
            wait_for_looks(&watched.watching, LOOKS);
            drop(release);
            runtime.block_on(in_place).unwrap();
            drop(opener);
            for task in busy {
                runtime.block_on(task).unwrap();
            }
        }
        assert_quiet(&watched.watching, &watched.begun);
    });
}

/// A future that is watched and run to its end within `block_in_place` holds up no worker either.
#[test]
fn what_runs_within_block_in_place_is_not_reported() {
    in_time(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        let watched_runtime = Watched::built_by(&mut builder, Watch::new().without_cpu());
        let metrics = watched_runtime.runtime.metrics();
        watched_runtime.is_quiet(async {
            for _ in 0..4 {
                let (gate, opener) = Gate::new();
                let (held, go_on) = Gate::new();
                let (tell, told) = tokio::sync::oneshot::channel();
                let in_place = tokio::spawn(async move {
                    block_in_place(|| {
                        tell.send(()).unwrap();
                        held.wait();
                        let blocks = watched(async { thread::sleep(Duration::from_millis(400)) });
                        Handle::current().block_on(blocks);
                    });
                });
                told.await.unwrap();
                the_worker_parks(&metrics).await;
                // And then it has a lot to do.
                let mut tasks = Vec::new();
                for _ in 0..8 {
                    let gate = gate.clone();
                    tasks.push(tokio::spawn(async move {
                        while !gate.is_open() {
                            compute(Duration::from_millis(6));
                            tokio::task::yield_now().await;
                        }
                    }));
                }
                drop(go_on);
                in_place.await.unwrap();
                drop(opener);
                for task in tasks {
                    task.await.unwrap();
                }
            }
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
