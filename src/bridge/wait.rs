//! Waiting on the calling thread.
//!
//! What is polled here is polled by [`block_on`], in whose turns between two polls the thread may
//! have other things to do. So the runtime is entered for each poll, and left after it.
//!
//! No budget applies: Tokio's says when a task has to give way to others, and renews it when they
//! had their turn. Here there are no others, and nobody would renew it.

use std::{
    future::Future,
    panic::Location,
    pin::pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::coop::unconstrained,
};

use super::{books::Entry, clock::Alarm, error::Error, stand};
use crate::{
    error::{Panic, call_quietly, catch, drop_quietly},
    job::{block_on, leaves_waker_beside},
    sync::{Arc, AtomicBool},
};

/// How long a current-thread runtime may show no sign of life while somebody waits for it.
///
/// Long: a runtime whose thread is blocked by something that ends shows none either.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Polls a call's future on this thread until it is ready, or there is a reason to give up.
pub(super) fn call<F: Future>(
    runtime: &Handle,
    own: bool,
    entry: &Entry,
    limit: Option<Duration>,
    future: F,
    at: &'static Location<'static>,
) -> Result<F::Output, Error> {
    let mut future = pin!(Some(future));
    let mut first = true;
    let waited = stand::waiting(at, || {
        let mut limits = pin!(limits(limit, life_of(runtime, own)));
        block_on(unconstrained(std::future::poll_fn(|cx| {
            // The first poll comes before all else: what is ready at once costs no more than that.
            // A later one comes after a look at the stage: on a runtime that is gone, timers and
            // sockets panic, or wait for ever.
            let mut outcome = Poll::Pending;
            if !first && entry.poll_stopped(cx).is_ready() {
                outcome = Poll::Ready(Err(Error::ShutDown));
            } else if let Some(future) = future.as_mut().as_pin_mut() {
                outcome = match entered(runtime, || catch(at, || future.poll(cx))) {
                    Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
                    Ok(Poll::Pending) => Poll::Pending,
                    Err(_) if entry.is_gone() => Poll::Ready(Err(Error::ShutDown)),
                    Err(panic) => Poll::Ready(Err(Error::Panicked(panic))),
                };
            }
            if outcome.is_pending() {
                let mut stopped = false;
                if std::mem::take(&mut first) {
                    stopped = entry.poll_stopped(cx).is_ready();
                    // The end of the bridge is no way out of a circle of jobs.
                    leaves_waker_beside();
                }
                outcome = if stopped {
                    Poll::Ready(Err(Error::ShutDown))
                } else {
                    limits.as_mut().poll(cx).map(Err)
                };
            }
            let outcome = std::task::ready!(outcome);
            // As long as this is a poll: where a job waits here, it has its slot back only after
            // the tasks in its future are gone. And a panic of a `Drop` is one of the call's.
            let dropped = entered(runtime, || catch(at, || future.set(None)));
            Poll::Ready(match dropped {
                Err(panic) if outcome.is_ok() => {
                    drop_quietly(outcome);
                    Err(Error::Panicked(panic))
                }
                Ok(()) | Err(_) => outcome,
            })
        })))
    });
    match waited {
        Ok(outcome) => outcome,
        Err(refused) => {
            call_quietly(|| future.set(None));
            Err(refused)
        }
    }
}

/// Has the runtime entered while a future is polled or dropped, and no longer.
fn entered<T>(runtime: &Handle, f: impl FnOnce() -> T) -> T {
    let _context = runtime.enter();
    f()
}

/// Waits for a future of the bridge's own.
pub(super) fn wait<T>(
    limit: Option<Duration>,
    life: Option<Life>,
    future: impl Future<Output = T>,
    at: &'static Location<'static>,
) -> Result<T, Error> {
    let mut future = pin!(future);
    stand::waiting(at, || {
        let mut limits = pin!(limits(limit, life));
        block_on(unconstrained(std::future::poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            limits.as_mut().poll(cx).map(Err)
        })))
    })?
}

/// Resolves when there is no use in waiting any longer.
async fn limits(limit: Option<Duration>, life: Option<Life>) -> Error {
    let mut limit = limit.map(|after| (after, Box::pin(Alarm::after(after))));
    let mut life = pin!(async {
        match life {
            Some(life) => life.ends().await,
            None => std::future::pending().await,
        }
    });
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if let Some((after, alarm)) = &mut limit
            && let Poll::Ready(rung) = alarm.as_mut().poll(cx)
        {
            return Poll::Ready(match rung {
                Ok(()) => Error::TimedOut { after: *after },
                Err(error) => Error::NoThread(error),
            });
        }
        life.as_mut().poll(cx)
    })
    .await
}

/// A runtime that depends on somebody to drive it.
pub(super) struct Life(Handle);

/// `None` for a runtime that drives itself.
pub(super) fn life_of(runtime: &Handle, own: bool) -> Option<Life> {
    let alone = runtime.runtime_flavor() != RuntimeFlavor::MultiThread;
    (alone && !own).then(|| Life(runtime.clone()))
}

impl Life {
    /// Resolves when the runtime has run no task for a while. Asks it to run one now and then.
    async fn ends(self) -> Error {
        // It may be early days: first the time that most calls are over in.
        let mut time = Alarm::after(SIGN_OF_LIFE / 5);
        loop {
            if let Err(error) = time.await {
                return Error::NoThread(error);
            }
            let sign = Arc::new(AtomicBool::new(false));
            let theirs = sign.clone();
            let task = self.0.spawn(async move {
                theirs.store(true, Ordering::Release);
            });
            if task.is_finished() && !sign.load(Ordering::Acquire) {
                // It was dropped unrun.
                return Error::ShutDown;
            }
            time = Alarm::after(SIGN_OF_LIFE);
            if let Err(error) = (&mut time).await {
                return Error::NoThread(error);
            }
            if !sign.load(Ordering::Acquire) {
                task.abort();
                return Error::NotDriven;
            }
            time = Alarm::after(SIGN_OF_LIFE);
        }
    }
}

pin_project_lite::pin_project! {
    /// A future whose panic is its outcome.
    pub(super) struct Caught<F> {
        #[pin]
        future: F,
        at: &'static Location<'static>,
    }
}

impl<F> Caught<F> {
    pub(super) fn new(future: F, at: &'static Location<'static>) -> Self {
        Self { future, at }
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match catch(this.at, || this.future.poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
