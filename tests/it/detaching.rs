//! K6: a detached job runs to its end and counts as draining meanwhile.

use std::{sync::mpsc, time::Duration};

use crate::support::{Gate, Place, assert_books, eventually, every_slot_is_free, is_as_new};

everywhere_and_on_workers! {
    /// K6.
    async fn a_detached_job_runs_to_its_end_and_counts_as_draining(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let (say, said) = mpsc::channel();
        let task = lane.offload_with(move |job| {
            door.pass();
            say.send(job.is_cancelled()).unwrap();
        });
        gate.arrived(1).await;
        task.detach();
        let stats = lane.stats();
        assert_books(&stats);
        assert_eq!((stats.running, stats.draining, stats.detached), (0, 1, 1));
        assert_eq!(stats.cancelled, 0);
        gate.open();
        is_as_new(&lane).await;
        assert!(!said.recv().unwrap(), "nobody cancelled it");
        assert_eq!(lane.stats().completed, 1);
        every_slot_is_free(&lane).await;
    }

    /// K6.
    async fn a_job_detached_while_waiting_still_starts(place: Place) {
        let lane = place.lane(1);
        let (gate, second) = (Gate::new(), Gate::new());
        let (door, other) = (gate.door(), second.door());
        let ahead = lane.offload(move || door.pass());
        gate.arrived(1).await;
        lane.offload(move || other.pass()).detach();
        let stats = lane.stats();
        assert_eq!((stats.waiting, stats.draining), (1, 0));
        gate.open();
        ahead.await.unwrap();
        second.arrived(1).await;
        let stats = lane.stats();
        assert_books(&stats);
        assert_eq!((stats.waiting, stats.draining, stats.detached), (0, 1, 1));
        second.open();
        is_as_new(&lane).await;
        assert_eq!(lane.stats().completed, 2);
    }

    /// K6. Detached is not without bounds.
    async fn the_deadline_of_a_detached_job_still_holds(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let (say, said) = mpsc::channel();
        lane.timeout(Duration::from_millis(30))
            .offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
                say.send(job.is_cancelled()).unwrap();
            })
            .detach();
        is_as_new(&lane).await;
        // On a machine that is very busy it may not even have started in time.
        assert!(said.try_recv().unwrap_or(true));
        let stats = lane.stats();
        assert_eq!((stats.timed_out, stats.completed), (1, 0));
        every_slot_is_free(&lane).await;
    }

    /// K6. Of all that detached jobs can come to, the accounts are right.
    async fn the_panic_of_a_detached_job_is_counted(place: Place) {
        let lane = place.lane(2);
        for _ in 0..10 {
            lane.offload(|| panic!("as planned")).detach();
        }
        eventually("they are over", || lane.jobs().is_empty()).await;
        is_as_new(&lane).await;
        let stats = lane.stats();
        // Those that had panicked before they were detached had a caller then.
        assert_eq!(stats.panicked, 10);
        assert!(stats.late_panics <= 10);
        every_slot_is_free(&lane).await;
    }

    /// K6.
    async fn detaching_a_job_that_is_over_does_nothing(place: Place) {
        let lane = place.lane(1);
        let task = lane.offload(|| "done");
        eventually("it is over", || task.is_finished()).await;
        task.detach();
        is_as_new(&lane).await;
        assert_eq!(lane.stats().completed, 1);
    }
}
