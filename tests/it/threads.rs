//! K9 and K13: what a lane does when no thread can be had, and with those that it has.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use longshore::{Error, Lane, lane::Threads};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{
    Flavour, Gate, IN_TIME, Place, Source, assert_books, cpu_time, each_in_a_child, eventually,
    every_slot_is_free, is_as_new, places, settles, threads_named, watch_over, watched,
};

/// More than any machine has address space for, so that no thread can be started with it.
const IMPOSSIBLE: usize = 1 << 46;

everywhere! {
    /// K13. By the lane's own books, and the system's where threads are named after the lane. What
    /// others see who want the thread is in the next test but two.
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
        assert!(stats.workers + stats.starting <= 4, "{stats:?}");
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
        let told = said.recv_timeout(Duration::from_secs(8));
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
            let mut quickest = Duration::MAX;
            for round in 0..10 {
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
            }
            // From before the thread was idle. One of Tokio's would have stayed for 10 ms from then.
            if place.source != Source::Threads {
                assert!(
                    quickest < Duration::from_millis(9),
                    "{place:?}: {quickest:?}"
                );
            }
        }
    });
}

/// On Tokio's pool an idle worker stays for 10 ms, which cannot be chosen.
fn lane_lingers_long(place: Place) -> bool {
    place.source == Source::Tokio
}

/// A lane for whose jobs no thread can be had, and the runtime to use it in.
fn without_threads(source: Source, flavour: Flavour) -> (tokio::runtime::Runtime, Lane) {
    match source {
        Source::Tokio => {
            // The blocking pool takes the size as well; this flavour has no other threads.
            let runtime = Flavour::CurrentThread
                .builder()
                .thread_stack_size(IMPOSSIBLE)
                .build()
                .unwrap();
            (runtime, Lane::builder("refused").limit(4).build())
        }
        _ => {
            let threads = Threads::new().stack_size(IMPOSSIBLE);
            let lane = Lane::builder("refused")
                .limit(4)
                .own_threads(threads)
                .build();
            (flavour.runtime(), lane)
        }
    }
}

const REFUSED: [(Source, Flavour); 3] = [
    (Source::Tokio, Flavour::CurrentThread),
    (Source::Threads, Flavour::CurrentThread),
    (Source::Threads, Flavour::MultiThread),
];

/// K9, W1.
#[test]
fn a_refused_thread_is_an_error_at_once() {
    watched(|| {
        for (source, flavour) in REFUSED {
            let (runtime, lane) = without_threads(source, flavour);
            runtime.block_on(async {
                let begun = Instant::now();
                for round in 1..=3 {
                    match lane.offload(|| panic!("it must not start")).await {
                        Err(error @ Error::NoThread { .. }) => {
                            assert!(error.never_started());
                            assert!(std::error::Error::source(&error).is_some());
                        }
                        other => panic!("expected a refused thread, got {other:?}"),
                    }
                    let stats = lane.stats();
                    assert_books(&stats);
                    assert_eq!(
                        (stats.no_thread, stats.waiting, stats.starting),
                        (round, 0, 0)
                    );
                }
                assert!(begun.elapsed() < Duration::from_secs(2), "{source:?}");
                assert!(lane.jobs().is_empty());
            });
            if source == Source::Tokio {
                // The lane itself is as good as before.
                let other = flavour.runtime();
                assert_eq!(
                    other.block_on(async { lane.offload(|| 7).await }).unwrap(),
                    7
                );
            }
        }
    });
}

/// K9, W3. No livelock, no lock held: refused jobs cost next to nothing, in the best of three tries.
#[test]
fn a_thousand_refusals_cost_next_to_nothing() {
    let test = concat!(module_path!(), "::a_thousand_refusals_cost_next_to_nothing");
    each_in_a_child(test, &REFUSED, |(source, flavour)| {
        let (runtime, lane) = without_threads(source, flavour);
        let (mut used, mut at_rest, mut look) = (Duration::MAX, Duration::MAX, Duration::MAX);
        for round in 1..=3 {
            let before = cpu_time();
            runtime.block_on(async {
                let tasks: FuturesUnordered<_> = (0..1_000).map(|_| lane.offload(|| ())).collect();
                let told: Vec<_> = tasks.collect().await;
                assert!(
                    told.iter()
                        .all(|told| matches!(told, Err(Error::NoThread { .. })))
                );
                let looked = Instant::now();
                assert_eq!(lane.stats().no_thread, round * 1_000);
                look = look.min(looked.elapsed());
                used = used.min(cpu_time() - before);
                // And at rest it costs nothing: nobody tries again and again.
                let before = cpu_time();
                tokio::time::sleep(Duration::from_millis(300)).await;
                at_rest = at_rest.min(cpu_time() - before);
            });
        }
        // Tokio says so with a panic, which is told on stderr, a thousand times.
        let tokios = Duration::from_millis(if source == Source::Tokio { 300 } else { 0 });
        assert!(
            used <= tokios + Duration::from_millis(200),
            "{source:?}: {used:?}"
        );
        assert!(
            at_rest <= Duration::from_millis(20),
            "{source:?}: {at_rest:?}"
        );
        assert!(look <= Duration::from_millis(10), "{source:?}: {look:?}");
    });
}

/// Lets no further thread be started with a stack of [`BIG`], until it is dropped. Everything else
/// still finds memory.
struct NoMoreThreads(Rlimit);

const BIG: usize = 1 << 30;

