//! H20-H22: when a connection may be used again, and when not.

use std::{io, sync::Arc};

use ureq::Agent;

use super::{
    agent, config, get, kind,
    peers::{Authority, Conn, NOWHERE, Peer},
    plain_agent,
};
use crate::support::settles;

/// As much as there may be in one record of TLS.
const RECORD: usize = 16 << 10;

/// An answer of so many bytes in all, with as many letters as there is room for.
fn padded(length: usize, letter: &str) -> String {
    let head = |body: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {body:>8}\r\n\r\n");
    let body = length - head(0).len();
    head(body) + &letter.repeat(body)
}

/// Answers with letters of the one kind, and sends with it another answer that nobody has asked for.
fn gluing(answer: usize, other: usize) -> impl Fn(&mut Conn) -> io::Result<()> {
    let both = padded(answer, "g") + &padded(other, "p");
    move |conn| {
        while conn.request()?.is_some() {
            conn.send(&both)?;
            conn.reach();
        }
        Ok(())
    }
}

/// Asks again and again, each time when all of the answer before is there.
fn gives_good_answers(agent: &Agent, peer: &Peer, url: &str) {
    for call in 1..=20 {
        let before = peer.reached();
        let told = get(agent, url).unwrap();
        let is_good = told.starts_with('g') && told.ends_with('g');
        assert!(is_good, "call {call} is given another's answer");
        settles("it came", || peer.reached() > before);
    }
}

