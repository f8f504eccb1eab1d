//! A limit on the children in flight.

use std::time::Duration;

use futures::FutureExt as _;
#[cfg(feature = "tracing")]
use longshore::Lane;
use longshore::{Error, Group};

use super::is_over;
use crate::support::{DropFlag, Gate, Meter, PanicOnDrop, Place, eventually, is_as_new};
#[cfg(feature = "tracing")]
use crate::support::{Flavour, watched};

everywhere! {
    /// No more than so many, futures and jobs together; each of them runs in the end.
    async fn no_more_children_are_in_flight_than_the_limit(place: Place) {
        const LIMIT: usize = 3;
        let lane = place.lane(8);
        let meter = Meter::default();
        let group = Group::builder("narrow").limit(LIMIT).build();
        for n in 0..60 {
            let meter = meter.clone();
            let starting = if n % 2 == 0 {
                group.offload(&lane, move || drop(meter.enter()))
            } else {
                group.spawn(async move {
                    let _inside = meter.enter();
                    tokio::task::yield_now().await;
                })
            };
            // Half of them wait for their turn, so that both ways are mixed.
            if n % 4 < 2 {
                starting.await.unwrap();
            }
        }
        assert_eq!(group.join_all().await.len(), 60);
        assert_eq!(meter.entered(), 60);
        assert!(meter.peak() <= LIMIT, "{} at once", meter.peak());
        is_as_new(&lane).await;
    }

    /// A child holds its place until its thread is free.
    async fn a_thread_that_drains_holds_its_place_of_the_group(place: Place) {
        let lane = place.lane(2);
        let gate = Gate::new();
        let door = gate.door();
        let own = longshore::CancelToken::new();
        let mut group = Group::builder("narrow").limit(1).build();
        group.offload(&lane.cancelled_by(&own), move || { door.pass(); "deaf" }).await.unwrap();
        let mut next = Box::pin(group.offload(&lane, || "next"));
        gate.arrived(1).await;
        own.cancel();
        assert!(group.next().await.unwrap().unwrap_err().is_cancelled());
        assert!(next.as_mut().now_or_never().is_none(), "its thread is not free");
        assert_eq!(lane.stats().submitted, 1);
        gate.open();
        next.await.unwrap();
        assert_eq!(group.next().await.unwrap().unwrap(), "next");
        is_as_new(&lane).await;
    }

    /// What waits for its place starts in the runtime of its caller, and without anybody's help.
    async fn what_waits_starts_by_itself_and_where_it_was_put_in(place: Place) {
        let lane = place.lane(1);
        let home = tokio::runtime::Handle::current().id();
        let gate = Gate::new();
        let door = gate.door();
        let group = Group::builder("narrow").limit(1).build();
        group.offload(&lane, move || { door.pass(); home });
        for _ in 0..3 {
            group.offload(&lane, || tokio::runtime::Handle::current().id());
            group.spawn(async { tokio::runtime::Handle::current().id() });
        }
        gate.open();
        is_over(&group).await;
        for id in group.join_all().await {
            assert_eq!(id.unwrap(), home);
        }
        is_as_new(&lane).await;
    }

    /// C6. The token of a lane's handle, cancelled while the child waits in the group: it does not run.
    async fn a_child_whose_token_is_cancelled_while_it_waits_for_a_place_does_not_run(place: Place) {
        let lane = place.lane(1);
        let (gate, captured) = (Gate::new(), DropFlag::default());
        let (door, watched) = (gate.door(), captured.watched());
        let own = longshore::CancelToken::new();
        let group = Group::builder("narrow").limit(1).build();
        group.offload(&lane, move || door.pass());
        let starting = group.offload(&lane.cancelled_by(&own), move || {
            drop(watched);
            unreachable!("it was cancelled");
        });
        group.offload(&lane, || ());
        gate.arrived(1).await;
        own.cancel();
        gate.open();
        // It had its place, and gave it back at once.
        starting.await.unwrap();
        let outcomes = group.join_all().await;
        let [Ok(()), Err(error), Ok(())] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert!(error.is_cancelled() && error.never_started(), "{error}");
        assert_eq!(captured.dropped(), 1);
        is_as_new(&lane).await;
    }

    /// G2, G4. What waits is dropped with the group, and whoever waits for its start is told.
    async fn a_cancel_ends_the_wait_for_a_place(place: Place) {
        let lane = place.lane(1);
        let (gate, captured) = (Gate::new(), DropFlag::default());
        let door = gate.door();
        let group = Group::builder("narrow").limit(1).build();
        group.offload(&lane, move || door.pass());
        gate.arrived(1).await;
        let watched = captured.watched();
        let mut waits = tokio::spawn(group.offload(&lane, move || drop(watched)));
        let watched = captured.watched();
        let unwatched = group.spawn(async move { drop(watched) });
        assert!(futures::poll!(&mut waits).is_pending());
        group.cancel();
        assert_eq!(captured.dropped(), 2);
        assert!(waits.await.unwrap().unwrap_err().is_cancelled());
        assert!(unwatched.await.unwrap_err().never_started());
        gate.open();
        let outcomes = group.join_all().await;
        assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().is_cancelled()));
        assert_eq!(outcomes.len(), 3);
        assert_eq!(lane.stats().submitted, 1);
    }

    /// A lane that refuses one after the other must not make a recursion of it.
    async fn a_long_queue_of_children_that_are_refused_comes_to_an_end(place: Place) {
        let lane = place.lane(1);
        let group = Group::builder("narrow").limit(1).build();
        let gate = Gate::new();
        let door = gate.door();
        group.offload(&lane, move || door.pass());
        for _ in 0..20_000 {
            group.offload(&lane, || ());
        }
        gate.arrived(1).await;
        lane.close();
        gate.open();
        let outcomes = group.join_all().await;
        let closed = |outcome: &Result<(), Error>| matches!(outcome, Err(Error::Closed { .. }));
        assert_eq!(outcomes.iter().filter(|outcome| closed(outcome)).count(), 20_000);
    }

    /// K7. What a refused child has captured panics when it is dropped, on whichever thread: the rest
    /// of the queue starts all the same.
    async fn a_panic_in_what_is_refused_does_not_stop_the_queue(place: Place) {
        let (lane, closed) = (place.lane(1), place.lane(1));
        closed.close();
        let cancelled = longshore::CancelToken::new();
        cancelled.cancel();
        let refusals = [closed.clone(), lane.cancelled_by(&cancelled), lane.timeout(Duration::ZERO)];
        let group = Group::builder("narrow").limit(1).build();
        let gate = Gate::new();
        for queued in [false, true] {
            if queued {
                let door = gate.door();
                group.offload(&lane, move || door.pass());
            }
            for refuses in &refusals {
                let bomb = PanicOnDrop("held by what is refused");
                group.offload(refuses, move || drop(bomb));
            }
        }
        group.spawn(async {});
        gate.open();
        let outcomes = group.join_all().await;
        let ran = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!((outcomes.len(), ran), (8, 2));
        assert!(!outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(Error::is_panic)));
        is_as_new(&lane).await;
    }
}

