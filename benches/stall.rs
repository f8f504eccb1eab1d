//! What does it cost to be watched while nothing stalls?
//!
//! - `poll`: a future that is polled over and over, bare and [`watched`], in nanoseconds a poll; with a
//!   watch and without one.
//! - `watchdog`: how much of one core the thread `longshore-stall` takes, by the system's account of it,
//!   while the runtime has nothing to do, while it is busy, and with many workers.
//! - `work`: processor time of the whole process for some work on a runtime that is watched, over the
//!   same on one that is not. Rounds take them in turn; the ratio of base to base, measured the same
//!   way, says what a difference would have to be larger than.
//! - `report`: how long after the beginning of a stall its report comes, with the default threshold of
//!   100 ms.
//! - `profile`: how much of one core the watchdog takes while it takes samples of workers that block
//!   most of the time.
//! - `names` (feature `stall-stacks`): how long it takes to find the line that is to blame of the first
//!   report in a process, and of the next ones.
//!
//! `watchdog`, `work` and `profile` are known on Linux alone.
//!
//! ```text
//! cargo bench --features stall --bench stall
//! LONGSHORE_ROUNDS=31 cargo bench --features stall-stacks --bench stall
//! ```

#[path = "support/figures.rs"]
mod figures;

use std::{
    fs,
    future::poll_fn,
    hint::black_box,
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use figures::{Ratio, median, rounds};
use longshore::stall::{Watch, Watching, watched};
use tokio::runtime::{Builder, Handle, Runtime};

fn main() {
    // `cargo test` runs benches too, to see that they can be run.
    let in_earnest = std::env::args().any(|argument| argument == "--bench");
    let rounds = if in_earnest { rounds(21) } else { 1 };
    let polls = if in_earnest { 2_000_000 } else { 1_000 };
    let seconds = Duration::from_millis(if in_earnest { 4_000 } else { 50 });
    let tasks = if in_earnest { 50_000 } else { 100 };
    print_polls(rounds, polls);
    // Where the system tells nobody, nothing is made up.
    let accounts = fs::exists("/proc/self/schedstat").unwrap_or(false);
    if accounts {
        print_watchdog(seconds);
        print_work(rounds, tasks);
    } else {
        println!("\nwatchdog, work, profile: not known, there is no /proc/self/schedstat");
    }
    #[cfg(all(feature = "stall-stacks", target_os = "linux", target_arch = "x86_64"))]
    print_names(rounds);
    print_report(rounds);
    if accounts {
        print_profile(seconds);
    }
}

fn two_workers() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    builder
}

fn watched_runtime(workers: usize) -> (Runtime, Watching) {
    let built = Watch::new().build(two_workers().worker_threads(workers));
    built.expect("threads can be had")
}

// ===== A poll =====

/// Nanoseconds for each poll of a future that is never ready.
fn poll_over_and_over(future: impl Future<Output = ()>, polls: u32) -> f64 {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let start = Instant::now();
    for _ in 0..polls {
        let _ = black_box(black_box(&mut future).as_mut().poll(&mut context));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(polls)
}

fn never() -> impl Future<Output = ()> {
    poll_fn(|_| black_box(Poll::Pending))
}

fn print_polls(rounds: usize, polls: u32) {
    let (mut bare, mut alone, mut with_watch) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(poll_over_and_over(never(), polls));
        alone.push(poll_over_and_over(watched(never()), polls));
        let (runtime, _watching) = watched_runtime(2);
        let _entered = runtime.enter();
        with_watch.push(poll_over_and_over(watched(never()), polls));
    }
    println!("poll: ns each, median of {rounds} rounds of {polls}");
    for (name, figures) in [
        ("bare", bare),
        ("watched, no watch", alone),
        ("watched, and a watch", with_watch),
    ] {
        println!("{name:>24} {:>8.1}", median(&figures));
    }
}

// ===== The watchdog =====

/// The processor time of this process's threads, of those with such a name.
fn used_by(is_meant: impl Fn(&str) -> bool) -> Duration {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks
        .filter_map(|task| {
            let path = task.ok()?.path();
            let found = fs::read_to_string(path.join("comm")).ok()?;
            let schedstat = fs::read_to_string(path.join("schedstat")).ok()?;
            let used: u64 = schedstat.split_ascii_whitespace().next()?.parse().ok()?;
            is_meant(found.trim_end()).then(|| Duration::from_nanos(used))
        })
        .sum()
}

/// Per cent of a core.
fn share(time: Duration) -> f64 {
    let used = || used_by(|name| name == "longshore-stall");
    let (start, before) = (Instant::now(), used());
    thread::sleep(time);
    let used = used().saturating_sub(before);
    100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64()
}

