//! Chapter 3: one call off the async thread, and then all of them.
//!
//! ```text
//! cargo run --example 03_offload
//! ```

use std::{
    error::Error,
    time::{Duration, Instant},
};

use longshore::Lane;
use tutorial::{Heartbeat, Server};

/// The call of chapter 1, as it was.
fn fetch(agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
    agent.get(url).call()?.body_mut().read_to_string()
}

/// One call, on a thread where it may block.
async fn fetch_one(lane: &Lane, agent: &ureq::Agent, url: &str) -> Result<String, Box<dyn Error>> {
    let (agent, url) = (agent.clone(), url.to_owned());
    let task = lane.offload(move || fetch(&agent, &url));
    Ok(task.await??)
}

/// All of them: handed in first, awaited afterwards.
async fn fetch_all(
    lane: &Lane,
    agent: &ureq::Agent,
    urls: &[String],
) -> Result<Vec<String>, Box<dyn Error>> {
    let mut tasks = Vec::new();
    for url in urls {
        let (agent, url) = (agent.clone(), url.clone());
        tasks.push(lane.offload(move || fetch(&agent, &url)));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await??);
    }
    Ok(answers)
}

/// What the two `?` are for.
async fn two_kinds_of_failure(lane: &Lane, agent: &ureq::Agent, server: &Server) {
    let (agent, url) = (agent.clone(), server.url("/status/503"));
    let refused = lane.offload(move || fetch(&agent, &url)).await;
    let refused = refused.expect("the lane did its part").unwrap_err();
    println!("the closure says: {refused}");
    assert!(matches!(refused, ureq::Error::StatusCode(503)));

    let lost = lane.offload(|| "seven".parse::<u32>().expect("a number"));
    let lost = lost.await.unwrap_err();
    println!("the lane says: {lost}");
    assert!(lost.is_panic());
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    let urls = server.twenty();
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());

    // What was wrong in chapter 2, with a single call.
    let heartbeat = Heartbeat::start();
    fetch(&agent, &urls[0])?;
    let late = heartbeat.stop().await;
    println!("one call in async code: heartbeat {late:.2?} late");
    assert!(late >= Duration::from_millis(50), "{late:?}");

    let lane = Lane::builder("invoices").build();
    let heartbeat = Heartbeat::start();
    fetch_one(&lane, &agent, &urls[0]).await?;
    println!(
        "one call in a lane: heartbeat {:.2?} late",
        heartbeat.stop().await
    );

    two_kinds_of_failure(&lane, &agent, &server).await;

    // A machine with other things to do gets more than one try.
    for tries in 1.. {
        let heartbeat = Heartbeat::start();
        let begun = Instant::now();
        let answers = fetch_all(&lane, &agent, &urls).await?;
        let took = begun.elapsed();
        let late = heartbeat.stop().await;
        println!(
            "{} calls in a lane: {took:.2?}, heartbeat {late:.2?} late",
            answers.len()
        );
        // 0.1 s and next to nothing, where it was 1.8 s and 1.8 s.
        if took < Duration::from_millis(900) && late < Duration::from_millis(500) {
            break;
        }
        assert!(tries < 5, "{took:?}, {late:?}");
    }
    Ok(())
}
