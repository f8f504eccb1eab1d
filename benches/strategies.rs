//! Twenty slow HTTP calls: how long do they take, and what do they do to everybody else?
//!
//! Fixed: the calls (20 to a loopback server, whose latencies have the proportions of the plan of
//! `longshore compare`: 18 s in all, 0.997 s the longest), the check of every answer, and the
//! runtime: one thread, which a heartbeat shares that is due every 10 ms. Varies: who makes the
//! calls (the function).
//!
//! - `serial`: ureq in a loop.
//! - `naive`: async functions that call ureq directly, joined.
//! - `spawn_blocking`: ureq in `tokio::task::spawn_blocking`, raw.
//! - `offloaded`: `longshore::ureq::Client`, ureq through a lane.
//! - `rayon`: ureq through a lane on a rayon pool of one thread a core.
//! - `native`: reqwest. The baseline.
//!
//! Latencies are divided by 50, so that a run takes about a minute; the group is then called
//! `twenty_calls_360_ms`. To wait the real 18 s:
//!
//! ```text
//! cargo bench --features cli --bench strategies
//! LONGSHORE_REAL_TIME=1 cargo bench --features cli --bench strategies     about ten minutes
//! ```
//!
//! After the times it prints how late the worst heartbeat ran, over all rounds of each strategy.

mod support;

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode};
use futures::future::join_all;
use longshore::Lane;
use support::{heartbeat::Heartbeat, server};
use tokio::runtime::{Builder, Runtime};

/// Milliseconds: the plan of `longshore compare`, seed 0.
const PLAN: [u64; 20] = [
    898, 876, 949, 997, 958, 885, 845, 854, 887, 922, 840, 978, 842, 830, 859, 879, 932, 982, 893,
    894,
];

fn main() {
    let real_time = std::env::var("LONGSHORE_REAL_TIME").is_ok_and(|value| value == "1");
    let (speed, name) = if real_time {
        (1, "twenty_calls_18_s")
    } else {
        (50, "twenty_calls_360_ms")
    };
    // reqwest builds no client without one, also for calls that need no TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let latency = |&millis: &u64| Duration::from_millis(millis) / speed;
    let calls = Calls::new(server::start(PLAN.iter().map(latency).collect()));

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .sample_size(10)
        .configure_from_args();
    let mut group = criterion.benchmark_group(name);
    group
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(5));
    let mut harm = Vec::new();
    for strategy in Strategy::ALL {
        let mut worst = None;
        group.bench_function(strategy.name(), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut wall = Duration::ZERO;
                for _ in 0..rounds {
                    let (time, late) = calls.time(strategy);
                    wall += time;
                    worst = worst.max(Some(late));
                }
                wall
            });
        });
        harm.extend(worst.map(|worst| (strategy.name(), worst)));
    }
    group.finish();
    criterion.final_summary();

    if !harm.is_empty() {
        println!("\nThe worst lateness of an unrelated 10 ms heartbeat on the same runtime:");
    }
    for (name, worst) in harm {
        println!("{name:>15}  {:>10.1} ms", worst.as_secs_f64() * 1e3);
    }
}

#[derive(Clone, Copy)]
enum Strategy {
    Serial,
    Naive,
    SpawnBlocking,
    Offloaded,
    Rayon,
    Native,
}

impl Strategy {
    const ALL: [Self; 6] = [
        Self::Serial,
        Self::Naive,
        Self::SpawnBlocking,
        Self::Offloaded,
        Self::Rayon,
        Self::Native,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Naive => "naive",
            Self::SpawnBlocking => "spawn_blocking",
            Self::Offloaded => "offloaded",
            Self::Rayon => "rayon",
            Self::Native => "native",
        }
    }
}

/// The calls, and everything that is made before the clock starts: runtime, clients, lanes, pool.
struct Calls {
    runtime: Runtime,
    urls: Vec<String>,
    agent: ureq::Agent,
    client: reqwest::Client,
    offloaded: longshore::ureq::Client,
    cpu: Lane,
}

impl Calls {
    fn new(server: SocketAddr) -> Self {
        let count = PLAN.len();
        let cores = available_parallelism().map_or(1, usize::from);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(cores)
            .build()
            .expect("a pool can be had");
        Self {
            runtime: Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be had"),
            urls: (0..count).map(|i| format!("http://{server}/{i}")).collect(),
            agent: ureq::Agent::config_builder()
                .proxy(None)
                .timeout_global(Some(Duration::from_secs(10)))
                .max_idle_connections(count)
                .max_idle_connections_per_host(count)
                .build()
                .new_agent(),
            client: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .timeout(Duration::from_secs(10))
                .pool_max_idle_per_host(count)
                .build()
                .expect("a client without TLS can always be had"),
            offloaded: longshore::ureq::Client::new(
                Lane::builder("calls")
                    .limit(count)
                    .timeout(Duration::from_secs(10))
                    .build(),
                longshore::ureq::agent(longshore::ureq::config().proxy(None).build()),
            ),
            cpu: Lane::builder("cpu")
                .limit(cores)
                .rayon(Arc::new(pool))
                .build(),
        }
    }

    /// One round: how long it took, and how late the worst heartbeat was.
    fn time(&self, strategy: Strategy) -> (Duration, Duration) {
        self.runtime.block_on(async {
            let heartbeat = Heartbeat::start();
            // So that the heartbeat is on its way before anything can block.
            tokio::task::yield_now().await;
            let start = Instant::now();
            let answers = self.run(strategy).await;
            let wall = start.elapsed();
            let late = heartbeat.stop();
            for (index, answer) in answers.iter().enumerate() {
                assert_eq!(*answer, server::body(index), "{}", strategy.name());
            }
            (wall, late)
        })
    }

    async fn run(&self, strategy: Strategy) -> Vec<String> {
        let agent = &self.agent;
        let urls = self.urls.iter().cloned();
        match strategy {
            Strategy::Serial => urls.map(|url| fetch(agent, &url)).collect(),
            Strategy::Naive => join_all(urls.map(async |url| fetch(agent, &url))).await,
            Strategy::SpawnBlocking => {
                let tasks = urls.map(async |url| {
                    let agent = agent.clone();
                    let task = tokio::task::spawn_blocking(move || fetch(&agent, &url));
                    task.await.expect("no call panics")
                });
                join_all(tasks).await
            }
            Strategy::Offloaded => {
                let calls = urls.map(async |url| {
                    let response = self.offloaded.get(url).send().await?;
                    response.error_for_status()?.text().await
                });
                let answers = join_all(calls).await.into_iter();
                answers.map(|text| text.expect("a good answer")).collect()
            }
            Strategy::Rayon => {
                let tasks = urls.map(|url| {
                    let agent = agent.clone();
                    self.cpu.offload(move || fetch(&agent, &url))
                });
                let answers = join_all(tasks).await.into_iter();
                answers.map(|text| text.expect("no call fails")).collect()
            }
            Strategy::Native => {
                let calls = urls.map(async |url| {
                    let response = self.client.get(url).send().await?;
                    response.error_for_status()?.text().await
                });
                let answers = join_all(calls).await.into_iter();
                answers.map(|text| text.expect("a good answer")).collect()
            }
        }
    }
}

/// Blocks until the whole answer is there.
fn fetch(agent: &ureq::Agent, url: &str) -> String {
    let answer = agent.get(url).call().expect("a good answer");
    answer
        .into_body()
        .read_to_string()
        .expect("the whole answer")
}