/// Short polls, timers, and a queue that is never empty for long.
async fn busy() {
    loop {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(50) {
            std::hint::spin_loop();
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn print_watchdog(time: Duration) {
    println!("\nwatchdog: per cent of a core, tick 10 ms");
    for (name, workers, tasks) in [
        ("idle", 2, 0),
        ("idle, 64 workers", 64, 0),
        ("busy, 4 tasks", 2, 4),
        ("busy, 50 tasks", 2, 50),
        ("busy, 64 and 500", 64, 500),
    ] {
        let (runtime, _watching) = watched_runtime(workers);
        for _ in 0..tasks {
            runtime.spawn(busy());
        }
        println!("{name:>24} {:>8.2}", share(time));
        runtime.shutdown_background();
    }
}

// ===== Work =====

#[derive(Clone, Copy)]
enum Work {
    Spawn,
    Yield,
    PingPong,
}

impl Work {
    const ALL: [(&'static str, Self); 3] = [
        ("spawn", Self::Spawn),
        ("yield", Self::Yield),
        ("ping-pong", Self::PingPong),
    ];

    async fn run(self, times: u32) {
        match self {
            Self::Spawn => {
                for _ in 0..times {
                    tokio::spawn(async {}).await.expect("it does not panic");
                }
            }
            Self::Yield => {
                let yields = async move {
                    for _ in 0..times {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::spawn(yields).await.expect("it does not panic");
            }
            Self::PingPong => {
                let (ping, mut pinged) = tokio::sync::mpsc::channel(1);
                let (pong, mut ponged) = tokio::sync::mpsc::channel(1);
                let other = tokio::spawn(async move {
                    while pinged.recv().await.is_some() {
                        let _ = pong.send(()).await;
                    }
                });
                for _ in 0..times {
                    let _ = ping.send(()).await;
                    ponged.recv().await;
                }
                drop(ping);
                other.await.expect("it does not panic");
            }
        }
    }
}

fn cost(runtime: &Runtime, work: Work, times: u32) -> f64 {
    let used = || used_by(|_| true);
    let before = used();
    runtime
        .block_on(runtime.spawn(work.run(times)))
        .expect("it does not panic");
    used().saturating_sub(before).as_secs_f64()
}

fn print_work(rounds: usize, times: u32) {
    println!(
        "\nwork: processor time, watched over not watched, median of {rounds} rounds (middle half)"
    );
    for (name, work) in Work::ALL {
        let (mut base, mut again, mut with_watch) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let plain = || two_workers().build().expect("threads can be had");
            base.push(cost(&plain(), work, times));
            again.push(cost(&plain(), work, times));
            let (runtime, _watching) = watched_runtime(2);
            with_watch.push(cost(&runtime, work, times));
        }
        println!(
            "{name:>24} {}   base over base {}",
            Ratio::of(&with_watch, &base),
            Ratio::of(&again, &base)
        );
    }
}

// ===== A report =====

fn print_report(rounds: usize) {
    println!("\nreport: ms after the beginning of a sleep, of {rounds} rounds");
    let one = || Builder::new_current_thread().enable_all().build();
    for (name, current) in [("current thread", true), ("multi thread", false)] {
        let mut took = Vec::new();
        for _ in 0..rounds {
            let (tell, told) = mpsc::channel();
            let watch = Watch::new().on_stall(move |_| {
                let _ = tell.send(Instant::now());
            });
            let sleep = async {
                let start = Instant::now();
                thread::sleep(Duration::from_millis(300));
                start
            };
            let start = if current {
                let runtime = one().expect("it can be built");
                runtime.block_on(async {
                    let _watching = watch.attach(&Handle::current());
                    tokio::spawn(sleep).await
                })
            } else {
                let (runtime, _watching) =
                    watch.build(&mut two_workers()).expect("threads can be had");
                runtime.block_on(runtime.spawn(sleep))
            };
            let start = start.expect("it does not panic");
            let told = told.recv_timeout(Duration::from_secs(10));
            let told = told.expect("it is reported");
            took.push(told.duration_since(start).as_secs_f64() * 1e3);
        }
        let worst = took.iter().copied().fold(0.0, f64::max);
        println!("{name:>24} {:>8.0}   worst {worst:.0}", median(&took));
    }
}

// ===== A profile =====

fn print_profile(time: Duration) {
    println!("\nprofile: per cent of a core while samples are taken, each worker asleep in a poll");
    for workers in [1, 2, 16] {
        let (runtime, watching) = watched_runtime(workers);
        for _ in 0..workers {
            runtime.spawn(async {
                loop {
                    thread::sleep(Duration::from_millis(20));
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        let profile = watching.profile_for(2 * time);
        let used = share(time);
        drop(profile);
        println!("{workers:>15} worker(s) {used:>8.2}");
        runtime.shutdown_background();
    }
}

// ===== Names =====

/// A function of its own also in a build that is optimised, so that it has a name there.
#[cfg(all(feature = "stall-stacks", target_os = "linux", target_arch = "x86_64"))]
#[inline(never)]
fn sleeps() {
    thread::sleep(black_box(Duration::from_millis(250)));
    black_box(());
}

#[cfg(all(feature = "stall-stacks", target_os = "linux", target_arch = "x86_64"))]
fn print_names(rounds: usize) {
    let (tell, told) = mpsc::channel();
    let (runtime, _watching) = Watch::new()
        .on_stall(move |stall| {
            let start = Instant::now();
            let blame = stall.blame();
            let _ = tell.send((start.elapsed(), blame));
        })
        .build(&mut two_workers())
        .expect("threads can be had");
    let mut took = Vec::new();
    for _ in 0..rounds.max(2) {
        let blocked = runtime.spawn(async { sleeps() });
        runtime.block_on(blocked).expect("it does not panic");
        let told = told.recv_timeout(Duration::from_secs(10));
        let (time, blame) = told.expect("it is reported");
        assert!(blame.is_some(), "nobody is to blame");
        took.push(time.as_secs_f64() * 1e3);
    }
    let first = took.remove(0);
    println!("\nnames: ms until the line to blame is known");
    println!("{:>24} {first:>8.2}", "first");
    println!("{:>24} {:>8.3}", "later", median(&took));
}
