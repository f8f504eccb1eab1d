//! Names: looked up by few threads, and with no thread for each request (fault E, W5).

use std::{
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use longshore::{Lane, lane::Threads};

use super::{
    get, kind,
    peers::{Peer, site},
    plain_agent,
};
use crate::support::{
    AT_ONCE, Child, Flavour, NoMoreThreads, in_child, settles, threads_named, watched,
};

/// What the threads that look names up are called.
const RESOLVERS: &str = "longshore-dns";

/// How many of them there may be.
const MOST: usize = 4;

/// Runs it on a thread of its own, and as a job, each with no right to start threads.
fn without_threads(test: fn()) {
    let lane = Lane::builder("strict")
        .limit(1)
        .own_threads(Threads::new())
        .build();
    let runtime = Flavour::CurrentThread.runtime();
    let told = runtime.block_on(async { lane.offload(test).await });
    told.expect("it passes in a job");
    thread::spawn(test).join().expect("it passes on a thread");
}

/// W5, and fault E: ureq's own agent starts one for each request that has a timeout.
#[test]
fn a_request_starts_no_thread() {
    let test = concat!(module_path!(), "::a_request_starts_no_thread");
    if !in_child() {
        return Child::new(test).passes();
    }
    watched(|| {
        without_threads(|| {
            let peer = Peer::new(site);
            let agent = plain_agent();
            let urls = [peer.url("/ok"), peer.url_at("localhost", "/ok")];
            // An answer is fresh for five seconds, also for whoever comes later in this process.
            static KNOWN: OnceLock<Instant> = OnceLock::new();
            let known = KNOWN.get_or_init(Instant::now);
            // One may be had for the first lookup of a name.
            for url in &urls {
                get(&agent, url).unwrap();
            }
            let _none = NoMoreThreads::from_here_on();
            for _ in 0..200 {
                if known.elapsed() > Duration::from_secs(4) {
                    break;
                }
                for url in &urls {
                    get(&agent, url).unwrap();
                }
            }
            assert_eq!(peer.connections(), 2);
        });
    });
}

/// W5.
#[test]
fn a_refused_thread_for_a_lookup_is_an_error_and_no_panic() {
    let test = concat!(
        module_path!(),
        "::a_refused_thread_for_a_lookup_is_an_error_and_no_panic"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    watched(|| {
        without_threads(|| {
            let peer = Peer::new(site);
            let agent = plain_agent();
            let _none = NoMoreThreads::from_here_on();
            let begun = Instant::now();
            for _ in 0..20 {
                let error = get(&agent, &peer.url_at("localhost", "/ok")).unwrap_err();
                assert!(["io", "dns"].contains(&kind(&error)), "{error:?}");
            }
            assert!(begun.elapsed() < AT_ONCE);
        });
    });
}

/// Two hundred requests, half of them by name: no more threads are left than there were, but for the
/// resolvers. (That none is started that ends at once, [`a_request_starts_no_thread`] says.)
#[test]
fn two_hundred_requests_leave_no_threads_behind() {
    let test = concat!(
        module_path!(),
        "::two_hundred_requests_leave_no_threads_behind"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    watched(|| {
        let peer = Peer::new(site);
        let agent = plain_agent();
        get(&agent, &peer.url("/ok")).unwrap();
        let before = threads_named("").len();
        for call in 0..200 {
            let host = if call % 2 == 0 {
                "127.0.0.1"
            } else {
                "localhost"
            };
            get(&agent, &peer.url_at(host, "/ok")).unwrap();
            let more = threads_named("").len() - before;
            // The peer has one for the connection to the other name.
            assert!(more <= MOST + 1, "{more} more after {call} calls");
        }
        assert!(threads_named(RESOLVERS).len() <= MOST);
    });
}

/// One lookup for all who ask for a name at once, and each of them has the answer.
#[test]
fn many_may_ask_for_a_name_at_once() {
    watched(|| {
        let peer = Arc::new(Peer::new(site));
        let agent = plain_agent();
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| get(&agent, &peer.url_at("localhost", "/ok")).unwrap());
            }
        });
        settles("all of them came", || peer.heads().len() == 32);
    });
}
