//! K2: a job that was stopped while it waited never starts, and its place is free at once.

use std::time::Duration;

use crate::support::{DropFlag, Gate, Leaving, Place, eventually, every_slot_is_free, is_as_new};

everywhere_and_on_workers! {
    /// K2. Whichever way its caller leaves.
    async fn a_job_stopped_while_waiting_never_starts_and_frees_its_place_at_once(place: Place) {
        let lane = place.bounded(1, 1);
        for leaving in Leaving::ALL.into_iter().filter(|leaving| leaving.stops()) {
            let (gate, captured) = (Gate::new(), DropFlag::default());
            let door = gate.door();
            let ahead = lane.offload(move || door.pass());
            gate.arrived(1).await;

            let watched = captured.watched();
            let job = move || {
                let _watched = watched;
                panic!("it must not start");
            };
            let before = lane.stats();
            let now = async {
                // With a timeout it may have left already.
                if leaving != Leaving::HasATimeout {
                    assert_eq!(lane.stats().waiting, 1, "{leaving:?}");
                    assert!(lane.offload(|| ()).await.unwrap_err().is_full(), "{leaving:?}");
                }
            };
            let told = leaving.leave(&lane, Duration::from_millis(250), job, now).await;
            let after = lane.stats();
            assert_eq!(after.waiting, 0, "{leaving:?}");
            eventually("what it had captured is dropped", || captured.dropped() == 1).await;
            let told_timeout = leaving == Leaving::HasATimeout;
            assert_eq!(
                (after.cancelled - before.cancelled, after.timed_out - before.timed_out),
                (u64::from(!told_timeout), u64::from(told_timeout)),
                "{leaving:?}",
            );
            if let Some(told) = told {
                let error = told.unwrap_err();
                assert!(error.never_started(), "{leaving:?}: {error:?}");
                assert_eq!(error.is_timeout(), told_timeout, "{leaving:?}");
            }

            // The place is free at once, and only that one place.
            let next = lane.try_offload(|| "next").expect("there is room");
            assert!(lane.try_offload(|| ()).unwrap_err().is_full());
            gate.open();
            assert_eq!(next.await.unwrap(), "next");
            ahead.await.unwrap();
        }
        is_as_new(&lane).await;
    }

    /// K2. Out of the middle of a long queue; the others keep their order.
    async fn jobs_taken_back_leave_the_order_of_the_others(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let ahead = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let (say, order) = std::sync::mpsc::channel();
        let mut tasks: Vec<_> = (0..100)
            .map(|i| {
                let say = say.clone();
                Some(lane.offload(move || say.send(i).unwrap()))
            })
            .collect();
        drop(say);
        for i in [0, 99, 50, 51, 52, 7, 98] {
            tasks[i] = None;
        }
        for task in tasks.iter_mut().step_by(3) {
            *task = None;
        }
        let kept: Vec<usize> = (0..100).filter(|&i| tasks[i].is_some()).collect();
        assert_eq!(lane.stats().waiting, kept.len());
        gate.open();
        ahead.await.unwrap();
        for task in tasks.into_iter().flatten() {
            task.await.unwrap();
        }
        assert_eq!(order.iter().collect::<Vec<usize>>(), kept);
        is_as_new(&lane).await;
    }

    /// K2, with nobody to free the slots: the queue empties without a thread.
    async fn a_queue_of_abandoned_jobs_empties_while_every_slot_is_stuck(place: Place) {
        let lane = place.bounded(2, 50);
        let gate = Gate::new();
        let stuck: Vec<_> = (0..2)
            .map(|_| {
                let door = gate.door();
                lane.offload(move || door.pass())
            })
            .collect();
        gate.arrived(2).await;
        let captured = DropFlag::default();
        for _ in 0..3 {
            let waiting: Vec<_> = (0..50)
                .map(|_| {
                    let watched = captured.watched();
                    lane.try_offload(move || drop(watched)).expect("there is room again")
                })
                .collect();
            assert!(lane.try_offload(|| ()).unwrap_err().is_full());
            drop(waiting);
        }
        assert_eq!(captured.dropped(), 150);
        let stats = lane.stats();
        assert_eq!((stats.waiting, stats.running, stats.cancelled), (0, 2, 150));
        gate.open();
        for task in stuck {
            task.await.unwrap();
        }
        is_as_new(&lane).await;
        assert_eq!(lane.stats().completed, 2);
        every_slot_is_free(&lane).await;
    }
}
