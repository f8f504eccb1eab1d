//! Jobs are run: each once, no more than the limit at a time, and none is forgotten.

use std::time::Duration;

use shuttle::{future::block_on, thread};

use super::{
    check_both,
    lanes::{A_WHILE, FOR_EVER, assert_settled, lane, offload},
    signals::{Event, Gauge},
};
use crate::sync::Arc;

fn every_job_runs_once(limit: usize, linger: Option<Duration>) {
    let core = lane(limit, None, linger);
    let gauge = Arc::new(Gauge::default());
    let callers: Vec<_> = (0..2)
        .map(|caller| {
            let (core, gauge) = (core.clone(), gauge.clone());
            thread::spawn(move || {
                let tasks: Vec<_> = (0..3)
                    .map(|n| {
                        let gauge = gauge.clone();
                        offload(&core, move |_| {
                            gauge.pass(limit);
                            (caller, n)
                        })
                    })
                    .collect();
                for (n, task) in tasks.into_iter().enumerate() {
                    assert_eq!(block_on(task).expect("nothing goes wrong"), (caller, n));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().expect("a caller");
    }
    assert_eq!(gauge.entered(), 6);
    assert_settled(&core);
    core.close();
}

/// K1, and no wake-up is ever lost: the workers would park for ever.
#[test]
fn every_job_runs_once_and_never_more_than_the_limit_at_a_time() {
    check_both(|| every_job_runs_once(1, FOR_EVER));
    check_both(|| every_job_runs_once(2, FOR_EVER));
    check_both(|| every_job_runs_once(3, FOR_EVER));
}

/// W17: a worker that has just decided to go, and a job that has just come.
#[test]
fn no_job_is_lost_to_a_worker_that_is_about_to_leave() {
    for limit in [1, 2] {
        check_both(move || every_job_runs_once(limit, A_WHILE));
        check_both(move || every_job_runs_once(limit, None));
    }
}

/// Four jobs in a row, each after the last one's end: the lane goes idle in between.
#[test]
fn an_idle_lane_wakes_up_again() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        for n in 0..4 {
            assert_eq!(block_on(offload(&core, move |_| n)).expect("it runs"), n);
        }
        assert_settled(&core);
        core.close();
    });
}

/// Brisk jobs are not given a worker each; but one that waits for another must get it.
#[test]
fn a_job_that_waits_for_a_later_one_gets_it_run() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        let event = Arc::new(Event::default());
        for _ in 0..2 {
            block_on(offload(&core, |_| ())).expect("it runs");
        }
        let waits = offload(&core, {
            let event = event.clone();
            move |_| event.wait()
        });
        let signals = offload(&core, move |_| event.happen());
        block_on(waits).expect("it runs");
        block_on(signals).expect("it runs");
        assert_settled(&core);
        core.close();
    });
}

/// The same in a chain, with a thread for each and no more.
#[test]
fn a_chain_of_jobs_that_wait_for_one_another_gets_through() {
    check_both(|| {
        let core = lane(3, None, FOR_EVER);
        let events: Vec<_> = (0..3).map(|_| Arc::new(Event::default())).collect();
        block_on(offload(&core, |_| ())).expect("it runs");
        let chain: Vec<_> = (0..3)
            .map(|n| {
                let mine = events[n].clone();
                let next = events.get(n + 1).cloned();
                offload(&core, move |_| {
                    if let Some(next) = next {
                        next.wait();
                    }
                    mine.happen();
                })
            })
            .collect();
        for task in chain {
            block_on(task).expect("it runs");
        }
        assert_settled(&core);
        core.close();
    });
}
