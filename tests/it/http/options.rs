//! What ureq does to a body, if it was built to.

use futures::TryStreamExt;

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

    async fn text_is_what_the_head_says_or_utf_8(place: Place) {
        let peer = latin();
        let (client, lane) = client(place, 1);
        let response = client.get(peer.url("/")).send().await.unwrap();
        let letter = if cfg!(feature = "charset") { "é" } else { "\u{fffd}" };
        assert!(response.text().await.unwrap() == letter.repeat(LENGTH));
        is_as_new(&lane).await;
    }
}
