//! What children come to, and when it is told.

use std::{
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use longshore::{
    Error, Group,
    group::{self, Cause},
};

use super::{endless, is_over};
use crate::support::{
    DropFlag, Ending, Flavour, Gate, PanicOnDrop, Place, assert_books, eventually, is_as_new,
};

everywhere! {
    /// K14.
    async fn outcomes_come_in_the_order_in_which_children_end(place: Place) {
        let lane = place.lane(2);
        let (first, second) = (Gate::new(), Gate::new());
        let (a, b) = (first.door(), second.door());
        let mut group = Group::new();
        group.offload(&lane, move || { a.pass(); "first" });
        group.offload(&lane, move || { b.pass(); "second" });
        let (say, said) = tokio::sync::oneshot::channel();
        group.spawn(async move { said.await.unwrap() });
        assert!(futures::poll!(Box::pin(group.next())).is_pending());
        second.open();
        assert_eq!(group.next().await.unwrap().unwrap(), "second");
        say.send("third").unwrap();
        assert_eq!(group.next().await.unwrap().unwrap(), "third");
        assert!(group.try_next().is_none());
        first.open();
        // The group is a stream of the same.
        assert_eq!(StreamExt::next(&mut group).await.unwrap().unwrap(), "first");
        assert!(group.next().await.is_none());
        is_over(&group).await;
        is_as_new(&lane).await;
    }

    /// G1, G8. Every ending of both kinds, each with its own outcome, in the order of the calls.
    async fn joining_gives_every_outcome_in_the_order_of_the_calls(place: Place) {
        let lane = place.lane(3);
        let (gate, never) = (Gate::new(), Gate::new());
        let group = Group::new();
        for ending in Ending::ALL.into_iter().filter(|&ending| ending != Ending::Never) {
            let (door, never) = (gate.door(), never.door());
            let theirs = never.clone();
            group.label("the same name").offload(&lane, move || { door.pass(); ending.end(&never) });
            group.label("the same name").spawn(async move { ending.end(&theirs) });
        }
        let joined = group.join_all();
        gate.open();
        let outcomes = joined.await;
        let endings = Ending::ALL.into_iter().filter(|&ending| ending != Ending::Never);
        let mut expected = endings.flat_map(|ending| [ending, ending]);
        for outcome in outcomes {
            expected.next().expect("no outcome too many").check(outcome);
        }
        assert!(expected.next().is_none(), "nor too few");
        is_as_new(&lane).await;
    }

    /// G1. The first failure cancels the rest, and is told of when their threads are free.
    async fn the_first_failure_cancels_the_rest_and_waits_for_their_threads(place: Place) {
        let (lane, taken) = (place.lane(2), place.lane(1));
        let (deaf, failing) = (Gate::new(), Gate::new());
        let (door, trigger) = (deaf.door(), failing.door());
        let left = Arc::new(AtomicBool::new(false));
        let theirs = left.clone();
        let (never_ran, dropped) = (Arc::new(AtomicBool::new(true)), DropFlag::default());
        let ran = never_ran.clone();
        let holder = deaf.door();
        let held = taken.offload(move || holder.pass());
        deaf.arrived(1).await;
        let group = Group::new();
        group.offload(&lane, move || {
            door.pass();
            theirs.store(true, Ordering::SeqCst);
            Ok(1)
        });
        let line = line!() + 1;
        group.label("the culprit").offload(&lane, move || { trigger.pass(); Err("no") });
        group.offload(&taken, move || { ran.store(false, Ordering::SeqCst); Ok(2) });
        group.spawn(endless(&dropped));
        group.spawn(ready(Ok(3)));
        let mut joined = Box::pin(group.try_join_all());
        failing.open();
        // And nobody polls it yet.
        eventually("the rest is cancelled", || {
            dropped.dropped() == 1 && lane.stats().draining == 1 && taken.stats().waiting == 0
        })
        .await;
        assert!(futures::poll!(&mut joined).is_pending(), "a thread is in a closure still");
        assert!(!left.load(Ordering::SeqCst));
        deaf.open();
        let failed = joined.await.unwrap_err();
        assert!(left.load(Ordering::SeqCst) && never_ran.load(Ordering::SeqCst));
        assert!(matches!(failed.cause, Cause::Returned("no")));
        assert_eq!((failed.label.as_deref(), failed.others), (Some("the culprit"), 0));
        assert_eq!((failed.location.file(), failed.location.line()), (file!(), line));
        let stats = lane.stats();
        assert_eq!((stats.running, stats.draining, stats.cancelled), (0, 0, 1));
        held.await.unwrap();
        assert_eq!(taken.stats().cancelled, 1);
        is_as_new(&lane).await;
    }

    /// G1. A failure that is there already cancels the rest as well, and nobody has to poll for it.
    async fn a_failure_of_before_the_join_cancels_without_being_polled(place: Place) {
        let lane = place.lane(1);
        for returned in [true, false] {
            let dropped = DropFlag::default();
            let group = Group::new();
            group.spawn(endless(&dropped));
            group.spawn(async move {
                assert!(returned, "as planned");
                Err("early")
            });
            eventually("it has failed", || group.len() == 1).await;
            let joined = group.try_join_all();
            eventually("the rest is cancelled", || dropped.dropped() == 1).await;
            let failed: group::Failed<_> = joined.await.map(|values: Vec<()>| values).unwrap_err();
            assert_eq!(matches!(failed.cause, Cause::Returned("early")), returned);
            assert_eq!(failed.others, 0);
        }
        is_as_new(&lane).await;
    }

    /// G1. One that fails while it is being cancelled counts; it could not be stopped in time.
    async fn a_failure_while_the_rest_is_cancelled_is_counted(place: Place) {
        if place.flavour == Flavour::CurrentThread {
            return; // a poll that blocks would block the test too
        }
        let (lane, gate) = (place.lane(1), Gate::new());
        let (door, group) = (gate.door(), Group::<Result<(), &str>>::new());
        group.spawn(async move { door.pass(); Err("while") });
        gate.arrived(1).await;
        group.offload(&lane, || Err("first"));
        let token = group.token();
        let joined = group.try_join_all();
        eventually("the rest is cancelled", || token.is_cancelled()).await;
        gate.open();
        let failed = joined.await.unwrap_err();
        assert!(matches!(failed.cause, Cause::Returned("first")));
        assert_eq!(failed.others, 1);
        is_as_new(&lane).await;
    }

    /// G1, K3. Whom the group's own deadline has stopped did not fail by itself, whoever kept it.
    async fn those_that_the_deadline_has_stopped_are_no_failures_of_their_own(place: Place) {
        let lane = place.lane(2);
        for _ in 0..5 {
            let group = Group::builder("timed").timeout(Duration::from_millis(20)).build();
            for _ in 0..10 {
                group.offload_with(&lane, |job| {
                    let blocked = Gate::new();
                    let (door, hook) = (blocked.door(), blocked.door());
                    let _guard = job.on_cancel(move || hook.open());
                    door.pass();
                });
                group.spawn(std::future::pending());
            }
            let failed = group.join_all_or_cancel().await.unwrap_err();
            assert!(matches!(&failed.cause, Cause::Lost(error) if error.is_timeout()), "{failed}");
            assert_eq!(failed.others, 0);
        }
        is_as_new(&lane).await;
    }

    /// K7. Values and errors that nobody gets may panic when they are dropped.
    async fn a_panic_in_the_drop_of_a_value_does_not_end_a_join(place: Place) {
        let lane = place.lane(1);
        let group = Group::new();
        for _ in 0..3 {
            group.spawn(ready(Ok(PanicOnDrop("a value"))));
        }
        eventually("there are values", || group.is_empty()).await;
        group.offload(&lane, || Err("no"));
        group.spawn(ready(Ok(PanicOnDrop("a late value"))));
        let failed = group.try_join_all().await.map(|_| ()).unwrap_err();
        assert!(matches!(failed.cause, Cause::Returned("no")));
        // The value is lost with the panic of what the future held, which is the one to tell of.
        let group = Group::new();
        let held = PanicOnDrop("held by a future");
        group.spawn(std::future::poll_fn(move |_| {
            let _ = &held;
            std::task::Poll::Ready(PanicOnDrop("its value"))
        }));
        let outcome = group.join_all().await.pop().unwrap().map(std::mem::forget);
        let Err(Error::Panicked(panic)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(panic.message(), "held by a future");
        is_as_new(&lane).await;
    }

    /// Whoever takes outcomes leaves the runtime to others now and then, however fast they come.
    async fn a_loop_over_outcomes_gives_way(place: Place) {
        let lane = place.lane(1);
        let mut group = Group::new();
        let taking = async {
            loop {
                group.spawner().spawn(ready(()));
                group.cancel();
                group.spawn(ready(()));
                assert!(group.next().await.is_some());
            }
        };
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, taking).await.is_err());
        is_as_new(&lane).await;
    }

    /// G1. Failures that were there already are counted.
    async fn the_others_that_failed_are_counted(place: Place) {
        let lane = place.lane(1);
        let group = Group::<Result<(), String>>::new();
        group.offload(&lane, || panic!("first"));
        for _ in 0..3 {
            group.offload(&lane, || Err("later".to_owned()));
        }
        group.offload(&lane, || Ok(()));
        is_over(&group).await;
        let failed = group.try_join_all().await.unwrap_err();
        assert_eq!(failed.others, 3);
        let said = failed.to_string();
        assert!(said.contains("and 3 others did") && said.contains(file!()), "{said}");
        match failed.cause {
            Cause::Lost(Error::Panicked(panic)) => assert_eq!(panic.message(), "first"),
            other => panic!("{other:?}"),
        }
    }

    /// The values of those that all did well, in the order of the calls.
    async fn values_come_in_the_order_of_the_calls(place: Place) {
        let lane = place.lane(2);
        let group = Group::new();
        for n in 0..100_u32 {
            if n % 2 == 0 {
                group.offload(&lane, move || Ok::<_, Error>(n));
            } else {
                group.spawn(async move { tokio::task::yield_now().await; Ok(n) });
            }
        }
        let values = group.try_join_all().await.unwrap();
        assert_eq!(values, Vec::from_iter(0..100));

        let group = Group::new();
        group.offload(&lane, || "no result");
        group.spawn(ready("at all"));
        assert_eq!(group.join_all_or_cancel().await.unwrap(), ["no result", "at all"]);
        let group = Group::<()>::new();
        group.offload(&lane, || panic!("as planned"));
        let failed = group.join_all_or_cancel().await.unwrap_err();
        assert!(Error::from(failed).is_panic());
    }

    /// K15. What a child has captured is gone when its outcome is there, taken or not; and the outcome
    /// when it was taken.
    async fn a_finished_child_holds_nothing_but_its_result(place: Place) {
        let lane = place.lane(1);
        let (captured, results) = (DropFlag::default(), DropFlag::default());
        let mut group = Group::new();
        let (held, result) = (captured.watched(), results.watched());
        group.offload(&lane, move || { drop(held); result });
        let (held, result) = (captured.watched(), results.watched());
        group.spawn(async move {
            let _held = held;
            tokio::task::yield_now().await;
            result
        });
        is_over(&group).await;
        assert_eq!((captured.dropped(), results.dropped()), (2, 0));
        drop(group.next().await.unwrap().unwrap());
        assert_eq!(results.dropped(), 1);
        drop(group);
        assert_eq!(results.dropped(), 2);
        assert_books(&lane.stats());
    }

    /// K7. Also when it comes from what the child holds, in its end or in its being stopped.
    async fn a_panic_in_a_drop_is_contained(place: Place) {
        let lane = place.lane(1);
        let group = Group::new();
        let bomb = PanicOnDrop("held by a future");
        group.spawn(async move { let _bomb = bomb; });
        let bomb = PanicOnDrop("held by a job");
        group.offload(&lane, move || { let _bomb = bomb; });
        for outcome in group.join_all().await {
            let Err(Error::Panicked(panic)) = outcome else { panic!("{outcome:?}") };
            assert!(panic.message().starts_with("held by"), "{panic}");
        }
        let group = Group::<()>::new();
        let bomb = PanicOnDrop("in a future that is stopped");
        group.spawn(async move { let _bomb = bomb; std::future::pending().await });
        tokio::task::yield_now().await;
        group.cancel();
        assert!(group.join_all().await.pop().unwrap().unwrap_err().is_cancelled());
        is_as_new(&lane).await;
    }
}

/// G8. A very long label and many equal ones are as good as any.
#[tokio::test]
async fn a_very_long_name_is_kept_as_it_is() {
    let name = "n".repeat(1 << 20);
    let group = Group::<()>::builder(name.clone()).build();
    let spawner = group.label(name.clone());
    let order = Arc::new(Mutex::new(Vec::new()));
    for i in 0..3 {
        let order = order.clone();
        spawner.spawn(async move { order.lock().unwrap().push(i) });
    }
    let children = group.children();
    assert_eq!(children.len(), 3);
    assert!(
        children
            .iter()
            .all(|child| child.label.as_deref() == Some(&*name))
    );
    group.join_all().await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
}
