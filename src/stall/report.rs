//! What a watch reports.

use std::{fmt, panic::Location, time::Duration};

use super::proc::BlockingCall;

/// A thread that did not go on: it stayed in one poll (see [`Certainty`]) for longer than the
/// threshold, and everything else that runs on it waited.
///
/// `Display` gives one line that names worker, time, call and place, and ends with what to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stall {
    /// What kept the thread.
    pub cause: Cause,
    /// How well that is known.
    pub certainty: Certainty,
    /// How long it had been stuck when it was seen; the beginning is known to about a tick of the
    /// watchdog, which is 10 ms at the most.
    pub stalled_for: Duration,
    /// How long it was stuck in all, where that is known: once it is over, to about two ticks. On
    /// a worker that goes on working without a pause it may be seen late, since Tokio tells of progress
    /// only from time to time.
    pub total: Option<Duration>,
    /// The worker, counted from zero; `None` on a thread that is none, such as that of `block_on` of a
    /// multi-thread runtime.
    pub worker: Option<usize>,
    /// The thread's number, as the system's tools show it. Only on Linux.
    pub thread: Option<u32>,
    /// The thread's name.
    pub thread_name: Option<String>,
    /// The task, by the number that its `tokio::task::Id` shows, if it is polled within
    /// [`watched`](super::watched).
    pub task: Option<u64>,
    /// Where [`watched`](super::watched) was called for what is being polled.
    pub watched_at: Option<&'static Location<'static>>,
    /// The system call that it sleeps in. Only on Linux, and only if it can be told.
    pub call: Option<BlockingCall>,
    /// What it was doing there.
    #[cfg(feature = "stall-stacks")]
    pub stack: Option<super::Stack>,
}

/// What keeps a thread from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// It sleeps in a system call.
    BlockingCall,
    /// It waits for another thread of this process: for a lock, a channel, a condition.
    LockWait,
    /// It computes.
    #[non_exhaustive]
    Cpu {
        /// How much processor time it had used when it was seen.
        used: Duration,
    },
    /// It cannot be told here, or it sleeps for another reason, such as a page of memory that has to be
    /// read first.
    Unknown,
}

/// What exactly has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certainty {
    /// One and the same sleep in the system, for the whole time.
    OneCall,
    /// The thread slept most of the time, in several calls one after the other.
    ManyCalls,
    /// One poll of a future that is [`watched`](super::watched).
    OnePoll,
    /// Tokio has noted no progress of the worker. It does so when a worker parks, and every so many
    /// ticks, 61 unless the runtime was built with another `event_interval`; a tick is one poll on a
    /// current-thread runtime and up to four on another. So it may have been many polls, each of them
    /// longer than it should be, and not one.
    UpToTicks(u32),
    /// The thread went to sleep in the system so many times within one poll; how long does not matter.
    /// Only from [`Deny::strict`](super::Deny::strict).
    Slept(u64),
}

impl Stall {
    /// Where the blame goes: the innermost place of the user's own code that is known.
    ///
    /// That is the line in the `stack` (feature `stall-stacks`) that leads to the call, if the
    /// symbols of the program have lines, or else where [`watched`](super::watched) was called, or
    /// else the name of a function. The first two of these are certain.
    #[must_use]
    pub fn blame(&self) -> Option<String> {
        blame(self.stacked(), self.watched_at)
    }

    /// Whether this is about `site`: the end of a path of a source file, with or without a line
    /// (`src/config.rs`, `config.rs:41`), in which the blame goes there or `watched` was called.
    #[must_use]
    pub fn is_at(&self, site: &str) -> bool {
        self.is_watched_at(site) || self.is_blamed_at(site)
    }

    /// As `is_at`, by what is known without names having to be looked up.
    pub(super) fn is_watched_at(&self, site: &str) -> bool {
        (self.watched_at).is_some_and(|place| is_site(site, place.file(), place.line()))
    }

