//! One runtime that is watched, and how the watchdog looks at it.
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
//! 4. The runtime is not gone.
//!
//! A watched poll needs none of these but the last. It needs that its worker has made no progress since
//! it was first seen: no worker does in the middle of a poll, unless the poll has handed the worker on
//! (`block_in_place`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};

use super::{
    clock::Moment,
    place::Place,
    proc::{Eye, Look, Names, Others, Sleep, State},
    profile::Samples,
    report::Stall,
    slot::{Scope, View},
    tell::Listener,
    trail::{Limits, Seen, Trail, Verdict},
    workers::{self, Probes, Workers},
};
use crate::sync::Mutex;

/// So many looks lie between two tries to learn who an unknown worker is.
const PROBE_EVERY: u64 = 5;
/// So many of the first looks do that for workers that have nothing to do as well.
const LEARNING: u64 = 20 * PROBE_EVERY;

/// How much processor time another thread may use and still be a worker that is just busy.
const IN_DOUBT: Duration = Duration::from_secs(1);

/// Settings of a watch that concern its looks.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) limits: Limits,
    /// Sites that are not reported.
    pub(super) ignored: Vec<String>,
    pub(super) listener: Listener,
}

#[derive(Debug)]
pub(super) struct Subject {
    scope: Scope,
    handle: Handle,
    metrics: RuntimeMetrics,
    single: bool,
    workers: Arc<Workers>,
    probes: Option<Probes>,
    settings: Settings,
    /// The threads that drive a current-thread runtime, for what they say.
    drivers: Mutex<Vec<u32>>,
    gone: Arc<AtomicBool>,
    closed: AtomicBool,
    looks: AtomicU64,
    stalls: AtomicU64,
    /// The watchdog's own.
    seen: Mutex<Traces>,
    samples: Mutex<Vec<Arc<Samples>>>,
}

#[derive(Debug, Default)]
struct Traces {
    workers: Vec<WorkerTrace>,
    polls: Vec<PollTrace>,
    names: Names,
}

/// How far a worker has come: parks and unparks, and time busy.
type Progress = (u64, u64);

#[derive(Debug, Default)]
struct WorkerTrace {
    progress: Option<Progress>,
    eye: Option<(u32, Eye)>,
    /// The last look, and where the worker was then.
    last: Option<(Progress, Look)>,
    trail: Option<Trail>,
    others: Option<Others>,
    /// Nothing more is said of it until the worker goes on.
    told: Option<Told>,
}

#[derive(Debug)]
struct PollTrace {
    thread: u32,
    poll: (u32, Moment),
    /// The worker that it runs on, and where that was when the poll was first seen.
    on: Option<(usize, Progress)>,
    eye: Eye,
    trail: Trail,
    others: Option<Others>,
    told: Option<Told>,
}

/// A stall that is not over.
#[derive(Debug)]
enum Told {
    /// Somebody is to hear of its end.
    Open { stall: Box<Stall>, began: Seen },
    /// Nobody is, or it was told as part of another.
    Silent,
}

impl Subject {
    /// `workers` if the runtime was built with a hook that fills them in.
    pub(super) fn new(handle: &Handle, workers: Option<Arc<Workers>>, settings: Settings) -> Self {
        let metrics = handle.metrics();
        let single = handle.runtime_flavor() == RuntimeFlavor::CurrentThread;
        let probes = (workers.is_none() && !single).then(Probes::default);
        let workers = workers.unwrap_or_default();
        workers.settle(metrics.num_workers());
        let subject = Self {
            scope: Scope::of(handle.id()),
            gone: workers::anchor(handle),
            handle: handle.clone(),
            metrics,
            single,
            workers,
            probes,
            settings,
            drivers: Mutex::default(),
            closed: AtomicBool::new(false),
            looks: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            seen: Mutex::default(),
            samples: Mutex::default(),
        };
        subject.probe();
        subject
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    pub(super) fn is_single(&self) -> bool {
        self.single
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    pub(super) fn threshold(&self) -> Duration {
        self.settings.limits.threshold
    }

    pub(super) fn worker_count(&self) -> usize {
        self.metrics.num_workers()
    }

    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Relaxed)
    }

    pub(super) fn stalls(&self) -> u64 {
        self.stalls.load(Relaxed)
    }

