//! One suite, over the offloaded client and over a native one.

use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::{Method, Request, Response};
use longshore::fetch::{ErrorKind, Fetcher};
use tower_service::Service;

use super::{all_of, told};
use crate::{
    http::peer::{Connection, Peer, response, with_headers},
    support::{AT_ONCE, Flavour, eventually, watched},
};

/// Blocking ureq, in a lane.
pub(super) fn offloaded() -> longshore::ureq::ClientService {
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    let lane = longshore::Lane::builder("fetch").limit(8).build();
    longshore::ureq::Client::new(lane, agent).service()
}

/// reqwest.
#[cfg(feature = "cli")]
pub(super) fn native()
-> impl Service<Request<Bytes>, Response = Response<reqwest::Body>, Error = reqwest::Error, Future: Send>
+ Clone
+ Send
+ 'static {
    // Without one there is no client; another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    tower::service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request)?;
            let response = client.execute(request).await;
            Ok(Response::from(
                response.map_err(reqwest::Error::without_url)?,
            ))
        }
    })
}

/// Makes two tests of each function, whose argument makes a fetcher.
macro_rules! over_both {
    ($( $(#[$meta:meta])* async fn $name:ident($fetcher:ident) $body:block )*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            #[test]
            fn offloaded() {
                watched(|| Flavour::CurrentThread.runtime().block_on(async {
                    let $fetcher = Fetcher::new(super::offloaded());
                    $body
                }));
            }

            #[cfg(feature = "cli")]
            #[test]
            fn native() {
                watched(|| Flavour::CurrentThread.runtime().block_on(async {
                    let $fetcher = Fetcher::new(super::native());
                    $body
                }));
            }
        }
    )*};
}

