//! When objects are made, where, and what is heard if that fails.

use std::{
    error::Error as _,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use longshore::{Error, Job, Panic, Resource, error::Phase};

use super::{Maker, Thing, on_both_flavours};
use crate::support::{Flavour, Gate, eventually, watched};

#[test]
fn an_object_is_made_used_and_dropped_on_one_thread() {
    on_both_flavours(|| async {
        let maker = Maker::default();
        let theirs = maker.clone();
        let things = Resource::new("one-thread", move || Ok::<_, io::Error>(theirs.make()));
        assert_eq!(
            (maker.made(), things.objects()),
            (0, 0),
            "not before it is needed"
        );
        for use_ in 1..=100 {
            assert_eq!(things.with(|it, _| it.used()).await.unwrap(), use_);
        }
        let name = things
            .with(|_, _| thread::current().name().map(str::to_owned))
            .await;
        assert!(
            name.unwrap()
                .is_some_and(|name| name.starts_with("one-thread-"))
        );
        assert_eq!((maker.made(), things.objects()), (1, 1));
        drop(things);
        // Counted only if it was dropped at home, with the thread-locals still there.
        eventually("the object is dropped", || maker.dropped() == 1).await;
    });
}

#[test]
fn closures_run_one_at_a_time_and_in_order() {
    on_both_flavours(|| async {
        let log = Resource::new("in-order", || Ok::<_, io::Error>(Vec::new()));
        let tasks: Vec<_> = (0..200)
            .map(|n| log.with(move |log: &mut Vec<usize>, _| log.push(n)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let seen = log.with(|log, _| log.clone()).await.unwrap();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        assert_eq!(log.stats().peak_running, 1);
    });
}

/// An outcome that is there does not wait for the next job, which may wait for the very task that waits for
/// the outcome; nor for an object that is being made, which may take for ever.
#[test]
fn an_outcome_does_not_wait_for_an_object_that_is_long_in_the_making() {
    watched(|| {
        for short in [10, 20, 30].repeat(4) {
            Flavour::MultiThread.runtime().block_on(async {
                let (making, counted) = (Gate::new(), AtomicUsize::new(0));
                let door = making.door();
                let pool = Resource::builder("slow", move || {
                    if counted.fetch_add(1, Ordering::SeqCst) > 0 {
                        door.pass();
                    }
                    Ok::<_, io::Error>(())
                });
                let pool = pool.build_pool(2);
                let held = Gate::new();
                let door = held.door();
                let first = pool.with(move |_, _| door.pass());
                held.arrived(1).await;
                let second = pool.with(|_, _| ());
                making.arrived(1).await;
                held.open();
                first.await.unwrap();
                second.await.unwrap();
                let task = tokio::spawn(async move {
                    for _ in 0..200 {
                        pool.with(|_, _| ()).await.unwrap();
                    }
                    let brief = |_: &mut (), _: &Job| {
                        let begun = Instant::now();
                        while begun.elapsed() < Duration::from_micros(10) {
                            std::hint::spin_loop();
                        }
                    };
                    let ahead: Vec<_> = (0..short).map(|_| pool.with(brief)).collect();
                    let looked_out_for = pool.with(brief);
                    let (tell, told) = mpsc::channel();
                    let next = pool.with(move |_, _| told.recv_timeout(Duration::from_secs(10)));
                    futures::executor::block_on(looked_out_for).unwrap();
                    tell.send(()).unwrap();
                    next.await.unwrap().expect("told in time");
                    drop(ahead);
                });
                task.await.unwrap();
                making.open();
            });
        }
    });
}

/// One attempt for all who waited: a connection that takes 5 s to fail is not tried once for each.
#[test]
fn a_maker_that_fails_tells_all_who_wait_and_is_tried_again_for_the_next() {
    on_both_flavours(|| async {
        let gate = Gate::new();
        let attempts = Arc::new(AtomicUsize::new(0));
        let (door, counted) = (gate.door(), attempts.clone());
        let port = Resource::new("port", move || {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                door.pass();
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            Ok(7)
        });
        let waiting: Vec<_> = (0..10).map(|_| port.with(|it, _| *it)).collect();
        gate.arrived(1).await;
        assert_eq!((port.stats().waiting, port.stats().starting), (10, 1));
        gate.open();
        for task in waiting {
            let error = task.await.unwrap_err();
            assert!(error.never_started());
            let cause = error
                .source()
                .and_then(|cause| cause.downcast_ref::<io::Error>());
            assert_eq!(
                cause.map(io::Error::kind),
                Some(io::ErrorKind::ConnectionRefused)
            );
        }
        assert_eq!(
            (attempts.load(Ordering::SeqCst), port.stats().unavailable),
            (1, 10)
        );
        assert_eq!(port.with(|it, _| *it).await.unwrap(), 7);
        assert_eq!(attempts.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_maker_that_goes_on_failing_is_tried_once_for_each_call() {
    on_both_flavours(|| async {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = attempts.clone();
        let never = Resource::<u8>::new("never", move || {
            Err(format!("no {}", counted.fetch_add(1, Ordering::SeqCst)))
        });
        for n in 0..20 {
            let error = never.with(|it, _| *it).await.unwrap_err();
            assert_eq!(error.to_string(), "the object of `never` could not be made");
            assert_eq!(error.source().unwrap().to_string(), format!("no {n}"));
        }
        assert_eq!((attempts.load(Ordering::SeqCst), never.objects()), (20, 0));
    });
}

#[test]
fn a_maker_that_panics_is_an_error_with_what_it_said_and_is_tried_again() {
    on_both_flavours(|| async {
        let attempts = AtomicUsize::new(0);
        let fragile = Resource::new("fragile", move || {
            assert!(
                attempts.fetch_add(1, Ordering::SeqCst) > 0,
                "not at the first time"
            );
            Ok::<_, io::Error>(7)
        });
        let Err(Error::Unavailable(why)) = fragile.with(|it, _| *it).await else {
            panic!("the maker panicked");
        };
        let panic = why.cause().downcast_ref::<Panic>().unwrap();
        assert_eq!(panic.message(), "not at the first time");
        assert_eq!(panic.offloaded_at().file(), file!());
        assert!(panic.to_string().starts_with("the maker given at "));
        assert_eq!(fragile.with(|it, _| *it).await.unwrap(), 7);
    });
}

#[test]
fn time_runs_while_the_object_is_made_and_a_caller_who_goes_does_not_wait_for_it() {
    on_both_flavours(|| async {
        let gate = Gate::new();
        let door = gate.door();
        let slow = Resource::new("slow", move || {
            door.pass();
            Ok::<_, io::Error>(Vec::new())
        });
        let short = slow.timeout(Duration::from_millis(20));
        let timed_out = short.with(|it: &mut Vec<u8>, _| it.push(1));
        let dropped = slow.with(|it, _| it.push(2));
        let cancelled = slow.with(|it, _| it.push(3));
        let stays = slow.with(|it, _| it.push(4));
        gate.arrived(1).await;
        drop(dropped);
        cancelled.cancel();
        assert!(cancelled.await.unwrap_err().never_started());
        match timed_out.await.unwrap_err() {
            Error::TimedOut { phase, .. } => assert_eq!(phase, Phase::Waiting),
            other => panic!("{other:?}"),
        }
        gate.open();
        stays.await.unwrap();
        assert_eq!(
            slow.with(|it, _| it.clone()).await.unwrap(),
            [4],
            "who left never saw it"
        );
    });
}

/// An object in memory would be lost if each runtime had its own.
#[test]
fn one_object_serves_every_runtime_and_callers_outside_of_any_and_outlives_them() {
    watched(|| {
        let maker = Maker::default();
        let theirs = maker.clone();
        let things = Resource::new("everyone", move || Ok::<_, io::Error>(theirs.make()));
        let (first, second) = (
            Flavour::CurrentThread.runtime(),
            Flavour::MultiThread.runtime(),
        );
        for round in 0..10 {
            assert_eq!(
                first.block_on(things.with(|it, _| it.used())).unwrap(),
                3 * round + 1
            );
            assert_eq!(
                second.block_on(things.with(|it, _| it.used())).unwrap(),
                3 * round + 2
            );
            let task = things.with(|it, _| it.used());
            assert_eq!(futures::executor::block_on(task).unwrap(), 3 * round + 3);
        }
        drop((first, second));
        let task = things
            .timeout(Duration::from_secs(8))
            .with(|it, _| it.used());
        assert_eq!(futures::executor::block_on(task).unwrap(), 31);
        assert_eq!(maker.made(), 1);
    });
}

#[test]
fn a_closure_finds_itself_in_the_runtime_of_its_caller() {
    watched(|| {
        let things = Resource::new("context", || Ok::<_, io::Error>(()));
        for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
            let runtime = flavour.runtime();
            let id = runtime.handle().id();
            let task = async {
                things
                    .with(|(), _| tokio::runtime::Handle::current().id())
                    .await
            };
            assert_eq!(runtime.block_on(task).unwrap(), id);
        }
        let task = things.with(|(), _| tokio::runtime::Handle::try_current().is_err());
        assert!(futures::executor::block_on(task).unwrap());
    });
}

#[test]
fn deadlines_are_kept_outside_of_any_runtime_too() {
    watched(|| {
        let gate = Gate::new();
        let things = Resource::new("deadline", || Ok::<_, io::Error>(()));
        let door = gate.door();
        let stuck = things
            .timeout(Duration::from_millis(20))
            .with(move |(), _| door.pass());
        assert!(futures::executor::block_on(stuck).unwrap_err().is_timeout());
    });
}

#[test]
fn a_full_resource_refuses_and_a_reservation_waits_for_room() {
    on_both_flavours(|| async {
        let gate = Gate::new();
        let door = gate.door();
        let narrow = Resource::builder("narrow", || Ok::<_, io::Error>(1))
            .queue(1)
            .build();
        let busy = narrow.with(move |_, _| door.pass());
        gate.arrived(1).await;
        let waits = narrow.with(|it, _| *it);
        assert!(narrow.try_with(|it, _| *it).unwrap_err().is_full());
        assert!(narrow.with(|it, _| *it).await.unwrap_err().is_full());
        let room = tokio::spawn(narrow.reserve());
        gate.open();
        busy.await.unwrap();
        assert_eq!(waits.await.unwrap(), 1);
        let permit = room.await.unwrap().unwrap();
        assert_eq!(
            permit
                .with(|it, job| (*it, job.is_cancelled()))
                .await
                .unwrap(),
            (1, false)
        );
    });
}

#[test]
fn jobs_are_listed_with_label_and_place_of_their_call() {
    on_both_flavours(|| async {
        let gate = Gate::new();
        let door = gate.door();
        let things = Resource::new("listed", || Ok::<_, io::Error>(()));
        let line = line!() + 1;
        let busy = things.label("import").with(move |(), _| door.pass());
        gate.arrived(1).await;
        let jobs = things.jobs();
        assert_eq!((jobs.len(), jobs[0].label.as_deref()), (1, Some("import")));
        assert_eq!(
            (jobs[0].location.file(), jobs[0].location.line()),
            (file!(), line)
        );
        gate.open();
        busy.await.unwrap();
    });
}

/// From inside of a closure another may be handed in, as long as nobody waits for it there.
#[test]
fn a_closure_may_leave_work_for_later_to_its_own_resource() {
    on_both_flavours(|| async {
        let log = Resource::new("later", || Ok::<_, io::Error>(Vec::new()));
        let again = log.clone();
        let seen = Arc::new(Mutex::new(None));
        let theirs = seen.clone();
        log.with(move |log: &mut Vec<u8>, _| {
            again
                .with(move |log: &mut Vec<u8>, _| {
                    *theirs.lock().unwrap() = Some(log.clone());
                })
                .detach();
            log.push(1);
        })
        .await
        .unwrap();
        eventually("the second closure runs", || {
            seen.lock().unwrap().as_deref() == Some(&[1])
        })
        .await;
    });
}

#[test]
fn a_resource_can_be_shared_although_its_object_cannot() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Resource<Thing>>();
    is_shared::<longshore::ResourcePool<Thing>>();
    is_shared::<longshore::resource::Permit<Thing>>();
}
