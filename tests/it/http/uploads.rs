//! Request bodies: what is streamed arrives, and what fails never seems whole to the server.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use longshore::{
    Lane,
    lane::Threads,
    ureq::{Body, Client, ErrorKind, Phase},
};

use super::{
    agent, client,
    peer::{Peer, response},
};
use crate::{
    agent::peers::{self, site},
    support::{
        DropFlag, Flavour, Gate, Place, eventually, is_as_new, settles, watch_over, watched,
    },
};

/// How long an upload is given to begin. Where that is not enough, on a machine that is busy, it is
/// given longer.
const TIMES: [Duration; 2] = [Duration::from_millis(500), LONGEST];

const LONGEST: Duration = Duration::from_secs(4);

/// Whether its time was up when some of it was sent, as it has to be with all the time it can have.
#[track_caller]
fn was_late_on_the_way(error: &longshore::ureq::Error, time: Duration) -> bool {
    assert!(error.is_timeout(), "{error:?}");
    let on_the_way = error.phase() == Some(Phase::Send) && !error.is_retryable();
    assert!(on_the_way || time < LONGEST, "{error:?}");
    on_the_way
}

/// Counts the bytes of each body that arrives whole.
pub(super) fn counting() -> Peer {
    Peer::answering(|asked| response("200 OK", asked.body.len().to_string()))
}

/// Keeps what arrives, and answers only what arrives whole.
fn keeping() -> (Peer, Arc<Mutex<Vec<u8>>>) {
    let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
    let keep = kept.clone();
    let peer = Peer::new(move |connection| {
        connection.head()?;
        let mut bytes = [0; 4096];
        loop {
            let read = connection.read(&mut bytes)?;
            let mut kept = keep.lock().unwrap();
            kept.extend(&bytes[..read]);
            if read == 0 || kept.ends_with(b"0\r\n\r\n") {
                break;
            }
        }
        connection.send(response("200 OK", ""))
    });
    (peer, kept)
}

fn pieces(count: usize, size: usize) -> impl Iterator<Item = io::Result<Bytes>> + Send {
    (0..count).map(move |n| Ok(Bytes::from(vec![n as u8; size])))
}

