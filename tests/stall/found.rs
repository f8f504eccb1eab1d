//! What is found, and what is said of it.

use std::{
    fs,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use longshore::stall::{Cause, Certainty, Stall, Watch, watched};
use tokio::task::JoinHandle;

use crate::support::{Flavour, Gate, Opener, PATIENCE, Watched};

#[track_caller]
pub(crate) fn assert_sound(stall: &Stall, end: &Stall) {
    assert!(stall.stalled_for >= Duration::from_millis(100), "{stall:?}");
    assert!(stall.total.is_none());
    assert!(end.total >= Some(stall.stalled_for), "{end:?}");
    assert!(
        stall.worker.is_some() && stall.thread.is_some(),
        "{stall:?}"
    );
    assert!(
        stall
            .to_string()
            .ends_with("move it behind longshore::offload")
    );
}

/// The next poll is another one, though the worker did not pause in between.
#[test]
fn what_is_ignored_does_not_hide_the_next() {
    crate::support::in_time(|| {
        let watch = Watch::new().ignore("stall/found.rs");
        let watched_runtime = Watched::with(Flavour::CurrentThread, watch);
        let (gate, opener) = Gate::new();
        let watching = watched_runtime.watching.clone();
        thread::scope(|scope| {
            let (runtime, theirs) = (&watched_runtime.runtime, &watching);
            scope.spawn(move || {
                theirs.block_on(runtime, async move {
                    // Both are in the queue before either runs.
                    let ignored =
                        tokio::spawn(watched(async { thread::sleep(Duration::from_millis(300)) }));
                    let told = tokio::spawn(crate::support::elsewhere(async move { gate.wait() }));
                    ignored.await.unwrap();
                    told.await.unwrap();
                });
            });
            let told = watched_runtime.begun.recv_timeout(PATIENCE);
            drop(opener);
            let told = told.expect("the second is reported");
            assert_eq!(told.cause, Cause::LockWait, "{told:?}");
        });
    });
}

on_both! {
    fn a_sleep_is_named_with_its_length(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let length = Duration::from_secs(2);
        let (stall, end) = watched.stall(move |gate| gate.sleep_until_open(length));
        assert_sound(&stall, &end);
        assert_eq!(stall.certainty, Certainty::OneCall);
        let call = stall.call.as_ref().expect("the call is known");
        assert_eq!(call.syscall, "clock_nanosleep");
        assert!(call.timeout.is_none_or(|timeout| timeout == length), "{call:?}");
    }

    fn a_lock_is_told_from_a_call(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let lock = Arc::new(Mutex::new(()));
        let (stall, end) = watched.stall(move |gate| {
            let theirs = lock.clone();
            let (held, is_held) = std::sync::mpsc::channel();
            let holder = thread::spawn(move || {
                let _guard = theirs.lock().unwrap();
                held.send(()).unwrap();
                gate.wait();
            });
            is_held.recv().unwrap();
            drop(lock.lock().unwrap());
            holder.join().unwrap();
        });
        assert_sound(&stall, &end);
        assert_eq!(stall.cause, Cause::LockWait);
        assert_eq!(stall.certainty, Certainty::OneCall);
        assert!(stall.call.as_ref().is_some_and(|call| call.is_lock()));
    }

    fn a_file_is_named_by_its_path(flavour: Flavour) {
        let watched = Watched::new(flavour);
        // A queue in the file system: to open it blocks until somebody opens the other end.
        let path = std::env::temp_dir().join(format!("longshore {flavour:?} {}", std::process::id()));
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let theirs = path.clone();
        let (stall, end) = watched.stall(move |gate| {
            let writer = theirs.clone();
            let opens = thread::spawn(move || {
                gate.wait();
                fs::OpenOptions::new().write(true).open(writer).unwrap();
            });
            fs::File::open(theirs).unwrap();
            opens.join().unwrap();
        });
        fs::remove_file(&path).unwrap();
        assert_sound(&stall, &end);
        let call = stall.call.as_ref().expect("the call is known");
        assert_eq!((&*call.syscall, call.path.as_ref()), ("openat", Some(&path)));
    }

    fn many_short_calls_in_one_poll_are_told_as_many(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let (stall, end) = watched.stall(|gate| {
            while !gate.is_open() {
                thread::sleep(Duration::from_millis(45));
            }
        });
        assert_sound(&stall, &end);
        assert_eq!(stall.certainty, Certainty::ManyCalls);
        assert_eq!(stall.call.as_ref().map(|call| &*call.syscall), Some("clock_nanosleep"));
    }

    fn a_worker_that_computes_is_told_when_that_is_asked_for(flavour: Flavour) {
        let watch = Watch::new().cpu_threshold(Duration::from_millis(100));
        let watched = Watched::with(flavour, watch);
        let (stall, end) = watched.stall(|gate| {
            while !gate.is_open() {
                std::hint::spin_loop();
            }
        });
        assert_sound(&stall, &end);
        assert!(matches!(stall.cause, Cause::Cpu { .. }), "{stall:?}");
        assert_eq!(stall.certainty, Certainty::UpToTicks(61));
        assert!(stall.call.is_none());
    }

    fn a_watched_poll_that_computes_is_certain(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        let (gate, opener) = Gate::new();
        let line = line!() + 4;
        thread::scope(|scope| {
            let (watching, runtime) = (&watched_runtime.watching, &watched_runtime.runtime);
            scope.spawn(move || {
                let task = watched(async move {
                    while !gate.is_open() {
                        std::hint::spin_loop();
                    }
                });
                watching.block_on(runtime, async {
                    tokio::spawn(task).await.unwrap();
                });
            });
            let stall = watched_runtime.begun.recv_timeout(PATIENCE);
            drop(opener);
            let stall = stall.expect("it is reported");
            assert!(matches!(stall.cause, Cause::Cpu { .. }), "{stall:?}");
            assert_eq!(stall.certainty, Certainty::OnePoll);
            assert!(stall.is_at(&format!("stall/found.rs:{line}")), "{stall} {line}");
            assert!(stall.task.is_some());
            assert!(stall.worker.is_some());
        });
    }

    fn a_watched_poll_that_blocks_is_told_once(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let (watching, runtime) = (&watched_runtime.watching, &watched_runtime.runtime);
            scope.spawn(move || {
                watching.block_on(runtime, async {
                    tokio::spawn(watched(async move { gate.wait() })).await.unwrap();
                });
            });
            let stall = watched_runtime.begun.recv_timeout(PATIENCE);
            crate::support::wait_for_looks(&watched_runtime.watching, crate::support::LOOKS);
            drop(opener);
            let stall = stall.expect("it is reported");
            assert_eq!(stall.certainty, Certainty::OneCall);
            assert!(stall.is_at("stall/found.rs"), "{stall}");
            assert_eq!(watched_runtime.begun.try_recv().err(), Some(std::sync::mpsc::TryRecvError::Empty));
        });
    }

    /// On a multi-thread runtime this is on no worker, and is seen for being watched.
    fn the_future_of_block_on_is_seen(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let (watching, runtime) = (&watched.watching, &watched.runtime);
            scope.spawn(move || {
                watching.block_on(runtime, async { gate.wait() });
            });
            let stall = watched.begun.recv_timeout(PATIENCE);
            drop(opener);
            let stall = stall.expect("it is reported");
            assert!(stall.is_at("stall/found.rs"), "{stall}");
            assert_eq!(stall.worker.is_some(), flavour == Flavour::CurrentThread);
        });
    }

    fn the_first_poll_of_a_fresh_runtime_is_seen(flavour: Flavour) {
        for _ in 0..3 {
            let watched = Watched::fresh(&mut flavour.builder(), Watch::new());
            let (stall, end) = watched.stall(|gate| gate.wait());
            assert_sound(&stall, &end);
            assert_eq!(stall.cause, Cause::LockWait);
        }
    }
}