over_both! {
    async fn requests_arrive_and_responses_come_back_as_they_are(fetcher) {
        let peer = Peer::answering(|asked| {
            with_headers("202 Accepted", &[("x-line", &asked.line)], &asked.body)
        });
        let get = Request::get(peer.url("/a?b=c")).header("x-mine", "1").body("").unwrap();
        let post = Request::post(peer.url("/d")).body("text").unwrap();
        let all: Vec<_> = fetcher.fetch_all([get, post]).ordered().collect().await;
        let [first, second] = &all[..] else { panic!("{all:?}") };
        let first = first.result.as_ref().unwrap();
        assert_eq!(first.status(), 202);
        assert_eq!(first.headers()["x-line"], "GET /a?b=c HTTP/1.1");
        assert_eq!(second.result.as_ref().unwrap().body(), "text");
        let asked = peer.asked();
        let get = asked.iter().find(|asked| asked.line.starts_with("GET")).unwrap();
        assert_eq!(get.header("x-mine"), Some("1"));
        assert!(get.body.is_empty());
    }

    async fn one_bad_url_does_not_hurt_the_others(fetcher) {
        let peer = Peer::new(|connection: &mut Connection| {
            while let Some(asked) = connection.request()? {
                if asked.line.contains("/breaks") {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
                    return Ok(());
                }
                connection.send(response("200 OK", &asked.line))?;
            }
            Ok(())
        });
        let items = [
            peer.url("/1"),
            "http://127.0.0.1:1/refused".to_owned(),
            "http://127.0.0.1:99999/".to_owned(),
            "not a URL".to_owned(),
            peer.url("/breaks"),
            peer.url("/6"),
        ];
        let all: Vec<_> = fetcher.fetch_all(&items).ordered().collect().await;
        let kinds: Vec<_> = all
            .iter()
            .map(|fetched| fetched.result.as_ref().err().map(|error| error.kind()))
            .collect();
        let expected = [
            None,
            Some(ErrorKind::Service),
            Some(ErrorKind::Service),
            Some(ErrorKind::BadUrl),
            Some(ErrorKind::Body),
            None,
        ];
        assert_eq!(kinds, expected, "{all:?}");
        assert_eq!(told(&all[5]).unwrap(), "GET /6 HTTP/1.1");
    }

    async fn calls_share_their_connections(fetcher) {
        let peer = Peer::answering(|_| response("200 OK", "x"));
        let items: Vec<_> = (0..60).map(|n| peer.url(&format!("/{n}"))).collect();
        let fetcher = fetcher.per_host(4);
        let all: Vec<_> = fetcher.fetch_all(&items).collect().await;
        assert!(all.iter().all(|fetched| fetched.result.is_ok()), "{all:?}");
        assert_eq!(peer.asked().len(), 60);
        assert!(peer.connections() <= 5, "{} connections", peer.connections());
    }

    /// K4.
    async fn dropping_the_stream_ends_the_calls(fetcher) {
        let peer = Peer::new(|connection: &mut Connection| {
            connection.request()?;
            connection.closed();
            Ok(())
        });
        let items: Vec<_> = (0..6).map(|n| peer.url(&format!("/{n}"))).collect();
        let mut fetches = fetcher.fetch_all(items);
        tokio::select! {
            _ = fetches.next() => panic!("nobody answers"),
            () = eventually("all have come", || peer.open() == 6) => {}
        }
        drop(fetches);
        eventually("all are gone", || peer.open() == 0).await;
    }

    async fn the_time_of_a_call_ends_it(fetcher) {
        let peer = Peer::new(|connection: &mut Connection| {
            let Some(asked) = connection.request()? else { return Ok(()) };
            if asked.line.contains("/body") {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
            }
            connection.closed();
            Ok(())
        });
        let fetcher = fetcher.timeout(Duration::from_millis(100));
        let items = [peer.url("/head"), peer.url("/body")];
        let begun = std::time::Instant::now();
        let all: Vec<_> = fetcher.fetch_all(items).collect().await;
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        for fetched in all {
            let error = fetched.result.unwrap_err();
            assert!(error.is_timeout() && !error.is_batch_timeout(), "{error:?}");
        }
        eventually("all are gone", || peer.open() == 0).await;
    }

    async fn a_body_that_says_that_it_is_too_large_is_not_read(fetcher) {
        let peer = Peer::new(|connection: &mut Connection| {
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")?;
            connection.closed();
            Ok(())
        });
        let fetched = fetcher.fetch_all([peer.url("/")]).next().await.unwrap();
        assert!(fetched.result.unwrap_err().is_too_large());
        eventually("it is gone", || peer.open() == 0).await;
    }

    async fn the_length_that_a_head_speaks_of_is_not_one_of_a_body(fetcher) {
        let peer = Peer::new(|connection: &mut Connection| {
            while connection.request()?.is_some() {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")?;
            }
            Ok(())
        });
        let head = Request::head(peer.url("/")).body(()).unwrap();
        assert_eq!(head.method(), Method::HEAD);
        let fetched = fetcher.fetch_all([head]).next().await.unwrap();
        let response = fetched.result.unwrap();
        assert_eq!((response.status().as_u16(), response.body().len()), (200, 0));
    }

    /// H27.
    async fn what_is_said_of_an_error_holds_no_secret(fetcher) {
        let items = [
            "http://127.0.0.1:1/path?key=canary",
            "http://user:canary@127.0.0.1:1/path",
            "http://user:ca/nary@127.0.0.1:1/path",
            "http://user:can?ary@127.0.0.1:1/path",
            "http://user:can#ary@127.0.0.1:1/path",
            "http://user:canary@ho st/?canary",
            "/path?canary",
        ];
        let mut fetches = fetcher.fetch_all(items);
        let mut events = fetches.progress().events();
        while let Some(fetched) = fetches.next().await {
            let shown = format!("{fetched:?}");
            let error = fetched.result.unwrap_err();
            let text = format!("{shown} {} {}", all_of(&error), error.url());
            for secret in ["canary", ":ca", "nary", "ary@"] {
                assert!(!text.contains(secret), "{text}");
            }
            assert!(text.contains("path") || error.is_bad_url(), "{text}");
        }
        while let Some(Some(event)) = events.next().now_or_never() {
            assert!(!format!("{event:?}").contains("canary"), "{event:?}");
        }
    }
}

/// K1, K4: with the offloaded client the threads are free too.
#[test]
fn dropping_the_stream_frees_the_threads_of_the_offloaded_client() {
    watched(|| {
        Flavour::CurrentThread.runtime().block_on(async {
            let peer = Peer::new(|connection: &mut Connection| {
                connection.request()?;
                connection.closed();
                Ok(())
            });
            let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
            let lane = longshore::Lane::builder("dropped").limit(3).build();
            let client = longshore::ureq::Client::new(lane.clone(), agent);
            // More in flight than there are threads: some wait for room in the lane.
            let fetcher = Fetcher::new(client.service()).concurrency(9);
            let mut fetches = fetcher.fetch_all((0..20).map(|n| peer.url(&format!("/{n}"))));
            tokio::select! {
                _ = fetches.next() => panic!("nobody answers"),
                () = eventually("three run", || lane.stats().running == 3) => {}
            }
            drop(fetches);
            crate::support::is_as_new(&lane).await;
            eventually("all are gone", || peer.open() == 0).await;
            assert!(peer.connections() <= 3);
        });
    });
}
