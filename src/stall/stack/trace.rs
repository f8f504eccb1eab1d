//! A whole stack, as it is shown.

use std::{
    fmt, panic,
    sync::{Arc, OnceLock},
};

use super::{
    Walked, blame,
    frame::{Confidence, Frame},
};
use crate::sync::Mutex;

/// What a thread was doing: its functions, the innermost first.
///
/// They are looked up when they are first asked for, by any of the methods and by `Debug` and
/// `Display` as well. The first time in a process that may take from some milliseconds to a second,
/// since the symbols of the program have to be read, and later less than a millisecond, mostly. So
/// that is better not done on a thread that has tasks to run; what a watch calls is on none.
///
/// `Display` numbers the functions, as the backtrace of a panic does. A clone is cheap and the same
/// stack.
#[derive(Clone)]
pub struct Stack(Arc<Lazy>);

struct Lazy {
    trace: OnceLock<Trace>,
    /// Taken when it is read.
    walked: Mutex<Option<Walked>>,
}

/// What has been found.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) frames: Vec<Frame>,
    pub(super) end: End,
}

/// Where a [`Stack`] ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Where the thread began: it is whole.
    Thread,
    /// It goes further than was copied (64 KiB), or than is shown (512 calls).
    TooDeep,
    /// It could not be followed further: code without tables for unwinding, or a file that is not there
    /// any more.
    #[default]
    Lost,
}

impl Stack {
    #[cfg_attr(
        not(all(target_os = "linux", target_arch = "x86_64")),
        expect(dead_code, reason = "elsewhere there are none")
    )]
    pub(super) fn of(walked: Walked) -> Self {
        Self(Arc::new(Lazy {
            trace: OnceLock::new(),
            walked: Mutex::new(Some(walked)),
        }))
    }

    fn trace(&self) -> &Trace {
        self.0.trace.get_or_init(|| {
            let walked = self.0.walked.lock().take();
            // A file that is damaged in a way that nobody has thought of is no reason to panic here.
            let trace = panic::catch_unwind(|| walked.map(|walked| walked.read()));
            trace.ok().flatten().unwrap_or_default()
        })
    }

    /// Its functions, the innermost first.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.trace().frames
    }

    /// Why there are no more.
    #[must_use]
    pub fn end(&self) -> End {
        self.trace().end
    }

    /// The innermost function of the program's own code: not of the standard library, of Tokio, of
    /// this crate, nor of any other that Cargo has fetched. In a task it is one of what the task
    /// runs, and not of who drives the runtime.
    ///
    /// Without debug information the paths of the source are not known. Then the names of functions
    /// decide, and a crate that is not known here counts as the program's own.
    #[must_use]
    pub fn blame(&self) -> Option<&Frame> {
        let frames = self.frames();
        // Outside of the task are the runtime and, on a current-thread one, whoever has called
        // `block_on`.
        let end = frames.iter().position(blame::is_outside_of_a_task);
        let inside = &frames[..end.unwrap_or(frames.len())];
        // Where dependencies are built without debug information and the program is not, a crate that
        // is not known here has no paths, and the program has.
        let by = |is_own: fn(&Frame) -> bool| inside.iter().find(|frame| is_own(frame));
        by(blame::is_own_by_file).or_else(|| by(blame::is_own_by_name))
    }

    /// The same as text, and whether that is a place in the source, and certain.
    pub(in crate::stall) fn blamed(&self) -> Option<(String, bool)> {
        let frame = self.blame()?;
        Some((format!("{frame:#}"), self.place_to_blame().is_some()))
    }

    /// The same, if it is certain and known by its place in the source.
    pub(in crate::stall) fn place_to_blame(&self) -> Option<&Frame> {
        let is_certain =
            |frame: &&Frame| frame.file.is_some() && frame.confidence > Confidence::Guessed;
        self.blame().filter(is_certain)
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trace { frames, end } = self.trace();
        f.debug_struct("Stack")
            .field("frames", frames)
            .field("end", end)
            .finish()
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, frame) in self.frames().iter().enumerate() {
            let next = if number > 0 { "\n" } else { "" };
            write!(f, "{next}{number:>4}: {frame}")?;
        }
        let next = if self.frames().is_empty() { "" } else { "\n" };
        match self.end() {
            End::Thread => Ok(()),
            End::TooDeep => write!(f, "{next}      and further than was copied"),
            End::Lost => write!(f, "{next}      and what could not be followed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: Option<&str>) -> Frame {
        Frame {
            function: Some(String::from(function)),
            file: file.map(String::from),
            line: file.map(|_| 41),
            column: None,
            module: String::from("shop"),
            address: 0x1234,
            inlined: false,
            confidence: Confidence::Known,
        }
    }

    fn stack(frames: Vec<Frame>, end: End) -> Stack {
        Stack(Arc::new(Lazy {
            trace: OnceLock::from(Trace { frames, end }),
            walked: Mutex::default(),
        }))
    }

    #[test]
    fn the_innermost_own_function_is_to_blame() {
        let foreign = frame("sleep", Some("/rustc/1/library/std/src/thread/mod.rs"));
        let unknown = frame("bank::transfer", None);
        let own = frame("shop::pay::{{closure}}", Some("src/pay.rs"));
        let outer = frame("main", Some("src/main.rs"));
        let blame = |frames: &[&Frame]| {
            let frames = frames.iter().copied().cloned().collect();
            let stack = stack(frames, End::Thread);
            stack.blame().map(|frame| format!("{frame:#}"))
        };
        let all = [&foreign, &unknown, &own, &outer];
        assert_eq!(blame(&all).as_deref(), Some("shop::pay at src/pay.rs:41"));
        assert_eq!(
            blame(&all[..2]).as_deref(),
            Some("bank::transfer in shop+0x1234")
        );
        assert_eq!(blame(&all[..1]), None);
        assert_eq!(blame(&[]), None);
    }

    #[test]
    fn who_drives_a_runtime_is_not_to_blame_for_its_tasks() {
        let sleeps = frame("sleep", Some("/rustc/1/library/std/src/thread/mod.rs"));
        let task = frame("tokio::runtime::task::raw::poll", None);
        let main = frame("main", Some("src/main.rs"));
        let blamed = |frames: &[&Frame]| {
            let frames = frames.iter().copied().cloned().collect();
            stack(frames, End::Thread).blame().is_some()
        };
        assert!(blamed(&[&sleeps, &main]));
        assert!(!blamed(&[&sleeps, &task, &main]));
        // A task that runs another runtime within it.
        assert!(blamed(&[&sleeps, &main, &task]));
    }

    #[test]
    fn nothing_is_shown_as_what_could_not_be_followed() {
        assert_eq!(
            stack(Vec::new(), End::Lost).to_string(),
            "      and what could not be followed"
        );
    }

    #[test]
    fn a_stack_is_shown_as_a_numbered_list_and_says_what_is_missing() {
        let nameless = Frame {
            function: None,
            confidence: Confidence::Guessed,
            ..frame("", None)
        };
        let frames = vec![
            frame("__poll", None),
            nameless,
            frame("shop::pay", Some("src/pay.rs")),
        ];
        assert_eq!(
            stack(frames, End::TooDeep).to_string(),
            "   0: __poll\n          in shop+0x1234\n   1: shop+0x1234 (guessed)\n   \
             2: shop::pay\n          at src/pay.rs:41\n      and further than was copied"
        );
    }
}
