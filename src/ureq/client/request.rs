//! What is checked of a request before anything of it is sent.

use http::{HeaderValue, Method, Version, header, request::Parts, uri::Scheme};
use ureq::config::Config;

use super::{
    body::Body,
    error::Error,
    headers::{set, set_unless_set},
    hops::wants_body,
    target::{Wrong, checked, shown},
};

/// Puts a request in order, or says what is wrong with it.
///
/// ureq finds some of this too, but with a connection open, or half-way through a body.
pub(super) fn check(parts: &mut Parts, body: &Body, config: &Config) -> Result<(), Error> {
    // Only a URL that was found to be one is shown.
    parts.uri = checked(&parts.uri).map_err(Error::request)?;
    check_rest(parts, body, config).map_err(|error| error.at(shown(&parts.uri)))
}

fn check_rest(parts: &mut Parts, body: &Body, config: &Config) -> Result<(), Error> {
    check_target(parts, config).map_err(Error::request)?;
    check_method(parts, config)?;
    check_headers(parts, config)?;
    if parts.headers.contains_key(header::RANGE) {
        // ureq asks for gzip by itself, and a part of what is packed cannot be unpacked.
        set_unless_set(
            &mut parts.headers,
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        )?;
    }
    check_length(parts, body)
}

/// Checks where it goes: what a redirect may change.
pub(super) fn check_target(parts: &Parts, config: &Config) -> Result<(), Wrong> {
    if config.https_only() && parts.uri.scheme() != Some(&Scheme::HTTPS) {
        return Err(
            "the scheme of its URL must be `https`, as the agent is configured for `https_only`"
                .to_owned(),
        );
    }
    let room = config.output_buffer_size();
    let path = parts.uri.path_and_query();
    let target = path.map_or(0, |path| path.as_str().len());
    if target + parts.method.as_str().len() + " HTTP/1.1\r\n ".len() > room {
        return Err(too_long("its URL", room));
    }
    Ok(())
}

/// Each line has to fit the buffer that it is sent from.
fn too_long(what: &str, room: usize) -> Wrong {
    format!("{what} must fit into the {room} bytes of `output_buffer_size` in the agent's `Config`")
}

fn check_method(parts: &Parts, config: &Config) -> Result<(), Error> {
    let method = &parts.method;
    if method == Method::CONNECT {
        return Err(Error::request(
            "the method CONNECT is for proxies: set one in the agent's `Config`",
        ));
    }
    let in_http10 = [Method::GET, Method::HEAD, Method::POST].contains(method);
    let in_http11 = in_http10
        || [
            Method::PUT,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
            Method::PATCH,
        ]
        .contains(method);
    match parts.version {
        Version::HTTP_11 | Version::HTTP_10 if config.allow_non_standard_methods() => Ok(()),
        Version::HTTP_11 if in_http11 => Ok(()),
        Version::HTTP_10 if in_http10 => Ok(()),
        version @ (Version::HTTP_11 | Version::HTTP_10) => Err(Error::request(format!(
            "{version:?} has no method {method}, which `allow_non_standard_methods` in the \
             agent's `Config` permits"
        ))),
        version => Err(Error::request(format!(
            "its version must be HTTP/1.1 or HTTP/1.0, not {version:?}"
        ))),
    }
}

fn check_headers(parts: &Parts, config: &Config) -> Result<(), Error> {
    let room = config.output_buffer_size();
    for (name, value) in &parts.headers {
        if name.as_str().len() + value.len() + ": \r\n\r\n".len() > room {
            let what = format!("the header `{name}`");
            return Err(Error::request(too_long(&what, room)));
        }
    }
    for name in [header::HOST, header::AUTHORIZATION] {
        let mut values = parts.headers.get_all(&name).iter();
        if values.any(|value| value.to_str().is_err()) {
            return Err(Error::request(format!(
                "the header `{name}` must be of visible ASCII characters"
            )));
        }
    }
    if parts.headers.get_all(header::HOST).iter().count() > 1 {
        return Err(Error::request("it must have one header `host`"));
    }
    if parts.headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Error::request(
            "the header `transfer-encoding` is set by the client, from the body",
        ));
    }
    Ok(())
}

