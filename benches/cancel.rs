//! How long does a cancelled call keep its thread?
//!
//! Fixed: one call at a time, made with `longshore::ureq::agent` in a lane, to a server on 127.0.0.1
//! that keeps it from going on; when the call has been there for a few milliseconds, its task is
//! dropped. Varies: the phase in which the call is kept (the row).
//!
//! ```text
//!  task     ──offload────────────────── drop
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
//! What is awaited is the end of the closure, and not what the caller is told, which comes at once.
//! After each phase the lane has to have all its threads back. `getaddrinfo` is not among the
//! phases: the call leaves it as quickly, but the thread that looks the name up is another.
//!
//! Criterion has no use for quantiles, so this prints a table of them:
//!
//! ```text
//! cargo bench --bench cancel                               1,000 calls a phase, about a minute
//! LONGSHORE_SAMPLES=10000 cargo bench --bench cancel -- head body
//! ```

#[path = "support/child.rs"]
mod child;
#[path = "support/obstacles.rs"]
mod obstacles;

use std::{
    io,
    time::{Duration, Instant},
};

use child::Child;
use longshore::Lane;
use obstacles::Phase;
use tokio::sync::oneshot;
use ureq::SendBody;

/// More than the buffers of a connection take.
const UPLOAD: usize = 64 << 20;

/// A call is cancelled between so many milliseconds after its start and twice as many: on this
/// machine it is where it shall be within one.
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
    println!("{:>8}  {:>10}  {:>10}  {:>10}", "", "p50", "p99", "max");
    for phase in phases {
        let mut times = runtime.block_on(measure(phase, samples));
        times.sort_unstable();
        let quantile = |rank: f64| times[((times.len() - 1) as f64 * rank).round() as usize];
        println!(
            "{:>8}  {:>7.0} µs  {:>7.0} µs  {:>7.0} µs",
            phase.name(),
            micros(quantile(0.5)),
            micros(quantile(0.99)),
            micros(quantile(1.0))
        );
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

async fn measure(phase: Phase, samples: usize) -> Vec<Duration> {
    let mut server = Child::start(phase.name());
    let url = server.line();
    let lane = Lane::builder("cancel").limit(1).build();
    // No cancel may be taken for a timeout, and none is due: without a deadline, calls that are
    // missed would hang and be seen.
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());

    let mut times = Vec::with_capacity(samples);
    for sample in 0..=samples {
        let time = cancel_one(phase, &lane, &agent, &url, sample).await;
        // The first one also starts the thread and reads the certificates.
        if sample > 0 {
            times.push(time);
        }
    }
    let report = lane.shutdown(Duration::from_secs(1)).await;
    report.expect("all threads are back");
    times
}

async fn cancel_one(
    phase: Phase,
    lane: &Lane,
    agent: &ureq::Agent,
    url: &str,
    sample: usize,
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
    // Not always at the same moment of whatever has a rhythm.
    let later = UNDER_WAY / 16 * (sample % 16) as u32;
    tokio::time::sleep(UNDER_WAY + later).await;

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
