//! K18: an exchange is offloaded whole, and what comes of it is what the server said.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use futures::StreamExt;
use http::{HeaderValue, Method, Request, Version};
use longshore::{
    CancelToken,
    ureq::{Body, Client, ErrorKind, Phase},
};
use ureq::middleware::MiddlewareNext;

use super::{
    agent, client, config,
    peer::{Peer, redirect, response, with_headers},
};
use crate::support::{AT_ONCE, Gate, Place, eventually, is_as_new};

everywhere! {
    /// K18.
    async fn a_response_is_what_the_server_said(place: Place) {
        let peer = Peer::answering(|_| with_headers("201 Created", &[("X-Kind", "good")], "hello"));
        let (client, lane) = client(place, 2);
        let response = client.get(peer.url("/a?b=c")).send().await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.version(), Version::HTTP_11);
        assert_eq!(response.headers()["x-kind"], "good");
        assert_eq!(response.url().to_string(), peer.url("/a?b=c"));
        assert_eq!((response.redirects(), response.content_length()), (0, Some(5)));
        assert_eq!(response.text().await.unwrap(), "hello");
        assert_eq!(peer.asked()[0].line, "GET /a?b=c HTTP/1.1");
        is_as_new(&lane).await;
        assert_eq!((lane.stats().completed, lane.stats().cancelled), (1, 0));
    }

    async fn a_body_of_no_bytes_is_known_to_be_none(place: Place) {
        let peer = Peer::answering(|asked| match asked.line.split(' ').nth(1) {
            Some("/nothing") => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            _ => response("200 OK", ""),
        });
        let (client, lane) = client(place, 1);
        let none = client.get(peer.url("/")).send().await.unwrap();
        assert_eq!(none.content_length(), Some(0));
        assert_eq!(none.bytes().await.unwrap(), "");
        let without = client.get(peer.url("/nothing")).send().await.unwrap();
        assert_eq!(without.content_length(), None);
        assert_eq!(without.bytes().await.unwrap(), "");
        assert_eq!(peer.connections(), 1);
        is_as_new(&lane).await;
    }

    async fn a_connection_is_used_again_when_a_body_was_read(place: Place) {
        let peer = Peer::answering(|_| response("200 OK", vec![b'x'; 100_000]));
        let (client, lane) = client(place, 2);
        for _ in 0..5 {
            let body = client.get(peer.url("/")).send().await.unwrap().bytes().await.unwrap();
            assert_eq!(body.len(), 100_000);
        }
        assert_eq!(peer.connections(), 1);
        is_as_new(&lane).await;
    }

    async fn many_at_once_share_the_lane(place: Place) {
        // The first three are answered together, or one might make all calls on a machine that is busy.
        let (asked, three) = (AtomicUsize::new(0), Barrier::new(3));
        let peer = Peer::answering(move |request| {
            if asked.fetch_add(1, Ordering::Relaxed) < 3 {
                three.wait();
            }
            response("200 OK", request.line.as_bytes())
        });
        let (client, lane) = client(place, 3);
        let calls = (0..40).map(|n| {
            let call = client.get(peer.url(&format!("/{n}"))).send();
            async move { (n, call.await.unwrap().text().await.unwrap()) }
        });
        for (n, text) in futures::future::join_all(calls).await {
            assert_eq!(text, format!("GET /{n} HTTP/1.1"));
        }
        is_as_new(&lane).await;
        assert_eq!(lane.stats().peak_running, 3);
    }

    /// K19. The caller is free at once, and the thread too: the peer never answers.
    async fn dropping_the_future_cancels_the_exchange(place: Place) {
        let (gate, (client, lane)) = (Arc::new(Gate::new()), client(place, 1));
        let held = gate.clone();
        let peer = Peer::new(move |connection| {
            connection.request()?;
            held.door().pass();
            Ok(())
        });
        let call = client.get(peer.url("/")).send();
        gate.arrived(1).await;
        let begun = Instant::now();
        drop(call);
        assert!(begun.elapsed() < AT_ONCE);
        assert_eq!(lane.stats().cancelled, 1);
        is_as_new(&lane).await;
        gate.open();
    }

    async fn a_timeout_covers_the_exchange_and_says_so(place: Place) {
        let (gate, (client, lane)) = (Arc::new(Gate::new()), client(place, 1));
        let held = gate.clone();
        let peer = Peer::new(move |connection| {
            connection.request()?;
            held.door().pass();
            Ok(())
        });
        for time in [500, 4_000].map(Duration::from_millis) {
            let error = client.get(peer.url("/x")).timeout(time).send().await.unwrap_err();
            assert!(error.is_timeout() && !error.is_cancelled(), "{error:?}");
            assert_eq!(error.url(), Some(&*peer.url("/x")));
            // Unless it was not even sent by then, on a machine that is busy.
            if error.phase() == Some(Phase::Head) && !error.is_retryable() {
                break;
            }
            assert!(time < Duration::from_secs(4), "it was sent: {error:?}");
        }
        // While it waits for its lane it is another matter.
        let busy = Gate::new();
        let door = busy.door();
        let job = lane.offload(move || door.pass());
        busy.arrived(1).await;
        let waits = client.get(peer.url("/")).timeout(Duration::from_millis(20)).send();
        let error = waits.await.unwrap_err();
        assert!(error.is_timeout() && error.is_retryable(), "{error:?}");
        assert_eq!(error.phase(), Some(Phase::Waiting));
        busy.open();
        job.await.unwrap();
        gate.open();
        is_as_new(&lane).await;
    }
}

