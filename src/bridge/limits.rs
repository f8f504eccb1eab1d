//! What ends a wait before that has come which is waited for.
//!
//! Each of these leaves the waker with somebody. Who looks for circles of jobs counts in how many
//! hands it is, and is told not to count these ([`leaves_waker_beside`]): none of them is a way out
//! of a circle. But a time limit is.

use std::{future::Future, pin::Pin, pin::pin, sync::atomic::Ordering, task::Poll, time::Duration};

use tokio::runtime::{Handle, RuntimeFlavor};

use super::{clock::Alarm, error::Error, stand::Place};
use crate::{
    cancel::CancelToken,
    job::{Job, knows_of_its_cancel, leaves_waker_beside},
    sync::{Arc, AtomicBool},
};

/// How long a runtime may show no sign of life while somebody waits for it.
///
/// Long: a runtime whose threads are blocked by something that ends shows none either.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Set by whoever waits; none of them by default.
#[derive(Default)]
pub(super) struct Limits<'a> {
    time: Option<(Duration, Pin<Box<Alarm>>)>,
    job: Option<Job>,
    given_up: Option<&'a CancelToken>,
    runtime: Option<Life<'a>>,
}

impl<'a> Limits<'a> {
    /// From now on; `None` is as long as it takes.
    pub(super) fn time(mut self, time: Option<Duration>) -> Self {
        self.time = time.map(|time| (time, Box::pin(Alarm::after(time))));
        self
    }

    /// As long as the job of this thread, if it runs one. But one that knows that it is cancelled has
    /// its reasons to wait: it clears up.
    pub(super) fn with_this_job(mut self) -> Self {
        self.job = Job::current().filter(|_| !knows_of_its_cancel());
        self
    }

    pub(super) fn until(mut self, given_up: &'a CancelToken) -> Self {
        self.given_up = Some(given_up);
        self
    }

    /// As long as the runtime shows signs of life, if it cannot be relied on to do so. A
    /// current-thread runtime can if it is known to be `driven`.
    pub(super) fn life_of(mut self, runtime: &'a Handle, driven: bool) -> Self {
        self.runtime = Some(Life { runtime, driven });
        self
    }

    /// Resolves when there is no use in waiting any longer.
    pub(super) async fn end(self, place: Place) -> Error {
        let Self {
            mut time,
            job,
            given_up,
            runtime,
        } = self;
        let mut life = pin!(async {
            match runtime.filter(|life| life.is_in_doubt(place)) {
                Some(life) => life.ends().await,
                None => std::future::pending().await,
            }
        });
        let mut hooks = None;
        std::future::poll_fn(|cx| {
            if let Some((after, alarm)) = &mut time
                && let Poll::Ready(rung) = alarm.as_mut().poll(cx)
            {
                return Poll::Ready(match rung {
                    Ok(()) => Error::TimedOut { after: *after },
                    Err(error) => Error::NoThread(error),
                });
            }
            // Once: the waker of a wait on a thread stays the same.
            hooks.get_or_insert_with(|| {
                let hook = || {
                    leaves_waker_beside();
                    let waker = cx.waker().clone();
                    move || waker.wake()
                };
                (
                    job.as_ref().map(|job| job.on_cancel(hook())),
                    given_up.map(|given_up| given_up.on_cancel(hook())),
                )
            });
            if job.as_ref().is_some_and(Job::is_cancelled)
                || given_up.is_some_and(CancelToken::is_cancelled)
            {
                return Poll::Ready(Error::Cancelled);
            }
            life.as_mut().poll(cx)
        })
        .await
    }
}

/// A runtime that somebody has to drive.
struct Life<'a> {
    runtime: &'a Handle,
    driven: bool,
}

impl Life<'_> {
    /// A multi-thread runtime drives itself. But a worker that waits has handed its work to a thread
    /// of the pool; if as many do so as there can be threads, none is left.
    fn is_in_doubt(&self, place: Place) -> bool {
        match self.runtime.runtime_flavor() {
            RuntimeFlavor::MultiThread => place == Place::Worker,
            _ => !self.driven,
        }
    }

    /// Resolves when the runtime has run no task for a while. Asks it to run one now and then.
    async fn ends(self) -> Error {
        leaves_waker_beside();
        // It may be early days: first the time that most calls are over in.
        let mut time = Alarm::after(SIGN_OF_LIFE / 5);
        loop {
            if time.await.is_err() {
                return unobserved().await;
            }
            let sign = Arc::new(AtomicBool::new(false));
            let theirs = sign.clone();
            let task = self.runtime.spawn(async move {
                theirs.store(true, Ordering::Release);
            });
            if task.is_finished() && !sign.load(Ordering::Acquire) {
                // It was dropped unrun.
                return Error::ShutDown;
            }
            time = Alarm::after(SIGN_OF_LIFE);
            if (&mut time).await.is_err() {
                return unobserved().await;
            }
            if !sign.load(Ordering::Acquire) {
                task.abort();
                return Error::NotDriven;
            }
            time = Alarm::after(SIGN_OF_LIFE);
        }
    }
}

/// There is no thread to keep the time. Who has asked for none goes without; and the waker stays in
/// as many hands as was said.
async fn unobserved() -> Error {
    let mut waker = None;
    std::future::poll_fn(|cx| {
        waker.get_or_insert_with(|| cx.waker().clone());
        Poll::Pending
    })
    .await
}
