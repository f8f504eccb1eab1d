//! What is said to a proxy, and what is made of its answers.

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
    Target::Address(text.parse().expect("it is an address"))
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
    outcome.expect("it is granted");
    assert_eq!(heard, [4, 1, 0, 80, 10, 1, 2, 3, 0]);
    let (outcome, heard) = ask_4(&granted, &name("a.test"));
    outcome.expect("it is granted");
    assert_eq!(heard, b"\x04\x01\x01\xbb\0\0\0\x01\0a.test\0");
}

#[test]
fn version_4_is_asked_for_an_address_that_it_can_name() {
    use ProxyProtocol::{Socks4, Socks4A, Socks5, Socks5h};
    let all = ["[::1]:80", "10.1.2.3:80", "10.1.2.4:80"]
        .map(|text| text.parse().expect("it is an address"));
    for (protocol, chosen) in [(Socks4, 1), (Socks4A, 1), (Socks5, 0), (Socks5h, 0)] {
        let address = address_for(protocol, &all);
        assert_eq!(address, Some(all[chosen]), "{protocol:?}");
        // It says itself that it cannot.
        assert_eq!(address_for(protocol, &all[..1]), Some(all[0]));
        assert_eq!(address_for(protocol, &[]), None);
    }
}

#[test]
fn version_5_authenticates_if_it_is_asked_to() {
    let granted = b"\x05\x02\x01\0\x05\0\0\x01\x7f\0\0\x01\x1f\x90";
    let (outcome, heard) = ask_5(granted, &name("a.test"), Some(USER));
    outcome.expect("it is granted");
    assert_eq!(
        heard,
        b"\x05\x02\0\x02\x01\x02me\x02pw\x05\x01\0\x03\x06a.test\x01\xbb"
    );
    let without = b"\x05\0\x05\0\0\x03\x04host\0\x50";
    let (outcome, heard) = ask_5(without, &address("[::1]:80"), None);
    outcome.expect("it is granted");
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
