//! The same behind TLS: what a client says of a handshake, and bodies that wait behind one.

use futures::StreamExt;
use longshore::{
    Lane,
    ureq::{Client, ErrorKind, Part, Phase},
};
use rustls::HandshakeKind;

use super::{config, holds_no_slot};
use crate::{
    agent::{
        peers::{Authority, Peer, site},
        sessions::{handshakes, one_answer},
    },
    support::{Place, is_as_new},
};

/// A client that trusts `authority` and nobody else, over a new lane of one; and the lane.
fn client(place: Place, authority: &Authority) -> (Client, Lane) {
    let lane = place.lane(1);
    let config = config().tls_config(authority.trusted()).build();
    (
        Client::new(lane.clone(), longshore::ureq::agent(config)),
        lane,
    )
}

everywhere! {
    async fn a_call_behind_tls_is_answered_and_its_connection_used_again(place: Place) {
        let authority = Authority::new();
        let peer = Peer::with_tls(&authority, site);
        let (client, lane) = client(place, &authority);
        for _ in 0..3 {
            // The number of the connection.
            let answer = client.get(peer.url("/ok")).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "0");
        }
        is_as_new(&lane).await;
    }

    async fn a_session_is_resumed_on_the_next_connection(place: Place) {
        let authority = Authority::new();
        let peer = Peer::with_tls(&authority, one_answer);
        let (client, lane) = client(place, &authority);
        for _ in 0..3 {
            let answer = client.get(peer.url("/")).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "ok");
        }
        let kinds = [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed];
        assert_eq!(handshakes(&peer, 3), kinds.map(Some));
        is_as_new(&lane).await;
    }

    /// H17. It has seen nothing of the request; but the next time it will be no better.
    async fn a_peer_that_is_not_trusted_is_sent_nothing(place: Place) {
        let ours = Authority::new();
        let theirs = Authority::new();
        let other_name = Authority::of(&["other.example"]);
        for (speaks, trusts) in [(&theirs, &ours), (&other_name, &other_name)] {
            let peer = Peer::with_tls(speaks, site);
            let (client, lane) = client(place, trusts);
            let error = client.post(peer.url("/ok")).body("a secret").send().await.unwrap_err();
            assert!(error.is_tls(), "{error:?}");
            assert_eq!(error.phase(), Some(Phase::Tls));
            // The handshake is not the request.
            assert!(!error.sent() && !error.is_retryable(), "{error:?}");
            assert!(!error.is_connect() && !error.is_timeout());
            assert!(peer.heads().is_empty());
            is_as_new(&lane).await;
        }
    }

    /// H17. What answers is no TLS at all.
    async fn a_peer_that_does_not_speak_tls_is_told_apart(place: Place) {
        let authority = Authority::new();
        let peer = Peer::new(|conn| conn.send("HTTP/1.1 400 Bad Request\r\n\r\n")).https();
        let (client, lane) = client(place, &authority);
        let error = client.get(peer.url("/ok")).send().await.unwrap_err();
        assert!(error.is_tls(), "{error:?}");
        assert_eq!(error.phase(), Some(Phase::Tls));
        assert!(!error.sent() && !error.is_retryable(), "{error:?}");
        is_as_new(&lane).await;
    }

    /// H6. TLS finds an end, or rubbish, where a record should be. That is not the end of a body, nor is it
    /// the body that is no good.
    async fn a_record_that_is_spoilt_is_neither_an_end_nor_a_body(place: Place) {
        const ALERT: &[u8] = b"\x15\x03\x03\x00\x02\x02\x50";
        let authority = Authority::new();
        for encoding in ["identity", "gzip"] {
            for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked", "Connection: close"] {
                for spoilt in [ALERT, &[0x17, 3, 3, 0, 32, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
                    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]] {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n{framing}\r\n\r\n");
                    let peer = Peer::with_tls(&authority, move |conn| {
                        conn.request()?;
                        conn.send(&head)?;
                        conn.pass();
                        std::io::Write::write_all(&mut &*conn.socket(), spoilt)?;
                        conn.watch()
                    });
                    let (client, lane) = client(place, &authority);
                    let response = client.get(peer.url("/")).send().await.unwrap();
                    peer.open();
                    let error = response.bytes().await.unwrap_err();
                    assert!(
                        matches!(error.kind(), ErrorKind::Io | ErrorKind::PeerClosed | ErrorKind::Tls),
                        "{encoding}, {framing}: {error:?}"
                    );
                    is_as_new(&lane).await;
                }
            }
        }
    }

    /// H9. The room there is may be smaller than a head may be: then that is what it exceeds.
    async fn a_head_for_which_there_is_no_room_is_too_large(place: Place) {
        let authority = Authority::new();
        let long = "x".repeat(20 << 10);
        for (head, expects) in [
            (format!("200 OK\r\nX: {long}"), false),
            (format!("200 OK\r\nX: {long}"), true),
            (format!("103 Early Hints\r\nX: {long}"), false),
        ] {
            let peer = Peer::with_tls(&authority, move |conn| {
                conn.request()?;
                conn.send(format!("HTTP/1.1 {head}\r\n\r\n"))?;
                conn.watch()
            });
            for tls in authority.trusted_by_all() {
                let lane = place.lane(1);
                let config = config().tls_config(tls).input_buffer_size(8 << 10);
                let config = config.timeout_await_100(None).build();
                let client = Client::new(lane.clone(), longshore::ureq::agent(config));
                let request = client.post(peer.url("/"));
                let request = if expects { request.header("expect", "100-continue") } else { request };
                let error = request.body("body").send().await.unwrap_err();
                let ErrorKind::TooLarge { part, limit, .. } = error.kind() else {
                    panic!("{error:?}");
                };
                assert_eq!((part, limit), (Part::Head, 8 << 10));
                is_as_new(&lane).await;
            }
        }
    }

    /// In a body there is no head that could be too large.
    async fn a_chunk_for_whose_size_there_is_no_room_is_no_head(place: Place) {
        let authority = Authority::new();
        let long = "x".repeat(20 << 10);
        let peer = Peer::with_tls(&authority, move |conn| {
            conn.request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x={long}\r\n"))?;
            conn.watch()
        });
        let lane = place.lane(1);
        let config = config().tls_config(authority.trusted()).input_buffer_size(8 << 10);
        let client = Client::new(lane.clone(), longshore::ureq::agent(config.build()));
        let response = client.get(peer.url("/")).send().await.unwrap();
        let error = response.bytes().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
        is_as_new(&lane).await;
    }

    /// K20. What TLS says of it, to the peer, is not more of the request.
    async fn a_record_that_is_spoilt_in_place_of_a_head_comes_after_the_request(place: Place) {
        let authority = Authority::new();
        let peer = Peer::with_tls(&authority, |conn| {
            conn.request()?;
            std::io::Write::write_all(&mut &*conn.socket(), b"\x17\x03\x03\x00\x05hello")?;
            conn.watch()
        });
        let (client, lane) = client(place, &authority);
        let error = client.get(peer.url("/")).send().await.unwrap_err();
        assert_eq!(error.phase(), Some(Phase::Head), "{error:?}");
        assert!(error.sent() && !error.is_retryable(), "{error:?}");
        is_as_new(&lane).await;
    }

    /// S7. The connection that a parked body has is more than its socket: what has been decrypted,
    /// and what has come of the next record.
    async fn a_body_that_pauses_behind_tls_is_read_on(place: Place) {
        let authority = Authority::new();
        let peer = Peer::with_tls(&authority, |conn| {
            while conn.request()?.is_some() {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst ")?;
                conn.pass();
                conn.send("second")?;
            }
            Ok(())
        });
        let (client, lane) = client(place, &authority);
        let mut body = client.get(peer.url("/")).send().await.unwrap().stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "first ");
        holds_no_slot(&lane).await;
        peer.open();
        assert_eq!(body.next().await.unwrap().unwrap(), "second");
        assert!(body.next().await.is_none());
        let again = client.get(peer.url("/")).send().await.unwrap();
        assert_eq!(again.text().await.unwrap(), "first second");
        assert_eq!(peer.connections(), 1);
        is_as_new(&lane).await;
    }
}
