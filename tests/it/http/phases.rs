//! K20: how far an exchange had come when it ended, end to end, and what follows from that: only
//! what nobody has seen anything of may be made again.

use std::{cell::Cell, io, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use longshore::{
    CancelToken, Lane,
    lane::Threads,
    ureq::{Body, Client, Error, ErrorKind, Phase},
};
use ureq::{Proxy, http::Request, middleware::MiddlewareNext};

use super::config;
use crate::{
    agent::{
        peers::{Authority, Closed, Manners, Peer, SocksManners, connect_proxy, site, socks_proxy},
        scene::{Scene, Stuck},
    },
    support::{Child, Flavour, NoMoreThreads, Place, eventually, in_child, is_as_new, watched},
};

/// How many scenes are played at once.
const AT_A_TIME: usize = 4;

/// How long an exchange is given to get stuck.
const TIMES: [Duration; 3] = [
    Duration::from_millis(60),
    Duration::from_millis(120),
    Duration::from_millis(300),
];

/// And on a machine that is very busy.
const LONGEST: Duration = Duration::from_secs(4);

/// A name that no resolver knows (RFC 6761).
const UNKNOWN: &str = "nobody.invalid";

/// What is known of an exchange when it ends.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Whatever was said to a proxy, or in a handshake, was not the request.
    Nothing,
    /// By the peer.
    Request,
    /// By us, of the response.
    Answer,
}

use Seen::{Answer, Nothing, Request as OfRequest};

/// Where an exchange hangs.
const HANGS: [(Stuck, Phase, Seen); 16] = {
    const fn socks(scheme: &'static str, later: bool) -> (Stuck, Phase, Seen) {
        (Stuck::Socks { scheme, later }, Phase::Connect, Nothing)
    }
    const fn at(path: &'static str, tls: bool, phase: Phase, seen: Seen) -> (Stuck, Phase, Seen) {
        let pooled = false;
        (Stuck::At { path, tls, pooled }, phase, seen)
    }
    [
        (Stuck::Connecting, Phase::Connect, Nothing),
        (Stuck::Proxy { tls: false }, Phase::Connect, Nothing),
        (Stuck::Proxy { tls: true }, Phase::Connect, Nothing),
        socks("socks4", false),
        socks("socks4", true),
        socks("socks5h", false),
        socks("socks5h", true),
        (Stuck::Handshake, Phase::Tls, Nothing),
        at("/swallows", false, Phase::Send, OfRequest),
        at("/swallows", true, Phase::Send, OfRequest),
        at("/silent", false, Phase::Head, OfRequest),
        at("/silent", true, Phase::Head, OfRequest),
        at("/half-head", false, Phase::Head, Answer),
        at("/head-only", false, Phase::Body, Answer),
        at("/half-body", false, Phase::Body, Answer),
        at("/half-body", true, Phase::Body, Answer),
    ]
};