in_and_out_of_a_job! {
    /// As large as ureq's own agent can send it with the same configuration.
    fn a_request_may_have_a_large_head() {
        let peer = Peer::new(|conn| {
            while let Some(request) = conn.request()? {
                conn.reply(request.head.len().to_string())?;
            }
            Ok(())
        });
        let agent = plain_agent();
        for kilobytes in [1, 15, 17, 33, 100] {
            let value = "x".repeat(kilobytes << 10);
            let request = agent.get(peer.url("/")).header("x-ticket", &value);
            let told = request.call().and_then(|mut answer| answer.body_mut().read_to_string());
            let told = told.unwrap_or_else(|error| panic!("a field of {kilobytes} KiB: {error:?}"));
            assert!(told.parse::<usize>().unwrap() > kilobytes << 10);
            if kilobytes > 60 {
                // More than `http` takes for a URL.
                continue;
            }
            let told = get(&agent, &peer.url(&format!("/{value}")));
            let told = told.unwrap_or_else(|error| panic!("a path of {kilobytes} KiB: {error:?}"));
            assert!(told.parse::<usize>().unwrap() > kilobytes << 10);
        }
        assert_eq!(peer.connections(), 1);
    }

    /// H20. The peer ends each connection after an answer that says nothing of that.
    fn a_connection_that_was_closed_is_not_used_again() {
        for resets in [false, true] {
            let peer = Peer::new(move |conn| {
                conn.request()?;
                conn.reply("once")?;
                if resets { conn.reset() } else { conn.finish() }
            });
            let agent = plain_agent();
            for call in 1..=50 {
                assert_eq!(get(&agent, &peer.url("/")).unwrap(), "once");
                settles("it is closed", || peer.ended() == call);
            }
            assert_eq!(peer.connections(), 50);
        }
    }

    /// H20, K21. It dies with the second request in it: nobody sends that again by himself.
    fn a_request_that_may_have_been_carried_out_is_not_sent_again() {
        for method in ["GET", "POST"] {
            let peer = Peer::new(|conn| {
                if let Some(request) = conn.request()? {
                    conn.body(&request)?;
                    conn.reply("once")?;
                }
                if let Some(request) = conn.request()? {
                    conn.body(&request)?;
                }
                Ok(())
            });
            let agent = plain_agent();
            for call in 0..40 {
                let told = match method {
                    "GET" => agent.get(peer.url("/")).call(),
                    _ => agent.post(peer.url("/")).send("body"),
                };
                match told {
                    Ok(mut answer) => {
                        assert_eq!(call % 2, 0);
                        answer.body_mut().read_to_string().unwrap();
                    }
                    Err(error) => assert!(call % 2 == 1 && kind(&error) == "io", "{error:?}"),
                }
            }
            assert_eq!(peer.heads().len(), 40, "{method}: each once");
            assert_eq!(peer.connections(), 20);
        }
    }

    /// H8. Of two lengths one is wrong, and where the next answer begins is anybody's guess; however the
    /// head comes, and whatever comes before it.
    fn a_connection_with_two_lengths_is_not_used_again() {
        const CHUNKED: &str = "TRANSFER-ENCODING: chunked\r\n";
        let hints = "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n";
        let leave = "HTTP/1.1 100 Continue\r\n\r\n";
        for (before, length, connections) in [
            ("", "", 1),
            ("", "Content-Length: 50\r\n", 3),
            (hints, "", 1),
            (hints, "content-length:50\r\n", 3),
            (leave, "", 1),
            (leave, "Content-Length: 50\r\n", 3),
        ] {
            for parts in 1..4 {
                let head = format!("{before}HTTP/1.1 200 OK\r\n{length}{CHUNKED}\r\n");
                let peer = Peer::new(move |conn| {
                    while conn.request()?.is_some() {
                        for part in head.as_bytes().chunks(head.len().div_ceil(parts)) {
                            conn.is_taken();
                            conn.send(part)?;
                        }
                        conn.send("4\r\ngood\r\n0\r\n\r\n")?;
                    }
                    Ok(())
                });
                let agent = plain_agent();
                for _ in 0..3 {
                    assert_eq!(get(&agent, &peer.url("/")).unwrap(), "good");
                }
                assert_eq!(peer.connections(), connections, "{before:?}, {length:?}, {parts}");
            }
        }
    }

    /// H21. An answer that nobody asked for, with the right one and some time after it.
    fn an_answer_that_nobody_asked_for_is_nobodys() {
        const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
        for late in [false, true] {
            let peer = Peer::new(move |conn| {
                while conn.request()?.is_some() {
                    let good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
                    if late {
                        conn.send(good)?;
                        conn.send(POISON)?;
                    } else {
                        conn.send(format!("{good}{POISON}"))?;
                    }
                    conn.reach();
                }
                Ok(())
            });
            let agent = plain_agent();
            for call in 1..=200 {
                assert_eq!(get(&agent, &peer.url("/")).unwrap(), "good");
                settles("it came", || peer.reached() == call);
            }
        }
    }

    /// H21. Behind TLS what has come is in several hands. The answer may be a record of its own, as large as
    /// one may be, and what is glued to it still to be decrypted; or both are one record, which was decrypted
    /// and of which the answer alone was fetched, as it fills the room there is.
    fn an_answer_that_nobody_asked_for_is_nobodys_behind_tls() {
        let authority = Authority::new();
        for (answer, other, room) in [(RECORD, 9_000, 128 << 10), (8 << 10, 100, 4 << 10)] {
            let peer = Peer::with_tls(&authority, gluing(answer, other));
            for tls in authority.trusted_by_all() {
                let config = config().tls_config(tls).input_buffer_size(room).build();
                gives_good_answers(&agent(config), &peer, &peer.url("/"));
            }
        }
    }

    /// H21. There are yet more hands: what the proxy has sent, and is still encrypted.
    fn an_answer_that_nobody_asked_for_is_nobodys_behind_a_proxy_with_tls() {
        let authority = Authority::new();
        let behind = authority.wrap(Arc::new(gluing(RECORD, 9_000)));
        let proxy = Peer::with_tls(&authority, move |conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 Connection established\r\n\r\n")?;
            behind(conn)
        });
        for tls in authority.trusted_by_all() {
            let via = ureq::Proxy::new(&proxy.url("")).unwrap();
            let agent = agent(config().tls_config(tls).proxy(Some(via)).build());
            gives_good_answers(&agent, &proxy, &format!("https://{NOWHERE}/"));
        }
    }

    /// H21. And what the TLS to the proxy has, where nothing is encrypted that goes over it.
    fn an_answer_that_nobody_asked_for_is_nobodys_in_a_plain_tunnel_through_tls() {
        let authority = Authority::new();
        let proxy = Peer::with_tls(&authority, |conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 Connection established\r\n\r\n")?;
            gluing(8 << 10, 100)(conn)
        });
        for tls in authority.trusted_by_all() {
            let via = ureq::Proxy::new(&proxy.url("")).unwrap();
            let config = config().tls_config(tls).input_buffer_size(4 << 10);
            let agent = agent(config.proxy(Some(via)).build());
            gives_good_answers(&agent, &proxy, &format!("http://{NOWHERE}/"));
        }
    }

    /// The answers to which nothing is glued leave a connection that is used again, however small the room.
    fn a_connection_behind_tls_with_little_room_is_used_again() {
        let authority = Authority::new();
        let peer = Peer::with_tls(&authority, |conn| {
            while let Some(request) = conn.request()? {
                conn.send(padded(request.target()[1..].parse().unwrap(), "g"))?;
            }
            Ok(())
        });
        for tls in authority.trusted_by_all() {
            let agent = agent(config().tls_config(tls).input_buffer_size(4 << 10).build());
            let before = peer.connections();
            for length in [100, (4 << 10) - 1, (4 << 10) + 1, 10_000, 100_000] {
                get(&agent, &peer.url(&format!("/{length}"))).unwrap();
            }
            assert_eq!(peer.connections(), before + 1);
        }
    }

    /// H22. A body where there can be none is not one, and not the next answer either.
    fn a_body_that_should_not_be_there_spoils_its_connection() {
        let peer = Peer::new(|conn| {
            while conn.request()?.is_some() {
                conn.reply("01234")?;
                conn.reach();
            }
            Ok(())
        });
        let agent = plain_agent();
        for call in 1..=20 {
            agent.head(peer.url("/")).call().unwrap();
            settles("it came", || peer.reached() == call);
        }
        assert_eq!(peer.connections(), 20);
    }
}
