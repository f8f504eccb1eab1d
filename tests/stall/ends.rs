//! The end of what was told, and how long it took in all.

use std::{thread, time::Duration};

use longshore::stall::{Cause, Watch, allow, watched};

use crate::support::{Flavour, Gate, LOOKS, PATIENCE, Watched, settles, wait_for_looks};

on_both! {
    /// Tokio gives up all other tasks at once, and waits for the one that does not go on.
    fn of_a_runtime_that_is_dropped_the_end_is_when_its_thread_goes_on(flavour: Flavour) {
        let Watched { runtime, watching, begun, ended } = Watched::new(flavour);
        let (gate, opener) = Gate::new();
        let theirs = watching.clone();
        let driver = thread::spawn(move || match flavour {
            Flavour::CurrentThread => {
                theirs.block_on(&runtime, async move { gate.wait() });
                drop(runtime);
            }
            Flavour::MultiThread => {
                runtime.spawn(async move { gate.wait() });
                settles("it is told", || theirs.stalls() == 1);
                drop(runtime);
            }
        });
        let stall = begun.recv_timeout(PATIENCE).expect("it is reported");
        // Being dropped, for long.
        wait_for_looks(&watching, 3 * LOOKS);
        let early = ended.try_recv();
        drop(opener);
        driver.join().unwrap();
        assert!(early.is_err(), "it is not over: {early:?}");
        let end = ended.recv_timeout(PATIENCE).expect("it ends");
        assert!(end.total > Some(stall.stalled_for + Duration::from_millis(300)), "{end:?}");
    }

    /// The first is told of its worker, which does not pause before it is in a poll that is watched.
    fn of_two_in_a_row_the_first_is_over_when_the_second_begins(flavour: Flavour) {
        let mut builder = flavour.builder();
        let watched_runtime = Watched::built_by(builder.worker_threads(1), Watch::new());
        let [(first, open_first), (second, open_second)] = [Gate::new(), Gate::new()];
        thread::scope(|scope| {
            let (watching, runtime) = (&watched_runtime.watching, &watched_runtime.runtime);
            scope.spawn(move || {
                watching.block_on(runtime, async move {
                    // Both are in the queue before the first goes on.
                    let first = tokio::spawn(async move { first.wait() });
                    let second = tokio::spawn(watched(async move { second.wait() }));
                    first.await.unwrap();
                    second.await.unwrap();
                });
            });
            let told = watched_runtime.begun.recv_timeout(PATIENCE);
            drop(open_first);
            let told_next = watched_runtime.begun.recv_timeout(PATIENCE);
            // Whatever is told comes in order.
            let end = watched_runtime.ended.try_recv();
            drop(open_second);
            let (told, told_next) = (told.expect("it is told"), told_next.expect("so is this"));
            assert_eq!((told.watched_at, told_next.watched_at.is_some()), (None, true));
            let end = end.expect("the first is over");
            assert_eq!(end.watched_at, None);
            assert!(end.total >= Some(told.stalled_for), "{end:?}");
        });
        let end = watched_runtime.ended.recv_timeout(PATIENCE).expect("so is the second");
        assert!(end.watched_at.is_some());
    }

    /// The scope is part of the same poll, which was not paused.
    fn of_two_around_what_is_allowed_the_first_is_over_when_that_begins(flavour: Flavour) {
        let mut builder = flavour.builder();
        let watched_runtime = Watched::built_by(builder.worker_threads(1), Watch::new());
        let gates = [Gate::new(), Gate::new(), Gate::new()];
        let [(first, open_first), (middle, open_middle), (last, open_last)] = gates;
        thread::scope(|scope| {
            let (watching, runtime) = (&watched_runtime.watching, &watched_runtime.runtime);
            scope.spawn(move || {
                let waits = async move {
                    first.wait();
                    allow("a test", || middle.wait());
                    last.wait();
                };
                // The poll is to be no other one: it is not watched, as what is run here would be.
                watching.block_on(runtime, async move { tokio::spawn(waits).await.unwrap() });
            });
            let told = watched_runtime.begun.recv_timeout(PATIENCE);
            drop(open_first);
            wait_for_looks(watching, LOOKS);
            let end = watched_runtime.ended.try_recv();
            drop(open_middle);
            let told_next = watched_runtime.begun.recv_timeout(PATIENCE);
            drop(open_last);
            assert!(told.is_ok(), "it is told");
            assert!(end.is_ok(), "it is over: {end:?}");
            assert_eq!(told_next.expect("so is the other").cause, Cause::LockWait);
        });
        assert!(watched_runtime.ended.recv_timeout(PATIENCE).is_ok());
        assert_eq!(watched_runtime.watching.stalls(), 2);
    }
}