everywhere! {
    async fn what_is_cancelled_says_how_far_it_was(place: Place) {
        play(place, ErrorKind::Cancelled).await;
    }

    async fn what_is_late_says_how_far_it_was(place: Place) {
        play(place, ErrorKind::TimedOut).await;
    }

    async fn what_finds_nobody_to_talk_to_says_how_far_it_was(place: Place) {
        use ErrorKind::{Connect, Resolve, Tls};

        let authority = Authority::new();
        let behind = Peer::new(site);
        let refused = Closed::new();
        let closed = refused.address();
        let hangs_up = Peer::new(|conn| conn.take(1).map(drop)).https();
        let proxy = |manners| Peer::new(connect_proxy(manners));
        let socks = |manners| Peer::new(socks_proxy(manners));
        let [refuses, guarded, garbage] =
            [Manners::Refuses, Manners::Guarded, Manners::Garbage].map(proxy);
        let [socks_refuses, socks_guarded, socks_garbage] =
            [SocksManners::Refuses, SocksManners::Guarded, SocksManners::Garbage].map(socks);
        let over_socks = |peer: &Peer| Some(format!("socks5://127.0.0.1:{}", peer.port()));
        let there = behind.url("/ok");
        for (url, via, kind, phase) in [
            (format!("http://{UNKNOWN}/"), None, Resolve, Phase::Resolve),
            (format!("http://{closed}/"), None, Connect, Phase::Connect),
            (hangs_up.url("/"), None, Tls, Phase::Tls),
            (there.clone(), Some(format!("http://{closed}")), Connect, Phase::Connect),
            (there.clone(), Some(format!("http://{UNKNOWN}:1")), Connect, Phase::Connect),
            (there.clone(), Some(refuses.url("")), Connect, Phase::Connect),
            (there.clone(), Some(guarded.url("")), Connect, Phase::Connect),
            (there.clone(), Some(garbage.url("")), Connect, Phase::Connect),
            (there.clone(), Some(format!("socks5://{closed}")), Connect, Phase::Connect),
            (there.clone(), over_socks(&socks_refuses), Connect, Phase::Connect),
            (there.clone(), over_socks(&socks_guarded), Connect, Phase::Connect),
            (there.clone(), over_socks(&socks_garbage), Connect, Phase::Connect),
        ] {
            let row = format!("{url} by way of {via:?}");
            let via = via.map(|via| Proxy::new(&via).unwrap());
            let config = config().proxy(via).tls_config(authority.trusted()).build();
            let lane = place.lane(1);
            let client = Client::new(lane.clone(), longshore::ureq::agent(config));
            let error = client.post(url).body("x").send().await.unwrap_err();
            assert_eq!((error.kind(), error.phase()), (kind, Some(phase)), "{row}: {error:?}");
            assert!(was_seen(&error, Nothing), "{row}: {error:?}");
            is_as_new(&lane).await;
        }
        assert_eq!(behind.connections(), 0);
    }

    /// What TLS says by itself, and through a proxy, is not of an answer.
    async fn a_peer_behind_a_proxy_that_has_not_answered_was_not_heard(place: Place) {
        let authority = Authority::new();
        let behind = Peer::with_tls(&authority, site);
        let proxy = Peer::new(connect_proxy(Manners::Open));
        let via = Proxy::new(&proxy.url("")).unwrap();
        let config = config().proxy(Some(via)).tls_config(authority.trusted()).build();
        let token = CancelToken::new();
        let lane = place.lane(1);
        let client = Client::new(lane.cancelled_by(&token), longshore::ureq::agent(config));
        let silent = client.get(behind.url("/silent")).send();
        eventually("it was asked", || behind.heads().len() == 1).await;
        token.cancel();
        let error = silent.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
        assert!(was_seen(&error, OfRequest), "{error:?}");
        is_as_new(&lane).await;
    }

    /// K21. With a proxy nobody looks a name up, and with a connection from the pool nobody connects: what
    /// is left is how far the call before it has come.
    async fn a_call_after_one_that_found_nobody_may_have_been_sent(place: Place) {
        let nobody = Closed::new();
        let behind = Peer::new(|conn| {
            for answers in [true, false] {
                let Some(request) = conn.request()? else {
                    break;
                };
                let body = conn.body(&request)?;
                if answers {
                    conn.reply(body)?;
                }
            }
            conn.finish()
        });
        let http = Peer::new(connect_proxy(Manners::Open));
        let socks = Peer::new(socks_proxy(SocksManners::Open));
        for via in [http.url(""), format!("socks5h://127.0.0.1:{}", socks.port())] {
            let (first, url) = (longshore::ureq::agent(config().build()), format!("http://{}/", nobody.address()));
            let asks_first = move |request: Request<ureq::SendBody<'_>>, next: MiddlewareNext<'_>| {
                assert!(first.get(&url).call().is_err());
                next.handle(request)
            };
            let config = config().proxy(Some(Proxy::new(&via).unwrap())).middleware(asks_first);
            let lane = place.lane(1);
            let client = Client::new(lane.clone(), longshore::ureq::agent(config.build()));
            let before = behind.connections();
            let answer = client.post(behind.url("/")).body("x").send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "x");
            let error = client.post(behind.url("/")).body("x").send().await.unwrap_err();
            let told = (error.kind(), error.phase());
            assert_eq!(told, (ErrorKind::PeerClosed, Some(Phase::Head)), "{via}: {error:?}");
            assert!(was_seen(&error, OfRequest), "{via}: {error:?}");
            assert_eq!(behind.connections(), before + 1, "{via}");
            is_as_new(&lane).await;
        }
    }

    /// What the call before it has come to is not what this one has.
    async fn a_call_after_another_begins_with_its_name(place: Place) {
        let peer = Peer::new(site);
        let (first, url) = (longshore::ureq::agent(config().build()), peer.url("/ok"));
        let asks_first = move |request: Request<ureq::SendBody<'_>>, next: MiddlewareNext<'_>| {
            first.get(&url).call()?.body_mut().read_to_string()?;
            next.handle(request)
        };
        let lane = place.lane(1);
        let agent = longshore::ureq::agent(config().middleware(asks_first).build());
        let error = Client::new(lane.clone(), agent).get(format!("http://{UNKNOWN}/")).send().await;
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Resolve, Some(Phase::Resolve)));
        assert_eq!(peer.heads().len(), 1);
        is_as_new(&lane).await;
    }
}

