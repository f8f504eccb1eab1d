//! A request in the making.

use std::{borrow::Cow, fmt, sync::Arc as StdArc, time::Duration};

use http::{
    HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts, uri::PathAndQuery,
};
use tokio::time::Instant;

use super::{
    Client,
    body::Body,
    encode::{Place, append_pair},
    error::Error,
    future::{MaxBodySize, ResponseFuture},
    headers::{TOO_MANY, set, set_unless_set},
};

/// A request in the making, from [`Client::get`] and the others.
///
/// What is wrong is kept, and is the outcome of [`send`](Self::send): nothing here panics, and
/// nothing is sent unless all of it is right.
///
/// # Examples
///
/// ```
/// # use std::io::{Read, Write};
/// # use longshore::{Lane, ureq::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}/search", listener.local_addr()?);
/// # std::thread::spawn(move || {
/// #     let mut peer = listener.accept().unwrap().0;
/// #     let mut head = [0; 1024];
/// #     let read = peer.read(&mut head).unwrap();
/// #     let line = String::from_utf8_lossy(&head[..read]).lines().next().unwrap().to_owned();
/// #     write!(peer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len()).unwrap();
/// # });
/// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
/// # let client = Client::new(Lane::builder("web").limit(4).build(), agent);
/// use std::time::Duration;
///
/// let response = client
///     .get(url)
///     .query("q", "rust & async")
///     .header("accept", "text/plain")
///     .timeout(Duration::from_secs(5))
///     .send()
///     .await?;
/// assert_eq!(response.text().await?, "GET /search?q=rust%20%26%20async HTTP/1.1");
/// # Ok(())
/// # }
/// ```
#[must_use = "a request is made by `send`"]
pub struct RequestBuilder {
    client: Client,
    request: Result<Making, Error>,
}

struct Making {
    parts: Parts,
    query: String,
    body: Body,
}

