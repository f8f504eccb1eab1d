//! H10: a body that is small on the wire and large when it is unpacked stops at the limit, in the
//! memory of the limit; and one that is not what its head says is an error.

use bytes::Bytes;
use futures::TryStreamExt;
use http::header::CONTENT_ENCODING;
use longshore::ureq::{Client, Error, ErrorKind, Part};

use super::{
    client,
    gzip::{Zeros, stored},
    peer::{Peer, response, with_headers},
};
use crate::support::{
    Child, Flavour, Place, Source, everywhere_runs, in_child, is_as_new, peak_resident, resident,
    watched,
};

/// Where the peer is, for a process of its own.
const PEER: &str = "LONGSHORE_PEER";

/// What a bomb has in it.
const LARGE: usize = 1 << 30;

/// How much is collected where nothing else was said.
const LIMIT: usize = 10 << 20;

/// What may come on top: threads, buffers, and room to grow.
const BESIDES: usize = 8 << 20;

/// In a process of its own, whose memory is for this alone: the peer is in another.
#[test]
fn a_bomb_takes_no_more_memory_than_its_limit() {
    let test = concat!(
        module_path!(),
        "::a_bomb_takes_no_more_memory_than_its_limit"
    );
    if !in_child() {
        let peer = Peer::new(|connection| {
            let Some(asked) = connection.request()? else {
                return Ok(());
            };
            let encoding = asked.line.split(['/', ' ']).nth(2).unwrap();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n\r\n"
            ))?;
            match encoding {
                "gzip" => Zeros::new(LARGE).send(&mut connection.stream),
                _ => connection.send(brotli(LARGE)),
            }
        });
        return Child::new(test).env(PEER, &peer.url("")).passes();
    }
    watched(|| {
        let peer = std::env::var(PEER).expect("there is one");
        let place = Place {
            source: Source::Threads,
            flavour: Flavour::CurrentThread,
        };
        place.flavour.runtime().block_on(async {
            let (client, lane) = client(place, 1);
            for encoding in ENCODINGS {
                let url = format!("{peer}/{encoding}");
                let before = resident();
                assert_stops(collected(&client, &url).await, LIMIT);
                let grown = peak_resident().saturating_sub(before);
                assert!(grown < LIMIT + BESIDES, "{encoding}: {grown}");

                // Where nobody keeps what comes there is nothing but what is under way.
                let limit = 4 * LIMIT;
                let limited = client.clone().max_body_size(limit as u64);
                let stream = limited.get(&url).send().await.unwrap().stream();
                let mut seen = 0;
                let all = stream.try_for_each(|chunk: Bytes| {
                    seen += chunk.len();
                    std::future::ready(Ok(()))
                });
                assert_stops(all.await, limit);
                assert!(seen <= limit, "{encoding}: {seen}");
                let grown = peak_resident().saturating_sub(before);
                assert!(grown < LIMIT + BESIDES, "{encoding}: {grown}");
            }
            is_as_new(&lane).await;
        });
    });
}

/// Those that were asked for when this was built.
const ENCODINGS: &[&str] = &[
    "gzip",
    #[cfg(feature = "brotli")]
    "br",
];

/// H10, H11. Once: it is a lot of bytes.
#[test]
fn a_bomb_and_an_endless_body_stop_at_the_limit() {
    everywhere_runs(Source::Tokio, Flavour::MultiThread, |place| async move {
        let peer = Peer::new(|connection| match connection.request()? {
            Some(asked) if asked.line.starts_with("GET /bomb ") => {
                connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")?;
                Zeros::new(LARGE).send(&mut connection.stream)
            }
            _ => {
                connection.send("HTTP/1.1 200 OK\r\n\r\n")?;
                loop {
                    connection.send([b'x'; 10_000])?;
                }
            }
        });
        let (client, lane) = client(place, 1);
        for path in ["/bomb", "/endless"] {
            assert_stops(collected(&client, &peer.url(path)).await, LIMIT);
        }
        // A stream has no limit of its own.
        let mut stream = client.get(peer.url("/bomb")).send().await.unwrap().stream();
        let mut seen = 0;
        while seen < LIMIT * 3 / 2 {
            seen += stream.try_next().await.unwrap().unwrap().len();
        }
        drop(stream);
        is_as_new(&lane).await;
    });
}

