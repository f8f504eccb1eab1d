//! What is not reported: whatever does no harm.

use std::{thread, time::Duration};

use longshore::{
    Lane,
    stall::{allow, watched},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task,
};

use crate::support::{Flavour, Gate, LOOKS, Watched, compute, looks, wait_for_looks};

/// Runs as many tasks at once as `tasks` says, each over and over, until it was looked at for long.
async fn over_and_over<F, R>(watched: &Watched, tasks: usize, work: F)
where
    F: Fn() -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let (gate, opener) = Gate::new();
    let all: Vec<_> = (0..tasks)
        .map(|_| {
            let (gate, work) = (gate.clone(), work.clone());
            tokio::spawn(async move {
                while !gate.is_open() {
                    work().await;
                }
            })
        })
        .collect();
    looks(&watched.watching, 2 * LOOKS).await;
    drop(opener);
    for task in all {
        task.await.unwrap();
    }
}

on_both! {
    fn a_runtime_that_is_busy_and_healthy(flavour: Flavour) {
        let watched = Watched::new(flavour);
        watched.is_quiet(over_and_over(&watched, 50, || async {
            compute(Duration::from_micros(50));
            task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }));
    }

    fn round_trips_over_tcp(flavour: Flavour) {
        let watched = Watched::new(flavour);
        watched.is_quiet(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                loop {
                    let (mut peer, _) = listener.accept().await.unwrap();
                    tokio::spawn(async move {
                        let mut byte = [0];
                        while peer.read_exact(&mut byte).await.is_ok() {
                            peer.write_all(&byte).await.unwrap();
                        }
                    });
                }
            });
            over_and_over(&watched, 8, move || async move {
                let mut peer = TcpStream::connect(address).await.unwrap();
                for _ in 0..50 {
                    peer.write_all(b"x").await.unwrap();
                    peer.read_exact(&mut [0]).await.unwrap();
                }
            })
            .await;
        });
    }

    fn polls_of_a_millisecond(flavour: Flavour) {
        let watched = Watched::new(flavour);
        watched.is_quiet(over_and_over(&watched, 8, || async {
            compute(Duration::from_millis(1));
            task::yield_now().await;
        }));
    }

    fn polls_of_five_milliseconds(flavour: Flavour) {
        let watched = Watched::new(flavour);
        watched.is_quiet(over_and_over(&watched, 8, || async {
            compute(Duration::from_millis(5));
            task::yield_now().await;
        }));
    }

    fn watched_polls_of_five_milliseconds(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        watched_runtime.is_quiet(over_and_over(&watched_runtime, 8, || {
            watched(async {
                compute(Duration::from_millis(5));
                task::yield_now().await;
            })
        }));
    }

    fn a_runtime_that_is_idle(flavour: Flavour) {
        let watched = Watched::new(flavour);
        watched.is_quiet(async {
            let (wake, woken) = tokio::sync::oneshot::channel();
            let watching = watched.watching.clone();
            // Nothing happens on it until then, not even a timer.
            thread::spawn(move || {
                wait_for_looks(&watching, 2 * LOOKS);
                wake.send(()).unwrap();
            });
            woken.await.unwrap();
        });
    }

    fn closures_of_spawn_blocking(flavour: Flavour) {
        let watched = Watched::new(flavour);
        watched.is_quiet(async {
            let (gate, opener) = Gate::new();
            let closures: Vec<_> = (0..4)
                .map(|closure| {
                    let gate = gate.clone();
                    task::spawn_blocking(move || {
                        if closure == 0 {
                            compute(Duration::from_millis(300));
                        }
                        gate.wait();
                    })
                })
                .collect();
            looks(&watched.watching, 2 * LOOKS).await;
            drop(opener);
            for closure in closures {
                closure.await.unwrap();
            }
        });
    }

    fn jobs_of_a_lane(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        watched_runtime.is_quiet(async {
            let lane = Lane::builder("quiet").limit(4).build();
            let (gate, opener) = Gate::new();
            let jobs: Vec<_> = (0..8)
                .map(|_| {
                    let gate = gate.clone();
                    // To wait for it is no stall, watched or not.
                    tokio::spawn(watched(lane.offload(move || gate.wait())))
                })
                .collect();
            looks(&watched_runtime.watching, 2 * LOOKS).await;
            drop(opener);
            for job in jobs {
                job.await.unwrap().unwrap();
            }
        });
    }

    /// Most of them are over before anybody has looked.
    fn ten_thousand_jobs_of_a_lane(flavour: Flavour) {
        const JOBS: usize = 10_000;
        let watched_runtime = Watched::new(flavour);
        let done = watched_runtime.is_quiet(async {
            let lane = Lane::builder("many").limit(4).queue(JOBS).build();
            let mut jobs = Vec::with_capacity(JOBS);
            for job in 0..JOBS {
                jobs.push(tokio::spawn(watched(lane.offload(move || job))));
                // To hand them all in takes longer than one poll should.
                if job % 100 == 0 {
                    task::yield_now().await;
                }
            }
            let mut done = Vec::with_capacity(JOBS);
            for job in jobs {
                done.push(job.await.unwrap().unwrap());
            }
            looks(&watched_runtime.watching, LOOKS).await;
            done
        });
        assert!(done.into_iter().eq(0..JOBS));
    }

    fn what_is_allowed(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        let watching = &watched_runtime.watching;
        watched_runtime.is_quiet(async {
            for wrap in [false, true] {
                let (gate, opener) = Gate::new();
                let blocks = async move { allow("a test", || gate.wait()) };
                let task = if wrap {
                    tokio::spawn(watched(blocks))
                } else {
                    tokio::spawn(blocks)
                };
                let watching = watching.clone();
                thread::spawn(move || {
                    wait_for_looks(&watching, LOOKS);
                    drop(opener);
                });
                task.await.unwrap();
            }
        });
    }
}
