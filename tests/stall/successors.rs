//! Workers that have changed their thread, and stall on the one that they are on.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use longshore::stall::{Cause, Stall, Watch, Watching};
use tokio::{
    runtime::{Handle, Runtime},
    task::block_in_place,
};

use crate::support::{
    Flavour, Gate, LOOKS, PATIENCE, assert_quiet, compute, in_time, listen, settles, wait_for_looks,
};

/// The calling thread, as it is under `/proc`: `<process>/task/<thread>`.
fn me() -> PathBuf {
    fs::read_link("/proc/thread-self").unwrap()
}

/// Has the only worker go on on another thread. Gives the one it was on.
async fn hand_on() -> PathBuf {
    let was = tokio::spawn(async {
        // Until the worker runs something on another thread.
        let (say, said) = mpsc::channel();
        tokio::spawn(async move { say.send(()).unwrap() });
        block_in_place(|| said.recv().unwrap());
        me()
    });
    was.await.unwrap()
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
            let was = hand_on().await;
            let end = Instant::now() + PATIENCE;
            while Path::new("/proc").join(&was).exists() {
                assert!(Instant::now() < end, "it does not end");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (was, tokio::spawn(async { me() }).await.unwrap())
        });
        assert_ne!(was, is);
        wait_for_looks(&watching, LOOKS);
        let (gate, opener) = Gate::new();
        let blocks = runtime.spawn(async move { gate.wait() });
        let stall = begun.recv_timeout(PATIENCE).expect("it is reported");
        drop(opener);
        runtime.block_on(blocks).unwrap();
        is_a_wait_on(&stall, &is);
    });
}

/// The same while that one is there still: the worker is well for a while on the other, a little at a time.
#[test]
fn a_worker_is_found_again_while_it_goes_on_elsewhere() {
    in_time(|| {
        let runtime = one_worker();
        let (watch, begun, _ended) = listen(Watch::new());
        let watching = watch.attach(runtime.handle()).unwrap();
        let is = moves_and_goes_on(&runtime, &watching);
        let (gate, opener) = Gate::new();
        let blocks = runtime.spawn(async move { gate.wait() });
        let stall = begun.recv_timeout(PATIENCE);
        drop(opener);
        runtime.block_on(blocks).unwrap();
        is_a_wait_on(&stall.expect("it is reported"), &is);
    });
}

#[test]
fn so_it_is_where_stalls_are_denied() {
    in_time(|| {
        let runtime = one_worker();
        let guard = {
            let _entered = runtime.enter();
            longshore::stall::deny()
        };
        let is = moves_and_goes_on(&runtime, guard.watching());
        let (gate, opener) = Gate::new();
        let blocks = runtime.spawn(async move { gate.wait() });
        wait_for_looks(guard.watching(), 4 * LOOKS);
        drop(opener);
        runtime.block_on(blocks).unwrap();
        let reports = guard.into_reports();
        assert_eq!(reports.len(), 1, "{reports:?}");
        is_a_wait_on(&reports[0], &is);
    });
}

fn one_worker() -> Runtime {
    let mut builder = Flavour::MultiThread.builder();
    builder.worker_threads(1).build().unwrap()
}

/// Has the worker change its thread, and then do a little now and then for long. Gives the one it is on.
fn moves_and_goes_on(runtime: &Runtime, watching: &Watching) -> PathBuf {
    runtime.block_on(async {
        let was = hand_on().await;
        let (until, end) = (watching.looks() + LOOKS, Instant::now() + PATIENCE);
        while watching.looks() < until {
            assert!(Instant::now() < end, "it does not look");
            tokio::spawn(async {}).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let is = tokio::spawn(async { me() }).await.unwrap();
        assert_ne!(was, is);
        is
    })
}

#[track_caller]
fn is_a_wait_on(stall: &Stall, thread: &Path) {
    assert_eq!(stall.cause, Cause::LockWait, "{stall:?}");
    let known = stall.thread.expect("it is known").to_string();
    assert!(thread.ends_with(known), "{stall:?}");
}

/// Of a runtime that was built to be watched: it has said who it is whenever it parked, and has not since.
#[test]
fn a_successor_that_never_parks_is_reported() {
    in_time(|| {
        let (watch, begun, _) = listen(Watch::new().without_cpu());
        let mut builder = Flavour::MultiThread.builder();
        let (runtime, watching) = watch.build(builder.worker_threads(1)).unwrap();
        let (gate, opener) = Gate::new();
        let (held, enough) = Gate::new();
        runtime.spawn(async move {
            // In the queue before the worker is handed on with it.
            for sleeps in [true, false] {
                let (gate, held) = (gate.clone(), held.clone());
                tokio::spawn(async move {
                    while !gate.is_open() {
                        compute(Duration::from_millis(1));
                        if sleeps && held.is_open() {
                            gate.sleep_until_open(Duration::from_millis(300));
                        }
                        tokio::task::yield_now().await;
                    }
                });
            }
            block_in_place(|| gate.wait());
        });
        wait_for_looks(&watching, 2 * LOOKS);
        assert_quiet(&watching, &begun);
        drop(enough);
        let stall = begun.recv_timeout(PATIENCE);
        drop(opener);
        let stall = stall.expect("it is reported");
        assert_eq!(
            (stall.worker, stall.cause),
            (Some(0), Cause::BlockingCall),
            "{stall}"
        );
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
        tell.send(Handle::current().metrics().worker_park_count(0))
            .unwrap();
        block_in_place(|| theirs.wait());
    });
    let parks = in_place.recv().unwrap();
    let metrics = runtime.metrics();
    settles("it parks", || metrics.worker_park_count(0) > parks);
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
