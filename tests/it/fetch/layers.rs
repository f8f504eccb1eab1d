//! Layers of tower between the fetcher and what it asks.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::ready};
use http::Request;
use longshore::fetch::{ErrorKind, Fetcher, Retry};
use tower::{
    ServiceBuilder,
    load_shed::error::Overloaded,
    retry::{
        Policy,
        budget::{Budget, TpsBudget},
    },
};

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
            .backoff(Duration::from_millis(1), Duration::from_millis(2))
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

#[test]
fn a_limit_on_the_rate_holds_behind_a_buffer() {
    crate::support::watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let second = Duration::from_secs(1);
            let service = ServiceBuilder::new()
                .buffer(4)
                .rate_limit(3, second)
                .service(Stage::open());
            let begun = tokio::time::Instant::now();
            let fetches = Fetcher::new(service).concurrency(8).fetch_all(ITEMS);
            assert_eq!(
                fetches
                    .filter(|one| ready(one.result.is_ok()))
                    .count()
                    .await,
                12
            );
            assert!(begun.elapsed() >= 3 * second, "{:?}", begun.elapsed());
        });
    });
}

/// As often as there are tokens: tower's own retries, with tower's own budget.
#[derive(Clone)]
struct Again(Arc<TpsBudget>);

impl<R> Policy<Request<Bytes>, R, std::io::Error> for Again {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Bytes>,
        result: &mut Result<R, std::io::Error>,
    ) -> Option<Self::Future> {
        (result.is_err() && self.0.withdraw()).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        Some(request.clone())
    }
}

#[test]
fn retries_may_also_be_a_layer() {
    on_both(|| async {
        let stage = Stage::open();
        // Two a second for ten seconds, in reserve.
        let budget = Arc::new(TpsBudget::new(Duration::from_secs(10), 2, 0.0));
        let service = ServiceBuilder::new()
            .retry(Again(budget))
            .service(stage.clone());
        let fetcher = Fetcher::new(service);
        let fetched = fetcher
            .fetch_all(["http://host/fail"])
            .next()
            .await
            .unwrap();
        // The fetcher sees one attempt: it is the layer's business.
        assert!(fetched.result.is_err() && fetched.attempts == 1);
        assert_eq!(stage.asked().len(), 21);
    });
}

#[test]
fn a_service_may_be_in_a_box() {
    on_both(|| async {
        let service = tower::util::BoxCloneService::new(Stage::open());
        let fetched = Fetcher::new(service)
            .fetch_all(["http://host/1"])
            .next()
            .await;
        assert_eq!(super::told(&fetched.unwrap()).unwrap(), "/1");
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
