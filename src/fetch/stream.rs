//! The stream of what becomes of the items.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, future::BoxFuture, stream::FuturesUnordered};
use http::Response;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{
    alarm::Alarm,
    call::Done,
    fetched::Fetched,
    hosts::Hosts,
    item::{Call, IntoRequest},
    ordered::Ordered,
    parse::Place,
    progress::{Board, Progress},
};
use crate::{job::Budget, sync::Arc};

/// Makes a future of a call. In a box, so that the types of the stream do not name the service's.
pub(super) type Begin<T> = Box<dyn FnMut(Call) -> BoxFuture<'static, Done<T>> + Send>;

pin_project! {
    /// What becomes of the items, one by one; from [`Fetcher::fetch_all`](super::Fetcher::fetch_all).
    ///
    /// A `Stream` of [`Fetched`] in the order in which the calls end, one for each item that was
    /// taken from the input. An item that fails is one `Err` among the results; the others are not
    /// touched.
    ///
    /// - [`ordered`](Self::ordered) gives the results in the order of the items.
    /// - `json` (feature `json`) and [`parse`](Self::parse) make values of the responses.
    /// - [`progress`](Self::progress) tells how far it is.
    ///
    /// It is lazy. An item is taken from the input when there is a place for it, and no more than
    /// [`concurrency`](super::Fetcher::concurrency) plus
    /// [`look_ahead`](super::Fetcher::look_ahead) have been taken that are not over, however long the
    /// input. Nothing in it goes on while it is not polled, though timeouts run, and so does what a
    /// service does elsewhere, on a lane say. A result that is there by then counts, late or not.
    ///
    /// Where the service has to wait until it is ready, as that of our client in a full lane, one item
    /// at a time does, and the place that this was granted is held until the stream is polled again. So
    /// a stream that is kept and not polled may keep one place of its lane (and of the lane that
    /// [parses](super::Fetcher::parse_on)). In a lane with room for no more than one, do not await another
    /// job of that lane between two results: it might never get a place.
    ///
    /// # Cancel safety
    ///
    /// Awaiting the next result is cancel safe: nothing is lost if that future is dropped. Dropping
    /// the stream drops all calls that are in flight: *the waiter* is free at once, and with the
    /// service of our [`Client`](crate::ureq::Client), *the threads* too, in whatever phase they are.
    ///
    /// # Panics
    ///
    /// Polling it panics if the input does, [`IntoRequest`] included, or the service where it is
    /// cloned. A panic anywhere else is one item's error.
    #[must_use = "streams do nothing unless polled"]
    pub struct Fetches<I, T = Response<Bytes>> {
        #[pin]
        items: I,
        // Before the rest: what is in flight is dropped before its place is given up.
        in_flight: FuturesUnordered<BoxFuture<'static, Done<T>>>,
        begin: Begin<T>,
        plan: Plan,
        hosts: Hosts,
        taken: usize,
        exhausted: bool,
        alarm: Alarm,
        over: Over,
        budget: Budget,
    }
}

/// What a batch goes by.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) concurrency: usize,
    pub(super) per_host: Option<usize>,
    pub(super) look_ahead: usize,
    /// When there is no more time for any of them.
    pub(super) end: Option<Instant>,
    pub(super) place: Place,
}

/// Says that nothing more will happen, at the latest when it is dropped.
struct Over(Arc<Board>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.over();
    }
}

