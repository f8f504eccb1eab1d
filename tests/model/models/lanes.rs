//! A lane as the models use it, and its books.

use std::{panic::Location, time::Duration};

use shuttle::thread;
use tokio::time::Instant;

use crate::{
    cancel::{Cancel, CancelToken},
    job::{Cell, Job, Meta, Task, Work},
    lane::{core::Core, source::Source},
    sync::Arc,
};

/// How long idle workers stay; with neither of the two they go at once.
pub(super) const FOR_EVER: Option<Duration> = Some(Duration::MAX);
pub(super) const A_WHILE: Option<Duration> = Some(Duration::from_millis(10));

pub(super) fn lane(limit: usize, queue: Option<usize>, linger: Option<Duration>) -> Arc<Core> {
    let source = Source {
        linger,
        ..Source::default()
    };
    Arc::new(Core::new("model".into(), limit, queue, source))
}

pub(super) fn offload<F, T>(core: &Arc<Core>, f: F) -> Task<T>
where
    F: FnOnce(&Job) -> T + Send + 'static,
    T: Send + 'static,
{
    hand_in(core, f, None, false)
}

/// With a deadline, and into a place that was reserved.
pub(super) fn hand_in<F, T>(
    core: &Arc<Core>,
    f: F,
    deadline: Option<Instant>,
    reserved: bool,
) -> Task<T>
where
    F: FnOnce(&Job) -> T + Send + 'static,
    T: Send + 'static,
{
    let meta = Meta {
        deadline,
        ..Meta::plain()
    };
    hand_in_as(core, meta, f, reserved)
}

/// Under a token by which its worker knows that it must not start, and that does nothing else: whoever
/// cancels it has not come to the job yet.
pub(super) fn hand_in_under<F, T>(core: &Arc<Core>, token: &CancelToken, f: F) -> Task<T>
where
    F: FnOnce(&Job) -> T + Send + 'static,
    T: Send + 'static,
{
    let token = Some(token.clone());
    let meta = Meta {
        token,
        ..Meta::plain()
    };
    hand_in_as(core, meta, f, false)
}

fn hand_in_as<F, T>(core: &Arc<Core>, meta: Meta, f: F, reserved: bool) -> Task<T>
where
    F: FnOnce(&Job) -> T + Send + 'static,
    T: Send + 'static,
{
    let cell = Arc::new(Cell::new(meta, move |job: &Job| Ok(f(job))));
    let work: Arc<dyn Work> = cell.clone();
    match core.submit(work, None, reserved) {
        Ok(()) => Task::live(cell, core.clone()),
        Err(error) => Task::refused(error),
    }
}

/// The books after everything is over: nothing left, nothing counted twice or not at all.
pub(super) fn assert_settled(core: &Core) {
    let stats = core.stats();
    assert_eq!(
        (stats.waiting, stats.running, stats.draining, stats.detached),
        (0, 0, 0, 0)
    );
    assert_eq!(
        stats.submitted,
        stats.completed
            + stats.panicked
            + stats.cancelled
            + stats.timed_out
            + stats.no_thread
            + stats.unavailable
            + stats.no_runtime,
        "{stats:?}"
    );
}

/// Waits until every thread has left its job.
pub(super) fn wait_until_settled(core: &Core) {
    loop {
        let stats = core.stats();
        let left = [
            stats.waiting,
            stats.running,
            stats.draining,
            stats.suspended,
            stats.detached,
        ];
        if left == [0; 5] {
            return assert_settled(core);
        }
        thread::yield_now();
    }
}
