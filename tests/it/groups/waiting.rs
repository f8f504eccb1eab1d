//! K8 by way of groups: jobs that wait for groups of jobs of their own lane.

use std::{sync::mpsc, time::Duration};

use longshore::{Group, Job};
use tokio::sync::oneshot;

use crate::support::{Gate, Place, eventually, is_as_new};

everywhere! {
    /// K8. All but the first are handed in by whichever thread gives a place of the group back.
    async fn a_job_can_wait_for_a_group_with_a_limit(place: Place) {
        let lane = place.lane(1);
        let inner = lane.clone();
        let sum = lane.offload_with(move |job| {
            let group = Group::builder("narrow").limit(1).build();
            for n in 1..=20 {
                group.offload(&inner, move || n);
            }
            let all = job.block_on(group.join_all()).expect("nobody cancels it");
            all.into_iter().map(Result::unwrap).sum::<i32>()
        });
        assert_eq!(sum.await.unwrap(), 210);
        is_as_new(&lane).await;
    }

    /// K8. Who waits for a child's place waits for those that have the places: some of its own lane,
    /// some of another that calls back.
    async fn a_job_can_wait_for_a_place_in_a_group(place: Place) {
        for limit in [1, 3] {
            let (lane, other) = (place.lane(1), place.lane(1));
            let (inner, far) = (lane.clone(), other.clone());
            let sum = lane.offload_with(move |job| {
                let filled = async {
                    let group = Group::builder("narrow").limit(limit).build();
                    for n in 1..=20 {
                        match n % 4 {
                            0 => {
                                let back = inner.clone();
                                let calls = move |job: &Job| job.block_on(back.offload(move || n));
                                let calls = move |job: &Job| calls(job).unwrap().unwrap();
                                group.offload_with(&far, calls).await.unwrap();
                            }
                            _ => group.offload(&inner, move || n).await.unwrap(),
                        }
                    }
                    group.join_all().await
                };
                let all = job.block_on(filled).expect("nobody cancels it");
                all.into_iter().map(Result::unwrap).sum::<i32>()
            });
            assert_eq!(sum.await.unwrap(), 210);
            for lane in [lane, other] {
                is_as_new(&lane).await;
            }
        }
    }

    /// K8. Of the places that it waits for it has one itself, and that is not what is in its way.
    async fn a_child_can_wait_for_the_place_of_its_sibling(place: Place) {
        let lane = place.lane(1);
        let (inner, gate) = (lane.clone(), Gate::new());
        let door = gate.door();
        let mut group = Group::builder("narrow").limit(2).build();
        let spawner = group.spawner();
        group.offload_with(&lane, move |job| {
            door.pass();
            let third = async { spawner.offload(&inner, || 3).await };
            job.block_on(third).expect("nobody cancels it").unwrap();
            1
        });
        group.offload(&lane, || 2);
        gate.open();
        let mut told = Vec::new();
        while let Some(outcome) = group.next().await {
            told.push(outcome.unwrap());
        }
        told.sort_unstable();
        assert_eq!(told, [1, 2, 3]);
        is_as_new(&lane).await;
    }

    /// K8. By a future that a job has put into another group: what that waits for, the job does.
    async fn a_future_can_wait_for_a_place_in_the_name_of_a_job(place: Place) {
        let lane = place.lane(1);
        let inner = lane.clone();
        let told = lane.offload_with(move |job| {
            let filled = async {
                let mut around = Group::new();
                around.spawn(async move {
                    let group = Group::builder("narrow").limit(1).build();
                    for n in 0..3 {
                        group.offload(&inner, move || n).await.unwrap();
                    }
                    group.join_all().await.len()
                });
                around.next().await.expect("it is in there").unwrap()
            };
            job.block_on(filled).expect("nobody cancels it")
        });
        assert_eq!(told.await.unwrap(), 3);
        is_as_new(&lane).await;
    }

    /// K8. Whoever waits for the child waits for its siblings too.
    async fn a_job_can_wait_for_the_siblings_that_a_child_has_put_in(place: Place) {
        let lane = place.lane(1);
        let inner = lane.clone();
        let sum = lane.offload_with(move |job| {
            let group = Group::new();
            let (spawner, theirs) = (group.spawner(), inner.clone());
            group.offload(&inner, move || {
                let (grandchild, its_lane) = (spawner.clone(), theirs.clone());
                spawner.offload(&theirs, move || {
                    grandchild.offload(&its_lane, || 4);
                    2
                });
                1
            });
            let all = job.block_on(group.join_all()).expect("nobody cancels it");
            all.into_iter().map(Result::unwrap).sum::<i32>()
        });
        assert_eq!(sum.await.unwrap(), 7);
        is_as_new(&lane).await;
    }

    /// K8. In each of the ways to wait for a group.
    async fn a_job_can_wait_for_a_group_that_others_have_filled(place: Place) {
        for way in 0..5 {
            let lane = place.lane(1);
            let mut group = Group::new();
            let (give, given) = mpsc::channel::<Group<Result<u32, ()>>>();
            let outer = lane.offload_with(move |job| {
                let mut group = given.recv().expect("it is given");
                let waited = job.block_on(async move {
                    match way {
                        0 => group.join_all().await.len(),
                        1 => group.try_join_all().await.unwrap().len(),
                        2 => group.join_all_or_cancel().await.unwrap().len(),
                        3 => group.shutdown(Duration::from_secs(3_600)).await.unwrap().finished as usize,
                        _ => {
                            let mut told = 0;
                            while let Some(outcome) = group.next().await {
                                told += usize::from(outcome.is_ok());
                            }
                            told
                        }
                    }
                });
                waited.expect("nobody cancels it")
            });
            for n in 0..3 {
                group.offload(&lane, move || Ok(n));
            }
            assert!(futures::poll!(Box::pin(group.next())).is_pending());
            give.send(group).unwrap();
            assert_eq!(outer.await.unwrap(), 3, "way {way}");
            is_as_new(&lane).await;
        }
    }

    /// K8. Who puts a child in and does not wait for it has nothing to do with it: to run it in the
    /// slot of that job could make the job wait for what waits for it.
    async fn a_job_that_puts_in_and_does_not_wait_lends_its_slot_to_nobody(place: Place) {
        let lane = place.lane(1);
        let (tell, told) = mpsc::channel();
        let (inner, mut group) = (lane.clone(), Group::new());
        let spawner = group.spawner();
        group.offload_with(&lane, move |job| {
            let sleep = async {
                // Wherever it is put in.
                spawner.offload(&inner, move || told.recv().is_ok());
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            let slept = job.block_on(sleep).is_ok();
            let lent = inner.stats().lent;
            tell.send(()).unwrap();
            slept && lent == 0
        });
        for _ in 0..2 {
            assert!(group.next().await.unwrap().unwrap());
        }
        is_as_new(&lane).await;
    }

    /// K8, G5. To wait for the end of a group is to wait for those within it, whenever they are made.
    async fn a_job_that_waits_for_a_group_waits_for_the_groups_within(place: Place) {
        let lane = place.lane(1);
        let outer = Group::<()>::new();
        let early: Group<u32> = outer.nested("early").build();
        let innermost: Group<u32> = early.nested("innermost").limit(1).build();
        let (spawner, made, (go, gone)) = (outer.spawner(), Gate::new(), oneshot::channel());
        let (door, inner) = (made.door(), lane.clone());
        let waiter = lane.offload_with(move |job| {
            door.pass();
            job.block_on(outer.join_all()).expect("nobody cancels it").len()
        });
        made.arrived(1).await;
        early.offload(&lane, || 1);
        innermost.offload(&lane, || 2);
        innermost.offload(&lane, || 3);
        let late = spawner.clone();
        spawner.spawn(async move {
            gone.await.unwrap();
            let late: Group<u32> = late.nested("late").build();
            late.offload(&inner, || 4);
            late.join_all().await;
        });
        made.open();
        eventually("those are over", || innermost.is_empty() && early.is_empty()).await;
        go.send(()).unwrap();
        assert_eq!(waiter.await.unwrap(), 1);
        for group in [early, innermost] {
            assert!(group.join_all().await.iter().all(Result::is_ok));
        }
        is_as_new(&lane).await;
    }
}
