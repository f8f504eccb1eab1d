//! Services that mean it when they say that they are not ready.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use http::{Request, Response};
use longshore::{
    Lane,
    fetch::{ErrorKind, Fetched, Fetcher, Retry, TimeLimit},
};
use tokio::time::{advance, timeout};
use tower_service::Service;

use super::{
    on_both,
    service::{Chunks, Stage},
    times::paused,
};
use crate::support::{AT_ONCE, Door, Gate, eventually, watch_over};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn between_two_attempts_an_item_stands_in_nobodys_way() {
    paused(|| async {
        let limited = tower::limit::ConcurrencyLimit::new(Stage::open(), 1);
        let (mut holder, mut other) = (limited.clone(), limited.clone());
        poll_fn(|cx| holder.poll_ready(cx)).await.unwrap();
        let fetcher = Fetcher::new(limited)
            .attempt_timeout(SECOND)
            .retry(Retry::new(2).backoff(HOUR, HOUR));
        let mut fetches = fetcher.fetch_all(["http://host/"]);
        let progress = fetches.progress();
        let mut fetched = pin!(fetches.next());
        // Its first attempt waits for the one place there is, in vain.
        assert!(timeout(2 * SECOND, &mut fetched).await.is_err());
        assert_eq!(progress.counts().retried, 1);
        drop(holder);
        assert!((&mut fetched).now_or_never().is_none());
        let ready = timeout(SECOND, poll_fn(|cx| other.poll_ready(cx))).await;
        assert!(ready.is_ok(), "the place was kept for who sleeps");
        drop(other);
        assert!(fetched.await.unwrap().result.is_ok());
    });
}

/// Each clone holds its caller to the contract: `poll_ready` before `call`, on the same clone, and
/// nothing at all after `poll_ready` has failed.
struct Strict {
    /// How many clones are to fail when they are asked whether they are ready.
    broken: Arc<AtomicU32>,
    state: State,
}

#[derive(PartialEq, Debug)]
enum State {
    New,
    Ready,
    Failed,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            broken: self.broken.clone(),
            state: State::New,
        }
    }
}

impl Strict {
    fn failing(times: u32) -> Self {
        Self {
            broken: Arc::new(AtomicU32::new(times)),
            state: State::New,
        }
    }
}

impl Service<Request<Bytes>> for Strict {
    type Response = Response<Chunks>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Response<Chunks>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert_ne!(
            self.state,
            State::Failed,
            "a service that failed is to be dropped"
        );
        let one_less = |left: u32| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.broken.fetch_update(order, order, one_less).is_ok() {
            self.state = State::Failed;
            return Poll::Ready(Err(io::Error::other("broken")));
        }
        self.state = State::Ready;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        assert_eq!(self.state, State::Ready, "this clone was not asked");
        self.state = State::New;
        std::future::ready(Ok(Response::new(Chunks::default())))
    }
}

#[test]
fn each_attempt_has_a_service_of_its_own() {
    paused(|| async {
        let fetcher = Fetcher::new(Strict::failing(2)).retry(Retry::new(3).idempotent());
        let fetched = fetcher.fetch_all(["http://host/"]).next().await.unwrap();
        assert!(fetched.result.is_ok(), "{fetched:?}");
        assert_eq!(fetched.attempts, 3);
    });
}

#[test]
fn a_service_that_is_not_ready_since_it_is_broken_is_not_asked_again_unless_declared() {
    paused(|| async {
        let fetcher = Fetcher::new(Strict::failing(9)).retry(Retry::new(3).retry_if(|_| true));
        let fetched = fetcher.fetch_all(["http://host/"]).next().await.unwrap();
        let error = fetched.result.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Service, 1));
    });
}

#[test]
fn a_service_that_never_gets_ready_is_known_not_to_have_been_asked() {
    paused(|| async {
        let stage = Stage::open();
        let limited = tower::limit::ConcurrencyLimit::new(stage.clone(), 1);
        let mut holder = limited.clone();
        poll_fn(|cx| holder.poll_ready(cx)).await.unwrap();
        let fetcher = Fetcher::new(limited)
            .attempt_timeout(SECOND)
            .retry(Retry::new(3));
        let request = Request::post("http://host/").body("once").unwrap();
        let fetched = fetcher.fetch_all([request]).next().await.unwrap();
        let error = fetched.result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut(TimeLimit::Attempt));
        assert_eq!((error.attempts(), stage.asked().len()), (3, 0));
        drop(holder);
    });
}

