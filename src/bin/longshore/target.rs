//! The reader's own endpoints: read strictly, shown without passwords and without what a query asks
//! with, since a page or a log is made to be passed on.
//!
//! The `url` crate follows browsers, which mend what they can: it drops line breaks, encodes spaces
//! and takes a port that equals the default for none. A tool that is about to send requests asks
//! back instead.

use std::fmt;

use base64::Engine as _;
use url::{Host, Url};

use crate::mask::{masked, without_values};
use crate::value::shown;

/// A longer URL is refused by most servers, and is a slip more often than a wish.
pub(crate) const LONGEST: usize = 8 * 1024;

/// An endpoint: its URL without user information, and the header made from that.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    url: Url,
    /// The name that a password is for.
    user: Option<String>,
    authorization: Option<String>,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what would be right; it contains no password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |reason: String| Err(format!("'{}': {reason}", shown(&masked(text))));
        if text.is_empty() {
            return wrong("must be a URL such as http://127.0.0.1:8080/delay/300".to_owned());
        }
        if text.len() > LONGEST {
            return wrong(format!("a URL must have at most {LONGEST} bytes"));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return wrong(
                "a URL must not contain spaces or line breaks (a space is %20)".to_owned(),
            );
        }
        let scheme = text
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let rest = text.get(scheme.len()..).unwrap_or_default();
        if !matches!(scheme.as_str(), "http" | "https") || !rest.starts_with("://") {
            return wrong("must begin with http:// or https://".to_owned());
        }
        // `http:///path` would be mended into a host of that name.
        if rest
            .get(3..)
            .is_none_or(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#', '\\']))
        {
            return wrong("has no host".to_owned());
        }
        let mut url = match Url::parse(text) {
            Ok(url) => url,
            Err(url::ParseError::InvalidPort) => {
                return wrong("the port must be a whole number from 1 to 65535".to_owned());
            }
            Err(error) => return wrong(error.to_string()),
        };
        // A colon with no port behind it would be mended into the default one.
        let authority = rest[3..].split(['/', '?', '#', '\\']).next();
        if url.port() == Some(0) || authority.is_some_and(|authority| authority.ends_with(':')) {
            return wrong("the port must be a whole number from 1 to 65535".to_owned());
        }
        url.set_fragment(None);
        // `url` allows more in a host than the clients do.
        let host = url.host_str().unwrap_or_default();
        if host.parse::<ureq::http::uri::Authority>().is_err() {
            return wrong("has a character in its host that no client sends".to_owned());
        }

        let has_password = url.password().is_some();
        // A name alone may be a key.
        let user = has_password.then(|| url.username().to_owned());
        let authorization = (has_password || !url.username().is_empty()).then(|| {
            let decoded = |part: &str| percent_decoded(part);
            let mut pair = decoded(url.username());
            pair.push(b':');
            pair.extend(decoded(url.password().unwrap_or_default()));
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(pair)
            )
        });
        url.set_username("")
            .and_then(|()| url.set_password(None))
            .expect("a URL with a host");
        Ok(Self {
            url,
            user,
            authorization,
        })
    }

    /// The URL to be called, without user information.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The header `authorization`, if the URL had user information.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// True for an address of this machine: nobody else is bothered by what is sent there.
    pub(crate) fn is_local(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => {
                address.is_loopback()
                    || address
                        .to_ipv4_mapped()
                        .is_some_and(|mapped| mapped.is_loopback())
            }
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
            None => false,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = without_values(self.url.as_str());
        match (&self.user, &self.authorization) {
            (None, None) => f.write_str(&url),
            (user, _) => {
                let rest = url.split_once("://").map_or(&*url, |(_, rest)| rest);
                let user = user.as_deref().unwrap_or_default();
                write!(f, "{}://{user}:***@{rest}", self.url.scheme())
            }
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        // Digits alone: the parser would take a sign as well.
        let hex = text
            .get(at + 1..at + 3)
            .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::{Target, percent_decoded};

    #[test]
    fn what_is_no_url_of_ours_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "must be a URL"),
            ("ftp://127.0.0.1/", "http:// or https://"),
            ("127.0.0.1:80", "http:// or https://"),
            ("http:/127.0.0.1/", "http:// or https://"),
            ("http://", "no host"),
            ("http:///path", "no host"),
            ("http://127.0.0.1:99999/", "1 to 65535"),
            ("http://127.0.0.1:0/", "1 to 65535"),
            ("http://127.0.0.1:http/", "1 to 65535"),
            ("http://127.0.0.1:/", "1 to 65535"),
            ("http://me:@[::1]:?a", "1 to 65535"),
            ("https://127.0.0.1:", "1 to 65535"),
            ("http://[::1", "IPv6"),
            ("http://a{b/", "in its host"),
            ("https://me:secret@a`b:80/", "in its host"),
            ("http://a b/", "spaces"),
            ("http://127.0.0.1/a b", "spaces"),
            ("http://127.0.0.1/\r\nhost: b", "line breaks"),
            (
                &format!("http://127.0.0.1/{}", "x".repeat(65_536)),
                "8192 bytes",
            ),
        ] {
            let error = Target::parse(text).expect_err(text);
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains('\n') && error.len() < 300, "{error}");
        }
    }

    #[test]
    fn other_scripts_are_encoded_and_not_guessed_at() {
        let target = Target::parse("http://bücher.example/é").expect("a URL");
        assert_eq!(target.to_string(), "http://xn--bcher-kva.example/%C3%A9");
        assert!(!target.is_local());
    }

    #[test]
    fn passwords_become_a_header_and_are_never_shown() {
        let target = Target::parse("https://me:s%40crt@localhost:8443/x#part").expect("a URL");
        assert_eq!(target.to_string(), "https://me:***@localhost:8443/x");
        assert_eq!(target.url().as_str(), "https://localhost:8443/x");
        assert_eq!(target.authorization(), Some("Basic bWU6c0BjcnQ="));
        assert!(!format!("{target:?}").contains("crt"));
        for text in [
            "http://me:secret@h:99999/",
            "ftp://me:secret@h/",
            "http://me:sec@ret@[::1",
        ] {
            let error = Target::parse(text).expect_err(text);
            assert!(!error.contains("sec") && error.contains("***"), "{error}");
        }
    }

    #[test]
    fn what_is_encoded_are_two_digits_and_no_sign() {
        for (text, decoded) in [
            ("a%40b%2Fc", "a@b/c"),
            ("%+5%-1%5", "%+5%-1%5"),
            ("%%41%", "%A%"),
            ("100%é", "100%é"),
        ] {
            assert_eq!(percent_decoded(text), decoded.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_a_query_asks_for_is_shown_and_not_with_what() {
        for (given, shown) in [
            ("http://h/?key=canary", "http://h/?key=***"),
            (
                "http://h/a?b=canary=canary&c=&canary&",
                "http://h/a?b=***&c=&***&",
            ),
            ("http://canary@h/?canary", "http://:***@h/?***"),
            ("http://canary:@h/?canary", "http://:***@h/?***"),
            ("http://h/a?", "http://h/a?"),
            (
                "http://h/a?b=http://me:canary@h?canary=1",
                "http://h/a?b=***",
            ),
        ] {
            let target = Target::parse(given).expect("a URL");
            assert_eq!(target.to_string(), shown);
            assert!(target.url().as_str().contains("canary") || !given.contains("canary"));
        }
        for wrong in ["http://h:99999/?key=canary", "http://h:99999/?key=#canary"] {
            let error = Target::parse(wrong).expect_err("no port");
            assert!(!error.contains("canary"), "{error}");
            assert!(error.contains("h:99999/?key="), "{error}");
        }
    }

    #[test]
    fn local_targets_are_told_apart() {
        let local = |text: &str| Target::parse(text).expect(text).is_local();
        assert!(local("http://127.0.0.1/") && local("http://127.1/") && local("http://[::1]:80/"));
        assert!(local("http://localhost:1/") && local("http://a.localhost/"));
        assert!(!local("http://example.com/") && !local("http://10.0.0.1/"));
        assert!(!local("http://localhost.example/") && !local("http://0.0.0.0/"));
    }
}
