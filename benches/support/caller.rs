//! The ways to make an HTTP call from async code that the benches hold against each other.

use std::time::Duration;

use longshore::{Lane, lane::Builder, ureq::Client};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Contender {
    /// An agent of ureq's in raw `spawn_blocking`.
    Stock,
    /// The native async client.
    Reqwest,
    /// An agent of Longshore's in a lane.
    Agent,
    /// The async client of Longshore's, on the same two.
    Client,
}

impl Contender {
    pub(crate) const ALL: [Self; 4] = [Self::Stock, Self::Reqwest, Self::Agent, Self::Client];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Reqwest => "reqwest",
            Self::Agent => "agent",
            Self::Client => "client",
        }
    }
}

/// A contender with all it needs. Clones share it.
#[derive(Clone)]
pub(crate) enum Caller {
    Stock(ureq::Agent),
    Reqwest(reqwest::Client),
    Agent(Lane, ureq::Agent),
    Client(Client),
}

impl Caller {
    /// `connections` is how many a client keeps for later; its lane is what `lane` builds. Nobody
    /// should meet the timeout; it is there because what it costs belongs to a call.
    pub(crate) fn new(
        contender: Contender,
        connections: usize,
        lane: Builder,
        timeout: Duration,
    ) -> Self {
        match contender {
            // The defaults, apart from the timeout and from the idle connections: with ureq's 3
            // for a host it would open connections instead of making calls.
            Contender::Stock => Self::Stock(
                ureq::Agent::config_builder()
                    .proxy(None)
                    .timeout_global(Some(timeout))
                    .max_idle_connections(connections)
                    .max_idle_connections_per_host(connections)
                    .build()
                    .new_agent(),
            ),
            Contender::Reqwest => {
                // It builds no client without one, also for calls that need no TLS.
                let _ = rustls::crypto::ring::default_provider().install_default();
                Self::Reqwest(
                    reqwest::Client::builder()
                        .no_proxy()
                        .tls_certs_only([])
                        .timeout(timeout)
                        .pool_max_idle_per_host(connections)
                        .build()
                        .expect("a client without TLS can always be had"),
                )
            }
            // The lane's timeout is the call's: the agent learns it from its job.
            Contender::Agent => Self::Agent(lane.timeout(timeout).build(), ours(connections)),
            Contender::Client => {
                let lane = lane.timeout(timeout).build();
                Self::Client(Client::new(lane, ours(connections)))
            }
        }
    }

    /// Makes a call, and gives the size of the body.
    ///
    /// # Panics
    ///
    /// If anything goes wrong: a contender that fails has no figure.
    pub(crate) async fn get(&self, url: &str) -> usize {
        match self {
            Self::Stock(agent) => {
                let (agent, url) = (agent.clone(), url.to_owned());
                let task = tokio::task::spawn_blocking(move || get(&agent, &url));
                task.await.expect("a good answer")
            }
            Self::Reqwest(client) => {
                let response = client.get(url).send().await.expect("a good answer");
                response.bytes().await.expect("the whole answer").len()
            }
            Self::Agent(lane, agent) => {
                let (agent, url) = (agent.clone(), url.to_owned());
                let task = lane.offload(move || get(&agent, &url));
                task.await.expect("a good answer")
            }
            Self::Client(client) => {
                let response = client.get(url).send().await.expect("a good answer");
                response.bytes().await.expect("the whole answer").len()
            }
        }
    }
}

fn ours(connections: usize) -> ureq::Agent {
    longshore::ureq::agent(
        longshore::ureq::config()
            .proxy(None)
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .build(),
    )
}

/// Blocks until the whole answer is there.
fn get(agent: &ureq::Agent, url: &str) -> usize {
    let answer = agent.get(url).call().expect("a good answer");
    let body = answer.into_body().read_to_vec();
    body.expect("the whole answer").len()
}
