//! Several objects: made on demand, given up when they are not needed.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use longshore::{Error, Resource, ResourcePool, Task, resource::Recycle};

use super::{Maker, Thing, on_both_flavours};
use crate::support::{Flavour, Gate, assert_books, eventually, settles, watched};

fn pool(maker: &Maker, objects: usize, keep_alive: Duration) -> ResourcePool<Thing> {
    let maker = maker.clone();
    Resource::builder("pool", move || Ok::<_, io::Error>(maker.make()))
        .keep_alive(keep_alive)
        .build_pool(objects)
}

const LONG: Duration = Duration::from_secs(60);

/// So many closures that wait at the gate, each with an object.
async fn busy(pool: &ResourcePool<Thing>, gate: &Gate, closures: usize) -> Vec<Task<usize>> {
    let before = gate.count();
    let tasks = (0..closures)
        .map(|_| {
            let door = gate.door();
            pool.with(move |it, _| {
                it.used();
                door.pass();
                it.number
            })
        })
        .collect();
    gate.arrived(before + closures).await;
    tasks
}

#[test]
fn an_object_is_made_only_if_none_is_idle() {
    on_both_flavours(|| async {
        let maker = Maker::default();
        let pool = pool(&maker, 8, LONG);
        for use_ in 1..=50 {
            assert_eq!(pool.with(|it, _| it.used()).await.unwrap(), use_);
        }
        assert_eq!((maker.made(), pool.objects()), (1, 1));
        let gate = Gate::new();
        let tasks = busy(&pool, &gate, 3).await;
        eventually("no other is being made", || pool.stats().starting == 0).await;
        // One more if its thread was asked for before another had come.
        let made = maker.made();
        assert!(matches!(made, 3 | 4), "{made}");
        assert_eq!(pool.objects(), made);
        gate.open();
        let mut numbers = Vec::new();
        for task in tasks {
            numbers.push(task.await.unwrap());
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 3, "each had its own");
    });
}

