//! The tasks that look out for their outcomes: whom to call should they not come to a second look.
//!
//! A task that looks out has itself polled again by its runtime, and is called by nobody. But its
//! runtime may not get to that: somebody else's loop may block the thread until the task calls it, or
//! another task may block it. So the task leaves its waker here. Where jobs are done as they come it has
//! nearly always been here again before anybody comes to call it, and that is what should be: to wake a task
//! for nothing may bring another of the runtime's threads to its feet, on the processor that the worker
//! needs. (With many jobs ahead of its own, as in a lane with one worker, it is called as often as not.)
//!
//! Called are
//!
//! - where nobody watches the worker, those whose outcomes are there, when it may take long until somebody
//!   comes by again: see `State::tell_lookers`;
//! - where somebody does, by him, those who have been here for a while, whatever is there: noting each
//!   outcome would cost too much; and all of them, when he goes.
//!
//! Invariants:
//!
//! 1. A task leaves its waker first and looks whether its outcome is settled then; a worker settles
//!    it first and takes the lock of this then. So one of the two sees the other.
//! 2. A waker is cloned, dropped and called under no lock.

mod list;

use std::task::Waker;

use self::list::List;
use super::core::wake;
use crate::{error::drop_quietly, job::JobId, sync::Mutex};

/// How many may look out where nobody ever watches: there each outcome has its task looked for among
/// them.
const FEW: usize = 8;

#[derive(Default)]
pub(crate) struct Lookers {
    list: Mutex<List>,
}

impl Lookers {
    /// Leaves a waker. Says where it is, and how many others look out; `None` if there are enough for
    /// where nobody ever watches.
    pub(crate) fn enter(
        &self,
        job: JobId,
        waker: &Waker,
        is_ever_watched: bool,
    ) -> Option<(usize, usize)> {
        let waker = waker.clone();
        let mut list = self.list.lock();
        // Who was called and has not come since may be kept by somebody who does not poll it.
        let others = list.awake();
        if others >= FEW && !is_ever_watched {
            drop(list);
            drop(waker);
            return None;
        }
        Some((list.insert(job, waker), others))
    }

    /// Looks once more: leaves a waker again if it was called, or is another one now.
    pub(crate) fn stay(&self, number: usize, waker: &Waker) {
        let list = self.list.lock();
        if list.has(number, waker) {
            return;
        }
        drop(list);
        let waker = waker.clone();
        let old = self.list.lock().replace(number, waker);
        drop_quietly(old);
    }

    /// Looks out no more. `true` if it was not called since it last looked.
    pub(crate) fn leave(&self, number: usize) -> bool {
        let (waker, _room) = self.list.lock().remove(number);
        let was_there = waker.is_some();
        drop_quietly(waker);
        was_there
    }

    /// Calls those of them that still look out.
    pub(crate) fn call(&self, settled: &[JobId]) {
        if !settled.is_empty() {
            self.call_some(|list| {
                let mut called = Vec::new();
                settled
                    .iter()
                    .for_each(|&job| called.extend(list.take(job)));
                called
            });
        }
    }

    /// Calls those who were here the last time already. Where there are very many it is some of them.
    pub(crate) fn call_old(&self) {
        self.call_some(List::take_old);
    }

    /// Calls all.
    pub(crate) fn call_all(&self) {
        self.call_some(List::take_all);
    }

