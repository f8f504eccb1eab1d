//! What can go wrong with an exchange.

use std::fmt;

use http::StatusCode;

#[cfg(doc)]
use super::error::Error;
use crate::ureq::Phase;

/// What happened, in an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is not valid: its URL, a header, its method or its body. Nothing was sent.
    Request,
    /// The lane did not run it, it panicked, or it would have waited for itself: the `source()` is a
    /// [`longshore::Error`](crate::Error).
    Lane,
    /// The host's name was not found.
    Resolve,
    /// No connection could be made, to the host or to a proxy.
    Connect,
    /// The TLS handshake failed; where the peer's certificate was refused, too.
    Tls,
    /// The time was up: that of the request, of the lane, or one in the agent's `Config`.
    TimedOut,
    /// It was cancelled, by a token, that of a group included, or by a shutdown of its lane.
    Cancelled,
    /// The peer closed or reset the connection before the response was complete.
    PeerClosed,
    /// What the peer sent is not HTTP, or not what HTTP allows here.
    Protocol,
    /// The response is larger than it may be.
    #[non_exhaustive]
    TooLarge {
        /// Its head, or its body.
        part: Part,
        /// What is allowed, in bytes. For a body [`Client::max_body_size`], counted after
        /// decompression; for a head `max_response_header_size` of the agent's `Config`, behind TLS no
        /// more than its `input_buffer_size`, and 1 MiB for all that a peer says before it, with a status
        /// of 1xx.
        ///
        /// [`Client::max_body_size`]: crate::ureq::Client::max_body_size
        limit: u64,
    },
    /// A redirect was not followed.
    Redirect,
    /// The status is one of a failure, and [`Response::error_for_status`] was asked about it.
    ///
    /// [`Response::error_for_status`]: crate::ureq::Response::error_for_status
    Status(StatusCode),
    /// The body is not what was to be read from it: not JSON of the type, or not compressed as its
    /// head says.
    Decode,
    /// The body that was to be sent failed, or is not as long as was said.
    Body,
    /// Something else went wrong with the connection.
    Io,
    /// Something that ureq reports and that none of the above says.
    Other,
}

/// What of a response is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The status line and the headers.
    Head,
    /// The body.
    Body,
}

impl ErrorKind {
    /// In words, for the phase that it happened in.
    pub(super) fn describe(self, phase: Option<Phase>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("the request cannot be made"),
            // It may have been, in part.
            Self::Lane if phase.is_some_and(|phase| phase > Phase::Waiting) => {
                f.write_str("the exchange was broken off")
            }
            Self::Lane => f.write_str("the exchange was not carried out"),
            Self::Resolve => f.write_str("the host was not found"),
            Self::Connect => f.write_str("no connection could be made"),
            Self::Tls => f.write_str("no secure connection could be made"),
            Self::TimedOut => match phase {
                Some(phase) => write!(f, "the time was up while {phase}"),
                None => f.write_str("the time was up"),
            },
            Self::Cancelled => match phase {
                Some(phase) => write!(f, "given up while {phase}"),
                None => f.write_str("given up"),
            },
            Self::PeerClosed => match phase {
                Some(phase) => write!(f, "the peer closed the connection while {phase}"),
                None => f.write_str("the peer closed the connection"),
            },
            Self::Protocol => f.write_str("the peer does not keep to HTTP"),
            Self::TooLarge { part, limit } => {
                let part = match part {
                    Part::Head => "head",
                    Part::Body => "body",
                };
                write!(f, "the {part} of the response exceeds {limit} bytes")
            }
            Self::Redirect => f.write_str("the redirect was not followed"),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Decode => f.write_str("the body cannot be decoded"),
            Self::Body => {
                f.write_str("the body to be sent failed, or has another length than was said")
            }
            Self::Io => f.write_str("the connection failed"),
            Self::Other => f.write_str("the exchange failed"),
        }
    }
}
