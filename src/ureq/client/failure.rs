//! What ureq's errors mean.
//!
//! Their kinds alone do not tell: a connection that is reset is one thing in a handshake and another
//! in a body. So each is read together with how far the exchange had come, and with what its job
//! knows: where that was cancelled or is out of time, the error is only how the thread heard of it.

use std::{io, time::Duration};

use ureq::Timeout;

use super::{
    body::Failure,
    error::{Error, is_disconnect},
    hand_over::Progress,
    kind::{ErrorKind, Part},
    measured::BodyFailed,
};
use crate::{
    error::Cancelled,
    job::Job,
    ureq::{Phase, call},
};

/// Where an error happened.
pub(super) struct Place<'a> {
    pub(super) progress: Progress,
    pub(super) job: &'a Job,
    /// How large a head may be.
    pub(super) head_limit: usize,
}

/// An error of the call that gives the head of a response.
pub(super) fn of_call(error: ureq::Error, place: &Place<'_>) -> Error {
    let progress = place.progress;
    let told = match error {
        ureq::Error::Io(error) => match take_body_failure(error) {
            Ok(failure) => Err(Error::new(ErrorKind::Body).source(failure)),
            Err(error) => Ok(ureq::Error::Io(error)),
        },
        error => Ok(error),
    };
    if place.job.remaining() == Some(Duration::ZERO) {
        return during(Error::new(ErrorKind::TimedOut), progress);
    }
    match told {
        Err(failed) if place.job.is_cancelled() => {
            drop(failed);
            during(Error::new(ErrorKind::Cancelled).source(Cancelled), progress)
        }
        Err(failed) => during(failed, progress),
        Ok(error) => of_ureq(error, place),
    }
}

/// An error of a read of the body of a response.
pub(super) fn of_body(error: io::Error, place: &Place<'_>) -> Error {
    of_call(ureq::Error::from(error), place)
}

fn of_ureq(error: ureq::Error, place: &Place<'_>) -> Error {
    let progress = place.progress;
    let (kind, phase) = kind_of(&error, place);
    let found = Error::new(kind);
    match &error {
        // Their texts have the whole URL in them, with all that is secret.
        ureq::Error::BadUri(_) => during(found.detail("its URL is not valid"), progress),
        ureq::Error::RequireHttpsOnly(_) => during(
            found.detail("the agent is configured for `https_only`"),
            progress,
        ),
        // As sure as can be: it is part of what ureq does before it sends.
        _ if phase.is_some_and(|phase| phase < Phase::Send) && progress.phase.is_none() => {
            // Unless a redirect has led here.
            let earlier = progress.received;
            found.during(phase, earlier, earlier).source(error)
        }
        _ => {
            let phase = progress.phase.or(phase);
            let found = found.during(phase, progress.sent, progress.received);
            found.source(error)
        }
    }
}

/// What it is, and in which phase it happens if that follows from what it is.
fn kind_of(error: &ureq::Error, place: &Place<'_>) -> (ErrorKind, Option<Phase>) {
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
        ureq::Error::LargeResponseHeader(_, limit) => (too_large(*limit), None),
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
    // That a connection broke in the middle of a response comes wrapped, see `cut`.
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return kind_of_io(inner, phase);
    }
    let kind = error.kind();
    match phase {
        _ if kind == io::ErrorKind::TimedOut => ErrorKind::TimedOut,
        Some(Phase::Resolve) => ErrorKind::Resolve,
        Some(Phase::Connect) => ErrorKind::Connect,
        Some(Phase::Tls) => ErrorKind::Tls,
        _ if is_disconnect(kind) => ErrorKind::PeerClosed,
        _ if phase_of_io(error).is_some() => ErrorKind::Connect,
        // Decompression, which is all that reads the bytes of a body.
        Some(Phase::Body) if is_data(kind) => ErrorKind::Decode,
        _ => ErrorKind::Io,
    }
}

