//! K5: a cancel raises the flag, runs each hook once, and returns to the caller at once.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use longshore::{CancelToken, Error, error::Phase};

use crate::support::{
    AT_ONCE, DropFlag, Gate, Meter, PanicOnDrop, Place, assert_books, eventually,
    every_slot_is_free, is_as_new,
};

everywhere_and_on_workers! {
    /// K5.
    async fn cancelling_raises_the_flag_runs_the_hooks_once_and_returns_at_once(place: Place) {
        let lane = place.lane(1);
        let (gate, ran) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (door, hooks) = (gate.door(), ran.clone());
        let (say, seen) = mpsc::channel();
        let task = lane.offload_with(move |job| {
            let guards: Vec<_> = (0..3)
                .map(|_| {
                    let hooks = hooks.clone();
                    job.on_cancel(move || {
                        hooks.fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            say.send((job.is_cancelled(), job.check().is_err())).unwrap();
            door.pass();
            drop(guards);
            say.send((job.is_cancelled(), job.check().is_err())).unwrap();
        });
        gate.arrived(1).await;
        let canceller = task.canceller();
        let begun = Instant::now();
        task.cancel();
        // The hooks have run when `cancel` returns.
        assert_eq!(ran.load(Ordering::SeqCst), 3);
        assert!(task.is_finished());
        match task.await {
            Err(Error::Cancelled { phase, .. }) => assert_eq!(phase, Phase::Running),
            other => panic!("expected a cancel, got {other:?}"),
        }
        assert!(begun.elapsed() < AT_ONCE, "it does not wait for the closure");
        canceller.cancel();
        assert_eq!(ran.load(Ordering::SeqCst), 3);
        gate.open();
        is_as_new(&lane).await;
        assert_eq!(seen.iter().collect::<Vec<_>>(), [(false, false), (true, true)]);
        assert_eq!(lane.stats().cancelled, 1);
    }

    /// K5. What a hook is for: the closure blocks in something that only the hook can end.
    async fn a_hook_interrupts_what_the_closure_blocks_in(place: Place) {
        let lane = place.lane(2);
        for _ in 0..50 {
            let blocked = Gate::new();
            let door = blocked.door();
            let task = lane.offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
            });
            blocked.arrived(1).await;
            drop(task);
            eventually("the thread is free", || lane.stats().draining == 0).await;
        }
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 50);
    }

    /// K5.
    async fn a_hook_never_runs_after_its_guard_is_dropped(place: Place) {
        let lane = place.lane(1);
        let (gate, ran) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (door, hooks, captured) = (gate.door(), ran.clone(), DropFlag::default());
        let watched = captured.watched();
        let task = lane.offload_with(move |job| {
            drop(job.on_cancel(move || {
                let _watched = watched;
                hooks.fetch_add(1, Ordering::SeqCst);
            }));
            door.pass();
        });
        gate.arrived(1).await;
        assert_eq!(captured.dropped(), 1, "what it held may be used for other things");
        task.cancel();
        gate.open();
        is_as_new(&lane).await;
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }

    /// K5. Cancels race with the closures that drop their guards.
    async fn a_hook_is_not_running_any_more_when_its_guard_is_dropped(place: Place) {
        let lane = place.lane(4);
        for _ in 0..1_000 {
            let start = Arc::new(Barrier::new(2));
            let theirs = start.clone();
            let (say, said) = mpsc::channel();
            let task = lane.offload_with(move |job| {
                let inside = Meter::default();
                let theirs_inside = inside.clone();
                let guard = job.on_cancel(move || {
                    let _inside = theirs_inside.enter();
                    std::thread::yield_now();
                });
                theirs.wait();
                drop(guard);
                let entered = inside.entered();
                // Nothing is running, and nothing will.
                say.send((inside.inside(), entered)).unwrap();
                std::thread::yield_now();
                assert_eq!(inside.entered(), entered);
            });
            let canceller = task.canceller();
            start.wait();
            canceller.cancel();
            let _ = task.await;
            let (inside, entered) = said.recv().expect("it got there");
            assert_eq!(inside, 0);
            assert!(entered <= 1);
        }
        is_as_new(&lane).await;
        assert_eq!(lane.stats().late_panics, 0);
    }

    /// K5. A hook that is registered too late runs at once.
    async fn a_hook_of_a_job_that_is_cancelled_already_runs_at_once(place: Place) {
        let lane = place.lane(1);
        let (gate, ran) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (door, hooks) = (gate.door(), ran.clone());
        let task = lane.offload_with(move |job| {
            door.pass();
            let _guard = job.on_cancel(move || {
                hooks.fetch_add(1, Ordering::SeqCst);
            });
        });
        gate.arrived(1).await;
        drop(task);
        gate.open();
        is_as_new(&lane).await;
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    }

    /// K5. The other hooks run, the caller is told, the panic is counted.
    async fn a_panic_in_a_hook_is_caught(place: Place) {
        let lane = place.lane(1);
        let (gate, ran) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (door, hooks) = (gate.door(), ran.clone());
        let task = lane.offload_with(move |job| {
            let _first = job.on_cancel(|| panic!("as planned"));
            let _second = job.on_cancel(|| std::panic::panic_any(PanicOnDrop("in its drop")));
            let _third = job.on_cancel(move || {
                hooks.fetch_add(1, Ordering::SeqCst);
            });
            door.pass();
        });
        gate.arrived(1).await;
        task.cancel();
        assert_eq!(ran.load(Ordering::SeqCst), 1);
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(lane.stats().late_panics, 2);
        gate.open();
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// K5. The hook finds the lane unlocked: it can look at it and hand in more.
    async fn a_hook_may_use_the_lane_that_it_belongs_to(place: Place) {
        let lane = place.lane(2);
        let gate = Gate::new();
        let (door, other) = (gate.door(), lane.clone());
        let (say, said) = mpsc::channel();
        let task = lane.offload_with(move |job| {
            let _guard = job.on_cancel(move || {
                say.send((other.stats().draining, other.offload(|| "from a hook"))).unwrap();
            });
            door.pass();
        });
        gate.arrived(1).await;
        task.cancel();
        let (draining, handed_in) = said.recv().unwrap();
        assert_eq!(draining, 1);
        assert_eq!(handed_in.await.unwrap(), "from a hook");
        gate.open();
        is_as_new(&lane).await;
    }

    /// K5. The result of a job whose caller has gone is dropped on its worker, before the slot is
    /// given back.
    async fn a_late_result_is_dropped_on_the_worker(place: Place) {
        struct Result(mpsc::Sender<(std::thread::ThreadId, usize)>, longshore::Lane);
        impl Drop for Result {
            fn drop(&mut self) {
                let stats = self.1.stats();
                self.0.send((std::thread::current().id(), stats.draining)).unwrap();
            }
        }
        let lane = place.lane(1);
        let gate = Gate::new();
        let (door, inner) = (gate.door(), lane.clone());
        let (say, said) = mpsc::channel();
        let (on, thread) = mpsc::channel();
        let task = lane.offload(move || {
            on.send(std::thread::current().id()).unwrap();
            door.pass();
            Result(say, inner)
        });
        gate.arrived(1).await;
        drop(task);
        gate.open();
        is_as_new(&lane).await;
        let (dropped_on, draining) = said.recv().unwrap();
        assert_eq!((dropped_on, draining), (thread.recv().unwrap(), 1));
    }

    /// K5, W7. A late panic is counted.
    async fn a_panic_that_nobody_waits_for_is_counted(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let task = lane.offload(move || {
            door.pass();
            panic!("as planned");
        });
        gate.arrived(1).await;
        drop(task);
        gate.open();
        is_as_new(&lane).await;
        let stats = lane.stats();
        assert_eq!((stats.late_panics, stats.panicked, stats.cancelled), (1, 0, 1));
        every_slot_is_free(&lane).await;
    }

    /// C1, C2. A cancel at any moment between handing in and the end, in its own right and against
    /// success: exactly one outcome, told once, and the accounts exact.
    async fn a_cancel_at_any_moment_leads_to_exactly_one_outcome(place: Place) {
        const ROUNDS: usize = 3_000;
        // Until both have been seen to win, which takes no longer than that, as a rule.
        const AT_MOST: usize = 30_000;
        const BATCH: usize = 60;
        let lane = place.lane(3);
        let (order, orders) = mpsc::channel::<longshore::job::Canceller>();
        // The canceller's thread comes to each job a little later, or earlier, than its worker.
        let canceller = std::thread::spawn(move || {
            for (i, canceller) in orders.into_iter().enumerate() {
                for _ in 0..i % 40 {
                    std::hint::spin_loop();
                }
                canceller.cancel();
                canceller.cancel();
            }
        });
        let (mut values, mut cancels) = (0, 0);
        let ran = Meter::default();
        let mut rounds = 0;
        while rounds < ROUNDS || ((values == 0 || cancels == 0) && rounds < AT_MOST) {
            let tasks: Vec<_> = (rounds..rounds + BATCH)
                .map(|i| {
                    let ran = ran.clone();
                    let captured = DropFlag::default();
                    let watched = captured.watched();
                    let task = lane.offload(move || {
                        let _inside = ran.enter();
                        let _watched = watched;
                        i
                    });
                    order.send(task.canceller()).unwrap();
                    (task, captured)
                })
                .collect();
            for (i, (task, captured)) in (rounds..).zip(tasks) {
                match task.await {
                    Ok(value) => {
                        assert_eq!(value, i);
                        values += 1;
                    }
                    Err(error) => {
                        assert!(error.is_cancelled(), "{error:?}");
                        cancels += 1;
                    }
                }
                eventually("the closure is gone", || captured.dropped() == 1).await;
            }
            rounds += BATCH;
        }
        drop(order);
        canceller.join().unwrap();
        is_as_new(&lane).await;
        let stats = lane.stats();
        assert_books(&stats);
        assert_eq!((values, cancels), (stats.completed, stats.cancelled));
        assert_eq!(values + cancels, rounds as u64);
        assert!(values > 0 && cancels > 0, "no race: {values} ran, {cancels} were cancelled");
        assert!(ran.entered() as u64 >= values && ran.peak() <= 3);
        every_slot_is_free(&lane).await;
    }

    /// C1. A closure has not run, nor will, once its caller was told that it never started.
    async fn what_is_told_to_have_never_started_never_does(place: Place) {
        let lane = place.lane(2);
        let mut told_never = 0;
        for i in 0..2_000_u32 {
            let ran = Arc::new(AtomicUsize::new(0));
            let theirs = ran.clone();
            let task = lane.offload(move || {
                theirs.fetch_add(1, Ordering::SeqCst);
            });
            for _ in 0..i % 50 {
                std::hint::spin_loop();
            }
            task.cancel();
            if let Err(error) = task.await
                && error.never_started()
            {
                told_never += 1;
                assert_eq!(ran.load(Ordering::SeqCst), 0);
                // Nothing else has a hold of the closure.
                eventually("it is dropped", || Arc::strong_count(&ran) == 1).await;
                assert_eq!(ran.load(Ordering::SeqCst), 0);
            }
        }
        assert!(told_never > 0, "the race was never won");
        is_as_new(&lane).await;
    }

    /// C6.
    async fn a_job_under_a_cancelled_token_never_starts(place: Place) {
        let lane = place.lane(1);
        let token = CancelToken::new();
        let child = token.child();
        token.cancel();
        for token in [&token, &child, &child.child()] {
            assert!(token.is_cancelled());
            let error = lane
                .cancelled_by(token)
                .offload(|| panic!("it must not start"))
                .await
                .unwrap_err();
            assert!(error.is_cancelled() && error.never_started(), "{error:?}");
        }
        let stats = lane.stats();
        assert_eq!((stats.submitted, stats.cancelled, stats.workers), (3, 3, 0));
    }

    /// C6.
    async fn a_child_token_is_cancelled_with_its_parent_and_not_the_other_way_round(place: Place) {
        let lane = place.lane(3);
        let (parent, gate) = (CancelToken::new(), Gate::new());
        let (first, second) = (parent.child(), parent.child());
        let under = |token: &CancelToken| {
            let door = gate.door();
            lane.cancelled_by(token).offload(move || door.pass())
        };
        let (in_first, in_second, in_parent) = (under(&first), under(&second), under(&parent));
        gate.arrived(3).await;
        first.cancel();
        assert!(in_first.await.unwrap_err().is_cancelled());
        assert!(!parent.is_cancelled() && !second.is_cancelled());
        assert_eq!(lane.stats().running, 2);
        parent.cancel();
        assert!(in_second.await.unwrap_err().is_cancelled());
        assert!(in_parent.await.unwrap_err().is_cancelled());
        parent.cancel();
        gate.open();
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 3);
    }

    /// C6. A token outlives its jobs without collecting anything of theirs.
    async fn a_token_forgets_the_jobs_that_are_over(place: Place) {
        let lane = place.lane(4);
        let token = CancelToken::new();
        let under = lane.cancelled_by(&token);
        for i in 0..500 {
            assert_eq!(under.offload(move || i).await.unwrap(), i);
        }
        is_as_new(&lane).await;
        token.cancel();
        let stats = lane.stats();
        assert_eq!((stats.completed, stats.cancelled), (500, 0));
    }

    /// C11. In the best of three tries, and in five seconds in each.
    async fn one_token_cancels_ten_thousand_jobs_in_a_second(place: Place) {
        const JOBS: usize = 10_000;
        const LIMIT: usize = 64;
        let lane = place.lane(LIMIT);
        let (mut tries, mut took) = (0, Duration::MAX);
        while tries < 3 && took > Duration::from_secs(1) {
            tries += 1;
            let token = CancelToken::new();
            let (started, captured) = (Meter::default(), DropFlag::default());
            let under = lane.cancelled_by(&token);
            let tasks: FuturesUnordered<_> = (0..JOBS)
                .map(|_| {
                    let (started, watched) = (started.clone(), captured.watched());
                    under.offload_with(move |job| {
                        let (_watched, blocked) = (watched, Gate::new());
                        let (door, interrupt) = (blocked.door(), blocked.door());
                        let _guard = job.on_cancel(move || interrupt.open());
                        let _inside = started.enter();
                        door.pass();
                    })
                })
                .collect();
            eventually("every slot is taken", || started.inside() == LIMIT).await;
            assert_eq!(lane.stats().waiting, JOBS - LIMIT);
            let begun = Instant::now();
            token.cancel();
            let told: Vec<_> = tasks.collect().await;
            took = begun.elapsed();
            assert!(told.iter().all(|told| told.as_ref().unwrap_err().is_cancelled()));
            assert!(took < Duration::from_secs(5), "it took {took:?}");
            is_as_new(&lane).await;
            assert_eq!(started.entered(), LIMIT, "none of the others started");
            assert_eq!(captured.dropped(), JOBS);
        }
        assert!(took <= Duration::from_secs(1), "it took {took:?}, at best");
        let jobs = (tries * JOBS) as u64;
        let stats = lane.stats();
        assert_eq!((stats.cancelled, stats.submitted), (jobs, jobs));
        every_slot_is_free(&lane).await;
    }
}
