//! Whether a redirect is followed, and with what.
//!
//! ureq would follow by itself, but takes a secret header of its user's to any host, takes an
//! `Authorization` to any port, and reads some locations as no browser does. So it is told to
//! follow none, and this is asked after each response.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, StatusCode, header, request::Parts, uri::Scheme};

use super::{
    reference::resolve,
    target::{Wrong, same_origin},
};

/// What is said of a body that is not there any more. See [`Policy::follow`].
const DESCRIBE_BODY: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
    header::EXPECT,
];

/// Headers that are for one origin only.
const SENSITIVE: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    header::WWW_AUTHENTICATE,
    // No secret, but wrong elsewhere.
    header::HOST,
];

/// What a client does about redirects.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// How many hops are followed; with 0 the redirect itself is the response.
    pub(super) max: u32,
    /// Whether from https to http.
    pub(super) allow_downgrade: bool,
    /// Headers of the user's that are for one origin only.
    pub(super) sensitive: Arc<[HeaderName]>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max: 10,
            allow_downgrade: false,
            sensitive: Arc::new([]),
        }
    }
}

/// What becomes of the body on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFate {
    /// It is sent again.
    Kept,
    /// The next request has none.
    Dropped,
}

impl Policy {
    /// Makes of `request` the one that comes after it, or leaves it as it is if the response is no
    /// redirect that is followed. `hops` have been made so far.
    ///
    /// The rules are those of browsers: a 303 is fetched with GET, as is a 301 or 302 after a POST,
    /// and all else stays as it was. What was for one origin only is removed for good when the
    /// origin changes.
    pub(super) fn follow(
        &self,
        request: &mut Parts,
        hops: u32,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<BodyFate>, Wrong> {
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) || self.max == 0 {
            return Ok(None);
        }
        let Some(location) = headers.get(header::LOCATION) else {
            return Err(format!("the server answered {status} without a `Location`"));
        };
        if hops >= self.max {
            return Err(format!("it would be one more than the limit of {hops}"));
        }
        let uri = resolve(&request.uri, location.as_bytes())?;
        if request.uri.scheme() == Some(&Scheme::HTTPS)
            && uri.scheme() != Some(&Scheme::HTTPS)
            && !self.allow_downgrade
        {
            return Err("it leads from https to http, which `allow_downgrade` permits".to_owned());
        }
        if !same_origin(&request.uri, &uri) {
            self.forget_secrets(&mut request.headers);
        }
        request.uri = uri;
        let fate = match (status, &request.method) {
            (StatusCode::SEE_OTHER, method) if *method != Method::HEAD => {
                request.method = Method::GET;
                BodyFate::Dropped
            }
            (StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND, &Method::POST) => {
                request.method = Method::GET;
                BodyFate::Dropped
            }
            _ => BodyFate::Kept,
        };
        if fate == BodyFate::Dropped {
            for name in &DESCRIBE_BODY {
                remove(&mut request.headers, name);
            }
        }
        Ok(Some(fate))
    }

    fn forget_secrets(&self, headers: &mut HeaderMap) {
        for name in SENSITIVE.iter().chain(&*self.sensitive) {
            remove(headers, name);
        }
        let marked: Vec<_> = headers
            .iter()
            .filter(|(_, value)| value.is_sensitive())
            .map(|(name, _)| name.clone())
            .collect();
        for name in &marked {
            remove(headers, name);
        }
    }
}

