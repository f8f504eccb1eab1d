//! H1-H25: answers that are wrong, late or cut short. Each is an error of the right kind and at
//! once, and its connection is not used again.

use std::time::{Duration, Instant};

use super::{
    agent, config, get, kind,
    peers::{Authority, Closed, Conn, Peer, site},
    plain_agent,
};
use crate::support::{AT_ONCE, Child, in_child, peak_address_space, settles, watched};

/// What a peer does after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Closes,
    Resets,
    /// Waits for the client to do something.
    Stays,
}

use Then::{Closes, Resets, Stays};

/// What the client is to make of it: a whole body, or an error of one of these kinds.
#[derive(Clone, Copy, Debug)]
enum Told {
    Body(&'static str),
    Fails(&'static [&'static str]),
}

use Told::{Body, Fails};

/// The peer is gone.
const GONE: Told = Fails(&["io", "other"]);
/// What it says is not HTTP.
const WRONG: Told = Fails(&["protocol"]);
const LARGE: Told = Fails(&["large head", "protocol"]);
const LATE: Told = Fails(&["timeout"]);

/// Asks for `/`, is answered so, and asks somebody else for `/ok` afterwards.
#[track_caller]
fn check(name: &str, answer: &[u8], then: Then, told: Told) {
    let answer = answer.to_vec();
    check_script(name, told, move |conn| {
        conn.send(&answer)?;
        match then {
            Closes => conn.finish(),
            Resets => conn.reset(),
            Stays => conn.watch(),
        }
    });
}

#[track_caller]
fn check_script(
    name: &str,
    told: Told,
    script: impl Fn(&mut Conn) -> std::io::Result<()> + Send + Sync + 'static,
) {
    let peer = Peer::new(move |conn| {
        if conn.id() > 0 {
            return site(conn);
        }
        conn.request()?;
        script(conn)
    });
    // Long enough for all but those that are about it.
    let timeout = match told {
        Fails(kinds) if kinds.contains(&"timeout") => Duration::from_millis(300),
        _ => Duration::from_secs(10),
    };
    let agent = agent(config().timeout_global(Some(timeout)).build());
    let begun = Instant::now();
    let outcome = get(&agent, &peer.url("/"));
    let took = begun.elapsed();
    match (told, &outcome) {
        (Body(body), Ok(got)) => assert_eq!(body, got, "{name}"),
        (Fails(kinds), Err(error)) if kinds.contains(&kind(error)) => {}
        _ => panic!("{name}: expected {told:?}, got {outcome:?}"),
    }
    assert!(
        took < Duration::from_millis(300) + AT_ONCE,
        "{name}: {took:?}"
    );
    let next = agent.get(peer.url("/ok")).config();
    let next = next.timeout_global(Some(Duration::from_secs(10))).build();
    let next = next.call().unwrap().body_mut().read_to_string();
    assert_eq!(next.unwrap(), "1", "{name}");
    settles("the connection is gone", || peer.ended() >= 1);
}

