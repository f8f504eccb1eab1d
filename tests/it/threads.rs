//! K13: what a lane does with the threads that it has; and K9 where they are a pool's, which has few.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use longshore::{Lane, lane::Threads};

use crate::support::{
    Flavour, Gate, IN_TIME, Place, Source, eventually, every_slot_is_free, is_as_new, places,
    settles, threads_named, watch_over, watched,
};

everywhere! {
    /// K13. By the lane's own books, and the system's where threads are named after the lane. What
    /// others see who want the thread is further below.
    async fn an_idle_lane_holds_no_threads(place: Place) {
        let lane = place.lane(4);
        let name = format!("{}-", lane.name());
        assert_eq!(lane.stats().workers, 0, "nor one that has had no job yet");
        for _ in 0..3 {
            every_slot_is_free(&lane).await;
            is_as_new(&lane).await;
            eventually("its threads have ended", || threads_named(&name).is_empty()).await;
        }
    }

    /// K13. No more threads than the limit says, nor than there is work for.
    async fn a_lane_takes_no_more_threads_than_it_has_jobs(place: Place) {
        let lane = place.lane(32);
        let gate = Gate::new();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let door = gate.door();
                lane.offload(move || door.pass())
            })
            .collect();
        gate.arrived(3).await;
        let stats = lane.stats();
        // One for each, and one for each of the first two to be taken if nobody was on the way then.
        assert!(stats.workers + stats.starting <= 5, "{stats:?}");
        gate.open();
        for task in tasks {
            task.await.unwrap();
        }
        is_as_new(&lane).await;
    }

    /// W17. Jobs come just as the threads go. (The model of the protocol is in `tests/model`.)
    async fn no_job_is_lost_when_an_idle_thread_leaves(place: Place) {
        let keep_alive = Duration::from_micros(300);
        let lane = watch_over(place.keeping_threads(keep_alive, 3));
        let callers: FuturesUnordered<_> = (0..4_u32)
            .map(|caller| {
                let lane = lane.clone();
                tokio::spawn(async move {
                    for call in 0..if lane_lingers_long(place) { 60 } else { 800_u32 } {
                        // As long as an idle thread stays, more or less.
                        let stays = if lane_lingers_long(place) { 10_000 } else { 300 };
                        let gap = stays * (call * 7 + caller * 3) % (stays * 2);
                        let until = Instant::now() + Duration::from_micros(u64::from(gap));
                        while Instant::now() < until {
                            tokio::task::yield_now().await;
                        }
                        assert_eq!(lane.offload(move || call).await.unwrap(), call);
                    }
                })
            })
            .collect();
        for caller in callers.collect::<Vec<_>>().await {
            caller.unwrap();
        }
        is_as_new(&lane).await;
        assert_eq!(lane.stats().completed, lane.stats().submitted);
    }
}

/// A lane with one thread, and somebody who waits for that to be given back.
struct OneThread {
    runtime: tokio::runtime::Runtime,
    lane: Lane,
    /// Has something sent once the thread is not the lane's any more.
    ask: Box<dyn Fn(mpsc::Sender<()>)>,
}

impl OneThread {
    /// On a pool that is the lane's and somebody else's, with no other thread in it; or on threads
    /// that would stay for an hour.
    fn new(place: Place) -> Self {
        let mut builder = place.flavour.builder();
        let runtime = builder.max_blocking_threads(1).build().unwrap();
        match place.source {
            Source::Tokio => {
                let pool = runtime.handle().clone();
                Self {
                    runtime,
                    lane: place.builder(1).build(),
                    ask: Box::new(move |say| {
                        pool.spawn_blocking(move || {
                            let _ = say.send(());
                        });
                    }),
                }
            }
            Source::Threads => {
                let lane = place.keeping_threads(Duration::from_secs(3_600), 1);
                let name = format!("{}-", lane.name());
                Self {
                    runtime,
                    lane,
                    ask: Box::new(move |say| {
                        settles("its thread has ended", || threads_named(&name).is_empty());
                        let _ = say.send(());
                    }),
                }
            }
            #[cfg(feature = "rayon")]
            Source::Rayon => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                let pool = Arc::new(pool.expect("a pool can be had"));
                Self {
                    runtime,
                    lane: Lane::builder("shared").limit(1).rayon(pool.clone()).build(),
                    ask: Box::new(move |say| {
                        pool.spawn(move || {
                            let _ = say.send(());
                        });
                    }),
                }
            }
        }
    }

    /// Asks for the thread, and waits until it is there.
    #[track_caller]
    fn is_given_back(ask: &dyn Fn(mpsc::Sender<()>)) {
        let (say, said) = mpsc::channel();
        ask(say);
        let told = said.recv_timeout(Duration::from_secs(15));
        assert_eq!(told, Ok(()), "the thread was not given back");
    }
}

