//! How long does a cancelled call keep its thread?
//!
//! Fixed: one call at a time through a lane, to a server on 127.0.0.1 that keeps it from going on;
//! when the call has been there for a few milliseconds, its future is dropped. Varies: the phase in
//! which the call is kept (the row), and who makes it.
//!
//! - `agent`: `longshore::ureq::agent` in `offload`.
//! - `client`: `longshore::ureq::Client`.
//!
//! ```text
//!  caller   ──offload────────────────── drop
//!  thread            ureq ··· blocked ···│····► closure returns
//!                                        └──────┘ this is measured
//! ```
//!
//! - `connect`: the server's queue of connections is full, so that none is made.
//! - `tls`: the server says nothing to the client's hello.
//! - `send`: the server does not read the body of the request.
//! - `head`: the server has the request and does not answer.
//! - `body`: the server stops in the middle of the body.
//! - `flowing`: the body keeps coming, as fast as it is read, so that the call never waits.
//!
//! What is awaited is not what the caller is told, which comes at once: it is the end of the
//! closure, or, for the client, whose closure is its own, that the lane counts no job any more.
//! After each phase the lane has to have all its threads back. `getaddrinfo` is not among the
//! phases: the call leaves it as quickly, but the thread that looks the name up is another.
//!
//! Criterion has no use for quantiles, so this prints a table of them:
//!
//! ```text
//! cargo bench --bench cancel                               1,000 calls a phase, about two minutes
//! LONGSHORE_SAMPLES=10000 cargo bench --bench cancel -- head body
//! ```

#[path = "support/child.rs"]
mod child;
#[path = "support/obstacles.rs"]
mod obstacles;

use std::{
    io,
    pin::pin,
    thread,
    time::{Duration, Instant},
};

use child::Child;
use futures::TryStreamExt as _;
use longshore::{
    Lane,
    ureq::{Body, Client},
};
use obstacles::Phase;
use tokio::sync::oneshot;
use ureq::SendBody;

/// More than the buffers of a connection take.
const UPLOAD: usize = 64 << 20;

/// A call is cancelled between so long after its start and twice as long. On a machine that has
/// nothing else to do it is where it shall be within a millisecond.
const UNDER_WAY: Duration = Duration::from_millis(4);

fn main() {
    if let Some(role) = child::role() {
        Phase::named(&role)
            .expect("the role is the name of a phase")
            .serve();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let real = arguments.iter().any(|argument| argument == "--bench");
    let samples = match std::env::var("LONGSHORE_SAMPLES") {
        Ok(set) => set.parse().expect("LONGSHORE_SAMPLES is a whole number"),
        // As a test, which `cargo bench` has not started.
        Err(_) if !real => 5,
        Err(_) => 1_000,
    };
    let named: Vec<_> = (arguments.iter())
        .filter_map(|argument| Phase::named(argument))
        .collect();
    let phases = if named.is_empty() {
        Phase::ALL.to_vec()
    } else {
        named
    };

    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be had");
    println!("\nFrom the cancel until the thread is free, {samples} calls a phase");
    println!(
        "{:>8}  {:>8}  {:>10}  {:>10}  {:>10}",
        "", "", "p50", "p99", "max"
    );
    for phase in phases {
        for through in [Through::Agent, Through::Client] {
            let mut times = runtime.block_on(measure(phase, through, samples));
            times.sort_unstable();
            let micros = |rank: f64| {
                let at = ((times.len() - 1) as f64 * rank).round() as usize;
                times[at].as_secs_f64() * 1e6
            };
            println!(
                "{:>8}  {:>8}  {:>7.0} µs  {:>7.0} µs  {:>7.0} µs",
                phase.name(),
                through.name(),
                micros(0.5),
                micros(0.99),
                micros(1.0)
            );
        }
    }
}

/// Who makes the calls.
#[derive(Clone, Copy)]
enum Through {
    Agent,
    Client,
}

impl Through {
    fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Client => "client",
        }
    }
}

async fn measure(phase: Phase, through: Through, samples: usize) -> Vec<Duration> {
    let mut server = Child::start(phase.name());
    let url = server.line();
    let lane = Lane::builder("cancel").limit(1).build();
    // No cancel may be taken for a timeout, and none is due: without a deadline, calls that are
    // missed would hang and be seen.
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());

    let mut times = Vec::with_capacity(samples);
    for sample in 0..=samples {
        // Not always at the same moment of whatever has a rhythm.
        let patience = UNDER_WAY + UNDER_WAY / 16 * (sample % 16) as u32;
        let time = match through {
            Through::Agent => cancel_job(phase, &lane, &agent, &url, patience).await,
            Through::Client => {
                let client = Client::new(lane.clone(), agent.clone());
                cancel_exchange(phase, &client, &url, patience).await
            }
        };
        // The first one also starts the thread and reads the certificates.
        if sample > 0 {
            times.push(time);
        }
    }
    let report = lane.shutdown(Duration::from_secs(1)).await;
    report.expect("all threads are back");
    times
}

// ===== The agent =====

async fn cancel_job(
    phase: Phase,
    lane: &Lane,
    agent: &ureq::Agent,
    url: &str,
    patience: Duration,
) -> Duration {
    let (agent, url) = (agent.clone(), url.to_owned());
    let (tell_start, started) = oneshot::channel();
    let (tell_end, ended) = oneshot::channel();
    let task = lane.offload(move || {
        let _ = tell_start.send(());
        let outcome = call(phase, &agent, &url);
        let _ = tell_end.send((outcome, Instant::now()));
    });
    started.await.expect("the job runs");
    tokio::time::sleep(patience).await;

    let cancelled = Instant::now();
    drop(task);
    let (outcome, end) = ended.await.expect("the job tells its end");
    let error = outcome.expect_err("no such call can succeed");
    assert!(end >= cancelled, "{}: over before: {error}", phase.name());
    end - cancelled
}

/// Blocks until the call is cancelled.
fn call(phase: Phase, agent: &ureq::Agent, url: &str) -> Result<(), ureq::Error> {
    let answer = match phase {
        Phase::Send => {
            let mut zeros = io::Read::take(io::repeat(0), UPLOAD as u64);
            agent.post(url).send(SendBody::from_reader(&mut zeros))
        }
        _ => agent.get(url).call(),
    };
    let mut body = answer?.into_body().into_reader();
    io::copy(&mut body, &mut io::sink())?;
    Ok(())
}

// ===== The client =====

async fn cancel_exchange(phase: Phase, client: &Client, url: &str, patience: Duration) -> Duration {
    let mut call = Box::pin(exchange(phase, client, url));
    tokio::select! {
        biased;
        outcome = &mut call => panic!("{}: over before: {outcome:?}", phase.name()),
        () = pin!(tokio::time::sleep(patience)) => {}
    }

    let cancelled = Instant::now();
    drop(call);
    // A look takes less than a microsecond. The runtime has other threads, if the lane needs one.
    loop {
        let stats = client.lane().stats();
        if stats.running + stats.draining == 0 {
            return cancelled.elapsed();
        }
        thread::yield_now();
    }
}

/// Reads what comes, until it is dropped.
async fn exchange(phase: Phase, client: &Client, url: &str) -> Result<(), longshore::ureq::Error> {
    let request = match phase {
        Phase::Send => {
            let zeros = io::Read::take(io::repeat(0), UPLOAD as u64);
            client.post(url).body(Body::blocking(zeros))
        }
        _ => client.get(url),
    };
    let mut body = request.send().await?.stream();
    while body.try_next().await?.is_some() {}
    Ok(())
}
