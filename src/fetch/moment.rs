//! A moment that somebody waits for.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::{error::Failure, kind::ErrorKind};
use crate::lane::Timer;

/// Resolves when it is there, or at once if there is nobody to tell.
pub(super) struct Moment {
    at: Instant,
    /// Made when it is first polled, on the clock of whoever does that.
    timer: Option<Timer>,
}

/// No runtime keeps the time, and no thread could be had for it.
pub(super) struct Unkept;

impl Moment {
    pub(super) fn at(at: Instant) -> Self {
        Self { at, timer: None }
    }
}

impl Future for Moment {
    type Output = Result<(), Unkept>;

    /// One for whom nobody kept the time may be polled again, and looks for somebody again.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Unkept>> {
        let at = self.at;
        if let Some(timer) = &mut self.timer {
            return Pin::new(timer).poll(cx).map(Ok);
        }
        let left = at.saturating_duration_since(Instant::now());
        let timer = self.timer.insert(Timer::after(left));
        ready!(Pin::new(timer).poll(cx));
        // One that has no thread says at once that its time is over, which only the clock can tell.
        if Instant::now() < at {
            self.timer = None;
            return Poll::Ready(Err(Unkept));
        }
        Poll::Ready(Ok(()))
    }
}

impl From<Unkept> for Failure {
    fn from(_: Unkept) -> Self {
        Self::new(ErrorKind::NoTimer)
    }
}
