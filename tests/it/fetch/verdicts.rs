//! What is made of an outcome: of one that was wanted, of one that is another request's, and of one
//! that ends half-way through its answer. Over the offloaded client.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture};
use http::{Request, Response};
use longshore::{
    CancelToken, Lane,
    fetch::{Fetcher, Retry},
    ureq::{Client, ClientService, Error, ResponseBody},
};
use tokio::net::TcpSocket;
use tower_service::Service;

use super::{clients, on_both};
use crate::http::peer::{Connection, Peer, response};

/// Quick, and out of a budget that nothing here exhausts.
fn policy(attempts: u32) -> Retry {
    Retry::new(attempts)
        .backoff(Duration::from_millis(1), Duration::from_millis(2))
        .budget(100, 0)
}

/// An address that nobody listens at, nor can as long as the socket is there.
fn nobody() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    (format!("http://{}/", socket.local_addr().unwrap()), socket)
}

#[test]
fn what_was_cancelled_on_purpose_is_not_tried_again() {
    on_both(|| async {
        let token = CancelToken::new();
        token.cancel();
        let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
        let lane = Lane::builder("cancelled").limit(2).build();
        let client = Client::new(lane.cancelled_by(&token), agent);
        let (place, _socket) = nobody();
        for retry in [policy(5), policy(5).idempotent()] {
            let fetcher = Fetcher::new(client.service()).retry(retry);
            let fetched = fetcher.fetch_all([&place]).next().await.unwrap();
            assert_eq!(fetched.attempts, 1, "{:?}", fetched.result);
        }
    });
}

/// Makes a second call for each request once the first was answered, as what follows redirects or
/// fetches a token does.
#[derive(Clone)]
struct Twice {
    inner: ClientService,
    then: String,
}

impl Service<Request<Bytes>> for Twice {
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<ResponseBody>, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Service::<Request<Bytes>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let first = self.inner.call(request);
        let mut inner = self.inner.clone();
        let second = Request::get(&self.then).body(Bytes::new()).unwrap();
        Box::pin(async move {
            first.await?;
            poll_fn(|cx| Service::<Request<Bytes>>::poll_ready(&mut inner, cx)).await?;
            inner.call(second).await
        })
    }
}

/// K21.
#[test]
fn what_is_known_of_another_request_says_nothing_of_this_one() {
    on_both(|| async {
        let peer = Peer::answering(|_| response("201 Created", ""));
        let (then, _socket) = nobody();
        let service = Twice {
            inner: clients::offloaded(),
            then,
        };
        let fetcher = Fetcher::new(service).retry(policy(3));
        let post = Request::post(peer.url("/")).body("once").unwrap();
        let fetched = fetcher.fetch_all([post]).next().await.unwrap();
        assert!(fetched.result.is_err());
        assert_eq!((fetched.attempts, peer.asked().len()), (1, 1));
    });
}

#[test]
fn a_refusal_is_known_however_the_url_was_written() {
    on_both(|| async {
        let fetcher = Fetcher::new(clients::offloaded()).retry(policy(3));
        let (place, _socket) = nobody();
        let port = place.trim_end_matches('/').rsplit(':').next().unwrap();
        for url in [
            place.clone(),
            format!("http://LocalHost:0{port}?a=b"),
            format!("HTTP://localhost:{port}/%20/c?d"),
        ] {
            let post = Request::post(&url).body("once").unwrap();
            let fetched = fetcher.fetch_all([post]).next().await.unwrap();
            assert_eq!(fetched.attempts, 3, "{url}: {:?}", fetched.result);
        }
    });
}

#[test]
fn a_server_that_said_when_is_obeyed_though_the_rest_of_its_answer_never_came() {
    on_both(|| async {
        let asked = Arc::new(AtomicU32::new(0));
        let theirs = asked.clone();
        let peer = Peer::new(move |connection: &mut Connection| {
            while connection.request()?.is_some() {
                if theirs.fetch_add(1, Ordering::SeqCst) > 0 {
                    connection.send(response("200 OK", "done"))?;
                    continue;
                }
                let head = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 9\r\n\r\n";
                connection.send(format!("{head}half"))?;
                return Ok(());
            }
            Ok(())
        });
        let fetcher = Fetcher::new(clients::offloaded()).retry(policy(2).idempotent());
        let fetched = fetcher.fetch_all([peer.url("/")]).next().await.unwrap();
        assert_eq!(fetched.result.unwrap().body(), "done");
        assert_eq!((fetched.attempts, asked.load(Ordering::SeqCst)), (2, 2));
        assert!(fetched.took >= Duration::from_secs(1), "{:?}", fetched.took);
        // One that asks for more than anybody waits is not asked again at all.
        let fetcher = Fetcher::new(clients::offloaded())
            .retry(policy(2).idempotent().max_wait(Duration::ZERO));
        asked.store(0, Ordering::SeqCst);
        let fetched = fetcher.fetch_all([peer.url("/")]).next().await.unwrap();
        assert_eq!((fetched.attempts, asked.load(Ordering::SeqCst)), (1, 1));
    });
}