/// There is no wait in which the agent could say where it is: no thread can be had for the lookup.
#[test]
fn a_lookup_that_fails_at_once_says_how_far_it_was() {
    let test = concat!(
        module_path!(),
        "::a_lookup_that_fails_at_once_says_how_far_it_was"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    watched(|| {
        let lane = Lane::builder("alone")
            .limit(1)
            .own_threads(Threads::new())
            .build();
        let client = Client::new(lane.clone(), longshore::ureq::agent(config().build()));
        Flavour::CurrentThread.runtime().block_on(async {
            // The lane's thread is there, and it is the one that may start no other.
            let none = lane.offload(NoMoreThreads::from_here_on).await.unwrap();
            let error = client.get("http://localhost:1/").send().await.unwrap_err();
            drop(none);
            assert_eq!(error.kind(), ErrorKind::Resolve, "{error:?}");
            assert_eq!(error.phase(), Some(Phase::Resolve), "{error:?}");
            assert!(was_seen(&error, Nothing), "{error:?}");
        });
    });
}

/// Every scene, ended so that an error of this kind comes of it.
async fn play(place: Place, kind: ErrorKind) {
    let authority = Arc::new(Authority::new());
    stream::iter(HANGS)
        .map(|(stuck, phase, seen)| {
            let authority = authority.clone();
            async move {
                // The peer is there before the thread has said so, and on a machine that is very
                // busy the thread is not there at all: what counts is where it comes in the end.
                for time in TIMES {
                    let end = hang(place, stuck, kind, time, authority.clone()).await;
                    if end.is_some_and(|end| ended_in(&end, phase, seen)) {
                        return;
                    }
                }
                let end = hang(place, stuck, kind, LONGEST, authority.clone()).await;
                let end = end.unwrap_or_else(|| panic!("{stuck:?}: it never hung"));
                assert!(ended_in(&end, phase, seen), "{stuck:?}: {end:?}");
            }
        })
        .buffer_unordered(AT_A_TIME)
        .collect::<()>()
        .await;
}

/// The end of an exchange that hangs, after a time. `None` if it did not hang by then.
async fn hang(
    place: Place,
    stuck: Stuck,
    kind: ErrorKind,
    time: Duration,
    authority: Arc<Authority>,
) -> Option<Error> {
    // It takes a while to fill a backlog, in which the other rows go on.
    let scene = tokio::task::spawn_blocking(move || Scene::new(stuck, &authority, None));
    let scene = scene.await.unwrap();
    let (lane, token) = (place.lane(1), CancelToken::new());
    let client = Client::new(lane.cancelled_by(&token), scene.agent.clone());
    let mut call = if scene.url.ends_with("/swallows") {
        client.post(&scene.url).body(Body::blocking(io::repeat(0)))
    } else {
        client.get(&scene.url)
    };
    if kind == ErrorKind::TimedOut {
        call = call.timeout(time);
    }
    let is_over = Cell::new(false);
    let exchange = async {
        let told = async { call.send().await?.bytes().await }.await;
        is_over.set(true);
        told
    };
    let mut is_stuck = scene.watcher();
    let mut was_stuck = false;
    let end = async {
        eventually("it hangs, or its time is up", || {
            was_stuck = is_stuck();
            was_stuck || is_over.get()
        })
        .await;
        if kind == ErrorKind::Cancelled {
            tokio::time::sleep(time).await;
            token.cancel();
        }
    };
    let (told, ()) = futures::join!(exchange, end);
    let error = told.unwrap_err();
    assert_eq!(error.kind(), kind, "{stuck:?}: {error:?}");
    is_as_new(&lane).await;
    was_stuck.then_some(error)
}

fn ended_in(error: &Error, phase: Phase, seen: Seen) -> bool {
    error.phase() == Some(phase) && was_seen(error, seen)
}

fn was_seen(error: &Error, seen: Seen) -> bool {
    let sent = !matches!(seen, Nothing);
    let received = matches!(seen, Answer);
    (error.sent(), error.received()) == (sent, received) && error.is_retryable() != sent
}
