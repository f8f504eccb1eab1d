//! The end of a batch.
//!
//! Each call keeps its own deadline. The alarm makes a stream look up that waits for its input.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::Instant;

use super::moment::Moment;

/// Rings when there is no more time for any of a batch.
pub(super) enum Alarm {
    Never,
    Set(Moment),
    Rung,
}

impl Alarm {
    pub(super) fn at(end: Option<Instant>) -> Self {
        end.map_or(Self::Never, |end| Self::Set(Moment::at(end)))
    }

    /// Whether it has. If not, the one who asks is woken then, if anybody keeps the time. If nobody does,
    /// it is not taken for over: there may be more to come.
    pub(super) fn has_rung(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Set(end) = self
            && let Poll::Ready(Ok(())) = Pin::new(end).poll(cx)
        {
            *self = Self::Rung;
        }
        matches!(self, Self::Rung)
    }
}
