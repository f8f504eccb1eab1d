//! The async client, against peers on the loopback.

mod bodies;
mod bombs;
mod compressed;
mod early;
mod errors;
mod exchanges;
mod gzip;
mod hops;
mod limits;
mod on_the_way;
mod options;
mod pauses;
pub(crate) mod peer;
mod phases;
mod redirects;
mod relays;
#[cfg(feature = "tower")]
mod services;
mod tls;
mod trickles;
mod turns;
mod unblocked;
mod uploads;

use longshore::{Lane, ureq::Client};

use crate::support::{Place, eventually};

/// The agent of these tests: not by way of a proxy, whatever the environment says.
fn agent() -> ureq::Agent {
    longshore::ureq::agent(config().build())
}

fn config() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    longshore::ureq::config().proxy(None)
}

/// A client over a new lane, and the lane.
fn client(place: Place, limit: usize) -> (Client, Lane) {
    let lane = place.lane(limit);
    (Client::new(lane.clone(), agent()), lane)
}

/// Until a body that nobody reads has left its thread; and the lane's only slot is there for others.
async fn holds_no_slot(lane: &Lane) {
    eventually("the body holds no slot", || {
        let stats = lane.stats();
        stats.running + stats.waiting + stats.draining == 0
    })
    .await;
    assert_eq!(lane.offload(|| 7).await.unwrap(), 7);
}
