//! What is said to a SOCKS proxy before it passes a connection on.
//!
//! Version 4 and its extension 4a as their authors wrote them down; version 5 by RFC 1928, with
//! the user name and password of RFC 1929.

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Says what it was told to and keeps what it hears.
    struct Proxy<'a> {
        says: &'a [u8],
        hears: Vec<u8>,
    }

    impl Read for Proxy<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // As slowly as a network may.
            let one = buffer.len().min(1);
            self.says.read(&mut buffer[..one])
        }
    }

    impl Write for Proxy<'_> {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.hears.write(data)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const USER: Credentials<'_> = Credentials {
        username: "me",
        password: "pw",
    };

    fn address(text: &str) -> Target {
        Target::Address(text.parse().unwrap())
    }

    fn name(text: &str) -> Target {
        Target::Name(text.into(), 443)
    }

    fn ask_4(says: &[u8], target: &Target) -> (io::Result<()>, Vec<u8>) {
        let mut proxy = Proxy {
            says,
            hears: Vec::new(),
        };
        (version_4(&mut proxy, target), proxy.hears)
    }

    fn ask_5(
        says: &[u8],
        target: &Target,
        credentials: Option<Credentials<'_>>,
    ) -> (io::Result<()>, Vec<u8>) {
        let mut proxy = Proxy {
            says,
            hears: Vec::new(),
        };
        (version_5(&mut proxy, target, credentials), proxy.hears)
    }

    #[test]
    fn version_4_asks_for_an_address_or_a_name() {
        let granted = [0, 90, 0, 0, 0, 0, 0, 0];
        let (outcome, heard) = ask_4(&granted, &address("10.1.2.3:80"));
        outcome.unwrap();
        assert_eq!(heard, [4, 1, 0, 80, 10, 1, 2, 3, 0]);
        let (outcome, heard) = ask_4(&granted, &name("a.test"));
        outcome.unwrap();
        assert_eq!(heard, b"\x04\x01\x01\xbb\0\0\0\x01\0a.test\0");
    }

    #[test]
    fn version_5_authenticates_if_it_is_asked_to() {
        let granted = b"\x05\x02\x01\0\x05\0\0\x01\x7f\0\0\x01\x1f\x90";
        let (outcome, heard) = ask_5(granted, &name("a.test"), Some(USER));
        outcome.unwrap();
        assert_eq!(
            heard,
            b"\x05\x02\0\x02\x01\x02me\x02pw\x05\x01\0\x03\x06a.test\x01\xbb"
        );
        let without = b"\x05\0\x05\0\0\x03\x04host\0\x50";
        let (outcome, heard) = ask_5(without, &address("[::1]:80"), None);
        outcome.unwrap();
        let mut expected = vec![5, 1, 0, 5, 1, 0, 4];
        expected.extend([0; 15]);
        expected.extend([1, 0, 80]);
        assert_eq!(heard, expected);
    }

    #[test]
    fn what_a_proxy_refuses_is_said() {
        let (outcome, _) = ask_4(&[0, 91, 0, 0, 0, 0, 0, 0], &name("a.test"));
        assert!(outcome.unwrap_err().to_string().contains("rejected"));
        for (says, user, reason) in [
            (&b"\x05\xff"[..], None, "user name and a password"),
            (b"\x05\xff", Some(USER), "another way"),
            (b"\x05\x02\x01\x01", Some(USER), "does not know this user"),
            (b"\x05\0\x05\x05\0\x01", None, "refused the connection"),
        ] {
            let (outcome, _) = ask_5(says, &name("a.test"), user);
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn nonsense_and_silence_are_errors() {
        for says in [&b"HTTP/1.1 400"[..], b"\x05\x07", b"\x05\0\x05\0\0\x09"] {
            let (outcome, _) = ask_5(says, &name("a.test"), None);
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        for says in [&b""[..], b"\x05", b"\x05\0\x05\0\0\x01\x7f"] {
            let (outcome, _) = ask_5(says, &name("a.test"), None);
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        let (outcome, _) = ask_4(b"HTTP/1.1", &name("a.test"));
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_socks_cannot_say_is_refused_before_it_is_sent() {
        let (outcome, heard) = ask_4(&[], &address("[::1]:80"));
        assert!(outcome.unwrap_err().to_string().contains("socks5"));
        assert!(heard.is_empty());
        let long = name(&"a".repeat(256));
        let (outcome, _) = ask_5(b"\x05\0", &long, None);
        assert!(outcome.unwrap_err().to_string().contains("1 to 255"));
        let nobody = Credentials {
            username: "",
            password: "pw",
        };
        let (outcome, _) = ask_5(b"\x05\x02", &name("a.test"), Some(nobody));
        assert!(outcome.unwrap_err().to_string().contains("user name"));
    }
}
