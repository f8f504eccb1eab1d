//! K8: the ways to wait: through somebody else's loop, a bridge or a group, on the last thread that there
//! is, and across runtimes.

use futures::{executor::block_on, future::join_all};
use longshore::{Bridge, Group, Lane, Task, lane::Threads};
use tokio::runtime::Handle;

use crate::support::{Flavour, Place, Source, is_as_new, watch_over, watched};

everywhere! {
    /// K8 with an executor that knows nothing of lanes.
    async fn a_job_can_wait_for_another_of_its_lane_in_a_foreign_loop(place: Place) {
        fn descend(lane: &Lane, depth: usize) -> Task<usize> {
            let next = lane.clone();
            lane.offload(move || match depth {
                0 => 0,
                // One of Tokio's loops and one of another library, in turn.
                _ if depth.is_multiple_of(2) => {
                    let runtime = Handle::current();
                    runtime.block_on(descend(&next, depth - 1)).unwrap() + 1
                }
                _ => block_on(descend(&next, depth - 1)).unwrap() + 1,
            })
        }
        for limit in [1, 2] {
            let lane = place.lane(limit);
            assert_eq!(descend(&lane, 5).await.unwrap(), 5);
            is_as_new(&lane).await;
        }
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
            let same = lanes[1].offload(move || block_on(inner.offload(|| 3)));
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
                        inner.offload(|| Handle::current().id())
                    };
                    let nested = job.block_on(task).unwrap().unwrap();
                    (nested, Handle::current().id())
                })
                .await
        });
        let (nested, outer) = seen.unwrap();
        assert_eq!(nested, other.handle().id());
        assert_eq!(outer, home.handle().id());
    });
}
