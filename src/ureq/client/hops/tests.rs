//! Exchanges on their threads, without the future that would await them.

use std::{
    future::poll_fn,
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
};

use ureq::middleware::MiddlewareNext;

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

    /// Takes one request, up to its `end`, says `answer` and closes.
    fn serve(&self, end: &str, answer: &str) -> io::Result<()> {
        let mut client = self.0.accept()?.0;
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let mut byte = [0];
            client.read_exact(&mut byte)?;
            read.extend(byte);
        }
        client.write_all(answer.as_bytes())
    }
}

/// Where nobody listens: the port of a client.
struct Nobody {
    client: TcpStream,
    _peer: Peer,
}

impl Nobody {
    fn new() -> Self {
        let peer = Peer::new();
        let address = peer.0.local_addr().expect("it is bound");
        Self {
            client: TcpStream::connect(address).expect("it listens"),
            _peer: peer,
        }
    }

    fn url(&self) -> String {
        let address = self.client.local_addr().expect("it is connected");
        format!("http://{address}/")
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

/// Gives one piece, and then does something before it says that this was all.
struct Doing<F>(Option<F>, bool);

impl<F: FnOnce()> Read for Doing<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.1, true) {
            if let Some(does) = self.0.take() {
                does();
            }
            return Ok(0);
        }
        buffer[0] = b'x';
        Ok(1)
    }
}

/// K20, K21, H4. As it is where no other thread is to be had for it.
#[test]
fn another_exchange_on_the_same_thread_is_not_where_one_ended() {
    for (agent, tells) in agents().into_iter().zip([false, true]) {
        for answered in [false, true] {
            let (peer, other, nobody) = (Peer::new(), Peer::new(), Nobody::new());
            let [_, ours] = agents();
            let url = if answered { other.url() } else { nobody.url() };
            let does = move || {
                let job = Job::current().expect("it is read in a job");
                let (shared, plan) = post(ours, &url, Payload::None);
                plan.run(&shared, &job);
                assert_eq!(outcome(&shared).is_ok(), answered);
            };
            let reader = Box::new(Doing(Some(does), false));
            let (shared, plan) = post(agent.clone(), &peer.url(), Payload::Blocking(reader));
            let task = run(plan, &shared);
            if answered {
                let answer = "HTTP/1.1 200 OK\r\n\r\nhello";
                other.serve("\r\n\r\n", answer).unwrap();
            }
            peer.serve("0\r\n\r\n", "").unwrap();
            block_on(task).unwrap();
            was_not_answered(&error(&shared), tells.then_some(Phase::Head));
        }
    }
}

/// The same, after the request was sent.
#[test]
fn another_exchange_in_a_middleware_is_not_where_one_ended() {
    let [_, ours] = agents();
    let (peer, nobody) = (Peer::new(), Nobody::new());
    let url = nobody.url();
    let then_another = move |request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
        let answer = next.handle(request);
        let job = Job::current().expect("it is called in a job");
        let (shared, plan) = post(ours.clone(), &url, Payload::None);
        plan.run(&shared, &job);
        assert!(error(&shared).is_connect());
        answer
    };
    let config = Agent::config_builder().proxy(None).middleware(then_another);
    let agent = crate::ureq::agent(config.build());
    let (shared, plan) = post(
        agent,
        &peer.url(),
        Payload::Bytes(Bytes::from_static(b"xyz")),
    );
    let task = run(plan, &shared);
    peer.serve("xyz", "").unwrap();
    block_on(task).unwrap();
    was_not_answered(&error(&shared), Some(Phase::Head));
}

#[track_caller]
fn was_not_answered(error: &Error, phase: Option<Phase>) {
    let told = (error.kind(), error.phase());
    assert_eq!(told, (ErrorKind::PeerClosed, phase), "{error:?}");
    let seen = (error.sent(), error.received(), error.is_retryable());
    assert_eq!(seen, (true, false, false), "{error:?}");
}
