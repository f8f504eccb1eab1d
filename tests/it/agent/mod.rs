//! `longshore::ureq::agent`: an agent of ureq's that does all that ureq's own does, whose calls end
//! when the job does that makes them.
//!
//! Each test talks to real peers on loopback, which [`peers`] has in every kind.

#[macro_use]
mod places;
mod answers;
mod cancelling;
mod chain;
mod deadlines;
mod descriptors;
mod expect;
mod faults;
mod handshakes;
mod names;
#[cfg(feature = "native-tls")]
mod native_tls;
mod network;
#[cfg(all(feature = "brotli", feature = "cookies"))]
mod options;
pub(crate) mod peers;
mod pooled;
mod process;
mod promptness;
mod proxies;
mod refusals;
mod reuse;
pub(crate) mod scene;
pub(crate) mod sessions;
mod uploads;

use std::{env, time::Duration};

use ureq::{
    Agent, Error,
    config::{Config, ConfigBuilder},
    typestate::AgentScope,
};

use self::peers::{Peer, site};
use crate::support::Child;

/// The agent that all of this is about.
fn agent(config: Config) -> Agent {
    longshore::ureq::agent(config)
}

/// A configuration that does not depend on the environment, and in which no call lasts for ever: longer
/// than any test waits for the end of one that it has cancelled.
fn config() -> ConfigBuilder<AgentScope> {
    Config::builder()
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(60)))
}

/// An agent with no more than that.
fn plain_agent() -> Agent {
    agent(config().build())
}

/// Makes a request and reads the answer to its end.
fn get(agent: &Agent, url: &str) -> Result<String, Error> {
    agent.get(url).call()?.body_mut().read_to_string()
}

/// What kind of error it is, as far as a table of tests tells them apart.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Protocol(_) => "protocol",
        Error::LargeResponseHeader(..) => "large head",
        Error::BodyExceedsLimit(_) => "large body",
        Error::Io(_) => "io",
        Error::Timeout(_) => "timeout",
        Error::Rustls(_) | Error::Tls(_) => "tls",
        Error::HostNotFound => "dns",
        Error::ConnectProxyFailed(_) | Error::ConnectionFailed => "connect",
        Error::Decompress(..) => "decompress",
        Error::StatusCode(_) => "status",
        Error::Other(_) => "other",
        _ => "something else",
    }
}

/// Where the peers are whose process has descriptors left.
const PEERS: [&str; 2] = ["LONGSHORE_PEER_A", "LONGSHORE_PEER_B"];

/// Runs the test in a child, with two peers in this process.
fn with_peers_elsewhere(test: &str, wrapper: &[&str]) {
    let peers = [Peer::new(site), Peer::new(site)];
    let mut child = Child::new(test);
    if !wrapper.is_empty() {
        child = child.within(wrapper);
    }
    for (name, peer) in PEERS.iter().zip(&peers) {
        child = child.env(name, &peer.url("/ok"));
    }
    child.passes();
}

fn peers_elsewhere() -> [String; 2] {
    PEERS.map(|name| env::var(name).expect("there are peers"))
}
