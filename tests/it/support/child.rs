//! Tests that may end their process, or change its limits: they run in one of their own.

use std::{
    env,
    io::Read,
    process::{Command, Output, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const MARK: &str = "LONGSHORE_IT_CHILD";
const CASE: &str = "LONGSHORE_IT_CASE";

/// True in the process that [`Child::run`] started.
pub(crate) fn in_child() -> bool {
    env::var_os(MARK).is_some()
}

/// Runs a test once for each case, each time in a process of its own, or, in there, the case.
#[track_caller]
pub(crate) fn each_in_a_child<T>(test: &str, cases: &[T], run: impl FnOnce(T) + Send + 'static)
where
    T: Copy + Send + 'static,
{
    if let Some(case) = env::var_os(CASE) {
        let case: usize = case
            .to_str()
            .and_then(|case| case.parse().ok())
            .expect("a number");
        let case = cases[case];
        return super::watched(move || run(case));
    }
    for case in 0..cases.len() {
        // Without backtraces: of a thousand planned panics nobody wants them.
        Child::new(test)
            .env(CASE, &case.to_string())
            .env("RUST_BACKTRACE", "0")
            .passes();
    }
}

/// One test of this binary, in a process of its own.
pub(crate) struct Child(Command);

impl Child {
    /// `test` is the test's whole path: `concat!(module_path!(), "::name")`.
    pub(crate) fn new(test: &str) -> Self {
        let binary = env::current_exe().expect("this binary has a path");
        let (_, test) = test.split_once("::").expect("a path begins with the crate");
        let mut command = Command::new(binary);
        command
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(MARK, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Without a variable that this process may have.
    #[cfg(feature = "ureq")]
    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    /// Has it started by another command, which is to run what follows its own arguments.
    #[cfg(feature = "ureq")]
    pub(crate) fn within(self, wrapper: &[&str]) -> Self {
        let (program, arguments) = wrapper.split_first().expect("a command");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(self.0.get_program())
            .args(self.0.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self(command)
    }

    /// Runs it to its end, which has to come.
    pub(crate) fn output(mut self) -> Output {
        let mut child = self.0.spawn().expect("this binary can be run");
        // Read all the time, or it would block on a full pipe.
        let stdout = read(child.stdout.take());
        let stderr = read(child.stderr.take());
        // Its own watchdog comes first, which knows more.
        let end = Instant::now() + 2 * super::watchdog::PATIENCE;
        let mut hung = false;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if Instant::now() > end {
                child.kill().expect("a child can be killed");
                hung = true;
            }
            thread::sleep(Duration::from_millis(2));
        };
        let output = Output {
            status,
            stdout: stdout.join().expect("reading does not panic"),
            stderr: stderr.join().expect("reading does not panic"),
        };
        assert!(!hung, "the child hung:\n{}", text(&output));
        output
    }

    /// Runs it and expects the test to pass there.
    #[track_caller]
    pub(crate) fn passes(self) {
        let output = self.output();
        let text = text(&output);
        assert!(output.status.success(), "{}\n{text}", output.status);
        assert!(text.contains("1 passed"), "it ran no test:\n{text}");
    }
}

fn read(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut all);
        }
        all
    })
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