everywhere! {
    async fn streams_and_readers_arrive_whole(place: Place) {
        let peer = counting();
        let (client, lane) = client(place, 2);
        let large = 300 * 5_000;
        for (body, length) in [
            (Body::stream(stream::iter(pieces(300, 5_000))), large),
            (Body::stream(stream::iter(pieces(300, 5_000))).with_length(large), large),
            (Body::stream(stream::empty::<io::Result<Bytes>>()), 0),
            (Body::stream(stream::empty::<io::Result<Bytes>>()).with_length(0), 0),
            (Body::reader(tokio::io::AsyncReadExt::take(tokio::io::repeat(7), large)), large),
            (Body::blocking(io::repeat(7).take(large)), large),
            (Body::blocking(io::repeat(7).take(large)).with_length(large), large),
        ] {
            let said = body.length();
            let answer = client.put(peer.url("/")).body(body).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), length.to_string());
            let asked = peer.asked().pop().unwrap();
            let announced = asked.header("content-length").map(|text| text.parse().unwrap());
            assert_eq!(announced, said);
        }
        assert_eq!(peer.connections(), 1);
        is_as_new(&lane).await;
    }

    /// A truncated upload must never be answered 200.
    async fn a_stream_that_fails_fails_the_exchange(place: Place) {
        let (peer, kept) = keeping();
        let (client, lane) = client(place, 1);
        let items = [Ok(Bytes::from_static(b"half of")), Err(io::Error::other("the disk is gone"))];
        let call = client.post(peer.url("/")).body(Body::stream(stream::iter(items))).send();
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Body, "{error:?}");
        assert!(!error.is_retryable());
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the disk is gone");
        eventually("the connection is closed", || peer.open() == 0).await;
        assert!(!kept.lock().unwrap().ends_with(b"0\r\n\r\n"));

        let failing = (&b"half"[..]).chain(Failing);
        let error = client.post(peer.url("/")).body(Body::blocking(failing)).send().await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Body, "{error:?}");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "no more of it");
        is_as_new(&lane).await;
    }

    /// H23.
    async fn a_body_that_is_not_as_long_as_was_said_fails_the_exchange(place: Place) {
        let peer = counting();
        let (client, lane) = client(place, 1);
        for (there, said) in [(4, 5), (6, 5), (5_000, 4_999), (0, 1), (1, 0)] {
            let body = || stream::iter(pieces(there, 1));
            for body in [Body::stream(body()), Body::blocking(io::repeat(7).take(there as u64))] {
                let call = client.post(peer.url("/")).body(body.with_length(said)).send();
                let error = call.await.map(|answer| answer.status()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Body, "{there} for {said}: {error:?}");
                let source = std::error::Error::source(&error).unwrap();
                assert!(source.to_string().contains(&format!("as {said} ")), "{source}");
            }
        }
        assert!(peer.asked().is_empty(), "nothing of it arrived as a whole");
        is_as_new(&lane).await;
    }

    async fn dropping_the_future_breaks_the_upload_off(place: Place) {
        let (peer, kept) = keeping();
        let (client, lane) = client(place, 1);
        let dropped = DropFlag::default();
        let watched = dropped.watched();
        let body = stream::once(async { Ok::<_, io::Error>(Bytes::from_static(b"half")) })
            .chain(stream::pending())
            .inspect(move |_| { let _ = &watched; });
        let call = client.post(peer.url("/")).body(Body::stream(body)).send();
        let call = tokio::spawn(call);
        // ureq sends a chunk when it has it.
        eventually("half has arrived", || !kept.lock().unwrap().is_empty()).await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        eventually("the connection is closed", || peer.open() == 0).await;
        assert!(!kept.lock().unwrap().ends_with(b"0\r\n\r\n"));
        assert_eq!(dropped.dropped(), 1);
        is_as_new(&lane).await;
    }

    /// H25. The answer is heard, and the stream is not polled for ever.
    async fn an_early_answer_ends_an_endless_upload(place: Place) {
        for length in [None, Some(1 << 30)] {
            answered_early(place, length).await;
        }
    }

    async fn a_stream_that_gives_nothing_is_bound_by_the_deadline(place: Place) {
        let (peer, kept) = keeping();
        let (client, lane) = client(place, 1);
        for time in TIMES {
            let silent = stream::once(async { Ok::<_, io::Error>(Bytes::from_static(b"half")) })
                .chain(stream::pending());
            let call = client.post(peer.url("/")).body(Body::stream(silent));
            let error = call.timeout(time).send().await.unwrap_err();
            is_as_new(&lane).await;
            if was_late_on_the_way(&error, time) {
                break;
            }
        }
        eventually("the connection is closed", || peer.open() == 0).await;
        assert!(!kept.lock().unwrap().ends_with(b"0\r\n\r\n"));
    }

    /// H24. It is ready all the time, and nobody takes it.
    async fn an_upload_that_nobody_reads_is_bound_by_the_deadline(place: Place) {
        for length in [None, Some(1 << 40)] {
            for time in TIMES {
                let peer = peers::Peer::new(site);
                let (client, lane) = client(place, 1);
                let endless = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[7; 10_000])));
                let body = Body::stream(endless);
                let body = length.map_or(Body::blocking(io::repeat(7)), |length| body.with_length(length));
                let call = client.post(peer.url("/reads-nothing")).body(body);
                let error = call.timeout(time).send().await.unwrap_err();
                is_as_new(&lane).await;
                if was_late_on_the_way(&error, time) {
                    peer.open();
                    eventually("the connection is closed", || peer.ended() == 1).await;
                    break;
                }
            }
        }
    }

    async fn a_body_waits_for_the_word_to_continue(place: Place) {
        let peer = Peer::new(|connection| {
            while let Some(asked) = connection.head()? {
                assert_eq!(asked.header("expect"), Some("100-continue"));
                if asked.line.contains("/refused") {
                    // Nothing of a body follows.
                    connection.send(response("417 Expectation Failed", ""))?;
                    connection.closed();
                    return Ok(());
                }
                connection.send("HTTP/1.1 100 Continue\r\n\r\n")?;
                let mut body = [0; 8];
                for byte in &mut body {
                    connection.read(std::slice::from_mut(byte))?;
                }
                connection.send(response("200 OK", body))?;
            }
            Ok(())
        });
        let (client, lane) = client(place, 1);
        let post = |path| client.post(peer.url(path)).header("expect", "100-continue");
        for _ in 0..2 {
            let answer = post("/asked").body("the body").send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "the body");
        }
        assert_eq!(post("/refused").body("the body").send().await.unwrap().status(), 417);
        is_as_new(&lane).await;
    }

    async fn a_stream_is_asked_for_no_more_than_the_peer_takes(place: Place) {
        let (go, going) = mpsc::channel::<()>();
        let going = Mutex::new(going);
        let peer = Peer::new(move |connection| {
            going.lock().unwrap().recv().map_err(io::Error::other)?;
            connection.request()?;
            connection.send(response("200 OK", ""))
        });
        let (client, lane) = client(place, 1);
        let (count, asked) = (1_000, Arc::new(Mutex::new(0)));
        let seen = asked.clone();
        let body = stream::iter(pieces(count, 100_000)).inspect(move |_| {
            *seen.lock().unwrap() += 1;
        });
        let call = tokio::spawn(client.post(peer.url("/")).body(Body::stream(body)).send());
        eventually("it is begun", || *asked.lock().unwrap() > 4).await;
        // The sockets' buffers take some megabytes; 100 MB they do not.
        let mut before = 0;
        while std::mem::replace(&mut before, *asked.lock().unwrap()) != before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(*asked.lock().unwrap() < count);
        go.send(()).unwrap();
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
        assert_eq!(*asked.lock().unwrap(), count);
        is_as_new(&lane).await;
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "no more of it",
        ))
    }
}

