//! Results in the order of the items, where one of the items takes its time.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::{Request, Response};
use longshore::fetch::Fetcher;
use tokio::{sync::Semaphore, time::sleep};

use super::{on_both, service::Chunks, times::paused};

#[test]
fn calls_go_on_while_what_was_kept_is_given_out() {
    paused(|| async {
        let service = tower::service_fn(|request: Request<Bytes>| async move {
            let steps: &[u64] = match request.uri().path() {
                "/0" => &[3000],
                // In two steps: it has to be polled between them.
                "/21" => &[1000, 1000],
                _ => &[100],
            };
            for &step in steps {
                sleep(Duration::from_millis(step)).await;
            }
            Ok::<_, io::Error>(Response::new(Chunks::default()))
        });
        let fetcher = Fetcher::new(service)
            .concurrency(2)
            .look_ahead(20)
            .timeout(Duration::from_secs(5));
        let items = (0..22).map(|n| format!("http://host/{n}"));
        let mut fetches = fetcher.fetch_all(items).ordered();
        let mut given = 0;
        while let Some(fetched) = fetches.next().await {
            assert_eq!(fetched.index, given);
            assert!(fetched.result.is_ok(), "{fetched:?}");
            given += 1;
            // Whoever takes them is in no hurry, but comes.
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(given, 22);
    });
}

#[test]
fn behind_a_slow_item_no_more_is_kept_than_is_said() {
    on_both(|| async {
        let (gate, taken) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (door, counted) = (gate.clone(), taken.clone());
        let service = tower::service_fn(move |request: Request<Bytes>| {
            let gate = door.clone();
            async move {
                if request.uri().path() == "/0" {
                    gate.acquire().await.map_err(io::Error::other)?.forget();
                }
                Ok::<_, io::Error>(Response::new(Chunks::default()))
            }
        });
        let items = (0_usize..).map(move |n| {
            counted.fetch_add(1, Ordering::SeqCst);
            format!("http://host/{n}")
        });
        let fetcher = Fetcher::new(service).concurrency(4).look_ahead(8);
        let mut fetches = fetcher.fetch_all(items).ordered();
        let progress = fetches.progress();
        for _ in 0..100 {
            assert!(fetches.next().now_or_never().is_none());
        }
        // The slow one, and eleven that are over and wait for it.
        assert_eq!(taken.load(Ordering::SeqCst), 12);
        assert_eq!(
            (progress.counts().in_flight, progress.counts().done()),
            (1, 11)
        );
        gate.add_permits(1);
        for index in 0..50 {
            assert_eq!(fetches.next().await.unwrap().index, index);
            let ahead = taken.load(Ordering::SeqCst) - index;
            assert!(ahead <= 12, "{ahead} taken and not given out");
        }
    });
}

/// Also where it is what a runtime waits for: nothing but the budget tells the turns of that apart.
#[test]
fn giving_out_in_order_keeps_no_other_task_waiting() {
    crate::support::watched(|| {
        let runtime = crate::support::Flavour::CurrentThread.runtime();
        runtime.block_on(async {
            let service = tower::service_fn(|_: Request<Bytes>| {
                std::future::ready(Ok::<_, io::Error>(Response::new(Chunks::default())))
            });
            let other = tokio::spawn(async {});
            let mut fetches = Fetcher::new(service)
                .fetch_all(vec!["http://host/"; 100_000])
                .ordered();
            let mut given = 0;
            while !other.is_finished() {
                assert_eq!(fetches.next().await.unwrap().index, given);
                given += 1;
            }
            // What one turn of Tokio's allows.
            assert!(given <= 128, "{given} before the other had a turn");
        });
    });
}

#[test]
fn giving_out_what_was_kept_keeps_no_other_task_waiting() {
    crate::support::watched(|| {
        let runtime = crate::support::Flavour::CurrentThread.runtime();
        runtime.block_on(async {
            let gate = Arc::new(Semaphore::new(0));
            let door = gate.clone();
            let service = tower::service_fn(move |request: Request<Bytes>| {
                let gate = door.clone();
                async move {
                    if request.uri().path() == "/0" {
                        let _ = gate.acquire().await;
                    }
                    Ok::<_, io::Error>(Response::new(Chunks::default()))
                }
            });
            let items = (0..300).map(|n| format!("http://host/{n}"));
            let mut fetches = Fetcher::new(service).fetch_all(items).ordered();
            let progress = fetches.progress();
            while progress.counts().done() < 299 {
                assert!(fetches.next().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            gate.close();
            let other = tokio::spawn(async {});
            for index in 0..300 {
                assert_eq!(fetches.next().await.unwrap().index, index);
            }
            assert!(other.is_finished());
        });
    });
}
