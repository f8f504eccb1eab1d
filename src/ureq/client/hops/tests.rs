//! Exchanges on their threads, without the future that would await them.

use std::{future::poll_fn, io, net::TcpListener};

use super::*;
use crate::{
    job::{Task, block_on},
    lane::{Lane, Threads},
};

/// Runs an exchange as a job of a lane of its own.
fn run(plan: Plan, shared: &Arc<HandOver>) -> Task<()> {
    let lane = Lane::builder("hops").own_threads(Threads::new()).build();
    let shared = shared.clone();
    lane.offload_with(move |job| plan.run(&shared, job))
}

/// One of ureq's own, which tells nothing, and one of ours. Not for ever, if somebody is called whom nobody
/// should call.
fn agents() -> [Agent; 2] {
    let time = Some(Duration::from_secs(5));
    let config = || {
        Agent::config_builder()
            .proxy(None)
            .timeout_global(time)
            .build()
    };
    [config().new_agent(), crate::ureq::agent(config())]
}

fn post(agent: Agent, url: &str, payload: Payload) -> (Arc<HandOver>, Plan) {
    let parts = Request::post(url)
        .body(())
        .expect("it is valid")
        .into_parts()
        .0;
    let shared = Arc::new(HandOver::new(parts.uri.clone()));
    let plan = Plan {
        agent,
        policy: Policy::default(),
        parts,
        payload,
        length: None,
    };
    (shared, plan)
}

fn outcome(shared: &HandOver) -> Result<Box<Head>, Error> {
    block_on(poll_fn(|cx| shared.poll_head(cx)))
}

#[track_caller]
fn error(shared: &HandOver) -> Error {
    match outcome(shared) {
        Ok(head) => panic!("there is nobody who could say {}", head.parts.status),
        Err(error) => error,
    }
}

struct Peer(TcpListener);

impl Peer {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port is free"))
    }

    fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr().expect("it is bound"))
    }
}

/// K21.
#[test]
fn an_exchange_that_nobody_waits_for_is_not_begun() {
    for agent in agents() {
        let peer = Peer::new();
        peer.0.set_nonblocking(true).unwrap();
        let (shared, plan) = post(agent, &peer.url(), Payload::Bytes(Bytes::from_static(b"x")));
        let late = shared.place(Error::new(ErrorKind::TimedOut));
        assert!(late.is_retryable(), "{late:?}");
        block_on(run(plan, &shared)).unwrap();
        let nobody = peer.0.accept().map(drop).unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
        assert!(error(&shared).is_cancelled());
    }
}
