//! C1, C2: a cancelled job has one outcome, and what comes after that is nobody's.

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, ThreadId},
};

use longshore::{Lane, job::Canceller};

use crate::support::{
    DropFlag, Gate, Meter, Place, assert_books, eventually, every_slot_is_free, is_as_new,
};

everywhere_and_on_workers! {
    /// C1, C2. A cancel at any moment between handing in and the end, in its own right and against
    /// success: exactly one outcome, told once, and the accounts exact.
    async fn a_cancel_at_any_moment_leads_to_exactly_one_outcome(place: Place) {
        const ROUNDS: usize = 3_000;
        // Until both have been seen to win, which takes no longer than that, as a rule.
        const AT_MOST: usize = 30_000;
        const BATCH: usize = 60;
        let lane = place.lane(3);
        let (order, orders) = mpsc::channel::<Canceller>();
        // The canceller's thread comes to each job a little later, or earlier, than its worker.
        let canceller = thread::spawn(move || {
            for (i, canceller) in orders.into_iter().enumerate() {
                for _ in 0..i % 40 {
                    hint::spin_loop();
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
                hint::spin_loop();
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

    /// K5. The result of a job whose caller has gone is dropped on its worker, before the slot is
    /// given back.
    async fn a_late_result_is_dropped_on_the_worker(place: Place) {
        struct Result(mpsc::Sender<(ThreadId, usize)>, Lane);
        impl Drop for Result {
            fn drop(&mut self) {
                let stats = self.1.stats();
                self.0.send((thread::current().id(), stats.draining)).unwrap();
            }
        }
        let lane = place.lane(1);
        let gate = Gate::new();
        let (door, inner) = (gate.door(), lane.clone());
        let (say, said) = mpsc::channel();
        let (on, thread) = mpsc::channel();
        let task = lane.offload(move || {
            on.send(thread::current().id()).unwrap();
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
}
