//! K1: running + draining ≤ limit, always.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use longshore::Error;

use crate::support::{
    Ending, Gate, Leaving, Meter, Place, assert_books, eventually, every_slot_is_free, is_as_new,
};

everywhere! {
    /// K1, C8. Every way of leaving a job meets every way in which a closure ends, all in one lane
    /// at the same time.
    async fn no_mix_of_departures_lets_more_jobs_run_than_the_limit(place: Place) {
        const LIMIT: usize = 4;
        let lane = place.lane(LIMIT);
        let meter = Meter::default();
        let over = Arc::new(AtomicBool::new(false));
        let sampler = std::thread::spawn({
            let (lane, over) = (lane.clone(), over.clone());
            move || {
                while !over.load(Ordering::Relaxed) {
                    assert_books(&lane.stats());
                    std::thread::yield_now();
                }
            }
        });
        for round in 0..4_u32 {
            let never = Gate::new();
            let callers = FuturesUnordered::new();
            for ending in Ending::ALL {
                for leaving in Leaving::ALL {
                    if (leaving, ending) == (Leaving::Awaits, Ending::Never) {
                        continue;
                    }
                    let (meter, door, lane) = (meter.clone(), never.door(), &lane);
                    callers.push(async move {
                        let job = move || {
                            let _inside = meter.enter();
                            ending.end(&door)
                        };
                        let now = async {
                            for _ in 0..round * 3 {
                                tokio::task::yield_now().await;
                            }
                        };
                        leaving.leave(lane, Duration::from_millis(3), job, now).await
                    });
                }
            }
            let opener = async {
                // Those that never end would otherwise fill the lane for good.
                eventually("all slots are taken by those that never end, or none", || {
                    let (passed, stats) = (never.passed(), lane.stats());
                    never.count() - passed == LIMIT || stats.waiting + stats.running == 0
                })
                .await;
                never.open();
            };
            // The callers first: before they have handed anything in there is nothing to wait for.
            let (told, ()) = futures::join!(callers.collect::<Vec<_>>(), opener);
            assert_eq!(told.len(), Ending::ALL.len() * Leaving::ALL.len() - 1);
        }
        is_as_new(&lane).await;
        over.store(true, Ordering::Relaxed);
        sampler.join().expect("the books were right in every sample");
        assert!(meter.peak() <= LIMIT, "{} at once", meter.peak());
        assert!(lane.stats().peak_running <= LIMIT);
        every_slot_is_free(&lane).await;
    }

    /// C8. The measured failure of permits that are tied to futures: limit 2, and 4 at once after
    /// 8 timeouts.
    async fn a_timed_out_job_holds_its_slot_until_its_closure_returns(place: Place) {
        let lane = place.lane(2);
        let (meter, gate) = (Meter::default(), Gate::new());
        let entering = || {
            let (meter, door) = (meter.clone(), gate.door());
            lane.timeout(Duration::from_millis(10)).offload(move || {
                let _inside = meter.enter();
                door.pass();
            })
        };
        let mut never_started = 0;
        for _ in 0..8 {
            let error = entering().await.expect_err("no closure returns in time");
            assert!(error.is_timeout(), "{error:?}");
            never_started += usize::from(error.never_started());
            assert!(meter.inside() <= 2);
        }
        // One whose time is up just when it is taken comes in later.
        eventually("those that started are inside", || meter.inside() == 8 - never_started).await;
        assert_eq!(never_started, 8 - meter.entered());
        assert_eq!(lane.stats().draining, meter.inside());
        gate.open();
        is_as_new(&lane).await;
        assert!(meter.peak() <= 2);
        every_slot_is_free(&lane).await;
    }

    /// W13. A thread that is stuck takes its slot, and nothing else.
    async fn a_closure_that_parks_for_ever_costs_one_slot_until_it_returns(place: Place) {
        let lane = place.lane(2);
        let gate = Gate::new();
        let door = gate.door();
        let stuck = lane.offload(move || door.pass());
        gate.arrived(1).await;
        stuck.cancel();
        assert!(stuck.await.unwrap_err().is_cancelled());
        assert_eq!(lane.stats().draining, 1);

        for i in 0..20 {
            assert_eq!(lane.offload(move || i).await.unwrap(), i);
            assert_eq!(lane.stats().draining, 1);
        }
        gate.open();
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// W14. With every slot drained away, a new call is refused or times out: it never hangs, and
    /// never runs past the limit.
    async fn with_every_slot_draining_new_calls_fail_in_time(place: Place) {
        let lane = place.bounded(3, 1);
        let (meter, gate) = (Meter::default(), Gate::new());
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (meter, door) = (meter.clone(), gate.door());
                lane.offload(move || {
                    let _inside = meter.enter();
                    door.pass();
                })
            })
            .collect();
        gate.arrived(3).await;
        drop(tasks);
        assert_eq!(lane.stats().draining, 3);

        let waits = lane.offload(|| ());
        match lane.offload(|| ()).await {
            Err(Error::QueueFull { draining, running, limit, waiting, queue, .. }) => {
                assert_eq!((draining, running, limit), (3, 0, 3));
                assert_eq!((waiting, queue), (1, 1));
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
        drop(waits);
        let hasty = lane.timeout(Duration::from_millis(20)).offload(|| ());
        let error = hasty.await.unwrap_err();
        assert!(error.is_timeout() && error.never_started(), "{error:?}");

        gate.open();
        is_as_new(&lane).await;
        assert_eq!((meter.entered(), meter.peak()), (3, 3));
        every_slot_is_free(&lane).await;
    }

    /// K1, from the other side: a lane uses the slots that it has, also if its jobs were so quick
    /// before that one thread was enough for them.
    async fn a_lane_runs_as_many_jobs_at_once_as_its_limit_says(place: Place) {
        const LIMIT: usize = 6;
        let lane = place.lane(LIMIT);
        for burst in [1_usize, 10, 2_000] {
            let quick: Vec<_> = (0..burst).map(|i| lane.offload(move || i)).collect();
            for (i, task) in quick.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), i);
            }
            every_slot_is_free(&lane).await;
            // And once more from the beginning, with threads that have to be got anew.
            is_as_new(&lane).await;
            let quick: Vec<_> = (0..burst).map(|i| lane.offload(move || i)).collect();
            for (i, task) in quick.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), i);
            }
            is_as_new(&lane).await;
            every_slot_is_free(&lane).await;
        }
    }

    /// C7. A caller that has stopped polling does not keep a slot.
    async fn a_task_that_is_never_polled_again_keeps_nobody_from_running(place: Place) {
        let lane = place.bounded(1, 1);
        let mut kept = Vec::new();
        for i in 0..20 {
            let gate = Gate::new();
            let door = gate.door();
            let mut task = lane.offload(move || {
                door.pass();
                i
            });
            assert!(futures::poll!(&mut task).is_pending());
            gate.open();
            eventually("the job ends, polled or not", || task.is_finished()).await;
            kept.push(task);
            assert_eq!(lane.offload(|| "next").await.unwrap(), "next");
        }
        for (i, task) in kept.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), i);
        }
        is_as_new(&lane).await;
    }
}
