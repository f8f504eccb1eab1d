//! Objects that live on a thread: made there, used there by one at a time, dropped there.

mod ending;
mod making;
mod nesting;
mod others;
mod pools;
mod recycling;
mod sqlite;

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, ThreadId},
};

use crate::support::{Flavour, watched};

/// Runs a test on both flavours of runtime, watched.
fn on_both_flavours<F>(body: fn() -> F)
where
    F: Future<Output = ()> + 'static,
{
    for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
        watched(move || flavour.runtime().block_on(body()));
    }
}

/// Makes [`Thing`]s and knows what became of them.
#[derive(Clone, Default)]
struct Maker(Arc<Counts>);

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

/// May neither be sent nor shared, and insists on being dropped where it was made.
struct Thing {
    /// How many were made before it.
    number: usize,
    home: ThreadId,
    uses: Rc<Cell<usize>>,
    counts: Arc<Counts>,
}

thread_local! {
    /// Gone if a thing is dropped too late on its thread.
    static ALIVE: Rc<Cell<bool>> = Rc::new(Cell::new(true));
}

impl Maker {
    fn make(&self) -> Thing {
        Thing {
            number: self.0.made.fetch_add(1, Ordering::SeqCst),
            home: thread::current().id(),
            uses: Rc::default(),
            counts: self.0.clone(),
        }
    }

    fn made(&self) -> usize {
        self.0.made.load(Ordering::SeqCst)
    }

    fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    fn alive(&self) -> usize {
        // Others may be made and dropped between the two looks.
        self.made().saturating_sub(self.dropped())
    }
}

impl Thing {
    fn used(&self) -> usize {
        assert_eq!(self.home, thread::current().id(), "used where it was made");
        self.uses.set(self.uses.get() + 1);
        self.uses.get()
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        let at_home = self.home == thread::current().id();
        let in_time = ALIVE.try_with(|alive| alive.get()).unwrap_or(false);
        if at_home && in_time {
            self.counts.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}
