//! Deadlines pass, whatever the job is about.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Waker,
    time::Duration,
};

use shuttle::{future::block_on, thread};
use tokio::time::Instant;

use super::{
    Ends, check_both,
    lanes::{FOR_EVER, hand_in, lane, offload, wait_until_settled},
};
use crate::{
    error::Error,
    job::Job,
    lane::{core::Core, home::Keeper},
    sync::{Arc, Mutex},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// The keepers look, when the deadlines have passed.
fn time_passes(core: &Core) {
    let homes = core.with_state(|state| state.homes.iter().map(|home| home.id).collect::<Vec<_>>());
    for home in homes {
        let later = Instant::now() + 2 * HOUR;
        core.keep_time(home, Keeper::Task, later, Waker::noop().clone());
    }
}

/// K3, K2: a deadline meets a job before, while and after it runs.
#[test]
fn a_deadline_that_passes_is_the_one_outcome_or_comes_too_late() {
    let ends = Ends::default();
    let seen = ends.clone();
    check_both(move || {
        let core = lane(1, None, FOR_EVER);
        let ran = Arc::new(AtomicUsize::new(0));
        let before = offload(&core, |_| thread::yield_now());
        let job = {
            let ran = ran.clone();
            move |_: &Job| {
                ran.fetch_add(1, Ordering::SeqCst);
                thread::yield_now();
                7
            }
        };
        let task = hand_in(&core, job, Some(Instant::now() + HOUR), false);
        let keeper = thread::spawn({
            let core = core.clone();
            move || time_passes(&core)
        });
        let told = block_on(task);
        keeper.join().expect("the keeper");
        block_on(before).expect("it has no deadline");
        wait_until_settled(&core);
        let ran = ran.load(Ordering::SeqCst);
        let stats = core.stats();
        assert_eq!(stats.completed + stats.timed_out, 2);
        assert_eq!(stats.timed_out, u64::from(told.is_err()));
        seen.saw_told(told, ran, Error::is_timeout);
        core.close();
    });
    ends.were(&["a value", "waiting", "running"]);
}

/// K3, K4. The same with the caller gone as well.
#[test]
fn a_deadline_and_a_drop_meet_without_counting_twice() {
    let ends = Ends::default();
    let seen = ends.clone();
    check_both(move || {
        let core = lane(1, None, FOR_EVER);
        let cell = Arc::new(Mutex::new(0));
        let job = {
            let cell = cell.clone();
            move |_: &Job| *cell.lock() += 1
        };
        let task = hand_in(&core, job, Some(Instant::now() + HOUR), false);
        let others = [
            thread::spawn(move || drop(task)),
            thread::spawn({
                let core = core.clone();
                move || time_passes(&core)
            }),
        ];
        block_on(offload(&core, |_| ())).expect("the slot is free again");
        for other in others {
            other.join().expect("it ends");
        }
        wait_until_settled(&core);
        let stats = core.stats();
        assert_eq!(stats.completed + stats.cancelled + stats.timed_out, 2);
        if stats.timed_out > 0 {
            seen.saw("the deadline first");
        }
        if stats.cancelled > 0 {
            seen.saw("the drop first");
        }
        core.close();
    });
    ends.were(&["the deadline first", "the drop first"]);
}
