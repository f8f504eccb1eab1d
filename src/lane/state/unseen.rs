//! Outcomes that nobody was woken for, as the task looks out for its own or has not come by yet: noted
//! where nobody watches the worker that has settled them. A worker's own next step may be long in coming, and
//! a thread that was asked for may never come: neither is counted on.

use super::{
    super::home::{Home, Watch},
    State,
};
use crate::job::JobId;

/// How many are noted at the most, as whoever should come by may be long in doing so. Where jobs are brisk that
/// is some hundred microseconds, in which there are hundreds of them.
const MANY: usize = 1024;

impl State {
    /// A job is over whose task did not wait to be called.
    pub(crate) fn unseen(&mut self, job: JobId) {
        if !self.is_watched() {
            self.unseen.push(job);
            if self.unseen.len() >= MANY {
                self.tell_lookers();
            }
        }
    }

    /// A worker is about to run a job, which it takes for as short as those before it only where
    /// somebody watches, or was woken, who then comes by here himself. A thread that was asked for may
    /// not come for a long time.
    pub(crate) fn tell_lookers_unless_watched(&mut self) {
        if self.unseen.is_empty() {
            return;
        }
        let is_seen_to = |home: &Home| {
            let watches = match home.watch {
                Watch::On => true,
                // Who is to watch has come already, or was woken, unless it is a thread that was asked for.
                Watch::Wanted => home.starting.is_none(),
                Watch::Off => false,
            };
            watches || home.woken() > 0
        };
        if !self.is_brisk() || !self.homes.iter().all(is_seen_to) {
            self.tell_lookers();
        }
    }

    /// It may take long until somebody comes by here again: those who still look out for an outcome
    /// that there is are called, after the lock.
    pub(crate) fn tell_lookers(&mut self) {
        self.told.append(&mut self.unseen);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Threads, *};
    use crate::sync::{Arc, test};

    #[test]
    fn what_nobody_has_seen_takes_no_memory_without_end() {
        test(|| {
            let threads = Threads {
                linger: true,
                always_come: true,
                shared: false,
            };
            let mut state = State::new(2, None, threads, Arc::default());
            let mut told = 0;
            for n in 0..10_000 {
                state.unseen(JobId::made_up(64 * n, 0));
                told += state.take_leftovers().1.len();
            }
            assert_eq!(told + state.unseen.len(), 10_000);
            assert!(state.unseen.capacity() <= 4 * MANY);
        });
    }
}
