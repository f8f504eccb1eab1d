//! What does it cost to have a blocking object used, by a closure that comes to it?
//!
//! Fixed: one connection of SQLite, in memory, and one async task that keeps exactly N closures for
//! it in flight: it hands N in, and for each one that comes back the next. Varies: who brings
//! closure and connection together (the function), how many are in flight (the parameter), what a
//! closure does, and on which kind of runtime the task runs (the group). A number is the time for
//! each closure with that many in flight.
//!
//! What closures do: `nothing`, which leaves the cost of the way there and back, or `query`, one row
//! by primary key with a prepared statement.
//!
//! - `resource`: [`Resource::with`], with a timeout of 10 s; deadline, cancellation, panic isolation
//!   and accounts are at work, as nothing switches them off.
//! - `lane`: the same from a [`Lane`] with a limit of 1 on own threads, and an `Arc<Mutex<_>>`.
//! - `tokio_rusqlite`: `tokio_rusqlite::Connection::call`: a thread of its own as well, behind a
//!   channel without bound. No deadline, no cancellation.
//! - `deadpool_sync`: `SyncWrapper::interact`: Tokio's blocking pool and a mutex. No deadline, no
//!   cancellation.
//! - `mutex`: `spawn_blocking` and an `Arc<Mutex<_>>`, which is what the former does, by hand.
//!
//! deadpool itself is left out: what a pool's `get` and the return of the object cost comes on top
//! of `interact`, and has no counterpart here.
//!
//! Criterion measures one function after the other, so that a machine that gets slower meanwhile
//! wrongs the later ones. The ratios that are printed at the end are therefore measured apart, in
//! rounds that take every contender in turn: median over median.
//!
//! ```text
//! cargo bench --bench resource                 all of it, about 4 minutes
//! cargo bench --bench resource -- ratios       the ratios alone
//! cargo bench --bench resource -- nothing      two groups, without the ratios
//! ```

#[path = "support/flavour.rs"]
mod flavour;

use std::{
    fmt,
    hint::black_box,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use deadpool_runtime::Runtime as DeadpoolRuntime;
use deadpool_sync::SyncWrapper;
use futures::{StreamExt as _, stream::FuturesUnordered};
use longshore::{Lane, Resource, Threads};
use rusqlite::Connection;
use tokio::runtime::Runtime;

use self::flavour::Flavour;

const IN_FLIGHT: [usize; 3] = [1, 4, 64];

/// How often every contender has its turn when the ratios are measured.
const ROUNDS: usize = 15;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    for flavour in Flavour::ALL {
        for work in Work::ALL {
            measure(&mut criterion, flavour, work);
        }
    }
    criterion.final_summary();

    // Only in a real run, as `cargo bench` starts it, and if nothing else was asked for by name.
    let mut args = std::env::args().skip(1);
    let benches = std::env::args().any(|arg| arg == "--bench");
    if benches && args.all(|arg| arg == "--bench" || arg == "ratios") {
        for flavour in Flavour::ALL {
            for work in Work::ALL {
                print_ratios(flavour, work);
            }
        }
    }
}

// ===== The workload =====

/// What a closure does with the connection.
#[derive(Clone, Copy)]
enum Work {
    Nothing,
    Query,
}

impl Work {
    const ALL: [Self; 2] = [Self::Nothing, Self::Query];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Query => "query",
        }
    }

    fn run(self, db: &mut Connection) -> i64 {
        match self {
            Self::Nothing => black_box(7),
            Self::Query => db
                .prepare_cached("SELECT total FROM orders WHERE id = ?1")
                .and_then(|mut query| query.query_row([black_box(500)], |row| row.get(0)))
                .expect("the row is there"),
        }
    }
}

fn open() -> rusqlite::Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.execute_batch(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER);
         WITH RECURSIVE ids (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < 1000)
         INSERT INTO orders SELECT id, 2 * id FROM ids",
    )?;
    Ok(db)
}

/// Has `calls` calls made, `in_flight` at a time, and says how long that took. All of them are to be
/// carried out: to refuse a call is no way to be fast.
async fn keep_in_flight<F, T, E: fmt::Debug>(
    in_flight: usize,
    calls: u64,
    mut call: impl FnMut() -> F,
) -> Duration
where
    F: Future<Output = Result<T, E>>,
{
    let start = Instant::now();
    let mut left = calls;
    let mut under_way = FuturesUnordered::new();
    while left > 0 && under_way.len() < in_flight {
        under_way.push(call());
        left -= 1;
    }
    while let Some(outcome) = under_way.next().await {
        black_box(outcome.expect("it is carried out"));
        if left > 0 {
            under_way.push(call());
            left -= 1;
        }
    }
    start.elapsed()
}

// ===== The contenders =====

#[derive(Clone, Copy)]
enum Contender {
    Resource,
    Lane,
    TokioRusqlite,
    DeadpoolSync,
    Mutex,
}

impl Contender {
    const ALL: [Self; 5] = [
        Self::Resource,
        Self::Lane,
        Self::TokioRusqlite,
        Self::DeadpoolSync,
        Self::Mutex,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Lane => "lane",
            Self::TokioRusqlite => "tokio_rusqlite",
            Self::DeadpoolSync => "deadpool_sync",
            Self::Mutex => "mutex",
        }
    }
}

