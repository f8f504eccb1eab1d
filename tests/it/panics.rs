//! K7: a panic is an error with its message and payload; the worker lives on.

use std::{
    error::Error as _,
    panic::{AssertUnwindSafe, Location, catch_unwind, panic_any},
    time::Duration,
};

use longshore::{CancelToken, Error, Lane, error::Panic};

use crate::support::{
    DropFlag, Gate, PanicOnDrop, Place, Source, eventually, every_slot_is_free, is_as_new,
};

/// What the panic of a job says.
fn panic_of<T: std::fmt::Debug>(told: Result<T, Error>) -> Panic {
    match told {
        Err(Error::Panicked(panic)) => panic,
        other => panic!("expected a panic, got {other:?}"),
    }
}

struct Custom(u32);

everywhere! {
    /// K7, W6.
    async fn a_panic_becomes_an_error_with_its_message_and_where_the_job_was_handed_in(
        place: Place
    ) {
        let lane = place.lane(1);
        let text = panic_of(lane.offload(|| panic!("plain")).await);
        assert_eq!(text.message(), "plain");
        let number = 3;
        let line = line!() + 1;
        let formatted = panic_of(lane.offload(move || panic!("number {number}")).await);
        assert_eq!(formatted.message(), "number 3");
        let at: &Location<'_> = formatted.offloaded_at();
        assert_eq!((at.file(), at.line()), (file!(), line));
        let custom = panic_of(lane.offload(|| panic_any(Custom(9))).await);
        assert!(custom.message().contains("not a string"), "{}", custom.message());
        for panic in [text, formatted, custom] {
            let said = panic.to_string();
            assert!(said.contains(panic.message()) && said.contains(file!()), "{said}");
            assert!(panic.source().is_none());
        }
        is_as_new(&lane).await;
        let stats = lane.stats();
        assert_eq!((stats.panicked, stats.late_panics), (3, 0));
    }

    /// K7.
    async fn a_panic_can_be_resumed_with_its_own_payload(place: Place) {
        let lane = place.lane(1);
        let panic = panic_of(lane.offload(|| panic_any(Custom(9))).await);
        let payload = catch_unwind(AssertUnwindSafe(|| panic.resume())).unwrap_err();
        assert_eq!(payload.downcast_ref::<Custom>().expect("the same payload").0, 9);
    }

    /// K7, W6.
    async fn a_worker_lives_on_after_a_panic(place: Place) {
        let lane = place.lane(1);
        let (gate, mut tasks) = (Gate::new(), Vec::new());
        let door = gate.door();
        let ahead = lane.offload(move || {
            door.pass();
            std::thread::current().id()
        });
        gate.arrived(1).await;
        // They wait together, so that no worker has a reason to leave between two of them.
        for i in 0..20 {
            tasks.push(lane.offload(move || {
                if i % 2 == 0 {
                    panic!("as planned");
                }
                std::thread::current().id()
            }));
        }
        gate.open();
        let thread = ahead.await.unwrap();
        for (i, task) in tasks.into_iter().enumerate() {
            match task.await {
                Ok(other) => assert_eq!((i % 2, other), (1, thread), "the same thread serves on"),
                Err(error) => assert_eq!((i % 2, error.is_panic()), (0, true)),
            }
        }
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// K7. Jobs beside it, running or waiting, are not touched.
    async fn a_panic_touches_no_other_job(place: Place) {
        let lane = place.lane(3);
        let (gate, early) = (Gate::new(), Gate::new());
        let beside = |value: u32| {
            let door = gate.door();
            lane.offload(move || {
                door.pass();
                value
            })
        };
        let running = [beside(1), beside(2)];
        gate.arrived(2).await;
        let door = early.door();
        let panics = lane.offload(move || {
            door.pass();
            panic!("as planned");
        });
        early.arrived(1).await;
        let waiting = [beside(3), beside(4)];
        early.open();
        assert!(panics.await.unwrap_err().is_panic());
        gate.open();
        for (i, task) in running.into_iter().chain(waiting).enumerate() {
            assert_eq!(task.await.unwrap() as usize, i + 1);
        }
        is_as_new(&lane).await;
    }

    /// W6. The payload itself panics when it is dropped, wherever that happens.
    async fn a_payload_that_panics_in_its_drop_is_contained(place: Place) {
        let lane = place.lane(1);
        let error = lane.offload(|| panic_any(PanicOnDrop("payload"))).await.unwrap_err();
        assert!(error.is_panic());
        drop(error);
        // And on the worker, when nobody takes it.
        let gate = Gate::new();
        let door = gate.door();
        let task = lane.offload(move || {
            door.pass();
            panic_any(PanicOnDrop("payload"))
        });
        gate.arrived(1).await;
        drop(task);
        gate.open();
        is_as_new(&lane).await;
        assert_eq!(lane.stats().late_panics, 1);
        every_slot_is_free(&lane).await;
    }

    /// K7. What the closure captured is dropped as part of the job, on its worker.
    async fn a_panic_in_the_drop_of_a_captured_value_is_a_panic_of_the_job(place: Place) {
        let lane = place.lane(1);
        let captured = PanicOnDrop("captured");
        let panic = panic_of(
            lane.offload(move || {
                let _captured = captured;
            })
            .await,
        );
        assert_eq!(panic.message(), "captured");
        // And without being touched by the closure's body.
        let captured = PanicOnDrop("captured");
        let panic = panic_of(lane.offload(move || std::hint::black_box(&captured).0.len()).await);
        assert_eq!(panic.message(), "captured");
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// K7. A closure that never ran has captured values as well.
    async fn a_captured_value_that_panics_in_its_drop_is_contained_when_the_job_never_ran(
        place: Place
    ) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let ahead = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let captured = PanicOnDrop("captured");
        let task = lane.offload(move || drop(captured));
        task.cancel();
        assert!(task.await.unwrap_err().never_started());
        assert_eq!(lane.stats().late_panics, 1);
        gate.open();
        ahead.await.unwrap();
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// K7. So has one that the lane does not take.
    async fn a_captured_value_that_panics_in_its_drop_is_counted_when_the_job_is_not_taken(
        place: Place
    ) {
        let lane = place.bounded(1, 1);
        let (gate, token) = (Gate::new(), CancelToken::new());
        let door = gate.door();
        let running = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let hand_in = async |lane: &Lane| {
            let captured = PanicOnDrop("captured");
            lane.offload(move || drop(captured)).await.unwrap_err()
        };
        assert!(hand_in(&lane.timeout(Duration::ZERO)).await.is_timeout());
        token.cancel();
        assert!(hand_in(&lane.cancelled_by(&token)).await.is_cancelled());
        assert_eq!(lane.stats().late_panics, 2);
        let waiting = lane.offload(|| ());
        assert!(hand_in(&lane).await.is_full());
        assert_eq!(lane.stats().late_panics, 3);
        gate.open();
        running.await.unwrap();
        waiting.await.unwrap();
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
        lane.close();
        assert!(matches!(hand_in(&lane).await, Error::Closed { .. }));
        assert_eq!(lane.stats().late_panics, 4);
    }

    /// W7.
    async fn a_result_that_panics_in_its_drop_after_its_caller_has_gone_is_counted(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let task = lane.offload(move || {
            door.pass();
            PanicOnDrop("result")
        });
        gate.arrived(1).await;
        task.cancel();
        assert!(task.await.is_err());
        gate.open();
        is_as_new(&lane).await;
        let stats = lane.stats();
        assert_eq!((stats.late_panics, stats.panicked, stats.cancelled), (1, 0, 1));
        every_slot_is_free(&lane).await;
    }

    /// W7. The caller goes at the very moment at which the outcome is there: whoever is left with
    /// it, the thread survives.
    async fn a_result_that_panics_in_its_drop_as_its_caller_goes_leaves_the_worker_alive(
        place: Place
    ) {
        let lane = place.lane(1);
        // Not more: a panic that prints its backtrace takes milliseconds.
        for _ in 0..300 {
            let task = lane.offload(|| PanicOnDrop("result"));
            while !task.is_finished() {
                std::thread::yield_now();
            }
            // If it is this thread that drops the result, the panic is its own.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
        }
        is_as_new(&lane).await;
        assert_eq!(lane.stats().completed, 300);
        every_slot_is_free(&lane).await;
    }

    /// W18. Everything of the user's that a lane calls or drops panics, one after the other, and the
    /// lane goes on. (That a lock would go on too, if it were poisoned, is in `src/sync.rs`.)
    async fn a_lane_goes_on_whatever_of_the_users_panics(place: Place) {
        let lane = place.bounded(1, 4);
        for _ in 0..3 {
            let (gate, captured) = (Gate::new(), DropFlag::default());
            let (door, watched) = (gate.door(), captured.watched());
            let running = lane.offload_with(move |job| {
                let _watched = watched;
                let _guard = job.on_cancel(|| panic!("hook"));
                door.pass();
                PanicOnDrop("result")
            });
            gate.arrived(1).await;
            let in_drop = PanicOnDrop("captured");
            let waiting = lane.offload(move || drop(in_drop));
            running.cancel();
            waiting.cancel();
            drop((running, waiting));
            gate.open();
            eventually("they are gone", || lane.jobs().is_empty()).await;
            assert_eq!(captured.dropped(), 1);
            assert!(lane.offload(|| panic!("closure")).await.unwrap_err().is_panic());
        }
        assert_eq!(lane.stats().late_panics, 9);
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// W11. Threads are shared: what a job leaves in a thread-local, the next one finds, also after
    /// a panic. There is nothing that resets them.
    async fn a_thread_local_that_a_job_leaves_behind_is_seen_by_the_next(place: Place) {
        thread_local! {
            static LEFT: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
        }
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let sets = lane.offload(move || {
            door.pass();
            LEFT.set(7);
            panic!("as planned");
        });
        gate.arrived(1).await;
        let reads = lane.offload(|| LEFT.get());
        gate.open();
        assert!(sets.await.is_err());
        assert_eq!(reads.await.unwrap(), 7);
        if place.source != Source::Tokio {
            // A runtime's own pool may have used its threads for others before.
            let fresh = place.lane(1);
            assert_eq!(fresh.offload(|| LEFT.get()).await.unwrap(), 0);
        }
    }
}
