//! K20: how large a body may be, and what of it counts.

use std::sync::LazyLock;

use futures::TryStreamExt;
use longshore::ureq::ErrorKind;
use tokio::io::AsyncReadExt;

use super::{
    bodies::pattern,
    client,
    peer::{Peer, response},
};
use crate::support::{Place, is_as_new};

everywhere! {
    /// K20, H11.
    async fn a_body_is_no_larger_than_it_may_be(place: Place) {
        let peer = Peer::answering(|asked| match asked.line.split(' ').nth(1) {
            Some("/chunked") => {
                let mut reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                for _ in 0..11 {
                    reply.extend(b"64\r\n");
                    reply.extend([b'x'; 100]);
                    reply.extend(b"\r\n");
                }
                reply.extend(b"0\r\n\r\n");
                reply
            }
            Some("/exact") => response("200 OK", [b'x'; 1_000]),
            _ => response("200 OK", [b'x'; 1_001]),
        });
        let (client, lane) = client(place, 1);
        let limited = client.clone().max_body_size(1_000);
        for path in ["/chunked", "/"] {
            let response = limited.get(peer.url(path)).send().await.unwrap();
            let error = response.bytes().await.unwrap_err();
            assert!(error.is_too_large(), "{error:?}");
            assert!(error.to_string().contains("1000 bytes"), "{error}");
            // What was set is for streams too.
            let stream = limited.get(peer.url(path)).send().await.unwrap().stream();
            let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
            assert!(error.is_too_large(), "{error:?}");
            // And a request may have its own.
            let own = limited.get(peer.url(path)).max_body_size(2_000).send().await.unwrap();
            assert!(own.bytes().await.unwrap().len() > 1_000);
        }
        let exact = limited.get(peer.url("/exact")).send().await.unwrap();
        assert_eq!(exact.bytes().await.unwrap().len(), 1_000);
        is_as_new(&lane).await;
    }

    /// K20. What nobody set is for what is collected, and not for what was read before.
    async fn the_rest_of_a_large_body_can_be_collected(place: Place) {
        const LENGTH: usize = 12 << 20;
        const READ: usize = (11 << 20) + 5;
        static ALL: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(LENGTH));
        let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{LENGTH:x}\r\n");
        for (head, end) in [(length, ""), (chunked, "\r\n0\r\n\r\n")] {
            let peer = Peer::answering(move |_| [head.as_bytes(), &ALL, end.as_bytes()].concat());
            let (client, lane) = client(place, 1);
            let mut body = client.get(peer.url("/")).send().await.unwrap().stream();
            let mut read = vec![0; READ];
            body.read_exact(&mut read).await.unwrap();
            read.extend(body.bytes().await.unwrap());
            assert!(read == *ALL);

            // What is left here is more than that.
            let mut body = client.get(peer.url("/")).send().await.unwrap().stream();
            body.read_exact(&mut [0; 5]).await.unwrap();
            let error = body.bytes().await.unwrap_err();
            assert!(error.is_too_large(), "{error:?}");
            assert!(error.to_string().contains("10485760 bytes"), "{error}");

            // What was set is for all of it.
            let call = client.get(peer.url("/")).max_body_size(LENGTH as u64 - 1);
            let mut body = call.send().await.unwrap().stream();
            body.read_exact(&mut read[..READ]).await.unwrap();
            assert!(body.bytes().await.unwrap_err().is_too_large());
            is_as_new(&lane).await;
        }
    }

    /// H8. What a head claims takes no memory.
    async fn a_length_beyond_all_measure_is_only_a_claim(place: Place) {
        let peer = Peer::new(|connection| {
            connection.request()?;
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nhi", u64::MAX))
        });
        let (client, _) = client(place, 1);
        let response = client.get(peer.url("/")).send().await.unwrap();
        assert_eq!(response.content_length(), Some(u64::MAX));
        assert!(response.bytes().await.unwrap_err().is_too_large());
        let own = client.get(peer.url("/")).max_body_size(u64::MAX).send().await.unwrap();
        assert_eq!(own.bytes().await.unwrap_err().kind(), ErrorKind::PeerClosed);
    }
}
