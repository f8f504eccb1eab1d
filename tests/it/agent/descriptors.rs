//! S1, W16: the descriptors of a process, which run out, and which others inherit.

use std::{
    fs::{self, File},
    iter,
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use longshore::{Lane, lane::Threads};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use ureq::Error;

use super::{
    agent, config, get,
    peers::{Authority, Peer, site},
    peers_elsewhere, plain_agent, with_peers_elsewhere,
};
use crate::support::{
    AT_ONCE, Child, Flavour, Gate, Place, assert_books, eventually, in_child, is_as_new, watched,
};

everywhere! {
    /// W16.
    async fn a_child_process_inherits_no_socket(place: Place) {
        let lane = place.lane(32);
        let authority = Authority::new();
        let peers = [Peer::new(site), Peer::with_tls(&authority, site)];
        let agent = agent(config().tls_config(authority.trusted()).build());
        let before = tokio::task::spawn_blocking(inheritable).await.unwrap();
        let gate = Gate::new();
        let tasks: FuturesUnordered<_> = (0..32)
            .map(|call| {
                let (agent, url, door) =
                    (agent.clone(), peers[call % 2].url("/ok"), gate.door());
                lane.offload(move || {
                    let answer = agent.get(url).call().unwrap();
                    // All of them are in use, by as many threads.
                    door.pass();
                    let inherited = inheritable();
                    drop(answer);
                    inherited
                })
            })
            .collect();
        gate.arrived(32).await;
        gate.open();
        for inherited in tasks.collect::<Vec<_>>().await {
            assert_eq!(inherited.unwrap(), before);
        }
        is_as_new(&lane).await;
    }
}

/// What a child finds open of the kinds that an agent opens, sorted.
fn inheritable() -> Vec<String> {
    let listed = Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .output()
        .expect("it can be run");
    let mut found: Vec<String> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| Some(line.split_once(" -> ")?.1.to_owned()))
        .filter(|target| target.starts_with("socket:") || target.starts_with("anon_inode:"))
        .collect();
    found.sort();
    found
}

/// Every descriptor that the process may have, until it is dropped.
struct NoMoreFiles {
    files: Vec<File>,
}

impl NoMoreFiles {
    fn take() -> Self {
        let few = Rlimit {
            current: Some(128),
            ..getrlimit(Resource::Nofile)
        };
        setrlimit(Resource::Nofile, few).expect("a soft limit may be lowered");
        let files: Vec<File> = iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(!files.is_empty());
        Self { files }
    }
}

/// S1.
#[test]
fn without_descriptors_a_call_is_an_error_and_the_next_one_works() {
    let test = concat!(
        module_path!(),
        "::without_descriptors_a_call_is_an_error_and_the_next_one_works"
    );
    if !in_child() {
        return with_peers_elsewhere(test, &[]);
    }
    watched(|| {
        let [known, new] = peers_elsewhere();
        let by_name = new.replace("127.0.0.1", "localhost");
        let agent = plain_agent();
        let runtime = Flavour::CurrentThread.runtime();
        let lane = Lane::builder("poor")
            .limit(2)
            .own_threads(Threads::new())
            .build();
        get(&agent, &known).unwrap();
        for _ in 0..3 {
            let none = NoMoreFiles::take();
            let begun = Instant::now();
            for url in [&new, &by_name] {
                // Outside of jobs, and in one whose thread has not made a call before.
                let outside = get(&agent, url).unwrap_err();
                let (caller, url) = (agent.clone(), url.clone());
                let inside = runtime
                    .block_on(async { lane.offload(move || get(&caller, &url)).await })
                    .expect("no panic")
                    .unwrap_err();
                for error in [outside, inside] {
                    assert!(matches!(error, Error::Io(_)), "{error:?}");
                }
            }
            // What is open already goes on being useful.
            assert_eq!(get(&agent, &known).unwrap(), "0");
            assert!(begun.elapsed() < AT_ONCE);
            drop(none);
            let (caller, url) = (agent.clone(), known.clone());
            let inside = runtime.block_on(async { lane.offload(move || get(&caller, &url)).await });
            inside.unwrap().unwrap();
        }
        for url in [&new, &by_name] {
            get(&agent, url).unwrap();
        }
        assert_books(&lane.stats());
    });
}

/// S1. The connection was there before; a thread that makes its first call needs a descriptor of its
/// own to be woken by, and has none.
#[test]
fn without_a_descriptor_to_be_woken_by_a_thread_sees_for_itself() {
    let test = concat!(
        module_path!(),
        "::without_a_descriptor_to_be_woken_by_a_thread_sees_for_itself"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    watched(|| {
        let peer = Peer::new(site);
        let agent = agent(config().timeout_global(None).build());
        get(&agent, &peer.url("/ok")).unwrap();
        let lane = Lane::builder("unwoken")
            .limit(1)
            .own_threads(Threads::new())
            .build();
        let before = events();
        Flavour::CurrentThread.runtime().block_on(async {
            let with_runtime = events();
            let none = NoMoreFiles::take();
            let (caller, url) = (agent.clone(), peer.url("/silent"));
            let (tell, told) = mpsc::channel();
            let task = lane.offload(move || tell.send(get(&caller, &url)).unwrap());
            eventually("the call is stuck", || peer.reached() > 0).await;
            // It waits a little with its buffers in its hands, and then without end.
            tokio::time::sleep(Duration::from_millis(200)).await;
            drop(task);
            let left = Instant::now();
            eventually("its thread is free", || lane.stats().draining == 0).await;
            assert!(left.elapsed() < AT_ONCE);
            let outcome = told.recv().unwrap().unwrap_err();
            assert!(matches!(outcome, Error::Other(_)), "{outcome:?}");
            assert_eq!(peer.connections(), 1);
            drop(none);
            // The thread is idle, and would still have it.
            assert_eq!(events(), with_runtime, "its thread had none");
            assert!(with_runtime > before, "they can be told");
        });
    });
}

/// S1. The last of them are for connections: a thousand descriptors are good for more than five hundred
/// calls at once.
#[test]
fn descriptors_that_are_scarce_are_left_to_connections() {
    let test = concat!(
        module_path!(),
        "::descriptors_that_are_scarce_are_left_to_connections"
    );
    if !in_child() {
        return with_peers_elsewhere(test, &[]);
    }
    watched(|| {
        let [peer, _] = peers_elsewhere();
        let agent = plain_agent();
        get(&agent, &peer).unwrap();
        let runtime = Flavour::CurrentThread.runtime();
        let call = || {
            // Each on a thread that has made no call before, and is there to be looked at.
            let lane = Lane::builder("frugal")
                .limit(1)
                .own_threads(Threads::new())
                .build();
            let (agent, url) = (agent.clone(), peer.clone());
            let called = runtime.block_on(async { lane.offload(move || get(&agent, &url)).await });
            called.unwrap().unwrap();
            lane
        };
        let before = events();
        let plenty = call();
        assert_eq!(events(), before + 1);
        let mut none = NoMoreFiles::take();
        // A few are free again, and those are of the last 32nd.
        none.files.truncate(none.files.len() - 3);
        let scarce = call();
        assert_eq!(events(), before + 1, "it was left to others");
        drop((plenty, scarce));
    });
}

/// How many descriptors this process has that are for being woken.
fn events() -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("Linux shows what is open");
    open.filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter(|target| target.as_os_str() == "anon_inode:[eventfd]")
        .count()
}
