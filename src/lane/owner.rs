//! What tasks and jobs ask of the lane that they belong to.

use std::task::Waker;

use super::{core::Core, source::Elsewhere, stop::Which};
use crate::{
    job::{Aside, Awaited, CameTo, Cause, How, JobId, Looker, Owner, Run, Stay, Taken, Work},
    sync::Arc,
};

impl Owner for Core {
    fn stop(&self, job: &dyn Work, cause: Cause) {
        self.end(Which::Work(job), &cause);
    }

    fn detach(&self, job: &dyn Work) {
        self.let_go(job);
    }

    fn look_out(&self, job: JobId, waker: &Waker) -> Option<Looker> {
        let seen = self
            .signal
            .is_brisk()
            .then(|| self.doubt.begin())
            .flatten()?;
        let is_ever_watched = self.limit > 1 && self.source.linger().is_some();
        let (number, others) = self.lookers.enter(job, waker, is_ever_watched)?;
        Some(Looker {
            seen,
            number,
            stay: Stay::beside(others, self.signal.is_momentary()),
        })
    }

    fn look_again(&self, looker: Looker, waker: &Waker) {
        self.lookers.stay(looker.number, waker);
    }

    fn looked_out(&self, came_to: CameTo) {
        match came_to {
            CameTo::Nothing(looker) => {
                self.lookers.leave(looker.number);
                self.doubt.give_up(looker.seen);
            }
            CameTo::Others(looker) => {
                self.lookers.leave(looker.number);
            }
            CameTo::Outcome(looker) => {
                let saw_it_itself = self.lookers.leave(looker.number);
                self.doubt.outcome();
                if saw_it_itself {
                    self.doubt.succeed();
                }
            }
            CameTo::Call => self.doubt.outcome(),
        }
    }

    fn suspend(&self, job: &dyn Work, waits_for: Option<Awaited>) -> bool {
        self.suspend_job(job, waits_for)
    }

    fn resume(&self, job: &dyn Work, look: &Waker) -> bool {
        self.resume_job(job, look)
    }

    fn waits_for(self: Arc<Self>, job: &dyn Work) -> Option<Awaited> {
        let exclusive = self.source.lets_run() != Elsewhere::Gladly;
        let (known, ahead) = self.with_state(|state| {
            let ahead = exclusive.then(|| state.the_one_ahead_of(job)).flatten();
            (state.waits_for(job), ahead)
        });
        known.or_else(|| {
            ahead.map(|work| Awaited {
                owner: self,
                work: Arc::downgrade(&work),
            })
        })
    }

    fn set_waits_for(&self, job: &dyn Work, other: Option<Awaited>) -> Option<Awaited> {
        self.with_state(|state| {
            let nesting = state.nesting_of(job)?;
            std::mem::replace(&mut nesting.waits_for, other)
        })
    }

    fn take_here(self: Arc<Self>, job: Arc<dyn Work>, how: How<'_>, look: &Waker) -> Taken {
        self.take_for(job, how, look)
    }

    fn run_aside(&self, run: Run) -> Result<Aside, Run> {
        self.source.run_aside(&self.name, run)
    }
}
