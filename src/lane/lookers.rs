//! The tasks that look out for their outcomes: whom to call should they not come to a second look.
//!
//! A task that looks out has itself polled again by its runtime, and is called by nobody. But its
//! runtime may not get to that: somebody else's loop may block the thread until the task calls it, or
//! another task may block it. So the task leaves its waker here, and whoever settles outcomes calls
//! all that are here, not for each, but before it does anything that may take long: before it sleeps,
//! before a job that is not known to be short, and after so many jobs. To be called for nothing costs
//! a task a poll.
//!
//! Invariants:
//!
//! 1. A task leaves its waker first and looks whether its outcome is settled then; a worker settles
//!    it first and takes the lock of this then. So one of the two sees the other.
//! 2. A waker is cloned, dropped and called under no lock.

use std::task::Waker;

use slab::Slab;

use super::core::wake;
use crate::sync::Mutex;

#[derive(Default)]
pub(crate) struct Lookers {
    /// `None` once it was called.
    wakers: Mutex<Slab<Option<Waker>>>,
}

impl Lookers {
    /// Leaves a waker. The number is for [`stay`](Self::stay) and [`leave`](Self::leave).
    pub(crate) fn enter(&self, waker: &Waker) -> usize {
        let waker = waker.clone();
        self.wakers.lock().insert(Some(waker))
    }

    /// Looks once more: leaves a waker again if it was called, or is another one now.
    pub(crate) fn stay(&self, number: usize, waker: &Waker) {
        let is_known =
            |known: &Option<Waker>| known.as_ref().is_some_and(|known| known.will_wake(waker));
        if is_known(&self.wakers.lock()[number]) {
            return;
        }
        let waker = waker.clone();
        let old = self.wakers.lock()[number].replace(waker);
        drop(old);
    }

    /// Looks out no more.
    pub(crate) fn leave(&self, number: usize) {
        let waker = self.wakers.lock().remove(number);
        drop(waker);
    }

    /// Calls all.
    pub(crate) fn call(&self) {
        let mut called = Vec::new();
        {
            let mut wakers = self.wakers.lock();
            if !wakers.is_empty() {
                called.extend(wakers.iter_mut().filter_map(|(_, waker)| waker.take()));
            }
        }
        wake(called);
    }
}
