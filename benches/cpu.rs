//! Where are large JSON bodies parsed, and who pays for it?
//!
//! Fixed: a [`Fetcher`] (or what takes its place) over `longshore::ureq::Client`, 20 calls in flight,
//! fetches 200 bodies of 1 MiB JSON (a list of records, read into structs, added up and dropped) from a
//! server on 127.0.0.1, a process of its own. A runtime of one thread drives it, and an unrelated task of that runtime is
//! due every 10 ms: how late it runs at worst is the harm. Varies where the parsing is done:
//!
//! - `runtime`: where the stream is polled, as `response.json().await` does in an async client.
//! - `job`: in the job that makes the call: `longshore::ureq::agent` in `Lane::map`, with 20 threads.
//! - `lane`: `Fetcher::parse_on` a lane on Tokio's blocking pool, with as many jobs as processors.
//! - `rayon`: what the fetcher does by itself with the feature `rayon`.
//!
//! ```text
//! cargo bench --features fetch,json,rayon --bench cpu               both, about a minute
//! cargo bench --features fetch,json,rayon --bench cpu -- ratios     the table alone
//! ```

#[path = "support/child.rs"]
mod child;
#[path = "support/figures.rs"]
mod figures;
#[path = "support/heartbeat.rs"]
mod heartbeat;
#[path = "support/turns.rs"]
#[expect(dead_code, reason = "the table here has other columns")]
mod turns;

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

use child::Child;
use criterion::{Criterion, SamplingMode, Throughput};
use figures::{Ratio, median};
use futures::StreamExt as _;
use heartbeat::Heartbeat;
use longshore::{Lane, fetch::Fetcher, ureq::Client};
use tokio::runtime::{Builder, Runtime};

const BODIES: usize = 200;
const BODY: usize = 1 << 20;
const IN_FLIGHT: usize = 20;

fn main() {
    if child::role().is_some() {
        serve();
    }
    let mut server = Child::start("server");
    let stage = Stage::new(server.line());

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "ratios") {
        let mut criterion = Criterion::default()
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(5))
            .sample_size(10)
            .configure_from_args();
        measure(&mut criterion, &stage);
        criterion.final_summary();
    }
    // Only in a real run, as `cargo bench` starts it, and if nothing else was asked for by name.
    let named = |argument: &String| argument != "--bench" && argument != "ratios";
    if arguments.iter().any(|argument| argument == "--bench") && !arguments.iter().any(named) {
        print_ratios(&stage);
    }
}

// ===== The contenders =====

#[derive(Clone, Copy)]
enum Place {
    Runtime,
    Job,
    Lane,
    Rayon,
}

impl Place {
    const ALL: [Self; 4] = [Self::Runtime, Self::Job, Self::Lane, Self::Rayon];

    fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Job => "job",
            Self::Lane => "lane",
            Self::Rayon => "rayon",
        }
    }
}

/// One of a list.
#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    id: u64,
    name: String,
    price: f64,
    tags: Vec<String>,
}

struct Stage {
    runtime: Runtime,
    url: String,
    agent: ureq::Agent,
    calls: Lane,
    cpu: Lane,
    fetcher: Fetcher<longshore::ureq::ClientService>,
}

impl Stage {
    fn new(url: String) -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
        let calls = Lane::builder("calls").limit(IN_FLIGHT).build();
        let client = Client::new(calls.clone(), agent.clone());
        Self {
            runtime: Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be had"),
            url,
            agent,
            calls,
            cpu: Lane::builder("cpu").limit(processors).build(),
            fetcher: Fetcher::new(client.service()).concurrency(IN_FLIGHT),
        }
    }

    /// All bodies once: how long it took, and how late the worst heartbeat was.
    fn time(&self, place: Place) -> (Duration, Duration) {
        self.runtime.block_on(async {
            let heartbeat = Heartbeat::start();
            // So that the heartbeat is on its way before anything can block.
            tokio::task::yield_now().await;
            let start = Instant::now();
            let total = self.run(place).await;
            let wall = start.elapsed();
            let late = heartbeat.stop();
            assert!(total > 0.0, "{total}");
            (wall, late)
        })
    }

    /// The sum of all prices.
    async fn run(&self, place: Place) -> f64 {
        let urls = std::iter::repeat_n(self.url.clone(), BODIES);
        let fetcher = match place {
            Place::Job => {
                let agent = self.agent.clone();
                let sums = self.calls.map(urls, move |url| fetch(&agent, &url));
                let sums = sums.map(|sum| sum.expect("no call fails"));
                return sums.fold(0.0, async |total, sum| total + sum).await;
            }
            Place::Runtime => self.fetcher.clone().parse_inline(usize::MAX),
            Place::Lane => self.fetcher.clone().parse_on(&self.cpu),
            Place::Rayon => self.fetcher.clone(),
        };
        let sums = fetcher
            .fetch_all(urls)
            .parse(|response| add_up(response.body()));
        let sums = sums.map(|sum| sum.result.expect("a good answer"));
        sums.fold(0.0, async |total, sum| total + sum).await
    }
}

