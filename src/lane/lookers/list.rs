//! The list itself: wakers, each of the task of a job.

use std::{collections::HashMap, task::Waker};

use slab::Slab;

use crate::job::JobId;

/// The room that is kept when nobody looks out.
const KEPT: usize = 1024;

/// Among more than so many nobody is looked for one by one.
const MANY: usize = 64;

/// How many are looked at, at the most, to find those who have been here for a while.
pub(super) const STRETCH: usize = 1024;

#[derive(Default)]
pub(super) struct List {
    lookers: Slab<Left>,
    /// How many of them have a waker.
    awake: usize,
    /// The number of each, by where its job lies, which is there for as long as its task looks out. It is
    /// made when somebody is looked for among many: that is rare, and to keep it costs something each time.
    index: Option<Index>,
    /// How often all of them were looked at.
    round: u32,
    /// Who is looked at next.
    next: usize,
}

type Index = HashMap<usize, usize>;

struct Left {
    job: JobId,
    /// In which round it was left.
    round: u32,
    /// `None` once it was called.
    waker: Option<Waker>,
}

/// What a burst has left behind, to be dropped after the lock.
#[expect(dead_code, reason = "it is there to be dropped")]
pub(super) struct Room(Option<Slab<Left>>, Option<Index>);

impl List {
    /// How many are there to be called.
    pub(super) fn awake(&self) -> usize {
        self.awake
    }

    /// Puts one in. Returns its number.
    pub(super) fn insert(&mut self, job: JobId, waker: Waker) -> usize {
        let (round, waker) = (self.round, Some(waker));
        let number = self.lookers.insert(Left { job, round, waker });
        self.awake += 1;
        if let Some(index) = &mut self.index {
            index.insert(job.at(), number);
        }
        number
    }

    /// Whether it is there with this waker, to be called.
    pub(super) fn has(&self, number: usize, waker: &Waker) -> bool {
        let known = self.lookers[number].waker.as_ref();
        known.is_some_and(|known| known.will_wake(waker))
    }

    /// Gives it another waker. Returns the one that it had.
    pub(super) fn replace(&mut self, number: usize, waker: Waker) -> Option<Waker> {
        let old = self.lookers[number].waker.replace(waker);
        self.awake += usize::from(old.is_none());
        old
    }

    /// Puts it out. Returns its waker, if it was not called.
    pub(super) fn remove(&mut self, number: usize) -> (Option<Waker>, Room) {
        let Left { job, waker, .. } = self.lookers.remove(number);
        self.awake -= usize::from(waker.is_some());
        if let Some(index) = &mut self.index {
            index.remove(&job.at());
        }
        let few = self.lookers.len() <= MANY / 2;
        let index = self.index.take_if(|_| few);
        // A burst must not hold its memory for ever.
        let burst = self.lookers.is_empty() && self.lookers.capacity() > KEPT;
        let burst = burst.then(|| std::mem::take(&mut self.lookers));
        (waker, Room(burst, index))
    }

    /// The waker of who looks out for a job.
    pub(super) fn take(&mut self, job: JobId) -> Option<Waker> {
        let found = self.find(job).and_then(|found| found.waker.take());
        self.awake -= usize::from(found.is_some());
        found
    }

    fn find(&mut self, job: JobId) -> Option<&mut Left> {
        let all = &mut self.lookers;
        if all.len() <= MANY && self.index.is_none() {
            let mut all = all.iter_mut().map(|(_, looker)| looker);
            return all.find(|looker| looker.job == job);
        }
        let number_of = |(number, looker): (usize, &Left)| (looker.job.at(), number);
        let index = (self.index).get_or_insert_with(|| all.iter().map(number_of).collect());
        let number = *index.get(&job.at())?;
        let found = &mut all[number];
        (found.job == job).then_some(found)
    }

    /// The wakers of those who were here the last time already. Where there are very many, of some.
    pub(super) fn take_old(&mut self) -> Vec<Waker> {
        if self.lookers.is_empty() {
            return Vec::new();
        }
        let all = self.lookers.capacity();
        let end = all.min(self.next + STRETCH);
        let mut old = Vec::new();
        for number in self.next..end {
            if let Some(looker) = self.lookers.get_mut(number)
                && looker.round != self.round
            {
                old.extend(looker.waker.take());
            }
        }
        self.next = end;
        if end == all {
            self.next = 0;
            self.round = self.round.wrapping_add(1);
        }
        self.awake -= old.len();
        old
    }

    /// Those of all.
    pub(super) fn take_all(&mut self) -> Vec<Waker> {
        let all = self.lookers.iter_mut();
        self.awake = 0;
        all.filter_map(|(_, looker)| looker.waker.take()).collect()
    }

    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        let nobody = self.lookers.is_empty() && self.awake == 0 && self.index.is_none();
        nobody && self.lookers.capacity() <= KEPT
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const OTHERS: usize = 10_000;

    fn insert(list: &mut List, job: JobId) -> usize {
        list.insert(job, Waker::noop().clone())
    }

    fn job(place: usize, turn: u64) -> JobId {
        JobId::made_up(64 * place, turn)
    }

    /// Else a burst of jobs, each of which has its task looked for, would take quadratic time.
    #[test]
    fn to_find_each_of_many_takes_about_as_long_as_to_put_them_in() {
        // The best of some tries: on a busy machine each of them may be held up.
        let (mut entered, mut found) = (Duration::MAX, Duration::MAX);
        for _ in 0..5 {
            let (mut list, begun) = (List::default(), Instant::now());
            let numbers: Vec<_> = (0..OTHERS).map(|n| insert(&mut list, job(n, 0))).collect();
            entered = entered.min(begun.elapsed());
            let begun = Instant::now();
            for n in (0..OTHERS).rev() {
                assert!(list.take(job(n, 1)).is_none());
                assert!(list.take(job(n, 0)).is_some());
            }
            found = found.min(begun.elapsed());
            assert_eq!(list.awake(), 0);
            for number in numbers {
                list.remove(number);
            }
            assert!(list.holds_nothing());
        }
        assert!(found < 50 * entered, "{entered:?}, and then {found:?}");
    }

    #[test]
    fn of_many_the_one_is_found_that_is_meant_however_they_come_and_go() {
        let mut list = List::default();
        let mut numbers: Vec<_> = (0..200).map(|n| insert(&mut list, job(n, 0))).collect();
        assert!(list.take(job(0, 0)).is_some());
        // Where others were, once somebody was looked for.
        drop((list.remove(numbers[7]), list.remove(numbers[8])));
        numbers[8] = insert(&mut list, job(8, 1));
        for absent in [job(7, 0), job(8, 0), job(7, 1), job(0, 0)] {
            assert!(list.take(absent).is_none());
        }
        assert!(list.take(job(8, 1)).is_some());
        numbers.remove(7);
        // Few are left, and many come again.
        numbers
            .into_iter()
            .for_each(|number| drop(list.remove(number)));
        assert!(list.holds_nothing());
        for turn in 2..4 {
            for n in 0..200 {
                insert(&mut list, job(n + 1_000 * turn, turn as u64));
            }
            for n in 0..200 {
                assert!(
                    list.take(job(n + 1_000 * turn, turn as u64)).is_some(),
                    "{n}"
                );
            }
        }
    }
}
