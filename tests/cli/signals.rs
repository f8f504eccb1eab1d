//! Row L4: signals, and readers that go away.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::peer::Peer;
use crate::run::{Done, Running, Serving, command, run, shell};

/// How soon a run ends that is told to.
const PROMPT: Duration = Duration::from_millis(500);

/// Has something end promptly, which gives how long it took from the signal on: in one of three tries, as
/// the machine may have other things to do. What comes to an end before it has said all counts as late.
#[track_caller]
pub(crate) fn promptly(ends: impl FnMut() -> Duration) {
    promptly_once_in(3, ends);
}

/// The same, with so many tries.
#[track_caller]
fn promptly_once_in(tries: u32, mut ends: impl FnMut() -> Duration) {
    let mut tries = (0..tries).map(|_| ends());
    assert!(tries.any(|took| took <= PROMPT), "it took longer each time");
}

/// Runs the comparison with a server that has answered serial and will not answer naive, and sends a
/// signal then. Gives what it leaves, and after what time.
pub(crate) fn in_the_middle(more: &[&str], signal: Signal) -> (Done, Duration) {
    let peer = Peer::start();
    peer.answer(20);
    let arguments = [
        "compare",
        "--calls=20",
        "--timeout=10m",
        "--url",
        &peer.url(),
    ];
    let mut running = Running::start(command(&[&arguments[..], more].concat()));
    running.wait_for("naive: 20 calls");
    peer.until_asked(21);
    let sent = Instant::now();
    running.signal(signal);
    let done = running.end();
    (done, sent.elapsed())
}

#[test]
fn a_signal_prints_what_there_is_and_says_that_it_is_partial() {
    let is_partial = |signal, code| {
        let (done, took) = in_the_middle(&[], signal);
        let done = done.expect_code(code);
        if !done.stdout.contains("naive (partial)") {
            // It has not come to its last words, for which it has less than the half second.
            return Duration::MAX;
        }
        assert!(done.stdout.contains("serial"), "{done:#?}");
        assert!(
            done.stdout
                .contains("not run: offloaded, spawn_blocking, rayon, native"),
            "{done:#?}"
        );
        assert!(done.stdout.contains("Interrupted"), "{done:#?}");
        took
    };
    promptly(|| is_partial(Signal::INT, 130));
    promptly(|| is_partial(Signal::TERM, 143));
}

#[test]
fn a_signal_leaves_valid_json_behind() {
    let server = Serving::start(&[]);
    let url = server.url("/hang");
    promptly(|| {
        let mut running = Running::start(command(&["compare", "--json", "--url", &url]));
        running.wait_for("this sends 120 GET requests");
        let sent = Instant::now();
        running.signal(Signal::INT);
        let done = running.end();
        let took = sent.elapsed();
        let done = done.expect_code(130);
        if done.stdout.is_empty() {
            return Duration::MAX;
        }
        assert_eq!(done.json()["interrupted"], true);
        took
    });
}

#[test]
fn two_signals_end_it_as_well() {
    promptly(|| {
        let mut running = Running::start(command(&["compare"]));
        running.wait_for("serial: 20 calls");
        let sent = Instant::now();
        running.signal(Signal::INT);
        running.signal(Signal::INT);
        let done = running.end();
        let took = sent.elapsed();
        done.expect_code(130);
        took
    });
}

#[test]
fn a_signal_ends_it_while_nobody_reads_its_output() {
    let calls = ["--calls", "2000", "--total", "2s", "--strategies", "native"];
    let arguments = [&["compare", "--json", "--speed", "1000"], &calls[..]].concat();
    // It uses most of that time: it is not ended before the time for its last words is up.
    promptly_once_in(10, || {
        let mut command = command(&arguments);
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        command.stdout(writer);
        let running = Running::with_stdout_as_set(command);
        // It has begun to write, and cannot end: no pipe holds the hundreds of KiB of 2000 calls.
        reader.read_exact(&mut [0]).expect("it writes");
        let sent = Instant::now();
        running.signal(Signal::INT);
        let done = running.end();
        let took = sent.elapsed();
        done.expect_code(130);
        took
    });
}

/// The process of the strategy that is running under the process `id`.
#[cfg(target_os = "linux")]
pub(crate) fn strategy_of(id: u32) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let path = format!("/proc/{id}/task/{id}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(child) = children.split_whitespace().next() {
            return child.to_owned();
        }
        assert!(Instant::now() < deadline, "no process was started");
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_process_is_left_behind() {
    for signal in [Signal::TERM, Signal::KILL] {
        let mut running = Running::start(command(&["compare"]));
        running.wait_for("serial: 20 calls");
        let child = strategy_of(running.id());
        running.signal(signal);
        running.end();
        // Killed, it cannot end the process of its strategy, which has to see that by itself. It
        // may stay as a zombie if nobody here collects those.
        let deadline = Instant::now() + Duration::from_secs(20);
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| !rest.trim().is_empty() && !rest.starts_with(" Z"))
        };
        while alive() {
            assert!(
                Instant::now() < deadline,
                "{signal:?} leaves a process behind"
            );
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut command = command(&["compare", "--speed", "200"]);
    command.stdout(Stdio::piped());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    command.stdout(writer);
    drop(reader);
    let running = Running::with_stdout_as_set(command);
    running.end().expect_code(0);
    let done = Running::start(shell(
        "head -c 0 </dev/null; \"$1\" --help | head -1; exit 0;",
        &[],
    ));
    assert!(
        done.end()
            .expect_code(0)
            .stdout
            .starts_with("Takes blocking calls")
    );
}

#[test]
fn a_closed_or_full_standard_output_is_told_and_no_panic() {
    let fast = ["compare", "--speed", "200"];
    Running::start(shell("exec >&-; exec", &fast))
        .end()
        .expect_code(0);
    Running::start(shell("exec 2>&-; exec", &fast))
        .end()
        .expect_code(0);
    if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
        for extra in [&[][..], &["--json"]] {
            let mut command = command(&[&fast[..], extra].concat());
            command.stdout(full.try_clone().expect("another handle"));
            let done = Running::with_stdout_as_set(command).end().expect_code(1);
            assert!(
                done.stderr.contains("could not write to standard output"),
                "{done:#?}"
            );
        }
    }
}

#[test]
fn a_server_ends_cleanly_on_a_signal() {
    // The server has said where it listens by the time this has it. A signal that comes earlier
    // would do here whatever it does to the shell that started the tests.
    let mut server = Serving::start(&["--latency", "1m"]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let mut server = Serving::start(&[]);
    server.signal(Signal::INT);
    assert_eq!(server.wait(), Some(0));
    run(&[
        "compare",
        "--url",
        &server.url("/"),
        "--calls",
        "1",
        "--quiet",
    ])
    .expect_code(1);
}
