//! Cancels, drops, and a deadline among them.

use std::{
    future::pending,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::executor::block_on;
use longshore::{CancelToken, Error, Group, error::Stop};

use super::{endless, is_over, nothing_is_left};
use crate::support::{AT_ONCE, DropFlag, Gate, Meter, Place, assert_books, eventually, is_as_new};

everywhere! {
    /// G2, K14. Running, draining and queued children of both kinds, all dropped at once.
    async fn dropping_a_group_cancels_all_of_it_and_blocks_nobody(place: Place) {
        let lane = place.lane(2);
        let (gate, started, dropped) = (Gate::new(), Meter::default(), DropFlag::default());
        let group = Group::new();
        let spawner = group.spawner();
        for _ in 0..2 {
            let door = gate.door();
            group.offload_with(&lane, move |job| {
                door.pass();
                assert!(job.is_cancelled());
            });
        }
        gate.arrived(2).await;
        for _ in 0..50 {
            let started = started.clone();
            group.offload(&lane, move || drop(started.enter()));
            group.spawn(endless(&dropped));
        }
        let begun = Instant::now();
        drop(group);
        assert!(begun.elapsed() < AT_ONCE);
        // What drains is in the lane's own accounts.
        let stats = lane.stats();
        assert_eq!((stats.waiting, stats.draining, stats.cancelled), (0, 2, 52));
        assert_eq!(lane.jobs().len(), 2);
        eventually("the futures are dropped", || dropped.dropped() == 50).await;
        gate.open();
        nothing_is_left(&spawner).await;
        is_as_new(&lane).await;
        assert_eq!(started.entered(), 0, "nothing that was queued starts");
    }

    /// G2. The future that holds the group is dropped, or panics.
    async fn a_group_goes_with_the_code_that_holds_it(place: Place) {
        let lane = place.lane(1);
        let (gate, dropped) = (Gate::new(), DropFlag::default());
        for panics in [false, true] {
            let door = gate.door();
            let group = Group::new();
            let spawner = group.spawner();
            group.offload_with(&lane, move |job| {
                let interrupt = Gate::new();
                let (own, hook) = (interrupt.door(), interrupt.door());
                let _guard = job.on_cancel(move || hook.open());
                door.open();
                own.pass();
            });
            group.spawn(endless(&dropped));
            let (go, told) = tokio::sync::oneshot::channel::<()>();
            let holder = tokio::spawn(async move {
                let group = group;
                told.await.unwrap();
                assert!(!panics, "as planned");
                group.join_all().await
            });
            eventually("it runs", || lane.stats().running == 1).await;
            go.send(()).unwrap();
            if !panics {
                tokio::task::yield_now().await;
                holder.abort();
            }
            assert!(holder.await.is_err());
            nothing_is_left(&spawner).await;
        }
        assert_eq!(dropped.dropped(), 2);
        is_as_new(&lane).await;
    }

    /// K10, K15. The outcome at once, the thread when it is free.
    async fn a_cancel_tells_at_once_and_a_join_waits_for_the_thread(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let mut group = Group::new();
        group.offload(&lane, move || door.pass());
        group.offload(&lane, || ());
        gate.arrived(1).await;
        group.cancel();
        group.cancel();
        let mut never_ran = 0;
        for _ in 0..2 {
            let error = group.next().await.unwrap().unwrap_err();
            assert!(error.is_cancelled());
            never_ran += usize::from(error.never_started());
        }
        assert_eq!(never_ran, 1);
        assert!(group.next().await.is_none(), "nothing is to be told any more");
        assert_eq!(group.len(), 1, "and yet");
        let mut joined = Box::pin(group.join_all());
        assert!(futures::poll!(&mut joined).is_pending());
        gate.open();
        assert!(joined.await.is_empty());
        assert_eq!(lane.stats().draining, 0);
        is_as_new(&lane).await;
    }

    /// Nobody polls the group, its children or its outcomes.
    async fn a_cancel_needs_no_polling(place: Place) {
        let lane = place.lane(1);
        let interrupted = AtomicUsize::new(0);
        let interrupted = std::sync::Arc::new(interrupted);
        let group = Group::new();
        let (gate, theirs) = (Gate::new(), interrupted.clone());
        let (door, hook) = (gate.door(), gate.door());
        group.offload_with(&lane, move |job| {
            let _guard = job.on_cancel(move || {
                theirs.fetch_add(1, Ordering::SeqCst);
                hook.open();
            });
            door.pass();
        });
        gate.arrived(1).await;
        group.cancel();
        assert_eq!(interrupted.load(Ordering::SeqCst), 1, "before `cancel` returned");
        is_over(&group).await;
    }

    /// C6.
    async fn a_token_cancels_a_group_before_and_after_it_was_made(place: Place) {
        let lane = place.lane(1);
        let above = CancelToken::new();
        let below = above.child();
        let mut group = Group::<()>::builder("under a token").cancelled_by(&below).build();
        group.spawn(pending());
        above.cancel();
        assert!(group.next().await.unwrap().unwrap_err().is_cancelled());
        assert!(group.token().is_cancelled());

        let mut late = Group::<()>::builder("late").cancelled_by(&above).build();
        let submitted = lane.stats().submitted;
        let refused = late.offload(&lane, || ()).await.unwrap_err();
        assert!(refused.is_cancelled() && refused.never_started());
        late.spawn(async { unreachable!() });
        for _ in 0..2 {
            let error = late.next().await.unwrap().unwrap_err();
            assert!(error.is_cancelled() && error.never_started());
        }
        assert_eq!(lane.stats().submitted, submitted, "the lane never saw it");
        // And the other way: a group's token is for others too.
        let group = Group::<()>::new();
        let others = lane.cancelled_by(&group.token());
        drop(group);
        assert!(others.offload(|| ()).await.unwrap_err().is_cancelled());
    }

    /// The token of a lane's handle still cancels what goes through it; so does the group.
    async fn a_job_hears_of_both_its_tokens(place: Place) {
        let lane = place.lane(2);
        for by_group in [true, false] {
            let own = CancelToken::new();
            let mut group = Group::new();
            let gate = Gate::new();
            let door = gate.door();
            group.offload(&lane.cancelled_by(&own), move || door.pass());
            gate.arrived(1).await;
            if by_group { group.cancel() } else { own.cancel() }
            assert!(group.next().await.unwrap().unwrap_err().is_cancelled());
            gate.open();
            is_over(&group).await;
            assert_eq!(own.is_cancelled(), !by_group);
            assert_eq!(group.token().is_cancelled(), by_group);
        }
        is_as_new(&lane).await;
    }

    /// K3. One deadline for running futures and jobs, for what waits in the lane and in the group.
    async fn a_deadline_ends_what_runs_and_what_waits(place: Place) {
        let lane = place.lane(1);
        // More on a machine that is too busy for them to have begun by then.
        for time in [100, 1_000, 6_000].map(Duration::from_millis) {
            let (gate, dropped, runs) = (Gate::new(), DropFlag::default(), Gate::new());
            let door = gate.door();
            let begun = Instant::now();
            let mut group = Group::builder("timed").limit(3).timeout(time).build();
            group.offload(&lane, move || door.pass());
            group.offload(&lane, || unreachable!("the thread is taken"));
            let (future, seen) = (endless(&dropped), runs.door());
            runs.open();
            group.spawn(async move {
                seen.pass();
                future.await
            });
            let mut in_queue = Box::pin(group.spawn(async { unreachable!("the group is full") }));
            let waits = futures::poll!(&mut in_queue).is_pending();
            eventually("both have begun, or it is too late", || {
                begun.elapsed() >= time || (gate.count(), runs.count()) == (1, 1)
            })
            .await;
            if begun.elapsed() >= time {
                drop(group);
                gate.open();
                is_as_new(&lane).await;
                continue;
            }
            assert!(waits);
            let mut never_started = 0;
            for _ in 0..4 {
                let error = group.next().await.unwrap().unwrap_err();
                assert!(error.is_timeout(), "{error}");
                never_started += usize::from(error.never_started());
            }
            assert!(begun.elapsed() >= time);
            assert_eq!((never_started, dropped.dropped()), (2, 1));
            assert!(in_queue.await.unwrap_err().is_timeout());
            // Nothing comes in any more.
            let late = group.spawn(async {}).await.unwrap_err();
            assert!(late.is_timeout() && late.never_started());
            gate.open();
            is_over(&group).await;
            is_as_new(&lane).await;
            return;
        }
        panic!("nothing has begun in time");
    }

    /// G4. Put in, cancelled, joined or dropped at once, from several threads: each child is told of or
    /// refused, what it has captured is gone, and nothing is left.
    async fn all_at_once_from_several_threads_ends_well(place: Place) {
        let lane = place.lane(2);
        for round in 0..24 {
            let captured = DropFlag::default();
            let group = Group::builder("storm").limit(1 + round % 3).build();
            let (runtime, start) = (tokio::runtime::Handle::current(), Arc::new(Barrier::new(4)));
            let threads: Vec<_> = (0..3)
                .map(|thread| {
                    let (spawner, lane, runtime) = (group.spawner(), lane.clone(), runtime.clone());
                    let (start, flags) = (start.clone(), [(); 20].map(|()| captured.watched()));
                    std::thread::spawn(move || {
                        let _entered = runtime.enter();
                        start.wait();
                        for (n, flag) in flags.into_iter().enumerate() {
                            match n % 2 {
                                0 => spawner.spawn(async move { drop(flag) }),
                                _ => spawner.offload(&lane, move || drop(flag)),
                            };
                            if thread == round % 4 && n == 10 {
                                spawner.cancel();
                            }
                        }
                    })
                })
                .collect();
            let spawner = group.spawner();
            start.wait();
            match round % 2 {
                0 => drop(group),
                _ => drop(group.join_all().await),
            }
            for thread in threads {
                thread.join().unwrap();
            }
            nothing_is_left(&spawner).await;
            eventually("what they held is gone", || captured.dropped() == 60).await;
        }
        is_as_new(&lane).await;
    }

    /// C9.
    async fn a_deadline_that_has_passed_lets_nothing_start_and_an_endless_one_is_none(place: Place) {
        let lane = place.lane(1);
        let mut group = Group::builder("past").timeout(Duration::ZERO).build();
        group.offload(&lane, || unreachable!());
        group.spawn(async { unreachable!() });
        for _ in 0..2 {
            let error: Error = group.next().await.unwrap().unwrap_err();
            assert!(error.is_timeout() && error.never_started());
        }
        let group = Group::builder("endless").timeout(Duration::MAX).build();
        group.offload(&lane, || ());
        group.spawn(async {});
        assert!(group.join_all().await.iter().all(Result::is_ok));
        // A lane's own timeout holds where it is the shorter.
        let gate = Gate::new();
        let door = gate.door();
        let group = Group::builder("patient").timeout(Duration::from_secs(3_600)).build();
        group.offload(&lane.timeout(Duration::from_millis(20)), move || door.pass());
        let joined = group.join_all();
        eventually("it timed out", || lane.stats().timed_out == 1).await;
        gate.open();
        assert!(joined.await.pop().unwrap().unwrap_err().is_timeout());
        assert_books(&lane.stats());
    }
}

/// R9 for groups: the runtime goes, and says so to its futures; nobody waits for ever.
#[test]
fn futures_whose_runtime_ends_are_told_of() {
    crate::support::watched(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let group = Group::<()>::new();
        runtime.block_on(async {
            group.spawn(pending());
            tokio::task::yield_now().await;
        });
        runtime.shutdown_background();
        let outcomes = futures::executor::block_on(group.join_all());
        let [Err(Error::Stopped { cause, .. })] = outcomes.as_slice() else {
            panic!("{outcomes:?}");
        };
        assert_eq!(*cause, Stop::NoRuntime);
        // R2. And without one from the start.
        let group = Group::<()>::new();
        group.spawn(async { unreachable!() });
        assert!(block_on(group.spawn(async {})).unwrap_err().never_started());
        let error = futures::executor::block_on(group.join_all())
            .pop()
            .unwrap()
            .unwrap_err();
        assert!(matches!(
            error,
            Error::Stopped {
                cause: Stop::NoRuntime,
                ..
            }
        ));
        assert!(error.never_started());
    });
}
