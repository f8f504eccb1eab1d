//! One switch for many jobs.

use std::fmt;

use super::hooks::{Cancel, Cancels, HookGuard, on_cancel};
use crate::sync::{Arc, Mutex};

/// A switch that cancels every job that was handed in under it.
///
/// Clones are the same switch. A [`child`](Self::child) is cancelled with its parent, but not the
/// other way round. Give it to a lane with [`Lane::cancelled_by`](crate::Lane::cancelled_by).
///
/// It differs from `tokio_util::sync::CancellationToken` in that nobody has to poll anything: the
/// jobs are cancelled by the call to [`cancel`](Self::cancel), hooks included, before it returns.
/// Code that already has one of those can keep it: dropping a [`Task`](crate::Task), as
/// `token.run_until_cancelled(task)` does, cancels its job as well.
///
/// # Examples
///
/// ```
/// use longshore::{CancelToken, Lane};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lane = Lane::builder("reports").limit(2).build();
/// let request = CancelToken::new();
/// let lane = lane.cancelled_by(&request);
///
/// request.cancel();
/// let error = lane.offload(|| "never runs").await.unwrap_err();
/// assert!(error.is_cancelled() && error.never_started());
/// # }
/// ```
#[derive(Clone)]
pub struct CancelToken {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cancel: Cancel,
    /// Takes this token's hook off its parent when the token goes, so that a parent that lives
    /// long does not collect the hooks of children that are gone.
    parent: Mutex<Option<HookGuard>>,
}

impl CancelToken {
    /// A token of its own, not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Arc::new(State::default()),
        }
    }

    /// A token that is cancelled with this one, or by itself.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::new();
        let weak = Arc::downgrade(&child.state);
        // The child exists before its hook does, so that a cancel at this moment finds it.
        let guard = self.on_cancel(move || {
            if let Some(child) = weak.upgrade() {
                child.cancel.cancel();
            }
        });
        *child.state.parent.lock() = Some(guard);
        child
    }

    /// Cancels every job under this token and every child, and runs their hooks.
    ///
    /// A job that waits does not start any more from the moment this is called. Returns when all of
    /// that is done. The second call, and every one after it, does nothing, and does not wait for the
    /// first.
    pub fn cancel(&self) {
        self.state.cancel.cancel();
    }

    /// True once the token or one of its parents was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state.cancel.is_cancelled()
    }

    /// Runs `hook` when the token is cancelled; at once if it is already.
    ///
    /// The hook runs on the thread that cancels and must not block. It is taken back when the
    /// guard is dropped; a panic in it is contained.
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) -> HookGuard {
        on_cancel(self.state.clone(), hook)
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl Cancels for State {
    fn cancels(&self) -> &Cancel {
        &self.cancel
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}
