//! Results: one for each item, in either order, none the worse for another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::{Request, Uri};
use longshore::fetch::{ErrorKind, Fetcher};

use super::{on_both, service::Stage, told};
use crate::support::{Child, in_child, resident};

fn urls(paths: &[&str]) -> Vec<String> {
    paths
        .iter()
        .map(|path| format!("http://host{path}"))
        .collect()
}

#[test]
fn an_item_that_fails_does_not_hurt_the_others() {
    on_both(|| async {
        let fetcher = Fetcher::new(Stage::open()).concurrency(2);
        let items = [
            "http://host/a",
            "not a URL",
            "http://host/fail",
            "/b",
            "http://host/c",
        ];
        let all: Vec<_> = fetcher.fetch_all(items).ordered().collect().await;
        let told: Vec<_> = all.iter().map(|fetched| told(fetched).ok()).collect();
        assert_eq!(
            told,
            [Some("/a".into()), None, None, None, Some("/c".into())]
        );
        let kinds: Vec<_> = all
            .iter()
            .filter_map(|fetched| Some(fetched.result.as_ref().err()?.kind()))
            .collect();
        assert_eq!(
            kinds,
            [ErrorKind::BadUrl, ErrorKind::Service, ErrorKind::BadUrl]
        );
        let indices: Vec<_> = all.iter().map(|fetched| fetched.index).collect();
        assert_eq!(indices, [0, 1, 2, 3, 4]);
        let attempts: Vec<_> = all.iter().map(|fetched| fetched.attempts).collect();
        assert_eq!(attempts, [1, 0, 1, 0, 1]);
        assert_eq!(&*all[4].url, "http://host/c");
    });
}

#[test]
fn results_come_in_the_order_in_which_calls_end_or_in_that_of_the_items() {
    on_both(|| async {
        let stage = Stage::closed();
        let fetcher = Fetcher::new(stage.clone()).per_host(1);
        // The first host has two items, so the second of them waits for the first.
        let items = ["http://one/1", "http://one/2", "http://two/3"];
        let mut plain = fetcher.fetch_all(items);
        let mut ordered = fetcher.fetch_all(items).ordered();
        assert!(plain.next().now_or_never().is_none());
        assert_eq!(stage.asked(), ["/1", "/3"]);
        stage.open_up();
        let order: Vec<_> = plain.map(|fetched| fetched.index).collect().await;
        assert_eq!(order, [0, 2, 1]);
        let order: Vec<_> = ordered
            .by_ref()
            .map(|fetched| fetched.index)
            .collect()
            .await;
        assert_eq!(order, [0, 1, 2]);
    });
}

#[test]
fn urls_and_requests_come_from_iterators_and_from_streams() {
    on_both(|| async {
        let stage = Stage::open();
        let fetcher = Fetcher::new(stage.clone());
        let count = |n: usize| move |all: Vec<_>| assert_eq!(all.len(), n);
        let strings = urls(&["/1", "/2"]);
        fetcher.fetch_all(&strings).collect().map(count(2)).await;
        fetcher.fetch_all(strings).collect().map(count(2)).await;
        let uri = Uri::from_static("http://host/3");
        fetcher.fetch_all([uri]).collect().map(count(1)).await;
        let request = Request::post("http://host/4").body("body").unwrap();
        fetcher
            .fetch_stream(stream::iter([request]))
            .collect()
            .map(count(1))
            .await;
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let mut fetches = fetcher.fetch_stream(receiver);
        assert!(fetches.next().now_or_never().is_none());
        sender.unbounded_send("http://host/5").unwrap();
        assert_eq!(told(&fetches.next().await.unwrap()).unwrap(), "/5");
        drop(sender);
        assert!(fetches.next().await.is_none());
        assert_eq!(stage.asked(), ["/1", "/2", "/1", "/2", "/3", "/4", "/5"]);
    });
}

#[test]
fn dropping_the_stream_drops_what_is_in_flight_and_begins_nothing_more() {
    on_both(|| async {
        let stage = Stage::closed();
        let fetcher = Fetcher::new(stage.clone()).concurrency(3);
        let mut fetches = fetcher.fetch_all(urls(&["/1", "/2", "/3", "/4"]));
        assert!(fetches.next().now_or_never().is_none());
        assert_eq!(stage.inside(), 3);
        drop(fetches);
        assert_eq!(stage.inside(), 0);
        stage.open_up();
        assert_eq!(stage.asked().len(), 3);
    });
}