/// Whether a decoder complains of nothing but that it was given no more: what is wrong is then the
/// connection.
///
/// An agent that is not ours does not say that it has ended, which is then taken for bad data.
pub(super) fn is_of_connection(why: &io::Error) -> bool {
    let by_us = why.get_ref().is_some_and(|inner| inner.is::<io::Error>());
    // ureq's own error for it is not to be told from that of a decoder, but for a text that both have
    // where something was to follow.
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
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    );
    connecting.then_some(Phase::Connect)
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

fn during(error: Error, progress: Progress) -> Error {
    error.during(progress.phase, progress.sent, progress.received)
}

/// What the user's body said, if that is what failed.
fn take_body_failure(error: io::Error) -> Result<Failure, io::Error> {
    if !error
        .get_ref()
        .is_some_and(|inner| inner.is::<BodyFailed>())
    {
        return Err(error);
    }
    let inner = error
        .into_inner()
        .map(|inner| inner.downcast::<BodyFailed>());
    match inner {
        Some(Ok(failed)) if failed.0.get_ref().is_some() => Ok(failed
            .0
            .into_inner()
            .unwrap_or_else(|| unreachable!("it was looked at a moment ago"))),
        Some(Ok(failed)) => Ok(Box::new(failed.0)),
        Some(Err(other)) => Ok(other),
        None => unreachable!("it was looked at a moment ago"),
    }
}

#[cfg(test)]
mod tests {
    use ErrorKind::{
        Body, Connect, Decode, Io, PeerClosed, Protocol, Redirect, Request, Resolve, TimedOut, Tls,
    };

    use super::*;
    use crate::lane::Lane;

