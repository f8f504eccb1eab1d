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
//! 4. No other thread can be the worker that has a lot to do (`doubt`).
//! 5. The runtime is not gone.
//!
//! Of these a watched poll needs the last two. And it needs that its worker has made no progress since
//! it was first seen, and has not been on another thread since the poll began: no worker does that in the
//! middle of a poll, unless the poll has handed the worker on (`block_in_place`).

mod doubt;
mod polls;
mod telling;
#[cfg(all(test, target_os = "linux"))]
mod tests;
mod worker;

#[cfg(feature = "stall-stacks")]
use std::time::Instant;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use self::worker::WorkerLook;
use super::{
    finding::call_of,
    proc::State,
    samples::{Sample, Samples},
    slot::View,
    subject::Subject,
    traces::{Progress, Traces, WorkerTrace},
    trail::{Seen, Trail},
};
#[cfg(feature = "stall-stacks")]
use super::{
    finding::{copied, walked},
    stack::Modules,
};

/// So many looks lie between two tries to learn who an unknown worker is.
const PROBE_EVERY: u64 = 5;
/// So many of the first looks do that for workers that have nothing to do as well.
const LEARNING: u64 = 20 * PROBE_EVERY;

/// So much is nothing.
const A_MOMENT: Duration = Duration::from_millis(20);

impl Subject {
    /// One look at everything. Only the watchdog calls this.
    pub(super) fn look(&self, now: Seen, step: Duration, views: &[View]) {
        self.looks.fetch_add(1, Relaxed);
        let mut seen = self.seen.lock();
        let seen = &mut *seen;
        let mine = |view: &&View| view.scope == self.scope();
        let polls = views.iter().filter(mine).filter(|v| v.poll.is_some());
        let polls: Vec<&View> = polls.collect();
        if self.closed.load(Relaxed) {
            return self.let_go(seen);
        }
        if self.gone.load(Relaxed) {
            return self.outlive(seen, now, &polls);
        }
        let samples = self.wanted_samples(now);
        let allowed: Vec<u32> = views
            .iter()
            .filter(|v| v.allowed)
            .map(|v| v.thread)
            .collect();
        self.look_at_polls(seen, now, &polls, &allowed);

        seen.workers
            .resize_with(self.metrics.num_workers(), WorkerTrace::default);
        let mut unknown = false;
        for worker in 0..seen.workers.len() {
            let now = now.by_now();
            let look =
                self.look_at_worker(seen, worker, now, &polls, &allowed, !samples.is_empty());
            unknown |= look.unknown;
            if !samples.is_empty() {
                take_sample(seen, worker, look, &samples, step);
            }
        }
        let unknown = unknown || (self.looks() < LEARNING && !self.workers.all_known());
        if unknown && self.looks().is_multiple_of(PROBE_EVERY) {
            self.probe();
        }
    }

    /// What was seen before the process was stopped for so long is forgotten: what is seen now is the
    /// same sleep, and has not taken as long.
    pub(super) fn begin_anew_after(&self, stopped: Duration, now: Seen) {
        if stopped < (self.threshold() / 2).max(A_MOMENT) {
            return;
        }
        let mut seen = self.seen.lock();
        for trace in &mut seen.workers {
            if trace.told.is_none() {
                trace.trail = None;
            }
        }
        for trace in &mut seen.polls {
            trace.trail = Trail::begin(now);
            trace.others = None;
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
}

/// Where a worker sleeps, if it does, for those who want to know.
fn take_sample(
    seen: &mut Traces,
    worker: usize,
    look: WorkerLook,
    samples: &[Arc<Samples>],
    step: Duration,
) {
    let Some(asleep) = look.asleep else { return };
    let State::Asleep(sleep) = &asleep.state else {
        return;
    };
    let eye = seen.workers[worker].eye.as_ref();
    let still = || {
        let look = eye.and_then(|(_, eye)| eye.look());
        look.is_some_and(|look| look.same_sleep(&asleep))
    };
    #[cfg(feature = "stall-stacks")]
    let copied = eye.and_then(|(thread, _)| copied(*thread, sleep, still));
    let call = call_of(&mut seen.names, sleep, still);
    #[cfg(feature = "stall-stacks")]
    let stack = copied.and_then(|copy| walked(&copy, modules(&mut seen.modules)?));
    let sample = Sample {
        call,
        is_whole: !seen.names.have_left_out(),
        place: look.place,
        #[cfg(feature = "stall-stacks")]
        stack,
    };
    for samples in samples {
        samples.add(&sample, step);
    }
}

/// What is mapped, which is taken to stay as it is for a moment.
#[cfg(feature = "stall-stacks")]
fn modules(known: &mut Option<(Instant, Modules)>) -> Option<&mut Modules> {
    const MOMENT: Duration = Duration::from_secs(1);
    if (known.as_ref()).is_none_or(|(at, _)| at.elapsed() >= MOMENT) {
        *known = Some((Instant::now(), Modules::now().ok()?));
    }
    known.as_mut().map(|(_, modules)| modules)
}

fn is_parked((count, _): Progress) -> bool {
    count % 2 == 1
}
