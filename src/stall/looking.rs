//! How the watchdog looks at a runtime.
//!
//! **A worker is stuck while Tokio says that it is not parked and has noted no progress.** Both are
//! stable metrics: the count of parks and unparks is even, and neither it nor the time busy changes.
//! They change when a worker parks, is unparked, and every 61 ticks; so this alone may be many polls,
//! and what its thread does is looked at for the rest (`trail`).
//!
//! What has to hold before a thread is taken for the worker:
//!
//! 1. It said so itself (`workers`).
//! 2. It has not slept through a moment at which the worker made progress. If it has, the worker is on
//!    another thread by now.
//! 3. On a current-thread runtime, somebody says that it is being driven (`drivers`), since that looks
//!    the same whether it is or not.
//! 4. No other thread can be the worker that has a lot to do (`is_in_doubt`).
//! 5. The runtime is not gone.
//!
//! Of these a watched poll needs the last two. And it needs that its worker has made no progress since
//! it was first seen: no worker does in the middle of a poll, unless the poll has handed the worker on
//! (`block_in_place`).

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    finding::{Found, call_of},
    proc::{Eye, Look, Others, Sleep, State},
    profile::Samples,
    report::{Cause, Stall},
    slot::View,
    subject::{Driven, Subject},
    traces::{Before, PollTrace, Progress, Told, Traces, WorkerTrace},
    trail::{Seen, Trail},
    workers,
};

/// So many looks lie between two tries to learn who an unknown worker is.
const PROBE_EVERY: u64 = 5;
/// So many of the first looks do that for workers that have nothing to do as well.
const LEARNING: u64 = 20 * PROBE_EVERY;

/// For how long another thread that computes may be a worker that is just busy: no longer than Tokio
/// takes to note the progress of one whose polls are not too long themselves.
const IN_DOUBT: Duration = Duration::from_secs(1);
/// Processor time that no thread uses by just being there.
const A_LITTLE: Duration = Duration::from_micros(500);

impl Subject {
    /// One look at everything. Only the watchdog calls this.
    pub(super) fn look(&self, now: Seen, step: Duration, views: &[View]) {
        self.looks.fetch_add(1, Relaxed);
        let mut seen = self.seen.lock();
        let seen = &mut *seen;
        if self.closed.load(Relaxed) || self.gone.load(Relaxed) {
            self.let_go(seen, now);
            return;
        }
        let mine = |view: &&View| view.scope == self.scope();
        let samples = self.wanted_samples(now);
        let allowed: Vec<u32> = views
            .iter()
            .filter(|v| v.allowed)
            .map(|v| v.thread)
            .collect();

        let polls: Vec<&View> = views
            .iter()
            .filter(mine)
            .filter(|v| v.poll.is_some())
            .collect();
        self.look_at_polls(seen, now, &polls, &allowed);

        seen.workers
            .resize_with(self.metrics.num_workers(), WorkerTrace::default);
        let mut unknown = false;
        for worker in 0..seen.workers.len() {
            let look =
                self.look_at_worker(seen, worker, now, &polls, &allowed, !samples.is_empty());
            unknown |= look.unknown;
            if let Some(sleep) = look.asleep
                && !samples.is_empty()
            {
                let place = look.place;
                let mut call = call_of(&mut seen.names, &sleep);
                let eye = seen.workers[worker].eye.as_ref().map(|(_, eye)| eye);
                let still = eye.and_then(Eye::look).is_some_and(
                    |look| matches!(look.state, State::Asleep(again) if again == sleep),
                );
                if let Some(call) = call.as_mut().filter(|_| !still) {
                    call.forget_what_it_is_about();
                }
                for samples in &samples {
                    samples.add(call.clone(), place, step);
                }
            }
        }
        let unknown = unknown || (self.looks() < LEARNING && !self.workers.all_known());
        if unknown && self.looks().is_multiple_of(PROBE_EVERY) {
            self.probe();
        }
    }