/// K13. Seen from whoever else wants the only thread of the pool, not by the lane's books.
#[test]
fn an_idle_lane_gives_its_thread_back_to_the_pool() {
    watched(|| {
        for place in places().filter(|place| place.source != Source::Threads) {
            let OneThread { runtime, lane, ask } = OneThread::new(place);
            let _context = runtime.enter();
            let mut quickest = Duration::MAX;
            for i in 0..5 {
                assert_eq!(runtime.block_on(lane.offload(move || i)).unwrap(), i);
                let begun = Instant::now();
                OneThread::is_given_back(&ask);
                quickest = quickest.min(begun.elapsed());
            }
            // After 10 ms, if at all later.
            assert!(quickest < IN_TIME, "{place:?}: {quickest:?}");
            drop(lane);
        }
    });
}

/// K13, R9. Idle threads leave at once when the last handle is dropped, however long they would
/// have stayed; and so do those that were busy then, at the end of their work.
#[test]
fn threads_leave_when_the_last_handle_is_dropped() {
    watched(|| {
        for place in places() {
            let (mut quickest, start) = (Duration::MAX, Instant::now());
            for round in 0.. {
                let OneThread { runtime, lane, ask } = OneThread::new(place);
                let mut begun = Instant::now();
                let _context = runtime.enter();
                if round % 2 == 0 {
                    runtime.block_on(lane.offload(|| ())).unwrap();
                    drop(lane);
                } else {
                    let gate = Gate::new();
                    let door = gate.door();
                    let tasks = [lane.offload(move || door.pass()), lane.offload(|| ())];
                    settles("it runs", || gate.count() == 1);
                    drop(lane);
                    begun = Instant::now();
                    gate.open();
                    for task in tasks {
                        runtime.block_on(task).unwrap();
                    }
                }
                OneThread::is_given_back(&ask);
                quickest = quickest.min(begun.elapsed());
                // From before the thread was idle. One of Tokio's would have stayed for 10 ms from then.
                let at_once = match place.source {
                    Source::Threads => true,
                    _ => quickest < Duration::from_millis(9),
                };
                // On a machine that is busy with other things it may take a few more.
                if round >= 9 && (at_once || start.elapsed() > Duration::from_secs(2)) {
                    assert!(at_once, "{place:?}: {quickest:?}");
                    break;
                }
            }
        }
    });
}

/// On Tokio's pool an idle worker stays for 10 ms, which cannot be chosen.
fn lane_lingers_long(place: Place) -> bool {
    place.source == Source::Tokio
}

/// W1, R5. The threads of a lane's own are named after it and have the stack they were given.
#[test]
fn own_threads_carry_the_name_of_their_lane_and_have_the_stack_they_were_given() {
    #[inline(never)]
    fn fill(kilobytes: usize) -> u64 {
        let block = std::hint::black_box([1_u8; 1024]);
        let below = if kilobytes > 1 {
            fill(kilobytes - 1)
        } else {
            0
        };
        below + u64::from(block[kilobytes % 1024])
    }
    watched(|| {
        let threads = Threads::new().stack_size(16 * 1024 * 1024);
        let lane = watch_over(Lane::builder("named").limit(2).own_threads(threads).build());
        let name = lane.offload(|| std::thread::current().name().map(str::to_owned));
        let name = futures::executor::block_on(name).unwrap().unwrap();
        assert!(name.starts_with("named-"), "{name}");
        // Far more than a thread has unless it is told otherwise.
        let filled = futures::executor::block_on(lane.offload(|| fill(4_000)));
        assert_eq!(filled.unwrap(), 4_000);
        // A name that the system could not take as it is.
        let odd = Lane::builder("o\0dd")
            .limit(1)
            .own_threads(Threads::new())
            .build();
        let name = odd.offload(|| std::thread::current().name().map(str::to_owned));
        assert!(futures::executor::block_on(name).unwrap().is_some());
    });
}

