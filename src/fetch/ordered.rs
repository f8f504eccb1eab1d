//! Results in the order of the items.

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use http::Response;
use pin_project_lite::pin_project;

use super::{fetched::Fetched, item::IntoRequest, progress::Progress, stream::Fetches};

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
        loop {
            if let Some(fetched) = this.kept.remove(this.next) {
                *this.next += 1;
                return Poll::Ready(Some(fetched));
            }
            match this.fetches.as_mut().poll_over(cx, this.kept.len()) {
                Poll::Ready(Some(fetched)) => {
                    this.kept.insert(fetched.index, fetched);
                }
                // Every item that was taken has had its turn by then.
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
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
