//! Looking at a thread of this process from another one.
//!
//! | file, below `/proc/self/task/<thread>` | says |
//! |---|---|
//! | `syscall` | `running`, or the call that it sleeps in, with arguments, stack and program counter |
//! | `schedstat` | processor time, time in line for a processor, how often it was given one |
//! | `stat`, `wchan` | whether it sleeps, and on what, where `syscall` is closed to us |
//!
//! `syscall` can be read by any process for its own threads, unless that process is not *dumpable*
//! (it may have changed its user, or have asked for it) and not root's. The files stay open, since a
//! thread is looked at many times a second.

use std::{
    borrow::Cow,
    cell::RefCell,
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
    sync::OnceLock,
    time::Duration,
};

use super::{Account, Look, Registers, Sleep, State};

/// The system's number of this thread, or one of ours where `/proc` is not there.
pub(in crate::stall) fn this_thread() -> u32 {
    // `<process>/task/<thread>`
    fs::read_link("/proc/thread-self")
        .ok()
        .and_then(|link| link.file_name()?.to_str()?.parse().ok())
        .unwrap_or_else(super::number_of_our_own)
}

/// How often this thread has gone to sleep in the system so far.
///
/// `getrusage` has the same number for less, but no safe function for it is at hand.
pub(in crate::stall) fn switches_of_this_thread() -> Option<u64> {
    thread_local! {
        static STATUS: RefCell<Option<File>> = const { RefCell::new(None) };
    }
    STATUS
        .try_with(|status| {
            let mut status = status.borrow_mut();
            if status.is_none() {
                *status = File::open("/proc/thread-self/status").ok();
            }
            switches(status.as_ref()?)
        })
        .ok()?
}

/// Almost at the end of a file that is longer than one read where a user is in very many groups.
fn switches(status: &File) -> Option<u64> {
    const NAME: &[u8] = b"\nvoluntary_ctxt_switches:";
    let text = Text::read(status)?;
    let mut text = Cow::Borrowed(text.as_bytes());
    if text.len() == Text::LONGEST {
        let mut more = vec![0; 1 << 20];
        let length = status.read_at(&mut more, 0).ok()?;
        more.truncate(length);
        text = Cow::Owned(more);
    }
    // The name of a thread, in the first line, may be anything.
    let at = text.windows(NAME.len()).rposition(|part| part == NAME)?;
    let rest = &text[at + NAME.len()..];
    let line = rest.split(|byte| *byte == b'\n').next()?;
    str::from_utf8(line).ok()?.trim().parse().ok()
}

/// What one read of a file in `/proc` gives.
struct Text {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Text {
    const LONGEST: usize = 4096;

    fn read(file: &File) -> Option<Self> {
        let mut bytes = [0; Self::LONGEST];
        let length = file.read_at(&mut bytes, 0).ok()?;
        Some(Self { bytes, length })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn as_str(&self) -> Option<&str> {
        str::from_utf8(self.as_bytes()).ok()
    }
}

/// Looks at one thread.
#[derive(Debug)]
pub(in crate::stall) struct Eye {
    thread: u32,
    syscall: Opened,
    schedstat: Opened,
}

/// A file of a thread, or `None` if it is closed to us. Not set as long as it could not be opened.
type Opened = OnceLock<Option<File>>;

impl Eye {
    pub(in crate::stall) fn on(thread: u32) -> Self {
        let eye = Self {
            thread,
            syscall: Opened::new(),
            schedstat: Opened::new(),
        };
        let _ = eye.syscall();
        let _ = eye.schedstat();
        eye
    }

    fn syscall(&self) -> io::Result<Option<&File>> {
        self.file(&self.syscall, "syscall")
    }

    fn schedstat(&self) -> io::Result<Option<&File>> {
        self.file(&self.schedstat, "schedstat")
    }

    fn file<'a>(&self, opened: &'a Opened, name: &str) -> io::Result<Option<&'a File>> {
        if opened.get().is_none() {
            let _ = opened.set(open(self.thread, name)?);
        }
        Ok(opened.get().and_then(Option::as_ref))
    }

    /// What the thread does; `None` where that cannot be told, or it has ended.
    pub(in crate::stall) fn look(&self) -> Option<Look> {
        let look = self.see().ok().flatten();
        look.filter(|look| is_counted(&look.account))
    }

    /// As `look`, and also of a thread that was never given a processor. An error is want of descriptors.
    pub(super) fn see(&self) -> io::Result<Option<Look>> {
        let Some(state) = self.state()? else {
            return Ok(None);
        };
        // After the state: if it has slept in two looks and the number is the same, it has not been
        // awake in between.
        let account = self.given()?;
        Ok(account.map(|account| Look { state, account }))
    }

    /// Whether the thread has ended.
    pub(in crate::stall) fn is_gone(&self) -> bool {
        let tasks = Path::new("/proc/self/task");
        tasks.exists() && !tasks.join(self.thread.to_string()).exists()
    }

