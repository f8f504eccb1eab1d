//! K8: jobs wait for jobs, however deep and however many, in one lane and in several.

use std::time::Duration;

use futures::{executor::block_on, future::join_all};
use longshore::Lane;
use tokio::runtime::Handle;

use super::descend;
use crate::support::{Gate, Meter, Place, assert_books, is_as_new};

everywhere! {
    /// R4. From inside of a job: into another lane, and back into async code.
    async fn a_job_may_hand_jobs_to_another_lane_and_wait_for_them(place: Place) {
        let (lane, other) = (place.lane(2), place.lane(2));
        let theirs = other.clone();
        let told = lane.offload(move || {
            let first = block_on(theirs.offload(|| 1)).unwrap();
            let second = Handle::current().block_on(theirs.offload(|| 2)).unwrap();
            let third = Handle::current().block_on(async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                3
            });
            first + second + third
        });
        assert_eq!(told.await.unwrap(), 6);
        is_as_new(&lane).await;
        is_as_new(&other).await;
    }

    /// R4. And into its own, if it does not wait for it.
    async fn a_job_may_hand_jobs_to_its_own_lane(place: Place) {
        let lane = place.lane(1);
        let theirs = lane.clone();
        let inner = lane.offload(move || theirs.offload(|| "later")).await.unwrap();
        assert_eq!(inner.await.unwrap(), "later");
        is_as_new(&lane).await;
    }

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
