//! Servers that refuse an upload and go on reading, as those do that close with patience.

use std::{
    io::{self, Read},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use longshore::ureq::Body;

use super::client;
use crate::{
    agent::peers::{Conn, Peer},
    support::{AT_ONCE, DropFlag, Place, is_as_new},
};

/// Refuses what comes to `/refused` as soon as it has the head, and reads on for as long as something comes.
fn refusing(conn: &mut Conn) -> io::Result<()> {
    while let Some(request) = conn.request()? {
        if request.target() == "/refused" {
            conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")?;
            conn.watch()?;
        } else {
            conn.reply(conn.id().to_string())?;
        }
    }
    Ok(())
}

fn endless() -> impl futures::Stream<Item = io::Result<Bytes>> + Send {
    stream::repeat_with(|| Ok(Bytes::from_static(&[7; 5_000])))
}

/// A byte now and then, and no end.
struct Slow;

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(Duration::from_millis(1));
        buffer[0] = b'x';
        Ok(1)
    }
}

everywhere! {
    /// H25. There is always room to send more, so nothing but the refusal ends it.
    async fn a_server_that_refuses_and_reads_on_is_heard(place: Place) {
        let peer = Peer::new(refusing);
        let (client, lane) = client(place, 1);
        let slowly = || endless().then(async |item| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            item
        });
        for (calls, body) in [
            Body::stream(endless()),
            Body::stream(slowly()),
            Body::stream(slowly()).with_length(1 << 30),
            Body::blocking(io::repeat(7)),
            Body::blocking(Slow),
        ].into_iter().enumerate() {
            let refused = client.post(peer.url("/refused")).body(body).timeout(AT_ONCE);
            let answer = refused.send().await.unwrap();
            assert_eq!(answer.status(), 413);
            assert_eq!(answer.text().await.unwrap(), "no");
            // What was begun on its connection has no end.
            let next = client.get(peer.url("/")).send().await.unwrap();
            assert_eq!(next.text().await.unwrap(), (calls + 1).to_string());
            // That one is used by the next.
            assert_eq!(peer.connections(), calls + 2);
        }
        is_as_new(&lane).await;
    }

    /// Nobody wants the rest of it.
    async fn a_stream_that_is_refused_is_dropped(place: Place) {
        let peer = Peer::new(refusing);
        let (client, lane) = client(place, 1);
        let dropped = DropFlag::default();
        let watched = dropped.watched();
        let body = endless().inspect(move |_| { let _ = &watched; });
        let refused = client.post(peer.url("/refused")).body(Body::stream(body)).timeout(AT_ONCE);
        let answer = refused.send().await.unwrap();
        assert_eq!(dropped.dropped(), 1);
        assert_eq!(answer.text().await.unwrap(), "no");
        is_as_new(&lane).await;
    }
}
