//! Names: looked up by few threads, with no thread for each request, and left alone when they hang
//! (faults E and H18, W5).

use std::{
    fs,
    net::UdpSocket,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use longshore::{Lane, lane::Threads};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::set_thread_uid,
};

use super::{
    agent, config, get, kind,
    peers::{Peer, site},
    plain_agent,
};
use crate::support::{
    AT_ONCE, Child, Flavour, assert_books, eventually, in_child, settles, threads_named, watched,
};

/// What the threads that look names up are called.
const RESOLVERS: &str = "longshore-dns";

/// How many of them there may be.
const MOST: usize = 4;

/// Until it is dropped, no thread can be started by the one that made it. (Others can, if this is
/// root.)
struct NoMoreThreads(Rlimit);

impl NoMoreThreads {
    fn from_here_on() -> Self {
        if rustix::process::getuid().is_root() {
            // Root has no limit. To the system a user is the thread's, not the process's.
            let nobody = rustix::process::Uid::from_raw(65_534);
            set_thread_uid(nobody).expect("root may become anybody");
        }
        let before = getrlimit(Resource::Nproc);
        let none = Rlimit {
            current: Some(0),
            ..before
        };
        setrlimit(Resource::Nproc, none).expect("a soft limit may be lowered");
        let refused = thread::Builder::new().spawn(|| ());
        assert!(refused.is_err(), "there is no way to have a thread refused");
        Self(before)
    }
}

impl Drop for NoMoreThreads {
    fn drop(&mut self) {
        setrlimit(Resource::Nproc, self.0).expect("a soft limit may be raised again");
    }
}

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
            // One may be had for the first lookup of a name.
            for url in &urls {
                get(&agent, url).unwrap();
            }
            let _none = NoMoreThreads::from_here_on();
            for url in &urls {
                for _ in 0..200 {
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

/// Two hundred requests by name: no more threads than there were, but for the resolvers.
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

/// F4, H18.
#[test]
fn lookups_that_hang_hold_four_threads_and_nobody_up() {
    let test = concat!(
        module_path!(),
        "::lookups_that_hang_hold_four_threads_and_nobody_up"
    );
    where_lookups_hang(test, 5, hanging_lookups);
}

/// What is given up while it waits for a thread is not looked up later, before what is wanted.
#[test]
fn names_that_were_given_up_do_not_stand_in_the_way() {
    let test = concat!(
        module_path!(),
        "::names_that_were_given_up_do_not_stand_in_the_way"
    );
    where_lookups_hang(test, 1, names_given_up);
}

/// Runs a test in a network where the only name server says nothing, and lookups give up after so
/// many seconds, or somewhat more.
fn where_lookups_hang(test: &str, seconds: u32, body: fn()) {
    if in_child() {
        return watched(body);
    }
    let file = format!("longshore-resolv-{}-{seconds}", std::process::id());
    let conf = std::env::temp_dir().join(file);
    let options = format!("nameserver 127.0.0.1\noptions timeout:{seconds} attempts:1\n");
    fs::write(&conf, options).unwrap();
    let mount = format!(
        "ip link set lo up && mount --bind '{}' /etc/resolv.conf",
        conf.display()
    );
    let there = format!("{mount} && exec \"$@\"");
    let wrapper = ["unshare", "-mn", "sh", "-c", &there, "sh"];
    let allowed = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success());
    if allowed {
        Child::new(test).within(&wrapper).passes();
    } else {
        eprintln!("skipped: it takes a network of one's own, and the right to have one");
    }
    fs::remove_file(&conf).unwrap();
}

fn hanging_lookups() {
    const CALLS: usize = 40;
    let timeout = Duration::from_millis(300);
    let server = UdpSocket::bind("127.0.0.1:53").expect("this network is ours");
    let agent = agent(config().timeout_global(None).build());
    let lane = Lane::builder("asks")
        .limit(CALLS)
        .own_threads(Threads::new())
        .build();
    let is_free = || {
        let stats = lane.stats();
        stats.running + stats.draining == 0
    };
    let runtime = Flavour::CurrentThread.runtime();
    runtime.block_on(async {
        // A cancel.
        let (caller, begun) = (agent.clone(), Instant::now());
        let task = lane.offload(move || get(&caller, "http://hangs.test/"));
        server.set_nonblocking(true).unwrap();
        eventually("the name is asked for", || {
            server.recv(&mut [0; 512]).is_ok()
        })
        .await;
        drop(task);
        let dropped = Instant::now();
        eventually("the thread is free", is_free).await;
        assert!(dropped.elapsed() < AT_ONCE, "{:?}", begun.elapsed());

        // Deadlines.
        let begun = Instant::now();
        let tasks: Vec<_> = (0..CALLS)
            .map(|call| {
                let (caller, url) = (agent.clone(), format!("http://hangs{call}.test/"));
                lane.timeout(timeout).offload(move || get(&caller, &url))
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap_err().is_timeout());
        }
        eventually("the threads are free", is_free).await;
        assert!(begun.elapsed() < timeout + AT_ONCE, "{:?}", begun.elapsed());
        assert_books(&lane.stats());
    });

    // Outside of jobs, with timeouts of ureq's.
    let agent = super::agent(config().timeout_global(Some(timeout)).build());
    let begun = Instant::now();
    thread::scope(|scope| {
        for call in 0..CALLS {
            let agent = &agent;
            scope.spawn(move || {
                let error = get(agent, &format!("http://late{call}.test/")).unwrap_err();
                assert_eq!(kind(&error), "timeout", "{error:?}");
            });
        }
    });
    assert!(begun.elapsed() < timeout + AT_ONCE, "{:?}", begun.elapsed());
    let resolvers = threads_named(RESOLVERS);
    assert!((1..=MOST).contains(&resolvers.len()), "{resolvers:?}");

    // Whoever needs no lookup is not held up.
    let peer = Peer::new(site);
    let begun = Instant::now();
    assert_eq!(get(&agent, &peer.url("/ok")).unwrap(), "0");
    assert!(begun.elapsed() < AT_ONCE);
}

fn names_given_up() {
    let _server = UdpSocket::bind("127.0.0.1:53").expect("this network is ours");
    let timeout = Some(Duration::from_millis(300));
    let agent = agent(config().timeout_global(timeout).build());
    thread::scope(|scope| {
        for call in 0..60 {
            let agent = &agent;
            scope.spawn(move || get(agent, &format!("http://late{call}.test/")).unwrap_err());
        }
    });
    // Four lookups hang, and the others have nobody any more who wants to know.
    let peer = Peer::new(site);
    let begun = Instant::now();
    get(&plain_agent(), &peer.url_at("localhost", "/ok")).unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
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
