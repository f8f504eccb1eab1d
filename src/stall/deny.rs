//! Tests that fail when something blocks.

use std::thread;

use super::{
    report::{Certainty, Stall},
    strict::{KEPT, Reports, Strict},
    watch::Watch,
    watching::Watching,
};

/// Watches the current runtime, and panics with the reports when the guard is dropped, if there are
/// any: a test that holds it fails when something blocks.
///
/// The threshold is 100 ms; [`Watch::deny`] takes other settings. Workers that compute are reported only
/// within [`watched`](super::watched), since a worker that is just busy is no fault. **The test's own
/// future is not on a worker** if its runtime is a multi-thread one: use
/// [`assert_no_stalls!`](crate::assert_no_stalls), which covers that as well.
///
/// Tests may run side by side: each sees its own runtime only.
///
/// # Panics
///
/// Outside of a runtime, and if the watchdog's thread cannot be started.
///
/// # Examples
///
/// ```
/// use longshore::stall;
///
/// #[tokio::main(flavor = "current_thread")] // in a test: #[tokio::test]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let _guard = stall::deny();
///     let text = longshore::offload(|| std::fs::read_to_string("Cargo.toml")).await??;
///     assert!(text.contains("[package]"));
///     Ok(())
/// }
/// ```
#[track_caller]
pub fn deny() -> Deny {
    Watch::new().deny()
}

/// The guard of [`deny`].
#[derive(Debug)]
#[must_use = "it denies stalls until it is dropped"]
pub struct Deny {
    watching: Watching,
    reports: Reports,
    strict: Option<Strict>,
    /// Somebody has taken them.
    taken: bool,
}

impl Deny {
    pub(super) fn new(watching: Watching, reports: Reports) -> Self {
        Self {
            watching,
            reports,
            strict: None,
            taken: false,
        }
    }

    /// Reports every poll of a [`watched`](super::watched) future in which the thread went to sleep in
    /// the system, for however short a time.
    ///
    /// This finds calls that are fast in a test and slow elsewhere. What did not sleep it does not
    /// see: a file that is cached, a peer on the same machine that has answered already, a sleep of some
    /// microseconds that is over before the thread has left its processor. What runs in
    /// `block_in_place` counts as well, unless it is in [`allow`](super::allow()); so does what
    /// others have made it wait for within a poll, as a lock of the allocator's or a page of memory
    /// that had to be read. It costs some tens of microseconds a poll, and works on Linux only. (It
    /// counts the thread's voluntary context switches, in `/proc/thread-self/status`.)
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{thread, time::Duration};
    ///
    /// use longshore::stall;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let guard = stall::deny().strict();
    /// stall::watched(async { thread::sleep(Duration::from_millis(50)) }).await;
    /// # if cfg!(target_os = "linux") {
    /// assert_eq!(guard.into_reports().len(), 1);
    /// # }
    /// # }
    /// ```
    pub fn strict(mut self) -> Self {
        let subject = self.watching.subject();
        if self.strict.is_none() {
            let ignored = subject.settings.listener.ignored().clone();
            self.strict = Some(Strict::on(subject.scope(), self.reports.clone(), ignored));
        }
        self
    }

    /// What was reported so far, instead of a panic.
    #[must_use]
    pub fn into_reports(mut self) -> Vec<Stall> {
        self.taken = true;
        self.take()
    }

    fn take(&self) -> Vec<Stall> {
        let mut reports = std::mem::take(&mut *self.reports.lock());
        let ignored = self.watching.subject().settings.listener.ignored();
        reports.retain(|stall| !ignored.has(stall));
        without_twins(reports)
    }

    /// The watch itself.
    pub fn watching(&self) -> &Watching {
        &self.watching
    }
}

impl Drop for Deny {
    fn drop(&mut self) {
        self.watching.subject().close();
        if self.taken || thread::panicking() {
            return;
        }
        let reports = self.take();
        if reports.is_empty() {
            return;
        }
        let lines: Vec<String> = reports.iter().map(ToString::to_string).collect();
        let more = if lines.len() >= KEPT { " or more" } else { "" };
        panic!(
            "{}{more} stalled the runtime:\n{}",
            count(lines.len()),
            lines.join("\n")
        );
    }
}

/// A poll that was reported while it went on, and again by `strict` when it was over, is one.
fn without_twins(reports: Vec<Stall>) -> Vec<Stall> {
    let mut kept: Vec<(Stall, bool)> = Vec::with_capacity(reports.len());
    for report in reports {
        let is_of_strict = |stall: &Stall| matches!(stall.certainty, Certainty::Slept(_));
        let twin = kept.iter_mut().rev().find(|(other, is_matched)| {
            is_of_strict(&report)
                && !is_of_strict(other)
                && !is_matched
                && other.thread == report.thread
                && other.task == report.task
                && other.watched_at == report.watched_at
                && other.stalled_for <= report.stalled_for
        });
        match twin {
            Some((_, is_matched)) => *is_matched = true,
            None => kept.push((report, false)),
        }
    }
    kept.into_iter().map(|(report, _)| report).collect()
}

fn count(stalls: usize) -> String {
    match stalls {
        1 => String::from("one call"),
        many => format!("{many} calls"),
    }
}

/// Awaits a future and panics if it, or anything else on its runtime meanwhile, stalled.
///
/// Gives what the future gives. It is [`watched`](crate::stall::watched), under
/// [`deny`](crate::stall::deny()); a second argument, a [`Watch`](crate::stall::Watch), takes other
/// settings.
///
/// # Examples
///
/// ```
/// use longshore::assert_no_stalls;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let sum = assert_no_stalls!(async { 1 + 1 });
/// assert_eq!(sum, 2);
/// # }
/// ```
#[macro_export]
macro_rules! assert_no_stalls {
    ($future:expr $(,)?) => {
        $crate::assert_no_stalls!($future, $crate::stall::Watch::new())
    };
    ($future:expr, $watch:expr $(,)?) => {{
        let guard = $crate::stall::Watch::deny($watch);
        let output = $crate::stall::watched($future).await;
        ::std::mem::drop(guard);
        output
    }};
}
