//! Chapter 9: a synchronous function that needs something asynchronous.
//!
//! ```text
//! cargo run --example 09_bridge
//! ```

use std::{error::Error, time::Duration};

use longshore::{
    Bridge, Job, Lane,
    ureq::{Client, Error as ClientError},
};
use tokio::runtime::{self, Handle, Runtime};
use tutorial::{Server, until};

type Failure = Box<dyn Error + Send + Sync>;

/// The async client of the service for exchange rates.
async fn ask(client: &Client, url: &str) -> Result<String, ClientError> {
    client.get(url).send().await?.text().await
}

/// Synchronous, and called by synchronous code, which is called by who knows whom.
fn rate_by_hand(client: &Client, url: &str) -> Result<String, Failure> {
    Ok(Handle::current().block_on(ask(client, url))?)
}

/// The same through a bridge.
fn rate(bridge: &Bridge, client: &Client, url: &str) -> Result<String, Failure> {
    Ok(bridge.call(ask(client, url))??)
}

/// The same in a job, which ends when the job is cancelled.
fn rate_in_job(job: &Job, client: &Client, url: &str) -> Result<String, Failure> {
    Ok(job.block_on(ask(client, url))??)
}

fn main() -> Result<(), Failure> {
    let server = Server::start()?;
    let (url, hanging) = (server.url("/delay/20"), server.url("/hang"));
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    let lane = Lane::builder("rates").limit(1).build();
    let client = Client::new(lane.clone(), agent);
    let many = Runtime::new()?;

    // By hand: it works on a thread that may block, and panics in async code.
    let (theirs, its_url) = (client.clone(), url.clone());
    let told = many.block_on(many.spawn_blocking(move || rate_by_hand(&theirs, &its_url)))??;
    println!("by hand, on a blocking thread: {told}");
    let (theirs, its_url) = (client.clone(), url.clone());
    let lost = many.block_on(many.spawn(async move { rate_by_hand(&theirs, &its_url) }));
    println!("by hand, in async code: {}", lost.as_ref().unwrap_err());
    assert!(lost.unwrap_err().is_panic());

    // The bridge, in four places.
    let bridge = Bridge::start()?;
    let told = rate(&bridge, &client, &url)?;
    println!("a bridge, in `main`: {told}");

    let (over, theirs, its_url) = (bridge.clone(), client.clone(), url.clone());
    let other = Lane::builder("pages").build();
    let told =
        many.block_on(async { other.offload(move || rate(&over, &theirs, &its_url)).await })??;
    println!("a bridge, in a job: {told}");

    let (over, theirs, its_url) = (bridge.clone(), client.clone(), url.clone());
    let told = many.block_on(many.spawn(async move { rate(&over, &theirs, &its_url) }))??;
    println!("a bridge, in a task of many threads: {told}");

    let one = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let refused = one.block_on(async { bridge.call(ask(&client, &url)) });
    let refused = refused.expect_err("the only thread must not be blocked");
    println!("a bridge, in a task of one thread: {refused}");
    assert!(refused.would_block_runtime());

    // In a job: of the very lane that the client uses, whose limit is 1.
    let (theirs, its_url) = (client.clone(), url.clone());
    let told = many.block_on(async {
        let task = lane.offload_with(move |job| rate_in_job(job, &theirs, &its_url));
        task.await
    })??;
    println!("`Job::block_on`, in a lane of one: {told}");

    many.block_on(async {
        let task = lane.offload_with(move |job| rate_in_job(job, &client, &hanging));
        let left = tokio::time::timeout(Duration::from_millis(100), task).await;
        left.expect_err("nothing answers");
        let free = || lane.stats().draining + lane.stats().running == 0;
        assert!(until(free).await, "{:?}", lane.stats());
        println!("`Job::block_on`, when its caller has left: the thread is free");
    });
    Ok(())
}
