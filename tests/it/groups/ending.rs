//! Shutting down, scopes, and coming too late.

use std::{
    future::pending,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, mpsc},
    task::{Context, Wake, Waker},
    time::Duration,
};

use futures::FutureExt as _;
use longshore::{
    Error, Group,
    error::Stop,
    group::{self, Spawner},
    lane::JobState,
};

use super::{endless, is_over, nothing_is_left};
use crate::support::{DropFlag, Gate, Place, eventually, is_as_new};

const SOON: Duration = Duration::from_millis(20);

everywhere! {
    /// K10.
    async fn a_shutdown_gives_children_the_grace_to_end_by_themselves(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let mut group = Group::builder("patient").limit(1).build();
        group.offload(&lane, move || { door.pass(); 1 });
        group.spawn(async { 2 }); // in the group's queue, and still started
        let mut shutdown = Box::pin(group.shutdown(Duration::from_secs(3_600)));
        assert!(futures::poll!(&mut shutdown).is_pending());
        let late = group.spawn(async { 3 }).await.unwrap_err();
        assert!(matches!(late, Error::Stopped { cause: Stop::Closed, .. }), "{late}");
        gate.open();
        let ended = shutdown.await.unwrap();
        assert_eq!((ended.finished, ended.cancelled), (2, 0));
        // The outcomes are still there: that of the late one too, which came first.
        assert!(group.next().await.unwrap().is_err());
        assert_eq!(group.next().await.unwrap().unwrap(), 1);
        assert_eq!(group.next().await.unwrap().unwrap(), 2);
        assert!(group.next().await.is_none());
        is_as_new(&lane).await;
    }

    /// K10, G3.
    async fn a_shutdown_names_what_is_stuck(place: Place) {
        let lane = place.lane(2);
        let (gate, dropped) = (Gate::new(), DropFlag::default());
        let door = gate.door();
        let group = Group::builder("report").build();
        let line = line!() + 1;
        group.label("deaf one").offload(&lane, move || door.pass());
        group.spawn(endless(&dropped));
        gate.arrived(1).await;
        let inner: Group<()> = group.nested("part").build();
        let door = gate.door();
        inner.label("inner one").offload(&lane, move || door.pass());
        gate.arrived(2).await;
        let stuck = group.shutdown(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!((stuck.finished, stuck.cancelled), (0, 3));
        // On a busy machine the future is dropped later than the first waits for it.
        eventually("the future is dropped", || dropped.dropped() == 1).await;
        let stuck = group.shutdown(Duration::ZERO).await.unwrap_err();
        let [job, within] = stuck.children.as_slice() else { panic!("{stuck}") };
        assert_eq!((&*job.group, job.label.as_deref()), ("report", Some("deaf one")));
        assert_eq!(job.lane.as_deref(), Some(lane.name()));
        assert_eq!((job.location.file(), job.location.line()), (file!(), line));
        assert_eq!(job.state, JobState::Draining);
        assert!(job.age >= Duration::from_millis(100));
        assert_eq!((&*within.group, within.label.as_deref()), ("part", Some("inner one")));
        let said = stuck.to_string();
        assert!(said.starts_with("2 children did not end: "), "{said}");
        assert!(said.contains("deaf one") && said.contains("report"), "{said}");
        gate.open();
        assert!(group.shutdown(Duration::from_secs(3_600)).await.is_ok());
        is_as_new(&lane).await;
    }

    /// K14. Where each child is, at any time, those of groups within included.
    async fn the_children_are_listed_with_where_they_are(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let own = longshore::CancelToken::new();
        let group: Group<()> = Group::builder("outer").limit(3).build();
        group.label("on its thread").offload(&lane.cancelled_by(&own), move || door.pass());
        gate.arrived(1).await;
        group.offload(&lane.label("in its lane"), || ());
        group.label("a future").spawn(pending());
        group.label("in the group").spawn(pending());
        let inner: Group<()> = group.nested("inner").build();
        inner.label("within").spawn(pending());
        let states = || -> Vec<_> {
            let children = group.children();
            children.iter().map(|child| (child.label.as_deref().unwrap().to_owned(), child.state)).collect()
        };
        let expected = |first| [
            ("on its thread".to_owned(), first),
            ("in its lane".to_owned(), JobState::Waiting),
            ("a future".to_owned(), JobState::Running),
            ("in the group".to_owned(), JobState::Waiting),
            ("within".to_owned(), JobState::Running),
        ];
        assert_eq!(states(), expected(JobState::Running));
        own.cancel();
        assert_eq!(states(), expected(JobState::Draining));
        assert_eq!((group.len(), inner.len()), (4, 1));
        drop(inner);
        group.cancel();
        gate.open();
        is_over(&group).await;
        is_as_new(&lane).await;
    }

    /// R8.
    async fn shutdowns_at_once_and_one_after_the_other_all_return(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let group = Group::new();
        group.offload(&lane, move || door.pass());
        gate.arrived(1).await;
        let spawner = group.spawner();
        let reports = futures::join!(group.shutdown(SOON), spawner.shutdown(SOON), group.shutdown(SOON));
        assert!(reports.0.is_err() && reports.1.is_err() && reports.2.is_err());
        let mut patient = Box::pin(group.shutdown(Duration::from_secs(3_600)));
        assert!(futures::poll!(&mut patient).is_pending());
        gate.open();
        patient.await.unwrap();
        assert!(group.shutdown(SOON).await.is_ok());
        is_as_new(&lane).await;
    }

    /// R8. From inside of one of the children, which is then the one that is stuck.
    async fn a_shutdown_from_a_child_returns(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let (say, said) = mpsc::channel();
        let mut group = Group::new();
        let spawner = group.spawner();
        group.label("itself").offload(&lane, move || {
            let report = futures::executor::block_on(spawner.shutdown(SOON));
            say.send(report).unwrap();
            door.pass();
        });
        assert!(group.next().await.unwrap().unwrap_err().is_cancelled());
        eventually("it returned", || gate.count() == 1).await;
        let stuck = said.recv().unwrap().unwrap_err();
        assert_eq!(stuck.children[0].label.as_deref(), Some("itself"));
        gate.open();
        is_over(&group).await;
        // A future that does so ends itself: it is told to stop at its own `.await`.
        let group = Group::<()>::new();
        let spawner = group.spawner();
        group.spawn(async move {
            let _ = spawner.shutdown(SOON).await;
            pending::<()>().await;
        });
        assert!(group.join_all().await.pop().unwrap().unwrap_err().is_cancelled());
    }

    /// G4. From children and others, into a group that is cancelled, being joined, or gone.
    async fn what_comes_too_late_is_told_so_at_once(place: Place) {
        let lane = place.lane(1);
        // Cancelled, and its owner is still there: the child's outcome says so too.
        let mut group = Group::new();
        group.cancel();
        let told = [group.spawn(async { 1 }).await, group.offload(&lane, || 1).await];
        assert!(told.iter().all(|told| told.as_ref().unwrap_err().is_cancelled()));
        for _ in 0..2 {
            assert!(group.next().await.unwrap().unwrap_err().never_started());
        }
        // During a join: it is joined with the rest.
        let group = Group::new();
        let (spawner, gate) = (group.spawner(), Gate::new());
        let (door, from_child, lane_of_child) = (gate.door(), group.spawner(), lane.clone());
        group.offload(&lane, move || {
            door.pass();
            from_child.offload(&lane_of_child, || 2);
            1
        });
        let joined = tokio::spawn(group.join_all());
        gate.arrived(1).await;
        spawner.spawn(async { 3 }).await.unwrap();
        gate.open();
        let outcomes: Vec<_> = joined.await.unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes, [1, 3, 2]);
        // Joined: closed for good.
        let closed = spawner.spawn(async { 4 }).await.unwrap_err();
        assert!(matches!(closed, Error::Stopped { cause: Stop::Closed, .. }), "{closed}");
        assert!(closed.never_started());
        let captured = DropFlag::default();
        let watched = captured.watched();
        assert!(spawner.offload(&lane, move || { drop(watched); 5 }).await.is_err());
        assert_eq!(captured.dropped(), 1);
        nothing_is_left(&spawner).await;
        is_as_new(&lane).await;
    }

    /// G7.
    async fn a_panic_in_a_scope_goes_on_when_the_children_are_over(place: Place) {
        let lane = place.lane(1);
        let (gate, dropped) = (Gate::new(), DropFlag::default());
        let door = gate.door();
        let (theirs, their_flag) = (lane.clone(), &dropped);
        let scope = group::scope(async move |group: Group<()>| {
            group.offload(&theirs, move || door.pass());
            group.spawn(endless(their_flag));
            eventually("it runs", || theirs.stats().running == 1).await;
            panic!("as planned");
        });
        let mut scope = Box::pin(AssertUnwindSafe(scope).catch_unwind());
        eventually("the children are cancelled", || {
            assert!(scope.as_mut().now_or_never().is_none(), "a thread is in a closure still");
            lane.stats().draining == 1 && dropped.dropped() == 1
        })
        .await;
        gate.open();
        let payload = scope.await.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"as planned"));
        assert_eq!(lane.stats().draining, 0);
        is_as_new(&lane).await;
    }

    /// K14. An early return out of a scope leaves nothing behind, not even something that drains.
    async fn a_scope_is_over_when_it_returns(place: Place) {
        let lane = place.lane(2);
        let dropped = DropFlag::default();
        let early = async |group: Group<u32>| -> Result<u32, Error> {
            for _ in 0..10 {
                group.offload_with(&lane, |job| {
                    let blocked = Gate::new();
                    let (door, hook) = (blocked.door(), blocked.door());
                    let _guard = job.on_cancel(move || hook.open());
                    door.pass();
                    1
                });
                group.spawn(endless(&dropped));
            }
            eventually("they run", || lane.stats().running == 2).await;
            Err(lane.timeout(Duration::ZERO).offload(|| ()).await.unwrap_err())?;
            unreachable!("that was an error")
        };
        assert!(group::scope(early).await.unwrap_err().is_timeout());
        let stats = lane.stats();
        assert_eq!((stats.waiting, stats.running, stats.draining), (0, 0, 0));
        assert_eq!(dropped.dropped(), 10);
        // A group that is carried out of its scope is over as well.
        let kept: Group<()> = group::scope(async |group: Group<()>| {
            group.spawn(pending());
            group
        })
        .await;
        assert!(kept.is_empty());
        // And a scope can be spawned.
        let in_task = lane.clone();
        let sum = tokio::spawn(group::scope(async move |group| {
            for n in 0..4 {
                group.offload(&in_task, move || n);
            }
            group.join_all_or_cancel().await.unwrap().into_iter().sum::<i32>()
        }));
        assert_eq!(sum.await.unwrap(), 6);
        is_as_new(&lane).await;
    }
}

