//! What a thread says of itself while it polls: one slot for each thread, read by the watchdog.
//!
//! A poll writes where it is and when it began, by the watchdog's clock, into atomics that belong
//! to its thread alone. It takes no lock, looks at no clock and makes no call into the system, which
//! is why it costs a few nanoseconds. What the watchdog reads may be a moment old and may be half
//! of one poll and half of the next; it believes only what has stayed the same for long.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use tokio::runtime::{self, Handle};

use super::{
    clock::{self, Moment},
    place::Place,
    proc,
};
use crate::sync::Mutex;

/// A runtime, as a number; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope(u64);

impl Scope {
    pub(super) fn of(runtime: runtime::Id) -> Self {
        // Tokio shows no number, only something that can be hashed.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(runtime);
        Self(hash.max(1))
    }

    pub(super) fn current() -> Self {
        Handle::try_current().map_or_else(|_| Self::default(), |handle| Self::of(handle.id()))
    }
}

/// The part of `Slot::polling` that is a moment.
const MOMENT: u64 = (1 << clock::BITS) - 1;

/// Not the index of a worker.
const NO_WORKER: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Slot {
    thread: u32,
    name: Option<Box<str>>,
    /// The place of the innermost poll, and the moment of the outermost; zero between polls.
    polling: AtomicU64,
    scope: AtomicU64,
    /// Which worker of its runtime the thread was when that poll began.
    worker: AtomicU32,
    task: AtomicU64,
    /// How many scopes of `allow` it is in.
    allowed: AtomicU32,
}

static SLOTS: LazyLock<Mutex<Vec<Weak<Slot>>>> = LazyLock::new(Mutex::default);

thread_local! {
    static MINE: Arc<Slot> = Slot::register();
}

impl Slot {
    fn register() -> Arc<Self> {
        let slot = Arc::new(Self {
            thread: proc::this_thread(),
            name: std::thread::current().name().map(Box::from),
            polling: AtomicU64::new(0),
            scope: AtomicU64::new(0),
            worker: AtomicU32::new(NO_WORKER),
            task: AtomicU64::new(0),
            allowed: AtomicU32::new(0),
        });
        let mut slots = SLOTS.lock();
        slots.retain(|other| other.strong_count() > 0);
        slots.push(Arc::downgrade(&slot));
        slot
    }

    /// Runs with the slot of this thread, if it has not been torn down.
    pub(super) fn mine<T>(run: impl FnOnce(&Self) -> T) -> Option<T> {
        MINE.try_with(|slot| run(slot)).ok()
    }

    pub(super) fn thread(&self) -> u32 {
        self.thread
    }

    pub(super) fn allow(&self) -> impl Drop {
        struct Allowed<'a>(&'a AtomicU32);
        impl Drop for Allowed<'_> {
            fn drop(&mut self) {
                self.0
                    .store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
            }
        }
        self.allowed.store(self.allowed.load(Relaxed) + 1, Relaxed);
        Allowed(&self.allowed)
    }
}

/// What a watched future has to say of itself in each poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poller {
    pub(super) place: Place,
    pub(super) scope: Scope,
    /// The number of its task; zero is none.
    pub(super) task: u64,
}

/// Polls, visibly.
#[inline]
pub(super) fn polling<T>(poller: Poller, poll: impl FnOnce() -> T) -> T {
    let mut poll = Some(poll);
    let polled = MINE.try_with(|slot| {
        // Within another one, which goes on afterwards.
        let _polling = Polling::begin(slot, poller);
        poll.take().map(|poll| poll())
    });
    match polled {
        Ok(Some(value)) => value,
        // The thread ends, and polls in a destructor.
        _ => poll.take().expect("it was not polled yet")(),
    }
}

/// A poll under way; what was written is taken back also if it panics.
struct Polling<'a> {
    slot: &'a Slot,
    before: (u64, u64, u64),
}

impl<'a> Polling<'a> {
    #[inline]
    fn begin(slot: &'a Slot, poller: Poller) -> Self {
        let before = (
            slot.polling.load(Relaxed),
            slot.scope.load(Relaxed),
            slot.task.load(Relaxed),
        );
        let same_scope = before.1 == poller.scope.0;
        // What is polled within another poll is part of that one, which is what holds the thread.
        let since = if before.0 != 0 && same_scope {
            before.0 & MOMENT
        } else {
            slot.enter(poller.scope);
            Moment::now().0
        };
        slot.task.store(poller.task, Relaxed);
        let place = u64::from(poller.place.number()) << clock::BITS;
        slot.polling.store(place | since, Relaxed);
        Self { slot, before }
    }
}

impl Slot {
    /// The thread polls for this runtime, as whichever worker it is by now.
    #[inline]
    fn enter(&self, scope: Scope) {
        let index = runtime::worker_index().and_then(|index| u32::try_from(index).ok());
        self.worker.store(index.unwrap_or(NO_WORKER), Relaxed);
        self.scope.store(scope.0, Relaxed);
    }
}

impl Drop for Polling<'_> {
    #[inline]
    fn drop(&mut self) {
        let (polling, scope, task) = self.before;
        self.slot.polling.store(polling, Relaxed);
        // The scope stays between polls, and is put back where one poll is in another.
        if polling != 0 {
            if self.slot.scope.load(Relaxed) != scope {
                self.slot.enter(Scope(scope));
            }
            self.slot.task.store(task, Relaxed);
        }
    }
}

/// What the watchdog reads of a slot.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) thread: u32,
    pub(super) name: Option<Box<str>>,
    pub(super) scope: Scope,
    pub(super) worker: Option<usize>,
    pub(super) task: Option<u64>,
    pub(super) allowed: bool,
    pub(super) poll: Option<Polled>,
}

/// A poll that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Polled {
    /// The number of its place.
    pub(super) place: u32,
    /// When it began, which identifies it on its thread once that is long ago.
    pub(super) since: Moment,
}

/// The threads that poll something watched, or are in a scope of `allow`.
pub(super) fn views() -> Vec<View> {
    let slots = SLOTS.lock();
    let mut views = Vec::new();
    for slot in slots.iter().filter_map(Weak::upgrade) {
        let polling = slot.polling.load(Relaxed);
        let allowed = slot.allowed.load(Relaxed) > 0;
        if polling == 0 && !allowed {
            continue;
        }
        let place = u32::try_from(polling >> clock::BITS).unwrap_or(0);
        let since = Moment(polling & MOMENT);
        let worker = slot.worker.load(Relaxed);
        views.push(View {
            thread: slot.thread,
            name: slot.name.clone(),
            scope: Scope(slot.scope.load(Relaxed)),
            worker: (worker != NO_WORKER).then_some(worker as usize),
            task: Some(slot.task.load(Relaxed)).filter(|task| *task != 0),
            allowed,
            poll: (place != 0).then_some(Polled { place, since }),
        });
    }
    views
}
