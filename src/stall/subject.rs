//! One runtime that is watched: what is known of it, and who asks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor, RuntimeMetrics},
    task::AbortHandle,
};

use super::{
    listener::Listener,
    samples::Samples,
    slot::Scope,
    traces::{Progress, Traces},
    trail::Limits,
    workers::{self, Probes, Workers},
};
use crate::sync::Mutex;

/// Settings of a watch that concern its looks.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) limits: Limits,
    pub(super) listener: Listener,
}

#[derive(Debug)]
pub(super) struct Subject {
    scope: Scope,
    pub(super) handle: Handle,
    pub(super) metrics: RuntimeMetrics,
    pub(super) single: bool,
    pub(super) workers: Arc<Workers>,
    probes: Option<Probes>,
    pub(super) settings: Settings,
    /// The threads that drive a current-thread runtime, for what they say.
    drivers: Mutex<Vec<u32>>,
    pub(super) gone: Arc<AtomicBool>,
    anchor: AbortHandle,
    pub(super) closed: AtomicBool,
    pub(super) looks: AtomicU64,
    /// The watchdog's own.
    pub(super) seen: Mutex<Traces>,
    pub(super) samples: Mutex<Vec<Arc<Samples>>>,
}

impl Subject {
    /// `workers` if the runtime was built with a hook that fills them in.
    pub(super) fn new(handle: &Handle, workers: Option<Arc<Workers>>, settings: Settings) -> Self {
        let metrics = handle.metrics();
        let single = handle.runtime_flavor() == RuntimeFlavor::CurrentThread;
        // With a hook as well: a worker that has changed its thread may be too busy to park there.
        let probes = (!single).then(Probes::default);
        let workers = workers.unwrap_or_default();
        workers.settle(metrics.num_workers());
        let (gone, anchor) = workers::anchor(handle);
        let subject = Self {
            scope: Scope::of(handle.id()),
            gone,
            anchor,
            handle: handle.clone(),
            metrics,
            single,
            workers,
            probes,
            settings,
            drivers: Mutex::default(),
            closed: AtomicBool::new(false),
            looks: AtomicU64::new(0),
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
        self.settings.listener.stalls()
    }

    /// Nothing is told from here on.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.anchor.abort();
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

    /// Takes no more samples; whoever waits for some is given those that there are.
    pub(super) fn end_samples(&self) {
        let under_way = std::mem::take(&mut *self.samples.lock());
        // Whom that wakes may be the user's.
        for samples in under_way {
            samples.finish(Instant::now());
        }
    }

    /// Has workers say who they are.
    pub(super) fn probe(&self) {
        if let Some(probes) = &self.probes
            && !self.gone.load(Relaxed)
        {
            probes.send(&self.handle, &self.workers, self.metrics.num_workers());
        }
    }

    /// Where a worker is now.
    pub(super) fn progress(&self, worker: usize) -> Progress {
        let busy = self.metrics.worker_total_busy_duration(worker).as_nanos();
        let count = self.metrics.worker_park_unpark_count(worker);
        (count, u64::try_from(busy).unwrap_or(u64::MAX))
    }

    /// The thread that a worker is on, if it is known and there is one.
    pub(super) fn thread_of(&self, worker: usize) -> Driven {
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
pub(super) enum Driven {
    By(Option<u32>),
    Idle,
}
