//! A panic hurts one item, wherever it comes from.

use std::{
    io,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt},
};
use http::{Request, Response};
use longshore::fetch::{ErrorKind, Fetcher, Retry};
use tower_service::Service;

use super::{all_of, on_both, service::Chunks};

/// Panics where the path says.
#[derive(Clone, Default)]
struct Panicking {
    asked: bool,
}

impl Service<Request<Bytes>> for Panicking {
    type Response = Response<Chunks>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Response<Chunks>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.asked = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let path = request.uri().path().to_owned();
        assert_ne!(path, "/call", "as planned");
        async move {
            tokio::task::yield_now().await;
            assert_ne!(path, "/future", "as planned");
            if path == "/fail" {
                return Err(io::Error::other("failed"));
            }
            Ok(Response::new(Chunks::default()))
        }
        .boxed()
    }
}

#[test]
fn a_service_that_panics_hurts_one_item() {
    on_both(|| async {
        // Both that panic are in the way of others of their host.
        let items = [
            "http://one/call",
            "http://one/a",
            "http://two/future",
            "http://two/b",
            "http://one/c",
        ];
        let fetcher = Fetcher::new(Panicking::default()).per_host(1);
        let fetches = fetcher.fetch_all(items);
        let progress = fetches.progress();
        let all: Vec<_> = fetches.ordered().collect().await;
        let ok: Vec<_> = all.iter().map(|fetched| fetched.result.is_ok()).collect();
        assert_eq!(ok, [false, true, false, true, true]);
        for index in [0, 2] {
            let error = all[index].result.as_ref().unwrap_err();
            assert_eq!((error.kind(), error.attempts()), (ErrorKind::Service, 1));
            let source = std::error::Error::source(error).unwrap();
            assert!(
                source
                    .downcast_ref::<longshore::Error>()
                    .unwrap()
                    .is_panic()
            );
            let text = all_of(error);
            assert!(
                text.contains("as planned") && text.contains(file!()),
                "{text}"
            );
        }
        let counts = progress.counts();
        assert_eq!((counts.succeeded, counts.failed), (3, 2));
        assert_eq!((counts.held, counts.in_flight), (0, 0));
    });
}

#[test]
fn so_does_a_policy_that_panics() {
    on_both(|| async {
        let policies = [
            Retry::new(3).idempotent_if(|_| panic!("as planned")),
            Retry::new(3).retry_if(|_| panic!("as planned")),
        ];
        for policy in policies {
            let fetcher = Fetcher::new(Panicking::default()).retry(policy);
            let items = ["http://one/fail", "http://one/a"];
            let all: Vec<_> = fetcher.fetch_all(items).ordered().collect().await;
            let error = all[0].result.as_ref().unwrap_err();
            assert!(all_of(error).contains("as planned"), "{error:?}");
            assert!(all[1].result.is_ok());
        }
    });
}

#[test]
fn a_panic_is_not_tried_again_unless_the_request_was_declared() {
    on_both(|| async {
        let fetcher = Fetcher::new(Panicking::default()).retry(Retry::new(3).retry_if(|_| true));
        let fetched = fetcher.fetch_all(["http://one/call"]).next().await.unwrap();
        assert_eq!(fetched.attempts, 1);
    });
}