async fn answered_early(place: Place, length: Option<u64>) {
    let gate = Arc::new(Gate::new());
    let held = gate.clone();
    let peer = Peer::new(move |connection| {
        connection.head()?;
        connection.send(response("413 Content Too Large", "no"))?;
        // It reads no more, and does not go either.
        held.door().pass();
        Ok(())
    });
    let (client, lane) = client(place, 1);
    let dropped = DropFlag::default();
    let watched = dropped.watched();
    let endless = stream::repeat_with(move || {
        let _ = &watched;
        Ok::<_, io::Error>(Bytes::from_static(&[7; 10_000]))
    });
    let body = match length {
        Some(length) => Body::stream(endless).with_length(length),
        None => Body::stream(endless),
    };
    let answer = client.post(peer.url("/")).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(dropped.dropped(), 1);
    assert_eq!(answer.text().await.unwrap(), "no");
    gate.open();
    drop(client);
    is_as_new(&lane).await;
}

/// K3. Nobody drives the runtime, so that it is the thread that waits for the stream who sees that the time
/// is up.
#[test]
fn a_stream_that_gives_nothing_is_bound_by_the_deadline_where_nobody_keeps_it() {
    watched(|| {
        let (peer, _kept) = keeping();
        let lane = watch_over(
            Lane::builder("upload")
                .limit(1)
                .own_threads(Threads::new())
                .build(),
        );
        let client = Client::new(lane.clone(), agent());
        let runtime = Flavour::CurrentThread.runtime();
        let mut call = {
            let _inside = runtime.enter();
            let silent = stream::pending::<io::Result<Bytes>>();
            let call = client.post(peer.url("/")).body(Body::stream(silent));
            call.timeout(TIMES[0]).send()
        };
        let polled = runtime.block_on(async { futures::poll!(&mut call) });
        assert!(polled.is_pending());
        settles("the thread is free", || lane.jobs().is_empty());
    });
}
