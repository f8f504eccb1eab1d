//! The async client: ureq's vocabulary, over a lane.
//!
//! | file | what |
//! |---|---|
//! | `builder`, `body`, `response`, `stream`, `error`, `kind`, `service` | the public side, with [`Client`] here |
//! | `request`, `headers`, `target`, `encode` | what is checked before anything is sent |
//! | `redirect`, `reference` | whether a redirect is followed, and where it leads |
//! | `hops` | the job: one call of ureq for each hop |
//! | `pump`, `buffers` | reading the body, as long as there is room |
//! | `hand_over`, `exchange`, `future` | what lies between the thread and the caller, and the caller's half |
//! | `upload`, `chunks`, `measured` | a request body, the other way |
//! | `failure` | what ureq's errors mean |

mod body;
mod buffers;
mod builder;
mod chunks;
mod encode;
mod error;
mod exchange;
mod failure;
mod future;
mod hand_over;
mod headers;
mod hops;
mod interest;
mod kind;
mod measured;
mod pump;
mod redirect;
mod reference;
mod request;
mod response;
#[cfg(feature = "tower")]
mod service;
mod stream;
mod target;
mod upload;

use std::{fmt, sync::Arc};

use http::{HeaderName, Method, Request, Uri};
use ureq::Agent;

#[cfg(feature = "tower")]
pub use self::service::{ClientService, ServiceFuture};
pub use self::{
    body::Body,
    builder::RequestBuilder,
    error::Error,
    future::ResponseFuture,
    kind::{ErrorKind, Part},
    response::Response,
    stream::ResponseBody,
};
use self::{future::prepare, redirect::Policy};
use crate::lane::Lane;

/// An async HTTP client: calls of a [`ureq::Agent`], each a job of a [`Lane`].
///
/// An exchange is offloaded whole: name resolution, connection, TLS, request, redirects, head and
/// body of the response. It is one job, so one deadline and one cancel are for all of it, and
/// nothing of it blocks the runtime. Only a body that is read more slowly than it comes is more than
/// one: its thread leaves when 256 KiB wait to be read, and another comes back when half of them
/// were; it leaves as well where nobody waits for more for a while. However many half-read
/// bodies there are that nobody reads, they hold no thread and no slot of the lane, but for the short
/// times that [`ResponseBody`] names.
///
/// Take an agent made by [`longshore::ureq`](crate::ureq), so that a cancelled call frees its thread
/// and its socket at once. With another agent everything works too, but a cancelled call only ends
/// for its caller: its thread is counted as draining until the peer or one of the agent's own
/// timeouts lets go of it, a body whose server pauses keeps its thread, errors often do not know their
/// phase, a request that may not have been sent counts as sent, and TLS is set up anew, certificates and
/// all, for each connection.
///
/// What is set here for all requests: the size of bodies, redirects, secret headers. All else is the
/// agent's `Config`: proxies, TLS, user agent, timeouts of single phases. Its `max_redirects`,
/// `redirect_auth_headers` and `http_status_as_error` have no effect here, since the client follows
/// redirects by its own rules, and a 404 is a [`Response`]. It is cheap to clone, and never tries
/// anything again by itself.
///
/// # Examples
///
/// ```
/// # use std::io::{Read, Write};
/// use std::time::Duration;
/// use longshore::{Lane, ureq::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # std::thread::spawn(move || {
/// #     let mut peer = listener.accept().unwrap().0;
/// #     let _ = peer.read(&mut [0; 1024]);
/// #     peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
/// # });
/// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
/// let lane = Lane::builder("billing").limit(20).timeout(Duration::from_secs(10)).build();
/// let client = Client::new(lane, agent).max_body_size(1 << 20);
///
/// let response = client.get(&url).header("accept", "text/plain").send().await?;
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.text().await?, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    lane: Lane,
    settings: Arc<Settings>,
}

/// What is the same for all requests of a client.
#[derive(Clone)]
struct Settings {
    agent: Agent,
    policy: Policy,
    max_body_size: Option<u64>,
}

impl Client {
    /// A client whose exchanges are jobs of `lane` and calls of `agent`.
    ///
    /// The options of the handle, [`timeout`](Lane::timeout) and the others, are those of every
    /// request. The agent should keep as many idle connections per host as the lane has slots, since
    /// those beyond that are closed after their response: with [`config`](crate::ureq::config) it does, up
    /// to 1,000.
    #[must_use]
    pub fn new(lane: Lane, agent: Agent) -> Self {
        Self {
            lane,
            settings: Arc::new(Settings {
                agent,
                policy: Policy::default(),
                max_body_size: None,
            }),
        }
    }

    // ===== Settings =====

