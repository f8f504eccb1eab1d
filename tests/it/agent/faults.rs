//! S2: system calls that fail, one of them at a time, in a process of its own. An error of the call
//! at worst: no panic, no hang, and a cancel is still one.
//!
//! It takes two tools, as the agent's system calls take two ways. What the standard library reads
//! and writes goes by way of libc, where `fiu-run` has some fail at random. What goes past libc, as
//! rustix does it, only the system itself can have fail, which it does for `strace`. `shutdown(2)` is
//! not among them: a cancel does nothing to the socket.
//!
//! A run in which no call has failed shows nothing, so each has to say that some did. Skipped, and
//! said so, where a tool is missing or may not trace.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use longshore::{Lane, lane::Threads};

use super::{agent, config, get, peers_elsewhere, with_peers_elsewhere};
use crate::support::{AT_ONCE, assert_books, in_child, settles, watched};

/// How the process is told what comes of the fault.
const THEN: &str = "LONGSHORE_THEN";

const CALLS: usize = 200;

/// What a fault means to the calls in which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// They fail.
    Fails,
    /// Nothing: the system call is made again, or done without.
    Goes,
}

use Then::{Fails, Goes};

#[test]
fn what_fails_in_the_library_of_the_system_is_an_error_and_nothing_worse() {
    let test = concat!(
        module_path!(),
        "::what_fails_in_the_library_of_the_system_is_an_error_and_nothing_worse"
    );
    if in_child() {
        return watched(calls_that_may_fail);
    }
    if Command::new("fiu-run").arg("-h").output().is_err() {
        return eprintln!("skipped: fiu-run is not installed");
    }
    for call in ["send", "recv"] {
        let fault = format!("enable_random name=posix/io/net/{call},probability=0.1");
        run(test, &["fiu-run", "-x", "-c", &fault], Fails);
    }
}

#[test]
fn what_fails_in_the_system_is_an_error_and_nothing_worse() {
    let test = concat!(
        module_path!(),
        "::what_fails_in_the_system_is_an_error_and_nothing_worse"
    );
    if in_child() {
        return watched(calls_that_may_fail);
    }
    for (call, error, then) in [
        ("socket", "ENOBUFS", Fails),
        ("connect", "ENETUNREACH", Fails),
        ("ppoll", "ENOMEM", Fails),
        ("ppoll", "EINTR", Goes),
        ("eventfd2", "ENFILE", Goes),
        ("sendto", "EIO", Fails),
        ("sendto", "EINTR", Goes),
        ("recvfrom", "EIO", Fails),
        ("recvfrom", "EINTR", Goes),
    ] {
        let log = Log::new(call, error);
        // The first that a thread makes, and every third from there on.
        let fault = format!("inject={call}:error={error}:when=1+3");
        let trace = format!("trace={call}");
        let file = log.0.to_str().expect("it is text");
        let wrapper = [
            "strace",
            "-f",
            // The other calls, of which there are many more, are as fast as ever.
            "--seccomp-bpf",
            "-qq",
            "-o",
            file,
            "-e",
            &trace,
            "-e",
            &fault,
        ];
        let may_trace = Command::new(wrapper[0])
            .args(&wrapper[1..])
            .arg("true")
            .output()
            .is_ok_and(|output| output.status.success());
        if !may_trace {
            return eprintln!("skipped: strace is not installed, or may not trace");
        }
        run(test, &wrapper, then);
        let seen = fs::read_to_string(&log.0).expect("strace has written it");
        let faults = seen.matches("(INJECTED)").count();
        assert!(faults > 0, "{call} never failed");
    }
}

/// What `strace` has seen, for as long as it is needed.
struct Log(PathBuf);

impl Log {
    fn new(call: &str, error: &str) -> Self {
        let name = format!("longshore-{}-{call}-{error}", std::process::id());
        Self(env::temp_dir().join(name))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[track_caller]
fn run(test: &str, wrapper: &[&str], then: Then) {
    let then = match then {
        Fails => "fails",
        Goes => "goes",
    };
    let told = format!("{THEN}={then}");
    let wrapper: Vec<_> = ["env", &told]
        .into_iter()
        .chain(wrapper.iter().copied())
        .collect();
    with_peers_elsewhere(test, &wrapper);
}

fn calls_that_may_fail() {
    let then = match env::var(THEN).as_deref() {
        Ok("goes") => Goes,
        _ => Fails,
    };
    let config = || config().timeout_global(Some(Duration::from_secs(10)));
    // One that has a connection for most of its calls, and one that makes one for each.
    let agents = [
        agent(config().build()),
        agent(config().max_idle_connections(0).build()),
    ];
    let lane = Lane::builder("faulty")
        .limit(4)
        .own_threads(Threads::new())
        .build();
    let urls = peers_elsewhere();
    let mut good = 0;
    for call in 0..CALLS {
        let (agent, url) = (agents[call % 2].clone(), urls[call / 2 % 2].clone());
        // No runtime: that has system calls of its own.
        let told = futures::executor::block_on(lane.offload(move || get(&agent, &url)));
        good += usize::from(told.expect("no panic").is_ok());
    }
    match then {
        Fails => assert!((1..CALLS).contains(&good), "{good} of {CALLS} were good"),
        Goes => assert_eq!(good, CALLS),
    }
    for call in 0..20 {
        let agent = agents[call % 2].clone();
        let url = urls[call / 2 % 2].replace("/ok", "/silent");
        let task = lane.offload(move || get(&agent, &url));
        // Wherever it is by then.
        std::thread::sleep(Duration::from_millis(call as u64 / 2));
        let cancelled = Instant::now();
        drop(task);
        settles("the thread is free", || {
            let stats = lane.stats();
            stats.running + stats.draining == 0
        });
        assert!(cancelled.elapsed() < AT_ONCE);
    }
    assert_books(&lane.stats());
}
