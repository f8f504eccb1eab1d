//! The primitives under everything above this floor.
//!
//! One place, for two reasons. A poisoned lock is not an error here: no code of the user's runs
//! under any of our locks, so a panic elsewhere leaves what they guard whole. And the model
//! checker in `tests/model` compiles the files above this one as they are, with its own twin of
//! this module in its place.

use std::{
    hint::spin_loop,
    sync::{PoisonError, TryLockError},
    time::{Duration, Instant},
};

pub(crate) use std::{
    sync::{Arc, MutexGuard, Weak, atomic::AtomicBool},
    thread::{Thread, ThreadId, current},
    thread_local,
};

/// [`std::sync::Mutex`] that does not know poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => self.lock_later(),
        }
    }

    /// Tries for some microseconds before it sleeps, which is longer than what happens under any of our
    /// locks takes. To be woken again takes longer than that, and costs a call into the system on both
    /// sides.
    #[cold]
    fn lock_later(&self) -> MutexGuard<'_, T> {
        const TRIES: u32 = 30;
        const PAUSES: u32 = 16;
        let mut pauses = 1;
        for _ in 0..TRIES {
            // Not too often: each try takes the lock's memory from the core that holds it.
            for _ in 0..pauses {
                spin_loop();
            }
            pauses = PAUSES.min(2 * pauses);
            if let Ok(guard) = self.0.try_lock() {
                return guard;
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// [`std::sync::Condvar`] to go with it.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// How long a thread may stay parked, in real time whatever a test does to Tokio's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience(Option<Instant>);

impl Patience {
    /// From now on; a time too long to be represented is for ever.
    pub(crate) fn lasting(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    /// Looks all the time whether `done`, giving way to other threads between two looks.
    pub(crate) fn spin(self, done: impl Fn() -> bool) {
        while !done() && self.0.is_none_or(|end| Instant::now() < end) {
            std::thread::yield_now();
        }
    }

    /// Looks all the time whether `done`, for a moment, and gives way to nobody. `true` if it is.
    pub(crate) fn stare(self, done: impl Fn() -> bool) -> bool {
        while !done() {
            if self.is_over() {
                return false;
            }
            std::hint::spin_loop();
        }
        true
    }

    pub(crate) fn is_over(self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }

    /// Parks until unparked, or for no reason, or until patience ends: `true` if it has ended.
    pub(crate) fn park(self) -> bool {
        let Some(end) = self.0 else {
            std::thread::park();
            return false;
        };
        if let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        Instant::now() >= end
    }
}

/// Runs a unit test of what is made of these; under the model checker, where the test is compiled as
/// well, its twin has it run there.
#[cfg(test)]
pub(crate) fn test(body: impl Fn() + Send + Sync + 'static) {
    body();
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::mpsc,
        thread,
    };

    use super::*;

    /// Has a thread panic that holds the lock.
    fn poison<T>(lock: &Mutex<T>) {
        let panics = AssertUnwindSafe(|| {
            let _held = lock.lock();
            panic!("as planned");
        });
        catch_unwind(panics).unwrap_err();
        assert!(lock.0.is_poisoned());
    }

    /// W18.
    #[test]
    fn a_poisoned_lock_goes_on() {
        let lock = Mutex::new(1);
        poison(&lock);
        *lock.lock() += 1;
        // Who comes while it is held, and has to wait.
        assert_eq!(*lock.lock_later(), 2);
    }

    /// W18. Somebody waits for a change under a lock that is poisoned meanwhile.
    #[test]
    fn who_waits_under_a_poisoned_lock_goes_on() {
        let both = Arc::new((Mutex::new(false), Condvar::default()));
        let (says, waits) = mpsc::channel();
        let waiter = thread::spawn({
            let both = both.clone();
            move || {
                let (lock, changed) = &*both;
                let mut so = lock.lock();
                says.send(()).expect("somebody listens");
                while !*so {
                    so = changed.wait(so);
                }
            }
        });
        waits.recv().expect("it says so");
        let (lock, changed) = &*both;
        // Only had once the other waits.
        poison(lock);
        *lock.lock() = true;
        changed.notify_all();
        waiter.join().expect("it does not panic");
    }
}
