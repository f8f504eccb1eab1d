//! Jobs that wait for others, and jobs that are run for who waits for them. Their books are in
//! `state/suspended.rs`.

use std::task::Waker;

use tokio::time::Instant;

use super::{
    core::Core,
    observe,
    run::run,
    source::{self, Elsewhere},
    state::{Begun, Resume, State, Step, TakeHere},
};
use crate::{
    job::{Awaited, How, Taken, Work, serve},
    sync::Arc,
};

impl Core {
    /// See [`Owner::suspend`](crate::job::Owner::suspend).
    pub(super) fn suspend_job(&self, job: &dyn Work, waits_for: Option<Awaited>) -> bool {
        let (before, waited_for) = self.with_state(|state| {
            let key = state.find(job).expect("its thread has not left it");
            state.suspend(key, waits_for)
        });
        drop(waited_for);
        if let Some(before) = before {
            observe::suspended(self, before);
        }
        before.is_some()
    }

    /// See [`Owner::resume`](crate::job::Owner::resume).
    pub(super) fn resume_job(&self, job: &dyn Work, look: &Waker) -> bool {
        let mut look = Some(look.clone());
        let resume = self.with_state(|state| {
            let key = state.find(job).expect("its thread has not left it");
            state.resume(key, &mut look)
        });
        drop(look);
        match resume {
            Resume::As(now) => observe::resumed(self, now),
            Resume::NotSuspended => {}
            Resume::InLine => return false,
        }
        true
    }

    /// See [`Owner::take_here`](crate::job::Owner::take_here).
    pub(super) fn take_for(
        self: Arc<Self>,
        job: Arc<dyn Work>,
        how: How<'_>,
        look: &Waker,
    ) -> Taken {
        let mut look = Some(look.clone());
        let now = Instant::now();
        let elsewhere = self.source.lets_run();
        let is_ours = |waits_for: &Awaited| {
            std::ptr::addr_eq(Arc::as_ptr(&waits_for.owner), Arc::as_ptr(&self))
        };
        let taken = self.with_state(|state| match elsewhere {
            // As long as one of the lane's threads goes on, it will come to this job.
            Elsewhere::InVain if state.somebody_goes_on(how, is_ours) => {
                state.offer_help(&mut look);
                TakeHere::Nothing
            }
            Elsewhere::Never => TakeHere::Nothing,
            _ => state.take_here(&*job, now, how, &mut look),
        });
        drop(look);
        let begun = match taken {
            TakeHere::Run(begun) => begun,
            TakeHere::InVain(key, cause) => {
                self.stop_in_vain(key, &cause);
                return Taken::Gone;
            }
            TakeHere::Coming => return Taken::Coming,
            TakeHere::Nothing => return Taken::Nothing,
            TakeHere::Gone => return Taken::Gone,
        };
        if let Some(lender) = begun.lender {
            observe::suspended(&self, lender);
        }
        observe::started(&self, begun.work.meta(), begun.state, now);
        let awaited = Awaited {
            owner: self.clone(),
            work: Arc::downgrade(&begun.work),
        };
        Taken::Job(Box::new(move || self.run_here(begun, now)), awaited)
    }

    /// Runs one job on this thread, whatever else that does.
    fn run_here(self: &Arc<Self>, begun: Begun, mut now: Instant) {
        // As on a worker of its own.
        let _served = serve(self.clone());
        let _context = source::enter(begun.runtime.as_ref());
        let then = |state: &mut State, _, caller: Option<Waker>, step: &mut Option<Step>| {
            state.call(caller, false);
            // This thread goes back to what it waits for.
            state.tell_lookers();
            state.shut_inbox_if_forgotten();
            *step = state.next_step();
        };
        let after = |core: &Arc<Self>, step: &mut Option<Step>| core.perform(step.take());
        run(
            self, begun.key, begun.work, &mut now, &mut None, then, after,
        );
    }
}
