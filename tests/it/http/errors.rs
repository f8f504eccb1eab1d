//! K20, K21: an error says what happened, with whom and how far it had come, and no secret.

use std::{error::Error as _, io};

use longshore::ureq::{Body, Client, Error, ErrorKind, Part};

use super::{
    agent, client, config,
    peer::{Peer, redirect, response},
};
use crate::{
    agent::peers::{self, Closed},
    support::{Place, is_as_new},
};

/// Everything that is said of an error, anywhere.
fn all_of(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

everywhere! {
    /// H19.
    async fn a_refused_connection_may_be_tried_again(place: Place) {
        let closed = Closed::new();
        let address = closed.address();
        let (client, lane) = client(place, 1);
        let error = client.post(format!("http://{address}/p?q=1")).body("x").send().await;
        let error = error.unwrap_err();
        assert!(error.is_connect() && error.is_retryable(), "{error:?}");
        assert!(!error.sent() && !error.received());
        assert_eq!(error.url(), Some(&*format!("http://{address}/p")));
        assert!(error.source().unwrap().downcast_ref::<ureq::Error>().is_some());
        is_as_new(&lane).await;
    }

    /// H4, I. And it is asked once.
    async fn a_peer_that_closes_is_not_asked_again(place: Place) {
        let peer = Peer::new(|connection| connection.request().map(drop));
        let (client, lane) = client(place, 1);
        let error = client.post(peer.url("/")).body("x").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PeerClosed, "{error:?}");
        assert!(error.sent() && !error.is_retryable(), "{error:?}");
        assert_eq!(peer.connections(), 1);
        is_as_new(&lane).await;
    }

    /// H7, H8, H12, H22.
    async fn what_is_not_http_is_a_protocol_error(place: Place) {
        for reply in [
            &b"SSH-2.0-nothing\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ] {
            let peer = Peer::new(move |connection| {
                connection.request()?;
                connection.send(reply)?;
                connection.closed();
                Ok(())
            });
            let (client, lane) = client(place, 1);
            let told = match client.get(peer.url("/")).send().await {
                Ok(response) => response.bytes().await.map(drop),
                Err(error) => Err(error),
            };
            let error = told.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
            assert!(!error.is_retryable());
            is_as_new(&lane).await;
        }
    }

    /// H9.
    async fn a_head_is_no_larger_than_it_may_be(place: Place) {
        let many = "A: b\r\n".repeat(20_000);
        let long = format!("A: {}\r\n", "b".repeat(1 << 20));
        for headers in [many, long] {
            let peer = Peer::new(move |connection| {
                connection.request()?;
                connection.send("HTTP/1.1 200 OK\r\n")?;
                connection.send(&headers)?;
                connection.closed();
                Ok(())
            });
            let (client, lane) = client(place, 1);
            let error = client.get(peer.url("/")).send().await.unwrap_err();
            let ErrorKind::TooLarge { part, limit, .. } = error.kind() else {
                panic!("{error:?}");
            };
            assert_eq!((part, limit), (Part::Head, 64 << 10));
            is_as_new(&lane).await;
        }
    }

    /// H9, H12. What is told is the setting, not how much there was room for.
    async fn a_head_that_comes_for_leave_is_no_larger_than_it_may_be(place: Place) {
        let endless = format!("HTTP/1.1 100 {}", "x".repeat(256 << 10));
        let peer = Peer::new(move |connection| {
            connection.head()?;
            connection.send(&endless)?;
            connection.closed();
            Ok(())
        });
        let lane = place.lane(1);
        let config = config().timeout_await_100(None).max_response_header_size(32 << 10);
        let client = Client::new(lane.clone(), longshore::ureq::agent(config.build()));
        let post = client.post(peer.url("/")).header("expect", "100-continue");
        let error = post.body("the body").send().await.unwrap_err();
        let ErrorKind::TooLarge { part, limit, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!((part, limit), (Part::Head, 32 << 10));
        is_as_new(&lane).await;
    }

    /// H12.
    async fn what_comes_before_a_head_has_an_end(place: Place) {
        let again = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(100);
        let peer = Peer::new(move |connection| {
            connection.request()?;
            loop {
                connection.send(&again)?;
            }
        });
        // Else ureq may take what comes for one head.
        let config = config().max_response_header_size(16 << 20);
        let lane = place.lane(1);
        let client = Client::new(lane.clone(), longshore::ureq::agent(config.build()));
        let error = client.get(peer.url("/")).send().await.unwrap_err();
        let ErrorKind::TooLarge { part, limit, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!((part, limit), (Part::Head, 1 << 20));
        assert!(error.sent() && error.received() && !error.is_retryable(), "{error:?}");
        is_as_new(&lane).await;
    }

    /// H23, G. Nobody is asked anything.
    async fn a_request_that_is_wrong_is_not_made(place: Place) {
        let peer = Peer::answering(|_| response("200 OK", ""));
        let (client, lane) = client(place, 1);
        let url = peer.url("/");
        let good = || client.post(&url);
        for (call, word) in [
            (client.get("/relative").send(), "absolute"),
            (client.get("http://host:99999/").send(), "65535"),
            (client.get("ftp://host/").send(), "`ftp`"),
            (client.get("http://u:canary@host/").send(), "Authorization"),
            (client.get("http://ho st/").send(), "URL"),
            (client.get("").send(), "URL"),
            (good().header("x-bad", "a\r\nb: c").send(), "`x-bad`"),
            (good().header("x bad", "a").send(), "header"),
            (good().header("x-nul", "a\0").send(), "`x-nul`"),
            (good().header("x-long", vec![b'x'; 1 << 20]).send(), "output_buffer_size"),
            (good().header("content-length", "7").body("four").send(), "says 7"),
            (good().body(Body::from("four").with_length(7)).send(), "says 7"),
            (client.request(http::Method::CONNECT, &url).send(), "CONNECT"),
        ] {
            let error = call.await.unwrap_err();
            assert!(error.is_request() && !error.is_retryable(), "{error:?}");
            assert!(error.to_string().contains(word), "{word}: {error}");
            assert!(!error.sent());
            assert!(!all_of(&error).contains("canary"), "{error:?}");
        }
        assert_eq!((peer.connections(), lane.stats().submitted), (0, 0));
    }

    /// H27.
    async fn no_error_tells_a_secret(place: Place) {
        let closing = Peer::new(|connection| connection.request().map(drop));
        let (client, _) = client(place, 1);
        let https = Client::new(client.lane().clone(), longshore::ureq::agent(config().https_only(true).build()));
        let failing = || Body::stream(futures::stream::iter([Err::<&str, _>(io::Error::other("x"))]));
        // Through proxies that refuse, with a password; to a peer that is not trusted; by an agent of
        // ureq's own; and to where a redirect leads.
        let refusing = peers::Peer::new(peers::connect_proxy(peers::Manners::Refuses));
        let closed = Closed::new();
        let socks = closed.address();
        let via = |proxy: String| {
            let proxy = Some(ureq::Proxy::new(&proxy).unwrap());
            longshore::ureq::agent(config().proxy(proxy).build())
        };
        let theirs = peers::Authority::new();
        let untrusted = peers::Peer::with_tls(&theirs, peers::site);
        let leading = Peer::answering(|_| redirect("302 Found", "http://127.0.0.1:1/p?canary"));
        let of_agent = |agent| Client::new(client.lane().clone(), agent);
        let proxied = of_agent(via(format!("http://canary:canary@127.0.0.1:{}", refusing.port())));
        let socksed = of_agent(via(format!("socks5://canary:canary@{socks}")));
        let stock = of_agent(ureq::Agent::config_builder().proxy(None).build().new_agent());
        for call in [
            proxied.get(closing.url("/p?canary")),
            socksed.get(closing.url("/p?canary")),
            stock.get(closing.url("/p?canary")),
            client.get(untrusted.url("/p?canary")),
            client.get(leading.url("/p?canary")),
            client.get(closing.url("/p?key=canary")).query("k", "canary"),
            client.get("http://canary:canary@host/?canary"),
            client.get("http://127.0.0.1:1/?canary"),
            client.get("http://127.0.0.1:123456/?canary"),
            client.post(closing.url("/p?canary")).body(failing()),
            https.get(closing.url("/p?canary")),
        ] {
            let call = call.header("authorization", "Bearer canary").header("x-key", "canary");
            let shown = format!("{call:?}");
            assert!(!shown.contains("canary"), "{shown}");
            let call = call.send();
            let shown = format!("{call:?}");
            assert!(!shown.contains("canary"), "{shown}");
            let error = call.await.unwrap_err();
            assert!(!all_of(&error).contains("canary"), "{error:#?}");
        }
    }

    /// For whoever reads a body by `AsyncRead`.
    async fn an_error_of_a_body_is_one_of_input_and_output_too(place: Place) {
        use tokio::io::AsyncReadExt as _;

        let peer = Peer::new(|connection| {
            let asked = connection.request()?.unwrap_or_default();
            connection.send(match asked.line.split(' ').nth(1) {
                Some("/late") => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                Some("/closed") => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                Some("/garbage") => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                Some("/packed") => {
                    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip."
                }
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
            })?;
            if asked.line.contains("/late") {
                connection.closed();
            }
            Ok(())
        });
        let (client, lane) = client(place, 1);
        for (path, kind) in [
            ("/late", io::ErrorKind::TimedOut),
            ("/closed", io::ErrorKind::UnexpectedEof),
            ("/garbage", io::ErrorKind::InvalidData),
            ("/packed", io::ErrorKind::InvalidData),
            ("/large", io::ErrorKind::Other),
        ] {
            let call = |millis| {
                let call = client.get(peer.url(path)).max_body_size(9);
                match path {
                    "/late" => call.timeout(std::time::Duration::from_millis(millis)).send(),
                    _ => call.send(),
                }
            };
            let mut told = call(300).await;
            // On a machine that is busy there may be no response by then.
            if told.as_ref().is_err_and(Error::is_timeout) {
                told = call(4_000).await;
            }
            let mut body = told.unwrap().stream();
            let error = body.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{path}: {error:?}");
            let inner = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
            assert_eq!(inner.url(), Some(&*peer.url(path)));
        }
        is_as_new(&lane).await;
    }

    /// A middleware that panics does not take the thread with it.
    async fn a_panic_is_an_error(place: Place) {
        let config = config()
            .middleware(|_: http::Request<ureq::SendBody<'_>>, _: ureq::middleware::MiddlewareNext<'_>| {
                panic!("as planned")
            })
            .build();
        let lane = place.lane(1);
        let client = Client::new(lane.clone(), longshore::ureq::agent(config));
        let error = client.get("http://127.0.0.1:1/").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lane);
        let source = error.source().unwrap().downcast_ref::<longshore::Error>();
        assert!(source.unwrap().is_panic());
        assert!(!error.is_retryable());
        is_as_new(&lane).await;
    }
}

#[test]
fn the_types_can_be_sent_and_shared() {
    fn all<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    fn sent<T: Send + Unpin + std::fmt::Debug + 'static>() {}
    all::<Client>();
    all::<Error>();
    all::<longshore::ureq::Response>();
    all::<longshore::ureq::ResponseBody>();
    #[cfg(feature = "tower")]
    all::<longshore::ureq::ClientService>();
    // What a user streams need not be shared.
    sent::<longshore::ureq::ResponseFuture>();
    sent::<longshore::ureq::RequestBuilder>();
    sent::<Body>();
    let _ = agent();
}
