//! G5: groups in groups.

use std::{
    future::pending,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Wake, Waker},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use longshore::{
    CancelToken, Error, Group,
    error::Stop,
    group::{Builder, Spawner},
};
use tokio::time::Instant;

use super::{endless, is_over};
use crate::support::{
    DropFlag, Flavour, Gate, Meter, Place, eventually, is_as_new, settles, watched,
};

type End = BoxFuture<'static, Vec<Result<(), Error>>>;

/// Looks after the inner group where it is called, which is before anything else happens; and when that is
/// over, whether the outer one is.
struct Hears {
    both: Mutex<Option<[End; 2]>>,
    say: mpsc::Sender<bool>,
}

impl Wake for Hears {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(self.clone());
        let mut context = Context::from_waker(&waker);
        let mut both = self.both.lock().unwrap();
        if let Some([inner, outer]) = &mut *both
            && inner.as_mut().poll(&mut context).is_ready()
        {
            let told = outer.as_mut().poll(&mut context).is_ready();
            let _ = self.say.send(told);
            *both = None;
        }
    }
}

everywhere! {
    /// G5.
    async fn a_cancel_goes_inwards_and_not_outwards(place: Place) {
        let lane = place.lane(2);
        let mut outer = Group::<()>::builder("outer").build();
        let mut middle: Group<()> = outer.nested("middle").build();
        let mut inner: Group<u32> = middle.nested("inner").build();
        let mut beside: Group<u32> = outer.spawner().nested("beside").build();
        outer.spawn(pending());
        middle.spawn(pending());
        inner.spawn(pending());
        let gate = Gate::new();
        let door = gate.door();
        beside.offload(&lane, move || { door.pass(); 7 });
        gate.arrived(1).await;

        middle.cancel();
        assert!(middle.next().await.unwrap().unwrap_err().is_cancelled());
        let error = inner.next().await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::Stopped { group, .. } if &**group == "inner"), "{error}");
        assert!(!outer.token().is_cancelled() && !beside.token().is_cancelled());
        assert!(futures::poll!(Box::pin(outer.next())).is_pending());
        assert!(futures::poll!(Box::pin(beside.next())).is_pending());

        outer.cancel();
        assert!(outer.next().await.unwrap().unwrap_err().is_cancelled());
        assert!(beside.next().await.unwrap().unwrap_err().is_cancelled());
        gate.open();
        is_over(&beside).await;
        is_as_new(&lane).await;
    }

    /// G5. Whichever is the earlier.
    async fn an_outer_deadline_wins_if_it_is_the_earlier(place: Place) {
        let lane = place.lane(1);
        let (near, far) = (Duration::from_millis(50), Duration::from_secs(3_600));
        for (of_outer, of_inner) in [(Some(near), Some(far)), (Some(far), Some(near)), (Some(near), None)] {
            let begun = Instant::now();
            let timed = |builder: Builder<()>, time: Option<Duration>| match time {
                Some(time) => builder.timeout(time),
                None => builder,
            };
            let outer = timed(Group::builder("outer"), of_outer).build();
            let mut inner = timed(outer.nested("inner"), of_inner).build();
            inner.spawn(pending());
            inner.offload_with(&lane, |job| {
                let blocked = Gate::new();
                let (door, hook) = (blocked.door(), blocked.door());
                let _guard = job.on_cancel(move || hook.open());
                assert!(job.remaining().unwrap() <= Duration::from_millis(50));
                door.pass();
            });
            for _ in 0..2 {
                let error = inner.next().await.unwrap().unwrap_err();
                assert!(error.is_timeout(), "{error}");
            }
            assert!(begun.elapsed() >= near);
            is_over(&inner).await;
        }
        is_as_new(&lane).await;
    }

    /// K14. What a part has left behind is waited for with the whole, and named with it.
    async fn the_outer_group_waits_for_what_the_inner_one_has_left_behind(place: Place) {
        let lane = place.lane(1);
        let (gate, dropped) = (Gate::new(), DropFlag::default());
        let outer = Group::new();
        let (spawner, door, theirs, flag) = (outer.spawner(), gate.door(), lane.clone(), dropped.watched());
        outer.spawn(async move {
            let _flag = flag;
            let inner: Group<()> = spawner.nested("inner").build();
            inner.label("deaf").offload(&theirs, move || door.pass());
            eventually("it runs", || theirs.stats().running == 1).await;
            // And goes, with a thread that is not free.
        });
        let mut joined = Box::pin(outer.join_all());
        eventually("the child is over", || {
            assert!((&mut joined).now_or_never().is_none());
            dropped.dropped() == 1
        })
        .await;
        assert_eq!(lane.stats().draining, 1);
        assert!(futures::poll!(&mut joined).is_pending());
        gate.open();
        assert!(joined.await.pop().unwrap().is_ok());
        assert_eq!(lane.stats().draining, 0);
        is_as_new(&lane).await;
    }

    /// K10. One rule for all that is within, whether it has children at that moment or not.
    async fn a_shutdown_closes_the_groups_within(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let outer = Group::<()>::new();
        let busy: Group<()> = outer.nested("busy").build();
        let (idle, deep): (Group<()>, Group<()>) = (outer.nested("idle").build(), busy.nested("deep").build());
        busy.offload(&lane, move || door.pass());
        gate.arrived(1).await;
        let shutdown = outer.shutdown(Duration::from_secs(3_600));
        let late: Group<()> = outer.nested("late").build();
        for group in [&busy, &idle, &deep, &late] {
            let refused = group.spawn(async {}).await.unwrap_err();
            assert!(matches!(refused, Error::Stopped { cause: Stop::Closed, .. }), "{refused}");
        }
        gate.open();
        shutdown.await.unwrap();
        // What was in there has gone on.
        assert_eq!(busy.join_all().await.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        is_as_new(&lane).await;
    }

    /// K14. Whoever hears of the inner group's end finds the outer one over as well.
    async fn an_outer_group_is_over_before_the_inner_one_says_so(place: Place) {
        let lane = place.lane(2);
        for _ in 0..50 {
            let outer = Group::<()>::new();
            let inner: Group<()> = outer.nested("inner").build();
            let gate = Gate::new();
            let door = gate.door();
            inner.offload(&lane, move || door.pass());
            let (say, said) = mpsc::channel();
            let both = [inner.join_all().boxed(), outer.join_all().boxed()];
            let hears = Arc::new(Hears { both: Mutex::new(Some(both)), say });
            hears.clone().wake();
            assert!(said.try_recv().is_err(), "the gate is shut");
            gate.open();
            assert!(said.recv().unwrap());
        }
        is_as_new(&lane).await;
    }

    /// G4, G5. A group in one that is over takes nothing.
    async fn a_group_within_one_that_is_over_is_over(place: Place) {
        let lane = place.lane(1);
        let outer = Group::<()>::new();
        let spawner = outer.spawner();
        let early: Group<()> = outer.nested("early").build();
        assert!(outer.shutdown(Duration::ZERO).await.is_ok());
        let refused = early.offload(&lane, || unreachable!()).await.unwrap_err();
        assert!(matches!(refused, Error::Stopped { cause: Stop::Closed, .. }), "{refused}");
        drop(outer);
        assert!(early.token().is_cancelled());
        let late: Group<()> = spawner.nested("late").build();
        assert!(late.spawn(pending()).await.unwrap_err().is_cancelled());
        let dropped = DropFlag::default();
        assert!(late.spawn(endless(&dropped)).await.is_err());
        assert_eq!((dropped.dropped(), lane.stats().submitted), (1, 0));
    }

    /// G5, C6. From a cancel on nothing starts, although it comes to the groups one after the other, and
    /// to a job of whose lane's handle has a token too.
    async fn from_a_cancel_on_nothing_starts_in_the_groups_within(place: Place) {
        let lane = place.lane(1);
        let own = CancelToken::new();
        for theirs in [lane.clone(), lane.cancelled_by(&own)] {
            let outer = Group::<()>::new();
            let (mut first, gate) = (outer.nested::<()>("first").build(), Gate::new());
            let (door, hook) = (gate.door(), gate.door());
            first.offload_with(&theirs, move |job| {
                let _guard = job.on_cancel(move || hook.open());
                door.pass();
            });
            gate.arrived(1).await;
            let (watching, (give, later)) = (lane.clone(), mpsc::channel::<Spawner<()>>());
            let (say, said) = mpsc::channel();
            let _guard = outer.token().on_cancel(move || {
                settles("the worker has looked", || watching.stats().waiting == 0);
                let second = later.recv().unwrap();
                say.send(second.spawn(async {}).now_or_never()).unwrap();
            });
            let (mut second, started) = (outer.nested::<()>("second").build(), Meter::default());
            let entered = started.clone();
            second.offload(&theirs, move || drop(entered.enter()));
            give.send(second.spawner()).unwrap();
            outer.cancel();
            let refused = said.recv().unwrap().expect("it is known at once");
            assert!(refused.unwrap_err().is_cancelled());
            assert!(first.next().await.unwrap().unwrap_err().is_cancelled());
            for _ in 0..2 {
                assert!(second.next().await.unwrap().unwrap_err().is_cancelled());
            }
            assert_eq!(started.entered(), 0);
        }
        is_as_new(&lane).await;
    }
}

