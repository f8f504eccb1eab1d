//! How fast does a large body come, plain and with TLS?
//!
//! Fixed: one GET request to a server on 127.0.0.1, a process of its own, that sends so many MiB of
//! zeros as fast as they are taken; the client counts them and keeps none. Varies: who reads (the
//! function), and whether there is TLS (the group).
//!
//! - `stock`: ureq in `tokio::task::spawn_blocking`, which reads the body there, 128 KiB at a time.
//! - `reqwest`: the native async client, chunk by chunk.
//! - `agent`: as `stock`, with `longshore::ureq::agent` in a lane.
//!
//! - `client`: `longshore::ureq::Client`, a stream of chunks.
//!
//! `stock` and `agent` do not bring a byte of the body to async code: they are what can be had where
//! that is not needed.
//!
//! Criterion takes bodies of 64 MiB, the ratios, for which the contenders take turns, 1 GiB;
//! `LONGSHORE_BODY_MIB` sets both. A ratio is the median of the ratios of each round, with what the
//! middle half of them lies between. While the ratios are measured the client holds 100 more bodies,
//! of which nobody reads any further, on the same lane, whose limit is 4; how many threads these
//! hold is printed.
//!
//! ```text
//! cargo bench --features cli --bench bodies                 both, about 3 minutes
//! cargo bench --features cli --bench bodies -- ratios       the ratios alone
//! LONGSHORE_ROUNDS=21 LONGSHORE_BODY_MIB=256 cargo bench --features cli --bench bodies -- ratios
//! ```

#[path = "support/body_server.rs"]
mod body_server;
#[path = "support/child.rs"]
mod child;
#[path = "support/figures.rs"]
mod figures;
#[path = "support/turns.rs"]
mod turns;

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use child::Child;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use futures::TryStreamExt as _;
use longshore::{
    Lane,
    ureq::{Client, ResponseBody},
};
use tokio::runtime::{Builder, Runtime};
use turns::Table;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// So many half-read bodies wait while the ratios are measured.
const HELD: usize = 100;

fn main() {
    if child::role().is_some() {
        body_server::serve();
    }
    let mut server = Child::start("server");
    let stages = [
        ("plain", Stage::new(&server.line(), None)),
        ("tls", {
            let url = server.line();
            let certificate = body_server::certificate(&server.line());
            Stage::new(&url, Some(certificate))
        }),
    ];

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "ratios") {
        let mut criterion = Criterion::default()
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(5))
            .sample_size(10)
            .configure_from_args();
        for (name, stage) in &stages {
            measure(&mut criterion, name, stage, mebibytes(64));
        }
        criterion.final_summary();
    }
    // Only in a real run, as `cargo bench` starts it, and if nothing else was asked for by name.
    let named = |argument: &String| argument != "--bench" && argument != "ratios";
    if arguments.iter().any(|argument| argument == "--bench") && !arguments.iter().any(named) {
        print_ratios(&stages, mebibytes(1024));
    }
}

/// `LONGSHORE_BODY_MIB`, or `default`.
fn mebibytes(default: u64) -> u64 {
    let set = std::env::var("LONGSHORE_BODY_MIB").ok();
    set.map_or(default, |set| {
        set.parse().expect("LONGSHORE_BODY_MIB is a whole number")
    })
}

// ===== The contenders =====

#[derive(Clone, Copy)]
enum Contender {
    Stock,
    Reqwest,
    Agent,
    Client,
}

impl Contender {
    const ALL: [Self; 4] = [Self::Stock, Self::Reqwest, Self::Agent, Self::Client];

    fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Reqwest => "reqwest",
            Self::Agent => "agent",
            Self::Client => "client",
        }
    }
}

/// One runtime, and a client for each contender, which trusts one server.
struct Stage {
    runtime: Runtime,
    url: String,
    stock: ureq::Agent,
    reqwest: reqwest::Client,
    agent: ureq::Agent,
    lane: Lane,
    client: Client,
}

