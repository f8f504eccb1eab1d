//! K11: what becomes of a lane's jobs, deadlines and threads when the runtime ends that they came from.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use longshore::Error;

use super::FLAVOURS;
use crate::support::{
    Gate, Meter, Place, Source, assert_books, every_slot_is_free, places, settles, sources,
    watch_over, watched,
};

/// K11. Idle workers do not hold up a runtime that ends.
#[test]
fn a_lingering_worker_does_not_hold_up_the_end_of_a_runtime() {
    watched(|| {
        for place in places() {
            let lane = watch_over(place.keeping_threads(Duration::from_secs(3_600), 4));
            let (mut quickest, start) = (Duration::MAX, Instant::now());
            for round in 1.. {
                let runtime = place.flavour.runtime();
                runtime.block_on(every_slot_is_free(&lane));
                let begun = Instant::now();
                drop(runtime);
                quickest = quickest.min(begun.elapsed());
                // A worker on Tokio's pool would linger for 10 ms, one on own threads for an hour.
                let at_once = quickest < Duration::from_millis(9);
                // On a machine that is busy with other things it may take a few more.
                if round >= 15 && (at_once || start.elapsed() > Duration::from_secs(5)) {
                    assert!(at_once, "{place:?}: {quickest:?}");
                    break;
                }
            }
        }
    });
}

/// K11, R5. Threads of a lane's own are nobody else's business: no runtime waits for them.
#[test]
fn a_runtime_does_not_wait_for_jobs_on_own_threads() {
    watched(|| {
        for flavour in FLAVOURS {
            for source in sources()
                .into_iter()
                .filter(|source| *source != Source::Tokio)
            {
                let lane = Place { source, flavour }.lane(8);
                let gate = Gate::new();
                let runtime = flavour.runtime();
                let tasks: Vec<_> = runtime.block_on(async {
                    (0..12)
                        .map(|i| {
                            let door = gate.door();
                            lane.offload(move || {
                                door.pass();
                                i
                            })
                        })
                        .collect()
                });
                settles("eight run", || gate.count() == 8);
                // It would wait for ever.
                drop(runtime);
                // Nothing is lost: those that ran, and those that waited, go on.
                gate.open();
                for (i, task) in tasks.into_iter().enumerate() {
                    assert_eq!(block_on(task).unwrap(), i, "{source:?}");
                }
                settles("nothing is left", || lane.stats().workers == 0);
                assert_eq!(lane.stats().completed, 12);
            }
        }
    });
}

/// K11. What waits on Tokio's own pool ends with its runtime: told so, and never started.
#[test]
fn jobs_that_wait_when_their_runtime_ends_fail_and_never_start() {
    watched(|| {
        for flavour in FLAVOURS {
            let lane = Place {
                source: Source::Tokio,
                flavour,
            }
            .lane(1);
            let (gate, started) = (Gate::new(), Meter::default());
            let runtime = flavour.runtime();
            let door = gate.door();
            let (running, waiting) = runtime.block_on(async {
                let running = lane.offload(move || {
                    door.pass();
                    7
                });
                let waiting: Vec<_> = (0..20)
                    .map(|_| {
                        let started = started.clone();
                        lane.offload(move || drop(started.enter()))
                    })
                    .collect();
                (running, waiting)
            });
            settles("it runs", || gate.count() == 1);
            // The runtime waits for the one that runs, which is Tokio's rule.
            let ends = std::thread::spawn(move || drop(runtime));
            for task in waiting {
                match block_on(task) {
                    Err(error @ Error::NoRuntime { .. }) => assert!(error.never_started()),
                    other => panic!("expected a dead runtime, got {other:?}"),
                }
            }
            gate.open();
            ends.join().unwrap();
            assert_eq!(block_on(running).unwrap(), 7);
            assert_eq!(started.entered(), 0);
            settles("nothing is left", || lane.stats().workers == 0);
            let stats = lane.stats();
            assert_books(&stats);
            assert_eq!((stats.no_runtime, stats.completed), (20, 1));
            // Another runtime finds the lane as good as new.
            flavour.runtime().block_on(every_slot_is_free(&lane));
        }
    });
}

