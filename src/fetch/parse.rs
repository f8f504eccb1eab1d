//! Making something of a response, off the runtime where that takes long.

use std::panic::Location;

use bytes::Bytes;
use futures_util::Stream;
use http::Response;

use super::{
    Source, call::Done, deadline::Deadline, error::Failure, kind::ErrorKind, stream::Fetches,
    turnstile::Turnstile,
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

impl<I> Fetches<I, Response<Bytes>>
where
    I: Stream,
{
    /// Makes something of each response, whatever its status.
    ///
    /// `f` is called where the stream is polled if the body is small, and in a lane otherwise: see
    /// [`Fetcher::parse_on`](super::Fetcher::parse_on). It is within the item's time. If it panics,
    /// that is the item's error.
    ///
    /// # Panics
    ///
    /// If the stream has been polled before.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::{Read, Write};
    /// use futures::StreamExt;
    /// use longshore::fetch::Fetcher;
    /// # use longshore::{Lane, ureq::Client};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// # let url = format!("http://{}/", listener.local_addr().unwrap());
    /// # std::thread::spawn(move || {
    /// #     let mut peer = listener.accept().unwrap().0;
    /// #     let _ = peer.read(&mut [0; 1024]);
    /// #     peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n1 2").unwrap();
    /// # });
    /// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    /// # let service = Client::new(Lane::builder("web").limit(4).build(), agent).service();
    /// let fetches = Fetcher::new(service).fetch_all([url]);
    /// let mut texts = fetches.parse(|response| String::from_utf8(response.into_body().into()));
    /// assert_eq!(texts.next().await.unwrap().result.unwrap(), "1 2");
    /// # }
    /// ```
    #[track_caller]
    pub fn parse<U, E, F>(self, f: F) -> Fetches<I, U>
    where
        F: Fn(Response<Bytes>) -> Result<U, E> + Send + Sync + 'static,
        U: Send + 'static,
        E: Into<Source>,
    {
        self.parse_with(move |response| f(response).map_err(unreadable))
    }

    /// Reads each response as JSON.
    ///
    /// A status that is not one of success (200 to 299) is an error,
    /// [`ErrorKind::Status`](super::ErrorKind::Status), whatever the body; what is not JSON of the
    /// type is one of kind [`Json`](super::ErrorKind::Json). As for where it is read, and within
    /// which time, see [`parse`](Self::parse).
    ///
    /// # Panics
    ///
    /// If the stream has been polled before.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::{Read, Write};
    /// use futures::StreamExt;
    /// use longshore::fetch::Fetcher;
    /// # use longshore::{Lane, ureq::Client};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// # let url = format!("http://{}/", listener.local_addr().unwrap());
    /// # std::thread::spawn(move || {
    /// #     let mut peer = listener.accept().unwrap().0;
    /// #     let _ = peer.read(&mut [0; 1024]);
    /// #     peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n[1, 2]").unwrap();
    /// # });
    /// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    /// # let service = Client::new(Lane::builder("web").limit(4).build(), agent).service();
    /// let mut numbers = Fetcher::new(service).fetch_all([url]).json::<Vec<u32>>();
    /// assert_eq!(numbers.next().await.unwrap().result.unwrap(), [1, 2]);
    /// # }
    /// ```
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json<U>(self) -> Fetches<I, U>
    where
        U: serde::de::DeserializeOwned + Send + 'static,
    {
        self.parse_with(|response| {
            let status = response.status();
            if !status.is_success() {
                return Err(Failure::new(ErrorKind::Status(status)));
            }
            let value = serde_json::from_slice(response.body());
            value.map_err(|error| Failure::with(ErrorKind::Json, error))
        })
    }

    #[track_caller]
    fn parse_with<U, F>(self, f: F) -> Fetches<I, U>
    where
        F: Fn(Response<Bytes>) -> Result<U, Failure> + Send + Sync + 'static,
        U: Send + 'static,
    {
        let parser = Parser::new(f, self.place(), Location::caller());
        self.and_then(|mut begin| {
            Box::new(move |call| {
                let (call, parser) = (begin(call), parser.clone());
                Box::pin(async move { parser.finish(call.await).await })
            })
        })
    }
}

/// Where responses are parsed.
#[derive(Clone)]
pub(super) struct Place {
    /// That of the process, if it was not said.
    pub(super) lane: Option<Lane>,
    /// Up to so many bytes where the stream is polled.
    pub(super) inline: usize,
}

/// A function of the user's over responses, or the one for JSON.
struct Parser<F> {
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
    fn new(f: F, place: Place, location: &'static Location<'static>) -> Self {
        Self {
            f: Arc::new(f),
            place,
            turnstile: Arc::default(),
            location,
        }
    }

    /// What the function makes of a call that gave a response, in the time that is left of it.
    async fn finish<U>(self, mut done: Done<Response<Bytes>>) -> Done<U>
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
fn unreadable(error: impl Into<Source>) -> Failure {
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
