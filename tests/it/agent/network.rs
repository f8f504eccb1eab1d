//! Names in a network of one's own, where the only name server says nothing (F4, H18), and one host
//! has two addresses.
//!
//! Needs the right to have such a network; skipped, and said so, without.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use longshore::{
    Lane,
    lane::Threads,
    ureq::{Client, ErrorKind, Phase},
};
use ureq::config::IpFamily;

use super::{
    agent, config, get, kind,
    peers::{Backlog, Peer, site},
    plain_agent,
    process::assert_was_late,
};
use crate::support::{
    AT_ONCE, Child, Flavour, assert_books, eventually, in_child, threads_named, watched,
};

/// What the threads that look names up are called.
const RESOLVERS: &str = "longshore-dns";

/// How many of them there may be.
const MOST: usize = 4;

/// F4, H18.
#[test]
fn lookups_that_hang_hold_four_threads_and_nobody_up() {
    let test = concat!(
        module_path!(),
        "::lookups_that_hang_hold_four_threads_and_nobody_up"
    );
    in_a_network_of_its_own(test, 20, hanging_lookups);
}

/// What is given up while it waits for a thread is not looked up later, before what is wanted.
#[test]
fn names_that_were_given_up_do_not_stand_in_the_way() {
    let test = concat!(
        module_path!(),
        "::names_that_were_given_up_do_not_stand_in_the_way"
    );
    in_a_network_of_its_own(test, 1, names_given_up);
}

/// H19. The one that answers is found, whether the other refuses or is silent.
#[test]
fn a_host_with_two_addresses_is_reached_at_either() {
    let test = concat!(
        module_path!(),
        "::a_host_with_two_addresses_is_reached_at_either"
    );
    in_a_network_of_its_own(test, 2, two_addresses);
}

/// H18. Either way it is the name that is wrong, and at once.
#[test]
fn a_name_server_that_has_no_answer_is_an_error_at_once() {
    let test = concat!(
        module_path!(),
        "::a_name_server_that_has_no_answer_is_an_error_at_once"
    );
    in_a_network_of_its_own(test, 21, no_answers);
}

/// H18. ureq has room for sixteen.
#[test]
fn a_host_may_have_a_hundred_addresses() {
    let test = concat!(module_path!(), "::a_host_may_have_a_hundred_addresses");
    in_a_network_of_its_own(test, 4, hundred_addresses);
}

/// Runs a test in a network where lookups hang for so many seconds, or somewhat more.
fn in_a_network_of_its_own(test: &str, seconds: u32, body: fn()) {
    if in_child() {
        return watched(body);
    }
    let files = std::env::temp_dir().join(format!("longshore-{}-{seconds}", std::process::id()));
    let files = Files::new(files, seconds);
    let mount = format!(
        "ip link set lo up && cd '{}' && mount --bind resolv.conf /etc/resolv.conf && \
         mount --bind hosts /etc/hosts && cd / && exec \"$@\"",
        files.0.display()
    );
    let wrapper = ["unshare", "-mn", "sh", "-c", &mount, "sh"];
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
}

/// What the system knows of names there, for as long as it is needed.
struct Files(PathBuf);

impl Files {
    fn new(at: PathBuf, seconds: u32) -> Self {
        // Of a process that had this number before, and was killed.
        let _ = fs::remove_dir_all(&at);
        fs::create_dir(&at).expect("nobody else has it");
        let options = format!("nameserver 127.0.0.1\noptions timeout:{seconds} attempts:1\n");
        fs::write(at.join("resolv.conf"), options).unwrap();
        let mut hosts = "127.0.0.1 localhost\n127.0.0.1 two.test\n127.0.0.9 two.test\n".to_owned();
        for last in 1..=100 {
            hosts.push_str(&format!("127.0.1.{last} many.test\n"));
        }
        fs::write(at.join("hosts"), hosts).unwrap();
        Self(at)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
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
            assert_was_late(task.await);
        }
        let client = Client::new(lane.clone(), agent.clone());
        for time in [timeout, AT_ONCE] {
            let late = client.get("http://late.test/").timeout(time).send();
            let error = late.await.unwrap_err();
            assert!(error.is_timeout() && error.is_retryable(), "{error:?}");
            // On a machine that is busy it may not even have had a thread by then.
            if error.phase() == Some(Phase::Resolve) {
                break;
            }
            assert!(time < AT_ONCE, "{error:?}");
        }
        eventually("the threads are free", is_free).await;
        // Half of what a lookup takes.
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
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
    assert_eq!(get(&plain_agent(), &peer.url("/ok")).unwrap(), "0");
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

fn two_addresses() {
    // The other is nearer to where calls come from, which is why the system has it first.
    let listener = TcpListener::bind(("127.0.0.9", 0)).unwrap();
    let peer = Peer::on(listener, std::sync::Arc::new(site));
    let url = peer.url_at("two.test", "/ok");
    let begun = Instant::now();
    // Nobody listens at the other. Silent, it would have half of ten seconds.
    get(&plain_agent(), &url).unwrap();
    assert!(begun.elapsed() < AT_ONCE);
    // Somebody does, and takes no more.
    let full = TcpListener::bind(("127.0.0.1", peer.port())).unwrap();
    let _backlog = Backlog::of(full);
    let (timeout, begun) = (Duration::from_secs(4), Instant::now());
    get(
        &agent(config().timeout_connect(Some(timeout)).build()),
        &url,
    )
    .unwrap();
    assert!(
        begun.elapsed() >= timeout / 2,
        "the silent one was not the first"
    );
}

fn no_answers() {
    const SERVER_FAILURE: u8 = 2;
    const NO_SUCH_NAME: u8 = 3;

    let server = UdpSocket::bind("127.0.0.1:53").expect("this network is ours");
    thread::spawn(move || {
        let mut message = [0; 512];
        loop {
            let (length, from) = server.recv_from(&mut message).unwrap();
            // The name begins with its length.
            let word = if message[13] == b'f' {
                SERVER_FAILURE
            } else {
                NO_SUCH_NAME
            };
            // A response, with no recursion to be had.
            (message[2], message[3]) = (message[2] | 0x80, word);
            server.send_to(&message[..length], from).unwrap();
        }
    });
    let lane = Lane::builder("asks")
        .limit(1)
        .own_threads(Threads::new())
        .build();
    let client = Client::new(lane.clone(), agent(config().build()));
    Flavour::CurrentThread.runtime().block_on(async {
        for name in ["fails.test", "nobody.test"] {
            let begun = Instant::now();
            let error = client
                .get(format!("http://{name}/"))
                .send()
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Resolve, "{error:?}");
            assert_eq!(error.phase(), Some(Phase::Resolve), "{error:?}");
            assert!(error.is_retryable(), "{error:?}");
            assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        }
    });
    assert_books(&lane.stats());
}

fn hundred_addresses() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let peer = Peer::on(listener, std::sync::Arc::new(site));
    let url = peer.url_at("many.test", "/ok");
    assert_eq!(get(&agent(config().build()), &url).unwrap(), "0");
    // None of them is of that kind.
    let six = agent(config().ip_family(IpFamily::Ipv6Only).build());
    assert_eq!(kind(&get(&six, &url).unwrap_err()), "dns");
    drop(peer);
    // Each of those that there is room for refuses.
    let begun = Instant::now();
    let error = get(&agent(config().build()), &url).unwrap_err();
    assert_eq!(kind(&error), "io", "{error:?}");
    assert!(begun.elapsed() < AT_ONCE);
}
