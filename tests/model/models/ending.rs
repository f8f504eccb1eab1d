//! A lane is closed, and shut down.

use std::task::Poll;

use shuttle::{future::block_on, thread};

use super::{
    Ends, check_both,
    lanes::{FOR_EVER, assert_settled, lane, offload, wait_until_settled},
};
use crate::error::Error;

/// Some park, one watches, some work: all of them hear of it.
#[test]
fn a_lane_that_is_closed_in_full_run_sends_every_worker_home() {
    check_both(|| {
        let core = lane(3, None, FOR_EVER);
        let tasks: Vec<_> = (0..5).map(|n| offload(&core, move |_| n)).collect();
        let other = core.clone();
        let closer = thread::spawn(move || other.close());
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(block_on(task).expect("it was taken in before"), n);
        }
        closer.join().expect("whoever closes it");
        assert_settled(&core);
    });
}

/// K10, R7, R8: closing races with jobs that come in, and with itself.
#[test]
fn a_closing_lane_answers_everybody() {
    let ends = Ends::default();
    let seen = ends.clone();
    check_both(move || {
        let core = lane(1, None, FOR_EVER);
        let caller = thread::spawn({
            let (core, seen) = (core.clone(), seen.clone());
            move || {
                let tasks: Vec<_> = (0..3).map(|n| offload(&core, move |_| n)).collect();
                for (n, task) in tasks.into_iter().enumerate() {
                    match block_on(task) {
                        Ok(value) => {
                            assert_eq!(value, n);
                            seen.saw("a value");
                        }
                        Err(Error::Closed { .. }) => seen.saw("closed"),
                        Err(Error::Cancelled { .. }) => seen.saw("cancelled"),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
        let closers: Vec<_> = (0..2)
            .map(|_| {
                let core = core.clone();
                thread::spawn(move || {
                    core.close();
                    core.cancel_all();
                })
            })
            .collect();
        for thread in closers.into_iter().chain([caller]) {
            thread.join().expect("all of them end");
        }
        // A cancelled job's caller hears of it before the job's thread does.
        wait_until_settled(&core);
    });
    ends.were(&["a value", "closed", "cancelled"]);
}

/// K10. What a shutdown does when its grace is over, while jobs come, run, and are given up: everybody is
/// told, and it hears of the last job that leaves its thread. (A thread that is still starting is not waited
/// for: it may never come.)
#[test]
fn a_shutdown_hears_of_the_last_job() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        let before = [(); 2].map(|()| offload(&core, |_| thread::yield_now()));
        let caller = thread::spawn({
            let core = core.clone();
            move || {
                let [kept, dropped] = [(); 2].map(|()| offload(&core, |_| thread::yield_now()));
                drop(dropped);
                match block_on(kept) {
                    Ok(()) | Err(Error::Closed { .. } | Error::Cancelled { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        core.close();
        core.cancel_all();
        block_on(std::future::poll_fn(|cx| {
            let mut waker = Some(cx.waker().clone());
            let is_quiet = core.with_state(|state| {
                let is_quiet = state.is_quiet();
                if !is_quiet {
                    state.call_when_quiet(&mut waker);
                }
                is_quiet
            });
            if is_quiet {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        assert!(core.jobs().is_empty());
        assert_settled(&core);
        for task in before {
            match block_on(task) {
                Ok(()) | Err(Error::Cancelled { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        caller.join().expect("it is told");
        assert_settled(&core);
    });
}