#[test]
fn a_service_that_gets_ready_only_when_the_time_is_up_is_not_called() {
    paused(|| async {
        let stage = Stage::open();
        let limited = tower::limit::ConcurrencyLimit::new(stage.clone(), 1);
        let fetcher = Fetcher::new(limited.clone());
        for (fetcher, limit) in [
            (fetcher.clone().attempt_timeout(SECOND), TimeLimit::Attempt),
            (fetcher.clone().timeout(SECOND), TimeLimit::Call),
            (fetcher.total_timeout(SECOND), TimeLimit::Batch),
        ] {
            let mut holder = limited.clone();
            poll_fn(|cx| holder.poll_ready(cx)).await.unwrap();
            let mut fetches = fetcher.fetch_all(["http://host/"; 3]);
            assert!(fetches.next().now_or_never().is_none());
            // Nobody has looked at the clock when the place is there.
            advance(2 * SECOND).await;
            drop(holder);
            let all: Vec<_> = fetches.collect().await;
            let kinds = all.iter().map(|fetched| {
                let error = fetched.result.as_ref().expect_err("it was too late");
                error.kind()
            });
            assert_eq!(kinds.collect::<Vec<_>>(), [ErrorKind::TimedOut(limit); 3]);
        }
        assert_eq!(stage.asked().len(), 0);
    });
}

#[test]
fn a_place_to_parse_in_that_comes_when_the_time_is_up_is_given_back() {
    paused(|| async {
        let lane = watch_over(Lane::builder("one").limit(1).queue(0).build());
        let parsed = Arc::new(AtomicU32::new(0));
        let counted = parsed.clone();
        let holder = lane.reserve().await.unwrap();
        let fetcher = Fetcher::new(Stage::open())
            .timeout(SECOND)
            .parse_on(&lane)
            .parse_inline(0);
        let mut fetches = fetcher.fetch_all(["http://host/"; 3]).parse(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<_, io::Error>(())
        });
        assert!(fetches.next().now_or_never().is_none());
        advance(2 * SECOND).await;
        drop(holder);
        let all: Vec<_> = fetches.collect().await;
        let late = ErrorKind::TimedOut(TimeLimit::Call);
        let is_late = |error: &longshore::fetch::Error| error.kind() == late;
        assert_eq!(all.len(), 3);
        assert!(
            all.iter()
                .all(|fetched| fetched.result.as_ref().is_err_and(is_late)),
            "{all:?}"
        );
        let stats = lane.stats();
        assert_eq!((parsed.load(Ordering::SeqCst), stats.submitted), (0, 0));
    });
}

/// A lane with room for four, which a stream stands in line for and leaves alone: three are there for others.
async fn leaves_room_for_others(lane: &Lane) {
    eventually("nothing goes on in the lane", || {
        lane.stats().running + lane.stats().waiting == 0
    })
    .await;
    let mut permits = Vec::new();
    for _ in 0..3 {
        let permit = timeout(AT_ONCE, lane.reserve()).await;
        permits.push(permit.expect("somebody keeps it").unwrap());
    }
}

/// Sixteen items through a lane for four at once, whose stream is left alone when the first is over.
async fn keeps_one_place_at_most<S, T>(fetches: impl FnOnce(&Lane, Door) -> S)
where
    S: Stream<Item = Fetched<T>> + Unpin,
{
    let lane = watch_over(Lane::builder("four").limit(4).queue(0).build());
    let gate = Gate::new();
    let mut fetches = fetches(&lane, gate.door());
    assert!(fetches.next().now_or_never().is_none());
    gate.arrived(4).await;
    gate.open();
    assert!(fetches.next().await.unwrap().result.is_ok());
    leaves_room_for_others(&lane).await;
    assert_eq!(fetches.count().await, 15);
    assert_eq!(lane.stats().peak_running, 4);
}

/// C7.
#[test]
fn a_stream_that_nobody_polls_keeps_one_place_of_its_lane_at_most() {
    on_both(|| {
        keeps_one_place_at_most(|lane, door| {
            let service = lane.service(move |_: Request<Bytes>| {
                door.pass();
                Response::new(Chunks::default())
            });
            let fetcher = Fetcher::new(service).concurrency(16);
            fetcher.fetch_all(["http://host/"; 16])
        })
    });
}

/// C7.
#[test]
fn a_stream_that_nobody_polls_keeps_one_place_of_the_lane_that_parses_at_most() {
    on_both(|| {
        keeps_one_place_at_most(|lane, door| {
            let fetcher = Fetcher::new(Stage::open()).parse_on(lane).parse_inline(0);
            let fetches = fetcher.fetch_all(["http://host/"; 16]);
            fetches.parse(move |_| {
                door.pass();
                Ok::<_, io::Error>(())
            })
        })
    });
}

#[test]
fn who_waits_in_vain_until_its_time_is_up_lets_the_next_one_ask() {
    paused(|| async {
        let limited = tower::limit::ConcurrencyLimit::new(Stage::open(), 1);
        let mut holder = limited.clone();
        poll_fn(|cx| holder.poll_ready(cx)).await.unwrap();
        // The second begins half a second after the first, and has its place when that has given up.
        let items = futures::stream::unfold(0, |n| async move {
            tokio::time::sleep(SECOND / 2 * n).await;
            (n < 2).then(|| (format!("http://host/{n}"), n + 1))
        });
        let mut fetches = Fetcher::new(limited)
            .timeout(SECOND)
            .fetch_stream(Box::pin(items));
        let first = fetches.next().await.unwrap();
        assert!(first.index == 0 && first.result.unwrap_err().is_timeout());
        drop(holder);
        let second = fetches.next().await.unwrap();
        assert!(second.index == 1 && second.result.is_ok(), "{second:?}");
    });
}
