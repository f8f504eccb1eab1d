//! H17: what goes wrong in a TLS handshake is an error of its kind, and nothing is sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    agent, config, get, kind,
    peers::{Authority, Peer, site},
};
use crate::support::AT_ONCE;

/// Longer than any of these takes that is not about it.
const TIMEOUT: Duration = Duration::from_millis(300);

in_and_out_of_a_job! {
    fn whoever_is_not_trusted_hears_nothing() {
        let (ours, theirs) = (Authority::new(), Authority::new());
        let elsewhere = Authority::of(&["elsewhere.invalid"]);
        for (name, authority, trusted) in [
            ("unknown", &theirs, &ours),
            ("for another host", &elsewhere, &elsewhere),
        ] {
            let peer = Peer::with_tls(authority, site);
            let agent = agent(config().tls_config(trusted.trusted()).build());
            let error = get(&agent, &peer.url("/ok")).unwrap_err();
            assert!(["tls", "io"].contains(&kind(&error)), "{name}: {error:?}");
            assert!(format!("{error:?}").contains("ertificate"), "{name}: {error:?}");
            assert!(peer.heads().is_empty(), "{name}");
        }
    }

    fn a_handshake_that_fails_is_an_error_at_once() {
        let authority = Authority::new();
        // A fatal alert: handshake_failure.
        let answers: [(&str, &[u8]); 4] = [
            ("alert", &[21, 3, 3, 0, 2, 2, 40]),
            ("plain HTTP", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            ("garbage", &[0xaa; 4096]),
            ("close", b""),
        ];
        for (name, answer) in answers {
            let peer = Peer::first(
                Arc::new(move |conn| {
                    // All of the hello, or the close would be a reset.
                    let head = conn.take(5)?;
                    conn.take(u16::from_be_bytes([head[3], head[4]]).into())?;
                    conn.send(answer)?;
                    conn.finish()?;
                    conn.watch()
                }),
                authority.wrap(Arc::new(site)),
            )
            .https();
            let agent = agent(config().tls_config(authority.trusted()).build());
            let begun = Instant::now();
            let error = get(&agent, &peer.url("/ok")).unwrap_err();
            assert!(["tls", "io"].contains(&kind(&error)), "{name}: {error:?}");
            assert!(begun.elapsed() < AT_ONCE, "{name}");
            assert_eq!(get(&agent, &peer.url("/ok")).unwrap(), "1", "{name}");
        }
    }

    fn a_handshake_that_does_not_end_is_late() {
        let authority = Authority::new();
        for drips in [false, true] {
            let peer = Peer::first(
                Arc::new(move |conn| {
                    conn.take(1)?;
                    // The beginning of a record that would be long.
                    conn.send(if drips { &[22, 3, 3, 0x40, 0][..] } else { &[] })?;
                    if !drips {
                        return conn.watch();
                    }
                    loop {
                        conn.send([0])?;
                        conn.linger();
                    }
                }),
                authority.wrap(Arc::new(site)),
            )
            .https();
            let agent = agent(
                config()
                    .tls_config(authority.trusted())
                    .timeout_connect(Some(TIMEOUT))
                    .build(),
            );
            let begun = Instant::now();
            let error = get(&agent, &peer.url("/ok")).unwrap_err();
            let took = begun.elapsed();
            assert!(["timeout", "tls"].contains(&kind(&error)), "{drips}: {error:?}");
            assert!(took < TIMEOUT + AT_ONCE, "{drips}: {took:?}");
            let next = agent.get(peer.url("/ok")).config();
            let next = next.timeout_connect(Some(Duration::from_secs(10))).build();
            assert_eq!(next.call().unwrap().body_mut().read_to_string().unwrap(), "1");
        }
    }

    /// A body that ends with its connection, and a connection that ends without TLS saying so.
    fn a_tls_connection_that_is_cut_is_not_the_end_of_a_body() {
        let authority = Authority::new();
        for resets in [false, true] {
            let peer = Peer::with_tls(&authority, move |conn| {
                conn.request()?;
                conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234")?;
                if resets { conn.reset() } else { Ok(()) }
            });
            let agent = agent(config().tls_config(authority.trusted()).build());
            let told = get(&agent, &peer.url("/"));
            let error = told.expect_err("a cut is not an end");
            assert!(["io", "other"].contains(&kind(&error)), "{error:?}");
        }
    }
}
