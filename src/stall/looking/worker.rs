//! Looking at the workers of a runtime.

use super::{
    super::{
        clock::Moment,
        finding::Found,
        proc::{Eye, Look, Sleep, State},
        report::{Cause, Certainty},
        slot::View,
        subject::{Driven, Subject},
        traces::{Told, Traces},
        trail::{Seen, Trail},
    },
    doubt::{Doubt, Suspect},
    is_parked,
};

/// What one look at a worker gave.
#[derive(Default)]
pub(super) struct WorkerLook {
    /// Where its thread sleeps although Tokio takes it to be at work, and the number of the place.
    pub(super) asleep: Option<Sleep>,
    pub(super) place: Option<u32>,
    /// It is at work, on a thread that is not known for sure.
    pub(super) unknown: bool,
}

impl Subject {
    pub(super) fn look_at_worker(
        &self,
        seen: &mut Traces,
        worker: usize,
        now: Seen,
        views: &[&View],
        allowed: &[u32],
        sampling: bool,
    ) -> WorkerLook {
        let mut result = WorkerLook::default();
        let Traces {
            workers,
            polls,
            names,
            crowd,
            ..
        } = seen;
        let trace = &mut workers[worker];
        let progress = self.progress(worker);
        let moved = trace.progress != Some(progress);
        if moved {
            trace.progress = Some(progress);
            trace.trail = None;
            self.end(trace.told.take(), now);
        }
        let Driven::By(thread) = self.thread_of(worker) else {
            trace.trail = None;
            self.end(trace.told.take(), now);
            return result;
        };
        if is_parked(progress) && !moved {
            return result;
        }
        result.unknown = thread.is_none();
        if trace.eye.as_ref().map(|(thread, _)| *thread) != thread {
            trace.eye = thread.map(|thread| (thread, Eye::on(thread)));
            trace.last = None;
            trace.trail = None;
        }
        // Of one that goes on, as most do, only its account is read: that is the cheaper half.
        let wanted = !moved || sampling;
        let eye = trace.eye.as_ref().map(|(_, eye)| eye);
        let (look, account) = match eye {
            Some(eye) if wanted => {
                let look = eye.look();
                let account = look.as_ref().map(|look| look.account);
                (look, account)
            }
            Some(eye) => (None, eye.account()),
            None => (None, None),
        };
        if account.is_none()
            && let Some(thread) = thread
            && eye.is_some_and(Eye::is_gone)
        {
            // It ended while others were the worker.
            self.workers.unlearn(worker, thread);
            result.unknown = true;
        }
        if self.progress(worker) != progress {
            // It went on while we looked, so that nothing is known of where it was.
            return result;
        }
        if let Some(account) = account {
            // Since when it has not been given a processor: before the worker came to where it is?
            let before = match trace.last {
                Some((then, same)) if same == account => then != progress,
                _ => {
                    trace.last = Some((progress, account));
                    false
                }
            };
            if before && look.as_ref().is_some_and(Look::is_asleep) {
                if let Some(thread) = thread
                    && !self.single
                {
                    self.workers.unlearn(worker, thread);
                }
                trace.trail = None;
                return result;
            }
        }
        if is_parked(progress) || thread.is_some_and(|thread| allowed.contains(&thread)) {
            trace.trail = None;
            return result;
        }
        if moved && !sampling {
            trace.trail = None;
            return result;
        }
        let view = views
            .iter()
            .find(|view| Some(view.thread) == thread)
            .copied();
        if let Some(State::Asleep(sleep)) = look.as_ref().map(|look| &look.state) {
            result.asleep = Some(sleep.clone());
            result.place = view.and_then(|view| view.poll).map(|poll| poll.place);
        }
        if trace.told.is_some() {
            let poll = since(view);
            let is_another_poll = poll != trace.told_of;
            let last = trace.trail.as_ref().and_then(Trail::last);
            let is_another_call = poll.is_none()
                && trace.told_call
                && (look.as_ref().zip(last)).is_some_and(|(look, last)| !look.same_sleep(last));
            if !is_another_poll && !is_another_call {
                return result;
            }
            // It has gone on, and is somewhere else without a pause.
            self.end(trace.told.take(), now);
            trace.trail = None;
        }
        if trace.trail.is_none() {
            trace.others = None;
        }
        let trail = trace.trail.get_or_insert_with(|| Trail::begin(now));
        trail.look(look, now);
        let trail = &*trail;
        let mut suspect = thread.map(|thread| Suspect {
            worker,
            thread,
            trail,
            before: &mut trace.others,
        });
        if let Some(suspect) = &mut suspect
            && suspect.trail.sleeps()
        {
            self.note_others(suspect, crowd, now);
        }
        // If the worker is on another thread by now, and well, that one may say so.
        result.unknown |= trail.age(now) >= self.threshold() / 2;
        let Some(mut verdict) = trail.verdict(now, self.settings.limits, false) else {
            return result;
        };
        // Of a worker that computes the threshold is long enough for another one to show; and where its
        // thread cannot be looked at, it is not the thread that this is about.
        let is_of_the_thread =
            trail.last().is_some() && !matches!(verdict.cause, Cause::Cpu { .. });
        match suspect
            .filter(|_| is_of_the_thread)
            .map_or(Doubt::None, |it| self.doubt(it, crowd, now))
        {
            Doubt::None => {}
            Doubt::Some => return result,
            Doubt::Outlasted => verdict.is_of_a_worker_only(),
        }
        // One stall is told once, by its poll or by its worker.
        let poll = polls.iter_mut().find(|poll| Some(poll.thread) == thread);
        if poll.as_ref().is_some_and(|poll| poll.told.is_some()) {
            trace.told = Some(Told::Silent);
            trace.told_of = since(view);
            trace.told_call = false;
            return result;
        }
        let found = Found {
            worker: Some(worker),
            thread,
            view,
        };
        let last = trail.last();
        trace.told_call = verdict.certainty == Certainty::OneCall;
        let stall = match &trace.eye {
            Some((_, eye)) => found.stall(verdict, now, names, eye, last),
            None => found.bare(verdict, now),
        };
        if let Some(poll) = poll {
            poll.told = Some(Told::Silent);
        }
        trace.told = Some(self.tell(stall, now));
        trace.told_of = since(view);
        result
    }
}

/// Which poll that is.
fn since(view: Option<&View>) -> Option<Moment> {
    view?.poll.map(|poll| poll.since)
}