    /// How large the body of a response may be, in bytes after decompression.
    ///
    /// Defaults to 10 MiB for what collects a body ([`bytes`](Response::bytes),
    /// [`text`](Response::text), `json`) and to no limit for
    /// [streams](Response::stream), which hold no more than 256 KiB and a buffer at a time. Once it
    /// is set it is for both.
    #[must_use]
    pub fn max_body_size(self, bytes: u64) -> Self {
        self.with(|settings| settings.max_body_size = Some(bytes))
    }

    /// How many redirects are followed, one after the other. Defaults to 10; one more is an error.
    /// With 0 none is followed, and the redirect itself is the response.
    #[must_use]
    pub fn max_redirects(self, hops: u32) -> Self {
        self.with(|settings| settings.policy.max = hops)
    }

    /// Headers that a redirect must not take to another origin, that is another scheme, host or
    /// port.
    ///
    /// `Authorization`, `Cookie`, `Proxy-Authorization`, `WWW-Authenticate` and `Host` always are among
    /// them, and every header whose value is marked with [`http::HeaderValue::set_sensitive`].
    /// Defaults to no others. Replaces what was set before.
    #[must_use]
    pub fn sensitive_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let names = names.into_iter().collect();
        self.with(|settings| settings.policy.sensitive = names)
    }

    /// Whether redirects from https to http are followed. Defaults to no: they are errors.
    #[must_use]
    pub fn allow_downgrade(self, allow: bool) -> Self {
        self.with(|settings| settings.policy.allow_downgrade = allow)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// The lane that the exchanges are jobs of.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    // ===== Requests =====

    /// Begins a request with the method `GET`.
    pub fn get<U>(&self, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.request(Method::GET, url)
    }

    /// Begins a request with the method `POST`.
    pub fn post<U>(&self, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.request(Method::POST, url)
    }

    /// Begins a request with the method `PUT`.
    pub fn put<U>(&self, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.request(Method::PUT, url)
    }

    /// Begins a request with the method `DELETE`.
    pub fn delete<U>(&self, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.request(Method::DELETE, url)
    }

    /// Begins a request with the method `HEAD`.
    pub fn head<U>(&self, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.request(Method::HEAD, url)
    }

    /// Begins a request with the method `OPTIONS`.
    pub fn options<U>(&self, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.request(Method::OPTIONS, url)
    }

    /// Begins a request with the method `PATCH`.
    pub fn patch<U>(&self, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.request(Method::PATCH, url)
    }

    /// Begins a request with the method `TRACE`.
    pub fn trace<U>(&self, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.request(Method::TRACE, url)
    }

    /// Begins a request with any method. One that HTTP itself does not define is refused unless the agent
    /// was configured with `allow_non_standard_methods`.
    ///
    /// What is wrong with the URL is said by [`send`](RequestBuilder::send). It must be absolute,
    /// of scheme `http` or `https`, and hold no credentials: those belong in an `Authorization`
    /// header. What is not ASCII in its path and query is percent-encoded.
    pub fn request<U>(&self, method: Method, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        RequestBuilder::new(self.clone(), method, url)
    }

    /// Makes an exchange of a request of the `http` crate.
    ///
    /// Extensions of the request are there for the agent's middleware, on each hop. See
    /// [`RequestBuilder::send`] for what it does when.
    ///
    /// # Cancel safety
    ///
    /// As for [`RequestBuilder::send`].
    ///
    /// # Errors
    ///
    /// The future gives an [`Error`], also where the request is not valid. See [`ResponseFuture`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::{Read, Write};
    /// # use longshore::{Lane, ureq::Client};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let url = format!("http://{}/", listener.local_addr()?);
    /// # std::thread::spawn(move || {
    /// #     let mut peer = listener.accept().unwrap().0;
    /// #     let _ = peer.read(&mut [0; 1024]);
    /// #     peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    /// # });
    /// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    /// # let client = Client::new(Lane::builder("web").limit(4).build(), agent);
    /// let request = http::Request::delete(url).body(())?;
    /// assert_eq!(client.execute(request).await?.status(), 204);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn execute<B: Into<Body>>(&self, request: Request<B>) -> ResponseFuture {
        let (parts, body) = request.into_parts();
        self.start(parts, body.into())
    }

    #[track_caller]
    fn start(&self, parts: http::request::Parts, body: Body) -> ResponseFuture {
        match prepare(&self.settings, parts, body) {
            Ok(ready) => {
                let shared = ready.shared.clone();
                let plan = ready.plan;
                let task = self.lane.offload_with(move |job| plan.run(&shared, job));
                ready.rest.begin(self, task)
            }
            Err(error) => ResponseFuture::failed(error),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("lane", &self.lane.name())
            .field("max_body_size", &self.settings.max_body_size)
            .field("redirects", &self.settings.policy)
            .finish_non_exhaustive()
    }
}