everywhere! {
    /// The connection is used again only where the body is known to be over, by the length that it
    /// has in the head: what is packed in it does not matter to that.
    async fn what_is_not_compressed_as_its_head_says_is_an_error(place: Place) {
        let (good, _) = stored(b"first ", b"second");
        let corrupt = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 0xff;
            bytes
        };
        let end = good.len();
        for (what, body, connections) in [
            ("no gzip", b"first second, and not packed".to_vec(), 2),
            ("a kind of block that there is not", corrupt(10), 2),
            ("a wrong checksum", corrupt(end - 8), 2),
            ("a wrong length", corrupt(end - 1), 2),
            ("less than all", good[..end - 10].to_vec(), 1),
        ] {
            let peer = Peer::answering(move |asked| match asked.line.as_str() {
                "GET /bad HTTP/1.1" => {
                    with_headers("200 OK", &[("Content-Encoding", "gzip")], &body)
                }
                _ => response("200 OK", "good"),
            });
            let (client, lane) = client(place, 1);
            let error = collected(&client, &peer.url("/bad")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{what}: {error:?}");
            assert!(error.received() && !error.is_retryable(), "{what}: {error:?}");
            let next = client.get(peer.url("/good")).send().await.unwrap();
            assert_eq!(next.text().await.unwrap(), "good");
            assert_eq!(peer.connections(), connections, "{what}");
            is_as_new(&lane).await;
        }
    }

    /// One layer is taken off, as the head says: what is in it is for the caller to judge.
    async fn what_is_packed_twice_is_unpacked_once(place: Place) {
        let (inner, _) = stored(b"first ", b"second");
        let (outer, _) = stored(&inner, b"");
        let peer = Peer::answering(move |_| {
            with_headers("200 OK", &[("Content-Encoding", "gzip")], &outer)
        });
        let (client, lane) = client(place, 1);
        assert!(collected(&client, &peer.url("/")).await.unwrap() == inner);
        is_as_new(&lane).await;
    }
}

async fn collected(client: &Client, url: &str) -> Result<Bytes, Error> {
    let response = client.get(url).send().await?;
    assert!(!response.headers().contains_key(CONTENT_ENCODING));
    response.bytes().await
}

#[track_caller]
fn assert_stops<T>(told: Result<T, Error>, at: usize) {
    let Err(error) = told else {
        panic!("it was had whole");
    };
    match error.kind() {
        ErrorKind::TooLarge { part, limit, .. } => {
            assert_eq!((part, limit), (Part::Body, at as u64));
        }
        other => panic!("{other:?}"),
    }
}

/// Zeros in Brotli (RFC 7932), by the sixteen mebibytes: in each block one literal, and one copy of
/// it. Codes of a single symbol take no bits.
fn brotli(length: usize) -> Vec<u8> {
    const BLOCK: usize = 1 << 24;
    let mut bits = super::gzip::Bits::default();
    bits.put(0, 1); // A window of 64 KiB.
    for _ in 0..length / BLOCK {
        bits.put(0, 1); // Not the last block,
        bits.put(2, 2); // whose length is in six digits of four bits:
        bits.put(BLOCK as u32 - 1, 24);
        bits.put(0, 1); // compressed,
        bits.put(0, 3); // all of one type,
        bits.put(0, 2 + 4); // distances without anything special,
        bits.put(0, 2); // a context that does not matter,
        bits.put(0, 2); // and one tree of each kind:
        for (symbol, width) in [
            (0, 8),            // the literal zero,
            (384 + 8 + 7, 10), // one literal, and the longest kind of a copy,
            (16, 6),           // from one or two bytes back.
        ] {
            bits.put(1, 2);
            bits.put(0, 2);
            bits.put(symbol, width);
        }
        bits.put(BLOCK as u32 - 1 - 2118, 24); // The copy's length, above the least of its kind.
        bits.put(0, 1); // One byte back.
    }
    bits.put(0b11, 2); // The last block, and an empty one.
    bits.put(0, 7);
    bits.bytes
}