    /// Nothing is told from here on.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// This thread drives the runtime from now on.
    pub(super) fn driven(&self, thread: u32) {
        self.drivers.lock().push(thread);
    }

    pub(super) fn not_driven(&self, thread: u32) {
        let mut drivers = self.drivers.lock();
        if let Some(at) = drivers.iter().rposition(|driver| *driver == thread) {
            drivers.remove(at);
        }
    }

    /// Samples what its threads do until that has been enough.
    pub(super) fn sample(&self, samples: Arc<Samples>) {
        self.samples.lock().push(samples);
    }

    /// Has workers say who they are, where they do not do so by themselves.
    pub(super) fn probe(&self) {
        if let Some(probes) = &self.probes
            && !self.gone.load(Relaxed)
        {
            probes.send(&self.handle, &self.workers, self.metrics.num_workers());
        }
    }

    fn progress(&self, worker: usize) -> Progress {
        #[cfg(target_pointer_width = "64")]
        {
            let busy = self.metrics.worker_total_busy_duration(worker).as_nanos();
            let count = self.metrics.worker_park_unpark_count(worker);
            (count, u64::try_from(busy).unwrap_or(u64::MAX))
        }
        // Without these numbers a worker looks as if it were parked, always.
        #[cfg(not(target_pointer_width = "64"))]
        {
            let _ = worker;
            (1, 0)
        }
    }

    /// The thread that a worker is on, if it is known and there is one.
    fn thread_of(&self, worker: usize) -> Driven {
        if !self.single {
            return Driven::By(self.workers.thread(worker));
        }
        let drivers = self.drivers.lock();
        match drivers.first() {
            None => Driven::Idle,
            // Two that say so cannot both.
            Some(first) if drivers.iter().all(|other| other == first) => Driven::By(Some(*first)),
            Some(_) => Driven::Idle,
        }
    }
}

/// Whether a worker is at work at all.
enum Driven {
    By(Option<u32>),
    Idle,
}