/// The length that is announced is the one that is sent, and there is one.
fn check_length(parts: &mut Parts, body: &Body) -> Result<(), Error> {
    let mut announced = body.length().filter(|_| !body.is_none());
    if let (Some(said), Some(there)) = (body.length(), body.measured())
        && said != there
    {
        return Err(Error::request(format!(
            "its body has {there} bytes, and `with_length` says {said}"
        )));
    }
    let mut headers = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(value) = headers.next() {
        let digits = value
            .to_str()
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        let said: Option<u64> = digits.and_then(|digits| digits.parse().ok());
        let (Some(said), None) = (said, headers.next()) else {
            return Err(Error::request(
                "the header `content-length` must be one number",
            ));
        };
        if let Some(length) = body.length()
            && length != said
        {
            return Err(Error::request(format!(
                "the header `content-length` says {said}, and its body has {length} bytes"
            )));
        }
        announced = Some(said);
    }
    if parts.version == Version::HTTP_10 && announced.is_none() && !body.is_none() {
        return Err(Error::request(
            "HTTP/1.0 has no chunks, so its body must have a length: say `with_length`",
        ));
    }
    // ureq announces the length of bytes by itself, and of no body where there has to be one.
    if let Some(length) = announced
        && body.measured().is_none()
    {
        set(&mut parts.headers, header::CONTENT_LENGTH, length.into())?;
    } else if body.is_none() && wants_body(&parts.method) {
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    Ok(())
}

/// The length of a body that is read, as [`check`] left it.
pub(super) fn length_of(parts: &Parts) -> Option<u64> {
    let value = parts.headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn config() -> Config {
        ureq::Agent::config_builder().proxy(None).build()
    }

    fn told(request: Request<Body>) -> Result<Parts, String> {
        told_with(request, &config())
    }

    fn told_with(request: Request<Body>, config: &Config) -> Result<Parts, String> {
        let (mut parts, body) = request.into_parts();
        match check(&mut parts, &body, config) {
            Ok(()) => Ok(parts),
            Err(error) => {
                assert!(error.is_request() && !error.is_retryable(), "{error:?}");
                Err(error.to_string())
            }
        }
    }

    fn post(body: impl Into<Body>) -> Request<Body> {
        let request = Request::post("http://host/path");
        request.body(body.into()).unwrap()
    }

    fn reader() -> Body {
        Body::blocking(std::io::empty())
    }

    /// H23.
    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        let with = |name: &'static str, value: HeaderValue, body: Body| {
            let mut request = post(body);
            request.headers_mut().append(name, value);
            told(request).map(drop).unwrap_err()
        };
        let long = HeaderValue::from_bytes(&vec![b'x'; 1 << 20]).unwrap();
        for (wrong, words) in [
            (
                with("x-long", long, Body::empty()),
                ["`x-long`", "output_buffer_size"],
            ),
            (
                with("content-length", 3_u64.into(), Body::from("four")),
                ["says 3", "has 4 bytes"],
            ),
            (
                with("content-length", 5_u64.into(), reader().with_length(4)),
                ["says 5", "has 4 bytes"],
            ),
            (
                with(
                    "content-length",
                    HeaderValue::from_static("+4"),
                    "four".into(),
                ),
                ["content-length", "one number"],
            ),
            (
                with(
                    "transfer-encoding",
                    HeaderValue::from_static("gzip"),
                    "a".into(),
                ),
                ["transfer-encoding", "from the body"],
            ),
            (
                with(
                    "authorization",
                    HeaderValue::from_bytes(b"canary\xff").unwrap(),
                    "a".into(),
                ),
                ["`authorization`", "ASCII"],
            ),
            (
                told(post(Body::from("four").with_length(3)))
                    .map(drop)
                    .unwrap_err(),
                ["4 bytes", "says 3"],
            ),
        ] {
            for word in words {
                assert!(wrong.contains(word), "{wrong}");
            }
            assert!(!wrong.contains("canary"), "{wrong}");
        }
    }

    #[test]
    fn methods_and_versions_are_those_that_ureq_speaks() {
        let ask = |method: &str, version, config: &Config| {
            let mut request = post(());
            *request.method_mut() = method.parse().unwrap();
            *request.version_mut() = version;
            told_with(request, config).map(drop)
        };
        let strange = ureq::Agent::config_builder()
            .allow_non_standard_methods(true)
            .build();
        assert!(ask("PATCH", Version::HTTP_11, &config()).is_ok());
        assert!(ask("PATCH", Version::HTTP_10, &config()).is_err());
        assert!(ask("PURGE", Version::HTTP_11, &strange).is_ok());
        let wrong = ask("PURGE", Version::HTTP_11, &config()).unwrap_err();
        assert!(wrong.contains("allow_non_standard_methods"), "{wrong}");
        assert!(ask("GET", Version::HTTP_2, &config()).is_err());
        assert!(ask("CONNECT", Version::HTTP_11, &strange).is_err());
    }

    #[test]
    fn what_is_sent_in_http_1_0_has_a_length() {
        let old = |body: Body| {
            let mut request = post(body);
            *request.version_mut() = Version::HTTP_10;
            told(request).map(drop)
        };
        assert!(old(reader()).unwrap_err().contains("with_length"));
        for body in [reader().with_length(4), Body::from("four"), Body::empty()] {
            old(body).unwrap();
        }
    }

    #[test]
    fn a_part_of_a_body_is_not_asked_for_in_gzip() {
        let part = |encoding: Option<&'static str>| {
            let mut request = post(());
            let headers = request.headers_mut();
            headers.insert("range", HeaderValue::from_static("bytes=1-"));
            if let Some(encoding) = encoding {
                headers.insert("accept-encoding", HeaderValue::from_static(encoding));
            }
            told(request).unwrap().headers["accept-encoding"].clone()
        };
        assert_eq!(part(None), "identity");
        assert_eq!(part(Some("br")), "br", "whoever says so will know");
    }

    #[test]
    fn the_length_of_a_reader_is_announced_if_it_is_known() {
        let length = |request| length_of(&told(request).unwrap());
        assert_eq!(length(post(reader().with_length(9))), Some(9));
        assert_eq!(length(post(reader())), None);
        let mut request = post(reader());
        request.headers_mut().insert("content-length", 7_u64.into());
        assert_eq!(length(request), Some(7));
        assert_eq!(length(post("four")), None, "ureq does that by itself");
    }

    #[test]
    fn https_only_is_kept() {
        let config = ureq::Agent::config_builder().https_only(true).build();
        let wrong = told_with(post(()), &config).unwrap_err();
        assert!(wrong.contains("https_only"), "{wrong}");
    }
}
