//! The job of an exchange: the calls of ureq, one for each hop, and the body of the last.

#[cfg(test)]
mod tests;

use std::{
    cell::Cell,
    io::Read,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    Method, Request, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    request::Parts,
};
use ureq::{Agent, AsSendBody, SendBody};

use super::{
    body::Content,
    error::Error,
    failure::{Place, of_call},
    hand_over::{HandOver, Head, Progress},
    kind::ErrorKind,
    measured::Measured,
    pump::{Pump, Told},
    redirect::{BodyFate, Policy},
    request::check_target,
    upload::{Conduit, Intake},
};
use crate::{
    error::Cancelled,
    job::Job,
    sync::Arc,
    ureq::{Phase, call},
};

/// How much of the body of a redirect is read so that its connection can be used again.
const LEFTOVER: u64 = 16 << 10;

/// How long that may take, where it comes at all: about what it takes to make a connection.
const LEFTOVER_TIME: Duration = Duration::from_millis(100);

/// All that a worker needs of a request.
pub(super) struct Plan {
    pub(super) agent: Agent,
    pub(super) policy: Policy,
    pub(super) parts: Parts,
    pub(super) payload: Payload,
    /// How long the body of the user's is to be, if that was said.
    pub(super) length: Option<u64>,
}

/// The body of a request, as it goes to the worker.
pub(super) enum Payload {
    None,
    Bytes(Bytes),
    Blocking(Box<dyn Read + Send>),
    Stream(Arc<Conduit>),
    /// It was sent, and there is no second one.
    Spent,
}

impl Plan {
    /// Makes the exchange on this thread. What comes of it goes to `shared`.
    pub(super) fn run(self, shared: &Arc<HandOver>, job: &Job) {
        let trip = Trip {
            shared: shared.clone(),
            told: Told::default(),
            hops: Rc::default(),
        };
        let seen = trip.clone();
        let _watched = (trip.told).watch(shared.clone(), move || seen.progress());
        match self.hop(&trip, job) {
            Ok(Some(pump)) => pump.run(shared, &trip.told, job),
            Ok(None) => shared.finish(Ok(())),
            Err(error) => shared.finish(Err(error.at(shared.url()))),
        }
    }

    /// All hops, up to the head of the last. Its body is still to be read, if it can have one.
    fn hop(mut self, trip: &Trip, job: &Job) -> Result<Option<Pump>, Error> {
        let begun = Instant::now();
        let head_limit = self.agent.config().max_response_header_size();
        loop {
            call::begin();
            if !(trip.shared).begin(&self.parts.uri, trip.progress(), job.deadline()) {
                return Err(Error::new(ErrorKind::Cancelled).source(Cancelled));
            }
            let response = self.call(trip, job, begun).map_err(|error| {
                let progress = trip.progress();
                let place = Place {
                    progress,
                    job,
                    head_limit,
                };
                of_call(error, &place)
            })?;
            call::enter(Phase::Body);

            let (head, body) = response.into_parts();
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                let unasked = Error::new(ErrorKind::Protocol).detail("it switched protocols");
                return Err(after_head(unasked));
            }
            // Without either it ends with its connection, which is then of no use. (Or ureq decompresses
            // it, and keeps its length to itself: then a connection is lost that could have been kept.)
            let has_an_end = is_chunked(&head)
                || head.headers.contains_key(CONTENT_LENGTH)
                || body.content_length().is_some();
            let hops = trip.hops.get();
            let follow = (self.policy).follow(&mut self.parts, hops, head.status, &head.headers);
            match follow {
                Err(why) => return Err(after_head(Error::new(ErrorKind::Redirect).detail(why))),
                Ok(Some(fate)) => {
                    check_target(&self.parts, self.agent.config())
                        .map_err(|why| after_head(Error::new(ErrorKind::Redirect).detail(why)))?;
                    if has_an_end {
                        read_leftover(body);
                    }
                    self.next_payload(fate)?;
                    trip.hops.set(hops + 1);
                }
                Ok(None) => {
                    // ureq would have a body that is not there decompressed, and find it wanting.
                    let has_body = self.parts.method != Method::HEAD
                        && head.status != StatusCode::NO_CONTENT
                        && head.status != StatusCode::NOT_MODIFIED
                        && body.content_length() != Some(0);
                    let expected = length(&body).or_else(|| none(&self.parts.method, &head));
                    let is_chunked = is_chunked(&head);
                    trip.shared.head(Head {
                        expected,
                        parts: head,
                        uri: self.parts.uri,
                        hops,
                    });
                    if !trip.told.get() {
                        // The agent does not say when it waits, so this may be the last moment before.
                        trip.shared.flush(None);
                    }
                    // After the head: a decoder begins by reading its own.
                    return Ok(has_body.then(|| Pump::new(body, expected, is_chunked)));
                }
            }
        }
    }

    /// One call of ureq, which follows no redirect and takes every status for a response.
    fn call(
        &mut self,
        trip: &Trip,
        job: &Job,
        begun: Instant,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let parts = self.parts.clone();
        // What ureq's clock allows for the whole is for all hops together.
        let global = self.agent.config().timeouts().global;
        let left = global
            .filter(|_| trip.hops.get() > 0)
            .map(|global| global.saturating_sub(begun.elapsed()));
        let agent = &self.agent;
        match std::mem::replace(&mut self.payload, Payload::Spent) {
            Payload::None => {
                self.payload = Payload::None;
                if wants_body(&parts.method) {
                    run(agent, parts, &[][..], left)
                } else {
                    run(agent, parts, (), left)
                }
            }
            Payload::Bytes(bytes) => {
                let answer = run(agent, parts, &bytes[..], left);
                self.payload = Payload::Bytes(bytes);
                answer
            }
            Payload::Blocking(reader) => {
                let body = self.read_by_ureq(reader, trip)?;
                run(agent, parts, body, left)
            }
            Payload::Stream(conduit) => {
                let body = self.read_by_ureq(Intake::new(conduit, job), trip)?;
                run(agent, parts, body, left)
            }
            Payload::Spent => unreachable!("a redirect that needs it again was refused"),
        }
    }

    /// A body that ureq reads, held against its length.
    fn read_by_ureq(
        &self,
        reader: impl Read + 'static,
        trip: &Trip,
    ) -> Result<SendBody<'static>, ureq::Error> {
        let seen = trip.clone();
        let before = move || seen.shared.flush(Some(seen.progress()));
        let mut measured = Measured::new(reader, self.length, before);
        if self.length == Some(0) {
            // ureq takes that at its word and never reads.
            let read = measured.read(&mut [0])?;
            debug_assert_eq!(read, 0, "any more of it is an error");
        }
        Ok(SendBody::from_owned_reader(measured))
    }

    /// What is sent with the next hop.
    fn next_payload(&mut self, fate: BodyFate) -> Result<(), Error> {
        match (fate, &self.payload) {
            (BodyFate::Dropped, _) => self.payload = Payload::None,
            (BodyFate::Kept, Payload::Spent) => {
                let why = "it asks for the body again, which was a stream or a reader";
                return Err(after_head(Error::new(ErrorKind::Redirect).detail(why)));
            }
            (BodyFate::Kept, _) => {}
        }
        Ok(())
    }
}

