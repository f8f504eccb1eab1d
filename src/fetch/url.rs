//! What is asked of a URL before it is requested, and what is shown of it.
//!
//! What a URL means in detail is the service's business. Here it has to have a host, since calls
//! are counted by host, and what is shown of it must hold no secret.

use http::{Uri, uri::Authority};

use crate::sync::Arc;

/// How much of a URL that cannot be read is shown.
const LONGEST: usize = 200;

/// The URL without credentials and query.
pub(super) fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", Authority::as_str);
    format!(
        "{scheme}://{}{}",
        without_credentials(authority),
        uri.path()
    )
}

/// As [`shown`], of something that may not be a URL at all.
pub(super) fn masked(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (scheme, rest) = match text[..end].split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("", &text[..end]),
    };
    // A password may hold a slash that should have been encoded: better hide too much.
    let place = without_credentials(rest);
    let scheme = if scheme.is_empty() {
        String::new()
    } else {
        format!("{scheme}://")
    };
    // Nor may a URL draw on the terminal that an error is printed to.
    let mut shown: String = scheme
        .chars()
        .chain(place.chars())
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(LONGEST + 1)
        .collect();
    if shown.chars().count() > LONGEST {
        shown.pop();
        shown.push('\u{2026}');
    }
    shown
}

fn without_credentials(authority: &str) -> &str {
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place)
}

/// Host and port, in the form in which calls are counted by host. What is wrong, if there is none.
pub(super) fn host_of(uri: &Uri) -> Result<Arc<str>, &'static str> {
    let Some(scheme) = uri.scheme_str() else {
        return Err("it must be absolute, as in `http://host/path`");
    };
    let authority = uri.authority().filter(|all| !all.host().is_empty());
    let Some(authority) = authority else {
        return Err("it has no host, as in `http://host/path`");
    };
    let host = authority.host().to_ascii_lowercase();
    let default = match scheme {
        "http" => "80",
        "https" => "443",
        _ => "",
    };
    let port = authority.port();
    let port = port.as_ref().map_or(default, |port| port.as_str());
    Ok(Arc::from(format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_holds_no_secret() {
        let uri = "http://user:canary@host:8080/path?key=canary";
        assert_eq!(shown(&uri.parse().unwrap()), "http://host:8080/path");
        for (given, seen) in [
            (uri, "http://host:8080/path"),
            (
                "http://u:canary@h\u{1b}[2J/p q?canary",
                "http://h\u{fffd}[2J/p q",
            ),
            ("http://u:ca/nary@host/", "http://host/"),
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
        assert!(host("/path").unwrap_err().contains("absolute"));
        assert!(host("host").unwrap_err().contains("absolute"));
    }
}
