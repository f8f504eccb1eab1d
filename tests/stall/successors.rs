//! Workers that have changed their thread, and stall on the one that they are on.

use std::{
    fs,
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use longshore::stall::{Cause, Watch};
use tokio::{runtime::Handle, task::block_in_place};

use crate::support::{
    Flavour, Gate, LOOKS, PATIENCE, assert_quiet, in_time, listen, settles, wait_for_looks,
};

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
            let me = || fs::read_link("/proc/thread-self").unwrap();
            let was = tokio::spawn(async move {
                // Until the worker runs something on another thread.
                let (say, said) = mpsc::channel();
                tokio::spawn(async move { say.send(()).unwrap() });
                block_in_place(|| said.recv().unwrap());
                me()
            });
            let was = was.await.unwrap();
            let end = Instant::now() + PATIENCE;
            // Under `/proc`, as it is: `<process>/task/<thread>`.
            while Path::new("/proc").join(&was).exists() {
                assert!(Instant::now() < end, "it does not end");
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
