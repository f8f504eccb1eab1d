//! Starting things that do not outlive a closure.

use std::{
    future::Future,
    panic::{self, AssertUnwindSafe, Location},
};

use super::{
    books::{Books, Count, Stage},
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
    let ended = wait_for_all(&books, bridge.shared().alive(Limits::default()), at);
    match ran {
        Err(payload) => panic::resume_unwind(payload),
        Ok(value) => ended.map(|()| value),
    }
}

/// Waits until nothing is left, whatever becomes of the job that this may be in: nothing is to outlive
/// the scope.
///
/// As long as there are tasks, it takes a runtime that is `alive`. A closure needs nobody to drive that:
/// one that has begun is on its thread, however long it stays there, and the others are off the books.
fn wait_for_all(
    books: &Books,
    alive: Limits<'_>,
    at: &'static Location<'static>,
) -> Result<(), Error> {
    let wait_until = |limits, is_so: fn(Count) -> bool| {
        if is_so(books.count()) {
            return Ok(());
        }
        let so = std::future::poll_fn(|cx| books.poll_until(cx, is_so));
        wait::wait(limits, so, at)
    };
    wait_until(alive, |count| count.tasks == 0)?;
    wait_until(Limits::default(), |count| count.live == 0)
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::{super::books::Driver, *};

    /// Waits for all, although the runtime shows no sign of life.
    fn waits_for(books: &Books) -> Result<(), Error> {
        books.advance(Stage::Stopped);
        let alive = Limits::default().time(Some(Duration::ZERO));
        wait_for_all(books, alive, Location::caller())
    }

    #[test]
    fn a_closure_is_waited_for_whether_the_runtime_is_alive_or_not() {
        let books = Books::new();
        let entry = books.enter(Driver::Thread).expect("nothing has ended yet");
        let ends = thread::spawn(move || {
            // Later than a wait that has a limit is over.
            thread::sleep(Duration::from_millis(50));
            drop(entry);
        });
        waits_for(&books).expect("it ends");
        ends.join().expect("it does not panic");
    }

    #[test]
    fn a_task_is_waited_for_as_long_as_the_runtime_is_alive() {
        let books = Books::new();
        let _entry = books.enter(Driver::Runtime).expect("nothing has ended yet");
        assert!(waits_for(&books).unwrap_err().is_timeout());
    }
}
