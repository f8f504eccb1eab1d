//! What an exchange can come to, other than a response.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, error::Error as StdError, fmt, io};

use super::kind::ErrorKind;
use crate::ureq::Phase;

type Source = Box<dyn StdError + Send + Sync>;

/// Why an exchange gave no response, or a response no body.
///
/// [`kind`](Self::kind) says what happened, [`phase`](Self::phase) how far the exchange had come,
/// [`url`](Self::url) with whom it was. `Display` tells this level only; what the lane, ureq or the
/// system said is the `source()`. No credentials, no query and no header appear in either of
/// `Display` and `Debug`.
///
/// # Examples
///
/// ```
/// use longshore::{Lane, ureq::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
/// let client = Client::new(Lane::builder("web").limit(4).build(), agent);
/// let error = client.get("ftp://files.example/?key=secret").send().await.unwrap_err();
/// assert!(error.is_request() && !error.is_retryable());
/// assert_eq!(
///     error.to_string(),
///     "the request cannot be made: the scheme of a URL is `http` or `https`, not `ftp`",
/// );
/// # }
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    /// What `kind` alone does not tell.
    detail: Option<Cow<'static, str>>,
    url: Option<String>,
    phase: Option<Phase>,
    sent: bool,
    received: bool,
    source: Option<Source>,
}

impl Error {
    pub(super) fn new(kind: ErrorKind) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                detail: None,
                url: None,
                phase: None,
                sent: false,
                received: false,
                source: None,
            }),
        }
    }

    /// The request is wrong; `detail` says what, and what would be right.
    pub(super) fn request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Request).detail(detail)
    }

    /// What the lane said instead of running the exchange to its end.
    pub(super) fn of_lane(error: crate::error::Error) -> Self {
        let kind = if error.is_timeout() {
            ErrorKind::TimedOut
        } else if error.is_cancelled() {
            ErrorKind::Cancelled
        } else {
            ErrorKind::Lane
        };
        Self::new(kind).source(error)
    }

    pub(super) fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.inner.detail = Some(detail.into());
        self
    }

    pub(super) fn source(mut self, source: impl Into<Source>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// `url` without credentials and query, as [`shown`](super::target::shown) makes it.
    pub(super) fn at(mut self, url: String) -> Self {
        self.inner.url.get_or_insert(url);
        self
    }

    pub(super) fn during(mut self, phase: Option<Phase>, sent: bool, received: bool) -> Self {
        self.inner.phase = phase;
        self.inner.sent = sent;
        self.inner.received = received;
        self
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// How far the exchange had come; [`Phase::Waiting`] if its lane did not take it.
    ///
    /// `None` if there was none, as the request was not a valid one; if it ended before ureq asked
    /// anything of ours, in a middleware for one; or if the agent, not being one of
    /// [`longshore::ureq`](crate::ureq), does not tell. In the last two cases [`sent`](Self::sent) is
    /// true, as nothing rules it out.
    ///
    /// A call that the body of the request makes while it is read is no part of this, whatever agent it is
    /// made with. One that a middleware makes, with an agent of [`longshore::ureq`](crate::ureq), cannot be
    /// told from the exchange's own. So where the client's agent is one of ureq's, and its middleware hands
    /// the request on although such a call has failed, an error says how far that call had come, and with it
    /// what [`sent`](Self::sent) and [`is_retryable`](Self::is_retryable) say of the exchange is wrong.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.inner.phase
    }

    /// The URL, of the last hop if there were redirects: scheme, host, port and path, without
    /// credentials and query.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.inner.url.as_deref()
    }

    /// Whether anything of the request may have reached a server. Where that cannot be known, it
    /// may.
    #[must_use]
    pub fn sent(&self) -> bool {
        self.inner.sent
    }

    /// Whether anything of a response is known to have come.
    #[must_use]
    pub fn received(&self) -> bool {
        self.inner.received
    }

    /// True if the request is not valid and was therefore not made.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.inner.kind == ErrorKind::Request
    }

    /// True if the time was up.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.inner.kind == ErrorKind::TimedOut
    }

    /// True if it was cancelled, other than by its deadline.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.kind == ErrorKind::Cancelled
    }

    /// True if there was no connection: the name was not found, or nobody answered.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Resolve | ErrorKind::Connect)
    }

    /// True if the TLS handshake failed.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.inner.kind == ErrorKind::Tls
    }

    /// True if the response was larger than allowed.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::TooLarge { .. })
    }

    /// True if a redirect was not followed.
    #[must_use]
    pub fn is_redirect(&self) -> bool {
        self.inner.kind == ErrorKind::Redirect
    }

    /// True if the status was one of a failure.
    #[must_use]
    pub fn is_status(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Status(_))
    }

    /// True only if the server cannot have carried the request out and it makes sense to try again:
    /// it never started, or failed before any byte of it was sent. False for a request that is not
    /// valid and for a refused certificate, which will be no better the next time.
    ///
    /// The client itself never tries again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        if self.inner.sent || self.inner.received {
            return false;
        }
        match self.inner.kind {
            ErrorKind::Resolve
            | ErrorKind::Connect
            | ErrorKind::TimedOut
            | ErrorKind::Cancelled
            | ErrorKind::PeerClosed
            | ErrorKind::Io => true,
            // A handshake that broke off, not one that came to a result.
            ErrorKind::Tls => self.lost_connection(),
            ErrorKind::Lane => self
                .lane_error()
                .is_some_and(crate::error::Error::never_started),
            ErrorKind::Request
            | ErrorKind::Protocol
            | ErrorKind::TooLarge { .. }
            | ErrorKind::Redirect
            | ErrorKind::Status(_)
            | ErrorKind::Decode
            | ErrorKind::Body
            | ErrorKind::Other => false,
        }
    }

    fn lane_error(&self) -> Option<&crate::error::Error> {
        self.inner.source.as_ref()?.downcast_ref()
    }

    fn lost_connection(&self) -> bool {
        let source = self.inner.source.as_ref();
        match source.and_then(|source| source.downcast_ref()) {
            Some(ureq::Error::Io(error)) => is_disconnect(error.kind()),
            _ => false,
        }
    }
}

/// Whether a connection that failed so was ended by the peer.
pub(super) fn is_disconnect(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.kind.describe(self.inner.phase, f)?;
        if let Some(detail) = &self.inner.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(url) = &self.inner.url {
            write!(f, " ({url})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &inner.kind);
        if let Some(detail) = &inner.detail {
            debug.field("detail", detail);
        }
        debug
            .field("url", &inner.url)
            .field("phase", &inner.phase)
            .field("sent", &inner.sent)
            .field("received", &inner.received)
            .field("source", &inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.inner.source.as_deref()?;
        Some(source)
    }
}

impl From<Error> for io::Error {
    /// For readers of a body: the kind of `io::Error` is as near as there is one.
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::PeerClosed => io::ErrorKind::UnexpectedEof,
            ErrorKind::Protocol | ErrorKind::Decode => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
