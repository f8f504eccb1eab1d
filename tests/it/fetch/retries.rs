//! When there is another attempt, and after how long: over services that answer as they are told. K21.

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
