//! Which hosts no proxy is for, as `NO_PROXY` names them.
//!
//! It is read as curl reads it, and as reqwest does: names with what is below them, addresses, networks,
//! and `*` for all. Ports are for neither of them.

use std::net::IpAddr;

use url::Host;

use crate::value::whole;

/// The entries of `NO_PROXY`.
#[derive(Default)]
pub(crate) struct Direct(Vec<Entry>);

enum Entry {
    All,
    /// Addresses whose first so many bits are these; all of them, for one address.
    Network(IpAddr, u32),
    /// A name, and all below it.
    Domain(String),
}

impl Direct {
    /// Reads a list, separated by commas or blanks.
    pub(crate) fn parse(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t']).filter_map(Entry::parse);
        Self(entries.collect())
    }

    /// True if `host` is to be reached directly.
    pub(crate) fn holds(&self, host: &Host<&str>) -> bool {
        self.0.iter().any(|entry| match (entry, host) {
            (Entry::All, _) => true,
            (Entry::Network(first, bits), Host::Ipv4(address)) => {
                is_within(*first, *bits, IpAddr::V4(*address))
            }
            (Entry::Network(first, bits), Host::Ipv6(address)) => {
                is_within(*first, *bits, IpAddr::V6(*address))
            }
            (Entry::Domain(domain), Host::Domain(name)) => {
                let rest = name.trim_end_matches('.').strip_suffix(domain.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Entry::Network(..), Host::Domain(_)) => false,
            (Entry::Domain(_), Host::Ipv4(_) | Host::Ipv6(_)) => false,
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        if let Some(network) = network(text) {
            return Some(network);
        }
        let domain = text.trim_start_matches("*.").trim_matches('.');
        (!domain.is_empty()).then(|| Self::Domain(domain.to_ascii_lowercase()))
    }
}

/// `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`, also with the brackets that an address has in a URL.
fn network(text: &str) -> Option<Entry> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let in_brackets = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = in_brackets.unwrap_or(address).parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => u32::try_from(whole(0..=all)(bits).ok()?).ok()?,
        None => 128,
    };
    Some(Entry::Network(address, bits))
}

fn is_within(first: IpAddr, bits: u32, address: IpAddr) -> bool {
    let differing = match (first, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => match a.to_bits() ^ b.to_bits() {
            0 => return true,
            other => other.leading_zeros(),
        },
        (IpAddr::V6(a), IpAddr::V6(b)) => match a.to_bits() ^ b.to_bits() {
            0 => return true,
            other => other.leading_zeros(),
        },
        _ => return false,
    };
    // The place of the first bit in which they differ.
    differing >= bits
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::Direct;

    #[test]
    fn names_addresses_and_networks_are_reached_directly_as_curl_reaches_them() {
        for (list, direct, through) in [
            (
                "10.0.0.0/8",
                &["http://10.0.0.5/", "http://10.255.0.1:81/"][..],
                &["http://11.0.0.1/", "http://[fd00::1]/", "http://a.example/"][..],
            ),
            (
                "192.168.1.128/25, 10.1.2.3",
                &[
                    "http://192.168.1.200/",
                    "http://10.1.2.3/",
                    "http://10.66051/",
                ],
                &["http://192.168.1.127/", "http://10.1.2.4/"],
            ),
            (
                "fd00::/8",
                &["http://[fd00::1]/", "http://[fdff::]:80/"],
                &["http://[fc00::1]/", "http://[::1]/", "http://10.0.0.1/"],
            ),
            (
                "fd00::1 [fd00::2] [fe80::]/10",
                &[
                    "http://[fd00::1]/",
                    "http://[FD00:0::2]/",
                    "http://[fe80::9]/",
                ],
                &["http://[fd00::3]/"],
            ),
            (
                "0.0.0.0/0",
                &["http://192.0.2.1/"],
                &["http://[2001:db8::1]/"],
            ),
            ("::/0", &["http://[2001:db8::1]/"], &["http://192.0.2.1/"]),
            (
                "example.com,.internal , *.corp.,",
                &[
                    "http://example.com/",
                    "https://api.Example.com:8443/",
                    "http://example.com./",
                    "http://a.internal/",
                    "http://internal/",
                    "http://a.b.corp/",
                ],
                &[
                    "http://badexample.com/",
                    "http://example.org/",
                    "http://192.0.2.1/",
                ],
            ),
            ("*", &["http://a.example/", "http://192.0.2.1/"], &[]),
            // None of these is anything.
            (
                "10.0.0.0/33,10.0.0.0/+8,fd00::/129,10.0.0.0/,example.com:80,.,1.2.3",
                &[],
                &[
                    "http://10.0.0.1/",
                    "http://[fd00::1]/",
                    "http://example.com/",
                    "http://0.1.2.3/",
                ],
            ),
            ("", &[], &["http://a.example/"]),
        ] {
            let entries = Direct::parse(list);
            let holds = |url: &&str| entries.holds(&Url::parse(url).expect(url).host().expect(url));
            for url in direct {
                assert!(holds(url), "{list}: {url}");
            }
            for url in through {
                assert!(!holds(url), "{list}: {url}");
            }
        }
    }
}