impl Stage {
    fn new(url: &str, certificate: Option<Vec<u8>>) -> Self {
        let roots = certificate.iter().map(|der| Certificate::from_der(der));
        let roots: Vec<_> = roots.map(|root| root.to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(roots))
            .build();
        let certificates = certificate.iter().map(|der| {
            reqwest::Certificate::from_der(der).expect("a certificate that has just been made")
        });
        let agent = longshore::ureq::agent(
            longshore::ureq::config()
                .proxy(None)
                .tls_config(tls.clone())
                .build(),
        );
        let lane = Lane::builder("bodies").limit(4).build();
        // reqwest builds no client without one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            runtime: Builder::new_multi_thread()
                .enable_all()
                .build()
                .expect("a runtime can be had"),
            url: url.to_owned(),
            stock: ureq::Agent::config_builder()
                .proxy(None)
                .tls_config(tls)
                .build()
                .new_agent(),
            reqwest: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only(certificates)
                .build()
                .expect("a client with one certificate can be had"),
            client: Client::new(lane.clone(), agent.clone()),
            agent,
            lane,
        }
    }

    /// How long it takes to read `bodies` bodies of so many MiB, one after the other.
    fn time(&self, contender: Contender, mib: u64, bodies: u64) -> Duration {
        let url = format!("{}{}", self.url, mib << 20);
        let all = async {
            let start = Instant::now();
            for _ in 0..bodies {
                assert_eq!(self.read(contender, &url).await, mib << 20);
            }
            start.elapsed()
        };
        self.runtime.block_on(all)
    }

    async fn read(&self, contender: Contender, url: &str) -> u64 {
        match contender {
            Contender::Stock => {
                let (agent, url) = (self.stock.clone(), url.to_owned());
                let task = tokio::task::spawn_blocking(move || read(&agent, &url));
                task.await.expect("the whole body")
            }
            Contender::Reqwest => {
                let response = self.reqwest.get(url).send().await;
                let mut response = response.expect("a good answer");
                let mut bytes = 0;
                while let Some(chunk) = response.chunk().await.expect("the whole body") {
                    bytes += chunk.len() as u64;
                }
                bytes
            }
            Contender::Agent => {
                let (agent, url) = (self.agent.clone(), url.to_owned());
                let task = self.lane.offload(move || read(&agent, &url));
                task.await.expect("the whole body")
            }
            Contender::Client => {
                let response = self.client.get(url).send().await;
                let mut body = response.expect("a good answer").stream();
                let mut bytes = 0;
                while let Some(chunk) = body.try_next().await.expect("the whole body") {
                    bytes += chunk.len() as u64;
                }
                bytes
            }
        }
    }

    /// Bodies of which the first chunk was read, and how many threads these hold.
    fn hold(&self, bodies: usize) -> (Vec<ResponseBody>, usize) {
        // More than all buffers on the way can take.
        let url = format!("{}{}", self.url, 1_u64 << 30);
        self.runtime.block_on(async {
            let mut held = Vec::new();
            for _ in 0..bodies {
                let response = self.client.get(&url).send().await;
                let mut body = response.expect("a good answer").stream();
                body.try_next().await.expect("the first chunk");
                held.push(body);
            }
            // Longer than it takes to read ahead, and than an idle thread lingers.
            tokio::time::sleep(Duration::from_millis(500)).await;
            (held, self.lane.stats().workers)
        })
    }
}

/// Blocks until the whole body has been read, and says how long it was.
fn read(agent: &ureq::Agent, url: &str) -> u64 {
    let answer = agent.get(url).call().expect("a good answer");
    let mut reader = answer.into_body().into_reader();
    let mut chunk = vec![0; 128 * 1024];
    let mut bytes = 0;
    loop {
        match reader.read(&mut chunk).expect("the whole body") {
            0 => return bytes,
            read => bytes += read as u64,
        }
    }
}

// ===== With criterion =====

fn measure(criterion: &mut Criterion, name: &str, stage: &Stage, mib: u64) {
    let mut group = criterion.benchmark_group(format!("bodies_{name}"));
    group
        .throughput(Throughput::Bytes(mib << 20))
        .sampling_mode(SamplingMode::Flat);
    for contender in Contender::ALL {
        group.bench_function(BenchmarkId::new(contender.name(), mib), |bencher| {
            bencher.iter_custom(|bodies| stage.time(contender, mib, bodies));
        });
    }
    group.finish();
}

// ===== In turn =====

fn print_ratios(stages: &[(&str, Stage)], mib: u64) {
    let rounds = figures::rounds(9);
    println!("\nMB/s of a body of {mib} MiB, median of {rounds} rounds in turn");
    let names = Contender::ALL.map(Contender::name);
    let mut table = Table::begin(&names);
    let mut threads = Vec::new();
    for (name, stage) in stages {
        let (held, theirs) = stage.hold(HELD);
        threads.push(format!("{name} {theirs}"));
        let rates = turns::in_turn(Contender::ALL.len(), rounds, |contender| {
            let time = stage.time(Contender::ALL[contender], mib, 1);
            (mib << 20) as f64 / 1e6 / time.as_secs_f64()
        });
        drop(held);
        table.row(*name, rates);
    }
    table.finish();
    println!(
        "\nThreads held by {HELD} half-read bodies of the client: {}",
        threads.join(", ")
    );
}
