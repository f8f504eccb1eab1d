//! H12: `Expect: 100-continue`. The body waits for the word, however the word comes and whatever comes
//! instead of it.

use std::time::Instant;

use super::{
    agent, config, get, kind,
    peers::{Authority, Conn, Peer},
};
use crate::support::AT_ONCE;

fn post(agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
    let request = agent.post(url).header("expect", "100-continue");
    request.send("the body")?.body_mut().read_to_string()
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
}