impl<I, T> Fetches<I, T>
where
    I: Stream,
{
    pub(super) fn new(items: I, plan: Plan, board: Arc<Board>, begin: Begin<T>) -> Self {
        Self {
            items,
            in_flight: FuturesUnordered::new(),
            begin,
            hosts: Hosts::new(plan.per_host),
            taken: 0,
            exhausted: false,
            alarm: Alarm::at(plan.end),
            over: Over(board),
            budget: Budget::default(),
            plan,
        }
    }

    /// How far it is, for others to ask.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            board: self.over.0.clone(),
        }
    }

    /// Gives the results in the order of the items. A result that comes before its turn is kept
    /// back; what has been taken and not been given out is still bounded as above, so a slow item
    /// may hold the others up. Responses that are kept take memory, see
    /// [`look_ahead`](super::Fetcher::look_ahead). The calls go on while they are given out.
    ///
    /// # Panics
    ///
    /// If it has been polled before.
    #[track_caller]
    pub fn ordered(self) -> Ordered<I, T> {
        self.assert_fresh();
        Ordered::new(self)
    }

    /// The same items, with something else begun of each.
    ///
    /// # Panics
    ///
    /// If it has been polled before.
    #[track_caller]
    pub(super) fn and_then<U>(self, f: impl FnOnce(Begin<T>) -> Begin<U>) -> Fetches<I, U> {
        self.assert_fresh();
        Fetches {
            items: self.items,
            in_flight: FuturesUnordered::new(),
            begin: f(self.begin),
            plan: self.plan,
            hosts: self.hosts,
            taken: 0,
            exhausted: false,
            alarm: self.alarm,
            over: self.over,
            budget: Budget::default(),
        }
    }

    /// Where responses are parsed.
    pub(super) fn place(&self) -> Place {
        self.plan.place.clone()
    }

    #[track_caller]
    fn assert_fresh(&self) {
        let fresh = self.taken == 0 && !self.exhausted;
        assert!(fresh, "the stream has been polled already");
    }
}

impl<I, T> Fetches<I, T>
where
    I: Stream,
    I::Item: IntoRequest,
{
    /// The next that is over. `kept` results wait elsewhere to be given out.
    pub(super) fn poll_over(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        kept: usize,
    ) -> Poll<Option<Fetched<T>>> {
        // Results that are there already must not keep the runtime's other tasks waiting: a call that
        // does no I/O of Tokio's need not give way by itself.
        let share = ready!(self.as_mut().project().budget.poll_share(cx));
        self.as_mut().take_in(cx, kept);
        let this = self.project();
        match Pin::new(&mut *this.in_flight).poll_next(cx) {
            Poll::Ready(Some(done)) => {
                let board = &this.over.0;
                let ok = done.result.is_ok();
                board.finished(done.index, &done.url, done.attempts, ok);
                share.was_taken();
                // Whoever was held for this host has the place, before anybody new.
                if let Some(next) = this.hosts.leave(done.host.as_ref()) {
                    board.begun(next.index, &next.url);
                    this.in_flight.push((this.begin)(next));
                }
                Poll::Ready(Some(done.into_fetched()))
            }
            Poll::Ready(None) if *this.exhausted => {
                this.over.0.over();
                Poll::Ready(None)
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Takes items in for as long as there are places.
    fn take_in(self: Pin<&mut Self>, cx: &mut Context<'_>, kept: usize) {
        let mut this = self.project();
        let late = this.alarm.has_rung(cx);
        let plan = this.plan;
        let most = plan.concurrency.saturating_add(plan.look_ahead);
        while !*this.exhausted
            && this.in_flight.len() < plan.concurrency
            && this.in_flight.len() + this.hosts.held() + kept < most
        {
            // What says how much is to come says that it ends: all of it can be accounted for.
            if late && this.items.size_hint().1.is_none() {
                *this.exhausted = true;
                return;
            }
            match this.items.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    let call = Call::new(*this.taken, item);
                    *this.taken += 1;
                    let board = &this.over.0;
                    board.taken();
                    if let Some(call) = this.hosts.enter(call) {
                        board.begun(call.index, &call.url);
                        this.in_flight.push((this.begin)(call));
                    }
                }
                Poll::Ready(None) => *this.exhausted = true,
                // Nobody waits for more when the time is up.
                Poll::Pending if late => *this.exhausted = true,
                Poll::Pending => return,
            }
        }
    }
}

impl<I, T> Stream for Fetches<I, T>
where
    I: Stream,
    I::Item: IntoRequest,
{
    type Item = Fetched<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Fetched<T>>> {
        self.poll_over(cx, 0)
    }
}

impl<I, T> fmt::Debug for Fetches<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetches")
            .field("concurrency", &self.plan.concurrency)
            .field("per_host", &self.plan.per_host)
            .field("look_ahead", &self.plan.look_ahead)
            .field("taken", &self.taken)
            .field("held", &self.hosts.held())
            .field("in_flight", &self.in_flight.len())
            .finish_non_exhaustive()
    }
}
