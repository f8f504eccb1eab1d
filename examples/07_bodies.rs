//! Chapter 7: the head of a response is there, and its body is still to come.
//!
//! ```text
//! cargo run --example 07_bodies
//! ```

use std::{error::Error, time::Duration};

use futures::TryStreamExt;
use longshore::{
    Lane,
    ureq::{Client, ResponseBody},
};
use tutorial::{Heartbeat, Server, until};

/// The call in the lane, and the body wherever this is polled.
async fn half_offloaded(
    lane: &Lane,
    agent: &ureq::Agent,
    url: &str,
) -> Result<String, Box<dyn Error>> {
    let (agent, url) = (agent.clone(), url.to_owned());
    let mut response = lane.offload(move || agent.get(&url).call()).await??;
    Ok(response.body_mut().read_to_string()?)
}

/// A lane for its calls, and an agent that they can be stopped with.
fn client(lane: &Lane) -> Client {
    let config = longshore::ureq::config().proxy(None).build();
    Client::new(lane.clone(), longshore::ureq::agent(config))
}

/// The whole exchange in the lane of the client, and no closure to be seen.
async fn fetch(client: &Client, url: &str) -> Result<String, longshore::ureq::Error> {
    let response = client.get(url).send().await?.error_for_status()?;
    response.text().await
}

/// Opens a large body, and reads the first piece of it.
async fn begin(client: &Client, url: &str) -> Result<(ResponseBody, usize), Box<dyn Error>> {
    let mut body = client.get(url).send().await?.stream();
    let piece = body.try_next().await?.ok_or("it is not empty")?;
    Ok((body, piece.len()))
}

/// Reads the rest of it, as it comes.
async fn finish(mut body: ResponseBody) -> Result<usize, longshore::ureq::Error> {
    let mut length = 0;
    while let Some(piece) = body.try_next().await? {
        length += piece.len();
    }
    Ok(length)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());
    let lane = Lane::builder("invoices").limit(2).build();
    // Half of the body comes with the head, the other half when two seconds are over.
    let slow = server.url("/body/2000");

    let heartbeat = Heartbeat::start();
    half_offloaded(&lane, &agent, &slow).await?;
    let late = heartbeat.stop().await;
    println!("the body read in async code: heartbeat {late:.0?} late");
    assert!(late > Duration::from_secs(1), "{late:?}");

    let client = client(&lane);
    let heartbeat = Heartbeat::start();
    let text = fetch(&client, &slow).await?;
    let late = heartbeat.stop().await;
    println!("{text:?} by the client: heartbeat {late:.0?} late");
    assert!(late < Duration::from_secs(1), "{late:?}");

    // Eight bodies of 2 MiB, begun and left lying, where there are two threads.
    let mut begun = Vec::new();
    for _ in 0..8 {
        begun.push(begin(&client, &server.url("/bytes/2097152")).await?);
    }
    assert!(until(|| lane.stats().running == 0).await);
    let threads = lane.stats().running;
    println!("{} half-read bodies hold {threads} threads", begun.len());
    fetch(&client, &server.url("/delay/5")).await?;
    println!("and a call goes through");

    let mut length = 0;
    for (body, piece) in begun {
        length += piece + finish(body).await?;
    }
    println!("the rest of them was read: {length} bytes in all");
    assert_eq!(length, 8 * 2_097_152);
    Ok(())
}
