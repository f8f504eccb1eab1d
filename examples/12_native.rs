//! Chapter 12: a hundred calls at once, on a hundred threads or on none.
//!
//! ```text
//! cargo run --features cli --example 12_native
//! ```

use std::{
    error::Error,
    future::Future,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use longshore::{Lane, ureq::Client};
use tutorial::Server;

/// A client that blocks, on threads of a lane.
async fn fetch(client: &Client, url: &str) -> Result<String, longshore::ureq::Error> {
    let response = client.get(url).send().await?.error_for_status()?;
    response.text().await
}

/// A client that is async all the way down.
async fn fetch_natively(client: &reqwest::Client, url: &str) -> Result<String, reqwest::Error> {
    let response = client.get(url).send().await?.error_for_status()?;
    response.text().await
}

/// The blocking client, for so many calls at once.
fn offloaded(lane: &Lane) -> Client {
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    Client::new(lane.clone(), agent)
}

/// The native one, for as many as there are.
fn native() -> Result<reqwest::Client, reqwest::Error> {
    // This crate has reqwest without a provider for TLS, and reqwest wants one to begin with.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    let urls = vec![server.url("/delay/200"); 100];

    let few = Lane::builder("twenty threads").limit(20).build();
    let client = offloaded(&few);
    let took = timed(urls.iter().map(|url| fetch(&client, url))).await?;
    println!("100 calls on 20 threads: {took:.2?}");
    // Five times twenty, whatever else.
    assert!(took >= Duration::from_secs(1), "{took:?}");

    let many = Lane::builder("a thread for each").limit(100).build();
    let client = offloaded(&many);
    let took = timed(urls.iter().map(|url| fetch(&client, url))).await?;
    let threads = many.stats().peak_running;
    println!("100 calls on {threads} threads: {took:.0?}");
    assert!(threads > 20 && threads <= 100, "{threads}");

    let client = native()?;
    // A machine with other things to do gets more than one try.
    for tries in 1.. {
        let took = timed(urls.iter().map(|url| fetch_natively(&client, url))).await?;
        println!("100 calls on no threads: {took:.0?}");
        if took < Duration::from_secs(1) {
            break;
        }
        assert!(tries < 5, "{took:?}");
    }
    Ok(())
}

/// How long it takes to make all of these calls at once.
async fn timed<E>(
    calls: impl Iterator<Item = impl Future<Output = Result<String, E>>>,
) -> Result<Duration, E> {
    let begun = Instant::now();
    let answers = try_join_all(calls).await?;
    assert!(answers.iter().all(|answer| answer == "after 200 ms"));
    Ok(begun.elapsed())
}
