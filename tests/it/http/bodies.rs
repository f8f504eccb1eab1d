//! K18, K20, S7: a response body comes whole or as an error, in bounded memory, and a body that
//! nobody reads holds no thread.

use std::{
    io::Write,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use longshore::ureq::ErrorKind;
use tokio::io::AsyncReadExt;

use super::{
    client,
    gzip::stored,
    peer::{Peer, response},
};
use crate::support::{Gate, Place, eventually, is_as_new};

/// Bytes that show where they come from.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n / 251 + n % 251) as u8).collect()
}

/// Answers everything with so many bytes.
pub(super) fn giving(length: usize) -> Peer {
    let reply = response("200 OK", pattern(length));
    Peer::answering(move |_| reply.clone())
}

everywhere! {
    async fn a_large_body_comes_whole_and_in_order(place: Place) {
        let body = pattern(3_000_001);
        let sent = body.clone();
        let peer = Peer::answering(move |_| response("200 OK", &sent));
        let (client, lane) = client(place, 2);
        let chunks: Vec<_> = client.get(peer.url("/")).send().await.unwrap()
            .stream().try_collect().await.unwrap();
        assert!(chunks.concat() == body);
        assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
        let collected = client.get(peer.url("/")).send().await.unwrap().bytes().await.unwrap();
        assert!(collected == body);
        assert_eq!(peer.connections(), 1, "it was read to its end");
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 0);
    }

    /// S7, and what would otherwise be a deadlock: each body needs a slot only while it is read.
    async fn bodies_that_nobody_reads_hold_no_thread_and_starve_nobody(place: Place) {
        let body = pattern(2_000_000);
        let sent = body.clone();
        let peer = Peer::answering(move |_| response("200 OK", &sent));
        let (client, lane) = client(place, 2);
        let mut open = Vec::new();
        for _ in 0..20 {
            let response = client.get(peer.url("/")).send().await.unwrap();
            open.push((response.stream(), Vec::new()));
        }
        for (stream, read) in &mut open {
            read.extend(stream.next().await.unwrap().unwrap());
        }
        eventually("no body holds a slot", || {
            let stats = lane.stats();
            stats.running + stats.waiting + stats.draining == 0
        }).await;
        let another = client.get(peer.url("/")).send().await.unwrap().bytes().await.unwrap();
        assert!(another == body);
        for (mut stream, mut read) in open {
            while let Some(chunk) = stream.next().await {
                read.extend(chunk.unwrap());
            }
            assert!(read == body);
        }
        is_as_new(&lane).await;
    }

    /// S7.
    async fn a_body_that_is_dropped_half_read_closes_its_connection(place: Place) {
        let peer = giving(8_000_000);
        let (client, lane) = client(place, 2);
        for chunks in [0, 1, 20] {
            let mut stream = client.get(peer.url("/")).send().await.unwrap().stream();
            for _ in 0..chunks {
                stream.next().await.unwrap().unwrap();
            }
            drop(stream);
            eventually("the connection is closed", || peer.open() == 0).await;
        }
        is_as_new(&lane).await;
    }

    async fn what_comes_bit_by_bit_is_had_bit_by_bit(place: Place) {
        let (go, going) = mpsc::channel::<&[u8]>();
        let going = Mutex::new(going);
        let peer = Peer::new(move |connection| {
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for text in going.lock().unwrap().iter() {
                write!(connection.stream, "{:x}\r\n", text.len())?;
                connection.send(text)?;
                connection.send("\r\n")?;
            }
            connection.send("0\r\n\r\n")
        });
        let (client, lane) = client(place, 1);
        let mut stream = client.get(peer.url("/")).send().await.unwrap().stream();
        for text in [&b"one"[..], b"two", b"three"] {
            go.send(text).unwrap();
            assert_eq!(stream.next().await.unwrap().unwrap(), text);
        }
        drop(go);
        assert!(stream.next().await.is_none());
        assert!(stream.next().await.is_none(), "and it stays at its end");
        is_as_new(&lane).await;
    }

    /// Workers and readers meet in every order, and no byte is lost or twice.
    async fn bodies_of_all_sizes_come_whole_beside_others_that_are_dropped(place: Place) {
        let peer = Peer::answering(|asked| {
            let path = asked.line.split(' ').nth(1).unwrap();
            response("200 OK", pattern(path[1..].parse().unwrap()))
        });
        let (client, lane) = client(place, 3);
        let reads = (0..90_usize).map(|n| {
            let length = n * 7_001;
            let call = client.get(peer.url(&format!("/{length}"))).send();
            async move {
                let mut stream = call.await.unwrap().stream();
                let mut read = Vec::new();
                while let Some(chunk) = stream.next().await {
                    read.extend(chunk.unwrap());
                    if n % 3 == 1 {
                        return;
                    }
                    if n % 3 == 2 {
                        tokio::task::yield_now().await;
                    }
                }
                assert!(read == pattern(length), "{} of {length}", read.len());
            }
        });
        futures::future::join_all(reads).await;
        is_as_new(&lane).await;
        drop(client);
        eventually("no connection is left", || peer.open() == 0).await;
    }

    async fn a_body_can_be_read_as_a_reader(place: Place) {
        let body = pattern(700_000);
        let sent = body.clone();
        let peer = Peer::answering(move |_| response("200 OK", &sent));
        let (client, _) = client(place, 1);
        let mut reader = client.get(peer.url("/")).send().await.unwrap().stream();
        let mut first = [0; 5];
        reader.read_exact(&mut first).await.unwrap();
        assert_eq!(first, body[..5]);
        let mut read = first.to_vec();
        // What is left of a chunk is not lost to whoever reads on by chunks.
        read.extend(reader.next().await.unwrap().unwrap());
        reader.read_to_end(&mut read).await.unwrap();
        assert!(read == body);
    }
}

