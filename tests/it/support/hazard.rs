//! Things that go wrong in a user's code.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::Door;

/// Panics when it is dropped.
pub(crate) struct PanicOnDrop(pub(crate) &'static str);

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        // A second panic while the first unwinds would end the process.
        if !std::thread::panicking() {
            panic!("{}", self.0);
        }
    }
}

/// Counts how many of its clones have been dropped.
#[derive(Default)]
pub(crate) struct DropFlag(Arc<AtomicUsize>);

/// A clone's drop is counted; from [`DropFlag::watched`].
pub(crate) struct Watched(Arc<AtomicUsize>);

impl DropFlag {
    pub(crate) fn watched(&self) -> Watched {
        Watched(self.0.clone())
    }

    pub(crate) fn dropped(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// How a closure ends, once it has been let through its gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Ok,
    Err,
    Slow,
    /// Not before the end of the test.
    Never,
    Panic,
}

impl Ending {
    pub(crate) const ALL: [Self; 5] = [Self::Ok, Self::Err, Self::Slow, Self::Never, Self::Panic];

    /// What a closure does after its gate.
    pub(crate) fn end(self, never: &Door) -> Result<u32, String> {
        match self {
            Self::Ok => Ok(7),
            Self::Err => Err("no".to_owned()),
            Self::Slow => {
                std::thread::sleep(Duration::from_millis(3));
                Ok(7)
            }
            Self::Never => {
                never.pass();
                Ok(7)
            }
            Self::Panic => panic!("as planned"),
        }
    }

    /// Checks what a caller who waited to the end was told.
    #[track_caller]
    pub(crate) fn check(self, told: Result<Result<u32, String>, longshore::Error>) {
        match self {
            Self::Ok | Self::Slow | Self::Never => assert_eq!(told.unwrap(), Ok(7)),
            Self::Err => assert_eq!(told.unwrap(), Err("no".to_owned())),
            Self::Panic => assert!(told.unwrap_err().is_panic()),
        }
    }
}
