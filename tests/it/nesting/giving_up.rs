//! K8: jobs that are not waited for any more, and those who waited for them.

use std::time::Duration;

use longshore::lane::JobState;
use tokio::sync::oneshot;

use crate::support::{DropFlag, Gate, Place, assert_books, eventually, is_as_new, settles};

everywhere! {
    /// K8: what a job waits for besides another job is not held up by that one.
    async fn a_job_that_waits_for_one_of_two_goes_on_with_the_first(place: Place) {
        let lane = place.lane(1);
        let (inner, stuck) = (lane.clone(), Gate::new());
        let door = stuck.door();
        let (release, released) = oneshot::channel::<()>();
        let outer = lane.offload_with(move |job| {
            let never = inner.offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
            });
            let either = job.block_on(async {
                tokio::select! {
                    _ = never => false,
                    _ = released => true,
                }
            });
            either.expect("nobody cancels it")
        });
        // It has the slot of the one that waits for it.
        stuck.arrived(1).await;
        let stats = lane.stats();
        assert_eq!((stats.running, stats.suspended, stats.lent), (1, 1, 1));
        assert_books(&stats);
        let states: Vec<_> = lane.jobs().iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Suspended, JobState::Running]);
        release.send(()).unwrap();
        assert!(outer.await.unwrap());
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 1, "the other was dropped");
    }

    /// K8: what was polled once and is not waited for any more is nobody's business.
    async fn what_is_not_waited_for_any_more_does_not_run_on_top(place: Place) {
        let (lane, other) = (place.lane(1), place.lane(1));
        let (inner, stuck) = (lane.clone(), Gate::new());
        let door = stuck.door();
        let outer = lane.offload_with(move |job| {
            let mut kept = inner.offload(move || door.pass());
            let looked = job.block_on(async { futures::poll!(&mut kept).is_ready() });
            // Another lane's: the first has no part in this. It is over when this one has lent its slot.
            let waits = inner.clone();
            let waited = job.block_on(other.offload(move || {
                settles("its slot may be had", || waits.stats().suspended == 1);
                7
            }));
            (looked.unwrap(), waited.unwrap().unwrap(), kept.is_finished())
        });
        assert_eq!(outer.await.unwrap(), (false, 7, false));
        assert_eq!(stuck.count(), 0, "it never started");
        is_as_new(&lane).await;
    }

    /// K8: the job that has the slot is kept outside of the future; a cancel reaches it there.
    async fn a_cancelled_job_gets_its_slot_back_from_a_job_whose_task_it_keeps(place: Place) {
        let lane = place.lane(1);
        let (inner, blocked) = (lane.clone(), Gate::new());
        let door = blocked.door();
        let ((go_on, told), given_up) = (oneshot::channel::<()>(), DropFlag::default());
        let watched = given_up.watched();
        let outer = lane.offload_with(move |job| {
            let mut kept = inner.offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
            });
            let _ = job.block_on(async {
                let _given_up = watched;
                tokio::select! {
                    _ = &mut kept => {}
                    _ = told => {}
                }
            });
            kept.cancel();
        });
        blocked.arrived(1).await;
        go_on.send(()).unwrap();
        eventually("it waits for its slot alone", || given_up.dropped() == 1).await;
        drop(outer);
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 2);
    }

    /// K8, K5: who is given up takes along what runs on top of it.
    async fn a_cancel_reaches_the_job_on_top_of_the_one_that_is_cancelled(place: Place) {
        let lane = place.lane(1);
        let (inner, blocked) = (lane.clone(), Gate::new());
        let door = blocked.door();
        let outer = lane.offload_with(move |job| {
            let nested = inner.offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
            });
            job.block_on(nested).is_err()
        });
        blocked.arrived(1).await;
        drop(outer);
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 2);
    }

    /// K10 in the middle of it.
    async fn a_lane_of_jobs_that_wait_for_others_shuts_down(place: Place) {
        let lane = place.lane(1);
        let (inner, blocked) = (lane.clone(), Gate::new());
        let door = blocked.door();
        let outer = lane.label("outer").offload_with(move |job| {
            let nested = inner.label("nested").offload(move || door.pass());
            job.block_on(nested).is_err()
        });
        blocked.arrived(1).await;
        let stuck = lane.shutdown(Duration::ZERO).await.expect_err("one ignores it");
        let labels: Vec<_> = stuck.jobs.iter().map(|job| job.label.as_deref()).collect();
        assert_eq!(labels, [Some("outer"), Some("nested")], "one lies on top of the other");
        assert!(outer.await.unwrap_err().is_cancelled());
        blocked.open();
        is_as_new(&lane).await;
    }
}