/// K15. Of a wait that was given up nothing stays with the group, however many there were.
#[tokio::test]
async fn a_wait_that_is_given_up_leaves_no_waker() {
    struct Idle;
    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }
    let group = Group::<()>::new();
    group.spawn(pending());
    let idle = Arc::new(Idle);
    for _ in 0..3 {
        let waker = Waker::from(idle.clone());
        let mut shutdown = Box::pin(group.shutdown(Duration::from_secs(3_600)));
        let polled = shutdown.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert!(Arc::strong_count(&idle) > 2);
        drop((shutdown, waker));
        assert_eq!(Arc::strong_count(&idle), 1);
    }
}

/// A panic of the body before its first `.await`, and one whose payload is no string.
#[tokio::test]
async fn a_body_may_panic_before_it_is_a_future() {
    fn body(_: Group<()>) -> std::future::Ready<()> {
        panic::panic_any(7_u32)
    }
    let payload = AssertUnwindSafe(group::scope(body))
        .catch_unwind()
        .await
        .unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&7_u32));
}

/// The handle of a group that has gone is harmless.
#[tokio::test]
async fn a_spawner_outlives_its_group() {
    let spawner: Spawner<()> = Group::new().spawner();
    spawner.cancel();
    assert!(spawner.spawn(async {}).await.unwrap_err().is_cancelled());
    assert!(spawner.shutdown(SOON).await.is_ok());
    assert!(spawner.children().is_empty());
}
