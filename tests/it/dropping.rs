//! K4: dropping a task, timing it out, losing a `select!` and cancelling it are one thing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use longshore::{Job, Lane};

use crate::support::{
    DropFlag, Ending, Gate, Leaving, Place, assert_books, eventually, every_slot_is_free, is_as_new,
};

/// Where the job is when its caller leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Waiting,
    Running,
    Finished,
}

everywhere_and_on_workers! {
    /// K4, C5. Every way to leave × where the job is × how its closure ends: what becomes of the
    /// job and of the accounts is the same, whichever way it was.
    async fn every_way_of_leaving_does_the_same_to_the_job(place: Place) {
        let lane = place.lane(1);
        for position in [Position::Waiting, Position::Running, Position::Finished] {
            for leaving in Leaving::ALL.into_iter().filter(|leaving| leaving.stops()) {
                for ending in Ending::ALL {
                    if (position, ending) == (Position::Finished, Ending::Never) {
                        continue;
                    }
                    let case = format!("{position:?}, {leaving:?}, {ending:?}");
                    // Each gate opens when it is dropped, at the end of the round.
                    let (ahead, here, never) = (Gate::new(), Gate::new(), Gate::new());
                    let captured = DropFlag::default();
                    let before = lane.stats();
                    let blocker = (position == Position::Waiting).then(|| {
                        let door = ahead.door();
                        lane.offload(move || door.pass())
                    });
                    if blocker.is_some() {
                        ahead.arrived(1).await;
                    }
                    if position == Position::Finished {
                        here.open();
                    }
                    let (door, endless, watched) = (here.door(), never.door(), captured.watched());
                    let job = move || {
                        let _watched = watched;
                        door.pass();
                        ending.end(&endless)
                    };
                    let now = async {
                        match position {
                            // Its time may be up before this looks.
                            Position::Waiting if leaving == Leaving::HasATimeout => {}
                            Position::Waiting => assert_eq!(lane.stats().waiting, 1, "{case}"),
                            Position::Running => {
                                eventually("it has begun, or is late", || {
                                    let may_be_late = leaving == Leaving::HasATimeout;
                                    here.count() == 1 || may_be_late && lane.jobs().is_empty()
                                })
                                .await;
                            }
                            Position::Finished => {
                                eventually("the job is over", || lane.jobs().is_empty()).await;
                            }
                        }
                    };
                    let timeout = match position {
                        Position::Finished => Duration::from_secs(3_600),
                        Position::Waiting | Position::Running => Duration::from_millis(250),
                    };
                    let told = leaving.leave(&lane, timeout, job, now).await;
                    if position == Position::Running && here.count() == 0 {
                        assert_eq!(leaving, Leaving::HasATimeout, "{case}");
                        // The machine is too busy for this one: its time was up before it began.
                        continue;
                    }

                    let stats = lane.stats();
                    assert_books(&stats);
                    let stopped = (stats.cancelled + stats.timed_out)
                        - (before.cancelled + before.timed_out);
                    match position {
                        Position::Waiting => {
                            assert_eq!((stopped, stats.waiting, stats.draining), (1, 0, 0), "{case}");
                            eventually("its closure is dropped", || captured.dropped() == 1).await;
                            assert_eq!(here.count(), 0, "{case}: it must not start");
                        }
                        Position::Running => {
                            assert_eq!((stopped, stats.running, stats.draining), (1, 0, 1), "{case}");
                            assert_eq!(captured.dropped(), 0, "{case}: it still runs");
                        }
                        Position::Finished => {
                            assert_eq!((stopped, stats.draining), (0, 0), "{case}");
                            if let Some(told) = told {
                                ending.check(told);
                            }
                            assert_eq!(captured.dropped(), 1, "{case}");
                            continue;
                        }
                    }
                    if let Some(told) = told {
                        let error = told.expect_err("it was stopped");
                        assert_eq!(error.is_timeout(), leaving == Leaving::HasATimeout, "{case}");
                        assert_eq!(
                            error.never_started(),
                            position == Position::Waiting,
                            "{case}",
                        );
                    }
                    drop((here, never, ahead));
                    if let Some(blocker) = blocker {
                        blocker.await.unwrap();
                    }
                    eventually("the thread is free", || lane.jobs().is_empty()).await;
                    let after = lane.stats();
                    assert_books(&after);
                    let late = position == Position::Running && ending == Ending::Panic;
                    assert_eq!(after.late_panics - before.late_panics, u64::from(late), "{case}");
                    // What a closure ends with after its caller has gone is no outcome.
                    let outcomes = after.completed + after.panicked - before.completed
                        - before.panicked;
                    assert_eq!(outcomes, u64::from(position == Position::Waiting), "{case}");
                    assert_eq!(captured.dropped(), 1, "{case}");
                }
            }
        }
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// K4. Polled or not, a task that is dropped cancels its job.
    async fn dropping_a_task_that_was_polled_cancels_the_job_as_well(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let mut task = lane.offload_with(move |job| {
            door.pass();
            job.is_cancelled()
        });
        assert!(futures::poll!(&mut task).is_pending());
        gate.arrived(1).await;
        drop(task);
        let stats = lane.stats();
        assert_eq!((stats.running, stats.draining, stats.cancelled), (0, 1, 1));
        gate.open();
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// K8. What nobody waits for any more is dropped in its job, which may wait for others of its lane
    /// there.
    async fn the_drop_of_a_late_result_may_wait_for_a_job_of_its_lane(place: Place) {
        struct Waits(Lane, Arc<AtomicUsize>);
        impl Drop for Waits {
            fn drop(&mut self) {
                assert!(Job::current().is_some());
                futures::executor::block_on(self.0.offload(|| ())).expect("it is served");
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
        let lane = place.lane(1);
        let (gate, dropped) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (door, late) = (gate.door(), Waits(lane.clone(), dropped.clone()));
        let task = lane.offload(move || {
            door.pass();
            late
        });
        gate.arrived(1).await;
        drop(task);
        gate.open();
        eventually("it is dropped", || dropped.load(Ordering::SeqCst) == 1).await;
        assert_eq!(lane.stats().late_panics, 0);
        is_as_new(&lane).await;
    }
}
