//! A response: its head, and its body yet to be read.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, Version, response::Parts};

use super::{error::Error, hand_over::Head, kind::ErrorKind, stream::ResponseBody, target::shown};

/// A response, whatever its status.
///
/// The head is here; the body may still be coming. It is collected with [`bytes`](Self::bytes),
/// [`text`](Self::text) or `json`, or read as it comes with [`stream`](Self::stream).
///
/// Dropping it closes the connection if the body has not been read to its end, see
/// [`ResponseBody`].
pub struct Response {
    parts: Parts,
    url: Uri,
    hops: u32,
    body: ResponseBody,
}

impl Response {
    pub(super) fn new(head: Head, body: ResponseBody) -> Self {
        Self {
            parts: head.parts,
            url: head.uri,
            hops: head.hops,
            body,
        }
    }

    // ===== The head =====

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// The version of HTTP.
    #[must_use]
    pub fn version(&self) -> Version {
        self.parts.version
    }

    /// The headers. Where ureq decompresses the body, those that speak of the compressed one are
    /// left out; also of a `HEAD`, which has none. To learn that length, ask for it with
    /// `accept-encoding: identity`. (ureq knows the encodings as `gzip` and `br`, so written: a body whose
    /// encoding is called `x-gzip` comes as it was sent. Of two lines `content-encoding` it goes by the
    /// first and leaves out both.)
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The URL that the response came from: the last, if there were redirects. It may hold secrets
    /// in its query, as the one that was asked for may.
    #[must_use]
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// How many redirects were followed.
    #[must_use]
    pub fn redirects(&self) -> u32 {
        self.hops
    }

    /// How long the body is, in bytes, if the head says it and ureq will give it as it was sent: not
    /// if it is compressed, not if it is text in another charset than UTF-8, which ureq's feature
    /// `charset` would change, and not where there is no body, as after HEAD.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.body.expected()
    }

    /// The response itself, unless its status is one of a failure, 400 to 599.
    ///
    /// # Errors
    ///
    /// Of kind [`ErrorKind::Status`]. The body is dropped.
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
    /// #     peer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
    /// # });
    /// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    /// # let client = Client::new(Lane::builder("web").limit(4).build(), agent);
    /// let response = client.get(url).send().await?;
    /// assert_eq!(response.status(), 404);
    /// assert!(response.error_for_status().unwrap_err().is_status());
    /// # Ok(())
    /// # }
    /// ```
    pub fn error_for_status(self) -> Result<Self, Error> {
        let status = self.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(self);
        }
        let error = Error::new(ErrorKind::Status(status)).at(shown(&self.url));
        Err(error.during(Some(crate::ureq::Phase::Body), true, true))
    }

    // ===== The body =====

    /// The body as it comes, with back-pressure.
    ///
    /// It may be of any size, and a compressed one of a thousand times what was sent, unless
    /// [`max_body_size`](crate::ureq::Client::max_body_size) was set.
    pub fn stream(self) -> ResponseBody {
        self.body
    }

    /// All of the body.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the exchange: *the waiter* is free at once; *the thread*, if one
    /// reads at the moment, is interrupted, and the connection is closed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] if it is larger than
    /// [`max_body_size`](crate::ureq::Client::max_body_size), 10 MiB if that was not set; if it
    /// breaks off, is not what its head says, or the time is up, the error of that.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        self.body.bytes().await
    }

    /// All of the body, as text. It is read as UTF-8, whatever charset the head names (unless ureq's
    /// feature `charset` has translated it before, for which the charset must be named without quotes),
    /// and what is not UTF-8 becomes U+FFFD.
    ///
    /// # Cancel safety
    ///
    /// As for [`bytes`](Self::bytes).
    ///
    /// # Errors
    ///
    /// As for [`bytes`](Self::bytes).
    pub async fn text(self) -> Result<String, Error> {
        let bytes = self.bytes().await?;
        Ok(String::from_utf8(bytes.into())
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// All of the body, read as JSON. It is parsed where the future is polled: megabytes of it
    /// belong in a job of their own, over [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    ///
    /// As for [`bytes`](Self::bytes).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if it is not JSON of that type; otherwise as for
    /// [`bytes`](Self::bytes).
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        let url = shown(&self.url);
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(ErrorKind::Decode).source(error).at(url).during(
                Some(crate::ureq::Phase::Body),
                true,
                true,
            )
        })
    }

    /// As a response of the `http` crate. What [`url`](Self::url) says is among its extensions, as
    /// an [`http::Uri`].
    #[must_use]
    pub fn into_http(mut self) -> http::Response<ResponseBody> {
        self.parts.extensions.insert(self.url);
        http::Response::from_parts(self.parts, self.body)
    }
}

impl From<Response> for http::Response<ResponseBody> {
    fn from(response: Response) -> Self {
        response.into_http()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.parts.status)
            .field("url", &shown(&self.url))
            .field("redirects", &self.hops)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
