//! The tasks that look out for their outcomes: whom to call should they not come to a second look.
//!
//! A task that looks out has itself polled again by its runtime, and is called by nobody. But its
//! runtime may not get to that: somebody else's loop may block the thread until the task calls it, or
//! another task may block it. So the task leaves its waker here, and whoever settles outcomes calls
//! all that are here, not for each, but before it does anything that may take long: before it sleeps,
//! before a job that nobody watches, or that is not known to be short, and after so many jobs. So does
//! whoever watches. To be called for nothing costs a task a poll.
//!
//! Invariants:
//!
//! 1. A task leaves its waker first and looks whether its outcome is settled then; a worker settles
//!    it first and takes the lock of this then. So one of the two sees the other.
//! 2. A waker is cloned, dropped and called under no lock; a panic in its drop is contained.
//! 3. Each that looks out and was not called is in `to_call` once, and where is with its waker. So to
//!    call takes as long as there are some to call, however many others there are or were.

use std::task::Waker;

use slab::Slab;

use super::core::wake;
use crate::{error::drop_quietly, sync::Mutex};

/// The room that is kept when nobody looks out.
const KEPT: usize = 1024;

#[derive(Default)]
pub(crate) struct Lookers {
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// Who looks out; with `None` once it was called.
    lookers: Slab<Option<Uncalled>>,
    to_call: Vec<usize>,
}

struct Uncalled {
    waker: Waker,
    /// Where its number is in `to_call`.
    at: usize,
}

impl Lookers {
    /// Leaves a waker. The number is for [`stay`](Self::stay) and [`leave`](Self::leave).
    pub(crate) fn enter(&self, waker: &Waker) -> usize {
        let waker = waker.clone();
        self.list.lock().enter(waker)
    }

    /// Looks once more: leaves a waker again if it was called, or is another one now.
    pub(crate) fn stay(&self, number: usize, waker: &Waker) {
        let is_known = self.list.lock().knows(number, waker);
        if !is_known {
            let waker = waker.clone();
            let old = self.list.lock().set(number, waker);
            drop_quietly(old);
        }
    }

    /// Looks out no more.
    pub(crate) fn leave(&self, number: usize) {
        let waker = self.list.lock().leave(number);
        drop_quietly(waker);
    }

    /// Calls all.
    pub(crate) fn call(&self) {
        let called = self.list.lock().take();
        wake(called);
    }
}

impl List {
    fn enter(&mut self, waker: Waker) -> usize {
        let number = self.lookers.insert(None);
        self.set(number, waker);
        number
    }

    fn knows(&self, number: usize, waker: &Waker) -> bool {
        let known = self.lookers[number].as_ref();
        known.is_some_and(|known| known.waker.will_wake(waker))
    }

    /// Returns the waker that was there before.
    fn set(&mut self, number: usize, waker: Waker) -> Option<Waker> {
        if let Some(known) = &mut self.lookers[number] {
            return Some(std::mem::replace(&mut known.waker, waker));
        }
        let at = self.to_call.len();
        self.to_call.push(number);
        self.lookers[number] = Some(Uncalled { waker, at });
        None
    }

    /// Returns the waker that was there.
    fn leave(&mut self, number: usize) -> Option<Waker> {
        let left = self.lookers.remove(number);
        if let Some(Uncalled { at, .. }) = left {
            self.to_call.swap_remove(at);
            if let Some(&moved) = self.to_call.get(at)
                && let Some(moved) = &mut self.lookers[moved]
            {
                moved.at = at;
            }
        }
        if self.lookers.is_empty() && self.lookers.capacity() > KEPT {
            // A burst must not hold its memory for ever.
            *self = Self::default();
        }
        left.map(|left| left.waker)
    }

    fn take(&mut self) -> Vec<Waker> {
        let lookers = &mut self.lookers;
        let called = |number: usize| lookers[number].take().map(|uncalled| uncalled.waker);
        self.to_call.drain(..).filter_map(called).collect()
    }
}

// Of the list alone: in the models this file is on locks that only models can use.
#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

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

    #[test]
    fn those_who_look_out_are_called_once_each_time_they_have_looked() {
        let mut list = List::default();
        let wakers: Vec<_> = (0..4).map(|_| counted()).collect();
        let waker = |of: usize| wakers[of].1.clone();
        let called = |list: &mut List| {
            list.take().into_iter().for_each(Waker::wake);
            Vec::from_iter(wakers.iter().map(|(n, _)| n.0.swap(0, Ordering::Relaxed)))
        };
        let numbers: Vec<_> = (0..4).map(|of| list.enter(waker(of))).collect();
        // In the middle, so that another takes its place in the list; and that one after it.
        list.leave(numbers[1]);
        list.leave(numbers[3]);
        for _ in 0..2 {
            assert_eq!(called(&mut list), [1, 0, 1, 0]);
            assert_eq!(called(&mut list), [0; 4]);
            list.set(numbers[2], waker(2));
            assert!(list.knows(numbers[2], &wakers[2].1) && !list.knows(numbers[0], &wakers[0].1));
            assert_eq!(called(&mut list), [0, 0, 1, 0]);
            list.set(numbers[2], waker(2));
            list.set(numbers[0], waker(0));
        }
        // As another task: the one before is not called for it.
        list.set(numbers[0], waker(3));
        assert_eq!(called(&mut list), [0, 0, 1, 1]);
        list.leave(numbers[0]);
        list.leave(numbers[2]);
        assert_eq!(called(&mut list), [0; 4]);
    }

    #[test]
    fn a_burst_of_lookers_leaves_nothing_behind() {
        let mut list = List::default();
        let (_, waker) = counted();
        let numbers: Vec<_> = (0..100_000).map(|_| list.enter(waker.clone())).collect();
        assert_eq!(list.take().len(), numbers.len());
        let (last, others) = numbers.split_last().expect("there are some");
        for &number in others {
            list.leave(number);
        }
        list.set(*last, waker);
        // What a call goes through.
        assert_eq!(list.to_call, [*last]);
        list.leave(*last);
        assert!(list.lookers.capacity() <= KEPT && list.to_call.capacity() <= KEPT);
    }
}
