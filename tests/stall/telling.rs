//! Who is told, how often, and what harm that can do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use longshore::stall::{Watch, Watching};
use tokio::runtime::Runtime;

use crate::{
    nobody::{becomes_nobody, no_more_threads},
    support::{
        Flavour, Gate, LOOKS, PATIENCE, Watched, child, in_child, in_time, passes, settles,
        threads_named, wait_for_looks,
    },
};

/// Blocks a worker until it was looked at for long.
fn block(runtime: &Runtime, watching: &Watching) {
    block_in(runtime, watching, Gate::wait);
}

/// The same in this, which blocks until the gate is opened.
fn block_in(runtime: &Runtime, watching: &Watching, how: fn(&Gate)) {
    let before = watching.stalls();
    let (gate, opener) = Gate::new();
    let blocked = runtime.spawn(async move { how(&gate) });
    settles("it is seen", || watching.stalls() > before);
    wait_for_looks(watching, 3);
    drop(opener);
    runtime.block_on(blocked).unwrap();
    // The same worker may be taken next, and that has to be another stall.
    wait_for_looks(watching, 3);
}

fn sleep(gate: &Gate) {
    gate.sleep_until_open(Duration::from_secs(2));
}

#[test]
fn a_callback_that_panics_is_called_again() {
    in_time(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let watch = Watch::new().on_stall(move |_| {
            count.fetch_add(1, SeqCst);
            panic!("on purpose");
        });
        let (runtime, watching) = watch.build(&mut Flavour::MultiThread.builder()).unwrap();
        for _ in 0..3 {
            block(&runtime, &watching);
        }
        settles("all are told", || calls.load(SeqCst) == 3);
    });
}

#[test]
fn a_callback_that_blocks_holds_up_nobody_elses_reports() {
    in_time(|| {
        let (gate, opener) = Gate::new();
        let (tell, told) = mpsc::channel();
        let slow = Watch::new().on_stall(move |_| {
            tell.send(()).unwrap();
            gate.wait();
        });
        let (runtime, watching) = slow.build(&mut Flavour::MultiThread.builder()).unwrap();
        block(&runtime, &watching);
        told.recv_timeout(PATIENCE).expect("it was called");
        // While it still blocks, others are told, and its own watch goes on counting.
        Watched::new(Flavour::CurrentThread).stall(|gate| gate.wait());
        block(&runtime, &watching);
        assert_eq!(watching.stalls(), 2);
        drop(watching);
        drop(opener);
    });
}

#[test]
fn a_limit_holds_for_each_site() {
    in_time(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let watch = Watch::new()
            .report_limit(2, Duration::from_secs(3600))
            .on_stall(move |_| {
                count.fetch_add(1, SeqCst);
            });
        let (runtime, watching) = watch.build(&mut Flavour::MultiThread.builder()).unwrap();
        for _ in 0..4 {
            block(&runtime, &watching);
        }
        assert_eq!(watching.stalls(), 4);
        // Another site has its own count.
        block_in(&runtime, &watching, sleep);
        settles("the other is told", || calls.load(SeqCst) == 3);
    });
}

/// In a process of its own, whose standard error can be read.
#[test]
fn without_anybody_to_tell_each_site_is_printed_once() {
    if in_child() {
        let (runtime, watching) = Watch::new()
            .build(&mut Flavour::MultiThread.builder())
            .unwrap();
        for _ in 0..3 {
            block(&runtime, &watching);
        }
        block_in(&runtime, &watching, sleep);
        assert_eq!(watching.stalls(), 4);
        wait_for_looks(&watching, LOOKS);
        // To look names up may take the thread that tells longer than that.
        drop((runtime, watching));
        return settles("all is told", || threads_named("longshore-tell") == 0);
    }
    let name = "::without_anybody_to_tell_each_site_is_printed_once";
    let output = child(&format!("{}{name}", module_path!()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("longshore: "))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("a lock"), "{text}");
    assert!(lines[1].contains("clock_nanosleep"), "{text}");
}

/// It is then told by the thread that looks, which has to have as much room as the user's code may need.
#[test]
fn a_report_that_has_no_thread_of_its_own_is_told_all_the_same() {
    fn uses_stack(rest: usize) -> usize {
        let room = std::hint::black_box([1_u8; 4096]);
        match rest.checked_sub(room.len()) {
            Some(rest) => usize::from(room[rest % room.len()]) + uses_stack(rest),
            None => 0,
        }
    }
    if !in_child() {
        let name = "::a_report_that_has_no_thread_of_its_own_is_told_all_the_same";
        let mut command = child(&format!("{}{name}", module_path!()));
        command.env_remove("RUST_MIN_STACK");
        return passes(command);
    }
    in_time(|| {
        becomes_nobody();
        let (tell, told) = mpsc::channel();
        let watch = Watch::new().on_stall(move |stall| {
            let thread = thread::current().name().map(str::to_owned);
            let pages = uses_stack(512 * 1024);
            tell.send((thread, pages, stall.to_string())).unwrap();
        });
        let (runtime, watching) = watch.build(&mut Flavour::MultiThread.builder()).unwrap();
        no_more_threads();
        for _ in 0..2 {
            block(&runtime, &watching);
            let (thread, pages, line) = told.recv_timeout(PATIENCE).expect("it is told");
            assert_eq!((thread.as_deref(), pages), (Some("longshore-stall"), 128));
            assert!(line.starts_with("worker "), "{line}");
        }
    });
}

/// Who listens to the ends only is not told once for each site.
#[test]
fn ends_are_told_without_beginnings() {
    in_time(|| {
        let (tell, told) = mpsc::channel();
        let watch = Watch::new().on_end(move |stall| {
            let _ = tell.send(stall.total);
        });
        let (runtime, watching) = watch.build(&mut Flavour::MultiThread.builder()).unwrap();
        for _ in 0..3 {
            block(&runtime, &watching);
            let total = told.recv_timeout(PATIENCE).expect("it is told");
            assert!(total.is_some());
        }
    });
}
