//! Chapter 4: a service that became slow, and those that had nothing to do with it.
//!
//! ```text
//! cargo run --example 04_lanes
//! ```

use std::{error::Error, time::Instant};

use longshore::{Lane, Task};
use tutorial::Server;

fn fetch(agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
    agent.get(url).call()?.body_mut().read_to_string()
}

type Call = Task<Result<String, ureq::Error>>;

/// A call that takes a second, today.
fn report(lane: &Lane, agent: &ureq::Agent, server: &Server) -> Call {
    let (agent, url) = (agent.clone(), server.url("/delay/1000"));
    lane.offload(move || fetch(&agent, &url))
}

/// A call that takes 5 ms, as ever.
fn price(lane: &Lane, agent: &ureq::Agent, server: &Server) -> Call {
    let (agent, url) = (agent.clone(), server.url("/delay/5"));
    lane.offload(move || fetch(&agent, &url))
}

/// Eight reports, and then a price. How many of the reports were done before the price was?
async fn reports_then_price(
    [reports, prices]: [&Lane; 2],
    agent: &ureq::Agent,
    server: &Server,
) -> Result<usize, Box<dyn Error>> {
    let slow: Vec<Call> = (0..8).map(|_| report(reports, agent, server)).collect();
    let begun = Instant::now();
    price(prices, agent, server).await??;
    let took = begun.elapsed();
    let before = slow.iter().filter(|call| call.is_finished()).count();
    println!("the price came after {took:.0?}, when {before} reports were done");
    for call in slow {
        call.await??;
    }
    Ok(before)
}

/// Twelve calls, where there is room for eight: four on threads, four in the queue.
async fn overload(lane: &Lane, twelve: Vec<Call>) {
    let (mut answered, mut refused) = (0, 0);
    // The last first: a refusal is there at once, however long the others take.
    for call in twelve.into_iter().rev() {
        match call.await {
            Ok(answer) => answered += usize::from(answer.is_ok()),
            Err(error) => {
                assert!(error.is_full() && error.never_started());
                if refused == 0 {
                    println!("{error}");
                    assert_eq!(lane.stats().completed, 0);
                }
                refused += 1;
            }
        }
    }
    println!("{answered} reports, {refused} refused");
    assert_eq!((answered, refused), (8, 4));
}

/// One for each service, with as many threads as it may be sent calls at once.
fn lanes() -> [Lane; 2] {
    let reports = Lane::builder("reports").limit(4).build();
    let prices = Lane::builder("prices").limit(4).build();
    [reports, prices]
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());

    // One pool for everything, as `spawn_blocking` is. Four threads instead of 512, to be brief.
    let shared = Lane::builder("everything").limit(4).build();
    let before = reports_then_price([&shared, &shared], &agent, &server).await?;
    assert!(before >= 4, "a price overtook the reports");

    // Each service has its own.
    let [reports, prices] = lanes();
    // A machine with other things to do gets more than one try.
    for tries in 1.. {
        let before = reports_then_price([&reports, &prices], &agent, &server).await?;
        if before == 0 {
            break;
        }
        assert!(tries < 5, "reports held up a price");
    }

    let bounded = Lane::builder("reports").limit(4).queue(4).build();
    let twelve = (0..12).map(|_| report(&bounded, &agent, &server));
    overload(&bounded, twelve.collect()).await;
    Ok(())
}
