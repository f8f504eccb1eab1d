//! The body of a response, as it comes.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, ReadBuf};

use super::{
    error::Error,
    exchange::Exchange,
    kind::{ErrorKind, Part},
};

/// How much is collected where nothing else was set.
const DEFAULT_LIMIT: u64 = 10 << 20;

/// How much memory is taken on the word of a `Content-Length`.
const TRUSTED: u64 = 1 << 20;

/// The body of a response: a [`Stream`] of [`Bytes`], and an [`AsyncRead`].
///
/// A thread reads ahead of it, up to 256 KiB and a buffer of 64 KiB, and leaves when that much waits,
/// or when nobody has waited for more for 50 ms, whether the server pauses or sends a little now and then.
/// So a body that nobody reads holds up to that much memory and a connection, but no thread and no slot of
/// its lane, with two exceptions. Where a future that waited for more was dropped, the thread leaves up to
/// two seconds later: to find out, it wakes whoever waits now and then, in a long pause once a second. And
/// it stays as long as the first few bytes of a body in gzip have not come.
///
/// The deadline of the exchange is for the body too: what was read ahead can still be had afterwards, and
/// what comes after that is an error. A body that holds no thread is not closed by its deadline or by a token,
/// but by whoever reads on, and hears of it then, or drops it.
///
/// An error ends it, and is never mistaken for its end: neither is a body that stops short of its
/// length. Where a thread is to come back for the rest and the lane is full, that job waits for its
/// turn, in addition to those for which the [queue](crate::lane::Builder::queue) has room; if the lane
/// is closed, the body ends with an error.
///
/// # Cancel safety
///
/// Dropping it half-read cancels the exchange: *the waiter* is free at once, *the thread*, if one
/// reads at the moment, is interrupted, and the connection is closed. Dropping a future of
/// [`StreamExt::next`] or of a read loses nothing.
///
/// # Examples
///
/// ```
/// # use std::io::{Read, Write};
/// use futures::TryStreamExt;
/// # use longshore::{Lane, ureq::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # std::thread::spawn(move || {
/// #     let mut peer = listener.accept().unwrap().0;
/// #     let _ = peer.read(&mut [0; 1024]);
/// #     peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").unwrap();
/// #     let _ = peer.write_all(&[b'x'; 1_000_000]);
/// # });
/// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
/// # let client = Client::new(Lane::builder("web").limit(4).build(), agent);
/// let mut body = client.get(url).send().await?.stream();
/// let mut length = 0;
/// while let Some(chunk) = body.try_next().await? {
///     length += chunk.len();
/// }
/// assert_eq!(length, 1_000_000);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a body that was not read to its end closes the connection"]
pub struct ResponseBody {
    /// Until the end.
    exchange: Option<Exchange>,
    expected: Option<u64>,
    limit: Option<u64>,
    seen: u64,
    /// What is left of a chunk that was read in part.
    rest: Bytes,
}

impl ResponseBody {
    pub(super) fn new(exchange: Exchange, expected: Option<u64>, limit: Option<u64>) -> Self {
        Self {
            exchange: Some(exchange),
            expected,
            limit,
            seen: 0,
            rest: Bytes::new(),
        }
    }

    pub(super) fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// All of it that was not read yet.
    ///
    /// The 10 MiB that this may be by default are for what is collected here. What
    /// [`max_body_size`](super::Client::max_body_size) was set to is for all of the body, with what was read
    /// before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the body, see above.
    ///
    /// # Errors
    ///
    /// What [`Response::bytes`](super::Response::bytes) says.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        if self.limit.is_none() {
            self.count_anew();
        }
        let limit = *self.limit.get_or_insert(DEFAULT_LIMIT);
        if self.expected.is_some_and(|expected| expected > limit) {
            return Err(self.too_large(limit));
        }
        let Some(first) = self.next().await.transpose()? else {
            return Ok(Bytes::new());
        };
        // Most bodies come in one piece.
        let Some(second) = self.next().await.transpose()? else {
            return Ok(first);
        };
        let trusted = self.expected.unwrap_or_default().min(TRUSTED);
        let mut all = Vec::with_capacity(usize::try_from(trusted).unwrap_or_default());
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        // Their buffers are wanted for what comes next.
        drop((first, second));
        while let Some(chunk) = self.next().await.transpose()? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    /// From here on, as if what was read before were not a part of it.
    fn count_anew(&mut self) {
        let left = self.rest.len() as u64;
        let read = std::mem::replace(&mut self.seen, left) - left;
        self.expected = self.expected.map(|all| all.saturating_sub(read));
    }

    fn too_large(&mut self, limit: u64) -> Error {
        let error = Error::new(ErrorKind::TooLarge {
            part: Part::Body,
            limit,
        });
        match self.exchange.take() {
            Some(exchange) => exchange.place(error),
            None => error,
        }
    }
}

impl Stream for ResponseBody {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.rest))));
        }
        let Some(exchange) = &mut this.exchange else {
            return Poll::Ready(None);
        };
        match ready!(exchange.poll_chunk(cx)) {
            Some(Ok(chunk)) => {
                this.seen += chunk.len() as u64;
                if let Some(limit) = this.limit
                    && this.seen > limit
                {
                    return Poll::Ready(Some(Err(this.too_large(limit))));
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            other => {
                this.exchange = None;
                Poll::Ready(other)
            }
        }
    }
}

/// What layers of `tower-http` and [`Fetcher`](crate::fetch::Fetcher) read.
#[cfg(feature = "fetch")]
impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Error>>> {
        let chunk = self.poll_next(cx);
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(http_body::Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.exchange.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        let rest = self.rest.len() as u64;
        match (&self.exchange, self.expected) {
            (None, _) => http_body::SizeHint::with_exact(rest),
            (Some(_), Some(all)) => {
                http_body::SizeHint::with_exact(all.saturating_sub(self.seen) + rest)
            }
            (Some(_), None) => http_body::SizeHint::default(),
        }
    }
}

impl AsyncRead for ResponseBody {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("expected", &self.expected)
            .field("seen", &self.seen)
            .field("over", &self.exchange.is_none())
            .finish_non_exhaustive()
    }
}
