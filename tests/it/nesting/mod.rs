//! K8: jobs that wait for jobs, of their own lane too.

mod circles;
mod slots;

use std::time::Duration;

use futures::future::join_all;
use longshore::{
    Bridge, Group, Lane, Task,
    lane::{JobState, Threads},
};
use tokio::sync::oneshot;

use crate::support::{
    Flavour, Gate, Meter, Place, Source, assert_books, is_as_new, watch_over, watched,
};

/// A job that waits for a job that waits for a job, and so on; how deep it was.
fn descend(lane: &Lane, inside: &Meter, depth: usize) -> Task<usize> {
    let (next, meter) = (lane.clone(), inside.clone());
    lane.offload_with(move |job| {
        drop(meter.enter());
        if depth == 0 {
            return 0;
        }
        let below = job.block_on(descend(&next, &meter, depth - 1));
        let _inside = meter.enter();
        below.expect("nobody cancels it").expect("it has a slot") + 1
    })
}

everywhere! {
    /// K8, W12.
    async fn a_job_can_wait_for_another_of_its_lane_at_any_depth(place: Place) {
        for limit in [1, 2, 3] {
            for depth in [1, 2, 7] {
                let lane = place.lane(limit);
                assert_eq!(descend(&lane, &Meter::default(), depth).await.unwrap(), depth);
                is_as_new(&lane).await;
                assert_eq!(lane.stats().completed, depth as u64 + 1);
            }
        }
    }

    /// K8, W12, K1: the lane is full of jobs that wait for others, and others wait behind them.
    async fn a_lane_full_of_jobs_that_wait_for_others_goes_on(place: Place) {
        let lane = place.lane(3);
        let meter = Meter::default();
        let waiting: Vec<_> = (0..20).map(|_| descend(&lane, &meter, 3)).collect();
        let strangers: Vec<_> = (0..20)
            .map(|_| {
                let meter = meter.clone();
                lane.offload(move || drop(meter.enter()))
            })
            .collect();
        for outcome in join_all(waiting).await {
            assert_eq!(outcome.unwrap(), 3);
            assert_books(&lane.stats());
        }
        for outcome in join_all(strangers).await {
            outcome.unwrap();
        }
        assert!(meter.peak() <= 3, "{} at once", meter.peak());
        is_as_new(&lane).await;
    }

    /// K8.
    async fn a_job_can_wait_for_many_of_its_lane_at_once(place: Place) {
        let lane = place.lane(2);
        let (inner, meter) = (lane.clone(), Meter::default());
        let inside = meter.clone();
        let sum = lane.offload_with(move |job| {
            let parts = (1..=50).map(|n| {
                let inside = inside.clone();
                inner.offload(move || {
                    let _inside = inside.enter();
                    n
                })
            });
            let all = job.block_on(join_all(parts)).expect("nobody cancels it");
            all.into_iter().map(Result::unwrap).sum::<u32>()
        });
        assert_eq!(sum.await.unwrap(), 1_275);
        assert!(meter.peak() <= 2);
        is_as_new(&lane).await;
    }

    /// K8: every slot of either lane is held by a job that waits for the other lane.
    async fn lanes_can_call_each_other(place: Place) {
        let (one, other) = (place.lane(1), place.lane(1));
        let both_are_in = Gate::new();
        let there_and_back = |from: &Lane, to: &Lane| {
            let (back, to, door) = (from.clone(), to.clone(), both_are_in.door());
            from.offload_with(move |job| {
                door.pass();
                let middle = to.offload_with(move |job| job.block_on(back.offload(|| 7)));
                job.block_on(middle)
            })
        };
        let tasks = [there_and_back(&one, &other), there_and_back(&other, &one)];
        both_are_in.arrived(2).await;
        both_are_in.open();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap().unwrap().unwrap().unwrap(), 7);
        }
        is_as_new(&one).await;
        is_as_new(&other).await;
    }

    /// K8: what a job waits for besides another job is not held up by that one.
    async fn a_job_that_waits_for_one_of_two_goes_on_with_the_first(place: Place) {
        let lane = place.lane(1);
        let (inner, stuck) = (lane.clone(), Gate::new());
        let door = stuck.door();
        let (release, released) = oneshot::channel::<()>();
        let outer = lane.offload_with(move |job| {
            let never = inner.offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
            });
            let either = job.block_on(async {
                tokio::select! {
                    _ = never => false,
                    _ = released => true,
                }
            });
            either.expect("nobody cancels it")
        });
        // It has the slot of the one that waits for it.
        stuck.arrived(1).await;
        let stats = lane.stats();
        assert_eq!((stats.running, stats.suspended, stats.lent), (1, 1, 1));
        assert_books(&stats);
        let states: Vec<_> = lane.jobs().iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Suspended, JobState::Running]);
        release.send(()).unwrap();
        assert!(outer.await.unwrap());
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 1, "the other was dropped");
    }

    /// K8: what was polled once and is not waited for any more is nobody's business.
    async fn what_is_not_waited_for_any_more_does_not_run_on_top(place: Place) {
        let (lane, other) = (place.lane(1), place.lane(1));
        let (inner, stuck) = (lane.clone(), Gate::new());
        let door = stuck.door();
        let outer = lane.offload_with(move |job| {
            let mut kept = inner.offload(move || door.pass());
            let looked = job.block_on(async { futures::poll!(&mut kept).is_ready() });
            // Another lane's: the first has no part in this.
            let waited = job.block_on(other.offload(|| 7));
            (looked.unwrap(), waited.unwrap().unwrap(), kept.is_finished())
        });
        assert_eq!(outer.await.unwrap(), (false, 7, false));
        assert_eq!(stuck.count(), 0, "it never started");
        is_as_new(&lane).await;
    }

    /// K8: the job that has the slot is kept outside of the future; a cancel reaches it there.
    async fn a_cancelled_job_gets_its_slot_back_from_a_job_whose_task_it_keeps(place: Place) {
        let lane = place.lane(1);
        let (inner, blocked) = (lane.clone(), Gate::new());
        let door = blocked.door();
        let outer = lane.offload_with(move |job| {
            let mut kept = inner.offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
            });
            let soon = Duration::from_millis(5);
            let _ = job.block_on(async { tokio::time::timeout(soon, &mut kept).await });
            kept.cancel();
        });
        blocked.arrived(1).await;
        drop(outer);
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 2);
    }

    /// K8: a job that is run aside works through all that is waited for; no thread for each.
    async fn ten_thousand_jobs_can_be_waited_for_at_once(place: Place) {
        let lane = place.lane(1);
        let inner = lane.clone();
        let sum = lane.offload_with(move |job| {
            let parts = (0..10_000_u32).map(|n| inner.offload(move || n));
            let all = job.block_on(join_all(parts)).expect("nobody cancels it");
            all.into_iter().map(Result::unwrap).map(u64::from).sum::<u64>()
        });
        assert_eq!(sum.await.unwrap(), 49_995_000);
        is_as_new(&lane).await;
    }

    /// K8: deeper than one stack may become.
    async fn a_chain_of_a_thousand_jobs_does_not_overflow_a_stack(place: Place) {
        let lane = place.lane(1);
        assert_eq!(descend(&lane, &Meter::default(), 1_000).await.unwrap(), 1_000);
        is_as_new(&lane).await;
    }

    /// K8, K5: who is given up takes along what runs on top of it.
    async fn a_cancel_reaches_the_job_on_top_of_the_one_that_is_cancelled(place: Place) {
        let lane = place.lane(1);
        let (inner, blocked) = (lane.clone(), Gate::new());
        let door = blocked.door();
        let outer = lane.offload_with(move |job| {
            let nested = inner.offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
            });
            job.block_on(nested).is_err()
        });
        blocked.arrived(1).await;
        drop(outer);
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 2);
    }

    /// K8 with an executor that knows nothing of lanes.
    async fn a_job_can_wait_for_another_of_its_lane_in_a_foreign_loop(place: Place) {
        fn descend(lane: &Lane, depth: usize) -> Task<usize> {
            let next = lane.clone();
            lane.offload(move || match depth {
                0 => 0,
                // One of Tokio's loops and one of another library, in turn.
                _ if depth.is_multiple_of(2) => {
                    let runtime = tokio::runtime::Handle::current();
                    runtime.block_on(descend(&next, depth - 1)).unwrap() + 1
                }
                _ => futures::executor::block_on(descend(&next, depth - 1)).unwrap() + 1,
            })
        }
        for limit in [1, 2] {
            let lane = place.lane(limit);
            assert_eq!(descend(&lane, 5).await.unwrap(), 5);
            is_as_new(&lane).await;
        }
    }

    /// K10 in the middle of it.
    async fn a_lane_of_jobs_that_wait_for_others_shuts_down(place: Place) {
        let lane = place.lane(1);
        let (inner, blocked) = (lane.clone(), Gate::new());
        let door = blocked.door();
        let outer = lane.label("outer").offload_with(move |job| {
            let nested = inner.label("nested").offload(move || door.pass());
            job.block_on(nested).is_err()
        });
        blocked.arrived(1).await;
        let stuck = lane.shutdown(Duration::ZERO).await.expect_err("one ignores it");
        let labels: Vec<_> = stuck.jobs.iter().map(|job| job.label.as_deref()).collect();
        assert_eq!(labels, [Some("outer"), Some("nested")], "one lies on top of the other");
        assert!(outer.await.unwrap_err().is_cancelled());
        blocked.open();
        is_as_new(&lane).await;
    }

    /// A full lane with a bounded queue refuses a job's job as it does any other.
    async fn a_nested_job_needs_room_like_any_other(place: Place) {
        let lane = place.bounded(1, 0);
        let inner = lane.clone();
        let told = lane.offload_with(move |job| job.block_on(inner.offload(|| ())));
        let refused = told.await.unwrap().unwrap().unwrap_err();
        assert!(refused.is_full(), "{refused}");
        is_as_new(&lane).await;
    }

    /// K8, K1, K2 in a storm: waits, drops, timeouts and panics, with every count right after it.
    async fn storms_of_nested_jobs_leave_nothing_behind(place: Place) {
        let (one, other) = (place.lane(2), place.lane(2));
        let meters = [Meter::default(), Meter::default()];
        let mut tasks = Vec::new();
        for n in 0..200_u64 {
            let (mine, theirs) = if n % 2 == 0 { (&one, &other) } else { (&other, &one) };
            let (back, to) = (mine.clone(), theirs.clone());
            let meter = meters[(n % 2) as usize].clone();
            let handle = match n % 5 {
                0 => mine.timeout(Duration::from_millis(n / 10)),
                _ => mine.clone(),
            };
            let task = handle.offload_with(move |job| {
                drop(meter.enter());
                let below = job.block_on(to.offload_with(move |job| {
                    assert!(n % 7 != 0, "as planned");
                    job.block_on(back.offload(move || n))
                }));
                let _inside = meter.enter();
                below.is_ok_and(|told| told.is_ok())
            });
            if n % 3 == 0 {
                tokio::task::yield_now().await;
                drop(task);
            } else {
                tasks.push(task);
            }
        }
        for task in tasks {
            let _ = task.await;
            assert_books(&one.stats());
            assert_books(&other.stats());
        }
        is_as_new(&one).await;
        is_as_new(&other).await;
        assert!(meters.iter().all(|meter| meter.peak() <= 2));
    }
}

