//! K11: one lane, several runtimes, at once and one after the other; and none at all.

use std::{
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use futures::executor::block_on;
use longshore::{Error, Lane, lane::Threads};
use tokio::runtime::Handle;

use crate::support::{
    Flavour, Gate, Meter, Place, Source, assert_books, eventually, every_slot_is_free, is_as_new,
    places, settles, sources, watch_over, watched,
};

const FLAVOURS: [Flavour; 2] = [Flavour::CurrentThread, Flavour::MultiThread];

/// K11. A thread that one runtime's pool cannot spare does not keep another runtime's jobs waiting.
#[test]
fn an_exhausted_pool_is_the_matter_of_its_own_runtime() {
    watched(|| {
        for flavour in FLAVOURS {
            let full = flavour.builder().max_blocking_threads(1).build().unwrap();
            let (release, held) = mpsc::channel::<()>();
            full.spawn_blocking(move || held.recv());
            let lane = watch_over(Lane::builder("full").limit(1).build());
            let stuck = {
                let _context = full.enter();
                lane.offload(|| 1)
            };
            settles("a thread is awaited", || lane.stats().starting == 1);

            let other = flavour.runtime();
            for n in 0..3 {
                let job = async { lane.offload(move || n).await };
                assert_eq!(other.block_on(job).unwrap(), n);
            }
            drop(release);
            assert_eq!(full.block_on(stuck).unwrap(), 1);
        }
    });
}

/// K11. As in the tests of an application that keeps its lane in a `static`.
#[test]
fn a_static_lane_serves_one_runtime_after_the_other() {
    static TOKIO: LazyLock<Lane> = LazyLock::new(|| Lane::builder("static").limit(2).build());
    static THREADS: LazyLock<Lane> = LazyLock::new(|| {
        Lane::builder("static")
            .limit(2)
            .own_threads(Threads::new())
            .build()
    });
    #[cfg(feature = "rayon")]
    static RAYON: LazyLock<Lane> = LazyLock::new(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        let pool = Arc::new(pool.expect("a pool can be had"));
        Lane::builder("static").limit(2).rayon(pool).build()
    });
    watched(|| {
        let lanes = [
            &TOKIO,
            &THREADS,
            #[cfg(feature = "rayon")]
            &RAYON,
        ];
        for lane in lanes {
            for round in 0..20 {
                for flavour in FLAVOURS {
                    let runtime = flavour.runtime();
                    runtime.block_on(async {
                        for i in 0..5 {
                            assert_eq!(lane.offload(move || i).await.unwrap(), i, "{round}");
                        }
                        // Left as it is: dropped, with its runtime.
                        drop(lane.offload(|| ()));
                        lane.offload(|| ()).detach();
                    });
                }
            }
            settles("nothing is left", || lane.jobs().is_empty());
            assert_books(&lane.stats());
        }
    });
}

/// K11.
#[test]
fn a_lane_serves_several_runtimes_at_once() {
    watched(|| {
        for source in sources() {
            let lane = Place {
                source,
                flavour: Flavour::CurrentThread,
            }
            .lane(2);
            let peak = Meter::default();
            let users: Vec<_> = (0..4)
                .map(|user| {
                    let (lane, peak) = (lane.clone(), peak.clone());
                    std::thread::spawn(move || {
                        let runtime = FLAVOURS[user % 2].runtime();
                        runtime.block_on(async {
                            let id = Handle::current().id();
                            for i in 0..200 {
                                let peak = peak.clone();
                                let told = lane.offload(move || {
                                    let _inside = peak.enter();
                                    (i, Handle::current().id())
                                });
                                // The runtime in a job is the one that its caller knows.
                                assert_eq!(told.await.unwrap(), (i, id));
                            }
                        });
                    })
                })
                .collect();
            for user in users {
                user.join().unwrap();
            }
            settles("nothing is left", || lane.stats().workers == 0);
            let stats = lane.stats();
            assert_books(&stats);
            assert_eq!((stats.completed, stats.submitted), (800, 800));
            assert!(
                peak.peak() <= 2,
                "{source:?}: the limit is one for all runtimes"
            );
        }
    });
}

fn feed(lane: &Lane, stop: &Arc<AtomicBool>) {
    let (next, stopped) = (lane.clone(), stop.clone());
    let job = move || {
        if !stopped.load(Ordering::SeqCst) {
            feed(&next, &stopped);
        }
    };
    lane.offload(job).detach();
}

