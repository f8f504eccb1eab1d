//! K9: what a lane does when no thread can be had. Jobs wait for those that there are, or are told.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream::FuturesUnordered};
use longshore::{Error, Lane, lane::Threads};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{
    Flavour, Gate, Place, Source, assert_books, cpu_time, each_in_a_child, every_slot_is_free,
    settles, watch_over, watched,
};

/// More than any machine has address space for, so that no thread can be started with it.
const IMPOSSIBLE: usize = 1 << 46;

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
                assert!(begun.elapsed() < Duration::from_secs(10), "{source:?}");
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
        let tokios = Duration::from_millis(if source == Source::Tokio { 1_200 } else { 0 });
        assert!(
            used <= tokios + Duration::from_millis(800),
            "{source:?}: {used:?}"
        );
        assert!(
            at_rest <= Duration::from_millis(80),
            "{source:?}: {at_rest:?}"
        );
        assert!(look <= Duration::from_millis(40), "{source:?}: {look:?}");
    });
}

/// Lets no further thread be started with a stack of [`BIG`], until it is dropped. Everything else
/// still finds memory.
pub(crate) struct NoMoreThreads(Rlimit);

pub(crate) const BIG: usize = 1 << 30;

impl NoMoreThreads {
    pub(crate) fn now() -> Self {
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
                    .timeout(Duration::from_secs(15))
                    .offload(move || i)
                    .await;
                assert_eq!(told.unwrap(), i, "{source:?} {flavour:?}");
            }
            every_slot_is_free(&lane).await;
        });
    });
}
