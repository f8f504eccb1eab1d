//! Chapter 1: twenty calls, one after the other.
//!
//! ```text
//! cargo run --example 01_serial
//! ```

use std::{error::Error, time::Duration, time::Instant};

use tutorial::Server;

/// One call: ask, wait, read the answer.
fn fetch(agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
    agent.get(url).call()?.body_mut().read_to_string()
}

/// All of them.
fn fetch_all(agent: &ureq::Agent, urls: &[String]) -> Result<Vec<String>, ureq::Error> {
    urls.iter().map(|url| fetch(agent, url)).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    let urls = server.twenty();
    // The server is on this machine: whatever proxy the environment names is not for it.
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());

    let begun = Instant::now();
    let answers = fetch_all(&agent, &urls)?;
    let took = begun.elapsed();

    println!("{} answers after {took:.2?}", answers.len());
    println!("the slowest call of all: {}", answers[19]);
    // The waits add up, and nothing can make that sum smaller but to wait at the same time.
    assert!(took >= Duration::from_millis(1790), "{took:?}");
    Ok(())
}
