//! The tasks that look out for their outcomes: whom to call should they not come to a second look.
//!
//! A task that looks out has itself polled again by its runtime, and is called by nobody. But its
//! runtime may not get to that: somebody else's loop may block the thread until the task calls it, or
//! another task may block it. So the task leaves its waker here. Whoever settles an outcome that is looked
//! out for notes which in the books, and when it may take long until the next step, those are called that
//! are still here: see `State::tell_lookers`. Nearly always the task has been here meanwhile, and nobody
//! is called: to wake a task for nothing may bring another of the runtime's threads to its feet, on the
//! processor that the worker needs.
//!
//! Invariants:
//!
//! 1. A task leaves its waker first and looks whether its outcome is settled then; a worker settles
//!    it first and takes the lock of this then. So one of the two sees the other.
//! 2. Who is called has an outcome.
//! 3. A waker is cloned, dropped and called under no lock.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    task::Waker,
};

use super::core::wake;
use crate::{error::drop_quietly, job::JobId, sync::Mutex};

/// The room that is kept when nobody looks out.
const KEPT: usize = 1024;

#[derive(Default)]
pub(crate) struct Lookers {
    wakers: Mutex<Wakers>,
}

type Wakers = HashMap<JobId, Waker, BuildHasherDefault<Mixed>>;

impl Lookers {
    /// Leaves a waker. `true` if nobody else looks out.
    pub(crate) fn enter(&self, job: JobId, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut wakers = self.wakers.lock();
        let old = wakers.insert(job, waker);
        debug_assert!(old.is_none(), "a job has one task");
        wakers.len() == 1
    }

    /// Looks once more: leaves its waker if that is another one now.
    pub(crate) fn stay(&self, job: JobId, waker: &Waker) {
        let is_known = match self.wakers.lock().get(&job) {
            Some(known) => known.will_wake(waker),
            // Called. There is an outcome, as it is about to see.
            None => true,
        };
        if is_known {
            return;
        }
        let mut waker = waker.clone();
        if let Some(known) = self.wakers.lock().get_mut(&job) {
            std::mem::swap(known, &mut waker);
        }
        drop_quietly(waker);
    }

    /// Looks out no more.
    pub(crate) fn leave(&self, job: JobId) {
        let (waker, room) = {
            let mut wakers = self.wakers.lock();
            (wakers.remove(&job), spare(&mut wakers))
        };
        drop_quietly(waker);
        drop(room);
    }

    /// Calls those of them that still look out.
    pub(crate) fn call(&self, settled: &[JobId]) {
        if settled.is_empty() {
            return;
        }
        let mut called = Vec::new();
        let room = {
            let mut wakers = self.wakers.lock();
            called.extend(settled.iter().filter_map(|job| wakers.remove(job)));
            spare(&mut wakers)
        };
        drop(room);
        wake(called);
    }
}

/// What a burst has left.
fn spare(wakers: &mut Wakers) -> Option<Wakers> {
    (wakers.is_empty() && wakers.capacity() > 2 * KEPT).then(|| std::mem::take(wakers))
}

/// Mixes what an address has in it: there is nobody to guard against.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }

    fn write_usize(&mut self, n: usize) {
        // 2^64 over the golden ratio: all bits of an address have their part in the high ones.
        let mixed = (self.0 ^ n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;
    use crate::sync::{Arc, test};

    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Counts>, Waker) {
        let counts = Arc::<Counts>::default();
        (counts.clone(), counts.into())
    }

    /// A job that lies there, the first, second, ... to do so.
    fn job(at: usize, turn: u64) -> JobId {
        JobId::made_up(at, turn)
    }

    #[test]
    fn who_still_looks_out_for_an_outcome_that_is_there_is_called_and_nobody_else() {
        test(|| {
            let lookers = Lookers::default();
            let wakers: Vec<_> = (0..3).map(|_| counted()).collect();
            let called =
                || Vec::from_iter(wakers.iter().map(|(n, _)| n.0.swap(0, Ordering::Relaxed)));
            assert!(lookers.enter(job(64, 0), &wakers[0].1));
            assert!(!lookers.enter(job(128, 0), &wakers[1].1));
            lookers.call(&[]);
            lookers.call(&[job(128, 1), job(192, 0)]);
            assert_eq!(called(), [0, 0, 0]);
            lookers.call(&[job(128, 0), job(192, 0)]);
            assert_eq!(called(), [0, 1, 0]);
            // It does not come by for another look: it was called, and has its outcome.
            lookers.stay(job(128, 0), &wakers[1].1);
            lookers.leave(job(128, 0));
            // Another one comes to lie where it was.
            assert!(!lookers.enter(job(128, 1), &wakers[1].1));
            lookers.call(&[job(128, 0)]);
            assert_eq!(called(), [0, 0, 0]);
            // And looks on as another task.
            lookers.stay(job(128, 1), &wakers[2].1);
            lookers.leave(job(64, 0));
            lookers.call(&[job(64, 0), job(128, 1)]);
            assert_eq!(called(), [0, 0, 1]);
        });
    }

    #[test]
    fn a_burst_of_lookers_leaves_nothing_behind() {
        test(|| {
            let (_, waker) = counted();
            let jobs = Vec::from_iter((0..10_000).map(|n| job(64 * n, 0)));
            let burst = |end: fn(&Lookers, JobId)| {
                let lookers = Lookers::default();
                jobs.iter().for_each(|&job| _ = lookers.enter(job, &waker));
                jobs.iter().for_each(|&job| end(&lookers, job));
                let wakers = lookers.wakers.lock();
                assert!(wakers.is_empty() && wakers.capacity() <= 2 * KEPT);
            };
            burst(Lookers::leave);
            burst(|lookers, job| lookers.call(&[job]));
        });
    }

    /// R13. Its drop is the user's code.
    #[test]
    fn a_waker_that_panics_when_it_is_dropped_does_no_harm() {
        test(|| {
            struct Panics;
            impl Wake for Panics {
                fn wake(self: Arc<Self>) {}
            }
            impl Drop for Panics {
                fn drop(&mut self) {
                    panic!("as planned");
                }
            }
            let lookers = Lookers::default();
            // The list has the last of each.
            let panics = || Waker::from(Arc::new(Panics));
            lookers.enter(job(64, 0), &panics());
            lookers.leave(job(64, 0));
            lookers.enter(job(64, 1), &panics());
            lookers.stay(job(64, 1), &counted().1);
            lookers.leave(job(64, 1));
            assert!(lookers.wakers.lock().is_empty());
        });
    }
}
