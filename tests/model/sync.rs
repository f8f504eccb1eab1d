//! The twin of `src/sync.rs`: the same names, on Shuttle's primitives.

use std::{sync::PoisonError, time::Duration};

use shuttle::rand::Rng;

pub(crate) use shuttle::{
    sync::{Arc, MutexGuard, Weak, atomic::AtomicBool},
    thread::{Thread, ThreadId, current},
    thread_local,
};

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// For ever is for ever; any other time ends when the checker chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    for_ever: bool,
}

impl Patience {
    pub(crate) fn lasting(time: Duration) -> Self {
        Self {
            for_ever: time == Duration::MAX,
        }
    }

    pub(crate) fn spin(self, done: impl Fn() -> bool) {
        while !done() && shuttle::rand::thread_rng().gen_bool(0.5) {
            shuttle::thread::yield_now();
        }
    }

    pub(crate) fn stare(self, done: impl Fn() -> bool) -> bool {
        self.spin(&done);
        done()
    }

    pub(crate) fn is_over(self) -> bool {
        !self.for_ever && shuttle::rand::thread_rng().gen_bool(0.5)
    }

    pub(crate) fn park(self) -> bool {
        if self.for_ever {
            shuttle::thread::park();
            return false;
        }
        shuttle::thread::yield_now();
        shuttle::rand::thread_rng().gen_bool(0.5)
    }
}

pub(crate) fn test(body: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(body, 1);
}
