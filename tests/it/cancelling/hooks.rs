//! K5: hooks run once, at the right time or not at all.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use longshore::{Error, error::Phase};

use crate::support::{
    DropFlag, Gate, Meter, PanicOnDrop, Place, eventually, every_slot_is_free, is_as_new,
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
        task.cancel();
        // The hooks have run when `cancel` returns.
        assert_eq!(ran.load(Ordering::SeqCst), 3);
        assert!(task.is_finished());
        // It does not wait for the closure, which the gate holds.
        match task.await {
            Err(Error::Cancelled { phase, .. }) => assert_eq!(phase, Phase::Running),
            other => panic!("expected a cancel, got {other:?}"),
        }
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
                    thread::yield_now();
                });
                theirs.wait();
                drop(guard);
                let entered = inside.entered();
                // Nothing is running, and nothing will.
                say.send((inside.inside(), entered)).unwrap();
                thread::yield_now();
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
}