/// K11. A runtime that keeps the lane busy does not starve another.
#[test]
fn a_busy_runtime_does_not_starve_another() {
    watched(|| {
        for source in sources() {
            let lane = Place {
                source,
                flavour: Flavour::CurrentThread,
            }
            .lane(1);
            let (stop, greedy) = (
                Arc::new(AtomicBool::new(false)),
                Flavour::MultiThread.runtime(),
            );
            greedy.block_on(async {
                // There is always a job of this runtime waiting: each puts one there before it ends.
                for _ in 0..3 {
                    feed(&lane, &stop);
                }
            });
            Flavour::CurrentThread.runtime().block_on(async {
                for i in 0..20 {
                    assert_eq!(lane.offload(move || i).await.unwrap(), i);
                }
            });
            stop.store(true, Ordering::SeqCst);
            settles("the greedy one has ended", || lane.jobs().is_empty());
            assert_books(&lane.stats());
        }
    });
}

/// K11. Idle workers do not hold up a runtime that ends.
#[test]
fn a_lingering_worker_does_not_hold_up_the_end_of_a_runtime() {
    watched(|| {
        for place in places() {
            let lane = watch_over(place.keeping_threads(Duration::from_secs(3_600), 4));
            let mut quickest = Duration::MAX;
            for _ in 0..15 {
                let runtime = place.flavour.runtime();
                runtime.block_on(every_slot_is_free(&lane));
                let begun = Instant::now();
                drop(runtime);
                quickest = quickest.min(begun.elapsed());
            }
            // A worker on Tokio's pool would linger for 10 ms, one on own threads for an hour.
            assert!(
                quickest < Duration::from_millis(9),
                "{place:?}: {quickest:?}"
            );
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
                let begun = Instant::now();
                drop(runtime);
                assert!(begun.elapsed() < Duration::from_secs(2));
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

/// R2.
#[test]
fn without_a_runtime_the_default_source_says_so_and_the_others_work() {
    watched(|| {
        let lane = Place {
            source: Source::Tokio,
            flavour: Flavour::CurrentThread,
        }
        .lane(1);
        match block_on(lane.offload(|| ())) {
            Err(error @ Error::NoRuntime { .. }) => assert!(error.never_started()),
            other => panic!("expected the want of a runtime, got {other:?}"),
        }
        assert!(matches!(
            lane.try_offload(|| ()),
            Err(Error::NoRuntime { .. })
        ));
        let permit = block_on(lane.reserve()).unwrap();
        assert!(matches!(
            block_on(permit.offload(|| ())),
            Err(Error::NoRuntime { .. })
        ));
        let mut map = lane.map(0..3, |i: u32| i);
        while let Some(told) = block_on(futures::StreamExt::next(&mut map)) {
            assert!(matches!(told, Err(Error::NoRuntime { .. })));
        }
        assert_books(&lane.stats());
        assert_eq!(lane.stats().submitted, 0);
        assert!(matches!(
            block_on(longshore::offload(|| ())),
            Err(Error::NoRuntime { .. })
        ));

        for source in sources()
            .into_iter()
            .filter(|source| *source != Source::Tokio)
        {
            let lane = Place {
                source,
                flavour: Flavour::CurrentThread,
            }
            .lane(2);
            let told = block_on(lane.offload(|| Handle::try_current().is_err()));
            assert!(told.unwrap(), "nor is there one in the job");
            let tasks: Vec<_> = (0..50).map(|i| lane.offload(move || i)).collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(block_on(task).unwrap(), i);
            }
            settles("nothing is left", || lane.stats().workers == 0);
        }
    });
}

everywhere! {
    /// R4. From inside of a job: into another lane, and back into async code.
    async fn a_job_may_hand_jobs_to_another_lane_and_wait_for_them(place: Place) {
        let (lane, other) = (place.lane(2), place.lane(2));
        let theirs = other.clone();
        let told = lane.offload(move || {
            let first = block_on(theirs.offload(|| 1)).unwrap();
            let second = Handle::current().block_on(theirs.offload(|| 2)).unwrap();
            let third = Handle::current().block_on(async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                3
            });
            first + second + third
        });
        assert_eq!(told.await.unwrap(), 6);
        is_as_new(&lane).await;
        is_as_new(&other).await;
    }

    /// R4. And into its own, if it does not wait for it.
    async fn a_job_may_hand_jobs_to_its_own_lane(place: Place) {
        let lane = place.lane(1);
        let theirs = lane.clone();
        let inner = lane.offload(move || theirs.offload(|| "later")).await.unwrap();
        assert_eq!(inner.await.unwrap(), "later");
        is_as_new(&lane).await;
    }

    /// R10. The runtime a task is polled on is not the one its job belongs to.
    async fn a_task_may_be_awaited_on_another_runtime(place: Place) {
        let lane = place.lane(2);
        let gate = Gate::new();
        let door = gate.door();
        let mut task = lane.timeout(Duration::from_secs(60)).offload(move || {
            door.pass();
            7
        });
        assert!(futures::poll!(&mut task).is_pending());
        let elsewhere = std::thread::spawn(move || {
            for flavour in FLAVOURS {
                let runtime = flavour.runtime();
                // Polled here, without an outcome; and this runtime goes away.
                runtime.block_on(async { assert!(futures::poll!(&mut task).is_pending()) });
            }
            Flavour::CurrentThread.runtime().block_on(async {
                gate.open();
                task.await
            })
        });
        eventually("it is over", || elsewhere.is_finished()).await;
        assert_eq!(elsewhere.join().unwrap().unwrap(), 7);
        is_as_new(&lane).await;
    }

    /// R13. A waker is the user's code: it may panic.
    async fn a_waker_that_panics_does_no_harm(place: Place) {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("as planned");
            }
        }
        let lane = place.bounded(1, 0);
        for _ in 0..5 {
            let gate = Gate::new();
            let door = gate.door();
            let mut task = lane.offload(move || door.pass());
            let mut in_line = lane.reserve();
            let waker = Waker::from(Arc::new(Panics));
            let mut context = Context::from_waker(&waker);
            assert!(std::pin::pin!(&mut task).poll(&mut context).is_pending());
            assert!(std::pin::pin!(&mut in_line).poll(&mut context).is_pending());
            gate.open();
            eventually("it is over", || task.is_finished()).await;
            task.await.unwrap();
            let permit = in_line.await.unwrap();
            assert_eq!(permit.offload(|| 7).await.unwrap(), 7);
        }
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// R13. And it may call back into the lane, whenever it is cloned, woken or dropped: no lock is
    /// held meanwhile.
    async fn a_waker_may_use_the_lane_that_wakes_it(place: Place) {
        /// Looks at the lane and hands a job in whenever it can.
        struct Busy {
            lane: Lane,
            calls: Arc<AtomicUsize>,
        }
        impl Busy {
            fn use_lane(&self) {
                let _ = (self.lane.stats(), self.lane.jobs());
                drop(self.lane.reserve());
                self.calls.fetch_add(1, Ordering::SeqCst);
            }
        }
        impl Wake for Busy {
            fn wake(self: Arc<Self>) {
                self.use_lane();
            }
        }
        impl Drop for Busy {
            fn drop(&mut self) {
                self.use_lane();
            }
        }
        let lane = place.bounded(1, 1);
        let calls = Arc::new(AtomicUsize::new(0));
        let mut wakers: Vec<Weak<Busy>> = Vec::new();
        let mut waker = || {
            let busy = Arc::new(Busy { lane: lane.clone(), calls: calls.clone() });
            wakers.push(Arc::downgrade(&busy));
            Waker::from(busy)
        };
        let gate = Gate::new();
        let door = gate.door();
        let mut task = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let waiting = lane.offload(|| ());
        let (mut first, mut second) = (lane.reserve(), lane.reserve());
        for _ in 0..3 {
            // Each time with a new waker, so that the one before is dropped wherever it was kept.
            let waker = waker();
            let mut context = Context::from_waker(&waker);
            assert!(std::pin::pin!(&mut task).poll(&mut context).is_pending());
            assert!(std::pin::pin!(&mut first).poll(&mut context).is_pending());
            assert!(std::pin::pin!(&mut second).poll(&mut context).is_pending());
        }
        // One in line goes away, with the waker that it alone had left there.
        let only = waker();
        assert!(std::pin::pin!(&mut second).poll(&mut Context::from_waker(&only)).is_pending());
        drop((only, second));
        let mut shutdown = Box::pin(lane.shutdown(Duration::from_secs(60)));
        let waker_of_shutdown = waker();
        assert!(shutdown.as_mut().poll(&mut Context::from_waker(&waker_of_shutdown)).is_pending());
        drop(waker_of_shutdown);
        assert!(matches!(first.await, Err(Error::Closed { .. })));
        gate.open();
        eventually("both are over", || task.is_finished() && waiting.is_finished()).await;
        task.await.unwrap();
        waiting.await.unwrap();
        assert!(matches!(futures::poll!(shutdown), Poll::Ready(Ok(_)) | Poll::Pending));
        is_as_new(&lane).await;
        eventually("each was dropped", || wakers.iter().all(|waker| waker.strong_count() == 0)).await;
        assert!(calls.load(Ordering::SeqCst) >= wakers.len());
    }
}