impl RequestBuilder {
    pub(super) fn new<U>(client: Client, method: Method, url: U) -> Self
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        let request = match url.try_into() {
            Ok(uri) => {
                let (mut parts, ()) = Request::new(()).into_parts();
                parts.method = method;
                parts.uri = uri;
                Ok(Making {
                    parts,
                    query: String::new(),
                    body: Body::empty(),
                })
            }
            Err(error) => Err(wrong("its URL is not valid", error)),
        };
        Self { client, request }
    }

    fn with(mut self, change: impl FnOnce(&mut Making) -> Result<(), Error>) -> Self {
        if let Ok(making) = &mut self.request
            && let Err(error) = change(making)
        {
            self.request = Err(error);
        }
        self
    }

    // ===== The request =====

    /// Adds a header. One of the same name that was set before stays.
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        K: TryInto<HeaderName>,
        K::Error: Into<http::Error>,
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        self.with(|making| {
            let name = name
                .try_into()
                .map_err(|error| wrong("the name of a header is not valid", error))?;
            let value = value.try_into().map_err(|error| {
                wrong(
                    format!("the value of the header `{name}` is not valid"),
                    error,
                )
            })?;
            let appended = making.parts.headers.try_append(name, value);
            appended.map_err(|error| wrong(TOO_MANY, error))?;
            Ok(())
        })
    }

    /// Adds a pair to the query, percent-encoded, behind what the URL has already.
    pub fn query(self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.with(|making| {
            append_pair(&mut making.query, key.as_ref(), value.as_ref(), Place::Pair);
            Ok(())
        })
    }

    /// Sets the header `Content-Type`.
    pub fn content_type<V>(self, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        self.with(|making| {
            let value = value.try_into().map_err(|error| {
                wrong("the value of the header `content-type` is not valid", error)
            })?;
            set(&mut making.parts.headers, header::CONTENT_TYPE, value)
        })
    }

    /// Sets the body. It says nothing of its [`content_type`](Self::content_type) by itself.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.with(|making| {
            making.body = body.into();
            Ok(())
        })
    }

    /// Sets the body to a value as JSON, and the content type accordingly if none was set.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.with(|making| {
            let json = serde_json::to_vec(value).map_err(|error| {
                Error::request("its body cannot be written as JSON").source(error)
            })?;
            making.set_typed(json, "application/json")
        })
    }

    /// Sets the body to pairs as an HTML form sends them, and the content type accordingly if none
    /// was set.
    pub fn form<K, V>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        self.with(|making| {
            let mut form = String::new();
            for (key, value) in pairs {
                append_pair(&mut form, key.as_ref(), value.as_ref(), Place::Form);
            }
            making.set_typed(form, "application/x-www-form-urlencoded")
        })
    }

    // ===== Its job =====

    /// How long the exchange may take, its wait in the lane, redirects and response body included,
    /// counted from [`send`](Self::send). Replaces what the client's lane has. See
    /// [`Lane::timeout`](crate::Lane::timeout).
    pub fn timeout(mut self, time: Duration) -> Self {
        self.client.lane = self.client.lane.timeout(time);
        self
    }

    /// When the exchange has to be over, its response body included. Replaces what the client's
    /// lane has. See [`Lane::deadline`](crate::Lane::deadline).
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.client.lane = self.client.lane.deadline(deadline);
        self
    }

    /// A name for the exchange in reports and traces. See [`Lane::label`](crate::Lane::label).
    pub fn label(mut self, label: impl Into<StdArc<str>>) -> Self {
        self.client.lane = self.client.lane.label(label);
        self
    }

    /// As [`Client::max_body_size`], for this request.
    pub fn max_body_size(self, bytes: u64) -> Self {
        self.with(|making| {
            making.parts.extensions.insert(MaxBodySize(bytes));
            Ok(())
        })
    }

    /// Makes the exchange.
    ///
    /// It is in the lane when this returns, and the time runs from here. The future resolves to the
    /// response when its head is there, whatever the status, or to an [`Error`]; redirects are
    /// followed before that. With a small response head and body come at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the exchange: *the waiter* is free at once, *the thread* is
    /// interrupted and the connection closed. See [`ResponseFuture`].
    ///
    /// # Errors
    ///
    /// The future gives an [`Error`], also where the request is not valid. See [`ResponseFuture`].
    #[track_caller]
    pub fn send(self) -> ResponseFuture {
        let made = self.request.and_then(Making::finish);
        match made {
            Ok((parts, body)) => self.client.start(parts, body),
            Err(error) => ResponseFuture::failed(error),
        }
    }
}

impl Making {
    fn set_typed(
        &mut self,
        body: impl Into<Body>,
        content_type: &'static str,
    ) -> Result<(), Error> {
        self.body = body.into();
        let value = HeaderValue::from_static(content_type);
        set_unless_set(&mut self.parts.headers, header::CONTENT_TYPE, value)
    }

    fn finish(mut self) -> Result<(Parts, Body), Error> {
        if !self.query.is_empty() {
            self.parts.uri = with_query(&self.parts.uri, &self.query)
                .map_err(|error| wrong("its query is not valid", error))?;
        }
        Ok((self.parts, self.body))
    }
}

/// The URL with more behind its query.
fn with_query(uri: &Uri, more: &str) -> Result<Uri, http::Error> {
    let path = match uri.path() {
        "" => "/",
        path => path,
    };
    let path = match uri.query() {
        None | Some("") => format!("{path}?{more}"),
        Some(query) => format!("{path}?{query}&{more}"),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path)?);
    Ok(Uri::from_parts(parts)?)
}

fn wrong(what: impl Into<Cow<'static, str>>, error: impl Into<http::Error>) -> Error {
    Error::request(what).source(error.into())
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RequestBuilder");
        match &self.request {
            Ok(making) => debug
                .field("method", &making.parts.method)
                .field("url", &super::target::shown(&making.parts.uri))
                .field("body", &making.body),
            Err(error) => debug.field("error", error),
        };
        debug.finish_non_exhaustive()
    }
}
