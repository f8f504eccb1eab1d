//! Chapter 13: one blocking call that was forgotten, and a detector that names it.
//!
//! ```text
//! cargo run --features stall --example 13_stalls
//! ```

use std::{
    error::Error,
    sync::mpsc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use longshore::{
    Lane, assert_no_stalls,
    stall::{Stall, Watch, Watching, watched},
};
use tokio::{runtime::Handle, task::yield_now};
use tutorial::{Heartbeat, Server};
use ureq::Agent;

/// What the currencies are worth today. It is older than the async code.
fn rates(agent: &Agent, url: &str) -> Result<String, ureq::Error> {
    agent.get(url).call()?.body_mut().read_to_string()
}

/// The twenty calls of chapter 1, all of them off the runtime, and the rates.
async fn page(lane: &Lane, agent: &Agent, server: &Server) -> Result<String, Box<dyn Error>> {
    let theirs = agent.clone();
    let mut answers = lane.map(server.twenty(), move |url| {
        theirs.get(&url).call()?.body_mut().read_to_string()
    });
    while let Some(answer) = answers.next().await {
        answer??;
    }
    Ok(rates(agent, &server.url("/delay/1000"))?)
}

/// The same, with the rates off the runtime as well.
async fn page_repaired(
    lane: &Lane,
    agent: &Agent,
    server: &Server,
) -> Result<String, Box<dyn Error>> {
    let theirs = agent.clone();
    let mut answers = lane.map(server.twenty(), move |url| {
        theirs.get(&url).call()?.body_mut().read_to_string()
    });
    while let Some(answer) = answers.next().await {
        answer??;
    }
    let (agent, url) = (agent.clone(), server.url("/delay/1000"));
    Ok(lane.offload(move || rates(&agent, &url)).await??)
}

/// Has every thread of this runtime watched that is held up for 100 ms and more.
fn watch() -> std::io::Result<(Watching, mpsc::Receiver<Stall>)> {
    let (tell, told) = mpsc::channel();
    let watching = Watch::new()
        .on_stall(move |stall| {
            let _ = tell.send(stall.clone());
        })
        .attach(&Handle::current())?;
    Ok((watching, told))
}

/// A call of some milliseconds, many times over: whether a customer may see the new page.
async fn flags(agent: &Agent, server: &Server) -> Result<(), ureq::Error> {
    for _ in 0..50 {
        rates(agent, &server.url("/delay/8"))?;
        yield_now().await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    let lane = Lane::builder("page").limit(20).build();

    // Something is late.
    let heartbeat = Heartbeat::start();
    page(&lane, &agent, &server).await?;
    let late = heartbeat.stop().await;
    println!("the page: heartbeat {late:.0?} late");
    assert!(late > Duration::from_millis(200), "{late:?}");

    // What it is.
    let (watching, told) = watch()?;
    // With whom it is may be missed on a machine with other things to do.
    for tries in 1.. {
        page(&lane, &agent, &server).await?;
        let stall = told.recv_timeout(Duration::from_secs(10))?;
        println!("{stall}");
        let peer = stall.call.and_then(|call| call.peer);
        let is_named = peer.is_some_and(|peer| server.url("/").contains(&peer));
        if is_named || cfg!(not(target_os = "linux")) {
            break;
        }
        assert!(tries < 5, "nobody is named");
    }

    // And where.
    watched(page(&lane, &agent, &server)).await?;
    let stall = told.recv_timeout(Duration::from_secs(10))?;
    println!("{stall}");
    assert!(stall.is_at(file!()));

    // The repair, and that it is one.
    for tries in 1.. {
        let stalls = watching.stalls();
        let heartbeat = Heartbeat::start();
        page_repaired(&lane, &agent, &server).await?;
        let late = heartbeat.stop().await;
        println!("repaired: heartbeat {late:.0?} late");
        if watching.stalls() == stalls {
            break;
        }
        assert!(tries < 5, "it stalls as before");
    }
    // With half a second instead of the 100 ms, for such a machine again.
    let patient = Watch::new().threshold(Duration::from_millis(500));
    assert_no_stalls!(page_repaired(&lane, &agent, &server), patient)?;

    // Many small ones are never reported. They are counted together.
    for tries in 1.. {
        let stalls = watching.stalls();
        let begun = Instant::now();
        let profile = watching.profile_for(Duration::from_millis(500));
        flags(&agent, &server).await?;
        println!(
            "the flags: {:.0?}, {} stalls",
            begun.elapsed(),
            watching.stalls() - stalls
        );
        let profile = profile.await;
        println!("{profile}");
        let call = profile.rows.first().and_then(|row| row.call.as_ref());
        let is_named = call.is_some_and(|call| call.peer.is_some());
        if is_named || cfg!(not(target_os = "linux")) {
            break;
        }
        assert!(tries < 5, "nobody is named");
    }
    Ok(())
}
