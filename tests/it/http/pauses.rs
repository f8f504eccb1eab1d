//! Bodies whose peer, or whose reader, takes its time.

use std::{
    io::{self, Read},
    sync::{Mutex, mpsc},
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use longshore::ureq::{Client, ErrorKind};
use ureq::{SendBody, middleware::MiddlewareNext};

use super::{client, config, gzip::stored, holds_no_slot, peer::Peer};
use crate::support::{Door, Gate, Place, eventually, is_as_new};

/// Sends the first half, and the second when it is told to.
fn in_two_halves(head: &'static str, first: Vec<u8>, second: Vec<u8>) -> (Peer, mpsc::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let told = Mutex::new(told);
    let peer = Peer::new(move |connection| {
        while connection.request()?.is_some() {
            connection.send(head)?;
            connection.send(&first)?;
            told.lock().unwrap().recv().map_err(io::Error::other)?;
            connection.send(&second)?;
        }
        Ok(())
    });
    (peer, tell)
}

fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// Gives a little, a little more when its door is open, and then always the same.
struct Slow {
    door: Door,
    given: usize,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == 1 {
            self.door.pass();
        }
        self.given += 1;
        buffer[0] = b'x';
        Ok(1)
    }
}

everywhere! {
    /// S7. The peer has sent less than would fill the queue, and says nothing more: without anybody
    /// who waits for it there is nothing for a thread to wait for.
    async fn a_body_that_pauses_holds_no_thread_while_nobody_reads_it(place: Place) {
        let (packed, middle) = stored(b"first ", b"second");
        let (lead, rest) = packed.split_at(middle);
        let unpacked = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
        let end = [chunk(b"second"), chunk(b"")].concat();
        for (head, first, second) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", b"first ".to_vec(), b"second".to_vec()),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"first "), end),
            (unpacked.leak(), lead.to_vec(), rest.to_vec()),
        ] {
            let (peer, go_on) = in_two_halves(head, first, second);
            let (client, lane) = client(place, 1);
            let mut body = client.get(peer.url("/")).send().await.unwrap().stream();
            assert_eq!(body.next().await.unwrap().unwrap(), "first ");
            holds_no_slot(&lane).await;
            go_on.send(()).unwrap();
            assert_eq!(body.next().await.unwrap().unwrap(), "second");
            assert!(body.next().await.is_none());
            // It was read to its end, pauses and all: its connection is used again.
            let mut again = client.get(peer.url("/")).send().await.unwrap().stream();
            assert_eq!(again.next().await.unwrap().unwrap(), "first ");
            assert_eq!(peer.connections(), 1);
            drop(again);
            is_as_new(&lane).await;
        }
    }

    /// S7. A future that is dropped while it waits leaves its waker behind, and nobody to wake: whether a
    /// thread is there already or comes for it.
    async fn whoever_waited_for_a_body_and_is_gone_does_not_wait(place: Place) {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n";
        let (peer, go_on) = in_two_halves(head, b"first ".to_vec(), b"second".to_vec());
        let (client, lane) = client(place, 1);
        let mut body = client.get(peer.url("/")).send().await.unwrap().stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "first ");
        for _ in 0..2 {
            assert!(body.next().now_or_never().is_none());
            holds_no_slot(&lane).await;
        }
        go_on.send(()).unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "second");
        assert!(body.next().await.is_none());
        is_as_new(&lane).await;
    }

    /// S7. A head without anything of the body is what many a stream of events begins with.
    async fn a_body_that_does_not_begin_holds_no_thread_while_nobody_reads_it(place: Place) {
        let end = [chunk(b"all"), chunk(b"")].concat();
        for (head, all) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"all".to_vec()),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", end),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"")),
        ] {
            let (peer, go_on) = in_two_halves(head, Vec::new(), all);
            let (client, lane) = client(place, 1);
            let one = client.get(peer.url("/")).send().await.unwrap();
            let two = client.get(peer.url("/")).send().await.unwrap();
            holds_no_slot(&lane).await;
            // Either peer takes either word, so both are there before anybody waits for what follows.
            go_on.send(()).unwrap();
            go_on.send(()).unwrap();
            let mut read = Vec::new();
            for response in [one, two] {
                read.push(response.bytes().await.unwrap());
            }
            assert_eq!(read[0], read[1]);
            assert_eq!(peer.connections(), 2);
            is_as_new(&lane).await;
        }
    }

    /// Of the job that goes on with it, that is all there is.
    async fn the_beginning_of_a_compressed_body_is_not_taken_for_none_after_a_pause(place: Place) {
        let (packed, _) = stored(b"", b"");
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (peer, go_on) = in_two_halves(head, chunk(&packed[..10]), chunk(b""));
        let (client, lane) = client(place, 1);
        let response = client.get(peer.url("/")).send().await.unwrap();
        holds_no_slot(&lane).await;
        go_on.send(()).unwrap();
        let error = response.bytes().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
        is_as_new(&lane).await;
    }

    /// What has come of it came in another job, and that is its head.
    #[cfg(feature = "brotli")]
    async fn a_body_of_no_bytes_may_end_with_its_connection_after_a_pause(place: Place) {
        let gate = Gate::new();
        let door = gate.door();
        let peer = Peer::new(move |connection| {
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n")?;
            door.pass();
            Ok(())
        });
        let (client, lane) = client(place, 1);
        let response = client.get(peer.url("/")).send().await.unwrap();
        holds_no_slot(&lane).await;
        gate.open();
        assert_eq!(response.bytes().await.unwrap(), "");
        is_as_new(&lane).await;
    }

    /// K3. Between two reads its thread hears of it as of any cancel.
    async fn a_deadline_that_passes_between_two_reads_is_told_as_one(place: Place) {
        for time in [500, 4_000].map(Duration::from_millis) {
            let gate = Gate::new();
            let door = gate.door();
            let slow = move |_: http::Request<SendBody<'_>>, _: MiddlewareNext<'_>| {
                let reader = Slow { door: door.clone(), given: 0 };
                Ok(http::Response::new(ureq::Body::builder().reader(reader)))
            };
            let lane = place.lane(1);
            let agent = longshore::ureq::agent(config().middleware(slow).build());
            let client = Client::new(lane.clone(), agent);
            let mut body = match client.get("http://127.0.0.1:1/").timeout(time).send().await {
                Ok(response) => response.stream(),
                // On a machine that is busy it passes before there is anything to read.
                Err(error) if error.is_timeout() && time == Duration::from_millis(500) => continue,
                Err(error) => panic!("{error:?}"),
            };
            eventually("its time is up", || lane.stats().timed_out == 1).await;
            gate.open();
            eventually("its thread has left", || lane.stats().draining == 0).await;
            let error = loop {
                match body.next().await.expect("it has no end") {
                    Ok(chunk) => assert_eq!(chunk, "x"),
                    Err(error) => break error,
                }
            };
            assert!(error.is_timeout() && !error.is_cancelled(), "{error:?}");
            is_as_new(&lane).await;
            break;
        }
    }

    /// H6. What was read before, by another job, does not make a broken connection an end.
    async fn a_body_that_breaks_off_after_a_pause_is_an_error(place: Place) {
        let (tell, told) = mpsc::channel::<()>();
        let told = Mutex::new(told);
        let peer = Peer::new(move |connection| {
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst ")?;
            told.lock().unwrap().recv().map_err(io::Error::other)?;
            rustix::net::sockopt::set_socket_linger(&connection.stream, Some(std::time::Duration::ZERO))?;
            Ok(())
        });
        let (client, lane) = client(place, 1);
        let mut body = client.get(peer.url("/")).send().await.unwrap().stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "first ");
        eventually("the body is parked", || lane.stats().running == 0).await;
        tell.send(()).unwrap();
        let broken = body.next().await.expect("not its end").unwrap_err();
        assert!(matches!(broken.kind(), ErrorKind::PeerClosed), "{broken:?}");
        is_as_new(&lane).await;
    }

    /// Its connection is of no use afterwards, so there is nothing to wait for.
    async fn a_redirect_whose_body_has_no_end_is_followed_at_once(place: Place) {
        let peer = Peer::new(|connection| {
            let asked = connection.request()?.expect("a request");
            if asked.line.starts_with("GET /old") {
                connection.send("HTTP/1.1 302 Found\r\nLocation: /new\r\n\r\nit moved")?;
                connection.closed();
            } else {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")?;
            }
            Ok(())
        });
        let (client, lane) = client(place, 1);
        let response = client.get(peer.url("/old")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "new");
        assert_eq!(peer.connections(), 2);
        is_as_new(&lane).await;
    }
}
