//! K20, K21: calls that the body of a request makes while it is read. How far these have come is not how
//! far the upload has.

use std::{
    io::{self, Read},
    sync::Arc,
};

use longshore::{
    CancelToken,
    ureq::{Body, Client, Error, ErrorKind, Phase},
};
use ureq::{Agent, SendBody};

use super::{
    agent,
    gzip::stored,
    peer::{Peer, response},
    uploads::counting,
};
use crate::{
    agent::peers::{self, Closed, site},
    support::{Gate, Place, is_as_new},
};

/// As long as all that [`Calling`] gives.
const LENGTH: u64 = 50;

/// Which read of [`Calling`] finds its end, and what is later than all of them.
const END: u8 = 5;
const DROP: u8 = END + 1;

/// Five times ten bytes, and on the way a call, at one of the reads or when it is dropped.
struct Calling {
    call: Box<dyn Fn() + Send>,
    at: u8,
    reads: u8,
}

impl Calling {
    fn body(at: u8, call: impl Fn() + Send + 'static, length: Option<u64>) -> Body {
        let (call, reads) = (Box::new(call), 0);
        let body = Body::blocking(Self { call, at, reads });
        match length {
            Some(length) => body.with_length(length),
            None => body,
        }
    }
}

impl Read for Calling {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reads == self.at {
            (self.call)();
        }
        if self.reads == END {
            return Ok(0);
        }
        let ten = &mut buffer[..10];
        ten.fill(self.reads);
        self.reads += 1;
        Ok(ten.len())
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if self.at == DROP {
            (self.call)();
        }
    }
}

/// One of ureq's own, and one of ours, which tells how far it is.
fn agents() -> [(Agent, bool); 2] {
    let stock = Agent::config_builder().proxy(None).build().new_agent();
    [(stock, false), (agent(), true)]
}

/// The end of an upload that a peer took whole and did not answer.
#[track_caller]
fn was_not_answered(error: &Error, tells: bool, row: &str) {
    let told = (error.kind(), error.phase());
    let phase = tells.then_some(Phase::Head);
    assert_eq!(told, (ErrorKind::PeerClosed, phase), "{row}: {error:?}");
    assert!(error.sent() && !error.received(), "{row}: {error:?}");
    assert!(!error.is_retryable(), "{row}: {error:?}");
}

/// Takes a whole request, and closes.
fn taking() -> Peer {
    Peer::new(|connection| connection.request().map(drop))
}

everywhere! {
    async fn a_call_on_the_way_that_is_refused_does_not_end_an_upload(place: Place) {
        let refusing = peers::Peer::new(site);
        let peer = counting();
        let lane = place.lane(1);
        for (agent, _) in agents() {
            let client = Client::new(lane.clone(), agent);
            for length in [None, Some(LENGTH)] {
                let (inner, url) = (self::agent(), refusing.url("/refuses"));
                let call = move || {
                    let much = SendBody::from_owned_reader(io::repeat(0).take(24 << 20));
                    let refused = inner.post(&url).send(much);
                    assert!(matches!(refused, Err(ureq::Error::StatusCode(413) | ureq::Error::Io(_))));
                };
                let body = Calling::body(1, call, length);
                let answer = client.post(peer.url("/")).body(body).send().await.unwrap();
                assert_eq!(answer.text().await.unwrap(), "50", "{length:?}");
                let expected: Vec<u8> = (0..50).map(|n| n / 10).collect();
                assert_eq!(peer.asked().pop().unwrap().body, expected, "{length:?}");
            }
        }
        assert_eq!(refusing.connections(), 4);
        is_as_new(&lane).await;
    }

    async fn a_call_on_the_way_that_finds_nobody_is_not_where_an_upload_ended(place: Place) {
        let nobody = Closed::new();
        let peer = taking();
        let lane = place.lane(1);
        for (agent, tells) in agents() {
            let client = Client::new(lane.clone(), agent);
            for (length, at) in [(None, 1), (Some(LENGTH), 1), (None, END), (None, DROP), (Some(LENGTH), DROP)] {
                let (inner, url) = (self::agent(), format!("http://{}/", nobody.address()));
                let call = move || assert!(inner.get(&url).call().is_err());
                let body = Calling::body(at, call, length);
                let error = client.post(peer.url("/")).body(body).send().await.unwrap_err();
                was_not_answered(&error, tells, &format!("{length:?}, {at}"));
            }
        }
        assert_eq!(peer.connections(), 10);
        is_as_new(&lane).await;
    }

    /// H4.
    async fn what_a_call_on_the_way_has_heard_is_not_of_the_answer(place: Place) {
        let other = Peer::answering(|_| response("200 OK", "heard"));
        let peer = taking();
        let lane = place.lane(1);
        for (agent, tells) in agents() {
            let client = Client::new(lane.clone(), agent);
            let (inner, url) = (self::agent(), other.url("/"));
            let call = move || {
                let heard = inner.get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
                assert_eq!(heard.unwrap(), "heard");
            };
            let error = client.post(peer.url("/")).body(Calling::body(1, call, None)).send().await;
            was_not_answered(&error.unwrap_err(), tells, "heard");
        }
        is_as_new(&lane).await;
    }

    /// Nor is its end. Here the connection is sound, and what is compressed breaks off.
    async fn the_end_of_a_call_on_the_way_is_not_that_of_the_answer(place: Place) {
        let ending = Peer::new(|connection| {
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\n\r\nup to its end")
        });
        let (mut gzip, middle) = stored(b"half", b"whole");
        gzip.truncate(middle);
        let peer = Peer::new(move |connection| {
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            connection.send(format!("{:x}\r\n", gzip.len()))?;
            connection.send(&gzip)?;
            connection.send("\r\n0\r\n\r\n")?;
            connection.closed();
            Ok(())
        });
        let lane = place.lane(1);
        let client = Client::new(lane.clone(), agent());
        let (inner, url) = (agent(), ending.url("/"));
        let call = move || {
            let heard = inner.get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
            assert_eq!(heard.unwrap(), "up to its end");
        };
        let answer = client.post(peer.url("/")).body(Calling::body(1, call, None)).send().await.unwrap();
        let error = answer.bytes().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
        is_as_new(&lane).await;
    }

    async fn an_upload_that_is_cancelled_in_a_call_on_the_way_was_being_sent(place: Place) {
        for (agent, tells) in agents() {
            let (gate, token) = (Arc::new(Gate::new()), CancelToken::new());
            let held = gate.clone();
            let silent = Peer::new(move |connection| {
                connection.request()?;
                held.door().pass();
                Ok(())
            });
            let peer = taking();
            let lane = place.lane(1);
            let client = Client::new(lane.cancelled_by(&token), agent);
            let (inner, url) = (self::agent(), silent.url("/"));
            let call = move || assert!(inner.get(&url).call().is_err());
            let upload = client.post(peer.url("/")).body(Calling::body(1, call, None)).send();
            gate.arrived(1).await;
            token.cancel();
            let error = upload.await.unwrap_err();
            let told = (error.kind(), error.phase());
            assert_eq!(told, (ErrorKind::Cancelled, tells.then_some(Phase::Send)), "{error:?}");
            assert!(error.sent() && !error.received() && !error.is_retryable(), "{error:?}");
            gate.open();
            is_as_new(&lane).await;
        }
    }
}