    fn wanted_samples(&self, now: Seen) -> Vec<Arc<Samples>> {
        // Who is woken by the end of some may be the user's, and ask for others.
        let all = self.samples.lock().clone();
        let (over, wanted): (Vec<_>, _) =
            (all.into_iter()).partition(|samples| samples.is_over(now.at));
        if !over.is_empty() {
            let is_over = |samples: &Arc<Samples>| over.iter().any(|it| Arc::ptr_eq(it, samples));
            self.samples.lock().retain(|samples| !is_over(samples));
        }
        wanted
    }

    fn look_at_polls(&self, seen: &mut Traces, now: Seen, views: &[&View], allowed: &[u32]) {
        let is = |trace: &PollTrace, view: &View| {
            trace.thread == view.thread && Some(trace.poll) == view.poll
        };
        let Traces { polls, names, .. } = seen;
        // Those that are over.
        for trace in polls.extract_if(.., |trace| !views.iter().any(|view| is(trace, view))) {
            self.end(trace.told, now);
        }
        for view in views {
            let Some(poll) = view.poll else { continue };
            let known = polls.iter().position(|trace| is(trace, view));
            let Some(known) = known else {
                let worker = self.workers.index(view.thread).or(view.worker);
                let worker = worker.filter(|worker| *worker < self.metrics.num_workers());
                polls.push(PollTrace {
                    thread: view.thread,
                    poll,
                    on: worker.map(|worker| (worker, self.progress(worker))),
                    eye: None,
                    trail: Trail::begin(now),
                    others: None,
                    told: None,
                });
                continue;
            };
            let trace = &mut polls[known];
            if trace.told.is_some() {
                continue;
            }
            // Not before the second look: most polls are over by then.
            let eye = trace.eye.get_or_insert_with(|| Eye::on(view.thread));
            let look = eye.look();
            let handed_on = trace.on.is_some_and(|(worker, then)| {
                let progress = self.progress(worker);
                progress != then || is_parked(progress)
            });
            if handed_on || allowed.contains(&view.thread) {
                trace.trail = Trail::begin(now);
                trace.others = None;
                if handed_on {
                    // Whatever it does from here on, no worker waits for it.
                    trace.told = Some(Told::Silent);
                }
                continue;
            }
            if let Some(look) = look {
                trace.trail.look(look, now);
            }
            if trace.on.is_some() {
                self.note_others(view.thread, &trace.trail, &mut trace.others, now);
            }
            if let Some(verdict) = trace.trail.verdict(now, self.settings.limits, true)
                && !self.is_in_doubt(view.thread, &trace.trail, &mut trace.others, now)
            {
                let found = Found {
                    worker: trace.on.map(|(worker, _)| worker),
                    thread: Some(view.thread),
                    view: Some(view),
                };
                let last = trace.trail.last();
                let stall = found.stall(verdict, now, names, eye, last);
                trace.told = Some(self.tell(stall, now));
            }
        }
    }

