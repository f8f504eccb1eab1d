//! Many items, few threads: a stream of results.

use std::{
    fmt,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{
    Stream,
    stream::{FuturesOrdered, FuturesUnordered},
};
use pin_project_lite::pin_project;

use super::{
    Lane,
    feed::{Feed, Step},
};
use crate::{error::Error, job::Budget};

pin_project! {
    /// The results of one function over many items; from [`Lane::map`].
    ///
    /// A `Stream` of `Result<T, Error>`, in the order in which the jobs end. An item that fails,
    /// panics or times out is one `Err` among the results; the others are not touched.
    ///
    /// - [`ordered`](Self::ordered) gives the results in the order of the items.
    /// - [`indexed`](Self::indexed) gives each with the number of its item.
    /// - [`concurrency`](Self::concurrency) says how many items are under way at once.
    ///
    /// It is lazy: an item is taken when it may be under way beside the others, so memory is for these
    /// only, however long the input. A full queue makes it wait, it is never refused. A timeout
    /// counts for each item from when its job is handed in.
    ///
    /// Each result counts towards the budget of a Tokio task: a consumer for whom there is always one
    /// gives way to others now and then.
    ///
    /// Where it waits for room it stands in line as [`Lane::reserve`](crate::Lane::reserve) does, with
    /// one item at a time, and as there, the place that this was granted is held until it is polled
    /// again. So a stream that is kept and not polled may keep one place of its lane. In a lane with room
    /// for one job, do not await another job of that lane between two results: it might never get a
    /// place.
    ///
    /// # Cancel safety
    ///
    /// Awaiting the next result is cancel safe: nothing is lost if that future is dropped.
    /// Dropping the stream cancels the jobs that are under way: *the waiter* is free at once,
    /// *the threads* when the closures return.
    #[must_use = "streams do nothing unless polled"]
    pub struct Map<S, F, T> {
        #[pin]
        feed: Feed<S, F, T>,
        under_way: FuturesUnordered<Step<T>>,
        budget: Budget,
    }
}

pin_project! {
    /// The results of one function over many items, in the order of the items; from
    /// [`Map::ordered`].
    ///
    /// At most as many results are kept back for a slow item as are under way at once.
    ///
    /// # Cancel safety
    ///
    /// As for [`Map`]: dropping the future of the next result loses nothing, dropping the stream
    /// cancels what is under way. Results that are kept back are dropped with it.
    #[must_use = "streams do nothing unless polled"]
    pub struct Ordered<S, F, T> {
        #[pin]
        feed: Feed<S, F, T>,
        under_way: FuturesOrdered<Step<T>>,
        budget: Budget,
    }
}

pin_project! {
    /// Results with the numbers of their items, counted from 0; from [`Map::indexed`].
    ///
    /// # Cancel safety
    ///
    /// As for [`Map`].
    #[must_use = "streams do nothing unless polled"]
    pub struct Indexed<S, F, T> {
        #[pin]
        map: Map<S, F, T>,
    }
}

impl<S, F, T> Map<S, F, T>
where
    S: Stream,
{
    pub(super) fn new(lane: Lane, items: S, f: F, location: &'static Location<'static>) -> Self {
        Self {
            feed: Feed::new(lane, items, f, location),
            under_way: FuturesUnordered::new(),
            budget: Budget::default(),
        }
    }

    /// How many items may be under way at once, in the queue and on threads. Defaults to the
    /// lane's limit.
    ///
    /// # Panics
    ///
    /// If `items` is zero.
    #[track_caller]
    pub fn concurrency(mut self, items: usize) -> Self {
        assert!(items > 0, "`concurrency` must be at least 1, not 0");
        self.feed.concurrency = items;
        self
    }

    /// Gives the results in the order of the items.
    ///
    /// # Panics
    ///
    /// If it has been polled before.
    #[track_caller]
    pub fn ordered(self) -> Ordered<S, F, T> {
        let fresh = self.feed.is_fresh();
        assert!(fresh, "the stream has been polled already");
        Ordered {
            feed: self.feed,
            under_way: FuturesOrdered::new(),
            budget: Budget::default(),
        }
    }

    /// Gives each result with the number of its item, counted from 0, in the order in which the
    /// jobs end.
    pub fn indexed(self) -> Indexed<S, F, T> {
        Indexed { map: self }
    }
}

impl<S, F, T> Map<S, F, T>
where
    S: Stream,
    S::Item: Send + 'static,
    F: Fn(S::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    fn poll_indexed(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(usize, Result<T, Error>)>> {
        // Neither the stream's steps nor its own list give way while there are results, and each brings
        // another job: with a consumer that takes its time there is always one, and the other tasks
        // of its thread, the keeper of the lane's time among them, would wait to the end.
        let mut this = self.project();
        let share = ready!(this.budget.poll_share(cx));
        while let Some(step) = this.feed.as_mut().next(cx, this.under_way.len()) {
            this.under_way.push(step);
        }
        let next = match ready!(Pin::new(&mut *this.under_way).poll_next(cx)) {
            None if !this.feed.is_over() => return Poll::Pending,
            next => next,
        };
        share.was_taken();
        Poll::Ready(next)
    }
}

impl<S, F, T> Stream for Map<S, F, T>
where
    S: Stream,
    S::Item: Send + 'static,
    F: Fn(S::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_indexed(cx)
            .map(|next| next.map(|(_, result)| result))
    }
}

impl<S, F, T> Stream for Indexed<S, F, T>
where
    S: Stream,
    S::Item: Send + 'static,
    F: Fn(S::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = (usize, Result<T, Error>);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().map.poll_indexed(cx)
    }
}

impl<S, F, T> Stream for Ordered<S, F, T>
where
    S: Stream,
    S::Item: Send + 'static,
    F: Fn(S::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // As in `Map`.
        let mut this = self.project();
        let share = ready!(this.budget.poll_share(cx));
        // `len` counts the results that are kept back as well.
        while let Some(step) = this.feed.as_mut().next(cx, this.under_way.len()) {
            this.under_way.push_back(step);
        }
        let next = match ready!(Pin::new(&mut *this.under_way).poll_next(cx)) {
            None if !this.feed.is_over() => return Poll::Pending,
            next => next,
        };
        share.was_taken();
        Poll::Ready(next.map(|(_, result)| result))
    }
}

impl<S, F, T> fmt::Debug for Map<S, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("feed", &self.feed)
            .finish_non_exhaustive()
    }
}

impl<S, F, T> fmt::Debug for Ordered<S, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ordered")
            .field("feed", &self.feed)
            .finish_non_exhaustive()
    }
}

impl<S, F, T> fmt::Debug for Indexed<S, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexed").field("map", &self.map).finish()
    }
}