/// One runtime, and a connection for each contender.
struct Stage {
    runtime: Runtime,
    resource: Resource<Connection>,
    lane: Lane,
    tokio_rusqlite: tokio_rusqlite::Connection,
    deadpool_sync: Option<Arc<SyncWrapper<Connection>>>,
    mutex: Arc<Mutex<Connection>>,
}

impl Stage {
    fn new(flavour: Flavour) -> Self {
        let runtime = flavour.build();
        let wrapped = runtime.block_on(SyncWrapper::new(DeadpoolRuntime::Tokio1, open));
        let connection = || open().expect("memory can be had");
        Self {
            runtime,
            resource: Resource::builder("bench", open)
                .timeout(Duration::from_secs(10))
                .build(),
            lane: Lane::builder("bench-lane")
                .limit(1)
                .timeout(Duration::from_secs(10))
                .own_threads(Threads::new())
                .build(),
            tokio_rusqlite: connection().into(),
            deadpool_sync: Some(Arc::new(wrapped.expect("memory can be had"))),
            mutex: Arc::new(Mutex::new(connection())),
        }
    }

    /// In a task of the runtime, as a program's own code would be, and not in `block_on`.
    fn time(&self, contender: Contender, work: Work, in_flight: usize, calls: u64) -> Duration {
        let (resource, lane) = (self.resource.clone(), self.lane.clone());
        let tokio_rusqlite = self.tokio_rusqlite.clone();
        let deadpool_sync = self.deadpool_sync.clone();
        let mutex = self.mutex.clone();
        let task = self.runtime.spawn(async move {
            match contender {
                Contender::Resource => {
                    let call = || resource.with(move |db, _| work.run(db));
                    keep_in_flight(in_flight, calls, call).await
                }
                Contender::Lane => {
                    let call = || {
                        let db = mutex.clone();
                        lane.offload(move || work.run(&mut db.lock().expect("no closure panics")))
                    };
                    keep_in_flight(in_flight, calls, call).await
                }
                Contender::TokioRusqlite => {
                    let call =
                        || tokio_rusqlite.call(move |db| Ok::<_, rusqlite::Error>(work.run(db)));
                    keep_in_flight(in_flight, calls, call).await
                }
                Contender::DeadpoolSync => {
                    let wrapper = deadpool_sync.expect("it is there until the stage is dropped");
                    let call = || wrapper.interact(move |db| work.run(db));
                    keep_in_flight(in_flight, calls, call).await
                }
                Contender::Mutex => {
                    let call = || {
                        let db = mutex.clone();
                        tokio::task::spawn_blocking(move || {
                            work.run(&mut db.lock().expect("no closure panics"))
                        })
                    };
                    keep_in_flight(in_flight, calls, call).await
                }
            }
        });
        self.runtime.block_on(task).expect("no closure panics")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The wrapper has its connection dropped by the runtime that it finds itself in, and panics
        // where there is none.
        let _context = self.runtime.enter();
        self.deadpool_sync = None;
    }
}

// ===== With criterion =====

fn measure(criterion: &mut Criterion, flavour: Flavour, work: Work) {
    let stage = Stage::new(flavour);
    let name = format!("{}/{}", flavour.name(), work.name());
    let mut group = criterion.benchmark_group(name);
    group
        .throughput(Throughput::Elements(1))
        // Samples of one size: a short one would not come to have so many in flight.
        .sampling_mode(SamplingMode::Flat);
    for in_flight in IN_FLIGHT {
        for contender in Contender::ALL {
            group.bench_function(BenchmarkId::new(contender.name(), in_flight), |bencher| {
                bencher.iter_custom(|calls| stage.time(contender, work, in_flight, calls));
            });
        }
    }
    group.finish();
}

// ===== In turn =====

fn print_ratios(flavour: Flavour, work: Work) {
    let stage = Stage::new(flavour);
    println!(
        "\n{}, {}: time for each call, median of {ROUNDS} rounds in turn (in brackets: as many \
         times the resource's)",
        flavour.name(),
        work.name()
    );
    print!("{:>9}", "in flight");
    for contender in Contender::ALL {
        print!("  {:>20}", contender.name());
    }
    println!();
    for in_flight in IN_FLIGHT {
        let medians = in_turn(&stage, work, in_flight);
        print!("{in_flight:>9}");
        for median in medians {
            let ratio = format!("({:.2} x)", median / medians[0]);
            print!("  {median:>8.2} µs {ratio:>8}");
        }
        println!();
    }
}

/// Microseconds for each call, one median for each contender.
fn in_turn(stage: &Stage, work: Work, in_flight: usize) -> [f64; 5] {
    let calls = if in_flight < 64 { 2_000 } else { 10_000 };
    let mut rounds = [const { Vec::new() }; 5];
    // The first round warms up and does not count.
    for round in 0..=ROUNDS {
        for (contender, times) in Contender::ALL.into_iter().zip(&mut rounds) {
            let time = stage.time(contender, work, in_flight, calls);
            if round > 0 {
                times.push(time.as_secs_f64() * 1e6 / calls as f64);
            }
        }
    }
    rounds.map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    })
}
