//! Making something of a response, off the runtime where that takes long.

use std::panic::Location;

use bytes::Bytes;
use http::Response;

use super::{
    Source, call::Done, deadline::Deadline, error::Failure, kind::ErrorKind, turnstile::Turnstile,
};
use crate::{
    error::{Error as LaneError, catch},
    lane::Lane,
    sync::Arc,
};

/// How large a body is at most that is parsed where the stream is polled, unless it is said
/// otherwise.
///
/// serde_json was measured to read 16 KiB in 40 µs into structs and in 80 µs into a `Value`: as long
/// as anything should hold a runtime's thread, and a few times what the way to another thread and
/// back takes.
pub(super) const INLINE: usize = 16 << 10;

/// Where responses are parsed.
#[derive(Clone)]
pub(super) struct Place {
    /// That of the process, if it was not said.
    pub(super) lane: Option<Lane>,
    /// Up to so many bytes where the stream is polled.
    pub(super) inline: usize,
}

/// A function of the user's over responses, or the one for JSON.
pub(super) struct Parser<F> {
    f: Arc<F>,
    place: Place,
    /// Before the line for room there, as before the service.
    turnstile: Arc<Turnstile>,
    location: &'static Location<'static>,
}

impl<F> Clone for Parser<F> {
    fn clone(&self) -> Self {
        Self {
            f: self.f.clone(),
            place: self.place.clone(),
            turnstile: self.turnstile.clone(),
            location: self.location,
        }
    }
}

impl<F> Parser<F> {
    pub(super) fn new(f: F, place: Place, location: &'static Location<'static>) -> Self {
        Self {
            f: Arc::new(f),
            place,
            turnstile: Arc::default(),
            location,
        }
    }

    /// What the function makes of a call that gave a response, in the time that is left of it.
    pub(super) async fn finish<U>(self, mut done: Done<Response<Bytes>>) -> Done<U>
    where
        F: Fn(Response<Bytes>) -> Result<U, Failure> + Send + Sync + 'static,
        U: Send + 'static,
    {
        let response = std::mem::replace(&mut done.result, Err(Failure::new(ErrorKind::Parse)));
        let result = match response {
            Err(failure) => Err(failure),
            Ok(response) if response.body().len() <= self.place.inline => {
                catch(self.location, || (self.f)(response))
                    .unwrap_or_else(|panic| Err(not_parsed(panic.into())))
            }
            Ok(response) => {
                let parsed = self.elsewhere(response, done.url.clone(), done.deadline);
                done.deadline.keep(parsed).await
            }
        };
        done.and(result)
    }

    async fn elsewhere<U>(
        &self,
        response: Response<Bytes>,
        url: Arc<str>,
        deadline: Deadline,
    ) -> Result<U, Failure>
    where
        F: Fn(Response<Bytes>) -> Result<U, Failure> + Send + Sync + 'static,
        U: Send + 'static,
    {
        let lane = self
            .place
            .lane
            .as_ref()
            .unwrap_or_else(|| lane_of_the_process());
        // A full lane is waited for, and not an error.
        let turn = self.turnstile.enter().await;
        let permit = lane.label(url).reserve().await.map_err(not_parsed)?;
        // As before a service is called.
        deadline.check()?;
        let f = self.f.clone();
        let parsed = permit.offload(move || f(response));
        drop(turn);
        // What does not fit the type is dropped where it was made.
        parsed.await.unwrap_or_else(|error| Err(not_parsed(error)))
    }
}

fn not_parsed(error: LaneError) -> Failure {
    Failure::with(ErrorKind::Lane, error)
}

/// An error of the user's parser.
pub(super) fn unreadable(error: impl Into<Source>) -> Failure {
    Failure::with(ErrorKind::Parse, error)
}

/// As many at once as there are processors: more would only wait for one another.
#[cfg(feature = "rayon")]
fn lane_of_the_process() -> &'static Lane {
    use std::{sync::LazyLock, thread::available_parallelism};

    static PARSE: LazyLock<Lane> = LazyLock::new(|| {
        let processors = available_parallelism().map_or(1, usize::from);
        Lane::builder("parse")
            .limit(processors)
            .rayon_global()
            .build()
    });
    &PARSE
}

#[cfg(not(feature = "rayon"))]
fn lane_of_the_process() -> &'static Lane {
    crate::lane::default_lane()
}
