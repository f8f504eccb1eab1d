//! What ureq's errors mean.
//!
//! Their kinds alone do not tell: a connection that is reset is one thing in a handshake and another
//! in a body. So each is read together with how far the exchange had come, and with what its job
//! knows: where that was cancelled or is out of time, the error is only how the thread heard of it.

mod cases;
#[cfg(test)]
mod tests;

use std::{io, time::Duration};

pub(super) use self::cases::is_of_connection;
use self::cases::kind_of;
use super::{
    body::Failure, error::Error, hand_over::Progress, kind::ErrorKind, measured::BodyFailed,
};
use crate::{error::Cancelled, job::Job, ureq::Phase};

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
