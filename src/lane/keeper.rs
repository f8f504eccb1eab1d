//! Keeping time for a home, and noticing the end of its runtime.
//!
//! While a home has a job or a worker, one async task sleeps on its runtime until the earliest
//! deadline there. It needs no help from the callers: a job whose task is never polled is stopped
//! on time as well. It is on the clock of its runtime, so a test that pauses that clock pauses the
//! deadlines with it. And when the runtime shuts down it drops its tasks, this one too: that is how
//! a lane learns of it in time to send its idle workers home, before the runtime waits for them.
//!
//! Outside of a runtime, or in one that was built without a timer, a thread does the same.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc as StdArc, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::{
    runtime,
    time::{Instant, Sleep},
};

use super::{
    core::Core,
    deadlines::Watch,
    home::{HomeId, Keeper},
    timer::on_the_clock_of,
};
use crate::{
    job::this_is_of_a_task,
    sync::{Arc, AtomicBool, Patience, Thread, current},
};

/// Starts the task that keeps a home's time.
pub(crate) fn spawn(core: &Arc<Core>, home: HomeId, runtime: &runtime::Handle) {
    // On a runtime that is shutting down it is dropped right here, and says so.
    runtime.spawn(KeeperTask {
        core: core.clone(),
        home,
        clock: Clock::Unset,
        over: false,
    });
}

/// Starts a thread that keeps a home's time.
pub(crate) fn spawn_thread(core: &Arc<Core>, home: HomeId) -> io::Result<()> {
    let core = core.clone();
    std::thread::Builder::new()
        .name(String::from("longshore-timer"))
        .stack_size(256 * 1024)
        .spawn(move || {
            let call = StdArc::new(Call {
                thread: current(),
                made: AtomicBool::new(false),
            });
            let waker = Waker::from(call.clone());
            loop {
                call.made.store(false, Ordering::Relaxed);
                let now = Instant::now();
                match core.keep_time(home, Keeper::Thread, now, waker.clone()) {
                    Watch::Over => break,
                    Watch::Until(next) if !call.made.load(Ordering::Acquire) => {
                        // From this moment on: hooks of what was due may have taken long.
                        let left = |next: Instant| next.saturating_duration_since(Instant::now());
                        let time = next.map_or(Duration::MAX, left);
                        Patience::lasting(time).park();
                    }
                    // Called already. What was due has run hooks and drops of the user's on this thread,
                    // which may have parked it with the wake-up of that call.
                    Watch::Until(_) => {}
                }
            }
        })
        .map(drop)
}

struct KeeperTask {
    core: Arc<Core>,
    home: HomeId,
    clock: Clock,
    over: bool,
}

enum Clock {
    /// Nothing had a deadline so far.
    Unset,
    Tokio(Pin<Box<Sleep>>),
    /// This runtime was built without a timer; a thread keeps the time.
    Absent,
}

impl Future for KeeperTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let waker = cx.waker().clone();
            this_is_of_a_task(&waker);
            let next = match self.core.keep_time(self.home, Keeper::Task, now, waker) {
                Watch::Over => {
                    self.over = true;
                    return Poll::Ready(());
                }
                Watch::Until(None) => return Poll::Pending,
                Watch::Until(Some(next)) => next,
            };
            self.wind(next);
            match &mut self.clock {
                Clock::Tokio(sleep) => std::task::ready!(sleep.as_mut().poll(cx)),
                Clock::Unset | Clock::Absent => return Poll::Pending,
            }
        }
    }
}

impl KeeperTask {
    fn wind(&mut self, next: Instant) {
        match &mut self.clock {
            Clock::Tokio(sleep) => sleep.as_mut().reset(next),
            Clock::Absent => {}
            Clock::Unset => {
                let sleep = runtime::Handle::try_current().ok().and_then(|runtime| {
                    on_the_clock_of(&runtime, || tokio::time::sleep_until(next))
                });
                self.clock = match sleep {
                    Some(sleep) => Clock::Tokio(sleep),
                    None => {
                        self.core.start_timer_thread(self.home);
                        Clock::Absent
                    }
                };
            }
        }
    }
}

impl Drop for KeeperTask {
    fn drop(&mut self) {
        if !self.over {
            self.core.runtime_gone(self.home);
        }
    }
}

/// Wakes a thread that is parked, or keeps it from parking.
struct Call {
    thread: Thread,
    made: AtomicBool,
}

impl Wake for Call {
    fn wake(self: StdArc<Self>) {
        self.made.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
