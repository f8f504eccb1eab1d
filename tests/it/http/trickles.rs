//! Bodies that come a little at a time, and never pause.

use std::io;

use futures::{FutureExt, StreamExt};
use longshore::{
    Lane,
    ureq::{Client, Response},
};

use super::{
    config,
    gzip::{blocks, stored},
    holds_no_slot,
};
use crate::{
    agent::peers::{Authority, Conn, Peer},
    support::{AT_ONCE, Place, is_as_new},
};

/// A body in small pieces, with all that says how it comes.
#[derive(Clone)]
struct Trickle {
    head: String,
    pieces: Vec<Vec<u8>>,
}

impl Trickle {
    fn of_length(encoding: &str, body: &[u8]) -> Self {
        let length = body.len();
        Self {
            head: format!("Content-Encoding: {encoding}\r\nContent-Length: {length}"),
            pieces: body.iter().map(|&byte| vec![byte]).collect(),
        }
    }

    fn in_chunks(body: &[u8]) -> Self {
        let chunk = |byte: &u8| vec![b'1', b'\r', b'\n', *byte, b'\r', b'\n'];
        let end = [b"0\r\n\r\n".to_vec()];
        Self {
            head: "Transfer-Encoding: chunked".to_owned(),
            pieces: body.iter().map(chunk).chain(end).collect(),
        }
    }

    /// Sends piece by piece until the peer is opened, and then the rest. Answers `/other` at once.
    fn serve(&self, conn: &mut Conn) -> io::Result<()> {
        while let Some(request) = conn.request()? {
            if request.target() == "/other" {
                conn.reply("other")?;
                continue;
            }
            conn.send(format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", self.head))?;
            let mut pieces = self.pieces.iter();
            while !conn.is_let_pass()
                && let Some(piece) = pieces.next()
            {
                conn.send(piece)?;
                conn.linger();
            }
            conn.send(pieces.as_slice().concat())?;
        }
        Ok(())
    }

    /// A peer that sends it, plain or behind TLS, and a client for it over a lane of one.
    fn peer(&self, place: Place, authority: Option<&Authority>) -> (Peer, Client, Lane) {
        let this = self.clone();
        let serve = move |conn: &mut Conn| this.serve(conn);
        let (peer, config) = match authority {
            Some(authority) => (
                Peer::with_tls(authority, serve),
                config().tls_config(authority.trusted()),
            ),
            None => (Peer::new(serve), config()),
        };
        let lane = place.lane(1);
        let agent = longshore::ureq::agent(config.build());
        (peer, Client::new(lane.clone(), agent), lane)
    }
}

/// Longer than a test takes, a piece every few milliseconds.
fn long() -> Vec<u8> {
    (0..50_000_u32).map(|n| n as u8).collect()
}

async fn call_another(client: &Client, peer: &Peer) {
    let other = client.get(peer.url("/other")).timeout(AT_ONCE);
    let other = other.send().await.expect("there is a thread for it");
    assert_eq!(other.text().await.unwrap(), "other");
}

async fn is_whole(response: Response) {
    let body = response.bytes().await.unwrap();
    assert!(body == long());
}

everywhere! {
    /// S7. That something comes all the time does not mean that somebody reads it.
    async fn a_body_that_trickles_holds_no_thread_while_nobody_reads_it(place: Place) {
        let authority = Authority::new();
        let (packed, _) = stored(&long(), b"");
        for trickle in [
            Trickle::of_length("identity", &long()),
            Trickle::in_chunks(&long()),
            Trickle::of_length("gzip", &packed),
        ] {
            for authority in [None, Some(&authority)] {
                let (peer, client, lane) = trickle.peer(place, authority);
                // Of one nothing is read, and of one the beginning.
                let unread = client.get(peer.url("/")).send().await.unwrap();
                holds_no_slot(&lane).await;
                let mut body = client.get(peer.url("/")).send().await.unwrap().stream();
                let mut read = body.next().await.unwrap().unwrap().to_vec();
                call_another(&client, &peer).await;
                read.extend(body.next().await.unwrap().unwrap());
                holds_no_slot(&lane).await;
                peer.open();
                is_whole(unread).await;
                while let Some(chunk) = body.next().await {
                    read.extend(chunk.unwrap());
                }
                assert!(read == long());
                assert_eq!(peer.connections(), 3);
                is_as_new(&lane).await;
            }
        }
    }

    /// S7. There is nothing for which whoever waits would be woken, nor a pause in which he would be asked.
    async fn whoever_waited_for_a_body_that_trickles_and_is_gone_does_not_wait(place: Place) {
        let empty: Vec<&[u8]> = vec![b""; 10_000];
        let packed = blocks(&[&[&b"first"[..]], &empty[..], &[&b"last"[..]]].concat());
        let (peer, client, lane) = Trickle::of_length("gzip", &packed).peer(place, None);
        let mut body = client.get(peer.url("/")).send().await.unwrap().stream();
        let mut read = Vec::new();
        while read != b"first" {
            read.extend(body.next().await.unwrap().unwrap());
        }
        assert!(body.next().now_or_never().is_none());
        holds_no_slot(&lane).await;
        peer.open();
        while let Some(chunk) = body.next().await {
            read.extend(chunk.unwrap());
        }
        assert_eq!(read, b"firstlast");
        is_as_new(&lane).await;
    }

    /// Whoever reads is there all the time, if not at every moment, and keeps his thread.
    async fn a_body_that_trickles_keeps_its_thread_while_somebody_reads_it(place: Place) {
        let (peer, client, lane) = Trickle::in_chunks(&long()).peer(place, None);
        let mut body = client.get(peer.url("/")).send().await.unwrap().stream();
        for _ in 0..100 {
            body.next().await.unwrap().unwrap();
        }
        assert!(lane.stats().completed < 20, "{:?}", lane.stats());
        drop(body);
        is_as_new(&lane).await;
    }
}
