//! When each call came how far, and on which thread.
//!
//! There is a place for each call before the clock starts. It is written at most once, by whoever has
//! the call at that moment, so that no call ever waits for another to be noted.

use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

/// The records of all calls of a strategy, by their index.
#[derive(Debug)]
pub(crate) struct Records(Vec<Record>);

/// What is known of one call before it ends.
#[derive(Debug, Default)]
pub(super) struct Record {
    queued: OnceLock<Instant>,
    start: OnceLock<Instant>,
    taken: OnceLock<(Instant, String)>,
}

impl Records {
    pub(crate) fn new(calls: usize) -> Self {
        Self((0..calls).map(|_| Record::default()).collect())
    }

    pub(super) fn of(&self, index: usize) -> &Record {
        &self.0[index]
    }
}

impl Record {
    /// It is handed to what will make it.
    pub(super) fn queue(&self) {
        let _ = self.queued.set(Instant::now());
    }

    /// Its request is about to be made.
    pub(super) fn begin(&self) {
        let _ = self.start.set(Instant::now());
    }

    /// This thread is the one that makes it, from now on.
    pub(super) fn take(&self) {
        let name = thread::current().name().unwrap_or("unnamed").to_owned();
        let _ = self.taken.set((Instant::now(), name));
    }

    /// When it was handed over, which for a call that nothing stands before is when it began.
    pub(super) fn queued(&self) -> Option<Instant> {
        self.queued.get().or_else(|| self.start.get()).copied()
    }

    pub(super) fn start(&self) -> Option<Instant> {
        self.start.get().copied()
    }

    /// The thread that makes it, and since when.
    pub(super) fn taken(&self) -> Option<(Instant, &str)> {
        let (since, name) = self.taken.get()?;
        Some((*since, name))
    }
}

#[cfg(test)]
mod tests {
    use super::Records;

    #[test]
    fn a_call_that_nothing_stands_before_is_queued_when_it_begins() {
        let records = Records::new(2);
        let record = records.of(1);
        assert_eq!((record.queued(), record.start()), (None, None));
        record.begin();
        assert_eq!(record.queued(), record.start());
        assert!(record.start().is_some() && record.taken().is_none());
    }

    #[test]
    fn the_thread_is_the_one_that_takes_it_and_the_first_to_do_so() {
        let records = Records::new(1);
        let taken = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("tokio-7".to_owned());
            let taking = thread.spawn_scoped(scope, || records.of(0).take());
            taking.expect("a thread can be had").join()
        });
        assert!(taken.is_ok());
        records.of(0).take();
        let (_, name) = records.of(0).taken().expect("it was taken");
        assert_eq!(name, "tokio-7");
    }
}
