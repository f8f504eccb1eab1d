//! Chapter 6: a caller leaves. When is the thread free?
//!
//! ```text
//! cargo run --example 06_cancel
//! ```

use std::{
    error::Error,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use longshore::{Job, Lane, Task};
use tutorial::{Server, until};

/// When the caller leaves.
const PATIENCE: Duration = Duration::from_millis(50);

/// The call of chapter 1. It knows nothing of its job.
fn fetch(agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
    agent.get(url).call()?.body_mut().read_to_string()
}

/// Many short steps: it looks between them.
fn import(job: &Job) -> io::Result<()> {
    loop {
        job.check()?;
        thread::sleep(Duration::from_millis(1)); // One row.
    }
}

/// One long step, with a timeout: it asks how much time there is.
fn fetch_in_time(job: &Job, agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
    let request = agent.get(url).config().timeout_global(job.remaining());
    request.build().call()?.body_mut().read_to_string()
}

/// One long step that can be interrupted: it says how.
fn listen(job: &Job, address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let handle = stream.try_clone()?;
    let _guard = job.on_cancel(move || drop(handle.shutdown(Shutdown::Both)));
    stream.write_all(b"GET /hang HTTP/1.1\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The function that knows nothing, with an agent that does.
fn fetch_cancellably(lane: &Lane, url: String) -> Task<Result<String, ureq::Error>> {
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    lane.offload(move || fetch(&agent, &url))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    let (url, address) = (server.url("/hang"), server.address());
    let stock = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());

    // Nothing is done about it.
    let alone = Lane::builder("left alone").build();
    let task = {
        let (agent, url) = (stock.clone(), url.clone());
        alone.offload(move || fetch(&agent, &url))
    };
    leave(task, &server, 1).await;

    let lane = Lane::builder("looks").build();
    leave(lane.offload_with(import), &server, 1).await;
    told_free(&lane).await;

    let lane = Lane::builder("asks").timeout(40 * PATIENCE).build();
    let task = {
        let (agent, url) = (stock.clone(), url.clone());
        lane.offload_with(move |job| fetch_in_time(job, &agent, &url))
    };
    leave(task, &server, 2).await;
    told_free(&lane).await;

    let lane = Lane::builder("says how").build();
    let task = lane.offload_with(move |job| listen(job, address));
    leave(task, &server, 3).await;
    told_free(&lane).await;

    let lane = Lane::builder("agent").build();
    leave(fetch_cancellably(&lane, url), &server, 4).await;
    told_free(&lane).await;

    // And the first thread is where it was. To end in good order is to say so.
    let stuck = alone.shutdown(Duration::ZERO).await.unwrap_err();
    println!("{stuck}");
    assert_eq!(stuck.jobs.len(), 1);
    Ok(())
}

/// Waits for the outcome until patience is over. By then the call is under way: the server has had so
/// many requests.
async fn leave<T>(task: Task<T>, server: &Server, requests: usize) {
    assert!(until(|| server.requests() == requests).await);
    let outcome = tokio::time::timeout(PATIENCE, task).await;
    assert!(outcome.is_err(), "nothing answers here");
}

/// Says how long after this its thread is free.
async fn told_free(lane: &Lane) {
    let left = Instant::now();
    let free = until(|| lane.stats().draining == 0).await;
    println!("{:>8}: free after {:.1?}", lane.name(), left.elapsed());
    assert!(free, "{:?}", lane.stats());
}
