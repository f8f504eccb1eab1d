//! How many small HTTP requests a second?
//!
//! Fixed: GET requests to a server on 127.0.0.1 that answers at once with 200 bytes, connections
//! that are used again, a timeout of 10 s for each call, an async runtime of one worker a core, on
//! which N tasks make one call after the other. The server is a process of its own with one
//! thread; client and server share the machine. Varies: who makes the calls (the function), and N
//! (the parameter).
//!
//! - `stock`: ureq in `tokio::task::spawn_blocking`, raw. Its defaults, except that it keeps N idle
//!   connections; with its own 3 for a host it would spend its time opening more.
//! - `reqwest`: the native async client.
//! - `agent`: `longshore::ureq::agent` through a lane with a limit of N.
//! - `client`: `longshore::ureq::Client` on the same.
//!
//! A second table holds N at 64 and varies the limit of the lane: a thread for each call is not the
//! fastest where calls are answered at once.
//!
//! Criterion measures one contender after the other, so that a machine that gets slower meanwhile
//! wrongs the later ones. For ratios there is a mode of its own, in which the contenders take
//! turns: it prints the median of the rounds and, for a ratio, the median of the ratios of each
//! round, with what the middle half of them lies between.
//!
//! ```text
//! cargo bench --features cli --bench http                      both, about 4 minutes
//! cargo bench --features cli --bench http -- ratios            the two tables alone
//! LONGSHORE_ROUNDS=31 cargo bench --features cli --bench http -- ratios
//! ```

#[path = "support/answers.rs"]
mod answers;
#[path = "support/caller.rs"]
mod caller;
#[path = "support/child.rs"]
mod child;
#[path = "support/figures.rs"]
mod figures;
#[path = "support/turns.rs"]
mod turns;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use caller::{Caller, Contender};
use child::Child;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use longshore::Lane;
use tokio::runtime::{Builder, Runtime};
use turns::Table;

const IN_FLIGHT: [usize; 4] = [1, 8, 64, 256];

/// Long enough for nobody to meet it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A turn is as long as it takes to make so many requests, some tenths of a second.
const REQUESTS: [u64; 4] = [1_000, 4_000, 10_000, 10_000];

/// Of the lane, with 64 in flight.
const LIMITS: [usize; 4] = [8, 12, 16, 32];

fn main() {
    if child::role().is_some() {
        answers::serve(Duration::ZERO);
    }
    let mut server = Child::start("server");
    let url = format!("http://{}/", server.line());

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only_ratios = arguments.iter().any(|argument| argument == "ratios");
    if !only_ratios {
        measure(&url);
    }
    // Only in a real run, as `cargo bench` starts it, and if nothing else was asked for by name.
    let named = |argument: &String| argument != "--bench" && argument != "ratios";
    if arguments.iter().any(|argument| argument == "--bench") && !arguments.iter().any(named) {
        print_ratios(&url);
    }
}

// ===== The workload =====

/// Contenders that make calls with so many tasks; ours in lanes of a limit.
struct Stage {
    runtime: Runtime,
    url: Arc<str>,
    in_flight: usize,
    callers: [Caller; Contender::ALL.len()],
}

impl Stage {
    fn new(url: &str, in_flight: usize, limit: usize) -> Self {
        Self {
            // One worker a core. The blocking threads are enough for everybody: 512.
            runtime: Builder::new_multi_thread()
                .enable_all()
                .build()
                .expect("a runtime can be had"),
            url: url.into(),
            in_flight,
            callers: Contender::ALL.map(|contender| {
                let lane = Lane::builder("http").limit(limit);
                Caller::new(contender, in_flight, lane, TIMEOUT)
            }),
        }
    }

    /// How long it takes to make `requests` requests, `in_flight` at a time.
    fn time(&self, contender: usize, requests: u64) -> Duration {
        let left = Arc::new(AtomicU64::new(requests));
        self.runtime.block_on(async {
            let start = Instant::now();
            let tasks: Vec<_> = (0..self.in_flight)
                .map(|_| {
                    let (caller, url) = (self.callers[contender].clone(), self.url.clone());
                    tokio::spawn(one_after_the_other(caller, url, left.clone()))
                })
                .collect();
            for task in tasks {
                task.await.expect("all requests are answered");
            }
            start.elapsed()
        })
    }
}

async fn one_after_the_other(caller: Caller, url: Arc<str>, left: Arc<AtomicU64>) {
    let take = |left: u64| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
    {
        assert_eq!(caller.get(&url).await, answers::BODY);
    }
}

// ===== With criterion =====

fn measure(url: &str) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(15)
        .configure_from_args();
    let mut group = criterion.benchmark_group("http");
    group
        .throughput(Throughput::Elements(1))
        // Samples of one size: a short one would not come to have so many in flight.
        .sampling_mode(SamplingMode::Flat);
    for in_flight in IN_FLIGHT {
        let stage = Stage::new(url, in_flight, in_flight);
        for (at, contender) in Contender::ALL.into_iter().enumerate() {
            group.bench_function(BenchmarkId::new(contender.name(), in_flight), |bencher| {
                bencher.iter_custom(|requests| stage.time(at, requests));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

// ===== In turn =====

fn print_ratios(url: &str) {
    let rounds = figures::rounds(15);
    let names = Contender::ALL.map(Contender::name);
    let row = |in_flight: usize, limit: usize, requests: u64| {
        let stage = Stage::new(url, in_flight, limit);
        turns::in_turn(Contender::ALL.len(), rounds, |contender| {
            requests as f64 / stage.time(contender, requests).as_secs_f64()
        })
    };

    println!("\nRequests a second by requests in flight, median of {rounds} rounds in turn");
    let mut table = Table::begin(&names);
    for (in_flight, requests) in IN_FLIGHT.into_iter().zip(REQUESTS) {
        table.row(in_flight.to_string(), row(in_flight, in_flight, requests));
    }
    table.finish();

    println!("\nThe same with 64 in flight, by the limit of the lane");
    let mut table = Table::begin(&names);
    for limit in LIMITS {
        table.row(limit.to_string(), row(64, limit, 10_000));
    }
    table.finish();
}
