//! Timeouts: of an attempt, of a call, of a batch. On a clock that the test moves.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::{Request, Response};
use longshore::fetch::{ErrorKind, Fetcher, Retry, TimeLimit};
use tokio::{
    sync::Semaphore,
    task::coop::{consume_budget, cooperative},
    time::{Instant, advance, sleep},
};
use tower_service::Service;

use super::service::{Chunks, Stage};
use crate::support::watched;

/// Runs a test on a clock that goes on by itself when there is nothing else to do.
pub(super) fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(test());
    });
}

/// Takes as many seconds for a request as its path says.
fn slow()
-> impl Service<Request<Bytes>, Response = Response<Chunks>, Error = io::Error, Future: Send>
+ Clone
+ Send
+ 'static {
    tower::service_fn(|request: Request<Bytes>| async move {
        let seconds: u64 = request.uri().path()[1..].parse().unwrap();
        sleep(Duration::from_secs(seconds)).await;
        Ok(Response::new(Chunks::default()))
    })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn each_call_has_its_own_time_and_the_others_theirs() {
    paused(|| async {
        let fetcher = Fetcher::new(slow()).timeout(seconds(5));
        let items = ["http://h/4", "http://h/6", "http://h/1"];
        let all: Vec<_> = fetcher.fetch_all(items).ordered().collect().await;
        let kinds: Vec<_> = all
            .iter()
            .map(|fetched| fetched.result.as_ref().err().map(|error| error.kind()))
            .collect();
        assert_eq!(
            kinds,
            [None, Some(ErrorKind::TimedOut(TimeLimit::Call)), None]
        );
        assert_eq!(all[1].took.as_secs(), 5);
    });
}

#[test]
fn the_time_of_a_call_begins_when_it_does() {
    paused(|| async {
        let fetcher = Fetcher::new(slow()).timeout(seconds(5)).per_host(1);
        let items = ["http://h/4"; 4];
        let all: Vec<_> = fetcher.fetch_all(items).collect().await;
        assert!(all.iter().all(|fetched| fetched.result.is_ok()), "{all:?}");
        assert_eq!(all[3].waited.as_secs(), 12);
    });
}

#[test]
fn the_earlier_of_an_attempt_and_a_call_is_what_is_told() {
    paused(|| async {
        for (attempt, call, limit) in [
            (2, 3, TimeLimit::Attempt),
            (3, 2, TimeLimit::Call),
            (u64::MAX, 2, TimeLimit::Call),
        ] {
            let fetcher = Fetcher::new(slow())
                .attempt_timeout(seconds(attempt))
                .timeout(seconds(call));
            let fetched = fetcher.fetch_all(["http://h/9"]).next().await.unwrap();
            let error = fetched.result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut(limit));
            assert_eq!((error.attempts(), fetched.took.as_secs()), (1, 2));
        }
    });
}

#[test]
fn at_the_end_of_a_batch_each_item_of_a_list_is_accounted_for() {
    paused(|| async {
        let stage = Stage::closed();
        let fetcher = Fetcher::new(stage.clone())
            .concurrency(4)
            .per_host(2)
            .total_timeout(seconds(10));
        let items: Vec<_> = (0..500)
            .map(|n| format!("http://host{}/{n}", n % 3))
            .collect();
        let begun = Instant::now();
        let mut fetches = fetcher.fetch_all(items);
        stage.let_through(2);
        let mut good = 0;
        let mut attempts = 0;
        let mut late = vec![false; 500];
        while let Some(fetched) = fetches.next().await {
            match fetched.result {
                Ok(_) => good += 1,
                Err(error) => {
                    assert!(error.is_batch_timeout() && error.is_timeout());
                    assert!(!std::mem::replace(&mut late[fetched.index], true));
                    attempts += error.attempts();
                }
            }
        }
        assert_eq!((good, late.iter().filter(|late| **late).count()), (2, 498));
        // Those that had not begun were not begun.
        assert_eq!((attempts, stage.asked().len()), (4, 6));
        assert_eq!(begun.elapsed().as_secs(), 10);
        assert_eq!(fetches.progress().counts().done(), 500);
    });
}

#[test]
fn at_the_end_of_a_batch_an_input_without_an_end_is_left_alone() {
    paused(|| async {
        let fetcher = Fetcher::new(slow())
            .concurrency(3)
            .total_timeout(seconds(10));
        // A channel that nothing comes from is not waited for, either.
        let (_sender, silent) = futures::channel::mpsc::unbounded::<String>();
        let pending = stream::pending::<String>().take(3);
        let begun = Instant::now();
        let all: Vec<_> = fetcher
            .fetch_all(std::iter::repeat("http://h/3"))
            .collect()
            .await;
        assert_eq!((all.len(), begun.elapsed().as_secs()), (12, 10));
        let none = fetcher.fetch_stream(silent).count();
        let never = fetcher.fetch_stream(pending).count();
        let begun = Instant::now();
        let counts = futures::join!(none, never);
        assert_eq!((counts, begun.elapsed().as_secs()), ((0, 0), 10));
    });
}

