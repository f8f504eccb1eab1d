//! Processes and machines in trouble: stopped, closed to inspection, stripped, short of processors.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use longshore::stall::{Cause, Certainty, Watch};
use rustix::{
    process::{DumpableBehavior, Pid, Signal, kill_process, set_dumpable_behavior},
    thread::set_thread_uid,
};

use crate::support::{
    Flavour, Gate, LOOKS, PATIENCE, Watched, assert_quiet, child, child_of, compute, in_child,
    in_time, listen, looks, passes, wait_for_looks,
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
        let multi = Watched::new(Flavour::MultiThread);
        let runtime = &multi.runtime;
        // Half of what would be too long, over and over, and computing.
        for _ in 0..2 {
            runtime.spawn(async {
                loop {
                    thread::sleep(Duration::from_millis(20));
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
        wait_for_looks(&multi.watching, LOOKS);
        return assert_quiet(&multi.watching, &multi.begun);
    }
    in_time(|| {
        let mut command = child(this_test!(
            "a_process_that_is_stopped_and_goes_on_reports_nothing"
        ));
        let mut child = Killed(command.stdin(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended");
        }
        let pid = Pid::from_child(&child.0);
        for _ in 0..3 {
            kill_process(pid, Signal::STOP).unwrap();
            thread::sleep(Duration::from_millis(400));
            kill_process(pid, Signal::CONT).unwrap();
            thread::sleep(Duration::from_millis(50));
        }
        child.0.stdin.take().unwrap().write_all(b"on\n").unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("1 passed"), "{rest}");
        assert!(child.0.wait().unwrap().success());
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
        let (stall, _) = watched.stall(|_| thread::sleep(Duration::from_millis(700)));
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
        let (stall, _) = watched.stall(|_| thread::sleep(Duration::from_millis(700)));
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

/// Keeps all processors busy until it is dropped.
struct Overload {
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Overload {
    fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let processors = thread::available_parallelism().unwrap().get();
        let threads = (0..=processors)
            .map(|_| {
                let over = over.clone();
                thread::spawn(move || {
                    while !over.load(SeqCst) {
                        compute(Duration::from_millis(1));
                    }
                })
            })
            .collect();
        Self { over, threads }
    }
}

impl Drop for Overload {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

on_both! {
    fn a_machine_that_is_short_of_processors_is_nobodys_stall(flavour: Flavour) {
        let _overload = Overload::begin();
        let watched_runtime = Watched::new(flavour);
        watched_runtime.is_quiet(async {
            let (gate, opener) = Gate::new();
            let mut tasks = Vec::new();
            for _ in 0..8 {
                let gate = gate.clone();
                tasks.push(tokio::spawn(longshore::stall::watched(async move {
                    while !gate.is_open() {
                        compute(Duration::from_millis(2));
                        tokio::task::yield_now().await;
                    }
                })));
            }
            let theirs = gate.clone();
            tasks.push(tokio::spawn(async {
                tokio::task::spawn_blocking(move || theirs.wait()).await.unwrap();
            }));
            looks(&watched_runtime.watching, 2 * LOOKS).await;
            drop(opener);
            for task in tasks {
                task.await.unwrap();
            }
        });
    }

    fn a_stall_is_found_on_a_machine_that_is_short_of_processors(flavour: Flavour) {
        let _overload = Overload::begin();
        let watched = Watched::new(flavour);
        let (stall, _) = watched.stall(|gate| gate.wait());
        assert_eq!((stall.cause, stall.certainty), (Cause::LockWait, Certainty::OneCall));
    }
}

/// Every call that a signal would end before its time: here none is sent, so none is ended.
#[test]
fn no_blocking_call_is_interrupted() {
    in_time(|| {
        const WAIT: Duration = Duration::from_millis(150);
        type Call = Box<dyn FnOnce() + Send>;
        let calls: Vec<(&str, Call)> = vec![
            ("sleep", Box::new(|| thread::sleep(WAIT))),
            ("park", Box::new(|| thread::park_timeout(WAIT))),
            (
                "a channel",
                Box::new(|| {
                    let (_keep, never) = mpsc::channel::<()>();
                    let error = never.recv_timeout(WAIT).unwrap_err();
                    assert_eq!(error, mpsc::RecvTimeoutError::Timeout);
                }),
            ),
            (
                "a condition",
                Box::new(|| {
                    let (lock, condition) = (Mutex::new(()), std::sync::Condvar::new());
                    let (_guard, result) = condition
                        .wait_timeout_while(lock.lock().unwrap(), WAIT, |()| true)
                        .unwrap();
                    assert!(result.timed_out());
                }),
            ),
            (
                "a lock",
                Box::new(|| {
                    let lock = Arc::new(Mutex::new(()));
                    let guard = lock.lock().unwrap();
                    let theirs = lock.clone();
                    let waits = thread::spawn(move || drop(theirs.lock().unwrap()));
                    thread::sleep(WAIT);
                    drop(guard);
                    waits.join().unwrap();
                }),
            ),
            (
                "a read with a timeout",
                Box::new(|| {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                    stream.set_read_timeout(Some(WAIT)).unwrap();
                    let error = stream.read(&mut [0]).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                }),
            ),
            (
                "a read without one",
                Box::new(|| {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                    let (mut peer, _) = listener.accept().unwrap();
                    let writes = thread::spawn(move || {
                        thread::sleep(WAIT);
                        peer.write_all(b"x").unwrap();
                    });
                    assert_eq!(stream.read(&mut [0]).unwrap(), 1);
                    writes.join().unwrap();
                }),
            ),
            (
                "a datagram with a timeout",
                Box::new(|| {
                    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                    socket.set_read_timeout(Some(WAIT)).unwrap();
                    let error = socket.recv(&mut [0]).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                }),
            ),
            (
                "accept",
                Box::new(|| {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let address = listener.local_addr().unwrap();
                    let connects = thread::spawn(move || {
                        thread::sleep(WAIT);
                        drop(TcpStream::connect(address).unwrap());
                    });
                    listener.accept().unwrap();
                    connects.join().unwrap();
                }),
            ),
            (
                "poll",
                Box::new(|| {
                    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                    let mut fds = [rustix::event::PollFd::new(
                        &socket,
                        rustix::event::PollFlags::IN,
                    )];
                    let wait = rustix::event::Timespec {
                        tv_sec: 0,
                        tv_nsec: 150_000_000,
                    };
                    assert_eq!(rustix::event::poll(&mut fds, Some(&wait)), Ok(0));
                }),
            ),
            (
                "another process",
                Box::new(|| {
                    let status = Command::new("sleep").arg("0.15").status().unwrap();
                    assert!(status.success());
                }),
            ),
        ];
        let (watch, begun, _) = listen(Watch::new().threshold(Duration::from_millis(30)));
        let mut builder = Flavour::MultiThread.builder();
        // A name of its own, or threads of other tests that compute might be its workers.
        builder.thread_name("uninterrupted");
        let (runtime, watching) = watch.build(&mut builder).unwrap();
        for (name, call) in calls {
            let (start, before) = (Instant::now(), watching.looks());
            runtime
                .block_on(runtime.spawn(async move { call() }))
                .unwrap();
            // Not before its time: a little is what clocks differ by.
            assert!(start.elapsed() >= WAIT - Duration::from_millis(2), "{name}");
            assert!(watching.looks() >= before + 5, "{name} was not looked at");
        }
        assert!(begun.recv_timeout(PATIENCE).is_ok(), "none was reported");
    });
}
