//! Errors of ureq's with places, and what is made of them.

use ErrorKind::{
    Body, Connect, Decode, Io, PeerClosed, Protocol, Redirect, Request, Resolve, TimedOut, Tls,
};
use ureq::Timeout;

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
        (io(Kind::HostUnreachable), Phase::Connect, Connect, true),
        // A connection that is there may hear of it too.
        (io(Kind::HostUnreachable), Phase::Send, Io, false),
        (io(Kind::NetworkUnreachable), Phase::Head, Io, false),
        (io(Kind::NetworkDown), Phase::Body, Io, false),
        (io(Kind::ConnectionRefused), Phase::Body, Io, false),
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
        (io(io::ErrorKind::HostUnreachable), None, false),
        (io(io::ErrorKind::NetworkUnreachable), None, false),
        (io(io::ErrorKind::NetworkDown), None, false),
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
