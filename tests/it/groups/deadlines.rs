//! Who keeps the deadline of a group.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use longshore::{CancelToken, Group, Lane, group::Cause, lane::Threads};

use crate::support::{Flavour, Gate, NoMoreThreads, each_in_a_child, settles, watched};

/// A builder that is kept, to make one group after the other, gives each of them its time.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_group_begins_when_it_is_made() {
    let builder = Group::builder("again").timeout(Duration::from_secs(1));
    for _ in 0..3 {
        let begun = tokio::time::Instant::now();
        let group = builder.clone().build();
        group.spawn(pending::<()>());
        let outcome = group.join_all().await.pop().unwrap();
        assert!(outcome.unwrap_err().is_timeout());
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }
    // The last word counts.
    let unlimited = builder.timeout(Duration::MAX).build();
    unlimited.spawn(tokio::time::sleep(Duration::from_secs(60)));
    assert!(unlimited.join_all().await.pop().unwrap().is_ok());
}

/// K3. What waits in the group's queue has no lane yet that would keep its time: without a runtime, and
/// when that which has kept it is gone, it is kept all the same.
#[test]
fn a_deadline_holds_for_what_waits_in_the_group_without_a_runtime() {
    for within in [false, true] {
        watched(move || {
            let is_kept = |time| {
                let runtime = Flavour::MultiThread.runtime();
                let lane = Lane::builder("deaf")
                    .own_threads(Threads::new())
                    .limit(1)
                    .build();
                let (gate, own) = (Gate::new(), CancelToken::new());
                let door = gate.door();
                let made = Instant::now();
                let mut group = Group::builder("timed").limit(1).timeout(time).build();
                let entered = within.then(|| runtime.enter());
                group.offload(&lane.cancelled_by(&own), move || door.pass());
                let starting = group.offload(&lane, || unreachable!("the group is full"));
                drop(entered);
                settles("it runs, or is late", || {
                    gate.count() == 1 || made.elapsed() >= time
                });
                // Its own token has stopped it: no lane has anything left to keep the time of.
                own.cancel();
                if made.elapsed() >= time {
                    return false;
                }
                runtime.shutdown_background();
                let outcomes = [block_on(group.next()), block_on(group.next())];
                let [first, second] = outcomes.map(|outcome| outcome.unwrap().unwrap_err());
                assert!(first.is_cancelled(), "{first}");
                assert!(second.is_timeout() && second.never_started(), "{second}");
                assert!(block_on(starting).unwrap_err().is_timeout());
                gate.open();
                assert!(block_on(group.join_all()).is_empty());
                true
            };
            // More on a machine that is too busy for it to be stopped by then.
            let times = [100, 1_000, 6_000].map(Duration::from_millis);
            assert!(
                times.into_iter().any(is_kept),
                "it was never stopped in time"
            );
        });
    }
}

/// K3. The deadline passes while nobody drives the runtime that keeps it, and then that goes: its end
/// tells what waits in the queue. There is no lane and no other runtime to do it, nor perhaps a thread.
#[test]
fn a_deadline_that_an_undriven_runtime_has_missed_is_kept_at_its_end() {
    // Enough for it to be stopped by then.
    const TIME: Duration = Duration::from_secs(3);
    let test = concat!(
        module_path!(),
        "::a_deadline_that_an_undriven_runtime_has_missed_is_kept_at_its_end"
    );
    each_in_a_child(test, &[false, true], |refused| {
        let runtime = Flavour::CurrentThread.runtime();
        let lane = Lane::builder("deaf")
            .own_threads(Threads::new())
            .limit(1)
            .build();
        let (gate, own) = (Gate::new(), CancelToken::new());
        let door = gate.door();
        let mut group = Group::builder("timed").limit(1).timeout(TIME).build();
        let made = Instant::now();
        let entered = runtime.enter();
        group.offload(&lane.cancelled_by(&own), move || door.pass());
        let starting = group.offload(&lane, || unreachable!("the group is full"));
        drop(entered);
        runtime.block_on(async {
            // It has its outcome early, and its place as long as the gate is shut.
            gate.arrived(1).await;
            own.cancel();
            assert!(group.next().await.unwrap().unwrap_err().is_cancelled());
        });
        while made.elapsed() < TIME {
            std::thread::sleep(TIME / 10);
        }
        let _none = refused.then(NoMoreThreads::from_here_on);
        drop(runtime);
        let error = block_on(group.next()).unwrap().unwrap_err();
        assert!(error.is_timeout() && error.never_started(), "{error}");
        assert!(block_on(starting).unwrap_err().is_timeout());
        gate.open();
        assert!(block_on(group.join_all()).is_empty());
    });
}

/// K3. The lane of a child that runs keeps the deadline, and that is enough for what waits: nobody
/// drives the runtime that should keep it for that.
#[test]
fn a_deadline_that_a_lane_has_kept_holds_for_what_waits_in_the_group() {
    watched(|| {
        let runtime = Flavour::CurrentThread.runtime();
        let lane = Lane::builder("deaf")
            .own_threads(Threads::new())
            .limit(1)
            .build();
        let gate = Gate::new();
        let door = gate.door();
        let mut group = Group::builder("timed")
            .limit(1)
            .timeout(Duration::from_millis(100))
            .build();
        // The lane keeps its time on a thread.
        group.offload(&lane, move || door.pass());
        let entered = runtime.enter();
        let starting = group.offload(&lane, || unreachable!("the group is full"));
        drop(entered);
        for _ in 0..2 {
            let error = block_on(group.next()).unwrap().unwrap_err();
            assert!(error.is_timeout(), "{error}");
        }
        assert!(block_on(starting).unwrap_err().never_started());
        gate.open();
        assert!(block_on(group.join_all()).is_empty());
    });
}

/// G1. Whether a child failed by itself is settled when it fails, however late the join is.
#[tokio::test(start_paused = true)]
async fn who_failed_before_the_deadline_failed_by_itself_whenever_it_is_joined() {
    let ms = Duration::from_millis;
    let lane = Lane::builder("taken")
        .own_threads(Threads::new())
        .limit(1)
        .build();
    let gate = Gate::new();
    let door = gate.door();
    let held = lane.offload(move || door.pass());
    let group = Group::builder("timed").timeout(ms(60)).build();
    for _ in 0..2 {
        group.offload(&lane.timeout(ms(5)), || unreachable!("the lane is taken"));
    }
    // Its time is that of the group.
    group.offload(&lane, || unreachable!("the lane is taken"));
    tokio::time::sleep(ms(30)).await;
    assert_eq!((lane.stats().timed_out, group.len()), (2, 1));
    tokio::time::sleep(ms(100)).await;
    let failed = group.join_all_or_cancel().await.unwrap_err();
    assert!(
        matches!(&failed.cause, Cause::Lost(error) if error.is_timeout()),
        "{failed}"
    );
    assert_eq!(failed.others, 1);
    gate.open();
    held.await.unwrap();
}
