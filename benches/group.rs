//! What does it cost to put a child into a group, and to hear of it?
//!
//! Fixed: a child does nothing; N of them are put in, one after the other, and then what they came to
//! is taken as it comes. Varies: who owns them (the column), how many (the row), what they are and on
//! which kind of runtime (the table). A number is the time for each child in nanoseconds, the median of
//! rounds that take every contender in turn; below are the ratios, round by round.
//!
//! Futures:
//!
//! - `JoinSet`: `tokio::task::JoinSet`.
//! - `Unordered`: `tokio::spawn`, and the handles in a `FuturesUnordered`.
//! - `Group`: [`Group::spawn`].
//!
//! Jobs:
//!
//! - `JoinSet`: its `spawn_blocking`, where nothing bounds how many run.
//! - `Unordered`: [`Lane::offload`], and the tasks in a `FuturesUnordered`.
//! - `Group`: [`Group::offload`], to the same lane of 64.
//!
//! ```text
//! cargo bench --bench group
//! ```
//!
//! `LONGSHORE_ROUNDS` says how many rounds (15).

#[path = "support/figures.rs"]
mod figures;
#[path = "support/turns.rs"]
mod turns;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use longshore::{Group, Lane};
use tokio::{runtime::Builder, task::JoinSet};
use turns::{Table, in_turn};

const CONTENDERS: [&str; 3] = ["JoinSet", "Unordered", "Group"];

/// How many at once, and how often that is done for one figure.
const SIZES: [(usize, usize); 3] = [(1, 500), (64, 50), (10_000, 1)];

fn main() {
    // As a test, which `cargo bench` has not started, it only has to run.
    let real = std::env::args().any(|argument| argument == "--bench");
    let rounds = figures::rounds(if real { 15 } else { 1 });
    let flavours = [
        ("many threads", Builder::new_multi_thread()),
        ("one thread", Builder::new_current_thread()),
    ];
    for (flavour, mut builder) in flavours {
        let runtime = builder.enable_all().build().expect("a runtime can be had");
        for jobs in [false, true] {
            let lane = Lane::builder("group").limit(64).build();
            let what = if jobs { "jobs" } else { "futures" };
            println!("\n{what}, {flavour}: nanoseconds for each, {rounds} rounds");
            let mut table = Table::begin(&CONTENDERS);
            for (size, times) in SIZES {
                let figures = in_turn(CONTENDERS.len(), rounds, |contender| {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        let begun = Instant::now();
                        runtime.block_on(put_in_and_take(contender, jobs, size, &lane));
                        took += begun.elapsed();
                    }
                    took.as_nanos() as f64 / (size * times) as f64
                });
                table.row(size.to_string(), figures);
            }
            table.finish();
        }
    }
}

async fn put_in_and_take(contender: usize, jobs: bool, size: usize, lane: &Lane) {
    match (CONTENDERS[contender], jobs) {
        ("JoinSet", _) => {
            let mut set = JoinSet::new();
            for _ in 0..size {
                if jobs {
                    set.spawn_blocking(|| black_box(1));
                } else {
                    set.spawn(async { black_box(1) });
                }
            }
            while let Some(outcome) = set.join_next().await {
                outcome.expect("nothing stops it");
            }
        }
        ("Unordered", false) => {
            let spawned = (0..size).map(|_| tokio::spawn(async { black_box(1) }));
            let mut handles = spawned.collect::<FuturesUnordered<_>>();
            while let Some(outcome) = handles.next().await {
                outcome.expect("nothing stops it");
            }
        }
        ("Unordered", true) => {
            let offloaded = (0..size).map(|_| lane.offload(|| black_box(1)));
            let mut tasks = offloaded.collect::<FuturesUnordered<_>>();
            while let Some(outcome) = tasks.next().await {
                outcome.expect("nothing stops it");
            }
        }
        _ => {
            let mut group = Group::new();
            for _ in 0..size {
                if jobs {
                    group.offload(lane, || black_box(1));
                } else {
                    group.spawn(async { black_box(1) });
                }
            }
            while let Some(outcome) = group.next().await {
                outcome.expect("nothing stops it");
            }
        }
    }
}
