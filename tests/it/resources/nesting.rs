//! Closures that wait: for async code, and for calls of the resource that they are in.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use longshore::{Error, Lane, Resource, ResourcePool, Task, Threads};

use super::on_both_flavours;
use crate::support::{Gate, eventually};

#[test]
fn a_closure_waits_for_async_code_with_its_object_in_hand() {
    on_both_flavours(|| async {
        let log = Resource::new("async-code", || Ok::<_, io::Error>(Vec::new()));
        let waited = log.with(|log: &mut Vec<u8>, job| {
            log.push(1);
            let late = job.block_on(async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                2
            });
            log.push(late.unwrap());
        });
        waited.await.unwrap();
        assert_eq!(log.with(|log, _| log.clone()).await.unwrap(), [1, 2]);
    });
}

/// However it waits: for the one call alone, beside something else, or in a loop of its own.
#[test]
fn a_closure_that_waits_for_its_own_resource_is_told_so() {
    on_both_flavours(|| async {
        let counter = Resource::new("nested", || Ok::<_, io::Error>(0_u8));
        for way in 0..3 {
            let inner = counter.clone();
            let told = counter.with(move |it, job| {
                *it += 1;
                let call = inner.with(|it, _| *it += 100);
                match way {
                    0 => job.block_on(call).unwrap(),
                    1 => {
                        let beside = std::future::pending::<()>();
                        job.block_on(async {
                            tokio::select! { told = call => told, () = beside => Ok(()) }
                        })
                        .unwrap()
                    }
                    _ => futures::executor::block_on(call),
                }
            });
            let told = told.await.unwrap();
            assert!(matches!(told, Err(Error::InUse { .. })), "{way}: {told:?}");
            assert_eq!(counter.with(|it, _| *it).await.unwrap(), way + 1);
        }
        assert_eq!(counter.objects(), 1);
    });
}

/// The job's own thread would be quicker there, and has no object.
#[test]
fn a_job_of_a_lane_waits_for_a_slow_maker_and_for_its_turn() {
    on_both_flavours(|| async {
        let lane = Lane::builder("outer").own_threads(Threads::new()).build();
        let gate = Gate::new();
        let door = gate.door();
        let slow = Resource::new("slow", move || {
            door.pass();
            Ok::<_, io::Error>(7)
        });
        let inner = slow.clone();
        let waits = lane.offload_with(move |job| job.block_on(inner.with(|it, _| *it)));
        gate.arrived(1).await;
        // Longer than a thread that waits for another to come is patient.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waits.is_finished());
        gate.open();
        assert_eq!(waits.await.unwrap().unwrap().unwrap(), 7);

        // And where a closure that has the object waits for something else.
        let (hold, release) = (Gate::new(), tokio::sync::oneshot::channel::<()>());
        let door = hold.door();
        let has_it = slow.with(move |_, job| {
            door.open();
            let _ = job.block_on(release.1);
        });
        let inner = slow.clone();
        let waits = lane.offload_with(move |job| job.block_on(inner.with(|it, _| *it)));
        eventually("it stands in line", || slow.stats().waiting == 1).await;
        let _ = release.0.send(());
        has_it.await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap().unwrap(), 7);
    });
}

/// It is being made for the inner call, which takes longer than who waits for it is patient.
#[test]
fn in_a_pool_the_inner_call_waits_for_a_slow_maker() {
    on_both_flavours(|| async {
        let (gate, made) = (Gate::new(), AtomicUsize::new(0));
        let door = gate.door();
        let pool = ResourcePool::new("slow-pool", 2, move || {
            if made.fetch_add(1, Ordering::SeqCst) == 1 {
                door.pass();
            }
            Ok::<_, io::Error>(7_u8)
        });
        let inner = pool.clone();
        let outer = pool.with(move |_, job| job.block_on(inner.with(|it, _| *it)));
        gate.arrived(1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!outer.is_finished());
        gate.open();
        assert_eq!(outer.await.unwrap().unwrap().unwrap(), 7);
    });
}

/// The object would never come free, although each waits for somebody else.
#[test]
fn a_circle_through_a_lane_and_a_resource_is_told() {
    on_both_flavours(|| async {
        let lane = Lane::builder("between").own_threads(Threads::new()).build();
        let things = Resource::new("circle", || Ok::<_, io::Error>(()));
        for _ in 0..10 {
            let (inner, lane) = (things.clone(), lane.clone());
            let told = things.with(move |_, job| {
                let between = lane.offload_with(move |job| job.block_on(inner.with(|_, _| ())));
                job.block_on(between)
            });
            // Whoever closes the circle sees it, and what that waits for is stopped.
            match told.await.unwrap().unwrap() {
                Ok(told) => assert!(matches!(told.unwrap(), Err(Error::InUse { .. }))),
                Err(told) => assert!(matches!(told, Error::WouldDeadlock { .. }), "{told:?}"),
            }
            things.with(|_, _| ()).await.unwrap();
        }
    });
}