everywhere! {
    /// There is room for so many, and no more: where one more is set by the client, too.
    async fn more_headers_than_a_request_can_have_are_an_error(place: Place) {
        let (client, lane) = client(place, 1);
        let full = || {
            let headers = (0..24_575).map(|n| format!("x-{n}"));
            let request = client.post("http://127.0.0.1:1/").header("range", "bytes=1-");
            headers.fold(request, |request, name| request.header(name, ""))
        };
        for request in [
            full().header("x-more", ""),
            full().content_type("text/csv"),
            full().form([("a", "b")]),
            full().header("accept-encoding", ""),
            full().body(Body::reader(&b"data"[..]).with_length(4)),
            full(),
        ] {
            let error = request.send().await.unwrap_err();
            assert!(error.is_request() && !error.sent(), "{error:?}");
        }
        assert_eq!(lane.stats().submitted, 0);
    }

    async fn what_the_builder_is_told_is_what_is_sent(place: Place) {
        let peer = Peer::answering(|_| response("200 OK", ""));
        let (client, _) = client(place, 1);
        let url = peer.url("/a?x=1");
        let builder = client
            .request(Method::PATCH, &url)
            .query("key", "a&b c")
            .query("\u{e4}", "")
            .header("x-twice", "1")
            .header("x-twice", "2")
            .form([("a b", "c"), ("d", "&")]);
        builder.send().await.unwrap();
        client.post(&url).content_type("text/csv").body("1,2").send().await.unwrap();
        client.post(&url).send().await.unwrap();
        client.get(&url).send().await.unwrap();
        client.head(&url).send().await.unwrap();
        let request = Request::put(&url).header("x-from", "http").body(vec![7; 3]);
        client.execute(request.unwrap()).await.unwrap();

        let asked = peer.asked();
        let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
        assert_eq!(
            lines,
            [
                "PATCH /a?x=1&key=a%26b%20c&%C3%A4= HTTP/1.1",
                "POST /a?x=1 HTTP/1.1",
                "POST /a?x=1 HTTP/1.1",
                "GET /a?x=1 HTTP/1.1",
                "HEAD /a?x=1 HTTP/1.1",
                "PUT /a?x=1 HTTP/1.1",
            ]
        );
        assert_eq!(asked[0].headers("x-twice"), ["1", "2"]);
        let form = Some("application/x-www-form-urlencoded");
        assert_eq!((asked[0].header("content-type"), &*asked[0].body), (form, &b"a+b=c&d=%26"[..]));
        assert_eq!(asked[1].header("content-type"), Some("text/csv"));
        assert_eq!(asked[1].body, b"1,2");
        assert_eq!(asked[2].header("content-length"), Some("0"));
        assert_eq!(asked[3].header("content-length"), None);
        assert_eq!((asked[5].header("x-from"), &*asked[5].body), (Some("http"), &[7; 3][..]));
    }

    /// The request's extensions are for the agent's middleware, on each hop.
    async fn what_a_request_is_marked_with_is_there_on_each_hop(place: Place) {
        #[derive(Clone)]
        struct Mark(&'static str);

        let peer = Peer::answering(|asked| match asked.line.contains("/old") {
            true => redirect("302 Found", "/new"),
            false => response("200 OK", ""),
        });
        let marks = |mut request: Request<ureq::SendBody<'_>>, next: MiddlewareNext<'_>| {
            let mark = request.extensions().get::<Mark>().map_or("none", |mark| mark.0);
            request.headers_mut().insert("x-mark", HeaderValue::from_static(mark));
            next.handle(request)
        };
        let agent = longshore::ureq::agent(config().middleware(marks).build());
        let lane = place.lane(1);
        let request = Request::get(peer.url("/old")).extension(Mark("ours")).body(());
        Client::new(lane.clone(), agent).execute(request.unwrap()).await.unwrap();
        let asked = peer.asked();
        let marks: Vec<_> = asked.iter().map(|asked| asked.header("x-mark")).collect();
        assert_eq!(marks, [Some("ours"), Some("ours")]);
        is_as_new(&lane).await;
    }

    async fn what_is_not_utf_8_is_replaced(place: Place) {
        let peer = Peer::answering(|_| response("200 OK", b"a\xffb\xe2\x82"));
        let (client, _) = client(place, 1);
        let text = client.get(peer.url("/")).send().await.unwrap().text().await.unwrap();
        assert_eq!(text, "a\u{fffd}b\u{fffd}");
    }

    async fn a_status_of_failure_is_a_response(place: Place) {
        let peer = Peer::answering(|_| response("404 Not Found", "no such thing"));
        let (client, _) = client(place, 1);
        let response = client.get(peer.url("/q?key=canary")).send().await.unwrap();
        assert_eq!(response.status(), 404);
        assert_eq!(response.text().await.unwrap(), "no such thing");
        let response = client.get(peer.url("/q?key=canary")).send().await.unwrap();
        let error = response.error_for_status().unwrap_err();
        assert!(error.is_status() && !error.is_retryable());
        assert_eq!(error.kind(), ErrorKind::Status(http::StatusCode::NOT_FOUND));
        assert_eq!(error.url(), Some(&*peer.url("/q")));
    }

    async fn a_response_without_a_body_has_an_empty_one(place: Place) {
        let peer = Peer::answering(|asked| match asked.line.split(' ').next() {
            Some("HEAD") => b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n".to_vec(),
            _ => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        });
        let (client, _) = client(place, 1);
        for _ in 0..2 {
            let head = client.head(peer.url("/")).send().await.unwrap();
            assert_eq!(head.headers()["content-length"], "1000000000");
            assert!(head.bytes().await.unwrap().is_empty());
            let none = client.delete(peer.url("/")).send().await.unwrap();
            assert!(none.bytes().await.unwrap().is_empty());
        }
        assert_eq!(peer.connections(), 1);
    }

    async fn a_full_and_a_closed_lane_refuse(place: Place) {
        let lane = place.bounded(1, 0);
        let client = Client::new(lane.clone(), agent());
        let gate = Gate::new();
        let door = gate.door();
        let busy = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let error = client.get("http://127.0.0.1:9/").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lane);
        assert!(error.is_retryable(), "{error:?}");
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.downcast_ref::<longshore::Error>().unwrap().is_full());
        gate.open();
        busy.await.unwrap();
        lane.close();
        let error = client.get("http://127.0.0.1:9/").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lane);
    }

    async fn a_token_cancels_what_was_begun_under_it(place: Place) {
        let (gate, token) = (Arc::new(Gate::new()), CancelToken::new());
        let held = gate.clone();
        let peer = Peer::new(move |connection| {
            connection.request()?;
            held.door().pass();
            Ok(())
        });
        let lane = place.lane(1);
        let client = Client::new(lane.cancelled_by(&token), agent());
        let call = client.get(peer.url("/")).send();
        gate.arrived(1).await;
        token.cancel();
        assert!(call.await.unwrap_err().is_cancelled());
        is_as_new(&lane).await;
        gate.open();
    }

    /// An agent that knows nothing of jobs serves as well, but for what only the agent can do.
    async fn an_agent_of_ureqs_own_serves_too(place: Place) {
        let (gate, lane) = (Arc::new(Gate::new()), place.lane(1));
        let held = gate.clone();
        let peer = Peer::new(move |connection| {
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")?;
            held.door().pass();
            connection.send("after")
        });
        let stock = ureq::Agent::config_builder().proxy(None).build().new_agent();
        let client = Client::new(lane.clone(), stock);
        let mut stream = client.get(peer.url("/")).send().await.unwrap().stream();
        // What is there is had, although nobody says when the thread waits.
        assert_eq!(stream.next().await.unwrap().unwrap(), "first");
        gate.open();
        assert_eq!(stream.bytes().await.unwrap(), "after");
        is_as_new(&lane).await;
    }

    /// The time runs, and the exchange with it, whether the future is polled or not.
    async fn an_exchange_begins_when_it_is_sent(place: Place) {
        let (say, said) = mpsc::channel();
        let peer = Peer::answering(move |asked| {
            say.send(asked.line.clone()).unwrap();
            response("200 OK", "")
        });
        let (client, _) = client(place, 1);
        let call = client.get(peer.url("/early")).send();
        eventually("it is asked", || said.try_recv().is_ok()).await;
        assert_eq!(call.await.unwrap().status(), 200);
    }
}

#[cfg(feature = "json")]
everywhere! {
    async fn json_goes_both_ways(place: Place) {
        let peer = Peer::answering(|asked| response("200 OK", &asked.body));
        let (client, _) = client(place, 1);
        let sent = vec![("a".to_owned(), 1), ("b".to_owned(), 2)];
        let call = client.post(peer.url("/")).json(&sent).send();
        let back: Vec<(String, u32)> = call.await.unwrap().json().await.unwrap();
        assert_eq!(back, sent);
        assert_eq!(peer.asked()[0].header("content-type"), Some("application/json"));
        let call = client.post(peer.url("/p")).json("no number").send();
        let error = call.await.unwrap().json::<u32>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert_eq!(error.url(), Some(&*peer.url("/p")));
    }
}
