//! Runs the command on a terminal: a pseudo-terminal, whose other end the test holds.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::run::{LONGSHORE, WATCHDOG, clean};

/// Keys as a terminal sends them: what ends the input, and what interrupts.
pub(crate) const END_OF_INPUT: &str = "\u{4}";
pub(crate) const INTERRUPT: &str = "\u{3}";

/// A terminal with a run of the command on it.
pub(crate) struct Terminal {
    child: Child,
    began: Instant,
    /// The end at which the keys are, and the eyes.
    ours: File,
    chunks: Receiver<Vec<u8>>,
    seen: String,
    /// What of `seen` has been waited for.
    passed: usize,
}

/// A run on a terminal that has ended.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) code: Option<i32>,
    /// All that was written, control characters and keys included.
    pub(crate) raw: String,
}

impl Terminal {
    /// The command as it is set up, with its three streams on a terminal of 100 columns.
    pub(crate) fn start(command: Command) -> Self {
        Self::with_columns(command, 100)
    }

    pub(crate) fn with_columns(mut command: Command, columns: u16) -> Self {
        let (ours, theirs) = open(columns).expect("a pseudo-terminal");
        let stream = || theirs.try_clone().expect("another handle");
        command.stdin(stream()).stdout(stream()).stderr(stream());
        if !command.get_envs().any(|(name, _)| name == "TERM") {
            command.env("TERM", "xterm");
        }
        let began = Instant::now();
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // The terminal hangs up when nobody has its other end, which is how its reader sees the end.
        drop((command, theirs));

        let mut reader = ours.try_clone().expect("another handle");
        let (send, chunks) = mpsc::channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // Linux says with an error that it has been hung up, others with an end.
            while let Ok(read @ 1..) = reader.read(&mut chunk) {
                if send.send(chunk[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            began,
            ours,
            chunks,
            seen: String::new(),
            passed: 0,
        }
    }

    /// The same as [`start`](Self::start), where the keys of the terminal also send signals. `None`
    /// if there is nothing here that can do that.
    pub(crate) fn with_signals(arguments: &[&str]) -> Option<Self> {
        // A terminal has to be made the one that controls a session, which safe code here cannot ask for.
        let there = Command::new("setsid").arg("--version").output();
        if !there.is_ok_and(|output| output.status.success()) {
            println!("skipped: setsid is not there");
            return None;
        }
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(LONGSHORE).args(arguments);
        clean(&mut command);
        Some(Self::start(command))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `text` is written, after what was waited for before.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            if let Some(at) = self.seen[self.passed..].find(text) {
                self.passed += at + text.len();
                return;
            }
            assert!(self.read(), "it ended without {text:?}: {:?}", self.seen);
        }
    }

    /// Waits until more than this is seen, and shows it all.
    #[track_caller]
    pub(crate) fn more(&mut self) -> &str {
        assert!(self.read(), "it ended early: {:?}", self.seen);
        &self.seen
    }

    /// Presses these keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.ours
            .write_all(keys.as_bytes())
            .expect("the terminal is there");
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn end(mut self) -> Shown {
        while self.read() {}
        let code = self.child.wait().expect("it is our child").code();
        Shown {
            code,
            raw: std::mem::take(&mut self.seen),
        }
    }

    /// Adds what is written next to what was seen, unless it has ended.
    #[track_caller]
    fn read(&mut self) -> bool {
        let left = WATCHDOG.saturating_sub(self.began.elapsed());
        match self.chunks.recv_timeout(left) {
            Ok(chunk) => {
                // No output of the command is anything but ASCII, so no chunk ends within a character.
                self.seen
                    .push_str(std::str::from_utf8(&chunk).expect("the output is text"));
                true
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => false,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running: {:?}", self.seen),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.raw.contains("panicked"), "{self:#?}");
        self
    }

    /// What stands on the terminal at the end, were it high enough: line by line, without the
    /// blanks at their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![Vec::new()];
        let (mut row, mut column) = (0, 0);
        let mut rest = self.raw.chars();
        while let Some(c) = rest.next() {
            match c {
                '\r' => column = 0,
                '\n' => {
                    row += 1;
                    if row == lines.len() {
                        lines.push(Vec::new());
                    }
                }
                '\u{1b}' => {
                    let sequence: String = rest.by_ref().take(3).collect();
                    assert_eq!(sequence, "[2K", "no other is used: {:?}", self.raw);
                    lines[row].clear();
                }
                c => {
                    let line = &mut lines[row];
                    line.resize(line.len().max(column + 1), ' ');
                    line[column] = c;
                    column += 1;
                }
            }
        }
        let text = |line: Vec<char>| line.iter().collect::<String>().trim_end().to_owned();
        lines.into_iter().map(text).collect()
    }
}

/// Both ends of a new terminal.
fn open(columns: u16) -> rustix::io::Result<(File, OwnedFd)> {
    let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    // Else a process started meanwhile would hold it, and the terminal would never hang up.
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
    rustix::pty::grantpt(&ours)?;
    rustix::pty::unlockpt(&ours)?;
    let name = rustix::pty::ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name, flags, Mode::empty())?;
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&theirs, size)?;
    Ok((ours.into(), theirs))
}
