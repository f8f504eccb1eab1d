//! The proxies that the environment names, for targets that are not on this machine.
//!
//! Both clients could read the environment themselves, but they differ in what they take from it.
//! A comparison needs one reading, and the reader needs to be shown it.

use std::env;

use url::Url;

use crate::target::{Target, masked};

/// Proxies as named by the environment.
#[derive(Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Hosts to be reached directly: names, `.domains` and `*`.
    direct: Vec<String>,
}

/// One of them, and the variable it comes from.
#[derive(Clone)]
struct Proxy {
    variable: &'static str,
    url: String,
}

impl Proxies {
    /// Reads the environment as curl does: lower case first, and no `HTTP_PROXY` in a CGI script.
    ///
    /// # Errors
    ///
    /// One line that names the variable whose value is no HTTP proxy.
    pub(crate) fn from_env() -> Result<Self, String> {
        let all = named(&["all_proxy", "ALL_PROXY"])?;
        let http = if env::var_os("REQUEST_METHOD").is_some() {
            named(&["http_proxy"])?
        } else {
            named(&["http_proxy", "HTTP_PROXY"])?
        };
        let https = named(&["https_proxy", "HTTPS_PROXY"])?;
        let direct = ["no_proxy", "NO_PROXY"]
            .iter()
            .find_map(|name| env::var(name).ok());
        Ok(Self {
            http: http.or_else(|| all.clone()),
            https: https.or(all),
            direct: direct
                .unwrap_or_default()
                .split(',')
                .map(|host| host.trim().to_ascii_lowercase())
                .filter(|host| !host.is_empty())
                .collect(),
        })
    }

    /// The URL of the proxy for `target`, and how to show it.
    pub(crate) fn of(&self, target: &Target) -> Option<(&str, String)> {
        let proxy = match target.url().scheme() {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        }?;
        if target.is_local() || self.is_direct(target.url().host_str().unwrap_or_default()) {
            return None;
        }
        Some((
            &proxy.url,
            format!("{} ({})", masked(&proxy.url), proxy.variable),
        ))
    }

    fn is_direct(&self, host: &str) -> bool {
        self.direct.iter().any(|entry| {
            let domain = entry.trim_start_matches("*.").trim_start_matches('.');
            let below = host
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'));
            entry == "*" || host == domain || below
        })
    }
}

/// The first of these variables that is set and not empty.
fn named(names: &[&'static str]) -> Result<Option<Proxy>, String> {
    for &variable in names {
        let Some(value) = env::var(variable).ok().filter(|value| !value.is_empty()) else {
            continue;
        };
        let url = if value.contains("://") {
            value
        } else {
            format!("http://{value}")
        };
        let http = Url::parse(&url).is_ok_and(|url| url.scheme() == "http" && url.has_host());
        if !http {
            return Err(format!(
                "{variable}={}: is no HTTP proxy (http://host:port); unset it, or add --no-proxy",
                crate::value::shown(&masked(&url))
            ));
        }
        return Ok(Some(Proxy { variable, url }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{Proxies, Proxy};
    use crate::target::Target;

    fn proxies(direct: &[&str]) -> Proxies {
        let proxy = Proxy {
            variable: "ALL_PROXY",
            url: "http://me:secret@proxy:3128".to_owned(),
        };
        Proxies {
            http: Some(proxy.clone()),
            https: Some(proxy),
            direct: direct.iter().map(|&entry| entry.to_owned()).collect(),
        }
    }

    fn used(proxies: &Proxies, url: &str) -> bool {
        proxies.of(&Target::parse(url).expect(url)).is_some()
    }

    #[test]
    fn local_and_excepted_targets_are_reached_directly() {
        let some = proxies(&["example.com", ".internal"]);
        assert!(used(&some, "http://other.org/"));
        assert!(!used(&some, "http://127.0.0.1/") && !used(&some, "http://localhost/"));
        assert!(!used(&some, "https://example.com/") && !used(&some, "https://api.example.com/"));
        assert!(used(&some, "https://badexample.com/"));
        assert!(!used(&some, "http://a.internal/"));
        assert!(!used(&proxies(&["*"]), "http://other.org/"));
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let some = proxies(&[]);
        let target = Target::parse("http://other.org/").expect("a URL");
        let (_, shown) = some.of(&target).expect("no exception holds");
        assert_eq!(shown, "http://me:***@proxy:3128 (ALL_PROXY)");
    }
}
