//! H25: a peer that refuses a large body before it has it, and reads no more of it. It may say other
//! things first, and what it says may come in pieces.

use std::{
    io::{self, Read},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use ureq::{Agent, SendBody};

use super::{
    agent, config, kind,
    peers::{Peer, site},
    plain_agent,
    scene::{Counted, STILL},
};
use crate::support::{Child, cpu_time, in_child, settles, watched};

const REFUSAL: &str = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";

/// Sends what does not fit in between, and counts what is taken of it.
fn send_much(agent: &Agent, url: &str, taken: &Arc<AtomicUsize>) -> Result<(), ureq::Error> {
    let body = SendBody::from_owned_reader(Counted(taken.clone()).take(64 << 20));
    agent.post(url).send(body).map(drop)
}

/// Gives nothing, but not before something has happened.
struct Late<F>(F);

impl<F: FnMut()> Read for Late<F> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        (self.0)();
        Ok(0)
    }
}

/// Waits until the client can send no more, and has had time to look for an answer.
fn comes_to_a_stop(taken: &AtomicUsize) {
    let mut seen = (0, Instant::now());
    settles("it can send no more", || {
        let now = taken.load(Ordering::SeqCst);
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        now > 0 && seen.1.elapsed() > STILL
    });
}

in_and_out_of_a_job! {
    fn a_refusal_is_heard_after_other_words_and_in_pieces() {
        let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: </{}>\r\n\r\n", "x".repeat(1500));
        let processing = "HTTP/1.1 102 Processing\r\n\r\n";
        let at_once = processing.to_owned() + REFUSAL;
        for pieces in [
            vec![processing, REFUSAL],
            vec![&at_once],
            vec![processing, processing, REFUSAL],
            vec![&hints, REFUSAL],
            vec!["HTTP/1", &REFUSAL[6..]],
            vec!["HTTP/1.1 100 Cont", "inue\r\n", "\r\nHTTP/1.1 4", &REFUSAL[10..]],
        ] {
            for resets in [false, true] {
                let (go, going) = mpsc::channel::<()>();
                let going = Mutex::new(going);
                let theirs: Vec<String> = pieces.iter().map(|&piece| piece.to_owned()).collect();
                let peer = Peer::new(move |conn| {
                    conn.request()?;
                    for piece in &theirs {
                        if going.lock().unwrap().recv().is_ok() {
                            conn.send(piece)?;
                        }
                    }
                    if resets {
                        return conn.reset();
                    }
                    conn.pass();
                    Ok(())
                });
                let taken = Arc::<AtomicUsize>::default();
                thread::scope(|scope| {
                    scope.spawn(|| {
                        for _ in &pieces {
                            comes_to_a_stop(&taken);
                            go.send(()).unwrap();
                        }
                    });
                    let error = send_much(&plain_agent(), &peer.url("/"), &taken).unwrap_err();
                    assert_eq!(kind(&error), "status", "{pieces:?}, {resets}: {error:?}");
                });
            }
        }
    }

    /// It is taken together with that leave, and what is looked at later is not where it was.
    fn a_refusal_in_one_piece_with_leave_to_send_is_heard() {
        let leave = "HTTP/1.1 100 Continue\r\n\r\n";
        for cut in [0, 4, 9, 12, REFUSAL.len()] {
            for resets in [false, true] {
                let (go, going) = mpsc::channel::<()>();
                let going = Mutex::new(going);
                let peer = Peer::new(move |conn| {
                    conn.request()?;
                    conn.send(leave.to_owned() + &REFUSAL[..cut])?;
                    conn.is_taken();
                    if going.lock().unwrap().recv().is_ok() {
                        conn.send(&REFUSAL[cut..])?;
                    }
                    if resets {
                        return conn.reset();
                    }
                    conn.pass();
                    Ok(())
                });
                let taken = Arc::<AtomicUsize>::default();
                thread::scope(|scope| {
                    let stops = taken.clone();
                    scope.spawn(move || {
                        // With this much of it the client has heard it already.
                        if cut < 10 {
                            comes_to_a_stop(&stops);
                        }
                        let _ = go.send(());
                    });
                    let body = SendBody::from_owned_reader(Counted(taken.clone()).take(64 << 20));
                    let agent = agent(config().timeout_await_100(None).build());
                    let request = agent.post(peer.url("/")).header("expect", "100-continue");
                    let error = request.send(body).unwrap_err();
                    assert_eq!(kind(&error), "status", "{cut}, {resets}: {error:?}");
                });
            }
        }
    }

    /// H6. What a peer says ends where it says so, and not where it breaks off; who has refused to take more
    /// may do either.
    fn an_answer_that_breaks_off_before_the_request_was_sent_is_not_whole() {
        for breaks in [false, true] {
            let (go, going) = mpsc::channel::<()>();
            let going = Mutex::new(going);
            let peer = Peer::new(move |conn| {
                conn.request()?;
                if going.lock().unwrap().recv().is_ok() {
                    conn.send("HTTP/1.1 200 OK\r\n\r\npart")?;
                }
                if breaks { conn.reset() } else { conn.finish().and_then(|()| conn.reset()) }
            });
            let taken = Arc::<AtomicUsize>::default();
            thread::scope(|scope| {
                let stops = taken.clone();
                scope.spawn(move || {
                    comes_to_a_stop(&stops);
                    let _ = go.send(());
                });
                let body = SendBody::from_owned_reader(Counted(taken.clone()).take(64 << 20));
                let answer = plain_agent().post(peer.url("/")).send(body);
                let told = answer.and_then(|mut answer| answer.body_mut().read_to_string());
                match told {
                    Ok(told) => assert!(!breaks && told == "part", "{told}"),
                    Err(error) => assert!(breaks && kind(&error) == "io", "{error:?}"),
                }
            });
        }
    }

    /// There is always room to send more.
    fn a_refusal_is_heard_where_the_peer_reads_on() {
        let peer = Peer::new(|conn| {
            if conn.request()?.is_some_and(|request| request.target() == "/ok") {
                return conn.reply("");
            }
            conn.send(REFUSAL)?;
            conn.reach();
            conn.watch()
        });
        let agent = plain_agent();
        let taken = Arc::<AtomicUsize>::default();
        // Nothing beyond this is given before the refusal is said.
        let refused = || settles("it is refused", || peer.reached() == 1);
        let rest = Late(refused).chain(Counted(taken.clone()).take(64 << 20));
        let mut body = Counted(taken.clone()).take(1 << 10).chain(rest);
        let error = agent.post(peer.url("/")).send(SendBody::from_reader(&mut body)).unwrap_err();
        assert_eq!(kind(&error), "status", "{error:?}");
        settles("the connection is closed", || peer.ended() == 1);
        let received = peer.record(0).received;
        assert!(received < 32 << 20, "{received} bytes were sent for nothing");
        agent.get(peer.url("/ok")).call().unwrap();
        assert_eq!(peer.connections(), 2);
    }
}

/// What was heard stays where it can be read; to wait for it would be to wait for nothing. In a process
/// of its own, whose time is that of this call.
#[test]
fn a_peer_that_has_said_something_else_is_waited_for() {
    let test = concat!(
        module_path!(),
        "::a_peer_that_has_said_something_else_is_waited_for"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    watched(|| {
        let timeout = Duration::from_secs(1);
        let peer = Peer::new(site);
        let agent = agent(config().timeout_global(Some(timeout)).build());
        let taken = Arc::default();
        let before = cpu_time();
        let error = send_much(&agent, &peer.url("/reads-nothing?interim"), &taken).unwrap_err();
        assert_eq!(kind(&error), "timeout", "{error:?}");
        let used = cpu_time() - before;
        assert!(used < timeout * 3 / 4, "{used:?}");
    });
}
