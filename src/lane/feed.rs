//! Items that become jobs, one after the other, as far as there is room for them.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::Stream;
use pin_project_lite::pin_project;

use super::{
    Lane,
    reserve::{Permit, Reserve},
};
use crate::{error::Error, job::Task, sync::Arc};

pin_project! {
    /// The items that are still to come.
    pub(super) struct Feed<S, F, T> {
        #[pin]
        items: S,
        exhausted: bool,
        ahead: Option<Ahead<T>>,
        next: usize,
        pub(super) concurrency: usize,
        f: Arc<F>,
        lane: Lane,
        location: &'static Location<'static>,
    }
}

/// The item that waits for room, with what makes a job of it. All others are under way, or have not been
/// taken: whoever does not poll a stream does not keep much from the others.
struct Ahead<T> {
    index: usize,
    room: Reserve,
    hand_in: HandIn<T>,
}

/// In a box, so that the types of the stream do not name the function's.
type HandIn<T> = Box<dyn FnOnce(Permit) -> Task<T> + Send>;

impl<S, F, T> Feed<S, F, T> {
    pub(super) fn new(lane: Lane, items: S, f: F, location: &'static Location<'static>) -> Self {
        Self {
            items,
            exhausted: false,
            ahead: None,
            next: 0,
            concurrency: lane.core().limit,
            f: Arc::new(f),
            lane,
            location,
        }
    }

    /// No item was taken yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.next == 0 && !self.exhausted
    }
}

impl<S, F, T> Feed<S, F, T>
where
    S: Stream,
    S::Item: Send + 'static,
    F: Fn(S::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    /// The next item's job, if there is an item, and room for it, and it may be under way beside
    /// `others`.
    pub(super) fn next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        others: usize,
    ) -> Option<Step<T>> {
        let mut this = self.project();
        if others >= *this.concurrency {
            return None;
        }
        if this.ahead.is_none() && !*this.exhausted {
            let Poll::Ready(item) = this.items.as_mut().poll_next(cx) else {
                return None;
            };
            let Some(item) = item else {
                *this.exhausted = true;
                return None;
            };
            let (f, location) = (this.f.clone(), *this.location);
            *this.ahead = Some(Ahead {
                index: *this.next,
                room: this.lane.reserve(),
                hand_in: Box::new(move |permit| permit.hand_in(move |_| f(item), location)),
            });
            *this.next += 1;
        }
        // It is the results that count: no more items are handed in than these make room for.
        let Poll::Ready(room) = this.ahead.as_mut()?.room.poll_uncounted(cx) else {
            return None;
        };
        let Ahead { index, hand_in, .. } = this.ahead.take()?;
        let task = room.map_or_else(Task::refused, hand_in);
        Some(Step { index, task })
    }

    /// Nothing more comes of it.
    pub(super) fn is_over(&self) -> bool {
        self.exhausted && self.ahead.is_none()
    }
}

/// One item on its way to its outcome.
pub(super) struct Step<T> {
    index: usize,
    task: Task<T>,
}

impl<T> Future for Step<T> {
    type Output = (usize, Result<T, Error>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The stream counts what it gives out.
        let result = ready!(self.task.poll_uncounted(cx));
        Poll::Ready((self.index, result))
    }
}

impl<S, F, T> fmt::Debug for Feed<S, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("lane", &self.lane.name())
            .field("taken", &self.next)
            .field("exhausted", &self.exhausted)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
