//! The check that has no threshold: whether a thread slept in the system within one poll.

use std::{
    cell::{Cell, RefCell},
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::runtime;

use super::{
    listener::Ignored,
    proc,
    report::{Cause, Certainty, Stall},
    slot::{Poller, Scope, Slot},
};
use crate::sync::Mutex;

/// Where the reports go.
pub(super) type Reports = Arc<Mutex<Vec<Stall>>>;

/// More than this are not kept, for a test to be told of.
pub(super) const KEPT: usize = 1000;

pub(super) fn keep(reports: &Reports, stall: Stall) {
    let mut reports = reports.lock();
    if reports.len() < KEPT {
        reports.push(stall);
    }
}

static WANTED: AtomicUsize = AtomicUsize::new(0);
static CHECKED: Mutex<Vec<Check>> = Mutex::new(Vec::new());
/// How often that has changed.
static CHANGED: AtomicU64 = AtomicU64::new(0);

/// What somebody wants to have checked.
#[derive(Clone)]
struct Check {
    scope: Scope,
    reports: Reports,
    /// Sites that may sleep.
    ignored: Ignored,
}

thread_local! {
    /// How often this thread has slept where it may, or where it was reported already.
    static EXCUSED: Cell<u64> = const { Cell::new(0) };
    /// `CHECKED`, as it was after so many changes: to wait for its lock within a poll that is checked
    /// would be a sleep.
    static CACHED: RefCell<(u64, Vec<Check>)> = const { RefCell::new((0, Vec::new())) };
}

/// Has the watched polls of one runtime checked until it is dropped.
#[derive(Debug)]
pub(super) struct Strict(Reports);

impl Strict {
    pub(super) fn on(scope: Scope, reports: Reports, ignored: Ignored) -> Self {
        let check = Check {
            scope,
            reports: reports.clone(),
            ignored,
        };
        change(|checked| checked.push(check));
        WANTED.fetch_add(1, Relaxed);
        Self(reports)
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        WANTED.fetch_sub(1, Relaxed);
        change(|checked| checked.retain(|check| !Arc::ptr_eq(&check.reports, &self.0)));
    }
}

fn change(change: impl FnOnce(&mut Vec<Check>)) {
    let mut checked = CHECKED.lock();
    change(&mut checked);
    CHANGED.fetch_add(1, Relaxed);
}

/// Who wants the polls of a runtime checked.
fn listening(scope: Scope) -> Vec<Check> {
    let of_this = |checks: &[Check]| {
        let all = checks.iter().filter(|check| check.scope == scope);
        all.cloned().collect()
    };
    let cached = CACHED.try_with(|cached| {
        let mut cached = cached.borrow_mut();
        let (changes, checks) = &mut *cached;
        if *changes != CHANGED.load(Relaxed) {
            counting(|| {
                let checked = CHECKED.lock();
                *changes = CHANGED.load(Relaxed);
                checks.clone_from(&checked);
            });
        }
        of_this(checks)
    });
    // In the last destructors of a thread there is no cache any more.
    cached.unwrap_or_else(|_| of_this(&CHECKED.lock()))
}

/// Whether anybody in the process wants the check.
#[inline]
pub(super) fn is_wanted() -> bool {
    WANTED.load(Relaxed) > 0
}

/// Polls, and tells those who want to know of this runtime if the thread has slept.
#[cold]
pub(super) fn polling<T>(
    poller: Poller,
    place: &'static Location<'static>,
    poll: impl FnOnce() -> T,
) -> T {
    let listening = listening(poller.scope);
    if listening.is_empty() {
        return poll();
    }
    let start = Instant::now();
    let (value, slept) = counting(poll);
    if slept > 0 {
        // Within another poll that is checked, none of this is its fault: what is asked of the system,
        // memory, these locks.
        counting(|| {
            let stall = Stall {
                cause: Cause::Unknown,
                certainty: Certainty::Slept(slept),
                stalled_for: start.elapsed(),
                total: Some(start.elapsed()),
                worker: runtime::worker_index(),
                thread: Slot::mine(Slot::thread).filter(|thread| proc::is_of_the_system(*thread)),
                thread_name: std::thread::current().name().map(str::to_owned),
                task: Some(poller.task).filter(|task| *task != 0),
                watched_at: Some(place),
                call: None,
                #[cfg(feature = "stall-stacks")]
                stack: None,
            };
            for check in listening {
                if !check.ignored.has(&stall) {
                    keep(&check.reports, stall.clone());
                }
            }
        });
    }
    value
}

/// Runs a closure in which the thread may sleep.
pub(super) fn excusing<T>(run: impl FnOnce() -> T) -> T {
    if !is_wanted() {
        return run();
    }
    counting(run).0
}

/// Runs a closure and counts the sleeps in it, which do not count outside of it any more.
fn counting<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let count = Count::begin();
    let value = run();
    (value, count.end())
}

/// Counts the sleeps of this thread, until it is dropped.
struct Count {
    before: Option<u64>,
    excused_before: u64,
}

impl Count {
    fn begin() -> Self {
        Self {
            before: proc::switches_of_this_thread(),
            excused_before: EXCUSED.try_with(Cell::get).unwrap_or(0),
        }
    }

    /// How many there were that were not excused within.
    fn slept(&self) -> u64 {
        let after = proc::switches_of_this_thread();
        let within = EXCUSED.try_with(Cell::get).unwrap_or(0) - self.excused_before;
        self.before.zip(after).map_or(0, |(before, after)| {
            after.saturating_sub(before).saturating_sub(within)
        })
    }

    fn end(self) -> u64 {
        let slept = self.slept();
        excuse(slept);
        std::mem::forget(self);
        slept
    }
}

impl Drop for Count {
    /// The closure panicked. Its sleeps are nobody's.
    fn drop(&mut self) {
        excuse(self.slept());
    }
}

fn excuse(slept: u64) {
    let _ = EXCUSED.try_with(|all| all.set(all.get() + slept));
}
