//! Jobs are cancelled, dropped and detached, at any moment.

use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::{future::block_on, thread};

use super::{
    Ends, check, check_both,
    lanes::{FOR_EVER, assert_settled, hand_in_under, lane, offload, wait_until_settled},
    signals::{Event, Gauge},
};
use crate::{
    cancel::CancelToken,
    error::Error,
    job::Job,
    lane::core::Core,
    sync::{Arc, Mutex},
};

/// C1, C2, K2, K5: a cancel meets a job before, while and after it runs.
#[test]
fn a_cancelled_job_has_one_outcome_and_none_that_waited_has_run() {
    let ends = Ends::default();
    let seen = ends.clone();
    check_both(move || {
        let core = lane(1, None, FOR_EVER);
        let ran = Arc::new(AtomicUsize::new(0));
        let before = offload(&core, |_| thread::yield_now());
        let task = offload(&core, {
            let ran = ran.clone();
            move |_| {
                ran.fetch_add(1, Ordering::SeqCst);
                7
            }
        });
        let canceller = task.canceller();
        let other = thread::spawn(move || {
            canceller.cancel();
            canceller.cancel();
        });
        let told = block_on(task);
        other.join().expect("the canceller");
        block_on(before).expect("not cancelled");
        wait_until_settled(&core);
        let ran = ran.load(Ordering::SeqCst);
        seen.saw_told(told, ran, Error::is_cancelled);
        core.close();
    });
    ends.were(&["a value", "waiting", "running"]);
}

/// K4, K1, C8: tasks are dropped at any moment; slots come back, and not too early.
#[test]
fn dropped_tasks_give_their_slots_back_exactly_once() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let gauge = Arc::new(Gauge::default());
        let hand_in = |core: &Arc<Core>| {
            let gauge = gauge.clone();
            offload(core, move |_| gauge.pass(1))
        };
        let dropped = [hand_in(&core), hand_in(&core)];
        let kept = hand_in(&core);
        let dropper = thread::spawn(move || drop(dropped));
        block_on(kept).expect("nobody dropped it");
        dropper.join().expect("the dropper");
        // Whatever drains has one slot between it and this one.
        block_on(hand_in(&core)).expect("the slot is free again");
        assert_settled(&core);
        core.close();
    });
}

/// K6: detaching races with starting and ending.
#[test]
fn a_detached_job_runs_to_its_end_and_is_counted_once() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let ran = Arc::new(AtomicUsize::new(0));
        let task = offload(&core, {
            let ran = ran.clone();
            move |_| ran.fetch_add(1, Ordering::SeqCst)
        });
        task.detach();
        block_on(offload(&core, |_| ())).expect("it runs");
        assert_eq!(ran.load(Ordering::SeqCst), 1);
        assert_settled(&core);
        core.close();
    });
}

/// K5: a hook runs at most once, and neither runs nor is running after its guard was dropped.
#[test]
fn a_hook_never_runs_after_its_guard_is_gone() {
    let ends = Ends::default();
    let seen = ends.clone();
    check(false, move || {
        let core = lane(1, None, FOR_EVER);
        let resource = Arc::new(Mutex::new(Some(0)));
        let task = offload(&core, {
            let (resource, seen) = (resource.clone(), seen.clone());
            move |job: &Job| {
                let guard = job.on_cancel({
                    let resource = resource.clone();
                    move || {
                        thread::yield_now();
                        let mut used = resource.lock();
                        *used.as_mut().expect("the resource is still there") += 1;
                    }
                });
                thread::yield_now();
                drop(guard);
                // From here on it belongs to somebody else.
                match resource.lock().take() {
                    Some(0) => seen.saw("not run"),
                    Some(1) => seen.saw("run"),
                    used => panic!("{used:?}"),
                }
            }
        });
        let canceller = task.canceller();
        let other = thread::spawn(move || canceller.cancel());
        drop(block_on(task));
        other.join().expect("the canceller");
        block_on(offload(&core, |_| ())).expect("the slot is free again");
        assert_eq!(core.stats().late_panics, 0);
        assert_settled(&core);
        core.close();
    });
    ends.were(&["not run", "run"]);
}

/// C6, C11: a token is cancelled while the jobs under it come, run and go.
#[test]
fn a_token_reaches_every_job_under_it() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let token = CancelToken::new().child();
        let tied: Vec<_> = (0..2)
            .map(|n| {
                let cell = Arc::new(AtomicUsize::new(n));
                let task = offload(&core, move |_| cell.load(Ordering::SeqCst));
                let canceller = task.canceller();
                (task, token.on_cancel(move || canceller.cancel()))
            })
            .collect();
        let other = thread::spawn({
            let token = token.clone();
            move || token.cancel()
        });
        for (n, (task, guard)) in tied.into_iter().enumerate() {
            match block_on(task) {
                Ok(value) => assert_eq!(value, n),
                Err(error) => assert!(error.is_cancelled()),
            }
            drop(guard);
        }
        other.join().expect("the canceller");
        block_on(offload(&core, |_| ())).expect("the lane itself is not cancelled");
        assert_settled(&core);
        core.close();
    });
}

/// What a closure holds that waits, when it is dropped, for what a later job does.
struct WaitsInDrop(Arc<Event>);

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// A worker that drops a closure whose token was cancelled keeps nobody else from the jobs behind it.
#[test]
fn a_job_in_vain_that_is_long_in_its_drop_holds_up_none_behind_it() {
    let ends = Ends::default();
    let seen = ends.clone();
    check_both(move || {
        let core = lane(2, None, FOR_EVER);
        // From here on there is a worker that waits to be called.
        block_on(offload(&core, |_| ())).expect("it runs");
        let (token, later) = (CancelToken::new(), Arc::new(Event::default()));
        let held = WaitsInDrop(later.clone());
        let task = hand_in_under(&core, &token, move |_| drop(held));
        let canceller = thread::spawn(move || token.cancel());
        let behind = offload(&core, move |_| later.happen());
        block_on(behind).expect("it runs");
        match block_on(task) {
            Ok(()) => seen.saw("in time"),
            Err(error) if error.is_cancelled() => seen.saw("in vain"),
            Err(error) => panic!("{error}"),
        }
        canceller.join().expect("the canceller");
        wait_until_settled(&core);
        core.close();
    });
    ends.were(&["in time", "in vain"]);
}