#[test]
fn nothing_is_lost_when_a_future_of_next_is_dropped() {
    on_both(|| async {
        let stage = Stage::closed();
        let mut fetches = Fetcher::new(stage.clone()).fetch_all(urls(&["/1", "/2", "/3"]));
        let mut seen = Vec::new();
        for _ in 0..3 {
            assert!(fetches.next().now_or_never().is_none());
            stage.let_through(1);
            let fetched = fetches.next().await.unwrap();
            seen.push(fetched.index);
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
        assert!(fetches.next().await.is_none());
        assert_eq!(stage.asked().len(), 3);
    });
}

/// What is woken is polled, and nothing else.
#[test]
fn a_call_that_is_not_woken_is_not_polled() {
    on_both(|| async {
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = polls.clone();
        let (wake, woken) = futures::channel::oneshot::channel::<()>();
        let woken = woken.shared();
        let service = tower::service_fn(move |request: Request<Bytes>| {
            let (polls, woken) = (counted.clone(), woken.clone());
            let waits = request.uri().path() == "/waits";
            async move {
                if waits {
                    let mut woken = woken;
                    std::future::poll_fn(|cx| {
                        polls.fetch_add(1, Ordering::SeqCst);
                        woken.poll_unpin(cx).map(drop)
                    })
                    .await;
                }
                Ok::<_, std::io::Error>(http::Response::new(super::service::Chunks::default()))
            }
        });
        let mut items = vec!["http://host/waits"];
        items.resize(200, "http://host/");
        let mut fetches = Fetcher::new(service).concurrency(4).fetch_all(items);
        for _ in 1..200 {
            fetches.next().await.unwrap();
        }
        assert_eq!(polls.load(Ordering::SeqCst), 1);
        wake.send(()).unwrap();
        assert_eq!(fetches.next().await.unwrap().index, 0);
        assert_eq!(polls.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn an_endless_input_is_taken_no_further_than_is_said() {
    on_both(|| async {
        let fetcher = Fetcher::new(Stage::open())
            .concurrency(8)
            .per_host(2)
            .look_ahead(20);
        for ordered in [false, true] {
            let taken = Arc::new(AtomicUsize::new(0));
            let theirs = taken.clone();
            // A long run of one host now and then.
            let items = (0_usize..).map(move |index| {
                theirs.fetch_add(1, Ordering::SeqCst);
                let host = if index % 100 < 50 { 0 } else { index % 7 };
                format!("http://host{host}/{index}")
            });
            let fetches = fetcher.fetch_all(items);
            let mut results = if ordered {
                fetches.ordered().left_stream()
            } else {
                fetches.right_stream()
            };
            for given in 0..2000 {
                let fetched = results.next().await.unwrap();
                assert!(!ordered || fetched.index == given);
                let ahead = taken.load(Ordering::SeqCst) - given;
                assert!(ahead <= 8 + 20, "{ahead} taken and not given out");
            }
        }
    });
}

#[test]
fn results_that_are_there_already_keep_no_other_task_waiting() {
    crate::support::watched(|| {
        let runtime = crate::support::Flavour::CurrentThread.runtime();
        runtime.block_on(async {
            let other = tokio::spawn(async {});
            let mut fetches = Fetcher::new(Silent).fetch_all(vec!["http://host/"; 1000]);
            for _ in 0..1000 {
                // No other await than this, and it is never in want of a result.
                fetches.next().await.unwrap();
            }
            assert!(other.is_finished());
        });
    });
}

/// In a process of its own, since what others take counts too. `examples/fetcher_million.rs` takes a
/// million.
#[test]
fn a_long_list_takes_no_more_memory_than_a_short_one() {
    const LONG: usize = 200_000;
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::a_long_list_takes_no_more_memory_than_a_short_one"
        );
        return Child::new(test).passes();
    }
    on_both(|| async {
        let fetcher = Fetcher::new(Silent).per_host(4);
        let items = (0..LONG).map(|index| format!("http://host{index}/{index}"));
        let mut fetches = fetcher.fetch_all(items);
        let mut before = 0;
        for index in 0..LONG {
            assert!(fetches.next().await.unwrap().result.is_ok());
            if index == LONG / 10 {
                before = resident();
            }
        }
        assert!(fetches.next().await.is_none());
        let grown = resident().saturating_sub(before);
        // The URLs alone would be 4 MiB.
        assert!(grown < 2 << 20, "{} KiB more", grown >> 10);
    });
}

/// Answers at once, with nothing, and remembers nothing.
#[derive(Clone)]
struct Silent;

impl tower_service::Service<Request<Bytes>> for Silent {
    type Response = http::Response<super::service::Chunks>;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Self::Response, std::io::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), std::io::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        std::future::ready(Ok(http::Response::default()))
    }
}

#[test]
fn an_item_tells_how_long_it_waited_and_took() {
    crate::support::watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let service = tower::service_fn(|_: Request<Bytes>| async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                Ok::<_, std::io::Error>(http::Response::new(super::service::Chunks::default()))
            });
            let fetches = Fetcher::new(service)
                .per_host(1)
                .fetch_all(["http://h/", "http://h/"]);
            let times: Vec<_> = fetches
                .map(|fetched| (fetched.waited.as_secs(), fetched.took.as_secs()))
                .collect()
                .await;
            assert_eq!(times, [(0, 3), (3, 3)]);
        });
    });
}
