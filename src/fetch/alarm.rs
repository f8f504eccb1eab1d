//! The end of a batch.
//!
//! Each call keeps its own deadline. The alarm makes a stream look up that waits for its input.

use std::{future::Future, pin::Pin, task::Context};

use tokio::time::Instant;

use crate::lane::Timer;

/// Rings when there is no more time for any of a batch.
pub(super) enum Alarm {
    Never,
    /// Its timer is made when it is first polled, on the clock of whoever does that.
    At(Instant),
    Set(Timer, Instant),
    Rung,
}

impl Alarm {
    pub(super) fn at(end: Option<Instant>) -> Self {
        end.map_or(Self::Never, Self::At)
    }

    /// Whether it has. If not, the one who asks is woken then.
    pub(super) fn has_rung(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::At(end) = *self {
            let left = end.saturating_duration_since(Instant::now());
            *self = Self::Set(Timer::after(left), end);
        }
        if let Self::Set(timer, end) = self
            && Pin::new(timer).poll(cx).is_ready()
        {
            *self = if Instant::now() >= *end {
                Self::Rung
            } else {
                // No thread could be had to keep the time. The next turn asks again.
                cx.waker().wake_by_ref();
                Self::At(*end)
            };
        }
        matches!(self, Self::Rung)
    }
}