/// K8 by way of a bridge: what is called, and what is spawned there.
#[test]
fn a_job_can_wait_for_another_of_its_lane_through_a_bridge() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let lane = watch_over(
            Lane::builder("bridged")
                .limit(1)
                .own_threads(Threads::new())
                .build(),
        );
        let (inner, across) = (lane.clone(), bridge.clone());
        let sum = lane.offload(move || {
            let called = across.call(inner.offload(|| 1)).unwrap().unwrap();
            let (first, second) = (inner.clone(), inner.clone());
            let spawned = across.spawn(async move {
                let both = join_all([first.offload(|| 2), second.offload(|| 4)]).await;
                both.into_iter().map(Result::unwrap).sum::<i32>()
            });
            called + spawned.wait().unwrap()
        });
        assert_eq!(bridge.call(sum).unwrap().unwrap(), 7);
    });
}

/// K8 by way of a group, of futures and of jobs.
#[test]
fn a_job_can_wait_for_a_group_in_its_own_lane() {
    for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
        watched(move || {
            flavour.runtime().block_on(async {
                let lane = watch_over(Lane::builder("grouped").limit(1).build());
                let inner = lane.clone();
                let sum = lane.offload_with(move |job| {
                    let group = Group::new();
                    group.offload(&inner, || 1);
                    group.offload(&inner, || 2);
                    group.spawn(async move { inner.offload(|| 4).await.unwrap() });
                    let all = job.block_on(group.join_all()).expect("nobody cancels it");
                    all.into_iter().map(Result::unwrap).sum::<i32>()
                });
                assert_eq!(sum.await.unwrap(), 7);
                is_as_new(&lane).await;
            });
        });
    }
}