in_and_out_of_a_job! {
    /// H1-H3.
    fn an_answer_that_does_not_come_is_late() {
        check("silent", b"", Stays, LATE);
        check("half a head", b"HTTP/1.1 200 OK\r\nContent-Le", Stays, LATE);
        check("no body", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", Stays, LATE);
        check("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234", Stays, LATE);
        check("no end", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234", Stays, LATE);
        check_script("a head in drops", LATE, |conn| {
            conn.send("HTTP/1.1 200 OK\r\nX: ")?;
            loop {
                conn.send(".")?;
                conn.linger();
            }
        });
        check_script("a body in drops", LATE, |conn| {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
            loop {
                conn.send(".")?;
                conn.linger();
            }
        });
    }

    /// H4-H6. Never a short body for a whole one.
    fn an_answer_that_is_cut_short_is_an_error() {
        for then in [Closes, Resets] {
            for answer in [
                "",
                "HTTP/1.1 200 OK\r\nContent-Le",
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n012",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
            ] {
                check(answer, answer.as_bytes(), then, Fails(&["io", "protocol"]));
            }
        }
        // The last chunk, and not the line after it: all is there.
        let ended = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n";
        check(ended, ended.as_bytes(), Closes, Body("01234"));
    }

    /// H6. Where the close is the end of the body, a reset is not.
    fn a_connection_that_breaks_is_not_the_end_of_a_body() {
        for length in [5, 100_000] {
            let body = "x".repeat(length);
            let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
            check("reset, not closed", answer.as_bytes(), Resets, GONE);
        }
    }

    /// H7.
    fn chunks_that_are_wrong_are_an_error() {
        for chunk in [
            "hello\r\n01234\r\n0\r\n\r\n",
            "FFFFFFFFFFFFFFFFFF\r\n01234\r\n0\r\n\r\n",
            "-5\r\n01234\r\n0\r\n\r\n",
            "5\r\n01234567\r\n0\r\n\r\n",
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
            check(chunk, answer.as_bytes(), Stays, WRONG);
        }
    }

    /// H8.
    fn lengths_that_are_wrong_are_an_error() {
        for length in ["-3", "+5", "18446744073709551616", "5\r\nContent-Length: 6", "five", ""] {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n01234");
            check(length, answer.as_bytes(), Stays, WRONG);
        }
        // It says that it closes, since the agent might else ask again on it before it sees that.
        let both = "HTTP/1.1 200 OK\r\nConnection: close\r\n\
                    Content-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5\r\n01234\r\n0\r\n\r\n";
        check("both lengths", both.as_bytes(), Closes, Body("01234"));
    }

    fn a_head_may_be_as_large_as_the_configuration_says() {
        // 64 KiB, unless it says something else.
        const KILOBYTES: [usize; 6] = [1, 15, 17, 31, 33, 60];
        let authority = Authority::new();
        let large = |conn: &mut Conn| {
            while let Some(request) = conn.request()? {
                let field = "x".repeat(request.target()[1..].parse().unwrap());
                conn.send(format!("HTTP/1.1 200 OK\r\nX: {field}\r\nContent-Length: 2\r\n\r\nok"))?;
            }
            Ok(())
        };
        for peer in [Peer::new(large), Peer::with_tls(&authority, large)] {
            for config in [config(), longshore::ureq::config().proxy(None)] {
                let agent = agent(config.tls_config(authority.trusted()).build());
                for kilobytes in KILOBYTES {
                    let told = get(&agent, &peer.url(&format!("/{}", kilobytes << 10)));
                    let told = told.unwrap_or_else(|error| panic!("{kilobytes} KiB: {error:?}"));
                    assert_eq!(told, "ok");
                }
            }
        }
    }

    /// H9.
    fn heads_that_are_too_large_are_an_error() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1 << 20));
        check("one of 1 MiB", long.as_bytes(), Stays, LARGE);
        for count in [500, 20_000] {
            let many = "X: y\r\n".repeat(count);
            let answer = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n");
            check("many", answer.as_bytes(), Stays, LARGE);
        }
        check_script("without end", LARGE, |conn| {
            conn.send("HTTP/1.1 200 OK\r\n")?;
            loop {
                conn.send("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")?;
            }
        });
    }

    /// H12. ureq skips each for itself, in the room of one, and a peer may have no end of them.
    fn a_storm_of_interim_answers_is_an_error() {
        let hint = "103 Early Hints\r\nLink: </x>; rel=preload";
        for line in ["100 Continue", "102 Processing", hint] {
            let again = format!("HTTP/1.1 {line}\r\n\r\n").repeat(100);
            let peer = Peer::new(move |conn| {
                conn.request()?;
                loop {
                    conn.send(&again)?;
                }
            });
            let error = get(&plain_agent(), &peer.url("/")).unwrap_err();
            assert_eq!(kind(&error), "large head", "{line}: {error:?}");
            assert!(error.to_string().contains("1048576"), "{error}");
        }
    }

    /// H12.
    fn interim_answers_are_followed_by_the_answer() {
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        for line in ["100 Continue", "103 Early Hints\r\nLink: </x>"] {
            let hints = format!("HTTP/1.1 {line}\r\n\r\n").repeat(1_000) + good;
            check(line, hints.as_bytes(), Stays, Body("ok"));
        }
    }

    /// H7, H12. Nor is it passed over.
    fn what_looks_like_an_interim_answer_and_is_not_http_is_an_error() {
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        for line in ["HTTP/1.x 103 Hints", "HTTP/1.1x103 Hints", "HTTP/1.1 1030 Hints", "HTTP/1.1 103\tHints"] {
            let answer = format!("{line}\r\nLink: </x>\r\n\r\n{good}");
            check(line, answer.as_bytes(), Stays, WRONG);
        }
    }

    /// H12. However fast, and wherever in a buffer they end.
    fn many_interim_answers_are_not_one_that_is_large() {
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        for line in ["100 Continue\r\nX", "103 Early Hints\r\nX"] {
            for length in [64, 100, 4096] {
                let empty = format!("HTTP/1.1 {line}: \r\n\r\n");
                let filled = "y".repeat(length - empty.len());
                let hint = format!("HTTP/1.1 {line}: {filled}\r\n\r\n");
                let hints = hint.repeat((512 << 10) / length) + good;
                check(line, hints.as_bytes(), Stays, Body("ok"));
            }
        }
    }

    /// H12. To ureq it is an answer, without content: what follows on the connection is nobody's.
    fn another_protocol_that_nobody_asked_for_is_not_spoken() {
        let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n01234";
        check("101", switch.as_bytes(), Stays, Body(""));
    }

    /// H19.
    fn a_port_where_nobody_listens_is_an_error_at_once() {
        let closed = Closed::new();
        let url = format!("http://{}/ok", closed.address());
        let begun = Instant::now();
        let error = get(&plain_agent(), &url).unwrap_err();
        assert_eq!(kind(&error), "io");
        assert!(begun.elapsed() < AT_ONCE);
    }

    /// H22.
    fn what_is_not_http_is_an_error() {
        for garbage in [
            "<html>it works</html>\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 99999 Far out\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
            "HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n",
        ] {
            check(garbage, garbage.as_bytes(), Stays, WRONG);
        }
    }

    /// H22. There is none after this head, whatever it says.
    fn an_answer_without_content_has_none() {
        let empty = "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n01234";
        check("204", empty.as_bytes(), Stays, Body(""));
    }

    /// H25. The peer answers before it has the body, and resets.
    fn an_early_refusal_with_a_reset_is_an_error() {
        let peer = Peer::new(|conn| {
            conn.request()?;
            conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")?;
            conn.reset()
        });
        let begun = Instant::now();
        let body = vec![0; 64 << 20];
        let error = plain_agent().post(peer.url("/")).send(&body[..]).unwrap_err();
        assert!(["io", "status"].contains(&kind(&error)), "{error:?}");
        assert!(begun.elapsed() < AT_ONCE);
    }
}

/// H8. Memory that nobody has written to is not resident, but it was asked for all the same; in a
/// process of its own, as every thread of another test asks for some.
#[test]
fn a_length_that_is_claimed_takes_no_memory() {
    const LENGTH: usize = 1 << 33;
    let test = concat!(module_path!(), "::a_length_that_is_claimed_takes_no_memory");
    if !in_child() {
        return Child::new(test).passes();
    }
    watched(|| {
        for length in [LENGTH as u64, u64::MAX] {
            let peer = Peer::new(move |conn| {
                conn.request()?;
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n01234"
                ))?;
                conn.finish()
            });
            let mut answer = plain_agent().get(peer.url("/")).call().unwrap();
            let before = peak_address_space();
            let body = answer.body_mut().with_config().limit(u64::MAX);
            let error = body.read_to_vec().unwrap_err();
            assert!(["io", "other"].contains(&kind(&error)), "{error:?}");
            let taken = peak_address_space() - before;
            assert!(taken < LENGTH / 8, "{taken} for {length}");
        }
    });
}