/// An exchange under way, for all who want to know how far it is.
#[derive(Clone)]
struct Trip {
    shared: Arc<HandOver>,
    told: Told,
    hops: Rc<Cell<u32>>,
}

impl Trip {
    /// What the thread knows of its call. An agent that tells nothing leaves it at the beginning,
    /// and then the request may have been sent.
    fn progress(&self) -> Progress {
        let phase = call::phase();
        let known = self.told.get() || phase != Phase::Waiting;
        let hops = self.hops.get();
        Progress {
            phase: known.then_some(phase.max(Phase::Resolve)),
            sent: hops > 0 || !known || call::sent(),
            received: hops > 0 || call::received(),
        }
    }
}

impl From<Content> for Payload {
    /// A stream needs its other end first.
    fn from(content: Content) -> Self {
        match content {
            Content::None => Self::None,
            Content::Bytes(bytes) => Self::Bytes(bytes),
            Content::Blocking(reader) => Self::Blocking(reader),
            Content::Stream(_) => unreachable!("a stream goes by way of its conduit"),
        }
    }
}

/// Methods for which no body is sent as one of no bytes.
pub(super) fn wants_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn run(
    agent: &Agent,
    parts: Parts,
    body: impl AsSendBody,
    left: Option<Duration>,
) -> Result<http::Response<ureq::Body>, ureq::Error> {
    let mut config = agent
        .configure_request(Request::from_parts(parts, body))
        .http_status_as_error(false)
        .max_redirects(0);
    if left.is_some() {
        config = config.timeout_global(left);
    }
    agent.run(config.build())
}

fn after_head(error: Error) -> Error {
    let Progress {
        phase,
        sent,
        received,
    } = Progress::BODY;
    error.during(phase, sent, received)
}

/// Whether the body of a response is in chunks, as ureq sees it.
fn is_chunked(head: &http::response::Parts) -> bool {
    let codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let mut codings = codings
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    head.version != http::Version::HTTP_10
        && codings.any(|coding| coding.trim().eq_ignore_ascii_case("chunked"))
}

/// How many bytes of a body will be read, if that is known.
///
/// With ureq's feature `charset`, of which nothing tells us, text in another charset comes in UTF-8, and
/// with another length than it was sent with.
fn length(body: &ureq::Body) -> Option<u64> {
    let is_text = body
        .mime_type()
        .is_some_and(|kind| kind.starts_with("text/"));
    let is_utf8 = |charset: &str| {
        ["utf-8", "utf8"]
            .iter()
            .any(|name| charset.eq_ignore_ascii_case(name))
    };
    let may_change = is_text && !body.charset().is_none_or(is_utf8);
    body.content_length()
        .filter(|length| *length == 0 || !may_change)
}

/// The length of a body that has none, of which ureq says nothing.
fn none(method: &Method, head: &http::response::Parts) -> Option<u64> {
    // These say how long another response would be.
    let speaks_of_itself = *method != Method::HEAD
        && head.status != StatusCode::NO_CONTENT
        && head.status != StatusCode::NOT_MODIFIED
        && !head.headers.contains_key(TRANSFER_ENCODING);
    let says_none = head.headers.get(CONTENT_LENGTH)?.as_bytes() == b"0";
    (speaks_of_itself && says_none).then_some(0)
}

/// Reads a body that nobody wants, if it is short and soon there: a connection with something unread is
/// closed.
fn read_leftover(body: ureq::Body) {
    if body.content_length().is_some_and(|bytes| bytes > LEFTOVER) {
        return;
    }
    let _leftover = call::leftover(LEFTOVER_TIME);
    let mut reader = body
        .into_with_config()
        .limit(u64::MAX)
        .reader()
        .take(LEFTOVER);
    // An error means no more than that the connection is of no use.
    if std::io::copy(&mut reader, &mut std::io::sink()).is_ok() {
        let _ = reader.into_inner().read(&mut [0]);
    }
}