#[test]
fn a_stall_after_another_is_told_again() {
    let watched = Watched::new(Flavour::MultiThread);
    for _ in 0..3 {
        let (stall, end) = watched.stall(|gate| gate.wait());
        assert_sound(&stall, &end);
    }
    assert_eq!(watched.watching.stalls(), 3);
}

/// So many gates, and who opens them.
fn gates(count: usize) -> (Vec<Gate>, Vec<Opener>) {
    (0..count).map(|_| Gate::new()).unzip()
}

impl Watched {
    /// Has tasks on the thread of a runtime that waits at its gate each, all of them in the queue before the
    /// first runs, and opens the gate of each when it is reported.
    #[track_caller]
    fn one_by_one(
        &self,
        openers: Vec<Opener>,
        task: impl Fn(usize) -> JoinHandle<()> + Send,
    ) -> Vec<Stall> {
        let count = openers.len();
        thread::scope(|scope| {
            let (watching, runtime) = (&self.watching, &self.runtime);
            scope.spawn(move || {
                watching.block_on(runtime, async {
                    let tasks: Vec<_> = (0..count).map(task).collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            });
            let told = openers.into_iter().enumerate().map(|(at, opener)| {
                let told = self.begun.recv_timeout(PATIENCE);
                drop(opener);
                told.unwrap_or_else(|_| panic!("stall {at} is not reported"))
            });
            told.collect()
        })
    }
}

/// A service that is busy never parks its workers.
#[test]
fn calls_without_a_pause_are_told_one_by_one() {
    crate::support::in_time(|| {
        let watched = Watched::new(Flavour::CurrentThread);
        let (gates, openers) = gates(3);
        let begun = Instant::now();
        let told = watched.one_by_one(openers, |at| {
            let gate = gates[at].clone();
            tokio::spawn(async move { gate.wait() })
        });
        let all = begun.elapsed();
        let mut together = Duration::ZERO;
        for stall in told {
            assert_eq!(stall.certainty, Certainty::OneCall, "{stall:?}");
            let end = watched.ended.recv_timeout(PATIENCE).expect("it ends");
            together += end.total.expect("it is over");
        }
        // Each is the length of one, and not of all that were before it: twice as much.
        assert!(together < all * 3 / 2, "{together:?} of {all:?}");
        assert_eq!(watched.watching.stalls(), 3);
    });
}

/// Short polls that are watched as well, before and after it, are not taken for it.
#[test]
fn among_many_polls_each_that_blocks_is_found() {
    crate::support::in_time(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all();
        // Short, so that it can be tried often: to be taken for another is a matter of chance.
        let watch = Watch::new()
            .threshold(Duration::from_millis(30))
            .without_cpu();
        let watched_runtime = Watched::built_by(&mut builder, watch);
        let runtime = &watched_runtime.runtime;
        let (gate, opener) = Gate::new();
        for _ in 0..2 {
            let gate = gate.clone();
            runtime.spawn(watched(async move {
                while !gate.is_open() {
                    tokio::task::yield_now().await;
                }
            }));
        }
        for round in 0..30 {
            // At another point between two looks each time, and after some of them.
            thread::sleep(Duration::from_micros(12_000 + 337 * round));
            let (blocks, release) = Gate::new();
            let blocked = runtime.spawn(watched(async move { blocks.wait() }));
            let told = watched_runtime.begun.recv_timeout(PATIENCE);
            drop(release);
            told.unwrap_or_else(|_| panic!("that of round {round} is not reported"));
            runtime.block_on(blocked).unwrap();
        }
        drop(opener);
    });
}

/// One after the other without a pause, watched and not.
#[test]
fn a_watched_poll_does_not_hide_the_next_that_is_not() {
    crate::support::in_time(|| {
        let watched_runtime = Watched::new(Flavour::CurrentThread);
        let (gates, openers) = gates(8);
        watched_runtime.one_by_one(openers, |at| {
            let gate = gates[at].clone();
            let blocks = async move {
                gate.wait();
                // At another point between two looks each time.
                thread::sleep(Duration::from_micros(1_300 * at as u64));
            };
            if at % 2 == 0 {
                tokio::spawn(watched(blocks))
            } else {
                tokio::spawn(blocks)
            }
        });
    });
}
