//! Keeping the deadline of a group.
//!
//! The jobs among its children are kept by their lanes, which are given the same deadline. For the
//! futures, and for what waits in the group's queue, a task sleeps on each runtime that children are
//! put in from, until the deadline or the end of the group.

use tokio::{runtime::Handle, time::Instant};

use super::core::Shared;
use crate::{error::Stop, lane::Timer, sync::Arc};

/// Sees to it that the deadline is kept on this runtime; at once if it has passed.
pub(super) fn ensure<T: Send + 'static>(shared: &Arc<Shared<T>>) {
    let Some(deadline) = shared.deadline else {
        return;
    };
    if shared.is_late() {
        return shared.end(Stop::TimedOut);
    }
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    let id = runtime.id();
    {
        let mut state = shared.state.lock();
        if state.clocks.contains(&id) || state.orphaned {
            return;
        }
        state.clocks.push(id);
    }
    // Weak, or a group that is forgotten would live until its deadline.
    let group = Arc::downgrade(shared);
    let keeper = runtime.spawn(async move {
        Timer::after(deadline.saturating_duration_since(Instant::now())).await;
        if let Some(group) = group.upgrade() {
            group.end(Stop::TimedOut);
        }
    });
    let keeper = keeper.abort_handle();
    let mut state = shared.state.lock();
    if state.orphaned {
        drop(state);
        keeper.abort();
    } else {
        state.keepers.push(keeper);
    }
}