/// K13. `keep_alive` keeps threads, and no longer.
#[test]
fn own_threads_stay_for_as_long_as_they_are_kept_alive() {
    watched(|| {
        let place = Place {
            source: Source::Threads,
            flavour: Flavour::CurrentThread,
        };
        let lane = place.keeping_threads(Duration::from_secs(3_600), 1);
        let name = format!("{}-", lane.name());
        let ids: Vec<_> = (0..5)
            .map(|_| futures::executor::block_on(lane.offload(|| std::thread::current().id())))
            .map(Result::unwrap)
            .collect();
        assert!(
            ids.iter().all(|id| *id == ids[0]),
            "one thread served all: {ids:?}"
        );
        settles("it is idle", || lane.stats().idle == 1);
        lane.close();
        settles("it is gone", || threads_named(&name).is_empty());

        let lane = place.keeping_threads(Duration::ZERO, 1);
        let name = format!("{}-", lane.name());
        for i in 0..20 {
            assert_eq!(
                futures::executor::block_on(lane.offload(move || i)).unwrap(),
                i
            );
            settles("it is gone", || threads_named(&name).is_empty());
        }
    });
}

/// K9. Tokio's pool may have fewer threads than the lane: jobs wait, nothing is lost, and it shows.
#[test]
fn a_pool_with_fewer_threads_than_the_lane_only_makes_jobs_wait_and_shows_it() {
    watched(|| {
        for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
            let runtime = flavour.builder().max_blocking_threads(2).build().unwrap();
            runtime.block_on(async {
                let place = Place {
                    source: Source::Tokio,
                    flavour,
                };
                let lane = place.lane(8);
                let (gate, peak) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
                let tasks: Vec<_> = (0..20)
                    .map(|i| {
                        let (door, peak) = (gate.door(), peak.clone());
                        lane.offload(move || {
                            peak.fetch_add(1, Ordering::SeqCst);
                            door.pass();
                            i
                        })
                    })
                    .collect();
                gate.arrived(2).await;
                eventually("it shows that a thread does not come", || {
                    lane.stats()
                        .starting_for
                        .is_some_and(|time| time.as_millis() >= 5)
                })
                .await;
                let stats = lane.stats();
                assert_eq!((stats.running, stats.workers), (2, 2));
                assert!(stats.starting >= 1, "{stats:?}");
                assert_eq!(peak.load(Ordering::SeqCst), 2);
                gate.open();
                for (i, task) in tasks.into_iter().enumerate() {
                    assert_eq!(task.await.unwrap(), i);
                }
                is_as_new(&lane).await;
                assert!(lane.stats().starting_for.is_none());
            });
        }
    });
}

/// K9. A pool that is full of other people's work: a job waits for its turn or its deadline.
#[test]
fn a_pool_that_others_have_filled_delays_jobs_and_loses_none() {
    watched(|| {
        for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
            let runtime = flavour.builder().max_blocking_threads(1).build().unwrap();
            runtime.block_on(async {
                let lane = Place {
                    source: Source::Tokio,
                    flavour,
                }
                .lane(2);
                let gate = Gate::new();
                let door = gate.door();
                let others = tokio::task::spawn_blocking(move || door.pass());
                gate.arrived(1).await;
                let patient = lane.offload(|| 7);
                let hasty = lane.timeout(Duration::from_millis(30)).offload(|| 7);
                let error = hasty.await.unwrap_err();
                assert!(error.is_timeout() && error.never_started());
                gate.open();
                others.await.unwrap();
                assert_eq!(patient.await.unwrap(), 7);
                is_as_new(&lane).await;
            });
        }
    });
}