/// K11. `shutdown_background` does not wait, and loses nothing either.
#[test]
fn no_job_is_lost_when_a_runtime_is_shut_down_in_the_background() {
    watched(|| {
        for place in places() {
            for _ in 0..20 {
                let lane = place.lane(2);
                let runtime = place.flavour.runtime();
                let tasks: Vec<_> =
                    runtime.block_on(async { (0..50).map(|i| lane.offload(move || i)).collect() });
                runtime.shutdown_background();
                for (i, task) in tasks.into_iter().enumerate() {
                    match block_on(task) {
                        Ok(value) => assert_eq!(value, i),
                        Err(Error::NoRuntime { .. }) => assert!(place.needs_runtime()),
                        Err(other) => panic!("{place:?}: {other:?}"),
                    }
                }
                settles("nothing is left", || lane.jobs().is_empty());
                assert_books(&lane.stats());
            }
        }
    });
}

/// K11. Jobs come in while the runtime goes.
#[test]
fn every_task_resolves_while_its_runtime_ends_under_it() {
    watched(|| {
        for place in places() {
            for round in 0..30 {
                let lane = place.lane(3);
                let runtime = place.flavour.runtime();
                let handle = runtime.handle().clone();
                let (theirs, (say, told)) = (lane.clone(), mpsc::channel());
                let user = std::thread::spawn(move || {
                    let _context = handle.enter();
                    for i in 0..200 {
                        say.send(theirs.offload(move || i)).unwrap();
                    }
                });
                for _ in 0..round {
                    std::thread::yield_now();
                }
                runtime.shutdown_background();
                for (i, task) in told.into_iter().enumerate() {
                    match block_on(task) {
                        Ok(value) => assert_eq!(value, i),
                        Err(Error::NoRuntime { .. }) => assert!(place.needs_runtime()),
                        // Tokio's refusal while it shuts down may come as one of a thread.
                        Err(other) => panic!("{place:?}: {other:?}"),
                    }
                }
                user.join().unwrap();
                settles("nothing is left", || lane.jobs().is_empty());
                assert_books(&lane.stats());
            }
        }
    });
}

/// K11, K3. A deadline outlives the runtime that kept it, also one that is given after its end: by
/// a job, for instance, that outlives it too.
#[test]
fn deadlines_on_own_threads_are_kept_after_their_runtime_has_ended() {
    watched(|| {
        for (flavour, one_waits) in FLAVOURS.into_iter().flat_map(|f| [(f, false), (f, true)]) {
            let lane = Place {
                source: Source::Threads,
                flavour,
            }
            .lane(1);
            let (gate, runtime) = (Gate::new(), flavour.runtime());
            let (door, inner) = (gate.door(), lane.clone());
            let late = Duration::from_millis(60);
            let (running, waiting) = runtime.block_on(async {
                let running = lane.offload(move || {
                    door.pass();
                    // It holds the only slot, so that this one can only time out: it is not the job
                    // that waits for it, which would lend it that.
                    let task = inner.timeout(late).offload(|| ());
                    std::thread::spawn(move || block_on(task)).join().unwrap()
                });
                (
                    running,
                    one_waits.then(|| lane.timeout(late).offload(|| ())),
                )
            });
            settles("it runs", || gate.count() == 1);
            drop(runtime);
            if let Some(waiting) = waiting {
                assert!(block_on(waiting).unwrap_err().is_timeout());
            }
            gate.open();
            assert!(block_on(running).unwrap().unwrap_err().is_timeout());
            settles("nothing is left", || lane.stats().workers == 0);
        }
    });
}

/// K11, K3. The same of one that runs on Tokio's own pool: the runtime waits for it, and not for ever.
#[test]
fn deadlines_on_tokio_s_pool_are_kept_while_their_runtime_ends() {
    watched(|| {
        for (flavour, in_background) in FLAVOURS.into_iter().flat_map(|f| [(f, false), (f, true)]) {
            let lane = Place {
                source: Source::Tokio,
                flavour,
            }
            .lane(1);
            let (gate, runtime) = (Gate::new(), flavour.runtime());
            let (door, hook) = (gate.door(), gate.door());
            let running = {
                let _context = runtime.enter();
                // Enough for it to begin.
                lane.timeout(Duration::from_secs(1))
                    .offload_with(move |job| {
                        let _guard = job.on_cancel(move || hook.open());
                        door.pass();
                    })
            };
            settles("it runs", || gate.count() == 1);
            if in_background {
                runtime.shutdown_background();
                assert!(block_on(running).unwrap_err().is_timeout());
            } else {
                running.detach();
                drop(runtime);
            }
            settles("nothing is left", || lane.stats().workers == 0);
            let stats = lane.stats();
            assert_books(&stats);
            assert_eq!(stats.timed_out, 1);
        }
    });
}
