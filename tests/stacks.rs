//! The stack of a sleeping thread, taken from another one: `src/stall/stack`, compiled as it is.
//!
//! What is promised: it reaches the beginning of the thread, names the function that blocks and its line,
//! and says less rather than something wrong where that cannot be had.

#![cfg(all(feature = "stall-stacks", target_os = "linux", target_arch = "x86_64"))]

use std::{
    env, fs, hint,
    io::Read,
    mem::ManuallyDrop,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use self::stall::stack::{Confidence, End, Stack};

#[path = "../src/sync.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the crate's own file, of which little is used here"
)]
mod sync;

#[path = "../src/stall"]
mod stall {
    #[path = "stack/mod.rs"]
    #[expect(
        unreachable_pub,
        unused_imports,
        reason = "public in the crate, and not here"
    )]
    pub(crate) mod stack;

    /// In the place of the watchdog, which alone may do that.
    pub(crate) fn stack_of(thread: u32, sp: u64, pc: u64) -> Option<stack::Stack> {
        let mut modules = stack::Modules::now().ok()?;
        let walked = stack::capture(thread, sp, pc)?.walk(&mut modules);
        assert_eq!(walked.print(), walked.clone().print());
        Some(walked.stack())
    }

    /// What the report says of it.
    pub(crate) fn blamed(stack: &stack::Stack) -> Option<(String, bool)> {
        stack.blamed()
    }
}

/// Nothing here takes as long, even where the symbols have to be read first.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than the process lives.
const FOREVER: Duration = Duration::from_secs(3600);

/// What a thread says before it blocks: its number, and the line that comes next.
type Told = mpsc::Sender<(u32, u32)>;

fn tell(told: &Told, line: u32) {
    let link = fs::read_link("/proc/thread-self").expect("there is /proc");
    let number = link.file_name().and_then(|name| name.to_str());
    let number = number.and_then(|name| name.parse().ok());
    let number = number.expect("a thread has a number");
    told.send((number, line + 1)).expect("somebody listens");
}

/// The stack pointer and the program counter of a thread that sleeps.
fn registers(thread: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    let mut fields = text.split_whitespace().rev();
    let mut number = || u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok();
    let (pc, sp) = (number()?, number()?);
    Some((sp, pc))
}

fn stack_of(thread: u32) -> Option<Stack> {
    let (sp, pc) = registers(thread)?;
    stall::stack_of(thread, sp, pc)
}

