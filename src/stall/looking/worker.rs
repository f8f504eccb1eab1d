//! Looking at the workers of a runtime.

use super::{
    super::{
        clock::Moment,
        finding::Found,
        proc::{Account, Eye, Look},
        report::{Cause, Certainty},
        slot::View,
        subject::{Driven, Subject},
        traces::{Progress, Told, Traces, WorkerTrace},
        trail::{Seen, Trail},
    },
    doubt::{Doubt, Suspect},
    is_parked,
};

/// What one look at a worker gave.
#[derive(Default)]
pub(super) struct WorkerLook {
    /// What was seen of its thread, if it sleeps although Tokio takes it to be at work, and the
    /// number of the place.
    pub(super) asleep: Option<Look>,
    pub(super) place: Option<u32>,
    /// It is at work, on a thread that is not known for sure.
    pub(super) unknown: bool,
}

/// Where a worker is at one look.
pub(super) struct Here {
    pub(super) worker: usize,
    pub(super) progress: Progress,
    /// It has made progress since the last one.
    pub(super) moved: bool,
    pub(super) thread: Option<u32>,
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
        let trace = &mut seen.workers[worker];
        let Some(here) = self.arrive(trace, worker, now) else {
            return WorkerLook::default();
        };
        let thread = here.thread;
        let Some(look) = self.glance(trace, &here, sampling) else {
            return WorkerLook {
                unknown: !self.single && self.workers.thread(worker).is_none(),
                ..WorkerLook::default()
            };
        };
        let mut result = WorkerLook {
            unknown: thread.is_none(),
            ..WorkerLook::default()
        };
        let is_allowed = thread.is_some_and(|thread| allowed.contains(&thread));
        let view = views.iter().find(|view| Some(view.thread) == thread);
        let view = view.copied();
        if is_parked(here.progress) || is_allowed || (here.moved && !sampling) {
            // What was told of a call is over, and what comes after the scope is another one.
            if is_allowed && !trace.is_still_what_was_told(look.as_ref(), since(view)) {
                self.end(trace.told.take(), now);
            }
            trace.trail = None;
            return result;
        }
        result.asleep = look.clone().filter(Look::is_asleep);
        result.place = view.and_then(|view| view.poll).map(|poll| poll.place);
        if trace.told.is_some() {
            if trace.is_still_what_was_told(look.as_ref(), since(view)) {
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
        // If the worker is on another thread by now, and well, that one may say so.
        result.unknown |= trail.age(now) >= self.threshold() / 2;
        self.judge(seen, &here, view, now);
        result
    }

    /// Sees to it that the trace is of where the worker is now; `None` if it is not at work.
    fn arrive(&self, trace: &mut WorkerTrace, worker: usize, now: Seen) -> Option<Here> {
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
            return None;
        };
        if is_parked(progress) && !moved {
            return None;
        }
        if trace.eye.as_ref().map(|(thread, _)| *thread) != thread {
            trace.eye = thread.map(|thread| (thread, Eye::on(thread)));
            trace.last = None;
            trace.trail = None;
        }
        Some(Here {
            worker,
            progress,
            moved,
            thread,
        })
    }

    /// What its thread does, as far as that can be seen; `None` if it is not known where the worker is.
    fn glance(&self, trace: &mut WorkerTrace, here: &Here, sampling: bool) -> Option<Option<Look>> {
        let eye = trace.eye.as_ref().map(|(_, eye)| eye);
        let mut look = None;
        let mut account = None;
        // Of one that goes on, as most do, only its account is read: that is the cheaper half.
        let mut is_enough = here.moved && !sampling;
        if is_enough {
            account = eye.and_then(Eye::account);
            // Unless the worker went on without it, as it does on another thread.
            is_enough = !account.is_some_and(|it| trace.was_elsewhere_with(here.progress, it));
        }
        if !is_enough {
            look = eye.and_then(Eye::look);
            account = look.as_ref().map(|look| look.account);
        }
        let has_ended = account.is_none() && eye.is_some_and(Eye::is_gone);
        if self.progress(here.worker) != here.progress {
            // It went on while we looked.
            return None;
        }
        // Asleep since before the worker came to where it is.
        let stayed = account.is_some_and(|account| trace.has_stayed(here.progress, account))
            && look.as_ref().is_some_and(Look::is_asleep);
        if has_ended || stayed {
            if let Some(thread) = here.thread
                && !self.single
            {
                self.workers.unlearn(here.worker, thread);
            }
            trace.trail = None;
            return None;
        }
        Some(look)
    }

