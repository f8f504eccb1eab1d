//! What is said to a SOCKS proxy before it passes a connection on.
//!
//! Version 4 and its extension 4a as their authors wrote them down; version 5 by RFC 1928, with
//! the user name and password of RFC 1929.

#[cfg(test)]
mod tests;

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr},
};

use ureq::{Proxy, ProxyProtocol, config::Config, http::Uri};

/// Where the proxy is asked to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Address(SocketAddr),
    /// A name for the proxy to look up.
    Name(String, u16),
}

/// Who asks.
#[derive(Clone, Copy)]
struct Credentials<'a> {
    username: &'a str,
    password: &'a str,
}

/// The proxy that is to be asked for a connection to `uri`, if it is one that speaks SOCKS.
pub(super) fn proxy_for<'a>(uri: &Uri, config: &'a Config) -> Option<&'a Proxy> {
    use ProxyProtocol::{Socks4, Socks4A, Socks5, Socks5h};
    config.proxy().filter(|proxy| {
        matches!(proxy.protocol(), Socks4 | Socks4A | Socks5 | Socks5h) && !proxy.is_no_proxy(uri)
    })
}

/// The one of a host's addresses that a proxy is asked for: the first, of those that it can be asked for.
pub(super) fn address_for(protocol: ProxyProtocol, addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let is_version_4 = matches!(protocol, ProxyProtocol::Socks4 | ProxyProtocol::Socks4A);
    let mut named = addresses
        .iter()
        .filter(|&address| !is_version_4 || address.is_ipv4());
    named.next().or(addresses.first()).copied()
}

/// Asks a proxy for a connection, in its version of the protocol.
pub(super) fn ask(
    conversation: &mut (impl Read + Write),
    proxy: &Proxy,
    target: &Target,
) -> io::Result<()> {
    if let ProxyProtocol::Socks4 | ProxyProtocol::Socks4A = proxy.protocol() {
        return version_4(conversation, target);
    }
    let credentials = proxy.username().map(|username| Credentials {
        username,
        password: proxy.password().unwrap_or_default(),
    });
    version_5(conversation, target, credentials)
}

impl Target {
    /// A host as it is written in a URL.
    pub(super) fn named(host: &str, port: u16) -> Self {
        match host.trim_matches(['[', ']']).parse() {
            Ok(ip) => Self::Address(SocketAddr::new(ip, port)),
            Err(_) => Self::Name(host.to_owned(), port),
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name(_, port) => *port,
        }
    }
}

/// Asks a proxy of version 4, or 4a where the target is a name.
fn version_4(proxy: &mut (impl Read + Write), target: &Target) -> io::Result<()> {
    let mut request = vec![4, 1];
    request.extend(target.port().to_be_bytes());
    // No user: version 4 knows of no password, and who would believe a name without one?
    match target {
        Target::Address(address) => match address.ip() {
            IpAddr::V4(ip) => {
                request.extend(ip.octets());
                request.push(0);
            }
            IpAddr::V6(_) => {
                return Err(unusable("SOCKS version 4 has no IPv6: use socks5"));
            }
        },
        Target::Name(name, _) => {
            // An address that cannot be: the name follows.
            request.extend([0, 0, 0, 1, 0]);
            request.extend(name.as_bytes());
            request.push(0);
        }
    }
    proxy.write_all(&request)?;
    let [version, code, ..] = read::<8>(proxy)?;
    if version != 0 {
        return Err(not_socks());
    }
    match code {
        90 => Ok(()),
        91 => Err(refused("it rejected the request, or could not connect")),
        92 => Err(refused("it found no identd on this machine")),
        93 => Err(refused("identd on this machine disagrees about the user")),
        _ => Err(not_socks()),
    }
}

/// Asks a proxy of version 5.
fn version_5(
    proxy: &mut (impl Read + Write),
    target: &Target,
    credentials: Option<Credentials<'_>>,
) -> io::Result<()> {
    const NOTHING: u8 = 0;
    const PASSWORD: u8 = 2;
    const NONE_WILL_DO: u8 = 0xff;

    proxy.write_all(match credentials {
        Some(_) => &[5, 2, NOTHING, PASSWORD],
        None => &[5, 1, NOTHING],
    })?;
    let [version, method] = read(proxy)?;
    if version != 5 {
        return Err(not_socks());
    }
    match (method, credentials) {
        (NOTHING, _) => {}
        (PASSWORD, Some(credentials)) => authenticate(proxy, credentials)?,
        (NONE_WILL_DO, None) => return Err(refused("it wants a user name and a password")),
        (NONE_WILL_DO, Some(_)) => return Err(refused("it wants another way to authenticate")),
        _ => return Err(not_socks()),
    }

    let mut request = vec![5, 1, 0];
    match target {
        Target::Address(address) => match address.ip() {
            IpAddr::V4(ip) => {
                request.push(1);
                request.extend(ip.octets());
            }
            IpAddr::V6(ip) => {
                request.push(4);
                request.extend(ip.octets());
            }
        },
        Target::Name(name, _) => {
            request.push(3);
            request.push(length(name, "host name")?);
            request.extend(name.as_bytes());
        }
    }
    request.extend(target.port().to_be_bytes());
    proxy.write_all(&request)?;

    let [version, code, _, kind] = read(proxy)?;
    if version != 5 {
        return Err(not_socks());
    }
    if code != 0 {
        return Err(refused(match code {
            2 => "its rules do not allow it",
            3 => "the network cannot be reached from it",
            4 => "the host cannot be reached from it",
            5 => "the host refused the connection",
            6 => "the host is too many hops away from it",
            7 => "it does not know the command",
            8 => "it does not know this kind of address",
            _ => "it failed",
        }));
    }
    // From where it has connected: of no use here, but it stands before what the host says.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(read::<1>(proxy)?[0]),
        _ => return Err(not_socks()),
    };
    let mut bound = [0; 255 + 2];
    proxy.read_exact(&mut bound[..length + 2])
}

fn authenticate(proxy: &mut (impl Read + Write), credentials: Credentials<'_>) -> io::Result<()> {
    let mut request = vec![1];
    for (part, what) in [
        (credentials.username, "user name"),
        (credentials.password, "password"),
    ] {
        request.push(length(part, what)?);
        request.extend(part.as_bytes());
    }
    proxy.write_all(&request)?;
    match read(proxy)? {
        [1, 0] => Ok(()),
        [1, _] => Err(refused("it does not know this user name and password")),
        _ => Err(not_socks()),
    }
}

fn read<const N: usize>(proxy: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    proxy.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A length that SOCKS can say: in one byte, and not none.
fn length(text: &str, what: &str) -> io::Result<u8> {
    u8::try_from(text.len())
        .ok()
        .filter(|&length| length > 0)
        .ok_or_else(|| {
            unusable(&format!(
                "a {what} for a SOCKS proxy has 1 to 255 bytes, not {}",
                text.len()
            ))
        })
}

fn unusable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn not_socks() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "what the proxy said is not SOCKS of this version",
    )
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("the SOCKS proxy refused: {why}"))
}
