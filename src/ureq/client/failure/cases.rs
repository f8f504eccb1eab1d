//! Case by case, what an error of ureq's is: its kind, and its phase if there is but one for it.

use std::io;

use ureq::Timeout;

use super::{
    super::{
        error::is_disconnect,
        kind::{ErrorKind, Part},
    },
    Place,
};
use crate::{
    error::Cancelled,
    ureq::{Phase, call, interim},
};

/// What it is, and in which phase it happens if that follows from what it is.
pub(super) fn kind_of(error: &ureq::Error, place: &Place<'_>) -> (ErrorKind, Option<Phase>) {
    let phase = place.progress.phase;
    if place.job.is_cancelled() {
        return (ErrorKind::Cancelled, None);
    }
    match error {
        ureq::Error::Other(inner) if inner.is::<Cancelled>() => (ErrorKind::Cancelled, None),
        ureq::Error::Timeout(timeout) => (ErrorKind::TimedOut, phase_of(*timeout)),
        ureq::Error::HostNotFound => (ErrorKind::Resolve, Some(Phase::Resolve)),
        ureq::Error::ConnectionFailed
        | ureq::Error::InvalidProxyUrl
        | ureq::Error::ConnectProxyFailed(_) => (ErrorKind::Connect, Some(Phase::Connect)),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::RequireHttpsOnly(_) => {
            (ErrorKind::Request, None)
        }
        ureq::Error::Tls(_) | ureq::Error::TlsRequired => (ErrorKind::Tls, Some(Phase::Tls)),
        ureq::Error::LargeResponseHeader(_, interim::MOST) => (too_large(interim::MOST), None),
        // Or there was no room for more of it: of more than it may have, or behind TLS of less.
        ureq::Error::LargeResponseHeader(_, room) => (too_large(place.head_limit.min(*room)), None),
        ureq::Error::BodyExceedsLimit(_) => (ErrorKind::Body, None),
        // Said by a proxy, or of a request that was found wrong on its way out.
        ureq::Error::Protocol(_) if matches!(phase, Some(Phase::Connect | Phase::Tls)) => {
            (ErrorKind::Connect, None)
        }
        ureq::Error::Protocol(_) if phase.is_some_and(|phase| phase < Phase::Head) => {
            (ErrorKind::Request, None)
        }
        ureq::Error::Protocol(inner) if inner.to_string().contains("too many headers") => {
            (too_large(place.head_limit), None)
        }
        // In the middle of what is between two chunks.
        ureq::Error::BodyStalled if call::has_ended() => (ErrorKind::PeerClosed, None),
        ureq::Error::Protocol(_) | ureq::Error::BodyStalled => (ErrorKind::Protocol, None),
        ureq::Error::Io(error) => (kind_of_io(error, phase), phase_of_io(error)),
        ureq::Error::Decompress(_, why) if is_of_connection(why) => (kind_of_io(why, phase), None),
        // What belongs to TLS has several names, some there only with a feature of ureq's.
        _ => match phase {
            Some(Phase::Resolve) => (ErrorKind::Resolve, None),
            Some(Phase::Connect) => (ErrorKind::Connect, None),
            Some(Phase::Tls) => (ErrorKind::Tls, None),
            Some(Phase::Body) => (ErrorKind::Decode, None),
            _ if is_tls(error) => (ErrorKind::Tls, Some(Phase::Tls)),
            _ => (ErrorKind::Other, None),
        },
    }
}

fn kind_of_io(error: &io::Error, phase: Option<Phase>) -> ErrorKind {
    // What is wrong with a connection in the middle of a response comes wrapped, see `cut`. A decoder is
    // above that: if TLS finds something to be invalid, it is not the body.
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return match kind_of_io(inner, phase) {
            ErrorKind::Decode => ErrorKind::Io,
            kind => kind,
        };
    }
    let kind = error.kind();
    match phase {
        _ if kind == io::ErrorKind::TimedOut => ErrorKind::TimedOut,
        Some(Phase::Resolve) => ErrorKind::Resolve,
        Some(Phase::Connect) => ErrorKind::Connect,
        Some(Phase::Tls) => ErrorKind::Tls,
        _ if is_disconnect(kind) => ErrorKind::PeerClosed,
        // By Linux a connection that was made is told as well that nobody can be reached any more.
        None if is_unreachable(kind) || phase_of_io(error).is_some() => ErrorKind::Connect,
        // Decompression, which is all that reads the bytes of a body.
        Some(Phase::Body) if is_data(kind) => ErrorKind::Decode,
        _ => ErrorKind::Io,
    }
}

/// Whether a decoder complains of nothing but that it was given no more: what is wrong is then the
/// connection.
///
/// An agent that is not ours does not say that it has ended, which is then taken for bad data.
pub(in super::super) fn is_of_connection(why: &io::Error) -> bool {
    let by_us = why.get_ref().is_some_and(|inner| inner.is::<io::Error>());
    // Both ureq and the decoders say `UnexpectedEof`, with a text. But ureq says so only of a body that
    // ends with its connection before its length or its last chunk was there.
    let early = why.kind() == io::ErrorKind::UnexpectedEof && why.get_ref().is_some();
    by_us || why.raw_os_error().is_some() || (early && call::has_ended())
}

fn is_data(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

/// The phase that an error of the system stands for by itself.
fn phase_of_io(error: &io::Error) -> Option<Phase> {
    let connecting = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::AddrNotAvailable
    );
    connecting.then_some(Phase::Connect)
}

/// Whether the way to the peer is gone. That may be so before there is a connection, and afterwards.
fn is_unreachable(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

fn phase_of(timeout: Timeout) -> Option<Phase> {
    match timeout {
        Timeout::Resolve => Some(Phase::Resolve),
        Timeout::Connect => Some(Phase::Connect),
        Timeout::SendRequest | Timeout::SendBody => Some(Phase::Send),
        Timeout::RecvResponse => Some(Phase::Head),
        Timeout::RecvBody => Some(Phase::Body),
        _ => None,
    }
}

/// By the texts that they begin with: the variants are there only with features of ureq's.
fn is_tls(error: &ureq::Error) -> bool {
    let text = error.to_string();
    ["rustls: ", "native-tls: ", "der: ", "PEM: "]
        .iter()
        .any(|start| text.starts_with(start))
}

fn too_large(limit: usize) -> ErrorKind {
    ErrorKind::TooLarge {
        part: Part::Head,
        limit: limit as u64,
    }
}
