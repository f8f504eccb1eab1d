//! Outcomes that nobody was woken for, as the task looks out for its own or has not come by yet.

use super::State;
use crate::job::JobId;

/// After how many of them, at the latest, those who still look out are called.
const AT_MOST: usize = 64;

impl State {
    /// A job is over whose task did not wait to be called.
    pub(crate) fn unseen(&mut self, job: JobId) {
        self.unseen.push(job);
        if self.unseen.len() >= AT_MOST {
            self.tell_lookers();
        }
    }

    /// A worker is about to run a job, which it takes for as short as those before it only where
    /// somebody watches.
    pub(crate) fn tell_lookers_unless_watched(&mut self) {
        if !self.is_watched() {
            self.tell_lookers();
        }
    }

    /// It may take long until somebody comes by here again: those who still look out for an outcome
    /// that there is are called, after the lock.
    pub(crate) fn tell_lookers(&mut self) {
        self.told.append(&mut self.unseen);
    }
}
