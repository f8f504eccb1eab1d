//! What all handles of a bridge share, and how it ends: the runtime with the last handle where it is
//! the bridge's own, the bridge with the runtime where that is somebody else's.

use std::sync::OnceLock;

use futures_util::future::{AbortHandle, Aborted, abortable};
use tokio::runtime;

use super::{
    books::{Books, Driver, Entry, Stage},
    limits::Limits,
};
use crate::{lane::Lane, sync::Arc};

/// Dropped with the last handle.
pub(super) struct Shared {
    pub(super) runtime: runtime::Handle,
    pub(super) books: Arc<Books>,
    /// Whether the runtime is the bridge's own, and always driven.
    own: bool,
    /// Has the thread that owns the runtime end it; else, has the sentinel leave.
    end: AbortHandle,
    /// Where closures are offloaded; made by the first.
    lane: OnceLock<Lane>,
}

impl Shared {
    /// Of a bridge whose runtime is ended by whoever is told so by `owner`.
    pub(super) fn own(runtime: runtime::Handle, books: Arc<Books>, owner: AbortHandle) -> Self {
        Self {
            runtime,
            books,
            own: true,
            end: owner,
            lane: OnceLock::new(),
        }
    }

    /// Of a bridge into a runtime of somebody else's, which it does not keep alive.
    pub(super) fn of_another(runtime: runtime::Handle) -> Self {
        let books = Books::new();
        let (until_told, end) = abortable(std::future::pending::<()>());
        let sentinel = Sentinel {
            books: Some(books.clone()),
        };
        // On a runtime that has shut down it is dropped right here, and says so.
        runtime.spawn(async move {
            let mut sentinel = sentinel;
            let Err(Aborted) = until_told.await else {
                unreachable!("it waits for nothing else")
            };
            // What was detached goes on: this is not the end of the runtime.
            sentinel.books = None;
        });
        Self {
            runtime,
            books,
            own: false,
            end,
            lane: OnceLock::new(),
        }
    }

    /// As long as the runtime shows signs of life.
    pub(super) fn alive<'a>(&'a self, limits: Limits<'a>) -> Limits<'a> {
        limits.life_of(&self.runtime, self.own)
    }

    /// On the bridge's books, and on those of a scope; `None` if there is to be nothing new.
    pub(super) fn enter(&self, scope: Option<&Arc<Books>>, driver: Driver) -> Option<Vec<Entry>> {
        let own = self.books.enter(driver)?;
        match scope {
            Some(scope) => Some(vec![own, scope.enter(driver)?]),
            None => Some(vec![own]),
        }
    }

    /// Where closures are offloaded.
    pub(super) fn lane(&self) -> &Lane {
        self.lane.get_or_init(|| Lane::builder("bridge").build())
    }

    /// Has the runtime end, if it is the bridge's own.
    pub(super) fn end(&self) {
        self.end.abort();
        if !self.own {
            self.books.advance(Stage::Over);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // To the thread that owns the runtime, or to the sentinel: it is over. Nobody waits.
        self.end.abort();
    }
}

/// Notices the end of a runtime, which drops its tasks before it stops its timers and sockets.
struct Sentinel {
    books: Option<Arc<Books>>,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if let Some(books) = &self.books {
            books.advance(Stage::Over);
        }
    }
}
