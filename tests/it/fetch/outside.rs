//! Where no runtime keeps time: outside of any, in one without a timer, and in a job from outside.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, executor, future::BoxFuture, stream};
use http::{Request, Response};
use longshore::{
    Lane,
    fetch::{ErrorKind, Fetcher, Retry, TimeLimit},
    lane::Threads,
};
use tokio::task::coop::{consume_budget, has_budget_remaining};

use super::service::Chunks;
use crate::support::{watch_over, watched};

/// Longer than any test takes.
const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(20);

fn lane() -> Lane {
    let lane = Lane::builder("outside").limit(4);
    watch_over(lane.own_threads(Threads::new()).build())
}

/// Runs a test in each of the three places.
#[track_caller]
fn without_a_timer(test: fn() -> BoxFuture<'static, ()>) {
    watched(move || executor::block_on(test()));
    watched(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(test());
    });
    watched(move || {
        let job = lane().offload_with(move |job| job.block_on(test()));
        executor::block_on(job).unwrap().unwrap();
    });
}

#[test]
fn times_that_are_not_used_up_do_no_harm() {
    without_a_timer(|| {
        Box::pin(async {
            let service = lane().service(|_: Request<Bytes>| Response::new(Chunks::from("there")));
            let fetches = Fetcher::new(service)
                .concurrency(2)
                .attempt_timeout(HOUR)
                .timeout(2 * HOUR)
                .total_timeout(3 * HOUR)
                .fetch_all(["http://host/"; 9]);
            let all: Vec<_> = fetches.collect().await;
            assert!(all.iter().all(|fetched| fetched.result.is_ok()), "{all:?}");
            assert_eq!(all.len(), 9);
        })
    });
}

#[test]
fn times_that_are_up_are_told() {
    without_a_timer(|| {
        Box::pin(async {
            let service =
                tower::service_fn(|_: Request<Bytes>| pending::<io::Result<Response<Chunks>>>());
            let fetcher = Fetcher::new(service);
            for (fetcher, limit) in [
                (fetcher.clone().attempt_timeout(SOON), TimeLimit::Attempt),
                (fetcher.clone().timeout(SOON), TimeLimit::Call),
                (fetcher.total_timeout(SOON), TimeLimit::Batch),
            ] {
                let all: Vec<_> = fetcher.fetch_all(["http://host/"; 3]).collect().await;
                let kinds = all
                    .iter()
                    .map(|fetched| fetched.result.as_ref().unwrap_err().kind());
                assert_eq!(kinds.collect::<Vec<_>>(), [ErrorKind::TimedOut(limit); 3]);
            }
        })
    });
}

#[test]
fn a_batch_that_waits_for_its_input_ends_when_its_time_is_up() {
    without_a_timer(|| {
        Box::pin(async {
            let service = lane().service(|_: Request<Bytes>| Response::new(Chunks::default()));
            let fetcher = Fetcher::new(service).total_timeout(SOON);
            let silent = stream::pending::<&str>();
            assert_eq!(fetcher.fetch_stream(silent).count().await, 0);
        })
    });
}

#[test]
fn the_pause_before_another_attempt_is_kept() {
    without_a_timer(|| {
        Box::pin(async {
            let asked = Arc::new(AtomicU32::new(0));
            let service = lane().service(move |_: Request<Bytes>| {
                let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
                let response = Response::builder().status(if first { 503 } else { 200 });
                response.body(Chunks::default()).unwrap()
            });
            let fetcher = Fetcher::new(service).retry(Retry::new(2).idempotent());
            let fetched = fetcher.fetch_all(["http://host/"]).next().await.unwrap();
            assert_eq!(
                (fetched.attempts, fetched.result.unwrap().status().as_u16()),
                (2, 200)
            );
        })
    });
}

#[test]
fn a_time_is_up_also_where_a_loop_around_the_stream_keeps_the_budget_from_being_renewed() {
    watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let service =
                tower::service_fn(|_: Request<Bytes>| pending::<io::Result<Response<Chunks>>>());
            let mut fetches = Fetcher::new(service)
                .timeout(SOON)
                .fetch_all(["http://host/"; 3]);
            while has_budget_remaining() {
                let _ = consume_budget().now_or_never();
            }
            for fetched in executor::block_on_stream(&mut fetches) {
                assert!(fetched.result.unwrap_err().is_timeout());
            }
            assert_eq!(fetches.progress().counts().failed, 3);
        });
    });
}
