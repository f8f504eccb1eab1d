//! Waiting for a future on a thread that may block.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc as StdArc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use crate::sync::{Patience, Thread, current};

/// Polls a future on this thread until it is ready. The thread is parked in between.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(StdArc::new(Unpark(current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        Patience::lasting(Duration::MAX).park();
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: StdArc<Self>) {
        self.0.unpark();
    }
}

pin_project_lite::pin_project! {
    /// A future that another thread polls in the name of the job that has made it; from
    /// [`on_behalf`].
    pub(crate) struct OnBehalf<F> {
        #[pin]
        future: F,
    }
}

/// Ties a future to the job that this thread runs, if any, wherever it is going to be polled: what
/// it waits for, the job waits for.
pub(crate) fn on_behalf<F: Future>(future: F) -> OnBehalf<F> {
    OnBehalf { future }
}

impl<F: Future> Future for OnBehalf<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}