    fn is_blamed_at(&self, site: &str) -> bool {
        #[cfg(feature = "stall-stacks")]
        if let Some(frame) = self.stack.as_ref().and_then(super::Stack::place_to_blame)
            && let (Some(file), Some(line)) = (&frame.file, frame.line)
        {
            return is_site(site, file, line);
        }
        let _ = site;
        false
    }

    /// The blame as far as it comes from the stack, and whether that is a place in the source.
    fn stacked(&self) -> Option<(String, bool)> {
        #[cfg(feature = "stall-stacks")]
        return self.stack.as_ref().and_then(super::Stack::blamed);
        #[cfg(not(feature = "stall-stacks"))]
        return None;
    }

    /// What reports of the same site have in common. Names may have to be looked up for that.
    pub(super) fn site(&self) -> String {
        let place = self.blame().unwrap_or_default();
        let Some(call) = &self.call else {
            return format!("{} {place}", kind(self.cause));
        };
        let about = match place.is_empty() {
            true => call.service().unwrap_or_default(),
            false => String::new(),
        };
        format!("{} {about} {place}", call.syscall)
    }
}

/// What is to blame: by the stack, with whether it is a place in the source, and where it was `watched`.
pub(super) fn blame(
    stacked: Option<(String, bool)>,
    watched_at: Option<&'static Location<'static>>,
) -> Option<String> {
    match (stacked, watched_at) {
        (Some((blamed, true)), _) | (Some((blamed, false)), None) => Some(blamed),
        (_, watched_at) => watched_at.map(ToString::to_string),
    }
}

fn is_site(site: &str, file: &str, line: u32) -> bool {
    ends_with(file, site) || ends_with(&format!("{file}:{line}"), site)
}

fn kind(cause: Cause) -> &'static str {
    match cause {
        Cause::BlockingCall => "call",
        Cause::LockWait => "lock",
        Cause::Cpu { .. } => "cpu",
        Cause::Unknown => "unknown",
    }
}

/// Whether a path ends with whole parts of another, with either kind of slash.
fn ends_with(path: &str, end: &str) -> bool {
    let (path, end) = (path.replace('\\', "/"), end.replace('\\', "/"));
    !end.is_empty()
        && (path.strip_suffix(&end))
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('/') || end.starts_with('/'))
}

/// In whole milliseconds, or finer where there is less than ten of them.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_millis(10) {
            return write!(f, "{:.2} ms", self.0.as_secs_f64() * 1e3);
        }
        write!(f, "{} ms", self.0.as_millis())
    }
}

