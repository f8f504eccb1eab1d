//! Why an item gave no value.

use std::{error::Error as StdError, fmt};

use http::StatusCode;

use super::{
    Source,
    kind::{ErrorKind, TimeLimit},
};
use crate::sync::Arc;

/// Why an item gave no value; in [`Fetched::result`](super::Fetched::result).
///
/// [`kind`](Self::kind) says what happened, [`url`](Self::url) with what and
/// [`attempts`](Self::attempts) how often it was tried. `Display` tells this level only, and of a bad
/// URL what is wrong with it; what the service or the parser said is the `source()`. Of the URL neither
/// credentials nor query are kept; what a service says is its own business.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use longshore::fetch::{ErrorKind, Fetcher};
/// use longshore::{Lane, ureq::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
/// let client = Client::new(Lane::builder("web").limit(4).build(), agent);
/// let fetcher = Fetcher::new(client.service());
/// let fetched = fetcher.fetch_all(["/no/host?key=secret"]).next().await.unwrap();
/// let error = fetched.result.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::BadUrl);
/// assert_eq!(
///     error.to_string(),
///     "the URL cannot be fetched: it must be absolute, as in `http://host/path` (/no/host)",
/// );
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    kind: ErrorKind,
    url: Arc<str>,
    attempts: u32,
    /// Of a bad URL what is wrong with it, which is part of the text and not shown as a source.
    cause: Option<Source>,
}

impl Error {
    /// What happened.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The URL of the item, without credentials and query.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many attempts had begun. Zero if the URL is bad, or if the time was up before.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// True if the item is not a URL that can be fetched.
    #[must_use]
    pub fn is_bad_url(&self) -> bool {
        self.kind == ErrorKind::BadUrl
    }

    /// True if the time was up: of an attempt, of the call or of all calls. Timeouts of the service
    /// itself are not among these.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, ErrorKind::TimedOut(_))
    }

    /// True if the time for all calls was up.
    #[must_use]
    pub fn is_batch_timeout(&self) -> bool {
        self.kind == ErrorKind::TimedOut(TimeLimit::Batch)
    }

    /// True if the body of the response was larger than allowed.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.kind, ErrorKind::TooLarge { .. })
    }

    /// True if the response could not be read as what it was to be.
    #[must_use]
    pub fn is_parse(&self) -> bool {
        matches!(self.kind, ErrorKind::Parse | ErrorKind::Json)
    }

    /// The status that was not one of success, if that is why.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.kind {
            ErrorKind::Status(status) => Some(status),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, url, .. } = self;
        match &self.cause {
            Some(wrong) if self.is_bad_url() => write!(f, "{kind}: {wrong} ({url})"),
            _ => write!(f, "{kind} ({url})"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let cause = self.cause.as_deref().filter(|_| !self.is_bad_url())?;
        Some(cause)
    }
}

/// An error that does not know yet whom it belongs to.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    pub(super) source: Option<Source>,
}

impl Failure {
    pub(super) fn new(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(super) fn with(kind: ErrorKind, source: impl Into<Source>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    pub(super) fn timed_out(limit: TimeLimit) -> Self {
        Self::new(ErrorKind::TimedOut(limit))
    }

    pub(super) fn of(self, url: Arc<str>, attempts: u32) -> Error {
        Error {
            kind: self.kind,
            url,
            attempts,
            cause: self.source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::item::BadUrl;

    #[test]
    fn no_message_in_a_chain_repeats_another() {
        let refused = || std::io::Error::from_raw_os_error(111);
        for failure in [
            Failure::with(ErrorKind::BadUrl, BadUrl::new("/x", "it must be absolute")),
            Failure::timed_out(TimeLimit::Attempt),
            Failure::timed_out(TimeLimit::Call),
            Failure::timed_out(TimeLimit::Batch),
            Failure::new(ErrorKind::NoTimer),
            Failure::with(ErrorKind::Service, refused()),
            Failure::with(ErrorKind::Body, refused()),
            Failure::new(ErrorKind::TooLarge { limit: 7 }),
            Failure::new(ErrorKind::Status(StatusCode::NOT_FOUND)),
            Failure::with(ErrorKind::Parse, "expected a number"),
            Failure::with(ErrorKind::Json, "expected a number"),
            Failure::with(ErrorKind::Lane, "lane `parse` is closed"),
        ] {
            let error = failure.of(Arc::from("http://host/"), 1);
            let text = error.to_string();
            assert!(text.starts_with(char::is_lowercase), "{text}");
            assert!(text.ends_with("(http://host/)"), "{text}");
            if let Some(source) = error.source() {
                let source = source.to_string();
                assert!(!text.contains(&source) && !source.contains(&text), "{text}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_before_the_url() {
        let failure = Failure::with(ErrorKind::BadUrl, BadUrl::new("/x", "it must be absolute"));
        let error = failure.of(Arc::from("/x"), 0);
        assert_eq!(
            error.to_string(),
            "the URL cannot be fetched: it must be absolute (/x)"
        );
        assert!(error.source().is_none());
    }

    #[test]
    fn an_error_stays_small_enough_to_return_by_value() {
        assert!(size_of::<Error>() <= 64, "{} bytes", size_of::<Error>());
    }
}
