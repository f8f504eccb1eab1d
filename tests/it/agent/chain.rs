//! What ureq's own agent can do, ours can: connections, bodies, redirects, names, TLS.

use std::{
    io::Read,
    net::{Ipv6Addr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    agent, config, get, kind,
    peers::{Authority, Conn, Peer, site},
    plain_agent,
};
use crate::support::{AT_ONCE, settles};

/// `gzip` of "all of it, well packed\n", made once.
const PACKED: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b, 0xcc, 0xc9, 0x51, 0xc8, 0x4f,
    0x53, 0xc8, 0x2c, 0xd1, 0x51, 0x28, 0x4f, 0x05, 0xb2, 0x0b, 0x12, 0x93, 0xb3, 0x53, 0x53, 0xb8,
    0x00, 0xbc, 0xa7, 0x65, 0x9f, 0x17, 0x00, 0x00, 0x00,
];

in_and_out_of_a_job! {
    fn a_connection_is_kept_and_used_again() {
        let peer = Peer::new(site);
        let agent = plain_agent();
        for _ in 0..20 {
            assert_eq!(get(&agent, &peer.url("/ok")).unwrap(), "0");
        }
        assert_eq!(peer.connections(), 1);
        assert_eq!(peer.record(0).heads.len(), 20);
    }

    fn a_connection_behind_tls_is_kept_and_used_again() {
        let authority = Authority::new();
        let peer = Peer::with_tls(&authority, site);
        let agent = agent(config().tls_config(authority.trusted()).build());
        for _ in 0..20 {
            assert_eq!(get(&agent, &peer.url("/ok")).unwrap(), "0");
        }
        assert_eq!(get(&agent, &peer.url_at("localhost", "/ok")).unwrap(), "1");
    }

    fn an_answer_that_is_not_read_costs_its_connection() {
        let peer = Peer::new(|conn| {
            while conn.request()?.is_some() {
                conn.reply("x".repeat(100_000))?;
            }
            Ok(())
        });
        let agent = plain_agent();
        for _ in 0..3 {
            drop(agent.get(peer.url("/")).call().unwrap());
        }
        assert_eq!(peer.connections(), 3);
    }

    fn bodies_come_in_chunks_and_by_closing() {
        let peer = Peer::new(|conn| {
            while let Some(request) = conn.request()? {
                if request.target() == "/chunks" {
                    conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                    for _ in 0..100 {
                        conn.send("b\r\nhello chunk\r\n")?;
                    }
                    conn.send("0\r\n\r\n")?;
                } else {
                    conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                    conn.send("to the end".repeat(10_000))?;
                    return conn.finish();
                }
            }
            Ok(())
        });
        let agent = plain_agent();
        for _ in 0..2 {
            let chunks = get(&agent, &peer.url("/chunks")).unwrap();
            assert_eq!(chunks, "hello chunk".repeat(100));
        }
        assert_eq!(peer.connections(), 1);
        for _ in 0..2 {
            let all = get(&agent, &peer.url("/close")).unwrap();
            assert_eq!(all, "to the end".repeat(10_000));
        }
        assert_eq!(peer.connections(), 2);
    }

    fn a_body_that_ends_with_its_tls_connection_is_whole() {
        let authority = Authority::new();
        let peer = Peer::with_tls(&authority, |conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            conn.send("to the end".repeat(10_000))?;
            conn.finish()
        });
        let agent = agent(config().tls_config(authority.trusted()).build());
        assert_eq!(get(&agent, &peer.url("/")).unwrap(), "to the end".repeat(10_000));
    }

    fn a_packed_body_is_unpacked() {
        let peer = Peer::new(|conn| {
            while let Some(request) = conn.request()? {
                assert!(request.header("accept-encoding").unwrap().contains("gzip"));
                let length = PACKED.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
                );
                conn.send([head.as_bytes(), PACKED].concat())?;
            }
            Ok(())
        });
        let agent = plain_agent();
        for _ in 0..3 {
            assert_eq!(get(&agent, &peer.url("/")).unwrap(), "all of it, well packed\n");
        }
    }

    fn large_bodies_go_up_and_come_down_whole() {
        const LENGTH: usize = 8 << 20;
        let authority = Authority::new();
        let echo = |conn: &mut Conn| {
            while let Some(request) = conn.request()? {
                let body = conn.body(&request)?;
                conn.reply(body)?;
            }
            Ok(())
        };
        let agent = agent(config().tls_config(authority.trusted()).build());
        let up: Vec<u8> = (0..LENGTH).map(|i| (i % 251) as u8).collect();
        for peer in [Peer::new(echo), Peer::with_tls(&authority, echo)] {
            // Of a length that is known, and in chunks.
            let down = agent.post(peer.url("/")).send(&up[..]).unwrap();
            check(down, &up);
            let reader = ureq::SendBody::from_owned_reader(std::io::Cursor::new(up.clone()));
            let down = agent.post(peer.url("/")).send(reader).unwrap();
            check(down, &up);
            assert_eq!(peer.connections(), 1);
        }

        fn check(mut down: ureq::http::Response<ureq::Body>, up: &[u8]) {
            let mut all = Vec::new();
            let read = down.body_mut().as_reader().read_to_end(&mut all).unwrap();
            assert!(read == LENGTH && all == up);
        }
    }

    fn a_body_waits_for_the_word_to_continue() {
        let peer = Peer::new(|conn| {
            while let Some(request) = conn.request()? {
                assert_eq!(request.header("expect"), Some("100-continue"));
                match request.target() {
                    // Nothing of the body may have come before the word.
                    "/asked" => conn.send("HTTP/1.1 100 Continue\r\n\r\n")?,
                    "/ignored" => {}
                    _ => {
                        conn.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")?;
                        return conn.finish();
                    }
                }
                let body = conn.body(&request)?;
                conn.reply(body)?;
            }
            Ok(())
        });
        let agent = agent(
            config()
                .timeout_await_100(Some(Duration::from_millis(200)))
                .build(),
        );
        let post = |path: &str| {
            let request = agent.post(peer.url(path)).header("expect", "100-continue");
            request.send("the body")?.body_mut().read_to_string()
        };
        assert_eq!(post("/asked").unwrap(), "the body");
        let begun = Instant::now();
        assert_eq!(post("/ignored").unwrap(), "the body");
        assert!(begun.elapsed() >= Duration::from_millis(200));
        assert!(begun.elapsed() < AT_ONCE + Duration::from_millis(200));
        assert_eq!(kind(&post("/refused").unwrap_err()), "status");
    }

    fn redirects_are_followed_from_peer_to_peer() {
        let there = Peer::new(site);
        let onward = there.url("/ok");
        let here = Peer::new(move |conn| {
            while let Some(request) = conn.request()? {
                let location = match request.target() {
                    "/near" => "/nearer",
                    _ => &onward,
                };
                conn.send(format!(
                    "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                ))?;
            }
            Ok(())
        });
        let agent = plain_agent();
        for _ in 0..2 {
            assert_eq!(get(&agent, &here.url("/near")).unwrap(), "0");
        }
        assert_eq!((here.connections(), there.connections()), (1, 1));
        assert_eq!(here.heads().len(), 4);
    }

    fn a_host_may_have_a_name_or_be_an_address() {
        let peer = Peer::new(site);
        let agent = plain_agent();
        assert_eq!(get(&agent, &peer.url_at("localhost", "/ok")).unwrap(), "0");
        assert_eq!(get(&agent, &peer.url_at("127.0.0.1", "/ok")).unwrap(), "1");
        assert_eq!(get(&agent, &peer.url_at("localhost", "/ok")).unwrap(), "0");
        let missing = get(&agent, "http://nobody.invalid/").unwrap_err();
        assert!(["dns", "io"].contains(&kind(&missing)), "{missing:?}");
        let Ok(six) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            return eprintln!("skipped: this machine has no ::1");
        };
        let peer = Peer::on(six, Arc::new(site));
        assert_eq!(get(&agent, &peer.url("/ok")).unwrap(), "0");
    }

    fn a_status_is_an_error_or_not_as_configured() {
        let peer = Peer::new(|conn| {
            while conn.request()?.is_some() {
                conn.send("HTTP/1.1 503 Unavailable\r\nContent-Length: 4\r\n\r\nbusy")?;
            }
            Ok(())
        });
        let error = get(&plain_agent(), &peer.url("/")).unwrap_err();
        assert!(matches!(error, ureq::Error::StatusCode(503)), "{error:?}");
        let lenient = agent(config().http_status_as_error(false).build());
        assert_eq!(get(&lenient, &peer.url("/")).unwrap(), "busy");
    }

    /// With a pause at every place: it is long enough for a connection to give its buffers back.
    fn an_answer_may_come_in_any_two_parts() {
        const ANSWER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                              4\r\n0123\r\n3\r\n456\r\n0\r\n\r\n";
        let authority = Authority::new();
        let parts = |conn: &mut Conn| {
            while let Some(request) = conn.request()? {
                let place: usize = request.target()[1..].parse().unwrap();
                conn.send(&ANSWER[..place])?;
                conn.linger();
                conn.linger();
                conn.send(&ANSWER[place..])?;
            }
            Ok(())
        };
        let agent = agent(config().tls_config(authority.trusted()).build());
        for peer in [Peer::new(parts), Peer::with_tls(&authority, parts)] {
            for place in 0..ANSWER.len() {
                let told = get(&agent, &peer.url(&format!("/{place}")));
                assert_eq!(told.unwrap(), "0123456", "at {place}");
            }
            assert_eq!(peer.connections(), 1);
        }
    }

    /// Head, pause, a lot, pause, a lot.
    fn a_body_with_pauses_is_whole() {
        const PART: usize = 300_000;
        let authority = Authority::new();
        let pauses = |conn: &mut Conn| {
            conn.request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 8 * PART))?;
            for part in 0..8 {
                conn.linger();
                conn.linger();
                let body: Vec<u8> = (0..PART).map(|at| ((at + part) % 251) as u8).collect();
                conn.send(body)?;
            }
            conn.finish()
        };
        let agent = agent(config().tls_config(authority.trusted()).build());
        for peer in [Peer::new(pauses), Peer::with_tls(&authority, pauses)] {
            let mut answer = agent.get(peer.url("/")).call().unwrap();
            let body = answer.body_mut().read_to_vec().unwrap();
            assert_eq!(body.len(), 8 * PART);
            for (part, body) in body.chunks(PART).enumerate() {
                let good = |(at, byte): (usize, &u8)| *byte == ((at + part) % 251) as u8;
                assert!(body.iter().enumerate().all(good), "part {part}");
            }
        }
    }

    /// ureq's own way to end calls goes on working.
    fn shutting_an_agent_down_ends_its_calls() {
        for path in ["/silent", "/half-head", "/head-only", "/drip", "/swallows"] {
            let peer = Peer::new(site);
            let agent = agent(config().timeout_global(None).build());
            let (url, theirs) = (peer.url(path), agent.clone());
            let call = std::thread::spawn(move || {
                if path == "/swallows" {
                    let zeros = ureq::SendBody::from_owned_reader(std::io::repeat(0));
                    theirs.post(url).send(zeros).map(drop)
                } else {
                    get(&theirs, &url).map(drop)
                }
            });
            settles("the call is under way", || peer.reached() > 0);
            agent.clone().shutdown();
            call.join().unwrap().unwrap_err();
            get(&agent, &peer.url("/ok")).unwrap_err();
        }
    }

    /// `http` takes such a port for none at all, and ureq then goes to port 80 (fault G). With
    /// cookies ureq panics before it asks us.
    #[cfg(not(feature = "cookies"))]
    fn a_port_that_cannot_be_is_an_error() {
        let peer = Peer::new(|conn| {
            while conn.request()?.is_some() {
                let there = "http://127.0.0.1:99999/";
                conn.send(format!(
                    "HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
                ))?;
            }
            Ok(())
        });
        for url in ["http://127.0.0.1:99999/", "http://localhost:65536/", &peer.url("/")] {
            let error = get(&plain_agent(), url).unwrap_err();
            assert!(matches!(error, ureq::Error::BadUri(_)), "{url}: {error:?}");
        }
    }

    fn many_threads_may_share_an_agent() {
        let peer = Peer::new(site);
        let agent = plain_agent();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let id = get(&agent, &peer.url("/ok")).unwrap();
                        assert!(id.parse::<usize>().is_ok(), "{id}");
                    }
                });
            }
        });
        assert_eq!(peer.heads().len(), 400);
    }
}