/// ```text
/// worker 1 blocked 312 ms in recvfrom (10.0.0.7:5432) <- src/price.rs:41:9 (task 9); move it behind longshore::offload
/// ```
impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.worker, &self.thread_name) {
            (Some(worker), _) => write!(f, "worker {worker}")?,
            (None, Some(name)) => write!(f, "thread `{}`", name.escape_debug())?,
            (None, None) => f.write_str("a thread")?,
        }
        let time = Span(self.total.unwrap_or(self.stalled_for));
        match self.cause {
            Cause::Cpu { used } => write!(f, " computed for {time} ({} of processor)", Span(used))?,
            Cause::Unknown if matches!(self.certainty, Certainty::Slept(_)) => {
                write!(f, " went to sleep in a poll of {time}")?;
            }
            Cause::BlockingCall | Cause::LockWait => write!(f, " blocked {time}")?,
            Cause::Unknown => write!(f, " did not go on for {time}")?,
        }
        match (&self.call, self.cause) {
            (Some(call), _) => write!(f, " in {call}")?,
            (None, Cause::LockWait) => f.write_str(" in a lock, a channel or the like")?,
            (None, _) => {}
        }
        match self.certainty {
            Certainty::ManyCalls => f.write_str(", in several calls")?,
            Certainty::UpToTicks(ticks) => write!(f, ", in at most {ticks} ticks")?,
            Certainty::Slept(times) if times > 1 => write!(f, ", {times} times")?,
            Certainty::OneCall | Certainty::OnePoll | Certainty::Slept(_) => {}
        }
        if let Some((blamed, _)) = self.stacked() {
            write!(f, " <- {blamed}")?;
        }
        if let Some(place) = self.watched_at {
            write!(f, " <- {place}")?;
        }
        if let Some(task) = self.task {
            write!(f, " (task {task})")?;
        }
        f.write_str(match (self.cause, &self.call) {
            (_, Some(call)) if call.is_sleep() => {
                "; await tokio::time::sleep, or move it behind longshore::offload"
            }
            (Cause::LockWait, _) => {
                "; await what tokio::sync has for it, or move it behind longshore::offload"
            }
            _ => "; move it behind longshore::offload",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn stall() -> Stall {
        Stall {
            cause: Cause::BlockingCall,
            certainty: Certainty::OneCall,
            stalled_for: Duration::from_millis(312),
            total: None,
            worker: Some(1),
            thread: Some(4711),
            thread_name: Some(String::from("tokio-rt-worker")),
            task: Some(9),
            watched_at: Some(Location::caller()),
            call: Some(BlockingCall {
                syscall: Cow::Borrowed("recvfrom"),
                fd: Some(8),
                peer: Some(String::from("10.0.0.7:5432")),
                path: None,
                timeout: None,
                serves: false,
            }),
            #[cfg(feature = "stall-stacks")]
            stack: None,
        }
    }

    #[test]
    fn a_stall_reads_as_one_line_that_says_what_to_do() {
        let stall = stall();
        let text = stall.to_string();
        let (start, rest) = text.split_once(" <- ").expect("it has a blame");
        assert_eq!(start, "worker 1 blocked 312 ms in recvfrom (10.0.0.7:5432)");
        let (place, rest) = rest.split_once(" (").expect("it has a task");
        assert!(place.contains("report.rs:"), "{place}");
        assert_eq!(rest, "task 9); move it behind longshore::offload");
    }

    #[test]
    fn where_less_is_known_less_is_said() {
        let less = Stall {
            cause: Cause::Unknown,
            certainty: Certainty::UpToTicks(61),
            worker: None,
            thread_name: Some(String::from("a\nb")),
            task: None,
            watched_at: None,
            call: None,
            ..stall()
        };
        assert_eq!(
            less.to_string(),
            "thread `a\\nb` did not go on for 312 ms, in at most 61 ticks; \
             move it behind longshore::offload"
        );
    }

    #[test]
    fn clients_of_one_address_are_one_site_and_services_are_not() {
        let site = |peer: &str, serves| {
            let mut stall = stall();
            stall.watched_at = None;
            let call = stall.call.as_mut().expect("it has one");
            call.peer = Some(peer.to_owned());
            call.serves = serves;
            stall.site()
        };
        assert_eq!(site("10.0.0.7:40001", true), site("10.0.0.7:40002", true));
        assert_ne!(site("10.0.0.7:40001", true), site("10.0.0.8:40001", true));
        assert_ne!(site("10.0.0.7:50051", false), site("10.0.0.7:50052", false));
    }

    #[test]
    fn a_site_is_a_file_or_a_line_of_it() {
        let stall = stall();
        let line = stall.watched_at.expect("it has one").line();
        assert!(stall.is_at("report.rs"));
        assert!(stall.is_at("stall/report.rs"));
        assert!(stall.is_at(&format!("report.rs:{line}")));
        assert!(!stall.is_at(&format!("report.rs:{}", line + 1)));
        assert!(!stall.is_at("port.rs"));
        assert!(ends_with(r"src\config.rs", "src/config.rs"));
        assert!(ends_with("src/config.rs", r"src\config.rs"));
        assert!(!stall.is_at(""));
    }
}
