//! Whom a URL speaks of: what is checked before anything is sent to it, and how it is shown.
//!
//! [`http::Uri`] knows the form of a URL and not its sense: it takes ports beyond 65535, schemes
//! that are not HTTP, and credentials, and ureq would quietly put port 80 for one that it cannot
//! read.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::{Uri, uri::Authority};

use super::encode::{Place, encode};

/// What is wrong with a URL, in words that go into an error. Never the URL itself, which may hold
/// credentials.
pub(super) type Wrong = String;

/// The URL as it is to be requested: with a scheme, a host in lower case and, if it is not the
/// default, a port.
pub(super) fn checked(uri: &Uri) -> Result<Uri, Wrong> {
    let Some(scheme) = uri.scheme_str() else {
        return Err("the URL must be absolute, as in `http://host/path`".to_owned());
    };
    let default_port = default_port(scheme)?;
    let Some(authority) = uri.authority() else {
        return Err("the URL has no host, as in `http://host/path`".to_owned());
    };
    let canonical = canonical(authority.as_str(), default_port)?;
    let as_given = uri.path_and_query().map_or("", |path| path.as_str());
    // `http://host?query` has no path, and a request needs one; what is not ASCII has to be encoded.
    let mut path = String::with_capacity(as_given.len() + 1);
    if !uri.path().starts_with('/') {
        path.push('/');
    }
    encode(&mut path, uri.path().as_bytes(), Place::Path);
    if let Some(query) = uri.query() {
        path.push('?');
        encode(&mut path, query.as_bytes(), Place::Query);
    }
    if canonical == authority.as_str() && path == as_given {
        return Ok(uri.clone());
    }
    format!("{scheme}://{canonical}{path}")
        .parse()
        .map_err(|error| format!("the URL is not valid: {error}"))
}

/// The port that a scheme stands for, if it is one of ours.
pub(super) fn default_port(scheme: &str) -> Result<u16, Wrong> {
    match scheme {
        "http" => Ok(80),
        "https" => Ok(443),
        other => Err(format!(
            "the scheme of a URL is `http` or `https`, not `{other}`"
        )),
    }
}

/// `host` or `host:port`, checked.
pub(super) fn canonical(authority: &str, default_port: u16) -> Result<String, Wrong> {
    if authority.contains('@') {
        return Err("a URL must hold no credentials: send an `Authorization` header".to_owned());
    }
    let host_end = if authority.starts_with('[') {
        authority.find(']').map_or(0, |at| at + 1)
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_end);
    if !is_host(host) {
        return Err(
            "the host of the URL must be a name in ASCII, or an IP address, an IPv6 one in \
             brackets"
                .to_owned(),
        );
    }
    let mut canonical = host.to_ascii_lowercase();
    match port.strip_prefix(':') {
        None if port.is_empty() => {}
        Some("") => {}
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port: u16 = digits
                .parse()
                .map_err(|_| "the port of the URL must be 65535 at the most".to_owned())?;
            if port != default_port {
                canonical.push_str(&format!(":{port}"));
            }
        }
        None | Some(_) => return Err("the port of the URL must be a number".to_owned()),
    }
    Ok(canonical)
}

fn is_host(host: &str) -> bool {
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
                && (!ends_in_a_number(host) || host.parse::<Ipv4Addr>().is_ok())
        }
    }
}

/// No name does: it would be taken for an address, by some in another way than by others, and by ureq
/// with its feature `cookies` with a panic. (WHATWG URL, "ends in a number".)
fn ends_in_a_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let hexadecimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let prefixed = last
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    decimal || (prefixed && hexadecimal(&last[2..]))
}

/// Scheme, host and port: what a secret may be sent to again.
pub(super) fn same_origin(a: &Uri, b: &Uri) -> bool {
    let origin = |uri: &Uri| {
        let scheme = uri.scheme_str()?.to_owned();
        let port = uri.port_u16().or(default_port(&scheme).ok())?;
        Some((scheme, uri.host()?.to_ascii_lowercase(), port))
    };
    match (origin(a), origin(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// The URL for messages: without credentials, and without the query, which may hold keys.
pub(super) fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", Authority::as_str);
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    format!("{scheme}://{place}{}", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<String, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
        checked(&uri).map(|uri| uri.to_string())
    }

    #[test]
    fn good_urls_are_put_in_their_usual_form() {
        for (given, asked) in [
            ("http://host/", "http://host/"),
            ("http://host", "http://host/"),
            ("http://HOST:80/A", "http://host/A"),
            ("https://host:443/", "https://host/"),
            ("http://host:443/", "http://host:443/"),
            ("http://host:/x", "http://host/x"),
            ("http://host?q=1", "http://host/?q=1"),
            (
                "http://host//a/\u{e4}?\u{fc}",
                "http://host//a/%C3%A4?%C3%BC",
            ),
            ("http://host/%20?%20", "http://host/%20?%20"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
            ("http://127.0.0.1:65535/", "http://127.0.0.1:65535/"),
            ("http://my_host.example./", "http://my_host.example./"),
            ("http://1.2.3.4.example/", "http://1.2.3.4.example/"),
            ("http://4you/", "http://4you/"),
        ] {
            assert_eq!(check(given).as_deref(), Ok(asked), "{given}");
        }
    }

    #[test]
    fn bad_urls_are_told_what_would_be_right() {
        for (given, word) in [
            ("/path", "absolute"),
            ("host", "absolute"),
            ("ftp://host/", "`ftp`"),
            ("http://user:canary@host/", "Authorization"),
            ("http://canary@host/", "Authorization"),
            ("http://host:99999/", "65535"),
            ("http://host:65536/", "65535"),
            ("http://:80/", "host"),
            ("http://[::g]/", "host"),
            ("http://ho~st/", "host"),
            ("http://1.2.3.4.5/", "IP address"),
            ("http://256.1.1.1/", "IP address"),
            ("http://host.0x1f/", "IP address"),
            ("http://host.7./", "IP address"),
        ] {
            let wrong = check(given).unwrap_err();
            assert!(wrong.contains(word), "{given}: {wrong}");
            assert!(!wrong.contains("canary"), "{given}: {wrong}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |a: &str, b: &str| same_origin(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("http://h/a", "http://H:80/b?c"));
        assert!(same("https://h/", "https://h:443/"));
        assert!(!same("http://h/", "https://h/"));
        assert!(!same("http://h/", "http://h:8080/"));
        assert!(!same("http://h/", "http://i/"));
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        let uri = "http://user:canary@host:8080/path?key=canary"
            .parse()
            .unwrap();
        assert_eq!(shown(&uri), "http://host:8080/path");
    }
}
