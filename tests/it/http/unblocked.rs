//! K18: no method of a client, of a response or of a body blocks its caller, and no drop of one.
//!
//! Each is called while the thread of the exchange is stuck with a peer that the caller lets go on
//! only afterwards: whoever waited for that thread would wait for ever. With an agent of ureq's own
//! nothing else helps, as no cancel reaches its threads.

use std::{
    future::Future,
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use longshore::{
    Lane,
    ureq::{Body, Client},
};
use tokio::io::{AsyncRead, ReadBuf};
use ureq::Agent;

use super::agent;
use crate::{
    agent::peers::{Conn, Peer, site},
    support::{Door, Flavour, Gate, Place, Source, eventually, everywhere_runs, is_as_new},
};

/// How often each is done.
const ROUNDS: usize = 5;

/// Half of the calls take no longer, and that is a hundred times what they take.
const SOON: Duration = Duration::from_millis(5);

/// What is under way, and is then asked for more and dropped.
#[derive(Clone, Copy, Debug)]
enum What {
    /// An exchange that waits for its lane.
    Waits,
    /// One whose peer says nothing.
    Asks,
    /// One that sends what a stream gives, to a peer that does not read.
    Streams,
    /// One that sends what a reader gives, which does not return.
    Reads,
    /// A response, half of whose body has come.
    Response,
    /// The same, collected.
    Bytes,
    Text,
    /// The same, by chunks.
    Chunks,
    /// The same, as a reader.
    Reader,
    /// A body that comes faster than it is read.
    Flood,
}

const ALL: [What; 10] = [
    What::Waits,
    What::Asks,
    What::Streams,
    What::Reads,
    What::Response,
    What::Bytes,
    What::Text,
    What::Chunks,
    What::Reader,
    What::Flood,
];

/// On a runtime of one thread, the peers of which it has in its hands as well.
#[test]
fn nothing_blocks_the_runtime() {
    for source in [Source::Tokio, Source::Threads] {
        everywhere_runs(source, Flavour::CurrentThread, |place| async move {
            let stock = ureq::Agent::config_builder()
                .proxy(None)
                .build()
                .new_agent();
            for agent in [agent(), stock] {
                for what in ALL {
                    nothing_blocks(place, &agent, what).await;
                }
            }
        });
    }
}

async fn nothing_blocks(place: Place, agent: &Agent, what: What) {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let lane = place.lane(1);
        let gate = Gate::new();
        let peer = match what {
            What::Streams => Peer::new(deaf),
            _ => Peer::new(site),
        };
        let client = Client::new(lane.clone(), agent.clone());
        times.push(stuck(&client, &lane, &peer, &gate, what).await);
        // The last of what is in the caller's hands.
        times.push(timed(|| drop(client)));
        gate.open();
        drop(peer);
        is_as_new(&lane).await;
    }
    times.sort();
    let median = times[times.len() / 2];
    assert!(median < SOON, "{what:?}: {times:?}");
}

/// Reads nothing of a body, and breaks the connection when it is over: closed in good order it would
/// leave a thread that sends to find out for itself, a minute later.
fn deaf(conn: &mut Conn) -> io::Result<()> {
    conn.request()?;
    conn.reach();
    conn.pass();
    conn.reset()
}

/// Gets an exchange stuck, asks it for what it does not have, and drops it: how long that took.
async fn stuck(client: &Client, lane: &Lane, peer: &Peer, gate: &Gate, what: What) -> Duration {
    let half_of_a_body = async || {
        let response = client.get(peer.url("/half-body")).send().await.unwrap();
        eventually("the peer is silent", || peer.reached() > 0).await;
        response
    };
    match what {
        What::Waits => {
            let door = gate.door();
            lane.offload(move || door.pass()).detach();
            gate.arrived(1).await;
            pending_and_dropped(client.get(peer.url("/ok")).send())
        }
        What::Asks => {
            let call = client.get(peer.url("/silent")).send();
            eventually("the peer is silent", || peer.reached() > 0).await;
            pending_and_dropped(call)
        }
        What::Streams => {
            let zeros =
                stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[0; 1 << 16])));
            let body = Body::stream(zeros);
            let mut call = Box::pin(client.post(peer.url("/")).body(body).send());
            // Fed until the peer has its beginning, and then for as long as the sockets take any.
            while peer.reached() == 0 {
                let fed = tokio::time::timeout(Duration::from_millis(1), &mut call);
                assert!(fed.await.is_err());
            }
            let fed = tokio::time::timeout(Duration::from_millis(20), &mut call);
            assert!(fed.await.is_err());
            pending_and_dropped(call)
        }
        What::Reads => {
            let body = Body::blocking(Shut(gate.door()));
            let call = client.post(peer.url("/swallows")).body(body).send();
            gate.arrived(1).await;
            pending_and_dropped(call)
        }
        What::Response => {
            let response = half_of_a_body().await;
            timed(|| drop(response))
        }
        What::Bytes => pending_and_dropped(half_of_a_body().await.bytes()),
        What::Text => pending_and_dropped(half_of_a_body().await.text()),
        What::Chunks => {
            let mut body = half_of_a_body().await.stream();
            assert_eq!(body.next().await.unwrap().unwrap(), "01234");
            let asked = timed(|| assert!(nothing_yet(|cx| body.poll_next_unpin(cx))));
            asked + timed(|| drop(body))
        }
        What::Reader => {
            let mut body = half_of_a_body().await.stream();
            let mut bytes = [0; 16];
            let mut read = ReadBuf::new(&mut bytes);
            std::future::poll_fn(|cx| Pin::new(&mut body).poll_read(cx, &mut read))
                .await
                .unwrap();
            assert_eq!(read.filled(), b"01234");
            let asked = timed(|| {
                assert!(nothing_yet(
                    |cx| Pin::new(&mut body).poll_read(cx, &mut read)
                ))
            });
            asked + timed(|| drop(body))
        }
        What::Flood => {
            let mut body = client
                .get(peer.url("/endless"))
                .send()
                .await
                .unwrap()
                .stream();
            let mut longest = Duration::ZERO;
            for _ in 0..8 {
                longest = longest.max(timed(|| {
                    let mut cx = Context::from_waker(Waker::noop());
                    let _ = body.poll_next_unpin(&mut cx);
                }));
                tokio::task::yield_now().await;
            }
            longest + timed(|| drop(body))
        }
    }
}

/// Polls it once, for nothing, and drops it.
fn pending_and_dropped(future: impl Future) -> Duration {
    let mut future = Box::pin(future);
    let asked = timed(|| assert!(nothing_yet(|cx| future.as_mut().poll(cx))));
    asked + timed(|| drop(future))
}

fn nothing_yet<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> bool {
    poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn timed(call: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    call();
    begun.elapsed()
}

/// Nothing can be read before its door is opened.
struct Shut(Door);

impl Read for Shut {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.pass();
        Ok(0)
    }
}
