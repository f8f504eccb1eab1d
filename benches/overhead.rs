//! What does it cost to hand a job over and hear back?
//!
//! Fixed: the job does nothing, and one async task keeps exactly N of them in flight: it hands N
//! in, and for each one that comes back the next. Varies: who runs them (the function), how many
//! are in flight (the parameter), and on which kind of runtime the task runs (the group). A number
//! is the time for each job with that many in flight.
//!
//! - `lane`: [`Lane::offload`] with a limit of 64 and a timeout of 10 s; deadline, cancellation,
//!   panic isolation and accounts are at work, as nothing switches them off.
//! - `spawn_blocking`: `tokio::task::spawn_blocking`, raw: no limit, no deadline.
//! - `blocking`: `blocking::unblock`, on the pool of that crate.
//! - `tokio_rayon`: `tokio_rayon::spawn`, on rayon's global pool of one thread a core.
//!
//! Criterion measures one function after the other, so that a machine that gets slower meanwhile
//! wrongs the later ones. The ratios that are printed at the end are therefore measured apart, in
//! rounds that take every contender in turn: median over median.
//!
//! ```text
//! cargo bench --bench overhead                    all of it, about 3 minutes
//! cargo bench --bench overhead -- ratios          the ratios alone
//! cargo bench --bench overhead -- current_thread  one group, without the ratios
//! ```

#[path = "support/flavour.rs"]
mod flavour;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use futures::{StreamExt as _, stream::FuturesUnordered};
use longshore::Lane;
use tokio::runtime::Runtime;

use self::flavour::Flavour;

const IN_FLIGHT: [usize; 4] = [1, 4, 64, 512];

/// How often every contender has its turn when the ratios are measured.
const ROUNDS: usize = 15;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    for flavour in Flavour::ALL {
        measure(&mut criterion, flavour);
    }
    criterion.final_summary();

    // Only in a real run, as `cargo bench` starts it, and if nothing else was asked for by name.
    let mut args = std::env::args().skip(1);
    let benches = std::env::args().any(|arg| arg == "--bench");
    if benches && args.all(|arg| arg == "--bench" || arg == "ratios") {
        for flavour in Flavour::ALL {
            print_ratios(flavour);
        }
    }
}

// ===== The workload =====

/// Has `jobs` jobs run, `in_flight` at a time, and says how long that took. `check` is given what comes of
/// each: to refuse a job is no way to be fast.
async fn keep_in_flight<F: Future>(
    in_flight: usize,
    jobs: u64,
    mut hand_in: impl FnMut() -> F,
    mut check: impl FnMut(F::Output),
) -> Duration {
    let start = Instant::now();
    let mut left = jobs;
    let mut under_way = FuturesUnordered::new();
    while left > 0 && under_way.len() < in_flight {
        under_way.push(hand_in());
        left -= 1;
    }
    while let Some(outcome) = under_way.next().await {
        check(black_box(outcome));
        if left > 0 {
            under_way.push(hand_in());
            left -= 1;
        }
    }
    start.elapsed()
}

// ===== The contenders =====

#[derive(Clone, Copy)]
enum Contender {
    Lane,
    SpawnBlocking,
    Blocking,
    TokioRayon,
}

impl Contender {
    const ALL: [Self; 4] = [
        Self::Lane,
        Self::SpawnBlocking,
        Self::Blocking,
        Self::TokioRayon,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Lane => "lane",
            Self::SpawnBlocking => "spawn_blocking",
            Self::Blocking => "blocking",
            Self::TokioRayon => "tokio_rayon",
        }
    }
}

/// One runtime, and the lane that is used on it.
struct Stage {
    runtime: Runtime,
    lane: Lane,
}

impl Stage {
    fn new(flavour: Flavour) -> Self {
        Self {
            runtime: flavour.build(),
            lane: Lane::builder("overhead")
                .limit(64)
                .timeout(Duration::from_secs(10))
                .build(),
        }
    }

    /// In a task of the runtime, as a program's own code would be, and not in `block_on`.
    fn time(&self, contender: Contender, in_flight: usize, jobs: u64) -> Duration {
        let lane = self.lane.clone();
        let task = self.runtime.spawn(async move {
            match contender {
                Contender::Lane => {
                    let hand_in = || lane.offload(|| black_box(()));
                    keep_in_flight(in_flight, jobs, hand_in, |done| done.expect("it is run")).await
                }
                Contender::SpawnBlocking => {
                    let hand_in = || tokio::task::spawn_blocking(|| black_box(()));
                    keep_in_flight(in_flight, jobs, hand_in, |done| done.expect("it is run")).await
                }
                // These two have no other outcome.
                Contender::Blocking => {
                    let hand_in = || blocking::unblock(|| black_box(()));
                    keep_in_flight(in_flight, jobs, hand_in, |()| ()).await
                }
                Contender::TokioRayon => {
                    let hand_in = || tokio_rayon::spawn(|| black_box(()));
                    keep_in_flight(in_flight, jobs, hand_in, |()| ()).await
                }
            }
        });
        self.runtime.block_on(task).expect("no job panics")
    }
}

// ===== With criterion =====

fn measure(criterion: &mut Criterion, flavour: Flavour) {
    let stage = Stage::new(flavour);
    let mut group = criterion.benchmark_group(flavour.name());
    group
        .throughput(Throughput::Elements(1))
        // Samples of one size: a short one would not come to have so many in flight.
        .sampling_mode(SamplingMode::Flat);
    for in_flight in IN_FLIGHT {
        for contender in Contender::ALL {
            group.bench_function(BenchmarkId::new(contender.name(), in_flight), |bencher| {
                bencher.iter_custom(|jobs| stage.time(contender, in_flight, jobs));
            });
        }
    }
    group.finish();
}

// ===== In turn =====

fn print_ratios(flavour: Flavour) {
    let stage = Stage::new(flavour);
    println!(
        "\n{}: time for each job, median of {ROUNDS} rounds in turn (in brackets: as many times \
         the lane's)",
        flavour.name()
    );
    print!("{:>9}", "in flight");
    for contender in Contender::ALL {
        print!("  {:>20}", contender.name());
    }
    println!();
    for in_flight in IN_FLIGHT {
        let medians = in_turn(&stage, in_flight);
        print!("{in_flight:>9}");
        for median in medians {
            let ratio = format!("({:.2} x)", median / medians[0]);
            print!("  {median:>8.2} µs {ratio:>8}");
        }
        println!();
    }
}

/// Microseconds for each job, one median for each contender.
fn in_turn(stage: &Stage, in_flight: usize) -> [f64; 4] {
    let jobs = if in_flight < 64 { 2_000 } else { 20_000 };
    let mut rounds = [const { Vec::new() }; 4];
    // The first round warms up and does not count.
    for round in 0..=ROUNDS {
        for (contender, times) in Contender::ALL.into_iter().zip(&mut rounds) {
            let time = stage.time(contender, in_flight, jobs);
            if round > 0 {
                times.push(time.as_secs_f64() * 1e6 / jobs as f64);
            }
        }
    }
    rounds.map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    })
}
