//! How a job is stopped, wherever it is: the one path of drops, cancels, deadlines and shutdown.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    core::{Core, wake},
    observe::{self, Took},
    source::Elsewhere,
    state::{Entry, Key, Place},
    stats::{JobState, Outcome},
};
use crate::{
    error::{Error, Phase, Unavailable, drop_quietly},
    job::{Cause, JobId, Work},
    sync::Arc,
};

impl Core {
    /// The next job turned out not to be worth a start, before whoever cancels it came to it.
    pub(crate) fn stop_in_vain(&self, key: Key, cause: &Cause) {
        self.end(Which::At(key), cause);
    }

    /// Ends jobs that nobody can serve, or whose time is up.
    pub(super) fn fail(&self, keys: Vec<Key>, cause: &Cause) {
        for key in keys {
            self.end(Which::At(key), cause);
        }
    }

    /// Cancels every job there is. Returns how many that were.
    pub(crate) fn cancel_all(&self) -> usize {
        let keys = self.with_state(|state| {
            // Or the slots of those that are cancelled first would let others start.
            state.ended = true;
            state.keys()
        });
        let cancelled = keys
            .into_iter()
            .filter(|&key| self.end(Which::At(key), &Cause::Cancelled))
            .count();
        self.dismiss_idle();
        cancelled
    }

    /// Stops a job; `true` if it had not been stopped before and was not over.
    pub(super) fn end(&self, job: Which<'_>, cause: &Cause) -> bool {
        let now = Instant::now();
        let ended = self.with_state(|state| {
            let key = match job {
                Which::At(key) => key,
                Which::Work(work) => state.find(work)?,
            };
            let entry = state.entry(key)?;
            let queued = entry.work.meta().queued;
            match entry.place {
                // It got a thread after all, from a worker that came meanwhile.
                Place::Running(_) | Place::Draining(_) if cause.is_only_for_waiting() => None,
                Place::Waiting(_) => {
                    let waited = now.saturating_duration_since(queued);
                    let waker = entry.work.settle(self.error(
                        cause,
                        Phase::Waiting,
                        waited,
                        Duration::ZERO,
                    ));
                    let entry = state.withdraw(key, cause.outcome());
                    let ran = Duration::ZERO;
                    Some((Ended::Waiting(entry), waker, Took { waited, ran }))
                }
                // Abandoned by its caller, but still bound by its deadline and its lane's end.
                Place::Draining(since) if std::mem::take(&mut entry.detached) => {
                    let waited = since.saturating_duration_since(queued);
                    let ran = now.saturating_duration_since(since);
                    let work = entry.work.clone();
                    state.counts.detached -= 1;
                    state.counts.count(cause.outcome());
                    Some((Ended::OnThread(work, None), None, Took { waited, ran }))
                }
                Place::Draining(_) => None,
                Place::Running(since) => {
                    let waited = since.saturating_duration_since(queued);
                    let ran = now.saturating_duration_since(since);
                    let waker = entry
                        .work
                        .settle(self.error(cause, Phase::Running, waited, ran));
                    let work = entry.work.clone();
                    let before = state.abandon(key);
                    state.counts.count(cause.outcome());
                    let ended = Ended::OnThread(work, Some(before));
                    Some((ended, waker, Took { waited, ran }))
                }
            }
        });
        let Some((ended, waker, took)) = ended else {
            return false;
        };
        // The hooks before the wake-up: a caller that was asleep finds the interrupt sent.
        if !matches!(ended, Ended::Waiting(_)) {
            self.interrupt(ended.work());
        }
        if waker.is_none() && !matches!(cause, Cause::Dropped) {
            // Its caller may look out for the outcome.
            self.lookers.call(&[JobId::of(ended.work())]);
        }
        wake(waker);
        let meta = ended.work().meta();
        observe::ended(self, Some(meta), cause.outcome(), took);
        match &ended {
            Ended::Waiting(_) => observe::moved(self, Some(JobState::Waiting), None),
            Ended::OnThread(_, before) => {
                if let Some(before) = before {
                    observe::moved(self, Some(*before), Some(JobState::Draining));
                }
                observe::abandoned(self, meta);
            }
        }
        if let Ended::Waiting(entry) = ended {
            self.bury(entry);
        }
        true
    }

