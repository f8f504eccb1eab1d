//! What can go wrong with an item.

use std::fmt;

use http::StatusCode;

/// What happened, in an [`Error`](super::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The item is not a URL that can be fetched; the text of the error says why, as
    /// [`BadUrl`](super::BadUrl) has it. The service was not asked.
    BadUrl,
    /// The time was up.
    TimedOut(TimeLimit),
    /// There was a time limit and nobody to keep it: the stream is polled where no runtime has a timer,
    /// and the system refused a thread. The call is dropped, whatever had come of it.
    NoTimer,
    /// The service failed: what it said is the `source()`. If it panicked, or a closure of
    /// [`Retry`](super::Retry) did, that is a [`longshore::Error`](crate::Error).
    Service,
    /// The body of the response broke off: what the service said is the `source()`.
    Body,
    /// The body of the response is larger than it may be.
    #[non_exhaustive]
    TooLarge {
        /// What is allowed, in bytes: [`Fetcher::body_limit`](super::Fetcher::body_limit).
        limit: u64,
    },
    /// The response has another status than one of success, and was to be read as JSON.
    Status(StatusCode),
    /// The body could not be read as what it was to be: what the parser said is the `source()`.
    Parse,
    /// The body is not JSON, or not that of the type that was asked for: what serde said is the
    /// `source()`.
    Json,
    /// The parser did not run or panicked: the `source()` is a [`longshore::Error`](crate::Error).
    Lane,
}

/// Whose time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeLimit {
    /// That of one attempt: [`Fetcher::attempt_timeout`](super::Fetcher::attempt_timeout).
    Attempt,
    /// That of one item: [`Fetcher::timeout`](super::Fetcher::timeout).
    Call,
    /// That of them all: [`Fetcher::total_timeout`](super::Fetcher::total_timeout).
    Batch,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl => f.write_str("the URL cannot be fetched"),
            Self::TimedOut(TimeLimit::Attempt) => f.write_str("the time for an attempt was up"),
            Self::TimedOut(TimeLimit::Call) => f.write_str("the time for the call was up"),
            Self::TimedOut(TimeLimit::Batch) => f.write_str("the time for all calls was up"),
            Self::NoTimer => f.write_str("there is no thread to keep the time of the call"),
            Self::Service => f.write_str("the call failed"),
            Self::Body => f.write_str("the body of the response broke off"),
            Self::TooLarge { limit } => {
                write!(f, "the body of the response exceeds {limit} bytes")
            }
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Parse => f.write_str("the body of the response cannot be parsed"),
            Self::Json => {
                f.write_str("the body of the response is not the JSON that was asked for")
            }
            Self::Lane => f.write_str("the body of the response was not parsed"),
        }
    }
}
