//! A part of a bench in a process of its own: this same executable, started again.
//!
//! What a server takes in threads and memory is then not counted as the client's, a contender
//! starts with memory that no other has left behind, and both ends of a connection do not share
//! one table of open files.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _},
    process::{Child as Process, ChildStdout, Command, Stdio},
    thread,
};

const ROLE: &str = "LONGSHORE_BENCH_ROLE";

/// What this process was started for. `None` if it is the bench itself.
///
/// A process with a role ends with the one that started it, also if that is killed.
pub(crate) fn role() -> Option<String> {
    let role = env::var(ROLE).ok()?;
    let watch = || {
        // The other end of the pipe is open for as long as the parent lives.
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        std::process::exit(0);
    };
    let watcher = thread::Builder::new().name(String::from("parent"));
    watcher.spawn(watch).expect("a thread can be had");
    Some(role)
}

/// A child process, which is ended when this is dropped.
pub(crate) struct Child {
    process: Process,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(role: &str) -> Self {
        let executable = env::current_exe().expect("the path of this program is known");
        let mut process = Command::new(executable)
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started a second time");
        let output = process.stdout.take().expect("its output is a pipe");
        Self {
            process,
            output: BufReader::new(output),
        }
    }

    /// The next line that it prints, without the end of the line.
    ///
    /// # Panics
    ///
    /// If it ends before that; it has then said why on standard error.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("lines are text");
        assert!(read > 0, "a process that the bench needs has ended");
        line.truncate(line.trim_end().len());
        line
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
