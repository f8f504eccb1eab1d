//! Why a call failed, in the same few words for every client.
//!
//! ureq and reqwest name the same event differently, and by different ways. What counts here is
//! what the network did, so that the failures of two strategies can be compared.

use std::error::Error;
use std::io;

use longshore::ureq::{ErrorKind, Part};

use crate::wire::Failure;

/// How far an exchange had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connecting, sending, waiting for the head of the answer.
    Head,
    /// Reading the body of an answer with this status.
    Body(u16),
}

impl Failure {
    pub(crate) fn new(kind: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            detail: detail.into(),
            status: None,
        }
    }

    /// The answer has come, and is a refusal.
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::new(
                format!("status {status}"),
                format!("the answer has status {status}"),
            )
        }
    }

    pub(crate) fn ureq(error: &ureq::Error, phase: Phase) -> Self {
        Self {
            status: phase.status(),
            ..Self::new(of_ureq(error, phase), error.to_string())
        }
    }

    /// An error while the body was read, which ureq gives as an `io::Error` with its own inside.
    pub(crate) fn ureq_body(error: io::Error, status: u16) -> Self {
        Self::ureq(&ureq::Error::from(error), Phase::Body(status))
    }

    /// An error of Longshore's client, which keeps that of ureq or of the lane as its source.
    pub(crate) fn longshore(error: &longshore::ureq::Error, phase: Phase) -> Self {
        if let Some(error) = error.source().and_then(<dyn Error>::downcast_ref) {
            return Self {
                status: phase.status(),
                ..Self::lane(error)
            };
        }
        let kind = match error.kind() {
            ErrorKind::TimedOut => "timeout",
            ErrorKind::Protocol
            | ErrorKind::Decode
            | ErrorKind::TooLarge {
                part: Part::Head, ..
            } => "protocol",
            _ => of_chain(error, phase),
        };
        Self {
            status: phase.status(),
            ..Self::new(kind, innermost(error))
        }
    }

    pub(crate) fn reqwest(error: &reqwest::Error, phase: Phase) -> Self {
        let kind = if error.is_timeout() {
            "timeout"
        } else {
            of_chain(error, phase)
        };
        Self {
            status: phase.status(),
            ..Self::new(kind, innermost(error))
        }
    }

    /// The lane could not run the call, or the call panicked in it.
    pub(crate) fn lane(error: &longshore::Error) -> Self {
        use longshore::Error as Lane;
        match error {
            Lane::Panicked(panic) => Self::new("panicked", panic.message()),
            Lane::TimedOut { .. } => Self::new("timeout", error.to_string()),
            // That there is no thread says the kind; why, the source.
            Lane::NoThread { .. } => Self::new("no thread", innermost(error)),
            _ => Self::new("lane", error.to_string()),
        }
    }
}

impl Phase {
    fn status(self) -> Option<u16> {
        match self {
            Self::Head => None,
            Self::Body(status) => Some(status),
        }
    }
}

/// The kind of the first error of the chain that tells one.
fn of_chain(error: &(dyn Error + 'static), phase: Phase) -> &'static str {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return "tls";
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return of_io(error, phase);
        }
        if let Some(error) = error.downcast_ref::<ureq::Error>() {
            return of_ureq(error, phase);
        }
        next = error.source();
    }
    // hyper keeps its kinds to itself.
    const NO_HTTP: [&str; 4] = [
        "invalid HTTP ",
        "invalid content-length",
        "unexpected transfer-encoding",
        "message head is too large",
    ];
    let text = innermost(error);
    if NO_HTTP.iter().any(|start| text.starts_with(start)) {
        return "protocol";
    }
    if text.starts_with("tunnel error") {
        return "proxy";
    }
    if text.contains("closed before message completed") {
        return eof(phase);
    }
    if text.contains("lookup") {
        return "dns";
    }
    "other"
}

fn of_ureq(error: &ureq::Error, phase: Phase) -> &'static str {
    match error {
        ureq::Error::Timeout(_) => "timeout",
        ureq::Error::HostNotFound => "dns",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "tls",
        ureq::Error::Protocol(_)
        | ureq::Error::LargeResponseHeader(..)
        | ureq::Error::BodyStalled => "protocol",
        ureq::Error::Decompress(_, error) => of_io(error, phase),
        ureq::Error::ConnectProxyFailed(_) => "proxy",
        ureq::Error::ConnectionFailed => "connect",
        ureq::Error::Io(error) => of_io(error, phase),
        _ => "other",
    }
}

fn of_io(error: &io::Error, phase: Phase) -> &'static str {
    use io::ErrorKind as Kind;
    // Out of descriptors has no kind of its own.
    if matches!(error.raw_os_error(), Some(23 | 24)) && cfg!(unix) {
        return "open files";
    }
    match error.kind() {
        Kind::ConnectionRefused => "refused",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => match phase {
            Phase::Head => "reset",
            // ureq does not tell the one end from the other there.
            Phase::Body(_) => "truncated",
        },
        Kind::UnexpectedEof => eof(phase),
        Kind::TimedOut => "timeout",
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => "unreachable",
        kind => {
            // A custom error hides its inner one from `source`.
            let told = match error.get_ref() {
                Some(inner) => of_chain(inner, phase),
                None if error.to_string().contains("lookup") => "dns",
                None => "io",
            };
            // What undoes chunks or a compression says so of bytes that are not what they should be.
            let bad_data = matches!(kind, Kind::InvalidData | Kind::InvalidInput);
            match (told, phase) {
                ("io" | "other", Phase::Body(_)) if bad_data => "protocol",
                _ => told,
            }
        }
    }
}

fn eof(phase: Phase) -> &'static str {
    match phase {
        Phase::Head => "closed",
        Phase::Body(_) => "truncated",
    }
}

/// The message of the last error of the chain: the outer ones repeat the URL, and that there was
/// an error.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Failure, Phase, of_io};

    #[test]
    fn the_same_event_has_the_same_name_in_either_phase() {
        let eof = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(of_io(&eof, Phase::Head), "closed");
        assert_eq!(of_io(&eof, Phase::Body(200)), "truncated");
        let hidden = io::Error::other(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(of_io(&hidden, Phase::Head), "reset");
        assert_eq!(of_io(&hidden, Phase::Body(200)), "truncated");
        assert_eq!(
            of_io(&io::Error::from_raw_os_error(24), Phase::Head),
            "open files"
        );
    }

    #[test]
    fn data_that_is_none_is_the_protocol_s_in_a_body_alone() {
        let bad = io::Error::new(io::ErrorKind::InvalidInput, "no digit");
        assert_eq!(of_io(&bad, Phase::Body(200)), "protocol");
        assert_eq!(of_io(&bad, Phase::Head), "other");
        let tls = rustls::Error::DecryptError;
        let tls = io::Error::new(io::ErrorKind::InvalidData, tls);
        assert_eq!(of_io(&tls, Phase::Body(200)), "tls");
    }

    #[test]
    fn an_error_in_the_body_keeps_the_status() {
        let failure = Failure::ureq_body(io::Error::from(io::ErrorKind::UnexpectedEof), 200);
        assert_eq!(
            (failure.kind.as_str(), failure.status),
            ("truncated", Some(200))
        );
    }
}
