//! Stacks that are too deep, threads that are gone, and those that come and go.

use std::{fs, hint, sync::mpsc, thread, time::Duration};

use crate::{
    looking::{FOREVER, PATIENCE, Told, eventually, registers, stack_of, tell},
    stall::{self, stack::End},
};

#[inline(never)]
fn dives(told: &Told, depth: usize) {
    let weight = hint::black_box([depth; 128]);
    if depth == 0 {
        tell(told);
        thread::sleep(FOREVER);
    } else {
        dives(told, depth - 1);
    }
    hint::black_box(weight);
}

#[test]
fn a_stack_that_is_deeper_than_what_is_copied_says_so() {
    let (told, number) = mpsc::channel();
    thread::spawn(move || dives(&told, 400));
    let begun = number.recv_timeout(PATIENCE).expect("it begins");
    let stack = eventually(begun.thread, |stack| {
        stack
            .blame()
            .is_some_and(|blame| blame.line == Some(begun.line))
    });
    assert_eq!(stack.end(), End::TooDeep, "{stack}");
    assert!(stack.frames().len() > 10, "{stack}");
    assert!(stack.to_string().ends_with("and further than was copied"));
}

#[test]
fn a_thread_that_is_gone_or_elsewhere_has_no_stack() {
    let (told, number) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let waiting = thread::spawn(move || {
        tell(&told);
        let _ = gate.recv();
    });
    let thread = number.recv_timeout(PATIENCE).expect("it begins").thread;
    let stack = eventually(thread, |stack| stack.blame().is_some());
    assert_eq!(stack.end(), End::Thread);
    let (sp, pc) = registers(thread).expect("it sleeps");
    for (sp, pc) in [
        (sp + 8, pc),
        (sp, pc + 1),
        (0, pc),
        (u64::MAX, pc),
        (sp, 0),
        (pc, sp),
    ] {
        assert!(stall::stack_of(thread, sp, pc).is_none(), "{sp:#x} {pc:#x}");
    }
    assert!(stall::stack_of(0, sp, pc).is_none());
    assert!(stall::stack_of(u32::MAX, sp, pc).is_none());
    let before = stall::stack_of(thread, sp, pc).expect("it still sleeps");
    drop(open);
    waiting.join().expect("it does not panic");
    assert!(stall::stack_of(thread, sp, pc).is_none());
    // What was copied can be read when the thread is no more.
    assert!(before.blame().is_some());
}

#[test]
fn threads_that_begin_and_end_meanwhile_do_no_harm() {
    /// So many threads, one after the other, on each of the four that start them.
    const THREADS: usize = 100;
    let starting: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(|| {
                for _ in 0..THREADS {
                    let short = thread::spawn(|| thread::sleep(Duration::from_millis(1)));
                    short.join().expect("it does not panic");
                }
            })
        })
        .collect();
    let mut stacks = 0;
    while !starting.iter().all(thread::JoinHandle::is_finished) {
        for entry in fs::read_dir("/proc/self/task").expect("there is /proc") {
            let name = entry.expect("it can be read").file_name();
            let thread = name.to_str().and_then(|name| name.parse().ok());
            if let Some(stack) = thread.and_then(stack_of) {
                assert!(!stack.frames().is_empty());
                stacks += 1;
            }
        }
    }
    assert!(stacks > 0, "no thread was ever asleep");
}
