//! A moment to wait for, inside of a runtime and out of it.

use std::{
    future::Future,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::sync::{Arc, Mutex, Patience, Thread};

/// Resolves when its time is over. On the runtime's clock if there is a runtime with a timer, else, and
/// once that runtime is gone, on a thread's that lives as long as this does.
pub(crate) enum Timer {
    Tokio(Pin<Box<tokio::time::Sleep>>),
    Thread(OnThread),
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
        if tokio::runtime::Handle::try_current().is_ok() {
            // There is no way to ask a runtime whether it has a timer.
            if let Ok(sleep) = panic::catch_unwind(AssertUnwindSafe(|| tokio::time::sleep(time))) {
                return Self::Tokio(Box::pin(sleep));
            }
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
            // Without a thread the time is over at once: better early than never.
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
        if let Self::Tokio(sleep) = &mut *self {
            // Nor a way to ask whether that runtime has gone.
            let polled = panic::catch_unwind(AssertUnwindSafe(|| sleep.as_mut().poll(cx)));
            if let Ok(polled) = polled {
                return polled;
            }
            let now = tokio::time::Instant::now();
            *self = Self::on_thread(sleep.deadline().saturating_duration_since(now));
        }
        match &mut *self {
            Self::Thread(thread) => thread.poll(cx),
            Self::Tokio(_) => unreachable!("it has just been replaced"),
        }
    }
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