    /// In a job, since only there an error means something.
    fn in_job<T: Send + 'static>(test: impl FnOnce(&Job) -> T + Send + 'static) -> T {
        let lane = Lane::builder("failure").own_threads(crate::lane::Threads::new());
        let task = lane.build().offload_with(test);
        futures_util::FutureExt::now_or_never(async {
            while !task.is_finished() {
                std::thread::yield_now();
            }
            task.await
        })
        .expect("it is finished")
        .expect("the job does not panic")
    }

    fn told(error: ureq::Error, phase: Option<Phase>, sent: bool) -> Error {
        in_job(move |job| {
            let progress = Progress {
                phase,
                sent,
                received: phase == Some(Phase::Body),
            };
            let place = Place {
                progress,
                job,
                head_limit: 64,
            };
            of_call(error, &place)
        })
    }

    fn io(kind: io::ErrorKind) -> ureq::Error {
        ureq::Error::Io(kind.into())
    }

    #[test]
    fn an_error_is_read_together_with_its_phase() {
        use io::ErrorKind as Kind;
        for (error, phase, kind, retryable) in [
            (ureq::Error::HostNotFound, Phase::Resolve, Resolve, true),
            (io(Kind::NotFound), Phase::Resolve, Resolve, true),
            (io(Kind::ConnectionRefused), Phase::Connect, Connect, true),
            (io(Kind::ConnectionReset), Phase::Connect, Connect, true),
            (
                ureq::Error::ConnectProxyFailed("407".into()),
                Phase::Connect,
                Connect,
                true,
            ),
            (io(Kind::ConnectionReset), Phase::Tls, Tls, true),
            (io(Kind::InvalidData), Phase::Tls, Tls, false),
            (ureq::Error::Tls("certificate"), Phase::Tls, Tls, false),
            (ureq::Error::TlsRequired, Phase::Tls, Tls, false),
            (io(Kind::BrokenPipe), Phase::Send, PeerClosed, false),
            (io(Kind::UnexpectedEof), Phase::Head, PeerClosed, false),
            (io(Kind::ConnectionAborted), Phase::Body, PeerClosed, false),
            (io(Kind::InvalidData), Phase::Body, Decode, false),
            (io(Kind::PermissionDenied), Phase::Head, Io, false),
            (ureq::Error::BodyStalled, Phase::Body, Protocol, false),
            (
                ureq::Error::Timeout(Timeout::Global),
                Phase::Connect,
                TimedOut,
                true,
            ),
            (
                ureq::Error::Timeout(Timeout::PerCall),
                Phase::Head,
                TimedOut,
                false,
            ),
            (ureq::Error::BodyExceedsLimit(3), Phase::Send, Body, false),
            (
                ureq::Error::BadUri("canary".into()),
                Phase::Resolve,
                Request,
                false,
            ),
            (
                ureq::Error::RequireHttpsOnly("canary".into()),
                Phase::Resolve,
                Request,
                false,
            ),
        ] {
            let text = error.to_string();
            let sent = phase >= Phase::Send;
            let error = told(error, Some(phase), sent);
            assert_eq!(error.kind(), kind, "{text} {phase}: {error:?}");
            assert_eq!(error.phase(), Some(phase), "{text}: {error:?}");
            assert_eq!(error.is_retryable(), retryable, "{text} {phase}: {error:?}");
            assert!(!format!("{error:?}{error}").contains("canary"), "{error:?}");
            assert_ne!(error.kind(), Redirect);
        }
    }

    /// What it is may tell when it was, where the agent does not.
    #[test]
    fn without_a_phase_only_what_is_sure_was_not_sent() {
        for (error, phase, retryable) in [
            (ureq::Error::HostNotFound, Some(Phase::Resolve), true),
            (
                io(io::ErrorKind::ConnectionRefused),
                Some(Phase::Connect),
                true,
            ),
            (
                ureq::Error::Timeout(Timeout::Connect),
                Some(Phase::Connect),
                true,
            ),
            (
                ureq::Error::Timeout(Timeout::RecvResponse),
                Some(Phase::Head),
                false,
            ),
            (ureq::Error::Timeout(Timeout::Global), None, false),
            (io(io::ErrorKind::ConnectionReset), None, false),
            (io(io::ErrorKind::UnexpectedEof), None, false),
        ] {
            let text = error.to_string();
            let error = told(error, None, true);
            assert_eq!(error.phase(), phase, "{text}: {error:?}");
            assert_eq!(error.is_retryable(), retryable, "{text}: {error:?}");
        }
    }

    #[test]
    fn what_fails_after_a_redirect_was_sent_before_it() {
        let error = in_job(|job| {
            let progress = Progress {
                phase: None,
                sent: true,
                received: true,
            };
            let place = Place {
                progress,
                job,
                head_limit: 64,
            };
            of_call(io(io::ErrorKind::ConnectionRefused), &place)
        });
        assert!(error.is_connect() && error.sent(), "{error:?}");
        assert!(!error.is_retryable(), "{error:?}");
    }

    #[test]
    fn the_error_of_a_body_is_the_one_that_the_user_gave() {
        #[derive(Debug, thiserror::Error)]
        #[error("out of paper")]
        struct Mine;
        let failed = |inner| ureq::Error::Io(io::Error::other(BodyFailed(inner)));
        let source_of = |error: &Error| {
            assert_eq!(error.kind(), Body);
            std::error::Error::source(error).map(|source| (source.is::<Mine>(), source.to_string()))
        };
        let error = told(failed(io::Error::other(Mine)), Some(Phase::Send), true);
        assert_eq!(source_of(&error), Some((true, "out of paper".to_owned())));
        let error = told(
            failed(io::ErrorKind::NotFound.into()),
            Some(Phase::Send),
            true,
        );
        assert_eq!(
            source_of(&error),
            Some((false, "entity not found".to_owned()))
        );
    }

    #[test]
    fn a_cancelled_job_and_one_out_of_time_have_only_one_error() {
        let told = in_job(|job| {
            let place = Place {
                progress: Progress::BODY,
                job,
                head_limit: 0,
            };
            let cancelled = ureq::Error::Other(Box::new(Cancelled));
            of_call(cancelled, &place).kind()
        });
        assert_eq!(told, ErrorKind::Cancelled);
    }
}
