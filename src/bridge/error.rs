//! Why a bridge gave no value.

use std::{io, panic::Location, time::Duration};

use crate::error::{Error as LaneError, Panic};

/// Why a call through a [`Bridge`](super::Bridge) did not give its caller a value.
///
/// # Examples
///
/// ```
/// use longshore::{Bridge, bridge};
///
/// # fn main() -> Result<(), bridge::Error> {
/// let bridge = Bridge::start()?;
/// let here = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
/// // Synchronous code that has got into async code by accident.
/// let refused = here.block_on(async { bridge.call(async { 7 }) });
/// assert!(refused.unwrap_err().would_block_runtime());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This thread drives async tasks that nobody else can drive: a current-thread runtime, or a
    /// `LocalSet`. While it waits they cannot go on, and if what it waits for is among them, it
    /// never ends.
    ///
    /// Nothing was started. In async code, `.await` the future itself: no bridge is needed there.
    /// Synchronous code that needs a bridge and is called from such a place is to be offloaded, as
    /// all that blocks.
    #[error(
        "to wait at {at} would block a thread that drives {driving}: `.await` the future instead, \
         or hand the synchronous code to a lane (`Lane::offload`) or to `spawn_blocking`"
    )]
    #[non_exhaustive]
    WouldBlockRuntime {
        /// Where it was called.
        at: &'static Location<'static>,
        /// What would have been blocked.
        driving: Driving,
    },

    /// [`Bridge::current`](super::Bridge::current) was called where there is no runtime.
    #[error(
        "there is no Tokio runtime at {at} to call into: take `Bridge::start`, or a bridge from a \
         runtime's handle"
    )]
    #[non_exhaustive]
    NoRuntime {
        /// Where it was called.
        at: &'static Location<'static>,
    },

    /// The thread is ending: it was called by the destructor of a thread-local, after Tokio's own had
    /// gone.
    #[error("this thread is ending, and nothing asynchronous can run on it any more")]
    ThreadEnds,

    /// For five seconds, no task of the runtime under the bridge has run. It is told about six
    /// seconds after the wait began.
    ///
    /// Of a current-thread runtime: nobody is in its `block_on`, or something blocks in there. Only
    /// the thread that is in `Runtime::block_on` runs the tasks, timers and I/O of such a runtime.
    /// [`Bridge::start`](super::Bridge::start) has a thread that always does.
    ///
    /// Of a multi-thread runtime, if one of the tasks on its workers waits: so many of them wait, or
    /// block in another way, that no thread is left.
    #[error(
        "nobody drives the runtime under the bridge: a thread has to be free to run its tasks, and \
         if it is a current-thread runtime, has to be in its `block_on`"
    )]
    NotDriven,

    /// The bridge was shut down, or the runtime under it was, before the call or meanwhile.
    #[error("the bridge, or the runtime under it, was shut down")]
    ShutDown,

    /// The time given to [`Bridge::call_timeout`](super::Bridge::call_timeout) or
    /// [`Spawned::wait_timeout`](super::Spawned::wait_timeout) was over.
    #[error("it took longer than {after:?}")]
    #[non_exhaustive]
    TimedOut {
        /// The time that was given.
        after: Duration,
    },

    /// The task was cancelled: by [`Spawned::cancel`](super::Spawned::cancel), by the end of its
    /// [`scope`](super::Bridge::scope), or when its bridge was shut down. Or the
    /// [`Job`](crate::Job) was that waited for it, or for a call; it is told so once.
    #[error("cancelled")]
    Cancelled,

    /// The future or the closure panicked. The runtime goes on.
    #[error(transparent)]
    Panicked(#[from] Panic),

    /// No thread, or nothing else that a runtime is made of, could be had. The system's reason is
    /// the `source()`.
    #[error("no thread could be had for a bridge")]
    NoThread(#[source] io::Error),

    /// A closure that was offloaded waits for one that waits for it, all round. Which, and in which
    /// lane, is the `source()`.
    #[error("offloaded closures wait for each other in a circle")]
    WouldDeadlock(#[source] Box<LaneError>),

    /// The outcome was given before, by [`Spawned::wait_timeout`](super::Spawned::wait_timeout) or
    /// by polling.
    #[error("the outcome was taken already")]
    Taken,

    /// [`Bridge::shutdown`](super::Bridge::shutdown) cancelled what was left, and not all of it has
    /// ended: something in it blocks and does not look up.
    #[error("{} not ended although everything was cancelled", who_has(*left))]
    #[non_exhaustive]
    Stuck {
        /// How many. Zero if it is the runtime's own thread that does not end.
        left: usize,
    },
}

/// Of whom it is told that they have not ended.
fn who_has(left: usize) -> String {
    match left {
        0 => "the runtime's own thread has".to_owned(),
        1 => "1 call or task has".to_owned(),
        _ => format!("{left} calls and tasks have"),
    }
}

/// What a thread was driving when it was about to block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Driving {
    /// A runtime that has no thread but this one.
    CurrentThreadRuntime,
    /// Tasks of a `tokio::task::LocalSet`, which cannot leave this thread.
    LocalSet,
}

impl std::fmt::Display for Driving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CurrentThreadRuntime => "a current-thread runtime",
            Self::LocalSet => "the tasks of a `LocalSet`",
        })
    }
}

