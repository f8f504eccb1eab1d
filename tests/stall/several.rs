//! One in another: a `LocalSet` on a runtime, a runtime in a closure of another, two watches of one.

use std::{rc::Rc, thread, time::Duration};

use longshore::stall::{Cause, Certainty, Watch, watched};
use tokio::{
    runtime::Handle,
    task::{LocalSet, spawn_blocking, spawn_local},
};

use crate::support::{
    Flavour, Gate, LOOKS, PATIENCE, Watched, assert_quiet, in_time, listen, looks, wait_for_looks,
};

/// On a multi-thread runtime it runs on no worker, and is seen for being watched.
#[test]
fn a_watched_task_of_a_local_set_is_found() {
    in_time(|| {
        let watched_runtime = Watched::new(Flavour::MultiThread);
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let runtime = &watched_runtime.runtime;
            scope.spawn(move || {
                LocalSet::new().block_on(runtime, async move {
                    let gate = Rc::new(gate);
                    let blocks = watched(async move { gate.wait() });
                    spawn_local(blocks).await.unwrap();
                });
            });
            let stall = watched_runtime.begun.recv_timeout(PATIENCE);
            wait_for_looks(&watched_runtime.watching, LOOKS);
            drop(opener);
            let stall = stall.expect("it is told");
            assert_eq!(
                (stall.cause, stall.certainty, stall.worker),
                (Cause::LockWait, Certainty::OneCall, None)
            );
            assert!(stall.is_at("stall/several.rs"), "{stall}");
            assert!(stall.task.is_some(), "{stall}");
        });
        watched_runtime
            .ended
            .recv_timeout(PATIENCE)
            .expect("its end is told");
        assert_eq!(watched_runtime.watching.stalls(), 1);
    });
}

on_both! {
    /// The thread that it holds up is one of the pool, which is there for that.
    fn what_blocks_an_inner_runtime_does_not_block_the_outer(flavour: Flavour) {
        let outer = Watched::new(flavour);
        let Watched { runtime, watching, begun, .. } = Watched::new(Flavour::CurrentThread);
        let (gate, opener) = Gate::new();
        let theirs = watching.clone();
        let stall = outer.is_quiet(async {
            let driven = spawn_blocking(move || {
                let blocks = runtime.spawn(async move { gate.wait() });
                theirs.block_on(&runtime, blocks).unwrap();
            });
            let stall = spawn_blocking(move || begun.recv_timeout(PATIENCE)).await.unwrap();
            looks(&outer.watching, LOOKS).await;
            drop(opener);
            driven.await.unwrap();
            stall.expect("it is told")
        });
        assert_eq!((stall.cause, stall.worker), (Cause::LockWait, Some(0)));
        assert_eq!(watching.stalls(), 1);
    }

    /// And the other way round: the inner one is on a thread of its own, and goes on.
    fn what_blocks_the_outer_runtime_does_not_block_an_inner(flavour: Flavour) {
        let outer = Watched::new(flavour);
        let Watched { runtime, watching, begun, .. } = Watched::new(Flavour::CurrentThread);
        let (enough, is_enough) = tokio::sync::oneshot::channel();
        let theirs = watching.clone();
        let driven = outer.runtime.spawn_blocking(move || {
            theirs.block_on(&runtime, is_enough).unwrap();
        });
        let (stall, _) = outer.stall(|gate| gate.wait());
        assert_eq!(stall.cause, Cause::LockWait);
        wait_for_looks(&watching, 2);
        enough.send(()).unwrap();
        outer.runtime.block_on(driven).unwrap();
        assert_quiet(&watching, &begun);
        assert_eq!(outer.watching.stalls(), 1);
    }

    fn each_of_two_watches_tells_once(flavour: Flavour) {
        let runtime = flavour.builder().build().unwrap();
        let thresholds = [50, 300].map(Duration::from_millis);
        let watches = thresholds.map(|threshold| listen(Watch::new().threshold(threshold)));
        let [(low, low_begun, low_ended), (high, high_begun, high_ended)] = watches;
        let (gate, opener) = Gate::new();
        let driver = thread::spawn(move || {
            runtime.block_on(async move {
                let handle = Handle::current();
                let watching = [low.attach(&handle).unwrap(), high.attach(&handle).unwrap()];
                for watching in &watching {
                    looks(watching, LOOKS).await;
                }
                tokio::spawn(async move { gate.wait() }).await.unwrap();
                for watching in &watching {
                    looks(watching, LOOKS / 2).await;
                    assert_eq!(watching.stalls(), 1);
                }
            });
        });
        let told = [low_begun, high_begun].map(|begun| (begun.recv_timeout(PATIENCE), begun));
        drop(opener);
        driver.join().unwrap();
        let ended = [low_ended, high_ended];
        for (((told, begun), ended), threshold) in told.into_iter().zip(ended).zip(thresholds) {
            let told = told.expect("it is told");
            assert_eq!(told.cause, Cause::LockWait);
            assert!(told.stalled_for >= threshold, "{told}");
            assert!(begun.try_recv().is_err(), "it is told once");
            assert!(ended.recv_timeout(PATIENCE).is_ok(), "its end is told");
            assert!(ended.try_recv().is_err(), "its end is told once");
        }
    }
}
