//! Making the runtime of a bridge that has one of its own.

use std::{
    io,
    panic::{self, Location},
};

use tokio::runtime::{Builder, Runtime};

use super::error::Error;
use crate::{
    error::catch,
    sync::{Arc, Condvar, Mutex},
};

/// Without threads of its own: whoever drives it is its only one.
pub(super) fn of_one_thread(name: &str) -> Result<Runtime, Error> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().thread_name(name);
    builder.build().map_err(Error::NoThread)
}

/// With so many workers, all of them or none. Not to be called in async code.
///
/// Where the system refuses a worker's thread, Tokio panics, and on its way out waits for the threads
/// that it has. Those would serve for ever, as nobody tells them to end. So:
///
/// - They wait at a gate, and end there if it came to nothing, before they take up their work.
/// - Tokio does not wait for them, or the gate would never be reached to say so: in async code it
///   does not, and to it the place where this builds is async code.
///
/// What else Tokio has made by then it keeps, as its queue holds what holds the queue: some memory,
/// and the descriptors of the driver.
pub(super) fn of_workers(
    workers: usize,
    name: &str,
    at: &'static Location<'static>,
) -> Result<Runtime, Error> {
    let gate = Arc::new(Gate::default());
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(workers)
        .enable_all()
        .thread_name(name);
    let theirs = gate.clone();
    builder.on_thread_start(move || theirs.pass());
    let around = Builder::new_current_thread().build();
    let built = around
        .map_err(Error::NoThread)?
        .block_on(async { catch(at, || builder.build()) });
    gate.open_if(matches!(built, Ok(Ok(_))));
    match built {
        Ok(built) => built.map_err(Error::NoThread),
        Err(panic) => Err(Error::NoThread(io::Error::new(
            io::ErrorKind::WouldBlock,
            panic.message().to_owned(),
        ))),
    }
}

/// Where the threads of a runtime wait until it is known whether there is one.
#[derive(Default)]
struct Gate {
    /// `None` as long as that is not known.
    is_open: Mutex<Option<bool>>,
    known: Condvar,
}

impl Gate {
    fn open_if(&self, built: bool) {
        *self.is_open.lock() = Some(built);
        self.known.notify_all();
    }

    /// Returns when there is a runtime. If there will be none, the thread ends here.
    fn pass(&self) {
        let mut is_open = self.is_open.lock();
        while is_open.is_none() {
            is_open = self.known.wait(is_open);
        }
        if *is_open == Some(false) {
            drop(is_open);
            // Nothing has failed here, so the panic hook is not called.
            panic::resume_unwind(Box::new("there is no runtime"));
        }
    }
}
