//! Starting things that do not outlive a closure.

use std::{
    future::Future,
    panic::{self, AssertUnwindSafe, Location},
};

use super::{
    books::{Books, Stage},
    error::Error,
    handle::Bridge,
    limits::Limits,
    spawned::Spawned,
    stand, starting, wait,
};
use crate::sync::Arc;

/// Where things are started that end with it; from [`Bridge::scope`].
///
/// ```text
///  scope ──┬─ closure ─────────────────────┐ returns          ┌── gives its value
///          ├─ spawn ───────► done          │                  │
///          ├─ spawn ───────────────────────┼─► cancelled ─────┤
///          └─ offload ─────────────────────┴─► asked ──► left ┘
/// ```
///
/// The handles that it gives do not cancel anything when they are dropped.
#[derive(Debug)]
pub struct Scope<'bridge> {
    bridge: &'bridge Bridge,
    books: Arc<Books>,
}

impl Scope<'_> {
    /// As [`Bridge::spawn`].
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Spawned<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let at = Location::caller();
        starting::task(self.bridge, Some(&self.books), future, at)
    }

    /// As [`Bridge::offload`].
    #[track_caller]
    pub fn offload<F, T>(&self, f: F) -> Spawned<T>
    where
        F: FnOnce(&Bridge) -> T + Send + 'static,
        T: Send + 'static,
    {
        starting::job(self.bridge, Some(&self.books), f)
    }

    /// The bridge that it is a scope of.
    #[must_use]
    pub fn bridge(&self) -> &Bridge {
        self.bridge
    }
}

pub(super) fn run<R>(
    bridge: &Bridge,
    f: impl FnOnce(&Scope<'_>) -> R,
    at: &'static Location<'static>,
) -> Result<R, Error> {
    if bridge.is_shut_down() {
        return Err(Error::ShutDown);
    }
    // Before anything is started that could then not be waited for.
    stand::check(at)?;
    let books = Books::new();
    let scope = Scope {
        bridge,
        books: books.clone(),
    };
    let ran = panic::catch_unwind(AssertUnwindSafe(|| f(&scope)));
    books.advance(Stage::Stopped);
    let ended = wait::wait(
        // Whatever becomes of the job that this may be in: nothing is to outlive it.
        bridge.shared().alive(Limits::default()),
        std::future::poll_fn(|cx| books.poll_until(cx, |count| count.live == 0)),
        at,
    );
    match ran {
        Err(payload) => panic::resume_unwind(payload),
        Ok(value) => ended.map(|()| value),
    }
}
