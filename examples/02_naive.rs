//! Chapter 2: the same calls in async code, and why nothing changed.
//!
//! ```text
//! cargo run --example 02_naive
//! ```

use std::{
    error::Error,
    future::Future,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use tokio::runtime;
use tutorial::{Heartbeat, Server};

/// The call of chapter 1, with `async` in front. There is no `.await` in it.
async fn fetch(agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
    agent.get(url).call()?.body_mut().read_to_string()
}

/// All of them, at once, or so it looks.
async fn fetch_all(agent: &ureq::Agent, urls: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
    Ok(try_join_all(urls.iter().map(|url| fetch(agent, url))).await?)
}

/// Each in a task of its own, so that other workers of the runtime can take some.
async fn spawn_all(agent: &ureq::Agent, urls: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut tasks = Vec::new();
    for url in urls {
        let (agent, url) = (agent.clone(), url.clone());
        tasks.push(tokio::spawn(async move { fetch(&agent, &url).await }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await??);
    }
    Ok(answers)
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    let urls = server.twenty();
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());

    // All on one thread: the sum of the waits, as before, and the heartbeat stood still meanwhile.
    let one = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (took, late) = one.block_on(measured("joined", fetch_all(&agent, &urls)))?;
    assert!(took >= Duration::from_millis(1790), "{took:?}");
    assert!(late >= Duration::from_millis(1700), "{late:?}");

    // Two workers can wait for two calls at a time.
    let two = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (took, _) = two.block_on(measured("spawned, 2 workers", spawn_all(&agent, &urls)))?;
    assert!(took >= Duration::from_millis(1790) / 2, "{took:?}");
    Ok(())
}

/// How long the calls took, and how late a task was that has nothing to do with them.
async fn measured(
    how: &str,
    calls: impl Future<Output = Result<Vec<String>, Box<dyn Error>>>,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let heartbeat = Heartbeat::start();
    let begun = Instant::now();
    let answers = calls.await?;
    let took = begun.elapsed();
    let late = heartbeat.stop().await;
    println!(
        "{how}: {} answers after {took:.2?}, heartbeat {late:.2?} late",
        answers.len()
    );
    Ok((took, late))
}
