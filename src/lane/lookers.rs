//! The tasks that look out for their outcomes: whom to call should they not come to a second look.
//!
//! A task that looks out has itself polled again by its runtime, and is called by nobody. But its
//! runtime may not get to that: somebody else's loop may block the thread until the task calls it, or
//! another task may block it. So the task leaves its waker here. Nearly always it has been here again
//! before anybody comes to call it, and that is what should be: to wake a task for nothing may bring
//! another of the runtime's threads to its feet, on the processor that the worker needs.
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

use std::task::Waker;

use slab::Slab;

use super::core::wake;
use crate::{error::drop_quietly, job::JobId, sync::Mutex};

/// The room that is kept when nobody looks out.
const KEPT: usize = 1024;

/// How many may look out where nobody ever watches: there each outcome has its task looked for among
/// them.
const FEW: usize = 8;

/// Of so few at a time each may wait where it is for a moment: see `STAY`.
const EARLY: usize = 4;

/// How many are looked at, at the most, to find those who have been here for a while.
const STRETCH: usize = 1024;

#[derive(Default)]
pub(crate) struct Lookers {
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    lookers: Slab<Looker>,
    /// How often all of them were looked at.
    round: u32,
    /// Who is looked at next.
    next: usize,
}

struct Looker {
    job: JobId,
    /// In which round it was left.
    round: u32,
    /// `None` once it was called.
    waker: Option<Waker>,
}

/// Where somebody is who looks out, and whether only a few others did before.
pub(crate) struct Entered {
    pub(crate) number: usize,
    pub(crate) early: bool,
}

impl Lookers {
    /// Leaves a waker. `None` if there are enough for where nobody ever watches.
    pub(crate) fn enter(
        &self,
        job: JobId,
        waker: &Waker,
        is_ever_watched: bool,
    ) -> Option<Entered> {
        let waker = Some(waker.clone());
        let mut list = self.list.lock();
        let others = list.lookers.len();
        if others >= FEW && !is_ever_watched {
            drop(list);
            drop(waker);
            return None;
        }
        let round = list.round;
        let number = list.lookers.insert(Looker { job, round, waker });
        Some(Entered {
            number,
            early: others < EARLY,
        })
    }

    /// Looks once more: leaves a waker again if it was called, or is another one now.
    pub(crate) fn stay(&self, number: usize, waker: &Waker) {
        let is_known = |known: &Waker| known.will_wake(waker);
        let list = self.list.lock();
        if list.lookers[number].waker.as_ref().is_some_and(is_known) {
            return;
        }
        drop(list);
        let waker = waker.clone();
        let old = self.list.lock().lookers[number].waker.replace(waker);
        drop_quietly(old);
    }

    /// Looks out no more.
    pub(crate) fn leave(&self, number: usize) {
        let mut list = self.list.lock();
        let waker = list.lookers.remove(number).waker;
        // A burst must not hold its memory for ever.
        let burst = list.lookers.is_empty() && list.lookers.capacity() > KEPT;
        let burst = burst.then(|| std::mem::take(&mut list.lookers));
        drop(list);
        drop(burst);
        drop_quietly(waker);
    }

    /// Calls those of them that still look out; all that do, if these are many.
    pub(crate) fn call(&self, settled: &[JobId]) {
        if settled.len() > FEW {
            self.call_all();
        } else if !settled.is_empty() {
            self.call_some(|list| {
                let is_settled = |looker: &&mut Looker| settled.contains(&looker.job);
                let lookers = list.lookers.iter_mut().map(|(_, looker)| looker);
                lookers
                    .filter(is_settled)
                    .filter_map(|looker| looker.waker.take())
                    .collect()
            });
        }
    }

    /// Calls those who were here the last time already. Where there are very many it is some of them.
    pub(crate) fn call_old(&self) {
        self.call_some(|list| {
            let all = list.lookers.capacity();
            let end = all.min(list.next + STRETCH);
            let mut called = Vec::new();
            for number in list.next..end {
                if let Some(looker) = list.lookers.get_mut(number)
                    && looker.round != list.round
                {
                    called.extend(looker.waker.take());
                }
            }
            list.next = end;
            if end == all {
                list.next = 0;
                list.round = list.round.wrapping_add(1);
            }
            called
        });
    }

    /// Calls all.
    pub(crate) fn call_all(&self) {
        self.call_some(|list| {
            let lookers = list.lookers.iter_mut();
            lookers
                .filter_map(|(_, looker)| looker.waker.take())
                .collect()
        });
    }

    fn call_some(&self, choose: impl FnOnce(&mut List) -> Vec<Waker>) {
        let mut list = self.list.lock();
        if list.lookers.is_empty() {
            return;
        }
        let called = choose(&mut list);
        drop(list);
        wake(called);
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

    fn enter(lookers: &Lookers, job: JobId, waker: &Waker) -> usize {
        let entered = lookers.enter(job, waker, true);
        entered.expect("there is room").number
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

    #[test]
    fn there_are_few_where_nobody_ever_watches() {
        test(|| {
            let lookers = Lookers::default();
            let (_, waker) = counted();
            let enter = |n: usize| lookers.enter(job(64 * n, 0), &waker, false);
            let entered = Vec::from_iter((0..20).filter_map(enter));
            assert_eq!(entered.len(), FEW);
            assert_eq!(
                entered.iter().filter(|entered| entered.early).count(),
                EARLY
            );
        });
    }

    #[test]
    fn a_burst_of_lookers_leaves_nothing_behind() {
        test(|| {
            let (lookers, (_, waker)) = (Lookers::default(), counted());
            let numbers: Vec<_> = (0..10_000)
                .map(|n| enter(&lookers, job(64 * n, 0), &waker))
                .collect();
            numbers.into_iter().for_each(|number| lookers.leave(number));
            assert!(lookers.list.lock().lookers.capacity() <= KEPT);
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
            assert!(lookers.list.lock().lookers.is_empty());
        });
    }
}
