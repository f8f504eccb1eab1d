//! What is asked of a URL before it is requested, and what is shown of it.
//!
//! What a URL means in detail is the service's business. Here it has to have a host, since calls
//! are counted by host, and what is shown of it must hold no secret.

use http::{Uri, uri::Authority};

use crate::sync::Arc;

/// How much of a URL that cannot be read is shown.
const LONGEST: usize = 200;

/// What is wrong with a URL that has no scheme.
pub(super) const NOT_ABSOLUTE: &str = "it must be absolute, as in `http://host/path`";

/// The URL without credentials and query.
pub(super) fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", Authority::as_str);
    let place = without_credentials(authority);
    // `http` takes a path as it is, if it is UTF-8.
    format!("{scheme}://{place}{}", uri.path())
        .chars()
        .map(printable)
        .collect()
}

/// As [`shown`], of something that may not be a URL at all.
///
/// A password may hold a slash, a `?` or a `#` that should have been encoded, and a query an `@`. Where
/// it cannot be told which it is, too much is hidden.
pub(super) fn masked(text: &str) -> String {
    let is_scheme = |text: &str| {
        let mut bytes = text.bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let after_scheme = match text.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => scheme.len() + 3,
        _ => 0,
    };
    let (scheme, rest) = text.split_at(after_scheme);
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (place, hidden) = if user.contains(['?', '#']) {
        ("", true)
    } else {
        let end = place.find(['?', '#']).unwrap_or(place.len());
        until_password(&place[..end])
    };
    let mut shown: String = scheme
        .chars()
        .chain(place.chars())
        .map(printable)
        .take(LONGEST + 1)
        .collect();
    let too_long = shown.chars().count() > LONGEST;
    if too_long {
        shown.pop();
    }
    if too_long || hidden {
        shown.push('\u{2026}');
    }
    shown
}

/// A URL may not draw on the terminal that an error is printed to.
fn printable(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

/// What comes before a colon that no port follows, and whether there is one: what follows may be the
/// password of a URL that was cut off before its `@`.
fn until_password(place: &str) -> (&str, bool) {
    let authority = &place[..place.find('/').unwrap_or(place.len())];
    // Colons in brackets are those of an address, if that is what it begins with.
    let bracket = authority.rfind(']').filter(|_| authority.starts_with('['));
    let after_host = bracket.map_or(0, |at| at + 1);
    match authority[after_host..].split_once(':') {
        // With nothing behind the colon, the password may begin with what follows.
        Some((host, port)) if port.is_empty() || !is_port(port) => {
            (&place[..after_host + host.len()], true)
        }
        _ => (place, false),
    }
}

/// Nothing at all is one as well: the default one.
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn without_credentials(authority: &str) -> &str {
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place)
}

/// Host and port, in the form in which calls are counted by host. What is wrong, if there is none.
pub(super) fn host_of(uri: &Uri) -> Result<Arc<str>, &'static str> {
    let Some(scheme) = uri.scheme_str() else {
        return Err(NOT_ABSOLUTE);
    };
    let authority = uri.authority().filter(|all| !all.host().is_empty());
    let Some(authority) = authority else {
        return Err("it has no host, as in `http://host/path`");
    };
    let (host, place) = (authority.host(), without_credentials(authority.as_str()));
    let port = place.strip_prefix(host).unwrap_or_default();
    let port = port.strip_prefix(':').unwrap_or(port);
    if !is_port(port) {
        // `http` takes anything for a port: the beginning of a password, with the host as the user.
        return Err("its port must be a number");
    }
    let default = match scheme {
        "http" => "80",
        "https" => "443",
        _ => "",
    };
    let port = match (port, port.trim_start_matches('0')) {
        ("", _) => default,
        (_, "") => "0",
        (_, significant) => significant,
    };
    // A name with a dot at its end is the same one, written out.
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    Ok(Arc::from(format!("{host}:{port}")))
}

