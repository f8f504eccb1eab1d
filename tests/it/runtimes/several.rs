//! K11: one lane for several runtimes, at once and one after the other.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use longshore::{Lane, lane::Threads};
use tokio::runtime::Handle;

use super::FLAVOURS;
use crate::support::{
    Flavour, Gate, Meter, Place, assert_books, eventually, is_as_new, settles, sources, watch_over,
    watched,
};

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

everywhere! {
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
}
