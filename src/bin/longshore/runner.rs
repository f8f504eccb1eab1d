//! Starts the process of a strategy and listens to it.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::progress::Progress;
use crate::strategy::Strategy;
use crate::wire::{Beats, Ended, Event, Order, Totals};

/// How often the progress is drawn.
const REDRAW: Duration = Duration::from_millis(100);

/// What may arrive while a strategy runs.
#[derive(Debug)]
pub(crate) enum Message {
    /// A line of the process with this number, or the end of its output.
    Line(usize, Option<String>),
    Signal(u8),
}

/// A strategy that has run, or has begun to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) strategy: Strategy,
    pub(crate) calls: Vec<Ended>,
    pub(crate) outcome: Outcome,
}

impl Run {
    /// The heartbeat beside it, if it came to its end and a beat was due before.
    pub(crate) fn beats(&self) -> Option<&Beats> {
        match &self.outcome {
            Outcome::Finished(totals) => totals.heartbeat.as_ref(),
            Outcome::Interrupted { .. } | Outcome::Died(_) => None,
        }
    }
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Finished(Totals),
    /// A signal came after so many seconds.
    Interrupted {
        signal: u8,
        after_s: f64,
    },
    /// The process could not run, or did not live to the end.
    Died(String),
}

/// Starts one process after the other.
pub(crate) struct Runner {
    messages: Receiver<Message>,
    sender: Sender<Message>,
    started: usize,
}

impl Runner {
    /// `sender` is where `messages` come from; signals arrive there as well.
    pub(crate) fn new(sender: Sender<Message>, messages: Receiver<Message>) -> Self {
        Self {
            messages,
            sender,
            started: 0,
        }
    }

    /// The signal that has come since the last run, if one has.
    pub(crate) fn interrupted(&self) -> Option<u8> {
        self.messages.try_iter().find_map(|message| match message {
            Message::Signal(number) => Some(number),
            Message::Line(..) => None,
        })
    }

    /// Runs a strategy to its end, or until a signal comes.
    ///
    /// # Errors
    ///
    /// The process cannot be started. Then no other one can be, either.
    pub(crate) fn run(&mut self, order: &Order, progress: &mut Progress) -> io::Result<Run> {
        self.started += 1;
        let number = self.started;
        let began = Instant::now();
        let mut process = Process::start(order, number, &self.sender)?;
        // No strategy needs longer than one call after the other, each at its timeout; ureq may
        // overrun that while it sends. What is left then hangs.
        let give_up = Duration::from_millis(order.timeout_ms)
            .saturating_mul(u32::try_from(order.calls.len()).unwrap_or(u32::MAX))
            .saturating_mul(3)
            .saturating_add(Duration::from_secs(30));

        let mut calls = Vec::with_capacity(order.calls.len());
        let outcome = loop {
            match self.messages.recv_timeout(REDRAW) {
                Ok(Message::Signal(signal)) => {
                    break Outcome::Interrupted {
                        signal,
                        after_s: began.elapsed().as_secs_f64(),
                    };
                }
                Ok(Message::Line(of, _)) if of != number => {}
                Ok(Message::Line(_, None)) => break Outcome::Died(process.end()),
                Ok(Message::Line(_, Some(line))) => match serde_json::from_str(&line) {
                    Ok(Event::Begun(_)) => progress.begun(),
                    Ok(Event::Ended(ended)) => {
                        progress.ended();
                        calls.push(ended);
                    }
                    Ok(Event::Finished(totals)) => break Outcome::Finished(totals),
                    Ok(Event::Impossible(reason)) => {
                        process.end();
                        break Outcome::Died(match process.last_words() {
                            words if words.is_empty() => reason,
                            words => format!("{reason}: {words}"),
                        });
                    }
                    Ok(Event::Alive) => {}
                    Err(error) => {
                        break Outcome::Died(format!("it says nothing sensible: {error}"));
                    }
                },
                Err(RecvTimeoutError::Timeout) if began.elapsed() > give_up => {
                    break Outcome::Died(format!("it hangs, after {} s", give_up.as_secs()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the runner holds a sender"),
            }
            progress.draw();
        };
        calls.sort_by_key(|call| call.index);
        Ok(Run {
            strategy: order.strategy,
            calls,
            outcome,
        })
    }
}

/// The process of a strategy. It is killed when this is dropped.
struct Process {
    child: Child,
    /// Reads its standard error.
    errors: Option<std::thread::JoinHandle<Vec<u8>>>,
    /// What was read, when it has ended.
    words: Vec<u8>,
}

impl Process {
    fn start(order: &Order, number: usize, sender: &Sender<Message>) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("__strategy").env("RUST_BACKTRACE", "0");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Ctrl-C goes to the group of the terminal: the process is ended by us and not by it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = Self {
            child: command.spawn()?,
            errors: None,
            words: Vec::new(),
        };

        let stdout = process.child.stdout.take().expect("it is piped");
        let lines = sender.clone();
        std::thread::Builder::new()
            .name("listener".to_owned())
            .spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    let Ok(line) = line else { break };
                    if lines.send(Message::Line(number, Some(line))).is_err() {
                        return;
                    }
                }
                let _ = lines.send(Message::Line(number, None));
            })?;
        let stderr = process.child.stderr.take().expect("it is piped");
        let errors = std::thread::Builder::new().name("listener".to_owned());
        process.errors = Some(errors.spawn(move || head(stderr))?);

        let order = serde_json::to_vec(order).expect("orders have no keys but strings");
        let mut stdin = process.child.stdin.take().expect("it is piped");
        match stdin.write_all(&order) {
            // It has died early: its last words will tell.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            result => result?,
        }
        Ok(process)
    }

    /// Ends the process, and tells why it ended: by what it wrote to standard error, or else by
    /// its exit status.
    fn end(&mut self) -> String {
        let _ = self.child.kill();
        let status = self.child.wait();
        match self.last_words() {
            words if !words.is_empty() => words,
            _ => match status {
                Ok(status) => format!("the process ended early ({status})"),
                Err(error) => format!("the process ended early ({error})"),
            },
        }
    }

    /// The start of what the process, which has ended, wrote to standard error.
    fn last_words(&mut self) -> String {
        if let Some(thread) = self.errors.take() {
            self.words = thread.join().unwrap_or_default();
        }
        let text = String::from_utf8_lossy(&self.words);
        let words: Vec<&str> = text
            .lines()
            .map(str::trim)
            // Of a panic the message alone: where it was is of no use to the reader.
            .filter(|line| !line.is_empty() && !line.starts_with("note: "))
            .filter(|line| !(line.starts_with("thread '") && line.contains(" panicked at ")))
            .take(2)
            .collect();
        words.join(" ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first few KiB of what a process writes; it is read to its end, so that it never waits.
fn head(mut from: impl Read) -> Vec<u8> {
    const KEPT: usize = 8 * 1024;
    let mut kept = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        let room = KEPT - kept.len();
        kept.extend_from_slice(&chunk[..read.min(room)]);
    }
    kept
}