/// How many of these were told that their object is in use. The others were given one that was free.
async fn told_in_use(calls: [Task<Result<u8, Error>>; 2]) -> usize {
    let mut told = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(object) => assert_eq!(object, 7),
            Err(error) => {
                assert!(matches!(error, Error::InUse { .. }), "{error:?}");
                told += 1;
            }
        }
    }
    told
}

#[test]
fn in_a_pool_the_inner_call_gets_another_object_if_there_is_one() {
    on_both_flavours(|| async {
        let pool = ResourcePool::new("nested-pool", 2, || Ok::<_, io::Error>(7_u8));
        let inner = pool.clone();
        let outer = pool.with(move |_, job| job.block_on(inner.with(|it, _| *it)));
        assert_eq!(outer.await.unwrap().unwrap().unwrap(), 7);

        // With as many that wait as there are objects, the last of them is told.
        let gate = Gate::new();
        let both = [0, 1].map(|_| {
            let (inner, door) = (pool.clone(), gate.door());
            pool.with(move |_, job| {
                door.pass();
                job.block_on(inner.with(|it, _| *it)).unwrap()
            })
        });
        gate.arrived(2).await;
        gate.open();
        assert!(told_in_use(both).await > 0);
    });
}

/// The second object cannot be had: the first is what there is.
#[test]
fn in_a_pool_that_cannot_grow_the_inner_call_is_told() {
    on_both_flavours(|| async {
        let made = AtomicUsize::new(0);
        let pool = ResourcePool::new("cannot-grow", 2, move || {
            match made.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(()),
                _ => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
            }
        });
        for in_another_loop in [false, true] {
            let inner = pool.clone();
            let told = pool.with(move |(), job| {
                let call = inner.with(|(), _| ());
                match in_another_loop {
                    true => futures::executor::block_on(call),
                    false => job.block_on(call).unwrap(),
                }
            });
            let told = told.await.unwrap().unwrap_err();
            assert!(
                matches!(told, Error::InUse { .. } | Error::Unavailable(_)),
                "{told:?}"
            );
            pool.with(|(), _| ()).await.unwrap();
        }
    });
}

/// Whichever of the two is the last that waits.
#[test]
fn in_a_pool_one_of_those_who_wait_may_do_so_in_another_loop() {
    on_both_flavours(|| async {
        let pool = ResourcePool::new("two-loops", 2, || Ok::<_, io::Error>(7_u8));
        for _ in 0..50 {
            let gate = Gate::new();
            let both = [false, true].map(|in_another_loop| {
                let (inner, door) = (pool.clone(), gate.door());
                pool.with(move |_, job| {
                    door.pass();
                    let call = inner.with(|it, _| *it);
                    match in_another_loop {
                        true => futures::executor::block_on(call),
                        false => job.block_on(call).unwrap(),
                    }
                })
            });
            gate.arrived(2).await;
            gate.open();
            told_in_use(both).await;
        }
    });
}

/// One closure waits for a call of the pool's, another for a job of a lane that waits for such a call:
/// a circle that is not seen, but the first hears of it when the second is given up.
#[test]
fn in_a_pool_the_inner_call_gets_the_object_of_one_that_is_given_up() {
    on_both_flavours(|| async {
        let pool = ResourcePool::new("last-other", 2, || Ok::<_, io::Error>(()));
        let lane = Lane::builder("between-pool")
            .own_threads(Threads::new())
            .build();
        let (both, first_waits) = (Gate::new(), Gate::new());
        let (inner, door) = (pool.clone(), both.door());
        let first = pool.with(move |(), job| {
            door.pass();
            job.block_on(inner.with(|(), _| ())).unwrap()
        });
        let (inner, door, after) = (pool.clone(), both.door(), first_waits.door());
        let second = pool.with(move |(), job| {
            door.pass();
            after.pass();
            job.block_on(lane.offload_with(move |job| job.block_on(inner.with(|(), _| ()))))
        });
        both.arrived(2).await;
        both.open();
        eventually("the first waits", || pool.stats().suspended == 1).await;
        first_waits.open();
        drop(second);
        first.await.unwrap().unwrap();
        pool.with(|(), _| ()).await.unwrap();
    });
}
