//! Nothing is executed twice that may not be: retries over real connections, which break in every way. K21.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body::Body;
use longshore::fetch::{Fetcher, Retry};
use tower_service::Service;

use super::clients;
use crate::{
    http::peer::{Connection, Peer, response, with_headers},
    support::{Flavour, eventually, watched},
};

/// How often each id was received whole.
type Received = Arc<Mutex<HashMap<String, u32>>>;

const ITEMS: usize = 42;

/// A server that fails each request once, each in one of seven ways, after it has received it.
fn failing_once() -> (Peer, Received) {
    let received = Received::default();
    let theirs = received.clone();
    let peer = Peer::new(move |connection: &mut Connection| {
        while let Some(asked) = connection.request()? {
            let id = String::from_utf8_lossy(&asked.body).into_owned();
            let number: usize = id.parse().map_err(io::Error::other)?;
            let times = {
                let mut received = theirs.lock().unwrap();
                let times = received.entry(id).or_default();
                *times += 1;
                *times
            };
            if times > 1 {
                connection.send(response("200 OK", "done"))?;
                continue;
            }
            match number % 7 {
                // It is closed without a word.
                0 => return Ok(()),
                1 => {
                    let headers = [("Retry-After", "0")];
                    connection.send(with_headers("503 Busy", &headers, "later"))?;
                }
                2 => connection.send(response("429 Too Many", ""))?,
                3 => {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
                    return Ok(());
                }
                4 => {
                    connection.send("HTTP/1.1 2")?;
                    return Ok(());
                }
                // Until the attempt's time is up.
                5 => {
                    connection.closed();
                    return Ok(());
                }
                _ => connection.send(response("504 Gateway", ""))?,
            }
        }
        Ok(())
    });
    (peer, received)
}

fn policy() -> Retry {
    Retry::new(4)
        .backoff(Duration::from_millis(1), Duration::from_millis(5))
        .budget(1000, 100)
}

async fn posts<S, R>(fetcher: Fetcher<S>, declared: bool)
where
    S: Service<Request<Bytes>, Response = Response<R>, Future: Send> + Clone + Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R: Body<Data: Send> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (peer, received) = failing_once();
    let policy = if declared {
        policy().idempotent()
    } else {
        policy()
    };
    let fetcher = fetcher
        .concurrency(8)
        .attempt_timeout(Duration::from_secs(1))
        .retry(policy);
    let items = (0..ITEMS).map(|id| Request::post(peer.url("/")).body(id.to_string()).unwrap());
    let all: Vec<_> = fetcher.fetch_all(items).collect().await;
    let received = received.lock().unwrap();
    assert_eq!(all.len(), ITEMS);
    for fetched in all {
        let index = fetched.index;
        let times = received.get(&index.to_string()).copied().unwrap_or(0);
        let timed_out = (fetched.result.as_ref()).is_err_and(|error| error.is_timeout());
        let ok = fetched
            .result
            .is_ok_and(|response| response.status() == 200);
        assert_eq!(ok, declared, "{index}");
        if declared {
            // More often if the machine was too busy for an answer in time.
            assert!(fetched.attempts >= 2 && times >= 2, "{index}");
        } else {
            // Not at all, or in a second attempt, if the machine was too busy to send the first.
            assert!(times == 1 || times == 0 && timed_out, "{index}: {times}");
        }
    }
}

fn run<F: Future<Output = ()> + 'static>(test: impl FnOnce() -> F + Send + 'static) {
    watched(|| Flavour::CurrentThread.runtime().block_on(test()));
}

#[test]
fn nothing_that_was_not_declared_is_executed_twice_by_the_offloaded_client() {
    run(|| posts(Fetcher::new(clients::offloaded()), false));
}

#[test]
fn what_was_declared_is_tried_again_by_the_offloaded_client() {
    run(|| posts(Fetcher::new(clients::offloaded()), true));
}

#[cfg(feature = "cli")]
#[test]
fn nothing_that_was_not_declared_is_executed_twice_by_a_native_client() {
    run(|| posts(Fetcher::new(clients::native()), false));
}

#[cfg(feature = "cli")]
#[test]
fn what_was_declared_is_tried_again_by_a_native_client() {
    run(|| posts(Fetcher::new(clients::native()), true));
}

/// The one thing that is known of a request without a declaration: nobody was there.
#[test]
fn what_was_never_sent_is_tried_again_until_somebody_is_there() {
    run(|| async {
        // Nobody else has the port, and nobody is there before it listens.
        let place = tokio::net::TcpSocket::new_v4().unwrap();
        place.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = place.local_addr().unwrap();
        let retry = Retry::new(u32::MAX)
            .backoff(Duration::from_millis(5), Duration::from_millis(5))
            .budget(100_000, 0);
        // Behind a layer that puts errors in boxes.
        let service = tower::ServiceBuilder::new()
            .load_shed()
            .service(clients::offloaded());
        let fetcher = Fetcher::new(service).retry(retry);
        let request = Request::post(format!("http://{address}/"))
            .body("once")
            .unwrap();
        let fetches = fetcher.fetch_all([request]);
        let progress = fetches.progress();
        let all = tokio::spawn(fetches.collect::<Vec<_>>());
        eventually("it was tried again", || progress.counts().retried >= 3).await;
        let listener = place.listen(1).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"once") {
            tokio::io::AsyncReadExt::read_buf(&mut stream, &mut seen)
                .await
                .unwrap();
        }
        // Now it was sent. It is not known what became of it, and it is not sent again.
        drop(stream);
        drop(listener);
        let all = all.await.unwrap();
        assert!(all[0].result.is_err() && all[0].attempts > 3, "{all:?}");
    });
}
