//! The proxies that the environment names, for targets that are not on this machine.
//!
//! Both clients could read the environment themselves, but they differ in what they take from it.
//! A comparison needs one reading, and the reader needs to be shown it.

use std::env;

use url::Url;

use crate::direct::Direct;
use crate::mask::masked;
use crate::target::Target;

/// Proxies as named by the environment.
#[derive(Default)]
pub(crate) struct Proxies {
    http: Option<Named>,
    https: Option<Named>,
    direct: Direct,
}

/// A proxy, or why it is none. That hurts nobody until a target would be reached through it.
type Named = Result<Through, String>;

/// A proxy to go through.
#[derive(Clone)]
pub(crate) struct Through {
    pub(crate) url: String,
    /// How to show it: without its password, with the variable that it comes from.
    pub(crate) shown: String,
}

impl Proxies {
    /// Reads the environment as curl does: lower case first, and no `HTTP_PROXY` in a CGI script.
    pub(crate) fn from_env() -> Self {
        let all = named(&["all_proxy", "ALL_PROXY"]);
        let http = if env::var_os("REQUEST_METHOD").is_some() {
            named(&["http_proxy"])
        } else {
            named(&["http_proxy", "HTTP_PROXY"])
        };
        let https = named(&["https_proxy", "HTTPS_PROXY"]);
        let direct = ["no_proxy", "NO_PROXY"]
            .iter()
            .filter_map(|name| env::var(name).ok())
            .find(|list| !list.is_empty());
        Self {
            http: http.or_else(|| all.clone()),
            https: https.or(all),
            direct: Direct::parse(&direct.unwrap_or_default()),
        }
    }

    /// The proxy for `target`, if it is not reached directly.
    ///
    /// # Errors
    ///
    /// One line that names the variable whose value is no HTTP proxy.
    pub(crate) fn of(&self, target: &Target) -> Result<Option<Through>, String> {
        let is_direct = |host| self.direct.holds(&host);
        if target.is_local() || target.url().host().is_some_and(is_direct) {
            return Ok(None);
        }
        match target.url().scheme() {
            "https" => self.https.clone(),
            _ => self.http.clone(),
        }
        .transpose()
    }
}

/// The first of these variables that is set and not empty.
fn named(names: &[&'static str]) -> Option<Named> {
    let value = |&name: &&'static str| env::var(name).ok().map(|value| (name, value));
    let (variable, value) = names
        .iter()
        .filter_map(value)
        .find(|(_, value)| !value.is_empty())?;
    Some(read(variable, value))
}

fn read(variable: &str, value: String) -> Named {
    let text = if value.contains("://") {
        value
    } else {
        format!("http://{value}")
    };
    // As it is once it was mended, a brace in a password encoded for one: else it is a URL for one of
    // the clients and none for the other. ureq also wants text of what is encoded.
    let url = Url::parse(&text)
        .ok()
        .filter(|url| url.scheme() == "http" && url.has_host())
        .map(|url| url.as_str().trim_end_matches('/').to_owned())
        .filter(|url| ureq::Proxy::new(url).is_ok());
    match url {
        Some(url) => Ok(Through {
            shown: format!("{} ({variable})", masked(&url)),
            url,
        }),
        None => Err(format!(
            "{variable}={}: is no HTTP proxy (http://host:port); unset it, or add --no-proxy",
            crate::value::shown(&masked(&text))
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Direct, Proxies, read};
    use crate::target::Target;

    fn proxies(value: &str, direct: &str) -> Proxies {
        let proxy = read("ALL_PROXY", value.to_owned());
        Proxies {
            http: Some(proxy.clone()),
            https: Some(proxy),
            direct: Direct::parse(direct),
        }
    }

    fn some(direct: &str) -> Proxies {
        proxies("http://me:secret@proxy:3128", direct)
    }

    fn used(proxies: &Proxies, url: &str) -> bool {
        let proxy = proxies.of(&Target::parse(url).expect(url));
        proxy.expect("it is a proxy").is_some()
    }

    #[test]
    fn local_and_excepted_targets_are_reached_directly() {
        let some_direct = some("example.com,10.0.0.0/8");
        assert!(used(&some_direct, "http://other.org/"));
        assert!(!used(&some_direct, "http://127.0.0.1/"));
        assert!(!used(&some_direct, "http://localhost/"));
        assert!(!used(&some_direct, "https://example.com/"));
        assert!(!used(&some_direct, "http://10.0.0.5/"));
        assert!(!used(&some("*"), "http://other.org/"));
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let target = Target::parse("http://other.org/").expect("a URL");
        let proxy = some("").of(&target).expect("it is a proxy");
        let shown = proxy.expect("no exception holds").shown;
        assert_eq!(shown, "http://me:***@proxy:3128 (ALL_PROXY)");
    }

    #[test]
    fn what_is_no_proxy_is_told_for_a_target_that_would_be_reached_through_it() {
        for wrong in [
            "socks5://me:secret@p:1",
            "https://p:1",
            "http://",
            "p:x",
            "http://%FF@p:1",
        ] {
            let none = proxies(wrong, "direct.org");
            let of = |url| none.of(&Target::parse(url).expect("a URL"));
            assert!(matches!(of("http://127.0.0.1/"), Ok(None)), "{wrong}");
            assert!(matches!(of("https://direct.org/"), Ok(None)), "{wrong}");
            let error = of("http://other.org/").err().expect(wrong);
            assert!(error.starts_with("ALL_PROXY="), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        // And for no other one.
        let http_alone = Proxies {
            http: None,
            ..proxies("https://p:1", "")
        };
        assert!(!used(&http_alone, "http://other.org/"));
    }

    #[test]
    fn both_clients_are_given_the_same_url_of_a_proxy() {
        for (given, url) in [
            ("proxy", "http://proxy"),
            ("http://Proxy:80/", "http://proxy"),
            (
                "http://me:se{c}ret@proxy:3128",
                "http://me:se%7Bc%7Dret@proxy:3128",
            ),
        ] {
            let proxy = read("http_proxy", given.to_owned()).expect(given);
            assert_eq!(proxy.url, url);
            assert!(ureq::Proxy::new(url).is_ok() && reqwest::Proxy::all(url).is_ok());
        }
    }
}
