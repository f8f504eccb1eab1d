//! How many at once, and how large.

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::{Request, Response};
use longshore::fetch::{ErrorKind, Fetcher};

use super::{
    on_both,
    service::{Chunks, Stage},
};

#[test]
fn no_more_calls_than_said_are_in_flight() {
    on_both(|| async {
        let stage = Stage::closed();
        let items: Vec<_> = (0..40).map(|n| format!("http://host{n}/")).collect();
        let mut fetches = Fetcher::new(stage.clone()).concurrency(7).fetch_all(&items);
        for _ in 0..40 {
            assert!(fetches.next().now_or_never().is_none());
            assert!(stage.inside() <= 7);
            stage.let_through(1);
            assert!(fetches.next().await.unwrap().result.is_ok());
        }
        assert_eq!((stage.peak(), stage.inside()), (7, 0));
    });
}

#[test]
fn a_host_that_is_full_holds_nobody_else_up() {
    on_both(|| async {
        let stage = Stage::closed();
        let fetcher = Fetcher::new(stage.clone()).concurrency(8).per_host(2);
        let mut items = vec!["http://busy/".to_owned(); 10];
        items.extend((0..4).map(|n| format!("http://other{n}/{n}")));
        let mut fetches = fetcher.fetch_all(items);
        let progress = fetches.progress();
        assert!(fetches.next().now_or_never().is_none());
        // Two of the busy host, and one of each other behind.
        assert_eq!((stage.inside(), progress.counts().held), (6, 8));
        stage.open_up();
        assert_eq!(fetches.by_ref().count().await, 14);
        assert_eq!(progress.counts().held, 0);
    });
}

#[test]
fn a_host_is_counted_however_it_is_written() {
    on_both(|| async {
        let stage = Stage::closed();
        let fetcher = Fetcher::new(stage.clone()).per_host(1);
        let items = [
            "http://host/",
            "http://HOST:80/",
            "http://host:080/",
            "http://host:/",
            "http://host./",
            "http://u:p@host/",
            "http://host:81/",
        ];
        let mut fetches = fetcher.fetch_all(items);
        assert!(fetches.next().now_or_never().is_none());
        assert_eq!(stage.inside(), 2);
    });
}

#[test]
fn a_body_is_no_larger_than_it_may_be() {
    on_both(|| async {
        let service = tower::service_fn(|request: Request<Bytes>| async move {
            let chunks: usize = request.uri().path()[1..].parse().unwrap();
            let chunks = vec![Bytes::from_static(b"1234"); chunks];
            Ok::<_, std::io::Error>(Response::new(Chunks(chunks.into())))
        });
        let fetcher = Fetcher::new(service).body_limit(8);
        let items = [
            "http://h/0",
            "http://h/1",
            "http://h/2",
            "http://h/3",
            "http://h/100000",
        ];
        let fetches = fetcher.fetch_all(items);
        let progress = fetches.progress();
        let all: Vec<_> = fetches.ordered().collect().await;
        let lengths: Vec<_> = all
            .iter()
            .map(|fetched| {
                fetched
                    .result
                    .as_ref()
                    .ok()
                    .map(|response| response.body().len())
            })
            .collect();
        assert_eq!(lengths, [Some(0), Some(4), Some(8), None, None]);
        for fetched in &all[3..] {
            let error = fetched.result.as_ref().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::TooLarge { limit: 8, .. }));
            assert!(error.is_too_large());
        }
        // The last one was left where it was too much, and not read to its end.
        assert_eq!(progress.counts().bytes, 4 + 8 + 12 + 12);
    });
}