    fn state(&self) -> io::Result<Option<State>> {
        if let Some(file) = self.syscall()? {
            return Ok(Text::read(file).and_then(|text| parse_syscall(text.as_str()?)));
        }
        let stat = open(self.thread, "stat")?.and_then(|file| Text::read(&file));
        // The name, in parentheses, may contain spaces and parentheses.
        let letter = stat.and_then(|stat| stat.as_str()?.rsplit_once(") ")?.1.chars().next());
        let Some('S' | 'D') = letter else {
            return Ok(letter.map(|_| State::Running));
        };
        let wchan = open(self.thread, "wchan")?.and_then(|file| Text::read(&file));
        let on_a_lock =
            wchan.is_some_and(|wchan| wchan.as_str().is_some_and(|it| it.contains("futex")));
        Ok(Some(State::Asleep(Sleep::Somewhere { on_a_lock })))
    }

    /// What the thread has been given so far; `None` as for `look`.
    pub(in crate::stall) fn account(&self) -> Option<Account> {
        self.given().ok().flatten().filter(is_counted)
    }

    fn given(&self) -> io::Result<Option<Account>> {
        let text = self.schedstat()?.and_then(Text::read);
        Ok(text.and_then(|text| parse_schedstat(text.as_str()?)))
    }
}

/// Opens a file of a thread; `None` if it is closed to us or the thread has ended, which it will be the next
/// time as well.
pub(super) fn open(thread: u32, name: &str) -> io::Result<Option<File>> {
    match File::open(format!("/proc/self/task/{thread}/{name}")) {
        Ok(file) => Ok(Some(file)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::NotFound
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A thread that does something and was never given a processor cannot be looked at: this kernel does not
/// count.
fn is_counted(account: &Account) -> bool {
    account.turns > 0
}

/// Processor time, time in line for it, turns.
pub(super) fn parse_schedstat(text: &str) -> Option<Account> {
    let mut fields = text.split_ascii_whitespace();
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(Account {
        cpu: Duration::from_nanos(number()?),
        in_line: Duration::from_nanos(number()?),
        turns: number()?,
    })
}

/// `running`, `-1 0x… 0x…`, or number, six arguments, stack and program counter.
pub(super) fn parse_syscall(text: &str) -> Option<State> {
    let mut fields = text.split_ascii_whitespace();
    let first = fields.next()?;
    if first == "running" {
        return Some(State::Running);
    }
    let number: i64 = first.parse().ok()?;
    let mut hexadecimal = || {
        let field = fields.next()?.strip_prefix("0x")?;
        u64::from_str_radix(field, 16).ok()
    };
    let mut arguments = [0; 6];
    if number >= 0 {
        for argument in &mut arguments {
            *argument = hexadecimal()?;
        }
    }
    Some(State::Asleep(Sleep::Call(Registers {
        number,
        arguments,
        stack: hexadecimal()?,
        program: hexadecimal()?,
    })))
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        assert_eq!(parse_syscall("running\n"), Some(State::Running));
        let fault = parse_syscall("-1 0x7ffd3 0x7f00\n");
        assert!(
            matches!(
                fault,
                Some(State::Asleep(Sleep::Call(Registers {
                    number: -1,
                    stack: 0x7ffd3,
                    ..
                })))
            ),
            "{fault:?}"
        );
        let read = parse_syscall("0 0x3 0x7f 0x20 0x0 0xffffffff 0x1 0x7ffe 0x7fd\n");
        let Some(State::Asleep(Sleep::Call(read))) = read else {
            panic!("{read:?}")
        };
        assert_eq!(read.number, 0);
        assert_eq!(read.arguments, [3, 0x7f, 0x20, 0, 0xffff_ffff, 1]);
        assert_eq!(parse_syscall("0 0x3\n"), None);
        let given = parse_schedstat("2000 1000 3\n");
        let expected = Account {
            turns: 3,
            cpu: Duration::from_micros(2),
            in_line: Duration::from_micros(1),
        };
        assert_eq!(given, Some(expected));
        assert_eq!(parse_schedstat("0 0"), None);
    }

    #[test]
    fn a_thread_that_waits_is_seen_to_sleep_in_one_and_the_same_call() {
        let (tell, told) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            tell.send(this_thread()).expect("somebody listens");
            let _ = gate.recv();
        });
        let eye = Eye::on(told.recv().expect("it says its number"));
        let end = std::time::Instant::now() + Duration::from_secs(60);
        let (first, second) = loop {
            assert!(std::time::Instant::now() < end, "it is never asleep");
            let pair = (eye.look().expect("it lives"), eye.look().expect("it lives"));
            if pair.0.same_sleep(&pair.1) {
                break pair;
            }
        };
        assert_eq!(first.account, second.account);
        drop(open);
        thread.join().expect("it does not panic");
        // The system may take a moment longer than `join` does.
        while eye.look().is_some() {
            assert!(std::time::Instant::now() < end, "it has ended");
        }
    }

    #[test]
    fn going_to_sleep_is_counted() {
        let count = || switches_of_this_thread().expect("Linux counts them");
        let end = std::time::Instant::now() + Duration::from_secs(8);
        loop {
            let before = count();
            // It may be over before the thread has left its processor, if that is given to another one.
            thread::sleep(Duration::from_millis(1));
            if count() > before {
                break;
            }
            assert!(std::time::Instant::now() < end, "it is never counted");
        }
        // But for a page that has to be read.
        assert!(
            (0..10).any(|_| count() == count()),
            "to ask is not to sleep"
        );
    }
}