/// Also where calls are so short that one object would do for all of them.
#[test]
fn an_object_that_is_long_in_the_making_keeps_no_other_from_being_made() {
    on_both_flavours(|| async {
        let (making, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (door, counted) = (making.door(), begun.clone());
        let pool = Resource::builder("slow", move || {
            if counted.fetch_add(1, Ordering::SeqCst) == 1 {
                door.pass();
            }
            Ok::<_, io::Error>(())
        });
        let pool = pool.build_pool(8);
        let first = Gate::new();
        let door = first.door();
        let holds = pool.with(move |_, _| door.pass());
        first.arrived(1).await;
        let waits = pool.with(|_, _| ());
        making.arrived(1).await;
        first.open();
        holds.await.unwrap();
        waits.await.unwrap();
        for _ in 0..200 {
            pool.with(|_, _| ()).await.unwrap();
        }
        let long = Gate::new();
        let door = long.door();
        let query = pool.with(move |_, _| door.pass());
        long.arrived(1).await;
        let others = [pool.with(|_, _| ()), pool.with(|_, _| ())];
        eventually("a third is made", || begun.load(Ordering::SeqCst) > 2).await;
        for other in others {
            other.await.unwrap();
        }
        making.open();
        long.open();
        query.await.unwrap();
    });
}

#[test]
fn a_pool_grows_to_its_limit_and_shrinks_on_the_threads_that_made_the_objects() {
    on_both_flavours(|| async {
        let maker = Maker::default();
        let pool = pool(&maker, 6, Duration::from_millis(20));
        for round in 1..=3 {
            let gate = Gate::new();
            let mut tasks = busy(&pool, &gate, 6).await;
            tasks.extend((0..20).map(|_| pool.with(|it, _| it.used())));
            assert_eq!(
                (maker.alive(), pool.objects(), pool.stats().waiting),
                (6, 6, 20)
            );
            gate.open();
            for task in tasks {
                task.await.unwrap();
            }
            eventually("all are dropped at home", || maker.dropped() == 6 * round).await;
            eventually("no object is left", || pool.objects() == 0).await;
        }
    });
}

/// If they took turns, each would be used often enough to stay for ever.
#[test]
fn objects_that_are_not_needed_grow_old_while_the_pool_is_in_use() {
    on_both_flavours(|| async {
        let maker = Maker::default();
        let pool = pool(&maker, 4, Duration::from_millis(500));
        let gate = Gate::new();
        let tasks = busy(&pool, &gate, 4).await;
        gate.open();
        for task in tasks {
            task.await.unwrap();
        }
        let end = Instant::now() + Duration::from_secs(15);
        while pool.objects() > 1 {
            assert!(Instant::now() < end, "{pool:?}");
            pool.with(|it, _| it.used()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(maker.made(), 4, "none was made anew meanwhile");
    });
}

/// A database that lets five connections in is not broken for the sixth.
#[test]
fn calls_wait_for_the_objects_there_are_if_no_other_can_be_made() {
    on_both_flavours(|| async {
        let (maker, attempts) = (Maker::default(), Arc::new(AtomicUsize::new(0)));
        let (theirs, tried) = (maker.clone(), attempts.clone());
        let pool = ResourcePool::new("few", 4, move || {
            match tried.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(theirs.make()),
                _ => Err("too many connections"),
            }
        });
        let gate = Gate::new();
        let first = busy(&pool, &gate, 1).await;
        let others: Vec<_> = (0..50).map(|_| pool.with(|it, _| it.number)).collect();
        eventually("another is tried", || attempts.load(Ordering::SeqCst) > 1).await;
        eventually("and has failed", || pool.stats().starting == 0).await;
        assert_eq!(pool.stats().waiting, 50);
        gate.open();
        for task in first.into_iter().chain(others) {
            assert_eq!(task.await.unwrap(), 0);
        }
        assert_eq!(pool.stats().unavailable, 0);
    });
}

#[test]
fn a_pool_without_any_object_tells_all_who_wait_and_recovers() {
    on_both_flavours(|| async {
        let (maker, up) = (Maker::default(), Arc::new(AtomicBool::new(false)));
        let (theirs, is_up) = (maker.clone(), up.clone());
        let pool = ResourcePool::new("down", 3, move || match is_up.load(Ordering::SeqCst) {
            true => Ok(theirs.make()),
            false => Err("no route to host"),
        });
        let tasks: Vec<_> = (0..20).map(|_| pool.with(|it, _| it.used())).collect();
        for task in tasks {
            assert!(matches!(task.await, Err(Error::Unavailable(_))));
        }
        eventually("no attempt is under way", || pool.objects() == 0).await;
        up.store(true, Ordering::SeqCst);
        pool.with(|it, _| it.used()).await.unwrap();
        assert_eq!(pool.stats().unavailable, 20);
    });
}

#[test]
fn there_are_never_more_objects_than_the_limit() {
    on_both_flavours(|| async {
        let maker = Maker::default();
        // So short that objects go and come all the time.
        let pool = pool(&maker, 3, Duration::ZERO);
        for round in 0..300 {
            let tasks: Vec<_> = (0..5).map(|_| pool.with(|it, _| it.used())).collect();
            assert!(pool.objects() <= 3);
            assert!(maker.alive() <= 3);
            for (n, task) in tasks.into_iter().enumerate() {
                if (round + n) % 7 == 0 {
                    drop(task);
                } else {
                    task.await.unwrap();
                }
            }
        }
        pool.shutdown(Duration::from_secs(5)).await.unwrap();
        eventually("all were dropped at home", || maker.alive() == 0).await;
    });
}

/// Makers that fail and panic, closures that do, callers that leave in every way and at any time.
#[test]
fn whatever_happens_every_call_is_told_and_no_object_is_left() {
    on_both_flavours(|| async {
        let (maker, attempts) = (Maker::default(), AtomicUsize::new(0));
        let theirs = maker.clone();
        let pool = Resource::builder("trouble", move || {
            match attempts.fetch_add(1, Ordering::SeqCst) % 7 {
                2 => Err("not now"),
                5 => panic!("as planned"),
                _ => Ok(theirs.make()),
            }
        })
        .recycle(|it| match it.used() % 3 {
            0 => panic!("as planned"),
            1 => Recycle::Keep,
            _ => Recycle::Discard,
        })
        .keep_alive(Duration::from_micros(200))
        .build_pool(3);
        let mut told = [0_u64; 4];
        for n in 0..3_000_u64 {
            let pool = match n % 11 {
                3 => pool.timeout(Duration::from_micros(n % 300)),
                _ => pool.clone(),
            };
            let task = pool.with(move |it, _| {
                it.used();
                assert!(n % 13 != 0, "as planned");
                if n % 17 == 0 {
                    std::thread::sleep(Duration::from_micros(n % 500));
                }
            });
            match n % 5 {
                0 => drop(task),
                1 => {
                    tokio::task::yield_now().await;
                    drop(task);
                }
                2 => task.detach(),
                _ => match task.await {
                    Ok(()) => told[0] += 1,
                    Err(Error::Unavailable(_)) => told[1] += 1,
                    Err(Error::Panicked(_)) => told[2] += 1,
                    Err(Error::TimedOut { .. }) => told[3] += 1,
                    Err(other) => panic!("{other:?}"),
                },
            }
            assert_books(&pool.stats());
            assert!(pool.objects() <= 3);
        }
        pool.shutdown(Duration::from_secs(5)).await.unwrap();
        assert!(told[0] > 0 && told[2] > 0, "{told:?}");
        let stats = pool.stats();
        assert_books(&stats);
        assert_eq!((stats.waiting, stats.running, stats.draining), (0, 0, 0));
        eventually("all were dropped at home", || maker.alive() == 0).await;
        eventually("no place is taken", || pool.objects() == 0).await;
    });
}

#[test]
fn a_pool_serves_every_runtime_and_callers_outside_of_any() {
    watched(|| {
        let maker = Maker::default();
        let pool = pool(&maker, 2, LONG);
        for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
            let runtime = flavour.runtime();
            runtime.block_on(pool.with(|it, _| it.used())).unwrap();
        }
        futures::executor::block_on(pool.with(|it, _| it.used())).unwrap();
        assert_eq!(maker.made(), 1, "no runtime has its own");
        pool.close();
        settles("the object is dropped at home", || maker.dropped() == 1);
    });
}

#[test]
#[should_panic(expected = "room for at least 1 object")]
fn a_pool_of_nothing_makes_no_sense() {
    let _ = ResourcePool::new("none", 0, || Ok::<_, io::Error>(()));
}
