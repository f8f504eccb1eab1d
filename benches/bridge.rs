//! What does a call from synchronous code into async code cost?
//!
//! Fixed: one thread makes one call after the other. Varies: who makes the call (the function),
//! what it waits for (the group), and on which kind of thread (the parameter).
//!
//! - `ready`: `async {}`. Nothing is waited for: this is what a call costs in itself.
//! - `spawned`: a task that does nothing, on a runtime of one thread in the background. To wake that
//!   thread, and to be woken by it, is most of this.
//!
//! - `bridge`: [`Bridge::call`] of a bridge that was started once.
//! - `handle`: `Handle::block_on`, of the same runtime. It panics where it must not be called.
//! - `futures`: `futures::executor::block_on`. It has no timers and no I/O.
//! - `runtime`: `Runtime::new`, and its `block_on`, for each call: what people do where they have no
//!   runtime at hand.
//!
//! - `thread`: a plain one. `pool`: one of Tokio's blocking pool, as most lanes' jobs run on.
//!
//! Beside them the price of one wake-up: half the time that two threads take to wake each other in
//! turn. The ratios are measured apart, in rounds that take every contender in turn: medians, and
//! for a ratio the median of those of each round, with what the middle half of them lies between.
//!
//! ```text
//! cargo bench --bench bridge                      both, about 2 minutes
//! cargo bench --bench bridge -- ratios            the ratios alone, some seconds
//! LONGSHORE_ROUNDS=51 cargo bench --bench bridge -- ratios
//! ```

#[path = "support/figures.rs"]
mod figures;

use std::{
    hint::black_box,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use figures::{Ratio, median, rounds};
use longshore::Bridge;
use tokio::runtime::{Handle, Runtime};

fn main() {
    let bridge = Bridge::start().expect("a thread can be had");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "ratios") {
        measure(&bridge);
    }
    // Only in a real run, as `cargo bench` starts it, and if nothing else was asked for by name.
    let named = |argument: &String| argument != "--bench" && argument != "ratios";
    if arguments.iter().any(|argument| argument == "--bench") && !arguments.iter().any(named) {
        print_ratios(&bridge);
    }
}

// ===== What is waited for, where, by whom =====

#[derive(Clone, Copy, PartialEq)]
enum Workload {
    Ready,
    Spawned,
}

impl Workload {
    const ALL: [Self; 2] = [Self::Ready, Self::Spawned];

    fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Spawned => "spawned",
        }
    }
}

#[derive(Clone, Copy)]
enum Place {
    Thread,
    Pool,
}

impl Place {
    const ALL: [Self; 2] = [Self::Thread, Self::Pool];

    fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Pool => "pool",
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Contender {
    Bridge,
    Handle,
    Futures,
    Runtime,
}

impl Contender {
    const ALL: [Self; 4] = [Self::Bridge, Self::Handle, Self::Futures, Self::Runtime];

    fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Handle => "handle",
            Self::Futures => "futures",
            Self::Runtime => "runtime",
        }
    }

    /// Makes so many calls, one after the other, on this thread.
    fn call(self, bridge: &Bridge, workload: Workload, calls: u64) -> Duration {
        let runtime = bridge.runtime();
        let start = Instant::now();
        for _ in 0..calls {
            match (self, workload) {
                (Self::Bridge, Workload::Ready) => bridge.call(ready()).expect("it may wait"),
                (Self::Bridge, Workload::Spawned) => {
                    bridge.call(spawned(runtime)).expect("it may wait");
                }
                (Self::Handle, Workload::Ready) => runtime.block_on(ready()),
                (Self::Handle, Workload::Spawned) => runtime.block_on(spawned(runtime)),
                (Self::Futures, Workload::Ready) => futures::executor::block_on(ready()),
                (Self::Futures, Workload::Spawned) => {
                    futures::executor::block_on(spawned(runtime));
                }
                (Self::Runtime, Workload::Ready) => new_runtime().block_on(ready()),
                (Self::Runtime, Workload::Spawned) => {
                    let own = new_runtime();
                    own.block_on(spawned(own.handle()));
                }
            }
        }
        start.elapsed()
    }

    fn time(self, bridge: &Bridge, place: Place, workload: Workload, calls: u64) -> Duration {
        match place {
            Place::Thread => self.call(bridge, workload, calls),
            Place::Pool => {
                let (tell, told) = mpsc::channel();
                let theirs = bridge.clone();
                bridge.runtime().spawn_blocking(move || {
                    let _ = tell.send(self.call(&theirs, workload, calls));
                });
                told.recv().expect("it does not panic")
            }
        }
    }
}

