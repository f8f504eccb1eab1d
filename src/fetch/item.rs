//! What can be fetched.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Request, Uri};
use tokio::time::Instant;

use super::url::{NOT_ABSOLUTE, host_of, masked, shown};
use crate::sync::Arc;

/// Something that a [`Fetcher`](super::Fetcher) can fetch: a URL, or a request that is ready.
///
/// A URL is one in text (`&str`, `String`) or a [`Uri`], and is fetched with `GET`. The body of a
/// request is in memory, as `()`, `Bytes`, `Vec<u8>`, `String` or `&'static str`: so it can be sent
/// again where a [retry](super::Retry) asks for it.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use longshore::fetch::{BadUrl, IntoRequest};
///
/// struct Order(u32);
///
/// impl IntoRequest for Order {
///     fn into_request(self) -> Result<http::Request<Bytes>, BadUrl> {
///         format!("http://shop.example/orders/{}", self.0).into_request()
///     }
/// }
///
/// assert_eq!(Order(7).into_request().unwrap().uri().path(), "/orders/7");
/// assert!("not a URL".into_request().is_err());
/// ```
pub trait IntoRequest {
    /// The request that is to be made.
    ///
    /// # Errors
    ///
    /// If there is none: the item fails with it, in its own place among the results.
    fn into_request(self) -> Result<Request<Bytes>, BadUrl>;
}

/// Why something is not a URL that can be fetched.
///
/// `Display` says what is wrong; the [`Error`](super::Error) of the item repeats that, and has the URL
/// itself, without credentials and query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadUrl {
    url: String,
    reason: Cow<'static, str>,
}

impl BadUrl {
    /// What is wrong with `url`, in words. Of the URL no credentials and no query are kept.
    #[must_use]
    pub fn new(url: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            url: masked(url),
            reason: reason.into(),
        }
    }
}

impl IntoRequest for Uri {
    fn into_request(self) -> Result<Request<Bytes>, BadUrl> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self;
        Ok(request)
    }
}

impl IntoRequest for &str {
    fn into_request(self) -> Result<Request<Bytes>, BadUrl> {
        match self.parse::<Uri>() {
            Ok(uri) => uri.into_request(),
            // Without a scheme it is mostly that which is missing, and not what the parser met first.
            Err(_) if !self.contains("://") => Err(BadUrl::new(self, NOT_ABSOLUTE)),
            Err(error) => Err(BadUrl::new(self, error.to_string())),
        }
    }
}

impl IntoRequest for String {
    fn into_request(self) -> Result<Request<Bytes>, BadUrl> {
        self.as_str().into_request()
    }
}

impl IntoRequest for &String {
    fn into_request(self) -> Result<Request<Bytes>, BadUrl> {
        self.as_str().into_request()
    }
}

impl IntoRequest for Request<()> {
    fn into_request(self) -> Result<Request<Bytes>, BadUrl> {
        Ok(self.map(|()| Bytes::new()))
    }
}

impl IntoRequest for Request<Bytes> {
    fn into_request(self) -> Result<Self, BadUrl> {
        Ok(self)
    }
}

impl IntoRequest for Request<Vec<u8>> {
    fn into_request(self) -> Result<Request<Bytes>, BadUrl> {
        Ok(self.map(Bytes::from))
    }
}

impl IntoRequest for Request<String> {
    fn into_request(self) -> Result<Request<Bytes>, BadUrl> {
        Ok(self.map(Bytes::from))
    }
}

impl IntoRequest for Request<&'static str> {
    fn into_request(self) -> Result<Request<Bytes>, BadUrl> {
        Ok(self.map(Bytes::from))
    }
}

/// An item that was taken from the input.
pub(super) struct Call {
    pub(super) index: usize,
    /// Without credentials and query.
    pub(super) url: Arc<str>,
    /// `None` with a bad URL, which is no host's business.
    pub(super) host: Option<Arc<str>>,
    pub(super) request: Result<Request<Bytes>, BadUrl>,
    pub(super) taken: Instant,
}

impl Call {
    pub(super) fn new(index: usize, item: impl IntoRequest) -> Self {
        let taken = Instant::now();
        let checked = item
            .into_request()
            .and_then(|request| match host_of(request.uri()) {
                Ok(host) => Ok((host, request)),
                Err(reason) => Err(BadUrl::new(&request.uri().to_string(), reason)),
            });
        let (url, host, request) = match checked {
            Ok((host, request)) => (shown(request.uri()), Some(host), Ok(request)),
            Err(error) => (error.url.clone(), None, Err(error)),
        };
        Self {
            index,
            url: Arc::from(url),
            host,
            request,
            taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn requests_are_taken_as_they_are() {
        let request = Request::put("http://host/").body("text").unwrap();
        let call = Call::new(3, request);
        let request = call.request.unwrap();
        assert_eq!(
            (request.method(), &**request.body()),
            (&Method::PUT, &b"text"[..])
        );
        assert_eq!((call.index, &*call.url), (3, "http://host/"));
        assert_eq!(call.host.as_deref(), Some("host:80"));
    }

    #[test]
    fn what_is_no_url_is_told_without_its_secrets() {
        for bad in [
            "http://user:canary@ho st/?canary",
            "/path?canary",
            "",
            "http://?canary",
            "http://user:can?ary@h/canary",
            "http://user:canary#@h/",
        ] {
            let call = Call::new(0, bad);
            let error = call.request.unwrap_err();
            assert!(
                call.host.is_none() && !error.to_string().is_empty(),
                "{bad}"
            );
            assert!(
                !format!("{error} {error:?} {}", call.url).contains("canary"),
                "{bad}"
            );
        }
    }
    #[test]
    fn no_url_draws_on_a_terminal() {
        for url in ["http://h/\u{9b}2J\u{85}", "http://h /\u{9b}2J\u{1b}\u{7f}"] {
            let call = Call::new(0, url);
            assert!(!call.url.chars().any(char::is_control), "{:?}", call.url);
            assert_eq!(
                call.url.matches('\u{fffd}').count(),
                url.matches(char::is_control).count()
            );
        }
    }
}
