//! One item: its attempts, and the time it has for them.

use std::{
    future::{Future, poll_fn},
    panic::Location,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    Source,
    body::collect,
    budget::Budget,
    deadline::{Deadline, after},
    error::Failure,
    fetched::Fetched,
    item::Call,
    kind::{ErrorKind, TimeLimit},
    moment::Moment,
    progress::Board,
    retry::{Noted, Retry},
    turnstile::Turnstile,
};
use crate::{
    error::{Error as LaneError, catch},
    sync::Arc,
};

/// What is the same for all calls of a fetcher.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) timeout: Option<Duration>,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) body_limit: u64,
    pub(super) retry: Option<(Retry, Arc<Budget>)>,
    /// Where the fetcher was made.
    pub(super) location: &'static Location<'static>,
}

/// What is the same for all calls of a batch.
pub(super) struct Batch {
    terms: Terms,
    end: Option<Instant>,
    /// Before the service is asked whether it is ready.
    turnstile: Turnstile,
}

/// A call that is over, but for what is to be made of its body.
pub(super) struct Done<T> {
    pub(super) index: usize,
    pub(super) url: Arc<str>,
    pub(super) host: Option<Arc<str>>,
    pub(super) attempts: u32,
    pub(super) taken: Instant,
    pub(super) begun: Instant,
    pub(super) deadline: Deadline,
    pub(super) result: Result<T, Failure>,
}

impl<T> Done<T> {
    /// The same call, with another result.
    pub(super) fn and<U>(self, result: Result<U, Failure>) -> Done<U> {
        Done {
            index: self.index,
            url: self.url,
            host: self.host,
            attempts: self.attempts,
            taken: self.taken,
            begun: self.begun,
            deadline: self.deadline,
            result,
        }
    }

    pub(super) fn into_fetched(self) -> Fetched<T> {
        let (url, attempts) = (self.url, self.attempts);
        Fetched {
            index: self.index,
            attempts,
            waited: self.begun - self.taken,
            took: self.begun.elapsed(),
            result: self
                .result
                .map_err(|failure| failure.of(url.clone(), attempts)),
            url,
        }
    }
}

impl Batch {
    /// One that begins now, and is over at `end`.
    pub(super) fn new(terms: Terms, end: Option<Instant>) -> Self {
        Self {
            terms,
            end,
            turnstile: Turnstile::default(),
        }
    }

    /// Fetches one item, as often as it takes.
    pub(super) async fn fetch<S, B, R>(
        self: Arc<Self>,
        service: S,
        board: Arc<Board>,
        call: Call,
    ) -> Done<Response<Bytes>>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
        S::Error: Into<Source>,
        B: From<Bytes>,
        R: Body,
        R::Error: Into<Source>,
    {
        let begun = Instant::now();
        let deadline = Deadline::default()
            .or(self.end, TimeLimit::Batch)
            .or(after(begun, self.terms.timeout), TimeLimit::Call);
        let mut attempts = 0;
        let result = match call.request {
            Err(error) => Err(Failure::with(ErrorKind::BadUrl, error)),
            Ok(request) => {
                let again = |attempt, pause| {
                    board.retrying(call.index, &call.url, attempt, pause);
                };
                let count = &mut attempts;
                let tried = self.attempts(service, &board, request, deadline, count, again);
                caught(self.terms.location, tried).await
            }
        };
        Done {
            index: call.index,
            url: call.url,
            host: call.host,
            attempts,
            taken: call.taken,
            begun,
            deadline,
            result,
        }
    }

    /// Tries until there is an outcome that is not to be tried again. Counts in `count`, and says
    /// `again` before each attempt that is not the first.
    ///
    /// Each attempt has a clone of its own of `service`, which is not asked anything itself. One
    /// whose attempt ended while it was not ready may still stand in some line, and would be given a
    /// place there during the pause; one that said that it is broken is not to be asked again.
    async fn attempts<S, B, R>(
        &self,
        service: S,
        board: &Board,
        request: Request<Bytes>,
        deadline: Deadline,
        count: &mut u32,
        again: impl Fn(u32, Duration),
    ) -> Result<Response<Bytes>, Failure>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
        S::Error: Into<Source>,
        B: From<Bytes>,
        R: Body,
        R::Error: Into<Source>,
    {
        let Some((retry, budget)) = &self.terms.retry else {
            let (request, noted) = (request.map(B::from), &mut Noted::default());
            let attempt = self.attempt(service, board, request, deadline, count, noted);
            return attempt.await;
        };
        budget.deposit();
        loop {
            let mut noted = Noted::default();
            let service = service.clone();
            let this = request.clone().map(B::from);
            let outcome = self
                .attempt(service, board, this, deadline, count, &mut noted)
                .await;
            if *count >= retry.attempts {
                return outcome;
            }
            let pause = retry.pause(&request, &outcome, noted, count.saturating_sub(1));
            let Some(pause) = pause.filter(|&pause| deadline.leaves(pause)) else {
                return outcome;
            };
            let Some(mut end) = after(Instant::now(), Some(pause)).map(Moment::at) else {
                return outcome;
            };
            // A pause that nobody measures would be none.
            let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut end).poll(cx))).await;
            // The budget last, so that nothing is taken from it for what does not happen.
            if matches!(first, Poll::Ready(Err(_))) || !budget.withdraw() {
                return outcome;
            }
            // A body of 10 MiB is not wanted meanwhile.
            drop(outcome);
            again(*count + 1, pause);
            if first.is_pending() {
                end.await?;
            }
        }
    }

    /// Tries once, if there is any time left, and notes how far that came.
    async fn attempt<S, B, R>(
        &self,
        mut service: S,
        board: &Board,
        request: Request<B>,
        deadline: Deadline,
        count: &mut u32,
        noted: &mut Noted,
    ) -> Result<Response<Bytes>, Failure>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Into<Source>,
        R: Body,
        R::Error: Into<Source>,
    {
        deadline.check()?;
        *count += 1;
        let failed = |error: S::Error| Failure::with(ErrorKind::Service, error);
        let until = after(Instant::now(), self.terms.attempt_timeout);
        let deadline = deadline.or(until, TimeLimit::Attempt);
        let exchange = async {
            // A place that is granted is held until whoever asked for it is polled: of a lane, say.
            // Were all items asking, a stream that nobody polls would keep one for each.
            let turn = self.turnstile.enter().await;
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
            // Where nobody polls in between, its place may have come long after the time was up.
            deadline.check()?;
            noted.called = true;
            let response = service.call(request);
            drop(turn);
            let response = response.await.map_err(failed)?;
            noted.answer(&response);
            collect(response, self.terms.body_limit, board).await
        };
        deadline.keep(exchange).await
    }
}

/// What `future` gives. Its panic is the service's, or that of a policy, and one item's failure.
async fn caught<T>(
    location: &'static Location<'static>,
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        catch(location, || future.as_mut().poll(cx)).unwrap_or_else(|panic| {
            let error = LaneError::Panicked(panic.of_a_fetcher());
            Poll::Ready(Err(Failure::with(ErrorKind::Service, error)))
        })
    })
    .await
}
