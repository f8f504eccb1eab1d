//! The fetcher, and its options.

use std::{fmt, marker::PhantomData, panic::Location, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    Source,
    budget::Budget,
    call::{Batch, Terms},
    item::{Call, IntoRequest},
    parse::{INLINE, Place},
    progress::Board,
    retry::Retry,
    stream::{Fetches, Plan},
};
use crate::{lane::Lane, sync::Arc};

/// How many calls are in flight at once unless it is said otherwise: as many as a lane has threads
/// by default, so that a fetcher over a lane with defaults uses it all and never waits in it.
const CONCURRENCY: usize = 64;

/// How many items are taken ahead for each call that may be in flight, unless it is said otherwise.
const AHEAD: usize = 4;

/// As the collecting methods of the client.
const BODY_LIMIT: u64 = 10 << 20;

/// Fetches many URLs at once, through any `tower::Service`.
///
/// `S` is a service from [`http::Request<B>`](Request) to [`http::Response`], such as
/// [`Client::service`](crate::ureq::Client::service), and is cloned for each attempt, so that what
/// calls share (connections, a rate limit) has to be shared by clones: most layers of tower are, and
/// for the others there is its `Buffer`. One clone of a batch is asked at a time whether it is ready, in
/// the order of the attempts: see [`Fetches`] for why. `B` is what the service takes for the body of a
/// request: [`Bytes`] with [`new`](Self::new), anything that is made of `Bytes` with
/// [`with_body`](Self::with_body).
///
/// A fetcher is made once and kept: all its batches share the service and the retry budget. How many
/// calls are in flight and how long they may take is for each batch.
///
/// Times are kept by the runtime that the stream is polled on. Where there is none, or one without a
/// timer, a thread does it, for each call that waits. If the system refuses that thread, the call fails
/// ([`ErrorKind::NoTimer`](super::ErrorKind::NoTimer)), none is tried again after a pause, and a batch
/// that waits for its input is not woken at its end.
///
/// # Examples
///
/// ```
/// # use std::io::{Read, Write};
/// use std::time::Duration;
/// use futures::StreamExt;
/// use longshore::{Lane, fetch::Fetcher, ureq::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// # let url = format!("http://{}/", listener.local_addr().unwrap());
/// # std::thread::spawn(move || {
/// #     let mut peer = listener.accept().unwrap().0;
/// #     let _ = peer.read(&mut [0; 1024]);
/// #     peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
/// # });
/// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
/// let client = Client::new(Lane::builder("web").limit(20).build(), agent);
/// let fetcher = Fetcher::new(client.service())
///     .concurrency(20)
///     .per_host(4)
///     .timeout(Duration::from_secs(10));
///
/// let mut results = fetcher.fetch_all([url, "not a URL".to_owned()]).ordered();
/// assert_eq!(results.next().await.unwrap().result.unwrap().body(), "hello");
/// assert!(results.next().await.unwrap().result.unwrap_err().is_bad_url());
/// # }
/// ```
#[must_use = "a fetcher does nothing until it is given something to fetch"]
pub struct Fetcher<S, B = Bytes> {
    service: S,
    concurrency: usize,
    per_host: Option<usize>,
    look_ahead: Option<usize>,
    total_timeout: Option<Duration>,
    terms: Terms,
    place: Place,
    body: PhantomData<fn() -> B>,
}

impl<S> Fetcher<S> {
    /// A fetcher over a service that takes [`Bytes`] as the body of a request.
    #[track_caller]
    pub fn new(service: S) -> Self {
        Self::with_body(service)
    }
}

