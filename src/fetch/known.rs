//! Errors that are known: those of our own client, and those of lanes.
//!
//! Of these it can be told whether the request was carried out, and whether another attempt would
//! come to anything else. An error that is not known says nothing of either.

use std::error::Error as StdError;

use http::Uri;

use super::{
    error::Failure,
    kind::{ErrorKind, TimeLimit},
};

/// Whether an error says of itself that the request to `uri` was not carried out. Its causes are not
/// asked, nor what is about another URL: a service that makes two calls for one request may have made
/// the first.
#[cfg_attr(
    not(feature = "ureq"),
    expect(unused_variables, reason = "no other error tells a URL")
)]
pub(super) fn is_known(error: &(dyn StdError + 'static), uri: &Uri) -> bool {
    #[cfg(feature = "ureq")]
    if let Some(known) = error.downcast_ref::<crate::ureq::Error>() {
        let same = known.url().is_some_and(|url| super::url::is_same(url, uri));
        return same && known.is_retryable() && !is_final(error);
    }
    let known = error.downcast_ref::<crate::error::Error>();
    known.is_some_and(|known| known.never_started() && !is_final(error))
}

/// Whether another attempt would come to the same.
pub(super) fn is_hopeless(failure: &Failure) -> bool {
    match failure.kind {
        ErrorKind::TimedOut(limit) => limit != TimeLimit::Attempt,
        ErrorKind::Service | ErrorKind::Body => {
            let source = failure.source.as_deref();
            source.is_some_and(|source| is_final(source))
        }
        ErrorKind::BadUrl
        | ErrorKind::NoTimer
        | ErrorKind::TooLarge { .. }
        | ErrorKind::Status(_)
        | ErrorKind::Parse
        | ErrorKind::Json
        | ErrorKind::Lane => true,
    }
}

/// Errors that are known, and known not to go away.
fn is_final(error: &(dyn StdError + 'static)) -> bool {
    #[cfg(feature = "ureq")]
    if let Some(error) = error.downcast_ref::<crate::ureq::Error>() {
        use crate::ureq::ErrorKind as Theirs;
        return match error.kind() {
            // Of a deadline too: a group that it has stopped stays stopped.
            Theirs::Lane | Theirs::TimedOut => is_unwanted(error.source()),
            // A handshake that broke off may go better, a refused certificate will not.
            Theirs::Tls => !error.is_retryable(),
            Theirs::Resolve
            | Theirs::Connect
            | Theirs::PeerClosed
            | Theirs::Protocol
            | Theirs::Io => false,
            // `Cancelled` among them: somebody wanted it to end.
            _ => true,
        };
    }
    is_unwanted(Some(error))
}

/// Whether the lane said that it is closed, and so stays, or that the job was not wanted any more.
fn is_unwanted(error: Option<&(dyn StdError + 'static)>) -> bool {
    use crate::error::Error as LaneError;
    let error = error.and_then(|error| error.downcast_ref());
    matches!(
        error,
        Some(LaneError::Closed { .. } | LaneError::Cancelled { .. } | LaneError::Stopped { .. })
    )
}