everywhere! {
    /// H6. Never `Ok` with a short body, and never the end of a stream.
    async fn a_body_that_breaks_off_is_an_error(place: Place) {
        let broken: [&[u8]; 4] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        ];
        for reply in broken {
            let peer = Peer::new(move |connection| {
                connection.request()?;
                connection.send(reply)
            });
            let (client, lane) = client(place, 1);
            let error = client.get(peer.url("/")).send().await.unwrap().bytes().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PeerClosed, "{error:?}");
            assert!(error.received() && !error.is_retryable(), "{error:?}");
            assert_eq!(error.phase(), Some(longshore::ureq::Phase::Body));

            let mut stream = client.get(peer.url("/")).send().await.unwrap().stream();
            let mut told = Vec::new();
            while let Some(item) = stream.next().await {
                told.push(item.is_ok());
            }
            assert_eq!(told.pop(), Some(false), "the error is the last there is");
            assert!(told.iter().all(|ok| *ok));
            is_as_new(&lane).await;
        }
    }

    /// H6. At whatever byte it is cut, it is whole or it is an error.
    async fn a_body_in_chunks_may_be_cut_anywhere(place: Place) {
        const BODY: &str = "5\r\nhello\r\n0a;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n";
        // Of its last chunk the end is there; ureq does not insist on what follows.
        let last = BODY.find("0\r\nT").unwrap() + 3;
        let peer = Peer::new(move |connection| {
            let Some(asked) = connection.request()? else { return Ok(()) };
            let cut: usize = asked.line.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            connection.send(&BODY[..cut])
        });
        let (client, lane) = client(place, 1);
        for cut in 0..=BODY.len() {
            let response = client.get(peer.url(&format!("/{cut}"))).send().await.unwrap();
            match response.text().await {
                Ok(text) => assert!(cut >= last && text == "hello0123456789", "{cut}: {text}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::PeerClosed, "{cut}: {error:?}");
                    assert!(cut < BODY.len(), "it is whole");
                }
            }
        }
        is_as_new(&lane).await;
    }

    /// H8. Of two lengths one is wrong, and where the next response begins is anybody's guess.
    async fn a_connection_with_two_lengths_is_not_used_again(place: Place) {
        let zipped = stored(b"01", b"234").0;
        let peer = Peer::new(move |connection| {
            while let Some(asked) = connection.request()? {
                let (encoding, body) = match asked.line.contains("/gzip") {
                    true => ("gzip", &zipped[..]),
                    false => ("identity", &b"01234"[..]),
                };
                connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 50\r\nContent-Encoding: {encoding}\r\n\
                    transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()))?;
                connection.send(body)?;
                connection.send("\r\n0\r\n\r\n")?;
            }
            Ok(())
        });
        let (client, lane) = client(place, 1);
        for path in ["/", "/gzip", "/", "/gzip", "/gzip"] {
            let response = client.get(peer.url(path)).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "01234");
        }
        assert_eq!(peer.connections(), 5);
        is_as_new(&lane).await;
    }
}

everywhere! {
    async fn a_body_ends_with_an_error_if_its_lane_is_closed(place: Place) {
        let peer = giving(1_500_000);
        let (client, lane) = client(place, 1);
        let mut stream = client.get(peer.url("/")).send().await.unwrap().stream();
        eventually("the pump has left", || lane.stats().running == 0).await;
        lane.close();
        let mut read = 0;
        let error = loop {
            match stream.next().await.expect("a part of a body is not all of it") {
                Ok(chunk) => read += chunk.len(),
                Err(error) => break error,
            }
        };
        assert!(read > 0);
        assert_eq!(error.kind(), ErrorKind::Lane, "{error:?}");
        assert!(!error.is_retryable());
        assert!(stream.next().await.is_none());
    }

    /// K3. One deadline is for all of it, also while nobody reads and no job runs.
    async fn the_deadline_is_for_the_body_too(place: Place) {
        let gate = Arc::new(Gate::new());
        let held = gate.clone();
        let peer = Peer::new(move |connection| {
            connection.request()?;
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
            held.door().pass();
            Ok(())
        });
        let (client, lane) = client(place, 1);
        // On a machine that is busy it may pass before there is a body.
        for time in [500, 4_000].map(Duration::from_millis) {
            let told = client.get(peer.url("/")).timeout(time).send().await;
            let Ok(response) = told else {
                assert!(told.unwrap_err().is_timeout() && time < Duration::from_secs(4));
                continue;
            };
            let error = response.bytes().await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            assert_eq!(error.phase(), Some(longshore::ureq::Phase::Body));
            assert!(error.sent() && error.received());
            break;
        }
        gate.open();

        let peer = giving(1_500_000);
        for time in [1, 4].map(Duration::from_secs) {
            let deadline = tokio::time::Instant::now() + time;
            let told = client.get(peer.url("/")).deadline(deadline).send().await;
            let Ok(response) = told else {
                assert!(told.unwrap_err().is_timeout() && time < Duration::from_secs(4));
                continue;
            };
            let stream = response.stream();
            tokio::time::sleep_until(deadline).await;
            let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            break;
        }
        is_as_new(&lane).await;
    }
}