impl<S, B> Fetcher<S, B> {
    /// A fetcher over a service that takes something else: `http_body_util::Full<Bytes>` or
    /// `reqwest::Body`, say.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::{Lane, fetch::Fetcher, ureq::{Body, Client}};
    ///
    /// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    /// let client = Client::new(Lane::builder("web").limit(20).build(), agent);
    /// let fetcher = Fetcher::<_, Body>::with_body(client.service());
    /// # drop(fetcher);
    /// ```
    #[track_caller]
    pub fn with_body(service: S) -> Self {
        Self {
            service,
            concurrency: CONCURRENCY,
            per_host: None,
            look_ahead: None,
            total_timeout: None,
            terms: Terms {
                timeout: None,
                attempt_timeout: None,
                body_limit: BODY_LIMIT,
                retry: None,
                location: Location::caller(),
            },
            place: Place {
                lane: None,
                inline: INLINE,
            },
            body: PhantomData,
        }
    }

    // ===== How many =====

    /// How many calls of a batch may be in flight at once. Defaults to 64, the default limit of a
    /// lane; over a lane with another limit that one is a good choice.
    ///
    /// # Panics
    ///
    /// If `calls` is zero.
    #[track_caller]
    pub fn concurrency(mut self, calls: usize) -> Self {
        assert!(calls > 0, "`concurrency` must be at least 1, not 0");
        self.concurrency = calls;
        self
    }

    /// How many calls of a batch may be in flight at once to one host, that is one name or address
    /// with one port. Defaults to any number.
    ///
    /// An item whose host is full is held back, and the input is looked through for others, see
    /// [`look_ahead`](Self::look_ahead). A redirect to another host is the service's business and
    /// is not counted.
    ///
    /// # Panics
    ///
    /// If `calls` is zero.
    #[track_caller]
    pub fn per_host(mut self, calls: usize) -> Self {
        assert!(calls > 0, "`per_host` must be at least 1, not 0");
        self.per_host = Some(calls);
        self
    }

    /// How far ahead of its calls a batch looks. Defaults to 4 times the concurrency.
    ///
    /// Of the items that were taken from the input, no more than `concurrency + look_ahead` are held
    /// back for their host, in flight, or (where the order is that of the items) kept back for
    /// another. More of it keeps more hosts busy where the input has long runs of one, and costs
    /// memory: of a request for each item that is held, of a response for each that is kept.
    ///
    /// It bounds items and not bytes. With all the defaults, [`ordered`](Fetches::ordered) may keep
    /// 320 responses, each as large as [`body_limit`](Self::body_limit) allows: 3.1 GiB. Where
    /// responses are large and one may be slow, lower either.
    pub fn look_ahead(mut self, items: usize) -> Self {
        self.look_ahead = Some(items);
        self
    }

