//! H13 to H15, end to end. The tables are in the source, beside the rules.

use std::{sync::Arc, time::Instant};

use http::{HeaderName, HeaderValue};
use longshore::ureq::{Body, Client, ErrorKind};

use super::{
    client, config,
    peer::{Asked, Peer, redirect, response},
};
use crate::{
    agent::peers::{self, Authority},
    support::{AT_ONCE, Place, is_as_new},
};

/// Leads from `/start/page` to where `to` says, and answers everything else.
fn leading(status: &'static str, to: impl Into<String>) -> Peer {
    let to = to.into();
    Peer::answering(move |asked: &Asked| {
        if asked.line.contains(" /start/page") {
            redirect(status, &to)
        } else {
            response("200 OK", "arrived")
        }
    })
}

everywhere! {
    async fn a_redirect_is_followed_over_the_same_connection(place: Place) {
        let peer = leading("302 Found", "../next?a=b");
        let (client, lane) = client(place, 1);
        let answer = client.get(peer.url("/start/page?old=1")).send().await.unwrap();
        assert_eq!(answer.url().to_string(), peer.url("/next?a=b"));
        assert_eq!(answer.redirects(), 1);
        assert_eq!(answer.text().await.unwrap(), "arrived");
        assert_eq!(peer.connections(), 1);
        assert_eq!(lane.stats().submitted, 1, "all hops are one job");
        is_as_new(&lane).await;
    }

    /// H13.
    async fn a_loop_ends_at_the_limit(place: Place) {
        let peer = leading("302 Found", "/start/page");
        let (client, _) = client(place, 1);
        let error = client.get(peer.url("/start/page?key=canary")).send().await.unwrap_err();
        assert!(error.is_redirect() && !error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains("limit of 10"), "{error}");
        assert_eq!(peer.asked().len(), 11);
        let client = client.max_redirects(0);
        let answer = client.get(peer.url("/start/page")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.redirects()), (302, 0));
        assert_eq!(answer.text().await.unwrap(), "moved");
    }

    /// H13, G: never a panic, and nothing is asked of anybody.
    async fn a_location_that_leads_nowhere_is_an_error(place: Place) {
        for to in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://127.0.0.1:99999/",
            "http://user:canary@127.0.0.1/",
            "http://",
            "http:///",
        ] {
            let peer = leading("302 Found", to);
            let (client, _) = client(place, 1);
            let error = client.get(peer.url("/start/page")).send().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Redirect, "{to}: {error:?}");
            assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
            assert_eq!(peer.asked().len(), 1, "{to}");
        }
        let peer = Peer::answering(|_| response("302 Found", ""));
        let (client, _) = client(place, 1);
        let error = client.get(peer.url("/")).send().await.unwrap_err();
        assert!(error.to_string().contains("without a `Location`"), "{error}");
    }

    /// H13. What could not be asked for in the first place cannot be led to either. The request was made,
    /// though, and what is wrong is not the request.
    async fn a_location_that_cannot_be_asked_for_is_a_redirect_that_is_not_followed(place: Place) {
        let peer = leading("302 Found", format!("/{}", "x".repeat(40_000)));
        let (client, lane) = client(place, 1);
        let error = client.get(peer.url("/start/page")).send().await.unwrap_err();
        assert!(error.is_redirect() && error.sent() && error.received(), "{error:?}");
        assert!(error.to_string().contains("output_buffer_size"), "{error}");
        assert_eq!(peer.asked().len(), 1);
        is_as_new(&lane).await;

        let authority = Authority::new();
        let other = Arc::new(Peer::answering(|_| response("200 OK", "open to all")));
        let to = other.url("/");
        let peer = peers::Peer::with_tls(&authority, move |conn| {
            conn.request()?;
            conn.send(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))
        });
        let config = config().tls_config(authority.trusted()).https_only(true).build();
        let client = Client::new(lane.clone(), longshore::ureq::agent(config));
        let client = client.allow_downgrade(true);
        let error = client.get(peer.url("/")).send().await.unwrap_err();
        assert!(error.is_redirect() && error.sent() && error.received(), "{error:?}");
        assert!(error.to_string().contains("https_only"), "{error}");
        assert_eq!(other.connections(), 0);
        is_as_new(&lane).await;
    }

    /// H14. Another port is another origin.
    async fn secrets_stay_with_their_origin(place: Place) {
        let other = Arc::new(Peer::answering(|_| response("200 OK", "other")));
        let peer = leading("302 Found", other.url("/elsewhere"));
        let (client, _) = client(place, 1);
        let client = client.sensitive_headers([HeaderName::from_static("x-api-key")]);
        let mut marked = HeaderValue::from_static("canary");
        marked.set_sensitive(true);
        let call = client
            .get(peer.url("/start/page"))
            .header("authorization", "canary")
            .header("cookie", "canary")
            .header("proxy-authorization", "canary")
            .header("x-api-key", "canary")
            .header("x-marked", marked)
            .header("x-open", "seen")
            .send();
        assert_eq!(call.await.unwrap().text().await.unwrap(), "other");
        let there = &peer.asked()[0];
        let elsewhere = &other.asked()[0];
        for name in ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-marked"] {
            assert_eq!(there.header(name), Some("canary"), "{name}");
            assert_eq!(elsewhere.header(name), None, "{name}");
        }
        assert_eq!(elsewhere.header("x-open"), Some("seen"));
        assert_eq!(elsewhere.header("host"), other.url("").strip_prefix("http://"));
    }

    /// H15.
    async fn a_body_goes_along_where_it_should_and_can(place: Place) {
        for (status, method, body) in [
            ("301 Moved Permanently", "GET", &b""[..]),
            ("302 Found", "GET", b""),
            ("303 See Other", "GET", b""),
            ("307 Temporary Redirect", "POST", b"data"),
            ("308 Permanent Redirect", "POST", b"data"),
        ] {
            let peer = leading(status, "/next");
            let (client, lane) = client(place, 1);
            let call = client.post(peer.url("/start/page")).content_type("text/plain").body("data");
            assert_eq!(call.send().await.unwrap().status(), 200);
            let asked = peer.asked();
            assert_eq!(asked[0].body, b"data");
            assert_eq!(asked[1].line, format!("{method} /next HTTP/1.1"), "{status}");
            assert_eq!(asked[1].body, body, "{status}");
            let described = asked[1].header("content-type").is_some();
            assert_eq!(described, method == "POST", "{status}");

            let once = Body::reader(&b"data"[..]);
            let call = client.post(peer.url("/start/page")).body(once).send().await;
            if method == "GET" {
                assert_eq!(call.unwrap().status(), 200);
            } else {
                let error = call.unwrap_err();
                assert!(error.is_redirect() && !error.is_retryable(), "{error:?}");
            }
            is_as_new(&lane).await;
        }
    }

    /// H1. Nobody wants that body, and there is no deadline to end the wait for it.
    async fn a_redirect_whose_body_does_not_come_is_followed_all_the_same(place: Place) {
        let (length, chunked) = ("Content-Length: 10000", "Transfer-Encoding: chunked");
        for (version, framing, then) in [
            ("1.1", length, ""),
            ("1.1", chunked, ""),
            // Its connection is its end, whatever it says.
            ("1.0", chunked, ""),
            ("1.1", length, "."),
            ("1.1", chunked, "1\r\n.\r\n"),
            // One digit after the other, and never a chunk.
            ("1.1", chunked, "0"),
        ] {
            let peer = peers::Peer::new(move |conn| {
                while let Some(request) = conn.request()? {
                    if request.target() == "/new" {
                        conn.reply("arrived")?;
                        continue;
                    }
                    conn.send(format!("HTTP/{version} 302 Found\r\nLocation: /new\r\n{framing}\r\n\r\n"))?;
                    while !then.is_empty() {
                        conn.send(then)?;
                        conn.linger();
                    }
                }
                Ok(())
            });
            let (client, lane) = client(place, 1);
            let begun = Instant::now();
            let answer = client.get(peer.url("/old")).send().await.unwrap();
            let took = begun.elapsed();
            assert!(took < AT_ONCE, "{version}, {framing}, {then:?}: {took:?}");
            assert_eq!(answer.text().await.unwrap(), "arrived");
            assert_eq!(peer.connections(), 2);
            is_as_new(&lane).await;
        }
    }

    /// It is due, and a connection is worth more than that little time.
    async fn a_redirect_whose_body_follows_its_head_leaves_its_connection(place: Place) {
        for body in ["Content-Length: 5\r\n\r\n|moved", "Transfer-Encoding: chunked\r\n\r\n|5\r\nmoved\r\n0\r\n\r\n"] {
            // On a machine that is busy it may be too late for once.
            for tries in 1.. {
                let peer = peers::Peer::new(move |conn| {
                    while let Some(request) = conn.request()? {
                        if request.target() == "/new" {
                            conn.reply("arrived")?;
                            continue;
                        }
                        let (framing, body) = body.split_once('|').unwrap();
                        conn.send(format!("HTTP/1.1 302 Found\r\nLocation: /new\r\n{framing}"))?;
                        // Not in one piece, and well within the time that the client has for it.
                        conn.linger();
                        conn.send(body)?;
                    }
                    Ok(())
                });
                let (client, lane) = client(place, 1);
                let answer = client.get(peer.url("/old")).send().await.unwrap();
                assert_eq!(answer.text().await.unwrap(), "arrived");
                is_as_new(&lane).await;
                if peer.connections() == 1 {
                    break;
                }
                assert!(tries < 20, "{body}");
            }
        }
    }
}
