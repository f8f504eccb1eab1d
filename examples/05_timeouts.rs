//! Chapter 5: ten callers lose patience with a service that hangs. How many threads wait on?
//!
//! ```text
//! cargo run --example 05_timeouts
//! ```

use std::{error::Error, time::Duration};

use longshore::Lane;
use tokio::{sync::Semaphore, task, time};
use tutorial::{Gauge, Server, until};

const PATIENCE: Duration = Duration::from_millis(50);

/// The call of chapter 1, and a count of the threads that are in it.
fn fetch(agent: &ureq::Agent, url: &str, threads: &Gauge) -> Result<String, ureq::Error> {
    let _inside = threads.enter();
    agent.get(url).call()?.body_mut().read_to_string()
}

/// What one would write: a timeout around a permit and a closure.
async fn by_hand(
    permits: &Semaphore,
    agent: &ureq::Agent,
    url: &str,
    threads: &Gauge,
) -> Result<String, Box<dyn Error>> {
    let (agent, url, threads) = (agent.clone(), url.to_owned(), threads.clone());
    let call = async move {
        let _permit = permits.acquire().await?;
        let answer = task::spawn_blocking(move || fetch(&agent, &url, &threads)).await??;
        Ok(answer)
    };
    time::timeout(PATIENCE, call).await?
}

/// Two calls at once, each with as much time as its caller has.
fn invoices() -> Lane {
    Lane::builder("invoices").limit(2).timeout(PATIENCE).build()
}

/// The call of chapter 3.
async fn through(
    lane: &Lane,
    agent: &ureq::Agent,
    url: &str,
    threads: &Gauge,
) -> Result<Result<String, ureq::Error>, longshore::Error> {
    let (agent, url, threads) = (agent.clone(), url.to_owned(), threads.clone());
    lane.offload(move || fetch(&agent, &url, &threads)).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());

    let (server, threads) = (Server::start()?, Gauge::default());
    let (url, permits) = (server.url("/hang"), Semaphore::new(2));
    for _ in 0..10 {
        let answer = by_hand(&permits, &agent, &url, &threads).await;
        answer.expect_err("the server hangs");
    }
    let all_wait = until(|| threads.now() == 10).await;
    println!("by hand, 2 permits: {} threads in the call", threads.now());
    assert!(all_wait && permits.available_permits() == 2);
    drop(server); // Else they would never leave, and the program could not end.

    let (server, threads) = (Server::start()?, Gauge::default());
    let url = server.url("/hang");
    let lane = invoices();
    let mut errors = Vec::new();
    for _ in 0..10 {
        let answer = through(&lane, &agent, &url, &threads).await;
        errors.push(answer.expect_err("the server hangs"));
    }
    println!("a lane of 2: {} threads in the call", threads.now());
    println!("  the first caller: {}", errors[0]);
    println!("  the last caller:  {}", errors[9]);
    assert!(errors.iter().all(longshore::Error::is_timeout));
    assert_eq!(threads.most(), 2);
    assert!(until(|| server.requests() == 2).await);
    assert!(errors[9].never_started());

    let stats = lane.stats();
    println!(
        "  running {}, draining {}, waiting {}",
        stats.running, stats.draining, stats.waiting
    );
    assert_eq!((stats.running, stats.draining, stats.waiting), (0, 2, 0));
    Ok(())
}