    /// How large the body of a response may be, in bytes as the service gives them. Defaults to
    /// 10 MiB. A larger one is an error as soon as that is known.
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.terms.body_limit = bytes;
        self
    }

    // ===== How long =====

    /// How long an item may take once it has begun: all its attempts, the pauses between them, the
    /// body, and parsing. Defaults to no limit.
    ///
    /// When the time is up the call is dropped, which with our own client ends it.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.terms.timeout = Some(time);
        self
    }

    /// How long one attempt may take, from when it gets in line to ask the service whether it is ready
    /// to the end of the body. Defaults to no limit but that of the item.
    ///
    /// One of a batch asks at a time, so what those before it wait there counts as well.
    pub fn attempt_timeout(mut self, time: Duration) -> Self {
        self.terms.attempt_timeout = Some(time);
        self
    }

    /// How long a batch may take, from the call of [`fetch_all`](Self::fetch_all). Defaults to no
    /// limit.
    ///
    /// Then what is in flight or held back fails, each item for itself. What has not been taken yet
    /// is taken and fails at once, so that no item is without an account, if the input has an upper
    /// bound for what is to come ([`Iterator::size_hint`]) and gives it without waiting, as a `Vec`
    /// does. An input without one, endless or a channel, is left alone, and the stream ends.
    pub fn total_timeout(mut self, time: Duration) -> Self {
        self.total_timeout = Some(time);
        self
    }

    // ===== What else =====

    /// Tries again where that cannot do anything twice. Defaults to one attempt for each item.
    /// Clones that are made after this share one budget.
    pub fn retry(mut self, retry: Retry) -> Self {
        let budget = Arc::new(Budget::new(retry.tokens, retry.percent));
        self.terms.retry = Some((retry, budget));
        self
    }

    /// Where large bodies are parsed, for [`Fetches::parse`] and `json`. Defaults to a lane on
    /// rayon's global pool with as many jobs at once as there are processors, with the feature
    /// `rayon`; else to the [default lane](crate::lane::default_lane).
    ///
    /// A full lane is waited for. When the item's time is up, or the stream is dropped, a job that
    /// has not begun never will; one that runs, runs to its end.
    pub fn parse_on(mut self, lane: &Lane) -> Self {
        self.place.lane = Some(lane.clone());
        self
    }

    /// Up to how many bytes a body is parsed where the stream is polled, since the way to another
    /// thread would take longer. Defaults to 16 KiB.
    pub fn parse_inline(mut self, bytes: usize) -> Self {
        self.place.inline = bytes;
        self
    }

    // ===== Fetching =====

    /// Fetches what an iterator gives: URLs or requests, see [`IntoRequest`].
    ///
    /// Every response is an `Ok`, a 404 or a 503 too: what to make of a status is the caller's business,
    /// or that of [`Fetches::parse`] or `json`.
    ///
    /// Nothing happens until the stream is polled, but time runs for
    /// [`total_timeout`](Self::total_timeout). See [`Fetches`] for the order, and for cancel safety.
    pub fn fetch_all<I, R>(&self, items: I) -> Fetches<stream::Iter<I::IntoIter>>
    where
        I: IntoIterator,
        I::Item: IntoRequest,
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Error: Into<Source>,
        S::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<Source>,
    {
        self.fetch_stream(stream::iter(items))
    }

    /// As [`fetch_all`](Self::fetch_all), of what a stream gives.
    pub fn fetch_stream<I, R>(&self, items: I) -> Fetches<I>
    where
        I: Stream,
        I::Item: IntoRequest,
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Error: Into<Source>,
        S::Future: Send,
        B: From<Bytes> + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<Source>,
    {
        let total = self.total_timeout;
        // A time too long to be represented is no limit.
        let end = total.and_then(|time| Instant::now().checked_add(time));
        let total = match items.size_hint() {
            (lower, Some(upper)) if lower == upper => Some(lower),
            _ => None,
        };
        let board = Arc::new(Board::new(total));
        let look_ahead = self.concurrency.saturating_mul(AHEAD);
        let plan = Plan {
            concurrency: self.concurrency,
            per_host: self.per_host,
            look_ahead: self.look_ahead.unwrap_or(look_ahead),
            end,
            place: self.place.clone(),
        };
        let batch = Arc::new(Batch::new(self.terms.clone(), end));
        let service = self.service.clone();
        let theirs = board.clone();
        let begin = Box::new(
            move |call: Call| -> futures_util::future::BoxFuture<'static, _> {
                Box::pin(batch.clone().fetch(service.clone(), theirs.clone(), call))
            },
        );
        Fetches::new(items, plan, board, begin)
    }
}

impl<S: Clone, B> Clone for Fetcher<S, B> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            concurrency: self.concurrency,
            per_host: self.per_host,
            look_ahead: self.look_ahead,
            total_timeout: self.total_timeout,
            terms: self.terms.clone(),
            place: self.place.clone(),
            body: PhantomData,
        }
    }
}

impl<S, B> fmt::Debug for Fetcher<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("concurrency", &self.concurrency)
            .field("per_host", &self.per_host)
            .field("timeout", &self.terms.timeout)
            .field("attempt_timeout", &self.terms.attempt_timeout)
            .field("total_timeout", &self.total_timeout)
            .field("body_limit", &self.terms.body_limit)
            .field("retry", &self.terms.retry.as_ref().map(|(retry, _)| retry))
            .finish_non_exhaustive()
    }
}
