//! H12: `Expect: 100-continue`. The body waits for the word, however the word comes and whatever comes
//! instead of it.

use std::time::Instant;

use super::{
    agent, config, get, kind,
    peers::{Authority, Conn, Peer},
};
use crate::support::{AT_ONCE, settles};

fn post(agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
    let request = agent.post(url).header("expect", "100-continue");
    request.send("the body")?.body_mut().read_to_string()
}

fn owned(pieces: &[&str]) -> Vec<String> {
    pieces.iter().map(|&piece| piece.to_owned()).collect()
}

in_and_out_of_a_job! {
    /// On a connection that is new, and on one that has served another call.
    fn the_word_to_continue_may_come_in_pieces() {
        let authority = Authority::new();
        let in_halves = |conn: &mut Conn| {
            while let Some(request) = conn.request()? {
                conn.send("HTTP/1.1 100 Continue\r\n")?;
                conn.is_taken();
                conn.send("\r\n")?;
                let body = conn.body(&request)?;
                conn.reply(body)?;
            }
            Ok(())
        };
        for peer in [Peer::new(in_halves), Peer::with_tls(&authority, in_halves)] {
            let config = config().timeout_await_100(None).tls_config(authority.trusted());
            let agent = agent(config.build());
            for _ in 0..3 {
                let begun = Instant::now();
                assert_eq!(post(&agent, &peer.url("/")).unwrap(), "the body");
                assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
            }
            assert_eq!(peer.connections(), 1);
        }
    }

    /// It is all that the peer says, so there is nothing more to wait for.
    fn a_refusal_instead_of_the_word_is_heard_at_once() {
        let authority = Authority::new();
        for pieces in [
            ["HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n", ""],
            ["HTTP/1.1 417 Expectation Failed\r\n", "Content-Length: 0\r\n\r\n"],
            ["HTTP/1.1 417 Expect", "ation Failed\r\nContent-Length: 0\r\n\r\n"],
        ] {
            let refusing = move |conn: &mut Conn| {
                while let Some(request) = conn.request()? {
                    if request.target() == "/ok" {
                        conn.reply("ok")?;
                        continue;
                    }
                    for piece in pieces {
                        conn.send(piece)?;
                        conn.is_taken();
                    }
                    // Nothing of a body follows.
                    return conn.watch();
                }
                Ok(())
            };
            for peer in [Peer::new(refusing), Peer::with_tls(&authority, refusing)] {
                for pooled in [false, true] {
                    let config = config().timeout_await_100(None).tls_config(authority.trusted());
                    let agent = agent(config.build());
                    if pooled {
                        assert_eq!(get(&agent, &peer.url("/ok")).unwrap(), "ok");
                    }
                    let before = peer.connections();
                    let begun = Instant::now();
                    let error = post(&agent, &peer.url("/")).unwrap_err();
                    assert_eq!(kind(&error), "status", "{pieces:?}, {pooled}: {error:?}");
                    assert!(begun.elapsed() < AT_ONCE, "{pieces:?}, {pooled}: {:?}", begun.elapsed());
                    assert_eq!(peer.connections(), before + usize::from(!pooled));
                }
            }
        }
    }

    /// H12. Hints may come at any time, and leave may have fields as any other head.
    fn what_comes_before_the_word_to_continue_is_not_the_answer() {
        const LEAVE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
        const LEAVE_WITH_FIELDS: &str = "HTTP/1.1 100 Continue\r\nServer: peer\r\n\r\n";
        const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
        const PROCESSING: &str = "HTTP/1.1 102 Processing\r\n\r\n";
        let authority = Authority::new();
        for pieces in [
            vec![HINTS, LEAVE],
            vec![&HINTS[..30], &HINTS[30..], LEAVE],
            vec![LEAVE_WITH_FIELDS],
            vec![PROCESSING, LEAVE_WITH_FIELDS, HINTS, LEAVE],
            // With a field that is whole, in a head that is not.
            vec!["HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n", "\r\n", LEAVE],
            vec!["HTTP/1.1 100 Continue\r\nServer: peer\r\n", "\r\n"],
        ] {
            for in_one in [false, true] {
                let pieces = if in_one { vec![pieces.concat()] } else { owned(&pieces) };
                let theirs = pieces.clone();
                let hinting = move |conn: &mut Conn| {
                    while let Some(request) = conn.request()? {
                        for (n, piece) in theirs.iter().enumerate() {
                            if n > 0 {
                                conn.is_taken();
                            }
                            conn.send(piece)?;
                        }
                        let body = conn.body(&request)?;
                        conn.reply(body)?;
                    }
                    Ok(())
                };
                for peer in [Peer::new(hinting.clone()), Peer::with_tls(&authority, hinting)] {
                    let config = config().timeout_await_100(None).tls_config(authority.trusted());
                    let agent = agent(config.build());
                    for _ in 0..2 {
                        assert_eq!(post(&agent, &peer.url("/")).unwrap(), "the body", "{pieces:?}");
                    }
                    assert_eq!(peer.connections(), 1, "{pieces:?}");
                }
            }
        }
    }

    /// What comes of the answer with the word is the beginning of a body that breaks off.
    fn an_answer_in_one_piece_with_the_word_may_not_break_off_unnoticed() {
        let authority = Authority::new();
        for breaks in [false, true] {
            let hasty = move |conn: &mut Conn| {
                let Some(request) = conn.request()? else { return Ok(()) };
                conn.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\npart")?;
                conn.body(&request)?;
                if breaks { conn.reset() } else { conn.finish() }
            };
            for peer in [Peer::new(hasty), Peer::with_tls(&authority, hasty)] {
                let config = config().timeout_await_100(None).tls_config(authority.trusted());
                let told = post(&agent(config.build()), &peer.url("/"));
                match told {
                    Ok(told) => assert!(!breaks && told == "part", "{told}"),
                    Err(error) => assert!(breaks && kind(&error) == "io", "{error:?}"),
                }
            }
        }
    }

    fn a_hint_is_no_leave_to_send_the_body() {
        for hint in ["103 Early Hints\r\nLink: </x>", "102 Processing"] {
            let peer = Peer::new(move |conn| {
                conn.request()?;
                conn.send(format!("HTTP/1.1 {hint}\r\n\r\n"))?;
                conn.is_taken();
                conn.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")?;
                conn.watch()
            });
            let agent = agent(config().timeout_await_100(None).build());
            let error = post(&agent, &peer.url("/")).unwrap_err();
            assert_eq!(kind(&error), "status", "{hint}: {error:?}");
            drop(agent);
            settles("it has seen the end", || peer.ended() == 1);
            let record = peer.record(0);
            assert_eq!(record.received, record.heads[0].len(), "{hint}: nothing but the head");
        }
    }

    /// ureq looks again and again at what cannot become more, until its time is up.
    fn a_peer_that_does_not_come_to_its_word_is_an_error() {
        let authority = Authority::new();
        let endless = format!("HTTP/1.1 100 {}", "x".repeat(256 << 10));
        let hint = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n";
        for (said, expected) in [("HTTP/1.1 1", "io"), (hint, "io"), (&endless, "large head")] {
            let said = said.to_owned();
            let breaking_off = move |conn: &mut Conn| {
                conn.request()?;
                conn.send(&said)?;
                conn.finish()?;
                conn.watch()
            };
            for peer in [Peer::new(breaking_off.clone()), Peer::with_tls(&authority, breaking_off)] {
                let config = config().timeout_await_100(None).tls_config(authority.trusted());
                let agent = agent(config.build());
                let error = post(&agent, &peer.url("/")).unwrap_err();
                assert_eq!(kind(&error), expected, "{error:?}");
            }
        }
    }
}