async fn ready() {
    black_box(());
}

async fn spawned(runtime: &Handle) {
    let task = runtime.spawn(async { black_box(()) });
    task.await.expect("it does not panic");
}

fn new_runtime() -> Runtime {
    Runtime::new().expect("a runtime can be had")
}

/// How long it takes to wake a thread and for it to be awake.
fn wake_up(times: u64) -> Duration {
    let here = thread::current();
    let (say, said) = mpsc::channel();
    let there = thread::spawn(move || {
        for _ in 0..times {
            said.recv().expect("it comes");
            here.unpark();
        }
    });
    let start = Instant::now();
    for _ in 0..times {
        say.send(()).expect("it listens");
        thread::park();
    }
    let time = start.elapsed();
    there.join().expect("it does not panic");
    time / 2
}

// ===== With criterion =====

fn measure(bridge: &Bridge) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    for workload in Workload::ALL {
        let mut group = criterion.benchmark_group(workload.name());
        group.sampling_mode(SamplingMode::Flat);
        for place in Place::ALL {
            for contender in Contender::ALL {
                group.bench_function(
                    BenchmarkId::new(contender.name(), place.name()),
                    |bencher| {
                        bencher.iter_custom(|calls| contender.time(bridge, place, workload, calls));
                    },
                );
            }
        }
        group.finish();
    }
    criterion.final_summary();
}

// ===== In turn =====

fn print_ratios(bridge: &Bridge) {
    let rounds = rounds(21);
    println!("\nnanoseconds a call, medians of {rounds} rounds in turn");
    print!("{:>8} {:>7}", "", "");
    for contender in Contender::ALL {
        print!("  {:>9}", contender.name());
    }
    println!(
        "  {:>9}  {:>20}  {:>22}",
        "wake-up", "bridge / handle", "runtime / bridge"
    );
    for workload in Workload::ALL {
        for place in Place::ALL {
            let [by_contender @ .., wake_ups] = in_turn(bridge, place, workload, rounds);
            print!("{:>8} {:>7}", workload.name(), place.name());
            for figures in &by_contender {
                print!("  {:>9.0}", median(figures));
            }
            let [bridge, handle, _, runtime] = &by_contender;
            println!(
                "  {:>9.0}  {:>20}  {:>22}",
                median(&wake_ups),
                Ratio::of(bridge, handle),
                Ratio::of(runtime, bridge),
            );
        }
    }
}

/// Nanoseconds a call, by contender, and a wake-up; one for each round.
fn in_turn(bridge: &Bridge, place: Place, workload: Workload, rounds: usize) -> [Vec<f64>; 5] {
    let mut figures = [const { Vec::new() }; 5];
    // The first round warms up and does not count.
    for round in 0..=rounds {
        let mut keep = |at: usize, time: Duration, calls: u64| {
            if round > 0 {
                figures[at].push(time.as_secs_f64() * 1e9 / calls as f64);
            }
        };
        for (at, contender) in Contender::ALL.into_iter().enumerate() {
            let calls = match (contender, workload) {
                (Contender::Runtime, _) => 50,
                (_, Workload::Ready) => 20_000,
                (_, Workload::Spawned) => 500,
            };
            keep(at, contender.time(bridge, place, workload, calls), calls);
        }
        keep(4, wake_up(500), 500);
    }
    figures
}
