//! The beginning and the end of what is told.

use std::sync::atomic::Ordering::Relaxed;

use super::super::{
    proc::Look,
    report::Stall,
    slot::View,
    subject::{Driven, Subject},
    traces::{Told, Traces, WorkerTrace},
    trail::Seen,
};

impl Subject {
    /// The watch is over: nobody is told anything more.
    pub(super) fn let_go(&self, seen: &mut Traces) {
        seen.workers.clear();
        seen.polls.clear();
        self.end_samples();
    }

    /// The runtime is over, and its threads may be stuck still: only the end of that is of interest.
    pub(super) fn outlive(&self, seen: &mut Traces, now: Seen, views: &[&View]) {
        self.end_samples();
        self.end_polls(seen, now, views);
        for (worker, trace) in seen.workers.iter_mut().enumerate() {
            if trace.told.is_some() && !self.is_still_stuck(worker, trace) {
                self.end(trace.told.take(), now);
            }
        }
    }

    fn is_still_stuck(&self, worker: usize, trace: &WorkerTrace) -> bool {
        let (Some((_, eye)), Some(trail)) = (&trace.eye, &trace.trail) else {
            return false;
        };
        let sleeps_on = |look: Look| trail.last().is_some_and(|last| look.same_sleep(last));
        trace.progress == Some(self.progress(worker))
            && matches!(self.thread_of(worker), Driven::By(_))
            && !eye.is_gone()
            && (!trace.told_call || eye.look().is_some_and(sleeps_on))
    }

    pub(super) fn tell(&self, stall: Stall, now: Seen) -> Told {
        if self.closed.load(Relaxed) {
            return Told::Silent;
        }
        let Some(number) = self.settings.listener.begun(&stall) else {
            return Told::Silent;
        };
        let began = now.at.checked_sub(stall.stalled_for).unwrap_or(now.at);
        Told::Open {
            stall: Box::new(stall),
            began,
            number,
        }
    }

    pub(super) fn end(&self, told: Option<Told>, now: Seen) {
        if let Some(Told::Open {
            mut stall,
            began,
            number,
        }) = told
            && !self.closed.load(Relaxed)
        {
            stall.total = Some(now.at.saturating_duration_since(began));
            self.settings.listener.ended(number, *stall);
        }
    }
}
