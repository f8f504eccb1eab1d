//! What ureq does to a body, if it was built to.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use futures::TryStreamExt;
use longshore::ureq::ErrorKind;

use super::{client, peer::Peer};
use crate::support::{Place, is_as_new};

/// How long the bodies are here, in characters.
const LENGTH: usize = 200_000;

/// Answers with text of one letter, `é`, in Latin 1.
fn latin() -> Peer {
    Peer::answering(|_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=ISO-8859-1\r\nContent-Length: {LENGTH}\r\n\r\n"
        );
        [head.as_bytes(), &[0xe9; LENGTH]].concat()
    })
}

/// Sends the one, and the other when it is told to.
fn in_two_chunks(
    header: &'static str,
    first: &'static [u8],
    second: &'static [u8],
) -> (Peer, mpsc::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let told = Mutex::new(told);
    let peer = Peer::new(move |connection| {
        connection.request()?;
        let head = format!("HTTP/1.1 200 OK\r\n{header}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk =
            |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
        connection.send([head.as_bytes(), &chunk(first)].concat())?;
        if told.lock().unwrap().recv().is_ok() {
            connection.send([&chunk(second), &b"0\r\n\r\n"[..]].concat())?;
        }
        Ok(())
    });
    (peer, tell)
}

everywhere! {
    /// The length that the head names is another one than that of the body which is read.
    async fn text_in_another_charset_is_of_unknown_length(place: Place) {
        let expected = if cfg!(feature = "charset") {
            "é".repeat(LENGTH).into_bytes()
        } else {
            vec![0xe9; LENGTH]
        };
        let peer = latin();
        let (client, lane) = client(place, 1);
        let response = client.get(peer.url("/")).send().await.unwrap();
        assert_eq!(response.content_length(), None);
        let chunks: Vec<_> = response.stream().try_collect().await.unwrap();
        // As large as their buffers: with a byte at a time there would be hundreds of thousands.
        assert!(chunks.len() < 2_000, "{} chunks", chunks.len());
        assert!(chunks.concat() == expected);
        is_as_new(&lane).await;
    }

    /// What has come so far is the beginning of a letter, and no end.
    async fn a_letter_that_comes_in_two_parts_is_one(place: Place) {
        let head = "Content-Type: text/plain; charset=iso-2022-jp";
        let (peer, second) = in_two_chunks(head, b"\x1b$B$", b"\"\x1b(B");
        let (client, lane) = client(place, 1);
        let response = client.get(peer.url("/")).send().await.unwrap();
        // Long enough for its thread to have read the first: that does not show from outside.
        tokio::time::sleep(Duration::from_millis(50)).await;
        second.send(()).unwrap();
        let expected = if cfg!(feature = "charset") { "あ" } else { "\x1b$B$\"\x1b(B" };
        assert_eq!(response.text().await.unwrap(), expected);
        is_as_new(&lane).await;
    }

    /// Its decoder gives up with the first byte, long before it could be known that there is no other.
    async fn a_body_that_is_no_brotli_is_not_none(place: Place) {
        let (peer, second) = in_two_chunks("Content-Encoding: br", b"<", b"html>");
        let (client, lane) = client(place, 1);
        let response = client.get(peer.url("/")).send().await.unwrap();
        let told = response.text();
        if cfg!(feature = "brotli") {
            assert_eq!(told.await.unwrap_err().kind(), ErrorKind::Decode);
        } else {
            second.send(()).unwrap();
            assert_eq!(told.await.unwrap(), "<html>");
        }
        is_as_new(&lane).await;
    }

    async fn text_is_what_the_head_says_or_utf_8(place: Place) {
        let peer = latin();
        let (client, lane) = client(place, 1);
        let response = client.get(peer.url("/")).send().await.unwrap();
        let letter = if cfg!(feature = "charset") { "é" } else { "\u{fffd}" };
        assert!(response.text().await.unwrap() == letter.repeat(LENGTH));
        is_as_new(&lane).await;
    }
}