impl Error {
    /// True if it was refused because the thread drives tasks that would have stopped.
    #[must_use]
    pub fn would_block_runtime(&self) -> bool {
        matches!(self, Self::WouldBlockRuntime { .. })
    }

    /// True if the bridge or its runtime was shut down.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        matches!(self, Self::ShutDown)
    }

    /// True if the time was over.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// True if the task was cancelled, or the job that waited.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// True if the future or the closure panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panicked(_))
    }
}

/// What became of a closure that was offloaded through the bridge's lane.
impl From<LaneError> for Error {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Panicked(panic) => Self::Panicked(panic),
            LaneError::NoThread { cause, .. } => {
                Self::NoThread(io::Error::new(cause.kind(), cause))
            }
            LaneError::Closed { .. } | LaneError::NoRuntime { .. } => Self::ShutDown,
            error @ LaneError::WouldDeadlock { .. } => Self::WouldDeadlock(Box::new(error)),
            // The lane of a bridge has neither a bound nor a time, nor is it a resource's or a group's.
            LaneError::Cancelled { .. }
            | LaneError::QueueFull { .. }
            | LaneError::TimedOut { .. }
            | LaneError::Unavailable(_)
            | LaneError::InUse { .. }
            | LaneError::Stopped { .. } => Self::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn every_variant() -> Vec<Error> {
        let at = Location::caller();
        vec![
            Error::WouldBlockRuntime {
                at,
                driving: Driving::CurrentThreadRuntime,
            },
            Error::WouldBlockRuntime {
                at,
                driving: Driving::LocalSet,
            },
            Error::NoRuntime { at },
            Error::ThreadEnds,
            Error::NotDriven,
            Error::ShutDown,
            Error::TimedOut {
                after: Duration::from_secs(1),
            },
            Error::Cancelled,
            Error::Panicked(Panic::new(Box::new("boom"), at)),
            Error::NoThread(io::Error::from_raw_os_error(11)),
            Error::WouldDeadlock(Box::new(LaneError::WouldDeadlock {
                lane: "bridge".into(),
            })),
            Error::Taken,
            Error::Stuck { left: 1 },
            Error::Stuck { left: 0 },
        ]
    }

    #[test]
    fn no_message_in_a_chain_repeats_another() {
        for error in every_variant() {
            let message = error.to_string();
            assert!(!message.is_empty());
            if let Some(cause) = error.source() {
                assert!(!message.contains(&cause.to_string()), "{message}");
            }
        }
    }

    #[test]
    fn a_refusal_says_where_and_what_to_do() {
        for error in &every_variant()[..2] {
            let message = error.to_string();
            assert!(message.contains(file!()), "{message}");
            assert!(message.contains(".await"), "{message}");
            assert!(message.contains("spawn_blocking"), "{message}");
        }
    }

    #[test]
    fn each_predicate_is_true_of_its_own_variant_alone() {
        let ask: [fn(&Error) -> bool; 5] = [
            Error::would_block_runtime,
            Error::is_shut_down,
            Error::is_timeout,
            Error::is_cancelled,
            Error::is_panic,
        ];
        let told = ask.map(|ask| every_variant().iter().filter(|error| ask(error)).count());
        assert_eq!(told, [2, 1, 1, 1, 1]);
    }
}
