//! Chapter 10: work that computes, on threads that are there to wait, and the other way round.
//!
//! ```text
//! cargo run --features rayon --example 10_cpu
//! ```

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use longshore::Lane;
use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};
use tutorial::{Heartbeat, Server};

/// A million rounds of arithmetic that nobody can skip.
fn digest(seed: u64) -> u64 {
    (0..1_000_000_u64).fold(seed | 1, |sum, round| {
        (sum ^ round)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
    })
}

/// Four of them, one after the other.
fn report(seed: u64) -> u64 {
    (0..4)
        .map(|part| digest(seed + part))
        .fold(0, u64::wrapping_add)
}

/// The four of them at once, by whichever threads of the pool have time.
fn report_in_parallel(seed: u64) -> u64 {
    let parts = (0..4_u64).into_par_iter();
    parts
        .map(|part| digest(seed + part))
        .reduce(|| 0, u64::wrapping_add)
}

/// A lane for computing: the pool's threads, and no more jobs at once than it has of them.
fn computing(pool: Arc<ThreadPool>) -> Lane {
    let threads = pool.current_num_threads();
    Lane::builder("reports").limit(threads).rayon(pool).build()
}

/// Sixteen reports. When is the first there, when the last?
async fn sixteen(lane: &Lane) -> Result<(), longshore::Error> {
    let heartbeat = Heartbeat::start();
    let begun = Instant::now();
    let mut reports = lane.map(0..16, report);
    let mut after = Vec::new();
    while let Some(report) = reports.next().await {
        report?;
        after.push(begun.elapsed());
    }
    println!(
        "16 reports, {} at once: first after {:.0?}, last after {:.0?}, heartbeat {:.0?} late",
        lane.stats().peak_running,
        after[0],
        after[15],
        heartbeat.stop().await
    );
    Ok(())
}

/// The twenty calls of chapter 1.
async fn twenty(lane: &Lane, server: &Server) -> Result<Duration, Box<dyn Error>> {
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    let begun = Instant::now();
    let mut answers = lane.map(server.twenty(), move |url| {
        agent.get(&url).call()?.body_mut().read_to_string()
    });
    while let Some(answer) = answers.next().await {
        answer??;
    }
    Ok(begun.elapsed())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let heartbeat = Heartbeat::start();
    let begun = Instant::now();
    let sum = (0..4).map(report).fold(0, u64::wrapping_add);
    let took = begun.elapsed();
    let late = heartbeat.stop().await;
    println!("4 reports in async code: {took:.0?}, heartbeat {late:.0?} late ({sum:x})");
    assert!(late + Heartbeat::BEAT >= took, "{late:?} of {took:?}");

    // As many threads as jobs.
    let waiting = Lane::builder("waiting").limit(16).build();
    sixteen(&waiting).await?;

    // As many threads as processors; two here, so that the program is the same everywhere.
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(2).build()?);
    let computing = computing(pool);
    sixteen(&computing).await?;
    assert_eq!(computing.stats().peak_running, 2);
    let in_parallel = computing.offload(|| report_in_parallel(7)).await?;
    assert_eq!(in_parallel, report(7));

    // And the wrong way round.
    let server = Server::start()?;
    let waited = twenty(&waiting, &server).await?;
    let computed = twenty(&computing, &server).await?;
    println!("20 calls, waiting on 16 threads: {waited:.0?}");
    println!("20 calls, waiting on the pool of 2: {computed:.0?}");
    assert!(computed >= Duration::from_millis(1790) / 2, "{computed:?}");
    Ok(())
}