/// The stack of a thread once it blocks where it is meant to.
fn eventually(thread: u32, holds: impl Fn(&Stack) -> bool) -> Stack {
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
fn blamed(function: &str, inside: &str, block: impl FnOnce(Told) + Send + 'static) -> Stack {
    let (told, number) = mpsc::channel();
    thread::spawn(move || block(told));
    let (thread, line) = number.recv_timeout(PATIENCE).expect("it begins");
    check(thread, line, function, inside)
}

fn check(thread: u32, line: u32, function: &str, inside: &str) -> Stack {
    let stack = eventually(thread, |stack| {
        stack.frames().iter().any(|frame| {
            frame
                .function
                .as_ref()
                .is_some_and(|name| name.contains(inside))
        }) && stack.blame().is_some_and(|frame| frame.line == Some(line))
    });
    assert_eq!(stack.end(), End::Thread, "{stack}");
    let blame = stack.blame().expect("it was seen above");
    let name = blame.function.as_deref().expect("it has a name");
    assert!(name.contains(function), "{name} in\n{stack}");
    let place = blame.place().expect("it has a place");
    assert!(place.ends_with(&format!("stacks.rs:{line}")), "{place}");
    assert!(blame.confidence > Confidence::Guessed, "{stack}");
    let (text, is_place) = stall::blamed(&stack).expect("it was seen above");
    let end = format!("stacks.rs:{line}");
    assert!(text.contains(&end) && is_place, "{text}");
    stack
}

fn naps(told: Told) {
    tell(&told, line!());
    thread::sleep(FOREVER);
    hint::black_box(told);
}

#[test]
fn a_sleep() {
    let stack = blamed("naps", "sleep", naps);
    let text = stack.to_string();
    assert!(text.starts_with("   0: "), "{text}");
    assert!(text.contains("stacks.rs:"), "{text}");
}

#[test]
fn a_lock() {
    fn locks(told: Told, lock: Arc<Mutex<()>>) {
        tell(&told, line!());
        let guard = lock.lock();
        drop((guard, told));
    }
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().expect("nobody panics with it");
    blamed("locks", "lock_contended", {
        let lock = lock.clone();
        move |told| locks(told, lock)
    });
    drop(held);
}

#[test]
fn a_condition() {
    fn waits(told: Told, both: (Mutex<()>, Condvar)) {
        let guard = both.0.lock().expect("nobody panics with it");
        tell(&told, line!());
        let guard = both.1.wait(guard);
        drop((guard, told));
    }
    blamed("waits", "wait", |told| {
        waits(told, (Mutex::new(()), Condvar::new()));
    });
}

#[test]
fn a_read_from_a_peer_that_is_silent() {
    fn reads(told: Told, mut stream: TcpStream) {
        tell(&told, line!());
        let read = stream.read(&mut [0]);
        drop((read, told));
    }
    let server = TcpListener::bind("127.0.0.1:0").expect("there is loopback");
    let address = server.local_addr().expect("it is bound");
    let stream = TcpStream::connect(address).expect("it listens");
    blamed("reads", "read", move |told| reads(told, stream));
    drop(server);
}

#[cfg(feature = "ureq")]
#[test]
fn a_request_that_is_not_answered() {
    fn asks(told: Told, url: &str) {
        tell(&told, line!());
        let answer = ureq::get(url).call();
        drop((answer, told));
    }
    let server = TcpListener::bind("127.0.0.1:0").expect("there is loopback");
    let address = server.local_addr().expect("it is bound");
    let stack = blamed("asks", "await_input", move |told| {
        asks(told, &format!("http://{address}/"));
    });
    assert!(stack.to_string().contains(" ureq::"), "{stack}");
    drop(server);
}

#[test]
fn an_async_function_on_a_worker() {
    async fn dawdles(told: Told) {
        tokio::task::yield_now().await;
        tell(&told, line!());
        thread::sleep(FOREVER);
        hint::black_box(told);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("there are threads");
    // To drop it would be to wait for its worker.
    let runtime = ManuallyDrop::new(runtime);
    let (told, number) = mpsc::channel();
    runtime.spawn(async {
        // Some layers between it and the worker, as in a service.
        tokio::select! {
            () = dawdles(told) => {}
            () = std::future::pending() => {}
        }
    });
    let (thread, line) = number.recv_timeout(PATIENCE).expect("it begins");
    let stack = check(thread, line, "dawdles", "sleep");
    let text = stack.to_string();
    assert!(text.contains("tokio::runtime::"), "{text}");
    // Its worker never comes back.
    ManuallyDrop::into_inner(runtime).shutdown_background();
}

#[inline(never)]
fn dives(told: &Told, depth: usize) {
    let weight = hint::black_box([depth; 128]);
    if depth == 0 {
        tell(told, line!());
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
    let (thread, line) = number.recv_timeout(PATIENCE).expect("it begins");
    let stack = eventually(thread, |stack| {
        stack.blame().is_some_and(|blame| blame.line == Some(line))
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
        tell(&told, line!());
        let _ = gate.recv();
    });
    let (thread, _) = number.recv_timeout(PATIENCE).expect("it begins");
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

/// In a process of its own: prints the stack of a thread that sleeps.
fn child(why: &str) {
    if why == "replaced" {
        let program = env::current_exe().expect("it is there");
        fs::remove_file(&program).expect("it may be removed while it runs");
        fs::write(&program, "another program").expect("its place is free");
    }
    let (told, number) = mpsc::channel();
    thread::spawn(move || naps(told));
    let (thread, _) = number.recv_timeout(PATIENCE).expect("it begins");
    let stack = eventually(thread, |stack| stack.frames().len() > 4);
    let blame = stack.blame().and_then(|frame| frame.function.as_ref());
    println!("\nblame: {blame:?}\nend: {:?}\n{stack}", stack.end());
}

#[test]
fn a_program_without_its_symbols_and_one_that_was_replaced() {
    const CHILD: &str = "LONGSHORE_STACKS_CHILD";
    if let Ok(why) = env::var(CHILD) {
        return child(&why);
    }
    for (option, why) in [
        ("--strip-debug", "no lines"),
        ("--strip-all", "no names"),
        ("--strip-debug", "replaced"),
    ] {
        let name = format!("longshore{option}-{}", std::process::id());
        let program = env::temp_dir().join(name);
        let strip = Command::new("strip")
            .args([option, "-o"])
            .arg(&program)
            .arg(env::current_exe().expect("it is there"))
            .status();
        assert!(
            strip.is_ok_and(|status| status.success()),
            "binutils are there"
        );
        let this = "a_program_without_its_symbols_and_one_that_was_replaced";
        let child = Command::new(&program)
            .args(["--exact", "--nocapture", this])
            .env(CHILD, why)
            .output();
        fs::remove_file(&program).expect("it was made");
        let text = child.expect("it can be run").stdout;
        let text = String::from_utf8(text).expect("names are text");
        assert!(text.contains("end: Thread"), "{why}: {text}");
        if why == "no names" {
            assert!(text.contains("blame: None"), "{text}");
            let mut names = names_of(&program, &text);
            assert!(names.any(|name| name.contains("naps")), "{text}");
        } else {
            assert!(
                text.contains("blame: Some(\"stacks::naps\")"),
                "{why}: {text}"
            );
        }
    }
}

/// The names that this program, which is not stripped, has for the addresses in another's stack.
fn names_of<'a>(program: &Path, text: &'a str) -> impl Iterator<Item = String> + 'a {
    let this: PathBuf = env::current_exe().expect("it is there");
    let symbols = addr2line::Loader::new(this).expect("it has symbols");
    let name = program.file_name().expect("it is a file").to_string_lossy();
    let mark = format!("{name}+0x");
    text.lines().filter_map(move |line| {
        let (_, address) = line.split_once(&mark)?;
        let address = u64::from_str_radix(address.trim(), 16).ok()?;
        symbols.find_symbol(address).map(String::from)
    })
}
