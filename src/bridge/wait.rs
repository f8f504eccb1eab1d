//! Waiting on the calling thread.
//!
//! What is polled here is polled by [`block_on`], in whose turns between two polls the thread may
//! have other things to do. The runtime is entered over all of it nevertheless: a future may have
//! another one entered from one poll to the next, and Tokio wants the guards dropped in their order.
//! A job that is run on this thread meanwhile enters its own runtime, on top.
//!
//! No budget applies: Tokio's says when a task has to give way to others, and renews it when they
//! had their turn. Here there are no others, and nobody would renew it.

use std::{
    future::Future,
    panic::Location,
    pin::pin,
    task::{Context, Poll},
};

use tokio::{runtime::Handle, task::coop::unconstrained};

use super::{books::Entry, error::Error, limits::Limits, stand};
use crate::{
    error::{Panic, call_quietly, catch, drop_quietly},
    job::{block_on, leaves_waker_beside},
};

/// Polls a call's future on this thread until it is ready, or there is a reason to give up.
pub(super) fn call<F: Future>(
    runtime: &Handle,
    entry: &Entry,
    limits: Limits<'_>,
    future: F,
    at: &'static Location<'static>,
) -> Result<F::Output, Error> {
    let mut future = pin!(Some(future));
    let wait = |place| {
        let mut first = true;
        let mut limits = pin!(limits.end(place));
        block_on(unconstrained(std::future::poll_fn(|cx| {
            // The first poll comes before all else: what is ready at once costs no more than that.
            // A later one comes after a look at the stage: on a runtime that is gone, timers and
            // sockets panic, or wait for ever.
            let mut outcome = Poll::Pending;
            if !first && entry.poll_stopped(cx).is_ready() {
                outcome = Poll::Ready(Err(Error::ShutDown));
            } else if let Some(future) = future.as_mut().as_pin_mut() {
                outcome = match catch(at, || future.poll(cx)) {
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
            Poll::Ready(panicking_if(catch(at, || future.set(None)), outcome))
        })))
    };
    let waited = stand::waiting(at, |place| {
        let context = runtime.enter();
        let outcome = wait(place);
        // What the future has entered and not left is in the way.
        panicking_if(catch(at, || drop(context)), outcome)
    });
    match waited {
        Ok(outcome) => outcome,
        Err(refused) => {
            call_quietly(|| future.set(None));
            Err(refused)
        }
    }
}

/// A panic in what came after, unless there is an error already.
fn panicking_if<T>(after: Result<(), Panic>, outcome: Result<T, Error>) -> Result<T, Error> {
    match after {
        Err(panic) if outcome.is_ok() => {
            drop_quietly(outcome);
            Err(Error::Panicked(panic))
        }
        Ok(()) | Err(_) => outcome,
    }
}

/// Waits for a future of the bridge's own.
pub(super) fn wait<T>(
    limits: Limits<'_>,
    future: impl Future<Output = T>,
    at: &'static Location<'static>,
) -> Result<T, Error> {
    let mut future = pin!(future);
    stand::waiting(at, |place| {
        let mut limits = pin!(limits.end(place));
        block_on(unconstrained(std::future::poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            limits.as_mut().poll(cx).map(Err)
        })))
    })?
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