    /// Lets a job run on without a caller.
    pub(super) fn let_go(&self, job: &dyn Work) {
        let detached = self.with_state(|state| {
            let key = state.find(job)?;
            let entry = state.entry(key)?;
            let waker = entry.work.settle(None);
            entry.detached = !matches!(entry.place, Place::Draining(_));
            if !matches!(entry.place, Place::Running(_)) {
                return Some((waker, None));
            }
            state.counts.detached += 1;
            Some((waker, Some(state.abandon(key))))
        });
        let Some((waker, before)) = detached else {
            return;
        };
        if before.is_some() {
            observe::moved(self, before, Some(JobState::Draining));
        }
        drop_quietly(waker);
    }

    /// What the caller is told, if there is one.
    pub(super) fn error(
        &self,
        cause: &Cause,
        phase: Phase,
        waited: Duration,
        ran: Duration,
    ) -> Option<Error> {
        Some(match cause {
            Cause::Dropped => return None,
            Cause::Cancelled => self.cancelled(phase),
            Cause::TimedOut => self.timed_out(phase, waited, ran),
            Cause::NoRuntime => self.no_runtime(),
            // It never started, and it is not a thread that it lacks.
            Cause::WouldDeadlock
                if phase == Phase::Waiting && self.source.lets_run() != Elsewhere::Gladly =>
            {
                Error::InUse {
                    lane: self.name.clone(),
                }
            }
            Cause::WouldDeadlock => Error::WouldDeadlock {
                lane: self.name.clone(),
            },
            Cause::NoThread(refusal) => Error::NoThread {
                lane: self.name.clone(),
                cause: refusal.clone(),
            },
            Cause::Unavailable(cause) => Unavailable::new(self.name.clone(), cause.clone()).into(),
        })
    }

    /// Raises the flag of a running job and runs its hooks.
    fn interrupt(&self, work: &dyn Work) {
        let panics = work.cancels().cancel();
        if panics > 0 {
            self.count_late_panics(panics);
        }
    }

    /// Drops what is left of a job that never started.
    fn bury(&self, entry: Entry) {
        let panicked = entry.work.discard();
        if drop_quietly(entry) || panicked {
            self.count_late_panics(1);
        }
    }

    pub(crate) fn count_late_panics(&self, panics: usize) {
        self.with_state(|state| state.counts.late_panics += panics as u64);
        observe::late_panics(self, panics);
    }
}

/// How a job is named: as what it is, or as what stood there.
pub(super) enum Which<'a> {
    Work(&'a dyn Work),
    At(Key),
}

/// What a stopped job leaves to do after the lock.
enum Ended {
    Waiting(Entry),
    /// It was running or suspended; or its caller had let it run on.
    OnThread(Arc<dyn Work>, Option<JobState>),
}

impl Ended {
    fn work(&self) -> &dyn Work {
        match self {
            Self::Waiting(entry) => &*entry.work,
            Self::OnThread(work, _) => &**work,
        }
    }
}

impl Cause {
    /// What may only befall a job that has not started, as it says that it never will.
    fn is_only_for_waiting(&self) -> bool {
        matches!(
            self,
            Self::NoThread(_) | Self::NoRuntime | Self::Unavailable(_)
        )
    }

    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Dropped | Self::Cancelled | Self::WouldDeadlock => Outcome::Cancelled,
            Self::TimedOut => Outcome::TimedOut,
            Self::NoRuntime => Outcome::NoRuntime,
            Self::NoThread(_) => Outcome::NoThread,
            Self::Unavailable(_) => Outcome::Unavailable,
        }
    }
}
