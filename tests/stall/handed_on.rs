//! Workers that change their thread.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use longshore::stall::{Cause, Watch, watched};
use tokio::{
    runtime::{Handle, RuntimeMetrics},
    task::block_in_place,
};

use crate::support::{
    Flavour, Gate, LOOKS, PATIENCE, Watched, assert_quiet, compute, in_time, listen, looks,
    wait_for_looks,
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

/// Attached, a worker is on another thread, and the one it was on has ended.
#[test]
fn a_worker_is_found_again_when_its_thread_has_ended() {
    in_time(|| {
        let mut builder = Flavour::MultiThread.builder();
        let runtime = builder
            .worker_threads(1)
            .thread_keep_alive(Duration::from_millis(20))
            .build()
            .unwrap();
        let (watch, begun, _ended) = listen(Watch::new());
        let watching = watch.attach(runtime.handle()).unwrap();
        let (was, is) = runtime.block_on(async {
            let me = || std::fs::read_link("/proc/thread-self").unwrap();
            let was = tokio::spawn(async move {
                // Until the worker runs something on another thread.
                let (say, said) = mpsc::channel();
                tokio::spawn(async move { say.send(()).unwrap() });
                block_in_place(|| said.recv().unwrap());
                me()
            });
            let was = was.await.unwrap();
            let end = std::time::Instant::now() + PATIENCE;
            // Under `/proc`, as it is: `<process>/task/<thread>`.
            while std::path::Path::new("/proc").join(&was).exists() {
                assert!(std::time::Instant::now() < end, "it does not end");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (was, tokio::spawn(async move { me() }).await.unwrap())
        });
        assert_ne!(was, is);
        wait_for_looks(&watching, LOOKS);
        let (gate, opener) = Gate::new();
        let blocks = runtime.spawn(async move { gate.wait() });
        let stall = begun.recv_timeout(PATIENCE).expect("it is reported");
        drop(opener);
        runtime.block_on(blocks).unwrap();
        assert_eq!(stall.cause, Cause::LockWait, "{stall:?}");
        let thread = stall.thread.expect("it is known").to_string();
        assert!(is.ends_with(&thread), "{stall:?}");
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

/// The thread that takes the worker over blocks in its turn, after it has parked once.
#[test]
fn a_successor_that_stalls_is_reported() {
    in_time(successor_stalls);
}

pub(crate) fn successor_stalls() {
    let (watch, begun, _) = listen(Watch::new());
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let (runtime, watching) = watch.build(builder.worker_threads(1).enable_all()).unwrap();
    let (gate, opener) = Gate::new();
    let theirs = gate.clone();
    let (tell, in_place) = mpsc::channel();
    runtime.spawn(async move {
        block_in_place(|| {
            tell.send(()).unwrap();
            theirs.wait();
        });
    });
    in_place.recv().unwrap();
    wait_for_looks(&watching, 5);
    assert_quiet(&watching, &begun);
    runtime.spawn(async move {
        // Not a lock, so that it can be told from what the other one waits for.
        while !gate.is_open() {
            thread::sleep(Duration::from_millis(300));
        }
    });
    let stall = begun.recv_timeout(PATIENCE);
    drop(opener);
    let stall = stall.expect("it is reported");
    assert_eq!(
        (stall.worker, stall.cause),
        (Some(0), Cause::BlockingCall),
        "{stall}"
    );
}