    fn call_some(&self, choose: impl FnOnce(&mut List) -> Vec<Waker>) {
        let called = choose(&mut self.list.lock());
        wake(called);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::{list::STRETCH, *};
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

    fn enter(lookers: &Lookers, job: JobId, waker: &Waker) -> usize {
        let (number, _) = lookers.enter(job, waker, true).expect("there is room");
        number
    }

    #[test]
    fn who_still_looks_out_for_an_outcome_that_is_there_is_called_and_nobody_else() {
        test(|| {
            let lookers = Lookers::default();
            let wakers: Vec<_> = (0..3).map(|_| counted()).collect();
            let called =
                || Vec::from_iter(wakers.iter().map(|(n, _)| n.0.swap(0, Ordering::Relaxed)));
            let first = enter(&lookers, job(64, 0), &wakers[0].1);
            let second = enter(&lookers, job(128, 0), &wakers[1].1);
            lookers.call(&[]);
            lookers.call(&[job(128, 1), job(192, 0)]);
            assert_eq!(called(), [0, 0, 0]);
            lookers.call(&[job(128, 0), job(192, 0)]);
            lookers.call(&[job(128, 0)]);
            assert_eq!(called(), [0, 1, 0]);
            // It comes by for another look.
            lookers.stay(second, &wakers[1].1);
            lookers.call(&[job(128, 0)]);
            assert_eq!(called(), [0, 1, 0]);
            // Another job comes to lie where that was.
            lookers.leave(second);
            let second = enter(&lookers, job(128, 1), &wakers[1].1);
            lookers.call(&[job(128, 0)]);
            assert_eq!(called(), [0, 0, 0]);
            // And is looked out for by another task.
            lookers.stay(second, &wakers[2].1);
            lookers.leave(first);
            lookers.call(&[job(64, 0), job(128, 1)]);
            assert_eq!(called(), [0, 0, 1]);
        });
    }

    #[test]
    fn who_has_been_there_for_a_while_is_called_whatever_is_there() {
        test(|| {
            let lookers = Lookers::default();
            let wakers: Vec<_> = (0..2).map(|_| counted()).collect();
            let called =
                || Vec::from_iter(wakers.iter().map(|(n, _)| n.0.swap(0, Ordering::Relaxed)));
            let old = enter(&lookers, job(64, 0), &wakers[0].1);
            lookers.call_old();
            enter(&lookers, job(128, 0), &wakers[1].1);
            assert_eq!(called(), [0, 0]);
            lookers.call_old();
            assert_eq!(called(), [1, 0]);
            lookers.stay(old, &wakers[0].1);
            lookers.call_old();
            assert_eq!(called(), [1, 1]);
            lookers.stay(old, &wakers[0].1);
            lookers.call_all();
            assert_eq!(called(), [1, 0]);
        });
    }

    #[test]
    fn of_very_many_all_are_called_in_the_end() {
        test(|| {
            let lookers = Lookers::default();
            let (counts, waker) = counted();
            let count = 3 * STRETCH + 1;
            for n in 0..count {
                enter(&lookers, job(64 * n, 0), &waker);
            }
            for _ in 0..16 {
                lookers.call_old();
            }
            assert_eq!(counts.0.load(Ordering::Relaxed), count);
        });
    }

    /// They are kept by somebody who does not poll them, and look out for nothing.
    #[test]
    fn who_was_called_and_did_not_come_is_not_counted() {
        test(|| {
            let lookers = Lookers::default();
            let (_, waker) = counted();
            let numbers: Vec<_> = (0..FEW)
                .map(|n| enter(&lookers, job(64 * n, 0), &waker))
                .collect();
            lookers.call_all();
            let enter = |n: usize| lookers.enter(job(64 * n, 0), &waker, false);
            assert!(enter(20).is_some_and(|(_, others)| others == 0));
            // They come after all.
            (numbers.iter()).for_each(|&number| lookers.stay(number, &waker));
            assert!(enter(21).is_none());
            for number in numbers {
                lookers.leave(number);
            }
            assert!(enter(22).is_some_and(|(_, others)| others == 1));
        });
    }

    #[test]
    fn there_are_few_where_nobody_ever_watches() {
        test(|| {
            let lookers = Lookers::default();
            let (_, waker) = counted();
            let enter = |n: usize| lookers.enter(job(64 * n, 0), &waker, false);
            let others = Vec::from_iter((0..20).filter_map(enter).map(|(_, others)| others));
            assert_eq!(others, Vec::from_iter(0..FEW));
        });
    }

    #[test]
    fn a_burst_of_lookers_leaves_nothing_behind() {
        test(|| {
            let (lookers, (_, waker)) = (Lookers::default(), counted());
            let numbers: Vec<_> = (0..10_000)
                .map(|n| enter(&lookers, job(64 * n, 0), &waker))
                .collect();
            for number in numbers {
                lookers.leave(number);
            }
            assert!(lookers.list.lock().holds_nothing());
        });
    }

    /// R13. Its drop is the user's code.
    #[test]
    fn a_waker_that_panics_when_it_is_dropped_does_no_harm() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {}
        }
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("as planned");
            }
        }
        test(|| {
            let lookers = Lookers::default();
            // The list has the last of each.
            let panics = || Waker::from(Arc::new(Panics));
            let number = enter(&lookers, job(64, 0), &panics());
            lookers.leave(number);
            let number = enter(&lookers, job(64, 1), &panics());
            lookers.stay(number, &counted().1);
            lookers.leave(number);
            assert!(lookers.list.lock().holds_nothing());
        });
    }
}
