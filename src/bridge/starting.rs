//! Starting what runs by itself: a task of the bridge's runtime, or a job on its blocking pool.
//!
//! Each is on the bridge's books, and on those of a scope if it belongs to one, from before it is
//! started until nothing of it is left. So a shutdown and the end of a scope can stop it, and know
//! when it is gone.

use std::{future::Future, panic::Location};

use futures_util::future::abortable;

use super::{
    books::{Books, Driver, Stop},
    error::Error,
    handle::Bridge,
    spawned::{OnDrop, Spawned},
    wait::Caught,
};
use crate::{job::on_behalf, sync::Arc};

/// Has a future run by the runtime; for [`Bridge::spawn`], and of a `scope`.
pub(super) fn task<F>(
    bridge: &Bridge,
    scope: Option<&Arc<Books>>,
    future: F,
    at: &'static Location<'static>,
) -> Spawned<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let Some(entries) = bridge.shared().enter(scope, Driver::Runtime) else {
        return Spawned::refused(Error::ShutDown);
    };
    let (future, abort) = abortable(on_behalf(Caught::new(future, at)));
    for entry in &entries {
        entry.stopped_by(Stop::Task(abort.clone()));
    }
    // Dropped in this order, however it ends: the books close last. If it is never polled, that is
    // the order of the two in here.
    let both = (future, entries);
    let task = bridge.runtime().spawn(async move {
        let (future, _entries) = both;
        future.await
    });
    let on_drop = OnDrop::of(scope.is_some());
    Spawned::task(bridge.clone(), task, abort, on_drop, at)
}

/// Hands a closure to the blocking pool; for [`Bridge::offload`], and of a `scope`.
#[track_caller]
pub(super) fn job<F, T>(bridge: &Bridge, scope: Option<&Arc<Books>>, f: F) -> Spawned<T>
where
    F: FnOnce(&Bridge) -> T + Send + 'static,
    T: Send + 'static,
{
    let Some(entries) = bridge.shared().enter(scope, Driver::Thread) else {
        return Spawned::refused(Error::ShutDown);
    };
    let entries = Arc::new(entries);
    let theirs = bridge.clone();
    let lane = bridge.shared().lane();
    let task = {
        let _context = bridge.runtime().enter();
        // Off the books when the thread is free: what the closure gave, and nobody took, is the
        // user's code once more when it is dropped.
        lane.in_company_of(entries.clone())
            .offload(move || f(&theirs))
    };
    for entry in &*entries {
        entry.stopped_by(Stop::Job(task.canceller()));
    }
    Spawned::job(bridge.clone(), task, OnDrop::of(scope.is_some()))
}