/// Whether `shown`, as the client shows URLs, is `uri`, but for the query.
#[cfg(feature = "ureq")]
pub(super) fn is_same(shown: &str, uri: &Uri) -> bool {
    let Ok(shown) = shown.parse::<Uri>() else {
        return false;
    };
    let place = |uri: &Uri| Some((uri.scheme().cloned()?, host_of(uri).ok()?));
    place(&shown).is_some()
        && place(&shown) == place(uri)
        && encoded(shown.path()) == encoded(uri.path())
}

/// A path in a form in which one that the client has encoded is what it was before.
#[cfg(feature = "ureq")]
fn encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len() + 1);
    // `http://host?query` has none.
    if !path.starts_with('/') {
        encoded.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/%-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_holds_no_secret() {
        let uri = "http://user:canary@host:8080/path?key=canary";
        assert_eq!(shown(&uri.parse().unwrap()), "http://host:8080/path");
        let drawing = "http://host/\u{9b}2J/\u{e9}".parse().unwrap();
        assert_eq!(shown(&drawing), "http://host/\u{fffd}2J/\u{e9}");
        for (given, seen) in [
            (uri, "http://host:8080/path"),
            (
                "http://u:canary@h\u{1b}[2J/p q?canary",
                "http://h\u{fffd}[2J/p q",
            ),
            ("http://u:ca/nary@host/", "http://host/"),
            ("http://u:can?ary@host/", "http://\u{2026}"),
            ("http://u:can#ary@host/", "http://\u{2026}"),
            ("http://h/p q?to=me@canary", "http://\u{2026}"),
            ("http://u:canary", "http://u\u{2026}"),
            ("http://u:can/ary", "http://u\u{2026}"),
            ("http://u:7@h:canary/x", "http://h\u{2026}"),
            ("http://u:can]ary", "http://u\u{2026}"),
            ("http://u:/canary", "http://u\u{2026}"),
            ("http:/u:canary", "http\u{2026}"),
            ("http://[::g]:80/x", "http://[::g]:80/x"),
            ("http://h:80/a:b", "http://h:80/a:b"),
            ("/path?to=http://canary", "/path"),
            ("canary@host", "host"),
            ("no url", "no url"),
            ("", ""),
            ("/path#canary", "/path"),
        ] {
            assert_eq!(masked(given), seen);
        }
        assert_eq!(masked(&"é".repeat(300)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_host_is_the_same_however_it_is_written() {
        let host = |url: &str| host_of(&url.parse().unwrap()).map(|host| host.to_string());
        assert_eq!(host("http://HOST/a").unwrap(), "host:80");
        assert_eq!(host("http://user@host:80/b?c").unwrap(), "host:80");
        assert_eq!(host("https://host").unwrap(), "host:443");
        assert_eq!(host("http://[::1]:8080/").unwrap(), "[::1]:8080");
        for same in ["http://host./", "http://host:080/", "http://host:/"] {
            assert_eq!(host(same).unwrap(), "host:80", "{same}");
        }
        assert_eq!(host("http://host:0/").unwrap(), "host:0");
        for password in ["http://u:canary/x@host/", "http://host:8o/", "http://h:-1/"] {
            assert!(host(password).unwrap_err().contains("port"), "{password}");
        }
        assert!(host("/path").unwrap_err().contains("absolute"));
        assert!(host("host").unwrap_err().contains("absolute"));
    }
    #[cfg(feature = "ureq")]
    #[test]
    fn a_url_is_known_again_as_the_client_writes_it() {
        let same = |shown: &str, url: &str| is_same(shown, &url.parse().unwrap());
        assert!(same("http://host/", "http://HOST:80?a=b"));
        assert!(same(
            "http://host:81/a%20b/%C3%A4%22",
            "http://host:081/a%20b/\u{e4}\"?c"
        ));
        for other in [
            "https://host/a",
            "http://host:81/a",
            "http://host/b",
            "http://h/a",
            "/a",
        ] {
            assert!(!same("http://host/a", other), "{other}");
        }
        assert!(!same("", "http://host/"));
    }
}
