//! Another attempt only where it cannot do anything twice. K21.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use longshore::fetch::{Event, Fetcher, Retry};
use tokio::time::sleep;
use tower_service::Service;

use super::{service::Chunks, times::paused};

#[cfg(feature = "ureq")]
mod on_a_network {
    use std::{collections::HashMap, sync::Mutex};

    use super::*;
    use crate::{
        fetch::clients,
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
        R: http_body::Body<Data: Send> + Send + 'static,
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
            .attempt_timeout(Duration::from_millis(300))
            .retry(policy);
        let items = (0..ITEMS).map(|id| Request::post(peer.url("/")).body(id.to_string()).unwrap());
        let all: Vec<_> = fetcher.fetch_all(items).collect().await;
        let received = received.lock().unwrap();
        assert_eq!((all.len(), received.len()), (ITEMS, ITEMS));
        for fetched in all {
            let times = received[&fetched.index.to_string()];
            let ok = fetched
                .result
                .is_ok_and(|response| response.status() == 200);
            assert_eq!(ok, declared, "{}", fetched.index);
            if declared {
                // More often if the machine was too busy for an answer in time.
                assert!(fetched.attempts >= 2 && times >= 2, "{}", fetched.index);
            } else {
                assert_eq!((fetched.attempts, times), (1, 1), "{}", fetched.index);
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
            let place = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = place.local_addr().unwrap();
            drop(place);
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
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
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
}

/// Answers with a status and, if it is not empty, a `Retry-After`; from the second time on with 200
/// if `once`. And how often it was asked.
fn answers(status: u16, after: &'static str, once: bool) -> (impl TestService, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let theirs = asked.clone();
    let service = tower::service_fn(move |_: Request<Bytes>| {
        let before = theirs.fetch_add(1, Ordering::SeqCst);
        let mut response =
            Response::builder().status(if once && before > 0 { 200 } else { status });
        if !after.is_empty() {
            response = response.header("retry-after", after);
        }
        let response = response.body(Chunks::default()).unwrap();
        std::future::ready(Ok::<_, io::Error>(response))
    });
    (service, asked)
}

trait TestService:
    Service<Request<Bytes>, Response = Response<Chunks>, Error = io::Error, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> TestService for S where
    S: Service<Request<Bytes>, Response = Response<Chunks>, Error = io::Error, Future: Send>
        + Clone
        + Send
        + 'static
{
}

const URL: &str = "http://host/";

#[test]
fn there_are_no_retries_unless_they_are_asked_for() {
    paused(|| async {
        let (service, asked) = answers(503, "", true);
        let fetched = Fetcher::new(service).fetch_all([URL]).next().await.unwrap();
        assert_eq!(fetched.result.unwrap().status(), 503);
        assert_eq!((fetched.attempts, asked.load(Ordering::SeqCst)), (1, 1));
    });
}

#[test]
fn no_item_is_tried_more_often_than_said_and_the_last_answer_is_the_outcome() {
    paused(|| async {
        let (service, asked) = answers(502, "", false);
        let fetcher = Fetcher::new(service).retry(Retry::new(4).idempotent());
        let fetches = fetcher.fetch_all([URL]);
        let progress = fetches.progress();
        let events = progress.events();
        let all: Vec<_> = fetches.collect().await;
        assert_eq!(all[0].result.as_ref().unwrap().status(), 502);
        assert_eq!((all[0].attempts, asked.load(Ordering::SeqCst)), (4, 4));
        assert_eq!(
            (progress.counts().retried, progress.counts().succeeded),
            (3, 1)
        );
        let attempts: Vec<_> = events
            .filter_map(|event| async move {
                match event {
                    Event::Retrying { attempt, after, .. } => Some((attempt, after)),
                    _ => None,
                }
            })
            .collect()
            .await;
        let [(2, first), (3, second), (4, third)] = attempts[..] else {
            panic!("{attempts:?}");
        };
        let ms = Duration::from_millis;
        assert!(first <= ms(100) && second <= ms(200) && third <= ms(400));
    });
}

#[test]
fn retries_of_all_batches_and_clones_come_out_of_one_budget() {
    paused(|| async {
        let (service, asked) = answers(503, "", false);
        let retry = Retry::new(100).idempotent().budget(10, 20);
        let fetcher = Fetcher::new(service).concurrency(7).retry(retry);
        for fetcher in [fetcher.clone(), fetcher] {
            assert_eq!(fetcher.fetch_all([URL; 50]).count().await, 50);
        }
        let retries = asked.load(Ordering::SeqCst) - 100;
        assert!((25..=30).contains(&retries), "{retries} retries");
    });
}

#[test]
fn a_server_that_says_when_is_asked_again_then_and_not_before() {
    paused(|| async {
        for (timeout, expected) in [(20, (200, 5, 2)), (5, (503, 0, 1))] {
            let (service, asked) = answers(503, "5", true);
            let fetcher = Fetcher::new(service)
                .timeout(Duration::from_secs(timeout))
                .retry(Retry::new(3).idempotent());
            let fetched = fetcher.fetch_all([URL]).next().await.unwrap();
            let status = fetched.result.unwrap().status().as_u16();
            let asked = asked.load(Ordering::SeqCst);
            assert_eq!((status, fetched.took.as_secs(), asked), expected);
        }
    });
}

#[test]
fn a_date_says_when_as_well() {
    paused(|| async {
        // Long past: at once.
        let (service, _) = answers(429, "Sun, 06 Nov 1994 08:49:37 GMT", true);
        let fetcher = Fetcher::new(service).retry(Retry::new(2).idempotent());
        let fetched = fetcher.fetch_all([URL]).next().await.unwrap();
        assert_eq!(
            (fetched.result.unwrap().status().as_u16(), fetched.attempts),
            (200, 2)
        );
        // Too far away.
        let (service, _) = answers(429, "Fri, 31 Dec 9999 23:59:59 GMT", true);
        let fetcher = Fetcher::new(service).retry(Retry::new(2).idempotent());
        let fetched = fetcher.fetch_all([URL]).next().await.unwrap();
        assert_eq!(
            (fetched.result.unwrap().status().as_u16(), fetched.attempts),
            (429, 1)
        );
    });
}

#[test]
fn the_end_of_a_batch_ends_a_pause() {
    paused(|| async {
        let (service, _) = answers(503, "9", false);
        let fetcher = Fetcher::new(service)
            .total_timeout(Duration::from_secs(25))
            .retry(
                Retry::new(9)
                    .idempotent()
                    .backoff(Duration::ZERO, Duration::ZERO),
            );
        let fetched = fetcher.fetch_all([URL]).next().await.unwrap();
        // At 0, 9 and 18 s; 27 would be too late.
        assert_eq!((fetched.attempts, fetched.took.as_secs()), (3, 18));
        assert_eq!(fetched.result.unwrap().status(), 503);
    });
}

#[test]
fn an_attempt_that_has_no_time_at_all_is_one_too() {
    paused(|| async {
        let (service, asked) = answers(200, "", false);
        let fetcher = Fetcher::new(service)
            .attempt_timeout(Duration::ZERO)
            .retry(Retry::new(3));
        let fetched = fetcher.fetch_all([URL]).next().await.unwrap();
        assert!(fetched.result.unwrap_err().is_timeout());
        assert_eq!((fetched.attempts, asked.load(Ordering::SeqCst)), (3, 0));
    });
}

#[test]
fn an_attempt_whose_time_is_up_is_followed_by_another_only_if_that_is_safe() {
    paused(|| async {
        let service = || {
            let first = Arc::new(AtomicU32::new(0));
            tower::service_fn(move |_: Request<Bytes>| {
                let before = first.fetch_add(1, Ordering::SeqCst);
                async move {
                    sleep(Duration::from_secs(if before == 0 { 60 } else { 1 })).await;
                    Ok::<_, io::Error>(Response::new(Chunks::default()))
                }
            })
        };
        for (retry, attempts) in [(Retry::new(3), 1), (Retry::new(3).idempotent_methods(), 2)] {
            let fetcher = Fetcher::new(service())
                .attempt_timeout(Duration::from_secs(5))
                .retry(retry);
            let fetched = fetcher.fetch_all([URL]).next().await.unwrap();
            assert_eq!(fetched.attempts, attempts);
            assert_eq!(fetched.result.is_ok(), attempts == 2);
        }
    });
}
