//! A lane under everything at once, for as long as it takes to see a leak.
//!
//! Hands in jobs of which one in a hundred panics, five are cancelled, five time out and five lose
//! their callers, with 512 in flight on 32 threads, and prints memory, threads and file descriptors
//! as it goes. In the end the books have to add up and everything has to be back.
//!
//! ```text
//! cargo run --release --example soak -- 1000000
//! ```

use std::{
    fs, panic,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use longshore::{Error, Lane};

const LIMIT: usize = 32;
const IN_FLIGHT: usize = 512;

#[tokio::main]
async fn main() {
    let jobs: u64 = match std::env::args().nth(1).map(|arg| arg.parse()) {
        None => 300_000,
        Some(Ok(jobs)) => jobs,
        Some(Err(_)) => {
            eprintln!("usage: soak [JOBS], a whole number such as 1000000");
            std::process::exit(2);
        }
    };
    // One in a hundred panics, on purpose; a million times the default message would be noise.
    panic::set_hook(Box::new(|_| ()));

    let lane = Lane::builder("soak").limit(LIMIT).build();
    let begun = Instant::now();
    let mut seen = Seen::default();
    let mut in_flight = FuturesUnordered::new();
    println!(
        "{:>9} {:>9} {:>8} {:>5}",
        "jobs", "memory", "threads", "files"
    );
    for n in 0..jobs {
        if n % (jobs / 10).max(1) == 0 {
            println!(
                "{n:>9} {:>7} K {:>8} {:>5}",
                memory_kib(),
                threads(),
                files()
            );
        }
        match n % 100 {
            0 => in_flight.push(lane.offload(|| panic!("on purpose"))),
            1..=5 => {
                let task = lane.offload(move || n);
                task.cancel();
                in_flight.push(task);
            }
            6..=10 => {
                let patience = Duration::from_micros(n % 500);
                in_flight.push(lane.timeout(patience).offload(move || n));
            }
            11..=15 => drop(lane.offload(move || n)),
            _ => in_flight.push(lane.offload(move || n)),
        }
        while in_flight.len() >= IN_FLIGHT {
            seen.count(in_flight.next().await);
        }
    }
    while let Some(outcome) = in_flight.next().await {
        seen.count(Some(outcome));
    }

    let ended = lane
        .shutdown(Duration::from_secs(5))
        .await
        .expect("nothing is stuck");
    let stats = lane.stats();
    println!(
        "{jobs:>9} {:>7} K {:>8} {:>5}",
        memory_kib(),
        threads(),
        files()
    );
    println!(
        "{seen:?} after {:.1?}; at shutdown {ended:?}",
        begun.elapsed()
    );
    println!("most at once on threads: {} of {LIMIT}", stats.peak_running);

    assert_eq!(
        (stats.waiting, stats.running, stats.draining, stats.workers),
        (0, 0, 0, 0)
    );
    assert_eq!(stats.submitted, jobs);
    assert_eq!(
        stats.submitted,
        stats.completed + stats.panicked + stats.cancelled + stats.timed_out
    );
    assert!(stats.peak_running <= LIMIT);
}

/// What the callers were told.
#[derive(Debug, Default)]
struct Seen {
    completed: u64,
    panicked: u64,
    cancelled: u64,
    timed_out: u64,
}

impl Seen {
    fn count(&mut self, outcome: Option<Result<u64, Error>>) {
        match outcome.expect("there is one in flight") {
            Ok(_) => self.completed += 1,
            Err(Error::Panicked(_)) => self.panicked += 1,
            Err(Error::Cancelled { .. }) => self.cancelled += 1,
            Err(Error::TimedOut { .. }) => self.timed_out += 1,
            Err(error) => panic!("not among what can happen here: {error}"),
        }
    }
}

/// Resident memory; zero where there is no procfs.
fn memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
