//! A moment to wait for, inside of a runtime and out of it.

use std::{
    cell::Cell,
    future::Future,
    panic::{self, AssertUnwindSafe},
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::{runtime, task::coop::unconstrained, time::Sleep};

use crate::sync::{Arc, Mutex, Patience, Thread};

/// Resolves when its time is over. On the runtime's clock if there is a runtime with a timer, else, and
/// once that runtime is gone, on a thread's that lives as long as this does. If no thread can be had either,
/// it does at once: better early than never.
pub(crate) enum Timer {
    Tokio(OnRuntime),
    Thread(OnThread),
}

pub(crate) struct OnRuntime {
    sleep: Pin<Box<Sleep>>,
    runtime: runtime::Handle,
}

pub(crate) struct OnThread {
    alarm: Arc<Alarm>,
    thread: Option<Thread>,
    end: Option<Instant>,
}

#[derive(Default)]
struct Alarm {
    waker: Mutex<Option<Waker>>,
    unwanted: AtomicBool,
}

impl Timer {
    pub(crate) fn after(time: Duration) -> Self {
        if let Ok(runtime) = runtime::Handle::try_current()
            && let Some(sleep) = on_the_clock_of(&runtime, || tokio::time::sleep(time))
        {
            return Self::Tokio(OnRuntime { sleep, runtime });
        }
        Self::on_thread(time)
    }

    /// On a thread in any case.
    pub(crate) fn on_thread(time: Duration) -> Self {
        let alarm = Arc::new(Alarm::default());
        let end = Instant::now().checked_add(time);
        let theirs = alarm.clone();
        let thread = std::thread::Builder::new()
            .name(String::from("longshore-timer"))
            .stack_size(256 * 1024)
            .spawn(move || {
                let patience = Patience::lasting(time);
                loop {
                    if theirs.unwanted.load(Ordering::Acquire) || patience.park() {
                        break;
                    }
                }
                let waker = theirs.waker.lock().take();
                super::core::wake(waker);
            });
        Self::Thread(OnThread {
            alarm,
            // Who must not take it for over looks at the clock.
            end: if thread.is_ok() {
                end
            } else {
                Some(Instant::now())
            },
            thread: thread.ok().map(|handle| handle.thread().clone()),
        })
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::Thread(thread) => return thread.poll(cx),
                Self::Tokio(timer) => match timer.poll(cx) {
                    Ok(polled) => return polled,
                    Err(left) => *self = Self::on_thread(left),
                },
            }
        }
    }
}

impl OnRuntime {
    /// What is left of the time if the runtime is gone, and keeps it no more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Duration> {
        // Tokio panics if one is polled whose runtime has gone. But with that all of them have rung that had
        // been polled before.
        if !self.sleep.is_elapsed() {
            // Of those that had not there is no way to ask. And as others do, a timer gives way if its task
            // has used up its budget, before it has left a waker; nobody renews that in somebody else's loop.
            let mut sleep = pin!(unconstrained(self.sleep.as_mut()));
            let polled = panic::catch_unwind(AssertUnwindSafe(|| sleep.as_mut().poll(cx)));
            if let Ok(polled) = polled {
                return Ok(polled);
            }
        }
        // On the clock that it was set by.
        let _clock = self.runtime.enter();
        let now = tokio::time::Instant::now();
        match self.sleep.deadline().saturating_duration_since(now) {
            Duration::ZERO => Ok(Poll::Ready(())),
            left => Err(left),
        }
    }
}

/// Makes what needs the timer of the runtime that is entered; `None` if it was built without one.
pub(super) fn on_the_clock_of(
    runtime: &runtime::Handle,
    make: impl FnOnce() -> Sleep,
) -> Option<Pin<Box<Sleep>>> {
    thread_local! {
        /// There is no way to ask, and each attempt calls the process's panic hook: so it is made once.
        static WITHOUT: Cell<Option<runtime::Id>> = const { Cell::new(None) };
    }
    let runtime = Some(runtime.id());
    if WITHOUT.get() == runtime {
        return None;
    }
    let made = panic::catch_unwind(AssertUnwindSafe(|| Box::pin(make())));
    if made.is_err() {
        WITHOUT.set(runtime);
    }
    made.ok()
}

impl OnThread {
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let before = self.alarm.waker.lock().replace(waker);
        drop(before);
        // After the waker is in place: the thread wakes it when the time is over.
        if self.end.is_some_and(|end| Instant::now() >= end) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        self.alarm.unwanted.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}
