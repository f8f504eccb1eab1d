//! One switch for many jobs.

use std::{collections::BTreeSet, fmt, ptr};

use super::hooks::{Cancel, Cancels, HookGuard, cancelled_with, on_cancel};
use crate::sync::{Arc, Mutex, Weak};

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
    /// What it is cancelled with: nearly always nothing or one.
    above: Vec<Arc<Self>>,
    /// Take this token off those above when it goes, so that a parent that lives long does not collect
    /// children that are gone.
    ties: Mutex<Vec<HookGuard>>,
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
        Self::under([self])
    }

    /// A token that is cancelled with any of these, or by itself.
    pub(crate) fn under<'a>(above: impl IntoIterator<Item = &'a Self>) -> Self {
        let state = Arc::new(State {
            cancel: Cancel::default(),
            above: (above.into_iter().map(|token| token.state.clone())).collect(),
            ties: Mutex::default(),
        });
        // The token exists before it is known above, so that a cancel at this moment finds it.
        let ties = (state.above.iter()).map(|above| {
            let below: Weak<dyn Cancels> = Arc::<State>::downgrade(&state);
            cancelled_with(above.clone(), below)
        });
        let ties = ties.collect();
        *state.ties.lock() = ties;
        Self { state }
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
        self.state.is_cancelled()
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

impl State {
    /// Asks those above as well. A cancel comes down to their children one after the other, with hooks
    /// in between, and holds for all of them from its beginning.
    fn is_cancelled(&self) -> bool {
        let (mut next, mut others) = (Some(self), Vec::new());
        // Nearly always there is one way up. Where there are several, they may come together again and
        // again, and are twice as many each time: from the first fork on no token is asked twice.
        let (mut forked, mut asked) = (false, BTreeSet::new());
        while let Some(token) = next.take().or_else(|| others.pop()) {
            if forked && !asked.insert(ptr::from_ref(token)) {
                continue;
            }
            if token.cancel.is_cancelled() {
                return true;
            }
            for above in &token.above {
                // Nearly always: nothing is above that.
                if above.above.is_empty() {
                    if above.cancel.is_cancelled() {
                        return true;
                    }
                } else if let Some(other) = next.replace(&**above) {
                    others.push(other);
                    forked = true;
                }
            }
        }
        false
    }
}

impl Drop for State {
    /// A loop, as a chain of tokens of which each alone holds the next may be longer than the stack.
    fn drop(&mut self) {
        let mut above = std::mem::take(&mut self.above);
        let ties = std::mem::take(&mut *self.ties.lock());
        drop(ties);
        while let Some(token) = above.pop() {
            if let Some(mut last) = Arc::into_inner(token) {
                above.append(&mut last.above);
            }
        }
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