/// Removes every value of a header.
fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    // `HeaderMap::remove` takes all of a name's values and gives back the first.
    headers.remove(name);
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn request(method: &str, uri: &str) -> Parts {
        let mut secret = HeaderValue::from_static("canary");
        secret.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("accept", "text/plain")
            .header("authorization", "canary")
            .header("cookie", "canary")
            .header("cookie", "canary too")
            .header("proxy-authorization", "canary")
            .header("x-api-key", "canary")
            .header("x-marked", secret)
            .header("content-type", "text/plain")
            .header("content-length", "4")
            .body(());
        request.unwrap().into_parts().0
    }

    fn redirect(to: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_str(to).unwrap())])
    }

    fn policy() -> Policy {
        Policy {
            sensitive: Arc::new([HeaderName::from_static("x-api-key")]),
            ..Policy::default()
        }
    }

    /// H15.
    #[test]
    fn the_method_and_the_body_change_as_in_a_browser() {
        use BodyFate::{Dropped, Kept};
        for (status, method, next, fate) in [
            (301, "GET", "GET", Kept),
            (301, "HEAD", "HEAD", Kept),
            (301, "POST", "GET", Dropped),
            (301, "PUT", "PUT", Kept),
            (302, "GET", "GET", Kept),
            (302, "POST", "GET", Dropped),
            (302, "DELETE", "DELETE", Kept),
            (303, "GET", "GET", Dropped),
            (303, "HEAD", "HEAD", Kept),
            (303, "POST", "GET", Dropped),
            (303, "PUT", "GET", Dropped),
            (307, "POST", "POST", Kept),
            (307, "GET", "GET", Kept),
            (308, "POST", "POST", Kept),
            (308, "PATCH", "PATCH", Kept),
        ] {
            let mut parts = request(method, "http://host/a");
            let status = StatusCode::from_u16(status).unwrap();
            let told = policy().follow(&mut parts, 0, status, &redirect("b"));
            assert_eq!(told, Ok(Some(fate)), "{status} {method}");
            assert_eq!(parts.method.as_str(), next, "{status} {method}");
            assert_eq!(parts.uri, "http://host/b");
            let described = parts.headers.contains_key("content-length");
            assert_eq!(described, fate == Kept, "{status} {method}");
            assert!(parts.headers.contains_key("accept"));
        }
    }

    /// H14.
    #[test]
    fn nothing_sensitive_crosses_an_origin() {
        for (to, crosses) in [
            ("http://host/b", false),
            ("http://HOST:80/b", false),
            ("/b", false),
            ("http://host:8080/b", true),
            ("http://other/b", true),
            ("//host.evil/b", true),
            ("https://host/b", true),
        ] {
            let mut parts = request("GET", "http://host/a");
            let told = policy().follow(&mut parts, 0, StatusCode::FOUND, &redirect(to));
            assert_eq!(told, Ok(Some(BodyFate::Kept)), "{to}");
            let secrets = parts
                .headers
                .values()
                .filter(|value| value.as_bytes().starts_with(b"canary"))
                .count();
            assert_eq!(secrets, if crosses { 0 } else { 6 }, "{to}");
            assert!(parts.headers.contains_key("accept"), "{to}");
        }
    }

    #[test]
    fn what_was_removed_does_not_come_back_on_the_way_home() {
        let mut parts = request("GET", "http://host/a");
        for to in ["http://other/", "http://host/a"] {
            policy()
                .follow(&mut parts, 0, StatusCode::FOUND, &redirect(to))
                .unwrap();
        }
        assert!(!parts.headers.contains_key("authorization"));
    }

    #[test]
    fn https_is_not_left_unless_that_is_allowed() {
        let go = |policy: Policy| {
            let mut parts = request("GET", "https://host/a");
            policy.follow(&mut parts, 0, StatusCode::FOUND, &redirect("http://host/b"))
        };
        assert!(go(policy()).unwrap_err().contains("allow_downgrade"));
        let allowed = Policy {
            allow_downgrade: true,
            ..policy()
        };
        assert!(go(allowed).is_ok());
    }

    #[test]
    fn the_limit_is_kept_and_named() {
        let mut parts = request("GET", "http://host/a");
        let policy = Policy { max: 3, ..policy() };
        for hops in 0..3 {
            let told = policy.follow(&mut parts, hops, StatusCode::FOUND, &redirect("/a"));
            assert!(told.is_ok(), "{hops}");
        }
        let told = policy.follow(&mut parts, 3, StatusCode::FOUND, &redirect("/a"));
        assert!(told.unwrap_err().contains("limit of 3"));
    }

    #[test]
    fn with_a_limit_of_zero_the_redirect_is_the_response() {
        let mut parts = request("GET", "http://host/a");
        let policy = Policy { max: 0, ..policy() };
        let told = policy.follow(&mut parts, 0, StatusCode::FOUND, &redirect("/b"));
        assert_eq!(told, Ok(None));
        assert_eq!(parts.uri, "http://host/a");
    }

    #[test]
    fn other_statuses_are_no_redirects_and_a_redirect_needs_a_location() {
        let mut parts = request("GET", "http://host/a");
        for status in [200, 300, 304, 305, 404] {
            let status = StatusCode::from_u16(status).unwrap();
            let told = policy().follow(&mut parts, 0, status, &redirect("/b"));
            assert_eq!(told, Ok(None), "{status}");
        }
        let told = policy().follow(&mut parts, 0, StatusCode::FOUND, &HeaderMap::new());
        assert!(told.unwrap_err().contains("without a `Location`"));
    }
}
