//! Runs the command under a watchdog.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// No run of these tests needs longer; most need a second.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

/// What is compared, in the order in which it is run.
pub(crate) const STRATEGIES: [&str; 6] = [
    "serial",
    "naive",
    "offloaded",
    "spawn_blocking",
    "rayon",
    "native",
];

pub(crate) const LONGSHORE: &str = env!("CARGO_BIN_EXE_longshore");

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Done {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The one object on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }
}

/// The command with these arguments, and with nothing of the environment that could change it.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(LONGSHORE);
    command.args(arguments);
    clean(&mut command);
    command
}

/// The command as the last thing a shell does, after `setup`.
pub(crate) fn shell(setup: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{setup} \"$@\""))
        .arg("sh")
        .arg(LONGSHORE)
        .args(arguments);
    clean(&mut command);
    command
}

/// Takes from its environment what could change what it does.
pub(crate) fn clean(command: &mut Command) {
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    // `CI` has clap write in colour, whatever the terminal.
    for name in ["CI", "CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR"] {
        command.env_remove(name);
    }
    for name in ["COLUMNS", "RUST_BACKTRACE", "REQUEST_METHOD"] {
        command.env_remove(name);
    }
}

/// A file that is gone with this. Each run of these tests has its own.
pub(crate) struct Scratch(String);

impl Scratch {
    pub(crate) fn new(name: &str, contents: &[u8]) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, contents).expect("the directory is there for tests");
        Self(path.into_os_string().into_string().expect("a path of text"))
    }

    pub(crate) fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the command to its end.
pub(crate) fn run(arguments: &[&str]) -> Done {
    Running::start(command(arguments)).end()
}

/// A run that has not ended.
pub(crate) struct Running {
    child: Child,
    began: Instant,
    lines: Receiver<String>,
    seen: String,
    stdout: Option<JoinHandle<String>>,
    /// Hears when standard output ends.
    closed: Receiver<()>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self::with_streams_as_set(command)
    }

    /// Standard output goes where `command` says.
    pub(crate) fn with_stdout_as_set(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::with_streams_as_set(command)
    }

    /// It reads `input` from a pipe.
    pub(crate) fn with_input(mut command: Command, input: &str) -> Self {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        command.stdin(reader).stdout(Stdio::piped());
        let running = Self::with_streams_as_set(command);
        std::io::Write::write_all(&mut writer, input.as_bytes()).expect("it reads");
        running
    }

    fn with_streams_as_set(mut command: Command) -> Self {
        let began = Instant::now();
        command.stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (tell, closed) = mpsc::channel();
        let stdout = child.stdout.take().map(|mut stdout| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = stdout.read_to_end(&mut bytes);
                drop(tell);
                String::from_utf8(bytes).expect("the output is text")
            })
        });
        let (send, lines) = mpsc::channel();
        let stderr = child.stderr.take().expect("it is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Self {
            child,
            began,
            lines,
            seen: String::new(),
            stdout,
            closed,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of standard error that contains `text`.
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            match self.lines.recv_timeout(self.left()) {
                Ok(line) => {
                    let found = line.contains(text);
                    let _ = writeln!(self.seen, "{line}");
                    if found {
                        return;
                    }
                }
                Err(error) => self.give_up(&format!("no line with {text:?}: {error}")),
            }
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        kill(&self.child, signal);
    }

    /// Waits until it has ended.
    pub(crate) fn end(mut self) -> Done {
        loop {
            match self.lines.recv_timeout(self.left()) {
                Ok(line) => {
                    let _ = writeln!(self.seen, "{line}");
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => self.give_up("still running"),
            }
        }
        if self.stdout.is_some()
            && self.closed.recv_timeout(self.left()) == Err(mpsc::RecvTimeoutError::Timeout)
        {
            self.give_up("standard output is still open");
        }
        let status = self.child.wait().expect("it is our child");
        let took = self.began.elapsed();
        let stdout = self
            .stdout
            .take()
            .map(|thread| thread.join().expect("the output is text"));
        Done {
            status,
            stdout: stdout.unwrap_or_default(),
            stderr: self.seen.clone(),
            took,
        }
    }

    fn left(&self) -> Duration {
        WATCHDOG.saturating_sub(self.began.elapsed())
    }

    fn give_up(&mut self, reason: &str) -> ! {
        let mut threads = String::new();
        let tasks = format!("/proc/{}/task", self.child.id());
        for task in std::fs::read_dir(tasks).into_iter().flatten().flatten() {
            let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let _ = writeln!(
                threads,
                "  {} waits in {}",
                read("comm").trim(),
                read("wchan")
            );
        }
        let _ = self.child.kill();
        panic!(
            "{reason}\nstandard error:\n{}\nthreads:\n{threads}",
            self.seen
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `longshore serve` on a free port, until this is dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
    /// What it says after where it listens.
    lines: Receiver<String>,
}

impl Serving {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = command(&["serve", "--port", "0"]);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("it is piped");
        let (send, lines) = mpsc::channel();
        // Reads on to the end, so that the server never writes into a closed pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let line = lines
            .recv_timeout(WATCHDOG)
            .expect("the server says where it listens");
        let address = line
            .strip_prefix("listening on http://")
            .expect(&line)
            .to_owned();
        Self {
            child,
            address,
            lines,
        }
    }

    /// Waits for the next line that it says.
    pub(crate) fn next_line(&self) -> String {
        self.lines
            .recv_timeout(WATCHDOG)
            .expect("the server says more")
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        kill(&self.child, signal);
    }

    /// The exit code, when it has ended.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("it is our child").code()
    }
}

fn kill(child: &Child, signal: rustix::process::Signal) {
    let id = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(id.expect("a process has an id"), signal)
        .expect("it has not been waited for");
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
