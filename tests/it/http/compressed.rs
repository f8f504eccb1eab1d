//! Bodies that are said to be compressed: those of no bytes are none, and those that break off are neither
//! that nor garbage.

use longshore::ureq::{Client, ErrorKind};

use super::{agent, client, gzip::stored, peer::Peer};
use crate::{
    agent::peers,
    support::{Gate, Place, is_as_new},
};

everywhere! {
    /// Not even of nothing at all would gzip be satisfied.
    async fn a_response_without_a_body_is_not_decompressed(place: Place) {
        let peer = Peer::new(|connection| {
            for status in ["200 OK", "204 No Content", "304 Not Modified"] {
                connection.request()?;
                connection.send(format!("HTTP/1.1 {status}\r\nContent-Encoding: gzip\r\n\r\n"))?;
            }
            Ok(())
        });
        let (client, lane) = client(place, 1);
        let head = client.head(peer.url("/")).send().await.unwrap();
        assert_eq!(head.bytes().await.unwrap(), "");
        for status in [204, 304] {
            let response = client.get(peer.url("/")).send().await.unwrap();
            assert_eq!(response.status(), status);
            assert_eq!(response.bytes().await.unwrap(), "");
        }
        assert_eq!(peer.connections(), 1);
        is_as_new(&lane).await;
    }

    /// Servers that compress all they have say so of nothing as well.
    async fn a_body_of_no_bytes_is_not_decompressed(place: Place) {
        const LENGTH: &str = "Content-Length: 0\r\n\r\n";
        const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let peer = Peer::new(|connection| {
            for framing in [LENGTH, CHUNKED, LENGTH] {
                connection.request()?;
                connection.send(format!("HTTP/1.1 202 Accepted\r\nContent-Encoding: gzip\r\n{framing}"))?;
            }
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        });
        let (client, lane) = client(place, 1);
        for _ in 0..4 {
            let response = client.get(peer.url("/")).send().await.unwrap();
            assert_eq!(response.bytes().await.unwrap(), "");
        }
        assert_eq!(peer.connections(), 1, "each was whole");
        is_as_new(&lane).await;
    }

    async fn a_body_of_no_bytes_may_be_slow(place: Place) {
        let gate = Gate::new();
        let door = gate.door();
        let peer = Peer::new(move |connection| {
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            door.pass();
            connection.send("0\r\n\r\n")
        });
        let (client, lane) = client(place, 1);
        let response = client.get(peer.url("/")).send().await.unwrap();
        gate.open();
        assert_eq!(response.bytes().await.unwrap(), "");
        is_as_new(&lane).await;
    }

    /// It is passed on before the decoder reads its own; with an agent that does not say when it waits, too.
    async fn a_head_does_not_wait_for_its_compressed_body(place: Place) {
        let stock = || ureq::Agent::config_builder().proxy(None).build().new_agent();
        for agent in [agent(), stock()] {
            let gate = Gate::new();
            let door = gate.door();
            let peer = Peer::new(move |connection| {
                connection.request()?;
                connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n")?;
                door.pass();
                Ok(())
            });
            let lane = place.lane(1);
            let client = Client::new(lane.clone(), agent);
            let response = client.get(peer.url("/")).send().await.unwrap();
            assert_eq!(response.status(), 200);
            gate.open();
            assert!(response.bytes().await.is_err());
            is_as_new(&lane).await;
        }
    }

    async fn a_part_of_a_compressed_body_is_not_taken_for_none(place: Place) {
        let peer = Peer::new(|connection| {
            for body in [
                "Content-Length: 1\r\n\r\n\x1f",
                "Transfer-Encoding: chunked\r\n\r\n1\r\n\x1f\r\n0\r\n\r\n",
            ] {
                connection.request()?;
                connection.send(format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n{body}"))?;
            }
            Ok(())
        });
        let (client, lane) = client(place, 1);
        for _ in 0..2 {
            let response = client.get(peer.url("/")).send().await.unwrap();
            let error = response.bytes().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
        }
        is_as_new(&lane).await;
    }

    /// H4-H6. Nor is one that breaks off, at once or later: what the decoder makes of that is not what
    /// has happened.
    async fn a_compressed_body_that_breaks_off_is_neither_none_nor_garbage(place: Place) {
        let (packed, _) = stored(&[b'x'; 100], b"");
        let chunk = [&b"64\r\n"[..], &packed[..100], b"\r\n"].concat();
        let length = format!("Content-Length: {}", packed.len());
        let chunked = "Transfer-Encoding: chunked";
        let cases: [(&str, Vec<u8>); 7] = [
            (&length, Vec::new()),
            (&length, packed[..1].to_vec()),
            (&length, packed[..packed.len() - 1].to_vec()),
            (chunked, Vec::new()),
            (chunked, b"1000\r\n".to_vec()),
            (chunked, b"5\r\nabc".to_vec()),
            (chunked, chunk),
        ];
        for (framing, body) in cases {
            for resets in [false, true] {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n{framing}\r\n\r\n");
                let answer = [head.as_bytes(), &body].concat();
                let peer = peers::Peer::new(move |conn| {
                    conn.request()?;
                    conn.send(&answer)?;
                    if resets { conn.reset() } else { conn.finish() }
                });
                let (client, lane) = client(place, 1);
                // Where it resets, that may overtake the head.
                let error = match client.get(peer.url("/")).send().await {
                    Ok(response) => response.bytes().await.unwrap_err(),
                    Err(error) => error,
                };
                assert_eq!(error.kind(), ErrorKind::PeerClosed, "{body:?}: {error:?}");
                is_as_new(&lane).await;
            }
        }
    }
}
