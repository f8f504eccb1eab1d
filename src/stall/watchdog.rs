//! The one thread that looks: for the whole process, and for as long as anything is watched.

use std::{
    io,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use super::{
    clock,
    proc::{Eye, this_thread},
    slot,
    subject::Subject,
    trail::Seen,
};
use crate::{
    error::{call_quietly, drop_quietly},
    sync::{Mutex, Patience, Thread},
};

/// How often it looks, unless a threshold asks for more.
const TICK: Duration = Duration::from_millis(10);
const SHORTEST: Duration = Duration::from_millis(1);
/// A wait for less takes so long on this system, as a rule.
const GRAIN: Duration = Duration::from_millis(if cfg!(windows) { 16 } else { 0 });

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
    // The stack is of the usual size: what else would run on another thread, names and the user's
    // callbacks, runs on this one if no other can be had.
    let started = std::thread::Builder::new()
        .name(String::from("longshore-stall"))
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
    let mut waits = Waits::of_this_thread();
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
        let step = looked_for(passed, tick, GRAIN);
        last = now;
        let stopped = waits.other_than_awake(passed - step);
        let awake = clock::advance(step);
        let now = Seen { at: now, awake };
        let views = slot::views();
        for subject in &subjects {
            // A fault in here must not be the end of all watches.
            call_quietly(|| {
                subject.begin_anew_after(stopped, now);
                subject.look(now, step, &views);
            });
        }
        // What is dropped with the last handle may be the user's.
        drop_quietly(subjects);
    }
}

/// How much of the time that has passed since the last look the watchdog was there for the next one.
fn looked_for(passed: Duration, tick: Duration, grain: Duration) -> Duration {
    passed.min(2 * tick.max(grain))
}

/// Tells what kept this thread from looking: a process that was stopped is another thing than a
/// machine that is short of processors, or a look that takes long.
struct Waits {
    eye: Eye,
    /// For how long it was in line for a processor, or had one.
    awake: Duration,
    looks: u32,
}

/// Now and then, so that what it has used and waited for in small pieces is not taken for one long wait.
const LOOKS: u32 = 16;

impl Waits {
    fn of_this_thread() -> Self {
        let mut this = Self {
            eye: Eye::on(this_thread()),
            awake: Duration::ZERO,
            looks: 0,
        };
        this.awake();
        this
    }

    /// How long it has not slept since this was asked for last.
    fn awake(&mut self) -> Duration {
        let before = self.awake;
        if let Some(account) = self.eye.account() {
            self.awake = account.cpu + account.in_line;
        }
        self.looks = 0;
        self.awake.saturating_sub(before)
    }

    /// Of the time that has passed without a look, that in which it neither looked nor wanted to.
    fn other_than_awake(&mut self, unseen: Duration) -> Duration {
        self.looks += 1;
        if unseen.is_zero() && self.looks < LOOKS {
            return unseen;
        }
        unseen.saturating_sub(self.awake())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use super::*;

    const MILLIS: Duration = Duration::from_millis(1);

    #[test]
    fn where_timers_are_coarse_a_short_wait_is_looked_for_to_its_end() {
        let grain = 16 * MILLIS;
        assert_eq!(looked_for(grain, MILLIS, grain), grain);
        assert_eq!(looked_for(100 * MILLIS, MILLIS, grain), 2 * grain);
        assert_eq!(looked_for(grain, MILLIS, Duration::ZERO), 2 * MILLIS);
        assert_eq!(looked_for(100 * MILLIS, 20 * MILLIS, grain), 40 * MILLIS);
    }

    /// As where there are thousands of threads or sockets.
    #[test]
    fn a_look_that_takes_long_does_not_count_as_a_process_that_was_stopped() {
        let mut waits = Waits::of_this_thread();
        let eye = Eye::on(this_thread());
        let used = || eye.account().expect("it is counted").cpu;
        let (begun, before) = (Instant::now(), used());
        while used() - before < 400 * MILLIS {
            for _ in 0..100_000 {
                std::hint::spin_loop();
            }
        }
        let unseen = begun.elapsed();
        // What a thread has used is counted up to when it sleeps.
        thread::sleep(MILLIS);
        let stopped = waits.other_than_awake(unseen);
        assert!(stopped < 100 * MILLIS, "{stopped:?} of {unseen:?}");
    }
}
