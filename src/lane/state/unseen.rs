//! Outcomes that nobody was woken for, as the task looks out for its own or has not come by yet: noted
//! where nobody watches the worker that has settled them.

use super::{
    super::home::{Home, Watch},
    State,
};
use crate::job::JobId;

impl State {
    /// A job is over whose task did not wait to be called.
    pub(crate) fn unseen(&mut self, job: JobId) {
        if !self.is_watched() {
            self.unseen.push(job);
        }
    }

    /// A worker is about to run a job, which it takes for as short as those before it only where
    /// somebody watches, or is on his way, who then comes by here himself.
    pub(crate) fn tell_lookers_unless_watched(&mut self) {
        let is_alone = |home: &Home| home.watch == Watch::Off && home.waking == 0;
        if !self.unseen.is_empty() && (!self.is_brisk() || self.homes.iter().any(is_alone)) {
            self.tell_lookers();
        }
    }

    /// It may take long until somebody comes by here again: those who still look out for an outcome
    /// that there is are called, after the lock.
    pub(crate) fn tell_lookers(&mut self) {
        self.told.append(&mut self.unseen);
    }
}