#[test]
fn the_time_of_a_batch_begins_with_the_call() {
    paused(|| async {
        let fetcher = Fetcher::new(slow()).total_timeout(seconds(10));
        let mut fetches = fetcher.fetch_all(["http://h/3", "http://h/30"]);
        sleep(seconds(8)).await;
        let all: Vec<_> = fetches.by_ref().collect().await;
        assert!(all.iter().all(|fetched| fetched.result.is_err()), "{all:?}");
        let mut late = fetcher.fetch_all(["http://h/0"]);
        sleep(seconds(11)).await;
        let error = late
            .next()
            .now_or_never()
            .unwrap()
            .unwrap()
            .result
            .unwrap_err();
        assert!(error.is_batch_timeout() && error.attempts() == 0);
    });
}

#[test]
fn a_time_too_long_to_be_represented_is_no_limit() {
    paused(|| async {
        let fetcher = Fetcher::new(slow())
            .timeout(Duration::MAX)
            .attempt_timeout(Duration::MAX)
            .total_timeout(Duration::MAX);
        let fetched = fetcher.fetch_all(["http://h/100000"]).next().await.unwrap();
        assert!(fetched.result.is_ok());
    });
}

#[test]
fn a_pause_is_over_before_the_time_is_or_there_is_none() {
    paused(|| async {
        // Timers are as exact as a millisecond, and nothing here begins on one.
        tokio::time::advance(Duration::from_micros(300)).await;
        for (timeout, attempts) in [(5_000_500, 1), (5_003_000, 2)] {
            let service = tower::service_fn(|_: Request<Bytes>| {
                let response = Response::builder().status(503).header("retry-after", "5");
                std::future::ready(Ok::<_, io::Error>(
                    response.body(Chunks::default()).unwrap(),
                ))
            });
            let retry = Retry::new(2)
                .idempotent()
                .backoff(Duration::ZERO, Duration::ZERO);
            let fetcher = Fetcher::new(service)
                .timeout(Duration::from_micros(timeout))
                .retry(retry);
            let fetched = fetcher.fetch_all(["http://h/"]).next().await.unwrap();
            assert_eq!(fetched.result.unwrap().status(), 503);
            assert_eq!(fetched.attempts, attempts);
        }
    });
}

/// A hundred calls that count two steps each, beside that of the stream, towards the budget of the
/// consumer's task. So that is used up in the middle of one.
fn arrived_meanwhile(nested: bool) {
    paused(move || async move {
        let gate = Arc::new(Semaphore::new(0));
        let door = gate.clone();
        let service = tower::service_fn(move |_: Request<Bytes>| {
            let gate = door.clone();
            async move {
                let _ = gate.acquire().await;
                if nested {
                    cooperative(Box::pin(consume_budget())).await;
                } else {
                    consume_budget().await;
                    consume_budget().await;
                }
                Ok::<_, io::Error>(Response::new(Chunks::default()))
            }
        });
        let fetcher = Fetcher::new(service).concurrency(100).timeout(seconds(1));
        let mut fetches = fetcher.fetch_all(vec!["http://host/"; 100]);
        assert!(fetches.next().now_or_never().is_none());
        // Whoever takes them has something else to do, and meanwhile all of them come.
        gate.close();
        advance(seconds(2)).await;
        let all: Vec<_> = fetches.collect().await;
        let late = all.iter().filter(|fetched| fetched.result.is_err()).count();
        assert_eq!((all.len(), late), (100, 0));
    });
}

#[test]
fn a_result_that_is_there_counts_however_late_it_is_taken() {
    arrived_meanwhile(false);
}

#[test]
fn a_result_that_is_there_counts_also_where_steps_are_counted_within_steps() {
    arrived_meanwhile(true);
}

#[test]
fn a_call_that_always_has_something_to_do_ends_all_the_same() {
    paused(|| async {
        let service = tower::service_fn(|_: Request<Bytes>| async {
            loop {
                consume_budget().await;
            }
            #[expect(unreachable_code, reason = "it says what the service would give")]
            Ok::<_, io::Error>(Response::new(Chunks::default()))
        });
        // The clock goes on by itself only where there is nothing to do.
        let clock = tokio::spawn(async {
            loop {
                advance(Duration::from_millis(100)).await;
            }
        });
        let fetcher = Fetcher::new(service).timeout(seconds(1));
        let fetched = fetcher.fetch_all(["http://host/"]).next().await.unwrap();
        assert!(fetched.result.unwrap_err().is_timeout());
        clock.abort();
    });
}
