//! Layers of tower between the fetcher and what it asks.

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::Request;
use longshore::fetch::{ErrorKind, Fetcher, Retry};
use tower::{ServiceBuilder, load_shed::error::Overloaded};

use super::{on_both, service::Stage};

const ITEMS: [&str; 12] = ["http://host/"; 12];

#[test]
fn a_limit_below_the_fetcher_holds() {
    on_both(|| async {
        let stage = Stage::closed();
        let service = ServiceBuilder::new()
            .concurrency_limit(3)
            .service(stage.clone());
        let mut fetches = Fetcher::new(service).concurrency(8).fetch_all(ITEMS);
        assert!(fetches.next().now_or_never().is_none());
        assert_eq!(stage.inside(), 3);
        stage.open_up();
        assert_eq!(fetches.count().await, 12);
        assert_eq!(stage.peak(), 3);
    });
}

#[test]
fn what_a_layer_refuses_fails_in_its_own_place() {
    on_both(|| async {
        let stage = Stage::closed();
        let service = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(3)
            .service(stage.clone());
        let items = ITEMS.into_iter().take(5);
        let mut fetches = Fetcher::new(service).concurrency(5).fetch_all(items);
        for _ in 0..2 {
            let error = fetches.next().await.unwrap().result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Service);
            let source = std::error::Error::source(&error).unwrap();
            assert!(source.is::<Overloaded>(), "{source:?}");
        }
        stage.open_up();
        let rest: Vec<_> = fetches.collect().await;
        assert!(rest.len() == 3 && rest.iter().all(|fetched| fetched.result.is_ok()));
    });
}

#[test]
fn what_a_layer_refused_can_be_tried_again() {
    on_both(|| async {
        let stage = Stage::open();
        let service = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(1)
            .service(stage.clone());
        let retry = Retry::new(u32::MAX)
            .backoff(
                std::time::Duration::from_millis(1),
                std::time::Duration::from_millis(2),
            )
            .budget(100_000, 0)
            .retry_if(|error| error.is::<Overloaded>());
        let post = || Request::post("http://host/").body("x").unwrap();
        let fetcher = Fetcher::new(service).concurrency(8).retry(retry);
        let fetches = fetcher.fetch_all(std::iter::repeat_with(post).take(20));
        let all: Vec<_> = fetches.collect().await;
        assert!(all.iter().all(|fetched| fetched.result.is_ok()), "{all:?}");
        assert_eq!(stage.asked().len(), 20);
    });
}

#[test]
fn a_layer_sees_every_request_and_every_attempt() {
    on_both(|| async {
        let service = ServiceBuilder::new()
            .map_request(|mut request: Request<Bytes>| {
                let path = format!("http://host/seen{}", request.uri().path());
                *request.uri_mut() = path.parse().unwrap();
                request
            })
            .service(Stage::open());
        let fetched = Fetcher::new(service)
            .fetch_all(["http://host/1"])
            .next()
            .await;
        assert_eq!(super::told(&fetched.unwrap()).unwrap(), "/seen/1");
    });
}

/// With the types of a real client, and what its own body is.
#[cfg(feature = "ureq")]
#[test]
fn layers_stack_on_the_offloaded_client() {
    use crate::http::peer::{Peer, response};

    on_both(|| async {
        let peer = Peer::answering(|asked| response("200 OK", asked.header("x-key").unwrap_or("")));
        let service = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(2)
            .map_request(|mut request: Request<longshore::ureq::Body>| {
                request.headers_mut().insert("x-key", "7".parse().unwrap());
                request
            })
            .service(super::clients::offloaded());
        let fetcher = Fetcher::<_, longshore::ureq::Body>::with_body(service).concurrency(2);
        let all: Vec<_> = fetcher
            .fetch_all([peer.url("/a"), peer.url("/b")])
            .collect()
            .await;
        assert!(
            all.iter().all(|one| super::told(one).as_deref() == Ok("7")),
            "{all:?}"
        );
    });
}
