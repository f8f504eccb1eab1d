//! Results in the order of the items.

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;
use http::Response;
use pin_project_lite::pin_project;

use super::{fetched::Fetched, item::IntoRequest, progress::Progress, stream::Fetches};
use crate::job::Budget;

pin_project! {
    /// What becomes of the items, in the order of the items; from [`Fetches::ordered`].
    ///
    /// # Cancel safety
    ///
    /// As for [`Fetches`].
    #[must_use = "streams do nothing unless polled"]
    pub struct Ordered<I, T = Response<Bytes>> {
        #[pin]
        fetches: Fetches<I, T>,
        // What came before its turn.
        kept: BTreeMap<usize, Fetched<T>>,
        next: usize,
        budget: Budget,
    }
}

impl<I, T> Ordered<I, T>
where
    I: Stream,
{
    pub(super) fn new(fetches: Fetches<I, T>) -> Self {
        Self {
            fetches,
            kept: BTreeMap::new(),
            next: 0,
            budget: Budget::default(),
        }
    }

    /// How far it is, for others to ask. What is kept back counts as over.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.fetches.progress()
    }
}

impl<I, T> Stream for Ordered<I, T>
where
    I: Stream,
    I::Item: IntoRequest,
{
    type Item = Fetched<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Fetched<T>>> {
        let mut this = self.project();
        // Before the calls: they go on without a budget where one who gave way is polled again in the same
        // turn, and with what they give this would never be seen to give way.
        let share = ready!(this.budget.poll_share(cx));
        // The calls first, even if the next result is here already: they go on only when they are
        // polled, and many polls may pass before all that was kept is given out. What is kept counts
        // as taken, so that this comes to an end.
        let mut counted = false;
        let rest = loop {
            match this.fetches.as_mut().poll_over(cx, this.kept.len()) {
                Poll::Ready(Some(fetched)) => {
                    counted = true;
                    this.kept.insert(fetched.index, fetched);
                }
                Poll::Ready(None) => break Poll::Ready(None),
                Poll::Pending => break Poll::Pending,
            }
        };
        let next = this.kept.remove(this.next);
        // What was kept may be a lot, and given out for nothing it would keep the runtime's other tasks
        // waiting. And a share that is given back takes with it what was counted after it.
        if next.is_some() || counted {
            share.was_taken();
        }
        if next.is_none() {
            return rest;
        }
        *this.next += 1;
        Poll::Ready(next)
    }
}

impl<I, T> fmt::Debug for Ordered<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ordered")
            .field("fetches", &self.fetches)
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}