/// K7. A subscriber panics where a closure is handed to its lane: at once, or when its place is free.
#[cfg(feature = "tracing")]
#[test]
fn a_child_whose_subscriber_panics_is_told_of() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _, registry};

    static ARMED: AtomicBool = AtomicBool::new(false);
    struct Panics;
    impl Layer<registry::Registry> for Panics {
        fn on_enter(&self, _: &tracing::span::Id, _: Context<'_, registry::Registry>) {
            assert!(!ARMED.swap(false, Ordering::SeqCst), "as planned");
        }
    }
    watched(|| {
        let subscriber = registry::Registry::default().with(Panics);
        let _subscribed = tracing::subscriber::set_default(subscriber);
        let lane = Lane::builder("traced").limit(1).build();
        Flavour::CurrentThread.runtime().block_on(async {
            for queued in [false, true] {
                let captured = DropFlag::default();
                let watched = captured.watched();
                let group = Group::builder("narrow").limit(1).build();
                let (go, gone) = tokio::sync::oneshot::channel::<()>();
                if queued {
                    group.spawn(async { gone.await.unwrap() });
                }
                tracing::info_span!("careful").in_scope(|| {
                    ARMED.store(!queued, Ordering::SeqCst);
                    group.offload(&lane, move || drop(watched));
                });
                group.spawn(async {});
                if queued {
                    ARMED.store(true, Ordering::SeqCst);
                    go.send(()).unwrap();
                }
                let mut outcomes = group.join_all().await;
                let error = outcomes.remove(usize::from(queued)).unwrap_err();
                assert!(error.is_panic(), "{error}");
                assert!(error.to_string().contains("as planned"), "{error}");
                assert!(outcomes.iter().all(Result::is_ok), "the rest starts");
                assert_eq!(captured.dropped(), 1);
                is_as_new(&lane).await;
            }
        });
    });
}

#[tokio::test]
#[should_panic(expected = "`limit` must be at least 1")]
async fn a_limit_of_zero_is_an_error_of_the_program() {
    let _ = Group::<()>::builder("none").limit(0).build();
}

/// A child that spawns siblings into a full group does not have to wait for them.
#[tokio::test]
async fn a_child_of_a_full_group_can_spawn_siblings() {
    let mut group = Group::builder("narrow").limit(1).build();
    let spawner = group.spawner();
    group.spawn(async move {
        for n in 1..=3 {
            spawner.spawn(async move { n });
        }
        0
    });
    let mut seen = Vec::new();
    while let Some(number) = group.next().await {
        seen.push(number.unwrap());
    }
    assert_eq!(seen, [0, 1, 2, 3]);
    eventually("it is over", || group.is_empty()).await;
    assert!(group.shutdown(Duration::ZERO).await.is_ok());
}
