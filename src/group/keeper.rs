//! Keeping the deadline of a group.
//!
//! The jobs among its children are kept by their lanes, which are given the same deadline. For the
//! futures, and for what waits in the group's queue, a task sleeps on each runtime that children are
//! put in from, until the deadline or the end of the group. Where something waits in the queue and no
//! runtime is left to keep its time, a thread does.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Wake, Waker},
};

use tokio::{
    runtime::{self, Handle},
    task::AbortHandle,
    time::Instant,
};

use super::core::Shared;
use crate::{
    error::Stop,
    lane::Timer,
    sync::{Arc, Weak},
};

/// A runtime on which the group's time is kept, and by whom.
pub(super) struct Clock {
    pub(super) id: runtime::Id,
    pub(super) keeper: Option<AbortHandle>,
}

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
        if state.outcomes.is_orphaned() || state.clocks.iter().any(|clock| clock.id == id) {
            return;
        }
        state.clocks.push(Clock { id, keeper: None });
    }
    // Weak, or a group that is forgotten would live until its deadline.
    let watch = Watch {
        group: Arc::downgrade(shared),
        id,
    };
    let keeper = runtime.spawn(async move {
        Timer::after(deadline.saturating_duration_since(Instant::now())).await;
        if let Some(group) = watch.group.upgrade() {
            group.end(Stop::TimedOut);
        }
    });
    let keeper = keeper.abort_handle();
    let mut state = shared.state.lock();
    match state.clocks.iter_mut().find(|clock| clock.id == id) {
        Some(clock) => clock.keeper = Some(keeper),
        // The group's owner has gone, or the runtime has.
        None => {
            drop(state);
            keeper.abort();
        }
    }
}

/// Has a thread keep the time of what waits in the queue, if nobody else does.
pub(super) fn ensure_queue<T: Send + 'static>(shared: &Arc<Shared<T>>) {
    let Some(deadline) = shared.deadline else {
        return;
    };
    if !shared.state.lock().wants_timer() {
        return;
    }
    let mut timer = Timer::on_thread(deadline.saturating_duration_since(Instant::now()));
    let waker = Waker::from(Arc::new(Bell(Arc::downgrade(shared))));
    let rings = Pin::new(&mut timer).poll(&mut Context::from_waker(&waker));
    if rings.is_ready() {
        // What should have kept it has missed it, and the thread may call before it knows whom.
        if shared.is_late() {
            shared.end(Stop::TimedOut);
        }
        return;
    }
    let mut state = shared.state.lock();
    if state.wants_timer() {
        state.timer = Some(timer);
    }
}

/// Of a keeper; dropped with it.
struct Watch<T: Send + 'static> {
    group: Weak<Shared<T>>,
    id: runtime::Id,
}

impl<T: Send + 'static> Drop for Watch<T> {
    fn drop(&mut self) {
        let Some(group) = self.group.upgrade() else {
            return;
        };
        group
            .state
            .lock()
            .clocks
            .retain(|clock| clock.id != self.id);
        // Its runtime has ended, perhaps.
        ensure_queue(&group);
    }
}

/// What the thread calls, at the deadline or when it is not wanted any more.
struct Bell<T: Send + 'static>(Weak<Shared<T>>);

impl<T: Send + 'static> Wake for Bell<T> {
    fn wake(self: Arc<Self>) {
        if let Some(group) = self.0.upgrade().filter(|group| group.is_late()) {
            group.end(Stop::TimedOut);
        }
    }
}