/// Blocks until the whole answer is there, and has been read.
fn fetch(agent: &ureq::Agent, url: &str) -> f64 {
    let answer = agent.get(url).call().expect("a good answer");
    let bytes = answer.into_body().read_to_vec().expect("the whole answer");
    add_up(&bytes).expect("a list of records")
}

/// What is made of each body: to drop a list takes time, too, wherever it is done.
fn add_up(json: &[u8]) -> Result<f64, serde_json::Error> {
    let records: Vec<Record> = serde_json::from_slice(json)?;
    Ok(records.iter().map(|record| record.price).sum())
}

// ===== The server =====

/// Prints its URL and answers every request with the same list.
fn serve() -> ! {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be had");
    let address = listener.local_addr().expect("a bound socket has one");
    let mut records = Vec::new();
    let mut size = 0;
    while size < BODY {
        let id = records.len() as u64;
        let record = Record {
            id,
            name: format!("the record with the number {id}, \"quoted\""),
            price: id as f64 / 7.0,
            tags: vec![format!("tag{}", id % 10), format!("kind{}", id % 3)],
        };
        size += serde_json::to_vec(&record).expect("a record is JSON").len() + 1;
        records.push(record);
    }
    let body = serde_json::to_vec(&records).expect("a list is JSON");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let answer: Arc<[u8]> = [head.into_bytes(), body].concat().into();
    println!("http://{address}/");
    loop {
        let (stream, _) = listener.accept().expect("there are files enough");
        let answer = answer.clone();
        thread::spawn(move || answer_all(stream, &answer));
    }
}

/// One connection, request after request. An error is the end of it: the client will complain.
fn answer_all(mut stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut request = [0; 4096];
    let mut filled = 0;
    loop {
        match stream.read(&mut request[filled..])? {
            0 => return Ok(()),
            read => filled += read,
        }
        if request[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            stream.write_all(answer)?;
        }
    }
}

// ===== With criterion =====

fn measure(criterion: &mut Criterion, stage: &Stage) {
    let mut group = criterion.benchmark_group("cpu");
    group
        .throughput(Throughput::Bytes((BODIES * BODY) as u64))
        .sampling_mode(SamplingMode::Flat);
    for place in Place::ALL {
        group.bench_function(place.name(), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| stage.time(place).0).sum());
        });
    }
    group.finish();
}

// ===== In turn =====

fn print_ratios(stage: &Stage) {
    let rounds = figures::rounds(7);
    println!("\n{BODIES} bodies of 1 MiB JSON, medians of {rounds} rounds in turn");
    let mut late = [const { Vec::new() }; Place::ALL.len()];
    let walls = turns::in_turn(Place::ALL.len(), rounds, |place| {
        let (wall, beat) = stage.time(Place::ALL[place]);
        late[place].push(beat.as_secs_f64() * 1e3);
        wall.as_secs_f64()
    });
    println!(
        "{:>9}  {:>9}  {:>18}  {:>14}  {:>9}",
        "", "wall", "/ runtime", "heartbeat late", "at worst"
    );
    for (index, place) in Place::ALL.into_iter().enumerate() {
        println!(
            "{:>9}  {:>7.3} s  {:>18}  {:>11.1} ms  {:>6.1} ms",
            place.name(),
            median(&walls[index]),
            Ratio::of(&walls[index], &walls[0]),
            median(&late[index]),
            late[index].iter().copied().fold(0.0, f64::max),
        );
    }
}
