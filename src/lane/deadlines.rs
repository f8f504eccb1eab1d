//! Who keeps the deadlines of a lane's jobs, and what becomes of the jobs where nobody can.
//!
//! Each [home](super::home) has a keeper of its own: a task of its runtime, or a thread where there is
//! no runtime or that has ended. As in [`core`](super::core), a method is one step on the books, and
//! what concerns the world after it.

use std::task::Waker;

use tokio::time::Instant;

use super::{
    core::Core,
    home::{HomeId, Keeper},
    keeper,
};
use crate::{
    job::Cause,
    sync::{Arc, Thread},
};

/// What a keeper learns when it looks: when to look again, or that it is not needed any more.
pub(crate) enum Watch {
    Until(Option<Instant>),
    Over,
}

impl Core {
    /// A home's keeper looks: stops the jobs whose time is up and says when to look again.
    pub(crate) fn keep_time(
        &self,
        id: HomeId,
        keeper: Keeper,
        now: Instant,
        waker: Waker,
    ) -> Watch {
        let Some((due, next)) = self.with_state(|state| state.due(id, keeper, now, waker)) else {
            return Watch::Over;
        };
        self.fail(due, &Cause::TimedOut);
        Watch::Until(next)
    }

    /// A home's runtime is shutting down.
    ///
    /// On Tokio's own pool that ends the home: what waits there could only run on threads that the
    /// runtime waits for. Elsewhere the jobs go on. A thread takes over the deadlines of those that do,
    /// here and there: or the runtime might wait for one for ever that only its deadline ends.
    pub(crate) fn runtime_gone(self: &Arc<Self>, id: HomeId) {
        let (stranded, timer, idle) = self.with_state(|state| {
            let mut timer = false;
            let mut stranded = Vec::new();
            if self.source.needs_runtime() {
                stranded = state.waiting_in(id);
                timer = state.has_deadlines_on_threads(id);
                if let Some(home) = state.home(id) {
                    home.closed = true;
                    home.orphaned = true;
                }
            } else if let Some(home) = state.home(id) {
                home.orphaned = true;
                timer = home.has_alarms();
            }
            (stranded, timer, state.dismiss_idle(Some(id)))
        });
        idle.iter().for_each(Thread::unpark);
        if timer {
            self.start_timer_thread(id);
        }
        self.fail(stranded, &Cause::NoRuntime);
    }

    /// Has a thread keep a home's deadlines, as no task does, unless one does already.
    pub(crate) fn start_timer_thread(self: &Arc<Self>, id: HomeId) {
        let wanted = self.with_state(|state| {
            state.home(id).is_some_and(|home| {
                // From now on, should the thread be refused: the next deadline asks again.
                home.orphaned = true;
                !std::mem::replace(&mut home.timer_thread, true)
            })
        });
        if !wanted {
            return;
        }
        let Err(refusal) = keeper::spawn_thread(self, id) else {
            return;
        };
        // Deadlines that nobody keeps would be empty promises: the jobs that have one fail.
        let stranded = self.with_state(|state| {
            if let Some(home) = state.home(id) {
                home.timer_thread = false;
            }
            let mut waiting = state.waiting_in(id);
            waiting.retain(|key| state.jobs[key.slot].work.meta().deadline.is_some());
            waiting
        });
        self.fail(stranded, &Cause::NoThread(Arc::new(refusal)));
    }
}
