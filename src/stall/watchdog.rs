//! The one thread that looks: for the whole process, and for as long as anything is watched.

use std::{
    io,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use super::{clock, slot, subject::Subject, trail::Seen};
use crate::{
    error::{call_quietly, drop_quietly},
    sync::{Mutex, Patience, Thread},
};

/// How often it looks, unless a threshold asks for more.
const TICK: Duration = Duration::from_millis(10);
const SHORTEST: Duration = Duration::from_millis(1);

/// A stack for looking, naming and nothing of the user's.
const STACK: usize = 256 * 1024;

static WATCHDOG: LazyLock<Mutex<Kennel>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Kennel {
    subjects: Vec<Arc<Subject>>,
    /// The thread, until it has made up its mind to end.
    thread: Option<Thread>,
}

/// Has a runtime watched from now on.
pub(super) fn watch(subject: Arc<Subject>) -> io::Result<()> {
    let mut kennel = WATCHDOG.lock();
    kennel.subjects.push(subject.clone());
    if let Some(thread) = &kennel.thread {
        // It may have a longer tick than this one needs.
        thread.unpark();
        return Ok(());
    }
    let started = std::thread::Builder::new()
        .name(String::from("longshore-stall"))
        .stack_size(STACK)
        .spawn(run);
    match started {
        Ok(handle) => {
            kennel.thread = Some(handle.thread().clone());
            Ok(())
        }
        Err(refusal) => {
            kennel
                .subjects
                .retain(|other| !Arc::ptr_eq(other, &subject));
            Err(refusal)
        }
    }
}

/// Does not look at it any more, from the next look on.
pub(super) fn let_go(subject: &Arc<Subject>) {
    let mut kennel = WATCHDOG.lock();
    kennel.subjects.retain(|other| !Arc::ptr_eq(other, subject));
    if kennel.subjects.is_empty()
        && let Some(thread) = &kennel.thread
    {
        thread.unpark();
    }
}

fn run() {
    let mut last = Instant::now();
    loop {
        let subjects = {
            let mut kennel = WATCHDOG.lock();
            if kennel.subjects.is_empty() {
                // Under the lock: who comes after this starts another.
                kennel.thread = None;
                return;
            }
            kennel.subjects.clone()
        };
        let shortest = subjects.iter().map(|subject| subject.threshold() / 10);
        let tick = shortest.min().unwrap_or(TICK).clamp(SHORTEST, TICK);
        Patience::lasting(tick).park();
        let now = Instant::now();
        // Whatever kept it from looking, it has not looked.
        let passed = now.saturating_duration_since(last);
        let step = passed.min(2 * tick);
        last = now;
        let awake = clock::advance(step);
        let now = Seen { at: now, awake };
        let views = slot::views();
        for subject in &subjects {
            // A fault in here must not be the end of all watches.
            call_quietly(|| {
                subject.begin_anew_after(passed - step, now);
                subject.look(now, step, &views);
            });
        }
        // What is dropped with the last handle may be the user's.
        drop_quietly(subjects);
    }
}
