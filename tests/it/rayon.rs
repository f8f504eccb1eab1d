//! S9: what is particular to rayon's pools.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::rayon::prelude::*;
use longshore::{Error, Lane};

use crate::support::{
    Child, Flavour, Gate, Place, Source, eventually, every_slot_is_free, in_child, is_as_new,
    watch_over, watched,
};

const FLAVOURS: [Flavour; 2] = [Flavour::CurrentThread, Flavour::MultiThread];

fn pool(threads: usize) -> Arc<rayon::ThreadPool> {
    Arc::new(
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap(),
    )
}

/// S9. A panic is the job's, and the pool is as it was.
#[test]
fn a_panic_on_a_rayon_pool_is_an_error_and_the_pool_lives_on() {
    watched(|| {
        for flavour in FLAVOURS {
            let pool = pool(2);
            let lane = watch_over(Lane::builder("cpu").limit(2).rayon(pool.clone()).build());
            flavour.runtime().block_on(async {
                for _ in 0..20 {
                    assert!(
                        lane.offload(|| panic!("as planned"))
                            .await
                            .unwrap_err()
                            .is_panic()
                    );
                    let inner = lane.offload(|| {
                        (0..100)
                            .into_par_iter()
                            .for_each(|n| assert!(n < 50, "as planned"));
                    });
                    assert!(inner.await.unwrap_err().is_panic());
                }
                assert_eq!(
                    pool.install(|| (0..100).into_par_iter().sum::<u32>()),
                    4_950
                );
                every_slot_is_free(&lane).await;
                is_as_new(&lane).await;
            });
        }
    });
}

/// K1, S9. While a job waits for its own parts, its thread may run others of its lane; but not one
/// after the other for as long as there are any, or the job would be held up by all that come.
#[test]
fn a_job_that_joins_is_not_held_up_by_the_jobs_behind_it() {
    const PLENTY: usize = 5_000;
    watched(|| {
        let lane = watch_over(Lane::builder("join").limit(2).rayon(pool(2)).build());
        Flavour::MultiThread.runtime().block_on(async {
            let small = Arc::new(AtomicUsize::new(0));
            // How many had run when nothing held it up any more.
            let at_end = Arc::new(AtomicUsize::new(usize::MAX - PLENTY));
            let (seen, ends) = (small.clone(), at_end.clone());
            let gate = Gate::new();
            let door = gate.door();
            let joins = lane.offload(move || {
                let stolen = AtomicBool::new(false);
                let until_stolen = || {
                    while !stolen.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                };
                let a_few_have_run = || {
                    stolen.store(true, Ordering::SeqCst);
                    door.pass();
                    while seen.load(Ordering::SeqCst) < 50 {
                        std::thread::yield_now();
                    }
                    ends.store(seen.load(Ordering::SeqCst), Ordering::SeqCst);
                };
                rayon::join(until_stolen, a_few_have_run);
            });
            gate.arrived(1).await;
            gate.open();
            // So many callers that the queue never runs empty.
            let joins = Arc::new(joins);
            let callers: Vec<_> = (0..64)
                .map(|_| {
                    let (lane, small, joins) = (lane.clone(), small.clone(), joins.clone());
                    let at_end = at_end.clone();
                    tokio::spawn(async move {
                        let plenty = || at_end.load(Ordering::SeqCst) + PLENTY;
                        while !joins.is_finished() && small.load(Ordering::SeqCst) < plenty() {
                            let small = small.clone();
                            let job = lane.offload(move || {
                                // Enough that callers are quicker than the lane.
                                std::hint::black_box(
                                    (0..20_000_u64).map(std::hint::black_box).sum::<u64>(),
                                );
                                small.fetch_add(1, Ordering::SeqCst)
                            });
                            job.await.unwrap();
                        }
                    })
                })
                .collect();
            for caller in callers {
                caller.await.unwrap();
            }
            let ran = small.load(Ordering::SeqCst);
            let plenty = at_end.load(Ordering::SeqCst) + PLENTY;
            assert!(ran < plenty, "it had to wait until no more came");
            let joins = Arc::into_inner(joins).expect("the callers are gone");
            joins.await.unwrap();
            is_as_new(&lane).await;
        });
    });
}

/// S9. A job's own parallel work runs in the pool that the job runs in.
#[test]
fn parallel_iterators_in_a_job_run_in_the_lanes_pool() {
    watched(|| {
        for flavour in FLAVOURS {
            let pool = pool(3);
            let lane = watch_over(Lane::builder("cpu").limit(3).rayon(pool.clone()).build());
            flavour.runtime().block_on(async {
                let sums = (0..20).map(|_| {
                    lane.offload(|| {
                        assert_eq!(rayon::current_num_threads(), 3);
                        let (left, right) = rayon::join(|| 1, || 2);
                        (0..1_000_u32).into_par_iter().sum::<u32>() + left + right
                    })
                });
                for sum in futures::future::join_all(sums).await {
                    assert_eq!(sum.unwrap(), 499_503);
                }
                // And another pool from inside of this one.
                let other = self::pool(1);
                let nested = lane.offload(move || other.install(rayon::current_num_threads));
                assert_eq!(nested.await.unwrap(), 1);
                is_as_new(&lane).await;
            });
        }
    });
}

