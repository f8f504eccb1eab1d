//! Jobs that wait for jobs.

use shuttle::{future::block_on, thread};

use super::{
    check_both,
    lanes::{A_WHILE, FOR_EVER, assert_settled, lane, offload, wait_until_settled},
    signals::{Gauge, Handed},
};
use crate::{
    job::{Job, Task},
    lane::{core::Core, source::Source},
    sync::Arc,
};

/// A job that waits for a job of its lane that waits for a job of its lane, and so on.
fn descend(core: &Arc<Core>, gauge: &Arc<Gauge>, limit: usize, depth: usize) -> Task<usize> {
    let (theirs, inside) = (core.clone(), gauge.clone());
    offload(core, move |_| {
        inside.pass(limit);
        if depth == 0 {
            return 0;
        }
        let below = crate::job::block_on(descend(&theirs, &inside, limit, depth - 1));
        inside.pass(limit);
        below.expect("it has a slot, if need be mine") + 1
    })
}

/// K8, K1.
#[test]
fn a_job_can_wait_for_another_of_its_lane_at_any_depth() {
    for limit in [1, 2] {
        check_both(move || {
            let core = lane(limit, None, FOR_EVER);
            let gauge = Arc::new(Gauge::default());
            let depth = block_on(descend(&core, &gauge, limit, 2));
            assert_eq!(depth.expect("it runs"), 2);
            assert_settled(&core);
            core.close();
        });
    }
}

/// K8, K1.
#[test]
fn as_many_jobs_as_there_are_slots_can_wait_for_others_among_strangers() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        let gauge = Arc::new(Gauge::default());
        let waiting = [descend(&core, &gauge, 2, 1), descend(&core, &gauge, 2, 1)];
        let inside = gauge.clone();
        let stranger = offload(&core, move |_| inside.pass(2));
        for task in waiting {
            assert_eq!(block_on(task).expect("it runs"), 1);
        }
        block_on(stranger).expect("it runs");
        assert_settled(&core);
        core.close();
    });
}

/// K8. In a queue without workers that stay, on a source that may have none to spare.
#[test]
fn a_job_can_wait_for_several_of_its_lane() {
    for linger in [FOR_EVER, A_WHILE, None] {
        check_both(move || {
            let core = lane(1, None, linger);
            let theirs = core.clone();
            let sum = offload(&core, move |_| {
                let parts: Vec<_> = (1..=3).map(|n| offload(&theirs, move |_| n)).collect();
                let all = crate::job::block_on(futures::future::join_all(parts));
                all.into_iter().map(Result::unwrap).sum::<u32>()
            });
            assert_eq!(block_on(sum).expect("it runs"), 6);
            assert_settled(&core);
            core.close();
        });
    }
}

/// K8. What is awaited elsewhere in the job's name, several at once and with some given up; and with
/// threads refused now and then.
#[test]
fn what_is_awaited_at_once_in_the_name_of_a_job_gets_its_slot_in_turn() {
    for refusals in [0.0, 0.3] {
        check_both(move || {
            let source = Source {
                linger: FOR_EVER,
                refusals_aside: refusals,
                ..Source::default()
            };
            let core = Arc::new(Core::new("model".into(), 1, None, source));
            let theirs = core.clone();
            let outer = offload(&core, move |_| {
                let parts: Vec<_> = (0..3).map(|n| offload(&theirs, move |_| n)).collect();
                let second = parts[1].canceller();
                let task = crate::job::on_behalf(futures::future::join_all(parts));
                let (over, mine) = (Handed::new(), Handed::new());
                let (says, gives) = (over.clone(), mine.clone());
                let elsewhere = thread::spawn(move || {
                    gives.give(block_on(task));
                    says.release();
                });
                let gives_up = thread::spawn(move || second.cancel());
                crate::job::block_on(std::future::poll_fn(|cx| over.poll(cx)));
                elsewhere.join().expect("it does not panic");
                gives_up.join().expect("it does not panic");
                let ends = mine.take();
                ends[0].is_ok() && ends[2].is_ok()
            });
            assert!(block_on(outer).expect("it runs"));
            wait_until_settled(&core);
            core.close();
        });
    }
}

/// K8. Each lane's only slot is held by a job that waits for one of the other lane.
#[test]
fn two_lanes_can_call_each_other() {
    check_both(|| {
        let (one, other) = (lane(1, None, FOR_EVER), lane(1, None, FOR_EVER));
        let there_and_back = |from: &Arc<Core>, to: &Arc<Core>| {
            let (back, to) = (from.clone(), to.clone());
            offload(from, move |_| {
                let inner = move |_: &Job| crate::job::block_on(offload(&back, |_| 7));
                crate::job::block_on(offload(&to, inner)).expect("it runs")
            })
        };
        for task in [there_and_back(&one, &other), there_and_back(&other, &one)] {
            assert_eq!(block_on(task).expect("it runs").expect("it runs"), 7);
        }
        for core in [one, other] {
            assert_settled(&core);
            core.close();
        }
    });
}

/// K8 in somebody else's loop.
#[test]
fn a_job_can_wait_for_another_of_its_lane_in_a_foreign_loop() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let theirs = core.clone();
        let outer = offload(&core, move |_| {
            let inner = theirs.clone();
            let below = block_on(offload(&theirs, move |_| {
                block_on(offload(&inner, |_| 1)).expect("it runs") + 1
            }));
            below.expect("it runs") + 1
        });
        assert_eq!(block_on(outer).expect("it runs"), 3);
        assert_settled(&core);
        core.close();
    });
}

/// K8 for what another thread awaits in the name of a job.
#[test]
fn a_job_can_wait_for_another_of_its_lane_by_way_of_a_task() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let theirs = core.clone();
        let outer = offload(&core, move |_| {
            let task = crate::job::on_behalf(async move {
                let first = offload(&theirs, |_| 1).await.expect("it runs");
                first + offload(&theirs, |_| 2).await.expect("it runs")
            });
            let (over, mine) = (Handed::new(), Handed::new());
            let (says, gives) = (over.clone(), mine.clone());
            let elsewhere = thread::spawn(move || {
                gives.give(block_on(task));
                says.release();
            });
            crate::job::block_on(std::future::poll_fn(|cx| over.poll(cx)));
            elsewhere.join().expect("it does not panic");
            mine.take()
        });
        assert_eq!(block_on(outer).expect("it runs"), 3);
        assert_settled(&core);
        core.close();
    });
}

#[test]
fn a_job_that_waits_for_others_can_be_given_up_at_any_moment() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let theirs = core.clone();
        let outer = offload(&core, move |job| {
            let inner = theirs.clone();
            let middle = offload(&theirs, move |job| {
                let _ = job.block_on(offload(&inner, |_| 1));
            });
            job.block_on(middle).is_ok()
        });
        let gives_up = thread::spawn(move || drop(outer));
        assert_eq!(block_on(offload(&core, |_| 2)).expect("it runs"), 2);
        gives_up.join().expect("it does not panic");
        wait_until_settled(&core);
        core.close();
    });
}