// ===== The watchdog looks =====

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
        let mine = |view: &&View| view.scope == self.scope;
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
            let look = self.look_at_worker(seen, worker, now, &polls, &allowed);
            unknown |= look.unknown;
            if let Some(sleep) = look.asleep
                && !samples.is_empty()
            {
                let place = look.place;
                let call = call_of(&mut seen.names, &sleep);
                for samples in &samples {
                    samples.add(call.clone(), place, step);
                }
            }
        }
        let unknown = unknown || (self.looks() < LEARNING && !self.workers.all_known());
        if unknown && self.looks() % PROBE_EVERY == 0 {
            self.probe();
        }
    }

    fn wanted_samples(&self, now: Seen) -> Vec<Arc<Samples>> {
        let mut all = self.samples.lock();
        all.retain(|samples| !samples.is_over(now.at));
        all.clone()
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
                    eye: Eye::on(view.thread),
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
            let look = trace.eye.look();
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
            let worker = trace.on.map(|_| view.thread);
            if self.is_in_doubt(worker, &trace.trail, &mut trace.others, now) {
                continue;
            }
            if let Some(verdict) = trace.trail.verdict(now, self.settings.limits, true) {
                let found = Found {
                    worker: trace.on.map(|(worker, _)| worker),
                    thread: Some(view.thread),
                    view: Some(view),
                };
                let last = trace.trail.last();
                let stall = found.stall(verdict, now, names, &mut trace.eye, last);
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
        let look = trace.eye.as_mut().and_then(|(_, eye)| eye.look());
        if self.progress(worker) != progress {
            // It went on while we looked, so that nothing is known of where it was.
            return result;
        }
        if let Some(look) = &look {
            let slept_through = trace
                .last
                .as_ref()
                .is_some_and(|(then, last)| *then != progress && last.same_sleep(look));
            trace.last = Some((progress, look.clone()));
            if slept_through {
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
        let view = views
            .iter()
            .find(|view| Some(view.thread) == thread)
            .copied();
        if let Some(State::Asleep(sleep)) = look.as_ref().map(|look| &look.state) {
            result.asleep = Some(sleep.clone());
            result.place = view.and_then(|view| view.poll).map(|(place, _)| place);
        }
        if trace.told.is_some() {
            return result;
        }
        if trace.trail.is_none() {
            trace.others = None;
        }
        let trail = trace.trail.get_or_insert_with(|| Trail::begin(now));
        if let Some(look) = look {
            trail.look(look, now);
        }
        if self.is_in_doubt(thread, trail, &mut trace.others, now) {
            return result;
        }
        let Some(verdict) = trail.verdict(now, self.settings.limits, false) else {
            return result;
        };
        // One stall is told once, by its poll or by its worker.
        let poll = polls.iter_mut().find(|poll| Some(poll.thread) == thread);
        if poll.as_ref().is_some_and(|poll| poll.told.is_some()) {
            trace.told = Some(Told::Silent);
            return result;
        }
        let found = Found {
            worker: Some(worker),
            thread,
            view,
        };
        let last = trail.last();
        let stall = match &mut trace.eye {
            Some((_, eye)) => found.stall(verdict, now, names, eye, last),
            None => found.bare(verdict, now),
        };
        if let Some(poll) = poll {
            poll.told = Some(Told::Silent);
        }
        trace.told = Some(self.tell(stall, now));
        result
    }

    /// Whether what is seen of a worker's thread may be what `block_in_place` runs there, while another
    /// thread is the worker and has a lot to do.
    ///
    /// A worker that was handed on makes progress, in Tokio's books, when it parks for the first time or
    /// after so many ticks. Until then nothing is known of its thread but that it has the name of all
    /// the others, and that it computes; if it does not, the worker is stuck there, and if it does for very
    /// long, the worker is stuck as well. While there is such a thread in between, nothing is said.
    fn is_in_doubt(
        &self,
        thread: Option<u32>,
        trail: &Trail,
        others: &mut Option<Others>,
        now: Seen,
    ) -> bool {
        let (Some(thread), false) = (thread, self.single) else {
            return false;
        };
        let (age, threshold) = (trail.age(now), self.threshold());
        if age < threshold / 2 {
            return false;
        }
        // Taken half-way. What is rare enough to get that far may cost a little more.
        let Some(others) = others else {
            *others = Others::of(thread);
            return others.is_some();
        };
        let busy = threshold / 20..IN_DOUBT;
        age < threshold || others.any_busy(thread, busy, workers::is_worker)
    }

    /// The runtime, or the watch, is over: what is open ends here.
    fn let_go(&self, seen: &mut Traces, now: Seen) {
        let told = seen.workers.drain(..).map(|trace| trace.told);
        for told in told.chain(seen.polls.drain(..).map(|trace| trace.told)) {
            self.end(told, now);
        }
        for samples in self.samples.lock().drain(..) {
            samples.finish(now.at);
        }
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

/// Who is stuck.
struct Found<'a> {
    worker: Option<usize>,
    thread: Option<u32>,
    view: Option<&'a View>,
}

impl Found<'_> {
    fn stall(
        self,
        verdict: Verdict,
        now: Seen,
        names: &mut Names,
        eye: &mut Eye,
        last: Option<&Look>,
    ) -> Stall {
        let sleep = verdict.sleep.clone();
        let mut stall = self.bare(verdict, now);
        let Some(sleep) = sleep else { return stall };
        names.forget();
        stall.call = call_of(names, &sleep);
        // If it has been awake meanwhile, what its arguments meant may be something else by now.
        let still = eye
            .look()
            .zip(last)
            .is_some_and(|(look, last)| look.same_sleep(last));
        if let Some(call) = &mut stall.call
            && !still
        {
            call.peer = None;
            call.path = None;
            call.timeout = None;
        }
        stall
    }

    fn bare(self, verdict: Verdict, now: Seen) -> Stall {
        let named = self
            .view
            .and_then(|view| view.name.as_deref().map(str::to_owned));
        let poll = self.view.and_then(|view| view.poll);
        Stall {
            cause: verdict.cause,
            certainty: verdict.certainty,
            stalled_for: now.at.saturating_duration_since(verdict.began),
            total: None,
            worker: self.worker,
            thread: self.thread.filter(|_| cfg!(target_os = "linux")),
            thread_name: named.or_else(|| Names::thread(self.thread?)),
            task: self.view.and_then(|view| view.task),
            watched_at: poll.and_then(|(place, _)| Place::source(place)),
            call: None,
        }
    }
}

fn call_of(names: &mut Names, sleep: &Sleep) -> Option<super::BlockingCall> {
    match sleep {
        Sleep::Call(registers) => names.call(registers),
        Sleep::Somewhere { .. } => None,
    }
}