/// Tokio's pool has one thread, and the job that has it waits for a job of another lane.
#[test]
fn a_job_that_has_the_last_thread_runs_what_it_waits_for() {
    for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
        watched(move || {
            let runtime = flavour.builder().max_blocking_threads(1).build().unwrap();
            runtime.block_on(async {
                let lanes: Vec<_> = (0..3)
                    .map(|n| watch_over(Lane::builder(format!("pool{n}")).limit(4).build()))
                    .collect();
                let [one, two, three] = [0, 1, 2].map(|n: usize| lanes[n].clone());
                let depth = one.offload_with(move |job| {
                    job.block_on(two.offload_with(move |job| job.block_on(three.offload(|| 3))))
                });
                assert_eq!(depth.await.unwrap().unwrap().unwrap().unwrap().unwrap(), 3);
            });
        });
    }
}

/// The same in somebody else's loop.
#[test]
fn a_job_that_has_the_last_thread_can_wait_in_a_foreign_loop() {
    watched(|| {
        let runtime = Flavour::MultiThread
            .builder()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let lanes = [1, 4].map(|limit| {
                let name = format!("foreign{limit}");
                watch_over(Lane::builder(name).limit(limit).build())
            });
            let inner = lanes[1].clone();
            let same = lanes[1].offload(move || futures::executor::block_on(inner.offload(|| 3)));
            assert_eq!(same.await.unwrap().unwrap(), 3);
        });
    });
}

/// A job is run for who waits for it in the context of the runtime that it came from.
#[test]
fn a_nested_job_is_in_the_runtime_that_it_was_handed_in_from() {
    watched(|| {
        let (home, other) = (
            Flavour::MultiThread.runtime(),
            Flavour::MultiThread.runtime(),
        );
        let place = Place {
            source: Source::Threads,
            flavour: Flavour::MultiThread,
        };
        let lane = place.lane(1);
        let (inner, theirs) = (lane.clone(), other.handle().clone());
        let outer = lane.clone();
        let seen = home.block_on(async move {
            outer
                .offload_with(move |job| {
                    let task = {
                        let _entered = theirs.enter();
                        inner.offload(|| tokio::runtime::Handle::current().id())
                    };
                    let nested = job.block_on(task).unwrap().unwrap();
                    (nested, tokio::runtime::Handle::current().id())
                })
                .await
        });
        let (nested, outer) = seen.unwrap();
        assert_eq!(nested, other.handle().id());
        assert_eq!(outer, home.handle().id());
    });
}