/// S9. One thread of the pool for each job that blocks, and no more.
#[test]
fn a_job_that_blocks_on_a_rayon_pool_takes_one_of_its_threads() {
    watched(|| {
        let pool = pool(2);
        let lane = watch_over(Lane::builder("cpu").limit(1).rayon(pool.clone()).build());
        Flavour::CurrentThread.runtime().block_on(async {
            let gate = Gate::new();
            let door = gate.door();
            let blocked = lane.offload(move || door.pass());
            gate.arrived(1).await;
            let waiting = lane.timeout(Duration::from_millis(20)).offload(|| ());
            assert_eq!(pool.install(|| 7), 7, "the other thread is free");
            assert!(waiting.await.unwrap_err().never_started());
            drop(blocked);
            assert_eq!(lane.stats().draining, 1);
            gate.open();
            is_as_new(&lane).await;
        });
    });
}

/// S9, K13. An idle lane takes no thread of a pool that others use: its only one, here.
#[test]
fn a_worker_on_a_rayon_pool_does_not_linger() {
    watched(|| {
        let pool = pool(1);
        let first = watch_over(Lane::builder("one").limit(1).rayon(pool.clone()).build());
        let second = watch_over(Lane::builder("two").limit(1).rayon(pool.clone()).build());
        Flavour::CurrentThread.runtime().block_on(async {
            for i in 0..200 {
                assert_eq!(first.offload(move || i).await.unwrap(), i);
                assert_eq!(second.offload(move || i).await.unwrap(), i);
                assert_eq!(pool.install(|| i), i);
            }
            is_as_new(&first).await;
            is_as_new(&second).await;
        });
    });
}

/// S9. The pool has fewer threads than the lane's limit: jobs wait for them.
#[test]
fn a_pool_smaller_than_the_limit_only_makes_jobs_wait() {
    watched(|| {
        let lane = watch_over(Lane::builder("cpu").limit(8).rayon(pool(2)).build());
        Flavour::MultiThread.runtime().block_on(async {
            let gate = Gate::new();
            let tasks: Vec<_> = (0..20)
                .map(|i| {
                    let door = gate.door();
                    lane.offload(move || {
                        door.pass();
                        i
                    })
                })
                .collect();
            gate.arrived(2).await;
            eventually("a thread is asked for", || lane.stats().starting > 0).await;
            assert_eq!(lane.stats().running, 2);
            gate.open();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), i);
            }
            is_as_new(&lane).await;
        });
    });
}

/// S9, K9. The process's global pool cannot be built.
#[test]
fn a_global_pool_that_cannot_be_built_is_a_refused_thread() {
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::a_global_pool_that_cannot_be_built_is_a_refused_thread"
        );
        return Child::new(test).passes();
    }
    watched(|| {
        let impossible = rayon::ThreadPoolBuilder::new().stack_size(1 << 46);
        impossible
            .build_global()
            .expect_err("no such thread can be had");
        let lane = watch_over(Lane::builder("global").limit(2).rayon_global().build());
        Flavour::CurrentThread.runtime().block_on(async {
            for _ in 0..3 {
                let told = lane.offload(|| panic!("it must not start")).await;
                assert!(matches!(told, Err(Error::NoThread { .. })), "{told:?}");
            }
            let stats = lane.stats();
            assert_eq!((stats.no_thread, stats.waiting, stats.starting), (3, 0, 0));
        });
    });
}

/// S9. The same, found out by rayon itself.
#[test]
fn a_global_pool_that_fails_on_first_use_is_a_refused_thread() {
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::a_global_pool_that_fails_on_first_use_is_a_refused_thread"
        );
        return Child::new(test)
            .env("RUST_MIN_STACK", &(1_u64 << 46).to_string())
            .passes();
    }
    watched(|| {
        let lane = watch_over(Lane::builder("global").limit(2).rayon_global().build());
        Flavour::CurrentThread.runtime().block_on(async {
            for _ in 0..3 {
                let told = lane.offload(|| panic!("it must not start")).await;
                assert!(matches!(told, Err(Error::NoThread { .. })), "{told:?}");
            }
        });
    });
}

/// S9. Nobody is made to use the global pool who did not ask for it.
#[test]
fn the_global_pool_is_used_only_by_lanes_that_ask_for_it() {
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::the_global_pool_is_used_only_by_lanes_that_ask_for_it"
        );
        return Child::new(test).passes();
    }
    watched(|| {
        Flavour::CurrentThread.runtime().block_on(async {
            for source in [Source::Tokio, Source::Threads, Source::Rayon] {
                let lane = Place {
                    source,
                    flavour: Flavour::CurrentThread,
                }
                .lane(2);
                every_slot_is_free(&lane).await;
            }
            // This works once, and only as long as nobody has used the global pool.
            rayon::ThreadPoolBuilder::new()
                .num_threads(2)
                .build_global()
                .unwrap();
            let lane = watch_over(Lane::builder("global").limit(2).rayon_global().build());
            assert_eq!(lane.offload(rayon::current_num_threads).await.unwrap(), 2);
            every_slot_is_free(&lane).await;
        });
    });
}