    fn look_at_worker(
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
            result.place = view.and_then(|view| view.poll).map(|(place, _)| place);
        }
        if trace.told.is_some() {
            let poll = view.and_then(|view| view.poll);
            if poll.is_none() || poll == trace.told_of {
                return result;
            }
            // It came to another one without a pause.
            self.end(trace.told.take(), now);
            trace.trail = None;
        }
        if trace.trail.is_none() {
            trace.others = None;
        }
        let trail = trace.trail.get_or_insert_with(|| Trail::begin(now));
        if let Some(look) = look {
            trail.look(look, now);
        }
        if let Some(thread) = thread
            && trail.sleeps()
        {
            self.note_others(thread, trail, &mut trace.others, now);
        }
        let Some(verdict) = trail.verdict(now, self.settings.limits, false) else {
            return result;
        };
        // Of a worker that computes the threshold is long enough for another one to show.
        if let (Some(thread), false) = (thread, matches!(verdict.cause, Cause::Cpu { .. }))
            && self.is_in_doubt(thread, trail, &mut trace.others, now)
        {
            return result;
        }
        // One stall is told once, by its poll or by its worker.
        let poll = polls.iter_mut().find(|poll| Some(poll.thread) == thread);
        if poll.as_ref().is_some_and(|poll| poll.told.is_some()) {
            trace.told = Some(Told::Silent);
            trace.told_of = view.and_then(|view| view.poll);
            return result;
        }
        let found = Found {
            worker: Some(worker),
            thread,
            view,
        };
        let last = trail.last();
        let stall = match &trace.eye {
            Some((_, eye)) => found.stall(verdict, now, names, eye, last),
            None => found.bare(verdict, now),
        };
        if let Some(poll) = poll {
            poll.told = Some(Told::Silent);
        }
        trace.told = Some(self.tell(stall, now));
        trace.told_of = view.and_then(|view| view.poll);
        result
    }

    /// What the other threads have done so far, for `is_in_doubt` to compare with.
    ///
    /// Taken half-way: what gets that far is rare enough that it may cost a little more.
    fn note_others(&self, thread: u32, trail: &Trail, before: &mut Option<Before>, now: Seen) {
        if !self.single && before.is_none() && trail.age(now) >= self.threshold() / 2 {
            let others = Others::of(thread);
            *before = others.map(|others| Before { others, at: now });
        }
    }

    /// Whether what is seen of a worker's thread may be what `block_in_place` runs there, while another
    /// thread is the worker and has a lot to do.
    ///
    /// A worker that was handed on makes progress, in Tokio's books, when it parks for the first time or
    /// after so many ticks. Until then nothing is known of its thread but that it has the name of all
    /// the others, and that it computes; if it does not, the worker is stuck there, and if it does for very
    /// long, the worker is stuck as well. While there is such a thread, nothing is said; whether there is
    /// one is asked anew each time that half the threshold has passed.
    fn is_in_doubt(
        &self,
        thread: u32,
        trail: &Trail,
        before: &mut Option<Before>,
        now: Seen,
    ) -> bool {
        let Some(Before { others, at }) = before else {
            return false;
        };
        if trail.age(now) >= self.threshold().saturating_add(IN_DOUBT) {
            return false;
        }
        if now.awake.since(at.awake) < self.threshold() / 4 {
            return true;
        }
        let busy = (self.threshold() / 20).max(A_LITTLE);
        let doubt = others.any_busy(thread, busy, workers::is_worker);
        if doubt {
            *before = None;
            self.note_others(thread, trail, before, now);
        }
        doubt
    }

    /// The runtime, or the watch, is over: what is open ends here.
    fn let_go(&self, seen: &mut Traces, now: Seen) {
        let told = seen.workers.drain(..).map(|trace| trace.told);
        for told in told.chain(seen.polls.drain(..).map(|trace| trace.told)) {
            self.end(told, now);
        }
        self.end_samples();
    }

    fn tell(&self, stall: Stall, now: Seen) -> Told {
        let ignored = self.settings.ignored.iter().any(|site| stall.is_at(site));
        if ignored || self.closed.load(Relaxed) {
            return Told::Silent;
        }
        self.stalls.fetch_add(1, Relaxed);
        if !self.settings.listener.begun(&stall) {
            return Told::Silent;
        }
        let began = now.at.checked_sub(stall.stalled_for).unwrap_or(now.at);
        Told::Open {
            stall: Box::new(stall),
            began: Seen { at: began, ..now },
        }
    }

    fn end(&self, told: Option<Told>, now: Seen) {
        if let Some(Told::Open { mut stall, began }) = told
            && !self.closed.load(Relaxed)
        {
            stall.total = Some(now.at.saturating_duration_since(began.at));
            self.settings.listener.ended(*stall);
        }
    }
}

fn is_parked((count, _): Progress) -> bool {
    count % 2 == 1
}

/// What one look at a worker gave.
#[derive(Default)]
struct WorkerLook {
    /// Where its thread sleeps although Tokio takes it to be at work, and the number of the place.
    asleep: Option<Sleep>,
    place: Option<u32>,
    /// It is at work, on a thread that is not known.
    unknown: bool,
}
