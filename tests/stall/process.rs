//! Processes in trouble: stopped, closed to inspection, stripped.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use longshore::stall::{Cause, Certainty, Watch};
use rustix::{
    process::{DumpableBehavior, Pid, Signal, kill_process, set_dumpable_behavior},
    thread::set_thread_uid,
};

use crate::support::{
    Flavour, Gate, LOOKS, PATIENCE, Watched, assert_quiet, child, child_of, compute, in_child,
    in_time, looks, passes, wait_for_looks,
};

macro_rules! this_test {
    ($name:literal) => {
        concat!(module_path!(), "::", $name)
    };
}

/// Ends the process when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Blocked or not: what sleeps in a process that is stopped sleeps no longer than that.
#[test]
fn a_process_that_is_stopped_and_goes_on_reports_nothing() {
    if in_child() {
        return naps(Watch::new(), [20, 20]);
    }
    in_time(|| {
        let name = this_test!("a_process_that_is_stopped_and_goes_on_reports_nothing");
        is_stopped(child(name), &[1200]);
    });
}

/// The same of sleeps that are nearly too long: the watchdog has seen enough of them for half of its
/// threshold, and not for the other half.
#[test]
fn a_process_that_is_stopped_in_a_long_sleep_reports_nothing() {
    if in_child() {
        // Of a long threshold, as others may keep the machine from seeing the end of one in time.
        let watch = Watch::new().threshold(5 * Duration::from_millis(100));
        return naps(watch, [5 * 20, 5 * 60]);
    }
    in_time(|| {
        let name = this_test!("a_process_that_is_stopped_in_a_long_sleep_reports_nothing");
        is_stopped(child(name), &[5 * 1200, 5 * 400]);
    });
}

