//! Which thread is which worker of a runtime.
//!
//! Tokio says how its workers fare by their index, and not on which thread they are. Threads say so
//! themselves: in the hook that Tokio calls before a worker parks, or in a task that is spawned for it.
//! A worker may change its thread (`block_in_place`), so what is known here can be out of date; it is
//! found out by `looking` then, and taken back.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    runtime::{self, Handle},
    task::AbortHandle,
};

use super::{
    clock::Moment,
    slot::{Scope, Slot},
};
use crate::sync::{Mutex, Patience};

/// How long a worker that has said who it is waits for the others to do so.
const MEETING: Duration = Duration::from_millis(1);

/// The threads by the index of the worker.
#[derive(Debug, Default)]
pub(super) struct Workers {
    threads: OnceLock<Box<[Known]>>,
    /// Their runtime, where a hook fills them in that another might have as well.
    scope: OnceLock<Scope>,
    /// Who came before it was known how many there are.
    early: Mutex<Vec<(usize, u32)>>,
}

/// What is known of one worker.
#[derive(Debug, Default)]
struct Known {
    /// Zero is not known.
    thread: AtomicU32,
    /// When it became that one.
    since: AtomicU64,
}

impl Known {
    fn is(&self, thread: u32) -> bool {
        self.thread.load(Relaxed) == thread
    }

    fn become_known(&self, thread: u32) {
        self.since.store(Moment::now().0, Relaxed);
        self.thread.store(thread, Relaxed);
    }
}

/// Those of every runtime that is watched.
static ALL: Mutex<Vec<Weak<Workers>>> = Mutex::new(Vec::new());

/// Whether a thread is known as a worker of any runtime that is watched.
pub(super) fn is_worker(thread: u32) -> bool {
    let all = ALL.lock();
    all.iter()
        .filter_map(Weak::upgrade)
        .any(|workers| workers.index(thread).is_some())
}

impl Workers {
    pub(super) fn settle(self: &Arc<Self>, count: usize) {
        let mut all = ALL.lock();
        all.retain(|workers| workers.strong_count() > 0);
        all.push(Arc::downgrade(self));
        drop(all);
        let early = self.early.lock();
        let threads = self
            .threads
            .get_or_init(|| (0..count).map(|_| Known::default()).collect());
        for (index, thread) in early.iter() {
            if let Some(known) = threads.get(*index) {
                known.become_known(*thread);
            }
        }
    }

    /// Workers of other runtimes are none of these.
    pub(super) fn belong_to(&self, scope: Scope) {
        let _ = self.scope.set(scope);
    }

    /// Called on a thread: if it is a worker, now it is known which.
    pub(super) fn learn(&self) {
        let Some(index) = runtime::worker_index() else {
            return;
        };
        let Some(thread) = Slot::mine(Slot::thread) else {
            return;
        };
        if self.threads.get().is_none() {
            // Under the lock that `settle` holds: what is not in time for it sees what it has made.
            let mut early = self.early.lock();
            if self.threads.get().is_none() {
                early.retain(|(other, _)| *other != index);
                return early.push((index, thread));
            }
        }
        if let Some(known) = self.threads.get().and_then(|threads| threads.get(index))
            && !known.is(thread)
            && self
                .scope
                .get()
                .is_none_or(|scope| *scope == Scope::current())
        {
            known.become_known(thread);
        }
    }

    pub(super) fn thread(&self, index: usize) -> Option<u32> {
        let thread = self.threads.get()?.get(index)?.thread.load(Relaxed);
        (thread != 0).then_some(thread)
    }

    pub(super) fn index(&self, thread: u32) -> Option<usize> {
        let threads = self.threads.get()?;
        threads
            .iter()
            .position(|known| thread != 0 && known.is(thread))
    }

    /// Whether a worker said, at that moment or later, that it is on another thread than this.
    pub(super) fn has_left(&self, index: usize, thread: u32, since: Moment) -> bool {
        let known = self.threads.get().and_then(|threads| threads.get(index));
        known.is_some_and(|known| {
            let now = known.thread.load(Relaxed);
            now != 0 && now != thread && Moment(known.since.load(Relaxed)) >= since
        })
    }

    /// It turned out not to be that thread any more.
    pub(super) fn unlearn(&self, index: usize, thread: u32) {
        if let Some(known) = self.threads.get().and_then(|threads| threads.get(index)) {
            let _ = (known.thread).compare_exchange(thread, 0, Relaxed, Relaxed);
        }
    }

    pub(super) fn all_known(&self) -> bool {
        self.threads
            .get()
            .is_some_and(|threads| threads.iter().all(|known| !known.is(0)))
    }
}

/// Tasks that have workers say who they are, where there is no hook.
#[derive(Debug, Default)]
pub(super) struct Probes {
    under_way: Arc<AtomicUsize>,
}

impl Probes {
    /// Sends as many as there are workers, unless those of the last time are still under way.
    pub(super) fn send(&self, handle: &Handle, workers: &Arc<Workers>, count: usize) {
        struct Done(Arc<AtomicUsize>);
        impl Drop for Done {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        let none = self.under_way.compare_exchange(0, count, Relaxed, Relaxed);
        if none.is_err() {
            return;
        }
        for _ in 0..count {
            let workers = workers.clone();
            let done = Done(self.under_way.clone());
            drop(handle.spawn(async move {
                let _done = done;
                workers.learn();
                // Stays for a moment, or one worker would have run them all before another is awake.
                Patience::lasting(MEETING).spin(|| workers.all_known());
            }));
        }
    }
}

/// Becomes true when the runtime ends: of one that is gone, all workers look as if they were stuck.
///
/// Through a task that does nothing, until it is aborted.
pub(super) fn anchor(handle: &Handle) -> (Arc<AtomicBool>, AbortHandle) {
    struct Gone(Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    let gone = Arc::new(AtomicBool::new(false));
    let guard = Gone(gone.clone());
    let task = handle.spawn(async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    (gone, task.abort_handle())
}
