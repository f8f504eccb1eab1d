//! Looking at the stack of a thread, as the watchdog does.

use std::{
    fs, hint,
    panic::Location,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::stall::{
    self,
    stack::{Confidence, End, Stack},
};

/// Nothing here takes as long, even where the symbols have to be read first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than the process lives.
pub(crate) const FOREVER: Duration = Duration::from_secs(3600);

/// What a thread says before it blocks.
pub(crate) type Told = mpsc::Sender<Begun>;

/// Which thread is to block, and where.
pub(crate) struct Begun {
    pub(crate) thread: u32,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
}

/// Says that what is called in the next line blocks.
#[track_caller]
pub(crate) fn tell(told: &Told) {
    let link = fs::read_link("/proc/thread-self").expect("there is /proc");
    let number = link.file_name().and_then(|name| name.to_str());
    let number = number.and_then(|name| name.parse().ok());
    let here = Location::caller();
    let begun = Begun {
        thread: number.expect("a thread has a number"),
        file: here.file(),
        line: here.line() + 1,
    };
    told.send(begun).expect("somebody listens");
}

/// The stack pointer and the program counter of a thread that sleeps.
pub(crate) fn registers(thread: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    let mut fields = text.split_whitespace().rev();
    let mut number = || u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok();
    let (pc, sp) = (number()?, number()?);
    Some((sp, pc))
}

pub(crate) fn stack_of(thread: u32) -> Option<Stack> {
    let (sp, pc) = registers(thread)?;
    stall::stack_of(thread, sp, pc)
}

/// The stack of a thread once it blocks where it is meant to.
pub(crate) fn eventually(thread: u32, holds: impl Fn(&Stack) -> bool) -> Stack {
    let end = Instant::now() + PATIENCE;
    loop {
        let stack = stack_of(thread);
        if let Some(stack) = &stack
            && holds(stack)
        {
            return stack.clone();
        }
        assert!(Instant::now() < end, "not in time: {stack:#?}");
        thread::yield_now();
    }
}

/// Runs `block` on a thread of its own, which is left behind, and checks that the stack is whole and
/// that `function` is to blame, in the line that `block` said.
pub(crate) fn blamed(
    function: &str,
    inside: &str,
    block: impl FnOnce(Told) + Send + 'static,
) -> Stack {
    let (told, number) = mpsc::channel();
    thread::spawn(move || block(told));
    let begun = number.recv_timeout(PATIENCE).expect("it begins");
    check(&begun, function, inside)
}

pub(crate) fn check(begun: &Begun, function: &str, inside: &str) -> Stack {
    let stack = eventually(begun.thread, |stack| {
        stack.frames().iter().any(|frame| {
            frame
                .function
                .as_ref()
                .is_some_and(|name| name.contains(inside))
        }) && stack
            .blame()
            .is_some_and(|frame| frame.line == Some(begun.line))
    });
    assert_eq!(stack.end(), End::Thread, "{stack}");
    let blame = stack.blame().expect("it was seen above");
    let name = blame.function.as_deref().expect("it has a name");
    assert!(name.contains(function), "{name} in\n{stack}");
    let place = blame.place().expect("it has a place");
    let end = format!("{}:{}", begun.file, begun.line);
    assert!(place.ends_with(&end), "{place}");
    assert!(blame.confidence > Confidence::Guessed, "{stack}");
    let (text, is_place) = stall::blamed(&stack).expect("it was seen above");
    assert!(text.contains(&end) && is_place, "{text}");
    stack
}

pub(crate) fn naps(told: Told) {
    tell(&told);
    thread::sleep(FOREVER);
    hint::black_box(told);
}