impl NoMoreThreads {
    fn now() -> Self {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm
            .split_ascii_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let before = getrlimit(Resource::As);
        let limit = Rlimit {
            current: Some(pages * 4096 + BIG as u64 / 2),
            ..before
        };
        setrlimit(Resource::As, limit).expect("a soft limit may be lowered");
        Self(before)
    }
}

impl Drop for NoMoreThreads {
    fn drop(&mut self) {
        setrlimit(Resource::As, self.0).expect("a soft limit may be raised again");
    }
}

/// A lane whose threads have stacks of [`BIG`], and the runtime to use it in.
fn with_big_stacks(source: Source, flavour: Flavour) -> (tokio::runtime::Runtime, Lane) {
    let lane = Lane::builder("big").limit(8);
    match source {
        Source::Tokio => {
            let runtime = flavour.builder().thread_stack_size(BIG).build().unwrap();
            (runtime, lane.build())
        }
        _ => {
            let threads = Threads::new().stack_size(BIG).keep_alive(Place::KEEP_ALIVE);
            (flavour.runtime(), lane.own_threads(threads).build())
        }
    }
}

const BIG_STACKS: [(Source, Flavour); 4] = [
    (Source::Tokio, Flavour::CurrentThread),
    (Source::Tokio, Flavour::MultiThread),
    (Source::Threads, Flavour::CurrentThread),
    (Source::Threads, Flavour::MultiThread),
];

/// K9, W2. With workers there, jobs wait for them instead of failing.
#[test]
fn a_refused_thread_does_not_hurt_jobs_that_a_live_worker_can_run() {
    let test = concat!(
        module_path!(),
        "::a_refused_thread_does_not_hurt_jobs_that_a_live_worker_can_run"
    );
    each_in_a_child(test, &BIG_STACKS, |(source, flavour)| {
        let (runtime, lane) = with_big_stacks(source, flavour);
        let lane = watch_over(lane);
        runtime.block_on(async {
            let gate = Gate::new();
            let mut busy = Vec::new();
            // One after the other: of two at once, a third thread may be asked to help, and stay.
            for running in 1..=2 {
                let door = gate.door();
                busy.push(lane.offload(move || door.pass()));
                gate.arrived(running).await;
            }
            let refusing = NoMoreThreads::now();
            let tasks: Vec<_> = (0..10).map(|i| lane.offload(move || i)).collect();
            let stats = lane.stats();
            assert_books(&stats);
            assert_eq!((stats.no_thread, stats.running), (0, 2), "{source:?}");
            gate.open();
            for task in busy {
                task.await.unwrap();
            }
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), i, "{source:?} {flavour:?}");
            }
            drop(refusing);
            assert_eq!(lane.stats().no_thread, 0);
        });
    });
}

/// K9. What waits, waits for workers of its own runtime, and fails if there are none, whatever the
/// lane has elsewhere: a worker runs jobs of one runtime only.
#[test]
fn a_refused_thread_fails_the_jobs_of_a_runtime_that_has_no_other() {
    let test = concat!(
        module_path!(),
        "::a_refused_thread_fails_the_jobs_of_a_runtime_that_has_no_other"
    );
    each_in_a_child(test, &BIG_STACKS, |(source, flavour)| {
        let (here, lane) = with_big_stacks(source, flavour);
        let lane = watch_over(lane);
        let elsewhere = with_big_stacks(source, flavour).0;
        let gate = Gate::new();
        let job = |value: usize| {
            let door = gate.door();
            lane.offload(move || {
                door.pass();
                value
            })
        };
        let context = here.enter();
        let mut tasks = Vec::new();
        // One after the other: of two at once, a third thread may be asked to help, and stay.
        for running in 0..2 {
            tasks.push(job(running));
            settles("it runs", || gate.count() == running + 1);
        }
        let refusing = NoMoreThreads::now();
        tasks.extend([job(2), job(3)]);
        drop(context);
        for _ in 0..3 {
            match elsewhere.block_on(async { lane.offload(|| ()).await }) {
                Err(error @ Error::NoThread { .. }) => assert!(error.never_started()),
                other => panic!("{source:?}: expected a refused thread, got {other:?}"),
            }
        }
        let stats = lane.stats();
        assert_books(&stats);
        assert_eq!((stats.no_thread, stats.running, stats.waiting), (3, 2, 2));
        gate.open();
        for (i, task) in tasks.into_iter().enumerate() {
            assert_eq!(here.block_on(task).unwrap(), i, "{source:?} {flavour:?}");
        }
        drop(refusing);
        // And the other runtime has its turn again.
        assert_eq!(
            elsewhere
                .block_on(async { lane.offload(|| 7).await })
                .unwrap(),
            7
        );
    });
}

/// K9, W1, W4. A refusal switches nothing off: when threads can be had again, the lane has them.
#[test]
fn when_threads_can_be_had_again_the_lane_uses_its_whole_limit() {
    let test = concat!(
        module_path!(),
        "::when_threads_can_be_had_again_the_lane_uses_its_whole_limit"
    );
    each_in_a_child(test, &BIG_STACKS, |(source, flavour)| {
        let (runtime, lane) = with_big_stacks(source, flavour);
        let lane = watch_over(lane);
        runtime.block_on(async {
            let refusing = NoMoreThreads::now();
            for _ in 0..5 {
                let told = lane.offload(|| ()).await;
                assert!(matches!(told, Err(Error::NoThread { .. })), "{told:?}");
            }
            drop(refusing);
            for i in 0..5 {
                let told = lane
                    .timeout(Duration::from_secs(5))
                    .offload(move || i)
                    .await;
                assert_eq!(told.unwrap(), i, "{source:?} {flavour:?}");
            }
            every_slot_is_free(&lane).await;
        });
    });
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