/// Has workers sleep for so many milliseconds each, over and over, and compute, while the process is
/// stopped.
fn naps(watch: Watch, times: [u64; 2]) {
    let multi = Watched::with(Flavour::MultiThread, watch);
    for time in times {
        multi.runtime.spawn(async move {
            loop {
                thread::sleep(Duration::from_millis(time));
                tokio::time::sleep(Duration::from_millis(1)).await;
                compute(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        });
    }
    wait_for_looks(&multi.watching, 5);
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    wait_for_looks(&multi.watching, 5 * LOOKS);
    assert_quiet(&multi.watching, &multi.begun);
}

/// Stops it for so many milliseconds each, once it is ready, and has it end well.
#[track_caller]
fn is_stopped(mut command: Command, times: &[u64]) {
    let mut child = Killed(command.stdin(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended");
    }
    let pid = Pid::from_child(&child.0);
    for time in times {
        kill_process(pid, Signal::STOP).unwrap();
        thread::sleep(Duration::from_millis(*time));
        kill_process(pid, Signal::CONT).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    child.0.stdin.take().unwrap().write_all(b"on\n").unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let mut error = child.0.stderr.take().unwrap();
    error.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("1 passed"), "{rest}");
    assert!(child.0.wait().unwrap().success());
}

/// A child is another program, and what goes on in its parent is no concern of it.
#[test]
fn a_process_may_start_others_while_it_is_stalled() {
    in_time(|| {
        let watched = Watched::new(Flavour::MultiThread);
        let (gate, opener) = Gate::new();
        let blocked = watched.runtime.spawn(async move { gate.wait() });
        watched.begun.recv_timeout(PATIENCE).expect("it is told");
        for child in 0..5 {
            let output = Command::new("sh")
                .args(["-c", "echo $((6 * $0)) && exec sleep 0.02"])
                .arg(child.to_string())
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(output.stdout, format!("{}\n", 6 * child).into_bytes());
        }
        wait_for_looks(&watched.watching, 3);
        drop(opener);
        watched.runtime.block_on(blocked).unwrap();
        watched.ended.recv_timeout(PATIENCE).expect("it is over");
        assert_eq!(watched.watching.stalls(), 1);
    });
}

/// Whoever waits for a child to end is stalled as by anything else, and the child ends as it would.
#[test]
fn to_wait_for_another_process_is_a_stall() {
    in_time(|| {
        let watched = Watched::new(Flavour::MultiThread);
        let (stall, _) = watched.stall(|gate| {
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let input = child.stdin.take().unwrap();
            // Until its input ends, which is when this is told.
            let feeds = thread::spawn(move || {
                gate.wait();
                drop(input);
            });
            assert!(child.wait().unwrap().success());
            feeds.join().unwrap();
        });
        assert_eq!(
            (stall.cause, stall.certainty),
            (Cause::BlockingCall, Certainty::OneCall)
        );
        let call = stall.call.expect("it is known");
        assert!(["wait4", "waitid"].contains(&&*call.syscall), "{call}");
    });
}

/// It is seen that it sleeps, and whether on a lock, and not in what.
#[test]
fn a_process_that_may_not_be_looked_into_is_told_less() {
    if !in_child() {
        return passes(child(this_test!(
            "a_process_that_may_not_be_looked_into_is_told_less"
        )));
    }
    if rustix::process::getuid().is_root() {
        // Root may look into anything. To the system a user is the thread's, and those that are
        // started from here on have it too.
        let nobody = rustix::process::Uid::from_raw(65_534);
        set_thread_uid(nobody).unwrap();
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable).unwrap();
    assert!(
        fs::read("/proc/thread-self/syscall").is_err(),
        "it can be looked into all the same"
    );
    for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
        let watched = Watched::new(flavour);
        let (stall, end) = watched.stall(|gate| gate.wait());
        assert_eq!(stall.certainty, Certainty::OneCall, "{stall:?}");
        assert_eq!(stall.call, None);
        assert!(
            matches!(stall.cause, Cause::LockWait | Cause::BlockingCall),
            "{stall:?}"
        );
        assert!(end.total.is_some());
        let sleeps = |gate: Gate| gate.sleep_until_open(Duration::from_secs(2));
        let (stall, _) = watched.stall(sleeps);
        assert_eq!(
            (stall.cause, stall.call.as_ref()),
            (Cause::BlockingCall, None),
            "{stall}"
        );
        assert!(stall.to_string().starts_with("worker "), "{stall}");
        watched.is_quiet_since(2, async {
            looks(&watched.watching, LOOKS).await;
        });
    }
}

/// Calls, peers and places are no symbols.
#[test]
fn a_stripped_binary_is_told_all_the_same() {
    if in_child() {
        let watched = Watched::new(Flavour::MultiThread);
        let sleeps = |gate: Gate| gate.sleep_until_open(Duration::from_secs(2));
        let (stall, _) = watched.stall(sleeps);
        assert_eq!(
            stall.call.as_ref().map(|call| &*call.syscall),
            Some("clock_nanosleep")
        );
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let (watching, runtime) = (&watched.watching, &watched.runtime);
            scope.spawn(move || watching.block_on(runtime, async move { gate.wait() }));
            let stall = watched.begun.recv_timeout(PATIENCE);
            drop(opener);
            assert!(stall.unwrap().is_at("stall/process.rs"));
        });
        return;
    }
    let stripped = env::temp_dir().join(format!("longshore-stripped-{}", std::process::id()));
    let strip = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(env::current_exe().unwrap())
        .status();
    match strip {
        Ok(status) => assert!(status.success()),
        // Without the tool there is nothing to be tested with.
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => panic!("{error}"),
    }
    let command = child_of(
        stripped.clone(),
        this_test!("a_stripped_binary_is_told_all_the_same"),
    );
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| passes(command)));
    fs::remove_file(&stripped).unwrap();
    if let Err(payload) = result {
        std::panic::resume_unwind(payload);
    }
}

/// What could not be opened for a while is opened later: a worker is not out of sight for good.
#[test]
fn a_process_that_had_no_descriptors_left_is_seen_again() {
    if !in_child() {
        return passes(child(this_test!(
            "a_process_that_had_no_descriptors_left_is_seen_again"
        )));
    }
    in_time(|| {
        let watched = Watched::new(Flavour::MultiThread);
        let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let few = rustix::process::Rlimit {
            current: Some(64),
            ..limits
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
        let taken: Vec<fs::File> =
            std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        assert!(!taken.is_empty());
        let (gate, opener) = Gate::new();
        let blocked = watched.runtime.spawn(async move { gate.wait() });
        // Long enough for it to be looked at, and not for it to be told as something unknown.
        wait_for_looks(&watched.watching, LOOKS);
        drop(taken);
        let told = watched.begun.recv_timeout(PATIENCE);
        drop(opener);
        watched.runtime.block_on(blocked).unwrap();
        let stall = told.expect("it is told");
        assert_eq!(
            (stall.cause, stall.certainty),
            (Cause::LockWait, Certainty::OneCall),
            "{stall}"
        );
    });
}