/// A token may be above another in many ways: two for each of these groups.
#[test]
fn groups_that_are_cancelled_by_the_groups_they_are_in_cost_no_more_than_others() {
    watched(|| {
        Flavour::CurrentThread.runtime().block_on(async {
            let mut outer = Group::<()>::builder("0").build();
            let first = outer.token();
            let mut above = Vec::new();
            for level in 1..40 {
                let inner = outer.nested(format!("{level}"));
                let inner = inner.cancelled_by(&outer.token()).build();
                above.push(std::mem::replace(&mut outer, inner));
            }
            outer.spawn(async {});
            assert!(outer.next().await.unwrap().is_ok());
            assert!(!outer.token().is_cancelled());
            first.cancel();
            assert!(outer.token().is_cancelled());
        });
    });
}

/// Each level takes some of the stack, where a child is put in and where a group goes: of a thread's two
/// megabytes so little that nobody nests as deep by intention.
#[test]
fn groups_may_be_nested_five_hundred_deep() {
    watched(|| {
        Flavour::CurrentThread.runtime().block_on(async {
            let mut groups = vec![Group::<()>::builder("0").build()];
            for level in 1..500 {
                groups.push(groups[level - 1].nested(format!("{level}")).build());
            }
            let (first, last) = (groups[0].token(), groups.last_mut().unwrap());
            last.spawn(async {});
            assert!(last.next().await.unwrap().is_ok());
            last.spawn(pending());
            first.cancel();
            assert!(last.next().await.unwrap().unwrap_err().is_cancelled());
            // Each is held by the one within alone, from here on.
            let last = groups.pop();
            drop(groups);
            drop(last);
        });
    });
}
