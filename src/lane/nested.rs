//! Jobs that wait for others, and jobs that are run by the thread that waits for them. Their books
//! are in `state/suspended.rs`.

use std::task::Waker;

use tokio::{runtime, time::Instant};

use super::{
    core::Core,
    observe,
    source::{self, Elsewhere},
    state::{Key, State, TakeHere},
    stats::JobState,
    worker,
};
use crate::{
    job::{Awaited, Taken, Work, serve},
    sync::Arc,
};

impl Core {
    pub(super) fn suspend_job(&self, job: &dyn Work, waits_for: Option<Awaited>) -> bool {
        let before = self.with_state(|state| {
            let key = state.find(job).expect("its thread has not left it");
            state.suspend(key, waits_for)
        });
        if before.is_some() {
            observe::moved(self, before, Some(JobState::Suspended));
        }
        before.is_some()
    }

    pub(super) fn resume_job(&self, job: &dyn Work, look: &Waker) -> bool {
        let mut look = Some(look.clone());
        let now = self.with_state(|state| {
            let key = state.find(job).expect("its thread has not left it");
            state.resume(key, &mut look)
        });
        drop(look);
        if now.is_some() {
            observe::moved(self, Some(JobState::Suspended), now);
        }
        now.is_some()
    }

    /// See [`Owner::take_here`](crate::job::Owner::take_here).
    pub(super) fn take_for(
        self: Arc<Self>,
        job: Arc<dyn Work>,
        impatient: bool,
        look: &Waker,
    ) -> Taken {
        let mut look = Some(look.clone());
        let now = Instant::now();
        let elsewhere = self.source.lets_run();
        let taken = self.with_state(|state| match elsewhere {
            // As long as one of the lane's threads goes on, it will come to this job.
            Elsewhere::InVain if state.suspended.jobs < self.limit => TakeHere::Nothing,
            Elsewhere::Never => TakeHere::Nothing,
            _ => state.take_here(&*job, now, impatient, &mut look),
        });
        drop(look);
        let (key, work, state, runtime) = match taken {
            TakeHere::Run(key, work, state, runtime) => (key, work, state, runtime),
            TakeHere::Coming => return Taken::Coming,
            TakeHere::Nothing => return Taken::Nothing,
        };
        let awaited = Awaited {
            owner: self.clone(),
            work: Arc::downgrade(&work),
        };
        let run = move || {
            observe::started(&self, work.meta(), state, now);
            self.run_here(key, work, now, runtime.as_ref());
        };
        Taken::Job(Box::new(run), awaited)
    }

    /// Runs one job on this thread, whatever else that does.
    fn run_here(
        self: &Arc<Self>,
        key: Key,
        work: Arc<dyn Work>,
        mut now: Instant,
        runtime: Option<&runtime::Handle>,
    ) {
        // As on a worker of its own.
        let _served = serve(self.clone());
        let _context = source::enter(runtime);
        let then = |state: &mut State, _, caller: Option<Waker>| {
            state.call(caller, false);
            state.next_step()
        };
        worker::run(self, key, work, &mut now, then, |core, step| {
            core.perform(step.take());
        });
    }
}
