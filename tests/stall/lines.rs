//! The line of the program that is to blame, by the stack of the thread.

use std::{
    sync::{
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use futures_util::FutureExt;
use longshore::stall::{Cause, Certainty, Watch, Watching};
use tokio::runtime::Runtime;

use crate::support::{
    Flavour, Gate, LOOKS, PATIENCE, Watched, child, in_child, in_time, settles, threads_named,
    wait_for_looks,
};

/// Where `waits` blocks.
static LINE: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
fn waits(gate: &Gate) {
    let (tell, told) = mpsc::channel::<()>();
    let gate = gate.clone();
    thread::spawn(move || {
        gate.wait();
        drop(tell);
    });
    LINE.store(line!() + 1, Relaxed);
    let _ = told.recv();
    std::hint::black_box(told);
}

fn line() -> String {
    format!("stall/lines.rs:{}", LINE.load(Relaxed))
}

on_both! {
    fn a_report_names_the_line_and_the_function(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let (stall, _) = watched.stall(|gate| waits(&gate));
        let blame = stall.blame().expect("it is known");
        assert!(blame.contains("waits at ") && blame.contains(&line()), "{blame}");
        assert!(stall.is_at(&line()) && stall.is_at("stall/lines.rs"), "{blame}");
        assert!(!stall.is_at("stall/lines.rs:1"), "{blame}");
        let text = stall.to_string();
        assert!(text.contains(&format!(" <- {blame}; ")), "{text}");
        let stack = stall.stack.expect("it is there");
        assert!(stack.frames().len() > 5, "{stack}");
    }

    /// The line that blocks, and then the future that it is part of.
    fn what_is_watched_is_named_as_well(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let (watching, runtime) = (&watched_runtime.watching, &watched_runtime.runtime);
            scope.spawn(move || watching.block_on(runtime, async move { waits(&gate) }));
            let stall = watched_runtime.begun.recv_timeout(PATIENCE);
            drop(opener);
            let stall = stall.expect("it is reported");
            let blame = stall.blame().expect("it is known");
            assert!(blame.contains(&line()), "{blame}");
            let watched_at = stall.watched_at.expect("it is known");
            let both = format!(" <- {blame} <- {watched_at}");
            assert!(stall.to_string().contains(&both), "{stall}");
        });
    }

    fn a_line_that_is_to_be_ignored_is(flavour: Flavour) {
        // So that the line is known.
        waits(&opened());
        let watch = Watch::new().ignore(line());
        let watched = Watched::with(flavour, watch);
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let (watching, runtime) = (&watched.watching, &watched.runtime);
            scope.spawn(move || {
                watching.block_on(runtime, async {
                    tokio::spawn(async move { waits(&gate) }).await.unwrap();
                });
            });
            wait_for_looks(watching, 2 * LOOKS);
            drop(opener);
        });
        // Another line of this file is another thing.
        let (stall, _) = watched.stall(|gate| gate.wait());
        assert!(!stall.is_at(&line()), "{stall}");
        assert_eq!(watched.watching.stalls(), 1);
        assert!(watched.begun.try_recv().is_err());
        assert!(watched.ended.try_recv().is_err());
    }

    fn a_guard_ignores_a_line_too(flavour: Flavour) {
        waits(&opened());
        let runtime = flavour.builder().build().unwrap();
        let guard = runtime.block_on(async { Watch::new().ignore(line()).deny() });
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let watching = guard.watching();
            scope.spawn(move || {
                settles("it is counted", || watching.stalls() > 0);
                drop(opener);
            });
            runtime.block_on(async {
                tokio::spawn(async move { waits(&gate) }).await.unwrap();
            });
        });
        assert_eq!(guard.watching().stalls(), 1);
        assert!(guard.into_reports().is_empty());
    }

    /// Nothing of the task is the program's own, and who drives the runtime has not made it block.
    fn of_a_task_of_others_nobody_here_is_to_blame(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let foreign = || std::future::ready(Duration::from_secs(2)).map(thread::sleep);
        // As often as it takes.
        let stall = loop {
            watched.watching.block_on(&watched.runtime, async {
                tokio::spawn(foreign()).await.unwrap();
            });
            if let Ok(stall) = watched.begun.recv_timeout(Duration::from_millis(300)) {
                break stall;
            }
        };
        assert_eq!((stall.cause, stall.certainty), (Cause::BlockingCall, Certainty::OneCall));
        let stack = stall.stack.as_ref().expect("it is there");
        assert!(stack.to_string().contains("sleep"), "{stack}");
        assert_eq!(stall.blame(), None, "{stack}");
    }
}

fn opened() -> Gate {
    let (gate, opener) = Gate::new();
    drop(opener);
    gate
}

fn blocks(runtime: &Runtime, watching: &Watching, how: fn(&Gate)) {
    let before = watching.stalls();
    let (gate, opener) = Gate::new();
    let blocked = runtime.spawn(async move { how(&gate) });
    settles("it is seen", || watching.stalls() > before);
    drop(opener);
    runtime.block_on(blocked).unwrap();
    wait_for_looks(watching, 3);
}

/// Neither has a peer or a path to be told from the other by.
#[test]
fn two_lines_that_sleep_are_two_sites() {
    // In the first of them it is seen, or there would be more to be told apart.
    const NAP: Duration = Duration::from_secs(2);
    if in_child() {
        let (runtime, watching) = Watch::new()
            .build(&mut Flavour::MultiThread.builder())
            .unwrap();
        for _ in 0..2 {
            blocks(&runtime, &watching, |gate| {
                while !gate.is_open() {
                    thread::sleep(NAP);
                }
            });
            blocks(&runtime, &watching, |gate| {
                while !gate.is_open() {
                    std::hint::black_box(1);
                    thread::sleep(NAP);
                }
            });
        }
        drop((watching, runtime));
        // What was to be told is told before its thread ends.
        settles("all is told", || threads_named("longshore-tell") == 0);
        return;
    }
    in_time(|| {
        let name = "::two_lines_that_sleep_are_two_sites";
        let output = child(&format!("{}{name}", module_path!()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        let lines = text.lines().filter(|line| line.starts_with("longshore: "));
        assert_eq!(lines.count(), 2, "{text}");
    });
}

/// Names take long to be looked up, and the watchdog has other things to do: what depends on them waits for
/// the callback that is slow, and nothing else does.
#[test]
fn what_the_line_decides_is_decided_by_the_thread_that_tells() {
    in_time(|| {
        let (slow, release) = Gate::new();
        let watch = Watch::new()
            .ignore("no/such/file.rs")
            .on_stall(move |_| slow.wait());
        let mut builder = Flavour::MultiThread.builder();
        // A name of its own, or threads of other tests that compute might be its workers.
        builder.thread_name("decided later");
        let (runtime, watching) = watch.build(&mut builder).unwrap();
        let stall = || {
            let (gate, opener) = Gate::new();
            let blocked = runtime.spawn(async move { waits(&gate) });
            wait_for_looks(&watching, 2 * LOOKS);
            drop(opener);
            runtime.block_on(blocked).unwrap();
            // The same worker may be taken next, and that has to be another stall.
            wait_for_looks(&watching, 3);
        };
        stall();
        settles("the first is told", || watching.stalls() == 1);
        stall();
        assert_eq!(watching.stalls(), 1);
        drop(release);
        settles("it is told", || watching.stalls() == 2);
    });
}