    /// Tells of it if it is a stall by now.
    pub(super) fn judge(&self, seen: &mut Traces, here: &Here, view: Option<&View>, now: Seen) {
        let Traces {
            workers,
            polls,
            names,
            crowd,
            ..
        } = seen;
        let Here { worker, thread, .. } = *here;
        let trace = &mut workers[worker];
        let Some(trail) = &trace.trail else { return };
        let mut suspect = thread.map(|thread| Suspect {
            worker,
            thread,
            trail,
            before: &mut trace.others,
        });
        if let Some(suspect) = &mut suspect
            && trail.sleeps()
        {
            self.note_others(suspect, crowd, now);
        }
        let Some(mut verdict) = trail.verdict(now, self.settings.limits, false) else {
            return;
        };
        // Of a worker that computes the threshold is long enough for another one to show; and where its
        // thread cannot be looked at, it is not the thread that this is about.
        let is_of_the_thread =
            trail.last().is_some() && !matches!(verdict.cause, Cause::Cpu { .. });
        let suspect = suspect.filter(|_| is_of_the_thread);
        match suspect.map_or(Doubt::None, |suspect| self.doubt(suspect, crowd, now)) {
            Doubt::None => {}
            Doubt::Some => return,
            Doubt::Outlasted => verdict.is_of_a_worker_only(),
        }
        // To look at the others may have taken long.
        if self.progress(worker) != here.progress {
            return;
        }
        trace.told_of = since(view);
        // One stall is told once, by its poll or by its worker.
        let poll = polls.iter_mut().find(|poll| Some(poll.thread) == thread);
        if poll.as_ref().is_some_and(|poll| poll.told.is_some()) {
            trace.told = Some(Told::Silent);
            trace.told_call = false;
            return;
        }
        trace.told_call = verdict.certainty == Certainty::OneCall;
        let found = Found {
            worker: Some(worker),
            thread,
            view,
        };
        let stall = match &trace.eye {
            Some((_, eye)) => found.stall(verdict, now, names, eye, trail.last()),
            None => found.bare(verdict, now),
        };
        if let Some(poll) = poll {
            poll.told = Some(Told::Silent);
        }
        trace.told = Some(self.tell(stall, now));
    }
}

impl WorkerTrace {
    /// Whether the thread had been given just as much when the worker was not where it is now.
    fn was_elsewhere_with(&self, progress: Progress, account: Account) -> bool {
        (self.last).is_some_and(|(then, same)| same == account && then != progress)
    }

    /// Whether the thread has not been given a processor since before the worker came to where it is.
    fn has_stayed(&mut self, progress: Progress, account: Account) -> bool {
        if self.last.is_none_or(|(_, same)| same != account) {
            self.last = Some((progress, account));
        }
        self.was_elsewhere_with(progress, account)
    }

    /// Whether the worker is in the poll that was told, or in the call if it was told as one.
    fn is_still_what_was_told(&self, look: Option<&Look>, poll: Option<Moment>) -> bool {
        if poll != self.told_of {
            return false;
        }
        let last = self.trail.as_ref().and_then(Trail::last);
        let is_another_call = look
            .zip(last)
            .is_some_and(|(look, last)| !look.same_sleep(last));
        poll.is_some() || !self.told_call || !is_another_call
    }
}

/// Which poll that is.
fn since(view: Option<&View>) -> Option<Moment> {
    view?.poll.map(|poll| poll.since)
}
