//! A task or a closure that was started through a bridge.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{AbortHandle, Aborted};
use tokio::task::{JoinHandle, coop::unconstrained};

use super::{error::Error, handle::Bridge, limits::Limits, wait};
use crate::{
    error::Panic,
    job::{Task, block_on},
};

/// What was started by [`Bridge::spawn`] or [`Bridge::offload`]: to wait for in synchronous code,
/// and a future in async code.
///
/// # Cancel safety
///
/// Dropping it cancels what it stands for, unless that belongs to a [`Scope`](super::Scope), which
/// keeps it until its own end. *The waiter* is free at once; *a task* is dropped by the runtime as
/// soon as it has given way, *a thread* is free when its closure returns.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use longshore::{Bridge, bridge};
///
/// # fn main() -> Result<(), bridge::Error> {
/// let bridge = Bridge::start()?;
/// let mut slow = bridge.spawn(std::future::pending::<()>());
/// let error = slow.wait_timeout(Duration::from_millis(5)).unwrap_err();
/// assert!(error.is_timeout() && !slow.is_finished());
/// slow.cancel();
/// assert!(slow.wait().unwrap_err().is_cancelled());
/// # Ok(())
/// # }
/// ```
pub struct Spawned<T> {
    state: State<T>,
    on_drop: OnDrop,
}

enum State<T> {
    Task {
        task: JoinHandle<Result<Result<T, Panic>, Aborted>>,
        abort: AbortHandle,
        /// Keeps the runtime.
        bridge: Bridge,
        at: &'static Location<'static>,
    },
    Job {
        task: Task<T>,
        /// Keeps the runtime.
        bridge: Bridge,
    },
    Refused(Error),
    Over,
}

/// What becomes of it when nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDrop {
    Cancel,
    Leave,
}

impl OnDrop {
    /// A scope has its own hand on what it started.
    pub(super) fn of(in_scope: bool) -> Self {
        if in_scope { Self::Leave } else { Self::Cancel }
    }
}

impl<T> Spawned<T> {
    pub(super) fn task(
        bridge: Bridge,
        task: JoinHandle<Result<Result<T, Panic>, Aborted>>,
        abort: AbortHandle,
        on_drop: OnDrop,
        at: &'static Location<'static>,
    ) -> Self {
        Self {
            state: State::Task {
                task,
                abort,
                bridge,
                at,
            },
            on_drop,
        }
    }

    pub(super) fn job(bridge: Bridge, task: Task<T>, on_drop: OnDrop) -> Self {
        Self {
            state: State::Job { task, bridge },
            on_drop,
        }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused(error),
            on_drop: OnDrop::Leave,
        }
    }

    /// Blocks until there is an outcome, and gives it.
    ///
    /// # Errors
    ///
    /// [`Error::Panicked`], [`Error::Cancelled`] or [`Error::ShutDown`] if that is what became of
    /// it. [`Error::WouldBlockRuntime`] if it is not finished and this must not block: it is
    /// cancelled then, as by a drop. In async code, `.await` it. [`Error::NotDriven`] if nobody
    /// drives the runtime. [`Error::Cancelled`] also if this is a job's thread, and the job is
    /// cancelled meanwhile; and if the bridge is shut down and the task does not end.
    #[track_caller]
    pub fn wait(mut self) -> Result<T, Error> {
        self.wait_for(None, Location::caller())
    }

    /// As [`wait`](Self::wait), for no longer than `time`. It can be waited for again afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if there was no outcome in time: it goes on. So it does if what was
    /// cancelled is the job that waits. [`Error::Taken`] if the outcome was given before. Else those
    /// of [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout(&mut self, time: Duration) -> Result<T, Error> {
        self.wait_for(Some(time), Location::caller())
    }

    fn wait_for(
        &mut self,
        time: Option<Duration>,
        at: &'static Location<'static>,
    ) -> Result<T, Error> {
        if self.is_finished() {
            // Anywhere: nothing is waited for.
            return block_on(unconstrained(self));
        }
        let bridge = match &self.state {
            State::Task { bridge, .. } | State::Job { bridge, .. } => bridge.clone(),
            State::Refused(_) | State::Over => unreachable!("these are finished"),
        };
        let limits = Limits::default().time(time).with_this_job();
        let limits = match &self.state {
            // A closure on a blocking pool needs nobody to drive the runtime, and can be told at
            // once that it is cancelled.
            State::Job { .. } => limits.life_of(bridge.runtime(), true),
            _ => {
                let shared = bridge.shared();
                shared.alive(limits).until(shared.books.given_up())
            }
        };
        wait::wait(limits, self, at)?
    }

    /// Cancels it. It then resolves to [`Error::Cancelled`], unless it had its outcome already.
    pub fn cancel(&self) {
        match &self.state {
            State::Task { abort, .. } => abort.abort(),
            State::Job { task, .. } => task.cancel(),
            State::Refused(_) | State::Over => {}
        }
    }

    /// True if waiting for it would not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Task { task, .. } => task.is_finished(),
            State::Job { task, .. } => task.is_finished(),
            State::Refused(_) | State::Over => true,
        }
    }

    /// Lets it run on by itself and forgets its outcome.
    ///
    /// It still ends with its runtime: for a bridge that was started, that is when the last handle
    /// is dropped. A shutdown of the bridge still counts it.
    pub fn detach(mut self) {
        if let State::Job { task, .. } = std::mem::replace(&mut self.state, State::Over) {
            task.detach();
        }
    }
}

impl<T> Future for Spawned<T> {
    type Output = Result<T, Error>;

    /// Gives [`Error::Taken`] if it is polled again after its outcome.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.state {
            State::Task { task, at, .. } => match std::task::ready!(Pin::new(task).poll(cx)) {
                Ok(Ok(ran)) => ran.map_err(Error::Panicked),
                Ok(Err(Aborted)) => Err(Error::Cancelled),
                // The future panicked while it was dropped, or the runtime has ended.
                Err(error) => Err(match error.try_into_panic() {
                    Ok(payload) => Error::Panicked(Panic::new(payload, at)),
                    Err(_) => Error::ShutDown,
                }),
            },
            State::Job { task, .. } => {
                std::task::ready!(Pin::new(task).poll(cx)).map_err(Error::from)
            }
            State::Refused(_) | State::Over => Err(Error::Taken),
        };
        match std::mem::replace(&mut self.state, State::Over) {
            State::Refused(error) => Poll::Ready(Err(error)),
            State::Task { .. } | State::Job { .. } | State::Over => Poll::Ready(outcome),
        }
    }
}

// Nothing in it is pinned.
impl<T> Unpin for Spawned<T> {}

impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        match (
            std::mem::replace(&mut self.state, State::Over),
            self.on_drop,
        ) {
            (State::Task { abort, .. }, OnDrop::Cancel) => abort.abort(),
            (State::Job { task, .. }, OnDrop::Leave) => task.detach(),
            // A task of the runtime goes on by itself, a job is cancelled by its own drop.
            _ => {}
        }
    }
}

impl<T> fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
