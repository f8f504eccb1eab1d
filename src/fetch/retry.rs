//! Whether there is another attempt, and when.

use std::{
    error::Error as StdError,
    fmt,
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};

use super::{
    error::Failure,
    kind::{ErrorKind, TimeLimit},
    known::{is_hopeless, is_known},
    retry_after::retry_after,
};
use crate::sync::Arc;

type OfRequest = Arc<dyn Fn(&Request<Bytes>) -> bool + Send + Sync>;
type OfError = Arc<dyn Fn(&(dyn StdError + 'static)) -> bool + Send + Sync>;

/// When a failed attempt is followed by another; for [`Fetcher::retry`](super::Fetcher::retry).
///
/// There is another only where that cannot do anything twice:
///
/// - The request cannot have been carried out. Known are the errors of our own client that say so
///   ([`is_retryable`](crate::ureq::Error::is_retryable)), jobs that
///   [never started](crate::Error::never_started), and our own
///   [`attempt_timeout`](super::Fetcher::attempt_timeout) while the service was not ready. They count
///   where they are what the service itself fails with, boxed or not, and not as a cause of that; and
///   of our client's errors, if they are about the URL of the item, and not about one to which a
///   layer went on. Of other errors [`retry_if`](Self::retry_if) has to tell: even a refused
///   connection is no proof, if redirects were followed before.
/// - Or the request was declared [idempotent](Self::idempotent). Then there is another attempt after
///   every error but a few that will be no better, and after the statuses 429, 502, 503 and 504.
///
/// And only while there is [budget](Self::budget), which all batches of a fetcher and its clones
/// share, and if the pause before it ends before the deadline. Else the last response or error is
/// the outcome. Between two attempts the item keeps its place among those in flight.
///
/// What cannot be seen from here is a layer that makes two calls for one, and passes on unchanged what is
/// said of the second: by our client, of the same URL, or by a lane that it is handed to. A retry in a
/// layer is one. Have either that or this.
///
/// What was cancelled on purpose, or stopped with its group, is not tried again, declared or not, and
/// nor is what found its lane closed.
///
/// The pause is random, between zero and the smaller of `cap` and `base` times two to the number of
/// retries so far ("full jitter", from Brooker's "Exponential Backoff And Jitter" on the AWS
/// Architecture Blog). If a response says `Retry-After`, the pause comes on top of that.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use longshore::fetch::Retry;
///
/// let retry = Retry::new(3)
///     .backoff(Duration::from_millis(50), Duration::from_secs(2))
///     .idempotent_if(|request| request.method() == "GET");
/// # drop(retry);
/// ```
#[derive(Clone)]
#[must_use = "a policy does nothing until it is given to a fetcher"]
pub struct Retry {
    pub(super) attempts: u32,
    base: Duration,
    cap: Duration,
    max_wait: Duration,
    pub(super) tokens: u32,
    pub(super) percent: u32,
    idempotent: Option<OfRequest>,
    unexecuted: Option<OfError>,
}

impl Retry {
    /// At most so many attempts for an item, the first included.
    ///
    /// # Panics
    ///
    /// If `attempts` is zero.
    #[track_caller]
    pub fn new(attempts: u32) -> Self {
        assert!(attempts > 0, "there must be at least 1 attempt, not 0");
        Self {
            attempts,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(10),
            max_wait: Duration::from_secs(30),
            tokens: 10,
            percent: 20,
            idempotent: None,
            unexecuted: None,
        }
    }

    /// What the pauses are made of, see above. Defaults to 100 ms and 10 s.
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }

    /// The longest `Retry-After` that is waited for. Defaults to 30 s. A server that asks for more
    /// is not asked again: its response is the outcome.
    pub fn max_wait(mut self, longest: Duration) -> Self {
        self.max_wait = longest;
        self
    }

    /// How many retries the fetcher may make in all: `tokens` to begin with, and for each item that
    /// begins `percent` of one more, of which no more than `tokens` are saved up, or one where that is
    /// zero. Defaults to 10 and 20: of a hundred items at most thirty are tried again.
    pub fn budget(mut self, tokens: u32, percent: u32) -> Self {
        self.tokens = tokens;
        self.percent = percent;
        self
    }

    /// Declares that every request may be carried out more than once. Defaults to none.
    pub fn idempotent(self) -> Self {
        self.idempotent_if(|_| true)
    }

    /// Declares those requests to be idempotent whose method is so by RFC 9110: `GET`, `HEAD`,
    /// `OPTIONS`, `TRACE`, `PUT` and `DELETE`. Replaces what was declared before.
    pub fn idempotent_methods(self) -> Self {
        self.idempotent_if(|request| {
            let method = request.method();
            method.is_safe() || [Method::PUT, Method::DELETE].contains(method)
        })
    }

    /// Declares which requests may be carried out more than once, those with an `Idempotency-Key`
    /// say. Replaces what was declared before.
    pub fn idempotent_if(
        mut self,
        declared: impl Fn(&Request<Bytes>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.idempotent = Some(Arc::new(declared));
        self
    }

    /// Says of which errors of the service it is certain that the request cannot have been carried
    /// out, in addition to those that are known. Defaults to none. Replaces what was said before.
    pub fn retry_if(
        mut self,
        unexecuted: impl Fn(&(dyn StdError + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.unexecuted = Some(Arc::new(unexecuted));
        self
    }

    /// The pause before the next attempt, if there may be one after `outcome`.
    ///
    /// `retries` is how many there were.
    pub(super) fn pause(
        &self,
        request: &Request<Bytes>,
        outcome: &Result<Response<Bytes>, Failure>,
        noted: Noted,
        retries: u32,
    ) -> Option<Duration> {
        let declared = || self.idempotent.as_ref().is_some_and(|is| is(request));
        match outcome {
            Ok(response) => {
                if !asks_again(response.status()) || !declared() {
                    return None;
                }
            }
            Err(failure) => {
                let safe = self.is_unexecuted(failure, noted.called, request.uri());
                if !safe && (is_hopeless(failure) || !declared()) {
                    return None;
                }
            }
        }
        let pause = self.backoff_for(retries, RandomState::new().hash_one(retries));
        match noted.asked_for {
            Some(asked_for) if asked_for > self.max_wait => None,
            // Not all who were told the same are to come at the same moment.
            Some(asked_for) => Some(pause.saturating_add(asked_for)),
            None => Some(pause),
        }
    }

    fn is_unexecuted(&self, failure: &Failure, called: bool, uri: &Uri) -> bool {
        if failure.kind == ErrorKind::TimedOut(TimeLimit::Attempt) {
            return !called;
        }
        let (ErrorKind::Service, Some(source)) = (failure.kind, &failure.source) else {
            return false;
        };
        // A service that was not ready because it is broken will not mend itself, whoever asks.
        called
            && (is_known(&**source, uri)
                || self.unexecuted.as_ref().is_some_and(|is| is(&**source)))
    }

    fn backoff_for(&self, retries: u32, random: u64) -> Duration {
        let factor = 1_u32.checked_shl(retries).unwrap_or(u32::MAX);
        let longest = self.base.saturating_mul(factor).min(self.cap);
        // 53 bits are what an f64 can hold: a fraction below 1.
        longest.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// Statuses with which a server says that it may go better another time.
fn asks_again(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// What is known of an attempt beside its outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noted {
    /// Whether the service was given the request.
    pub(super) called: bool,
    /// The pause that the server asked for, though the rest of its answer may not have come.
    asked_for: Option<Duration>,
}

impl Noted {
    /// The head of a response has come.
    pub(super) fn answer<B>(&mut self, response: &Response<B>) {
        if asks_again(response.status()) {
            self.asked_for = retry_after(response.headers(), SystemTime::now());
        }
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("attempts", &self.attempts)
            .field("base", &self.base)
            .field("cap", &self.cap)
            .field("max_wait", &self.max_wait)
            .field("tokens", &self.tokens)
            .field("percent", &self.percent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an attempt that got as far as the service.
    const CALLED: Noted = Noted {
        called: true,
        asked_for: None,
    };

    #[test]
    fn a_pause_is_random_below_a_bound_that_doubles_up_to_the_cap() {
        let ms = Duration::from_millis;
        let retry = Retry::new(9).backoff(ms(100), ms(1000));
        for (retries, longest) in [(0, 100), (1, 200), (3, 800), (4, 1000), (40, 1000)] {
            assert_eq!(retry.backoff_for(retries, 0), Duration::ZERO);
            let most = retry.backoff_for(retries, u64::MAX);
            assert!(most <= ms(longest) && most > ms(longest - 1), "{most:?}");
        }
    }

    #[test]
    fn only_what_cannot_have_been_carried_out_is_tried_again_unless_it_was_declared() {
        let lane = crate::lane::Lane::builder("web").limit(1).queue(0).build();
        lane.close();
        let closed = lane.try_offload(|| ()).unwrap_err();
        let no_runtime = || crate::error::Error::NoRuntime {
            lane: Arc::from("web"),
        };
        let cancelled = || crate::error::Error::Cancelled {
            lane: Arc::from("web"),
            phase: crate::error::Phase::Waiting,
        };
        let stopped = || crate::error::Error::Stopped {
            group: Arc::from("report"),
            cause: crate::error::Stop::TimedOut,
            phase: crate::error::Phase::Waiting,
        };
        let service = |error: super::super::Source| Failure::with(ErrorKind::Service, error);
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let post = Request::post("http://host/").body(Bytes::new()).unwrap();
        let plain = Retry::new(2);
        let knows = Retry::new(2).retry_if(|error| error.is::<std::io::Error>());
        let declared = Retry::new(2).idempotent();
        for (failure, expected) in [
            (service(no_runtime().into()), [true, true, true]),
            (service(closed.into()), [false, false, false]),
            (service(cancelled().into()), [false; 3]),
            (service(stopped().into()), [false; 3]),
            (service(refused().into()), [false, true, true]),
            (service("whatever".into()), [false, false, true]),
            // The second call of two, perhaps.
            (
                service(std::io::Error::other(no_runtime()).into()),
                [false, true, true],
            ),
            (Failure::timed_out(TimeLimit::Attempt), [false, false, true]),
            (Failure::timed_out(TimeLimit::Call), [false; 3]),
            (
                Failure::with(ErrorKind::Body, refused()),
                [false, false, true],
            ),
            (Failure::new(ErrorKind::TooLarge { limit: 1 }), [false; 3]),
        ] {
            let outcome = Err(failure);
            let told = [&plain, &knows, &declared]
                .map(|retry| retry.pause(&post, &outcome, CALLED, 0).is_some());
            assert_eq!(told, expected, "{outcome:?}");
        }
        let early = Err(Failure::timed_out(TimeLimit::Attempt));
        assert!(plain.pause(&post, &early, Noted::default(), 0).is_some());
    }

    #[test]
    fn a_status_is_a_reason_only_where_it_was_declared_and_the_server_is_obeyed() {
        let get = Request::get("http://host/").body(Bytes::new()).unwrap();
        let methods = Retry::new(2).idempotent_methods();
        let pause = |request: &Request<Bytes>, status: u16, after: &str| {
            let response = Response::builder()
                .status(status)
                .header("retry-after", after);
            let (response, mut noted) = (response.body(Bytes::new()).unwrap(), CALLED);
            noted.answer(&response);
            methods.pause(request, &Ok(response), noted, 0)
        };
        for status in [429, 502, 503, 504] {
            let pause = pause(&get, status, "3").unwrap();
            assert!(pause >= Duration::from_secs(3), "{pause:?}");
        }
        let post = Request::post("http://host/").body(Bytes::new()).unwrap();
        assert_eq!(pause(&post, 503, "3"), None);
        for status in [200, 400, 404, 500, 501] {
            assert_eq!(pause(&get, status, "3"), None);
        }
        assert_eq!(pause(&get, 503, "31"), None);
    }
}
