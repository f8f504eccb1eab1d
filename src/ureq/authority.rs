//! The host and the port that a URI names.

use http::{
    Uri,
    uri::{Authority, Scheme},
};

/// The host as it is written, and the port that is written or that of the scheme; or what is wrong.
pub(super) fn host_and_port(uri: &Uri) -> Result<(&str, u16), String> {
    let authority = uri
        .authority()
        .ok_or_else(|| "a URL names a host".to_owned())?;
    Ok((authority.host(), port(uri.scheme(), authority)?))
}

fn port(scheme: Option<&Scheme>, authority: &Authority) -> Result<u16, String> {
    if let Some(port) = authority.port_u16() {
        return Ok(port);
    }
    let host = authority.host();
    let whole = authority.as_str();
    let after_user = whole.rsplit_once('@').map_or(whole, |(_, rest)| rest);
    if let Some(port) = after_user.strip_prefix(host)
        && port.len() > 1
    {
        // `http` takes a port that is too large for none at all.
        let port = &port[1..];
        return Err(format!("the port of {host} is at most 65535, not {port}"));
    }
    match scheme.map(Scheme::as_str) {
        Some("http") => Ok(80),
        Some("https") => Ok(443),
        Some("socks4" | "socks4a" | "socks" | "socks5" | "socks5h") => Ok(1080),
        _ => Err(format!("{host} has neither a known scheme nor a port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_what_is_written_or_that_of_the_scheme() {
        for (uri, host, port) in [
            ("http://a.test/", "a.test", 80),
            ("https://a.test/", "a.test", 443),
            ("http://a.test:8080/:9", "a.test", 8080),
            ("http://a.test:/", "a.test", 80),
            ("http://[::1]/", "[::1]", 80),
            ("https://[::1]:8443/", "[::1]", 8443),
            ("http://me:pw@a.test/", "a.test", 80),
            ("socks5://a.test", "a.test", 1080),
        ] {
            let uri: Uri = uri.parse().expect("it is a URI");
            assert_eq!(host_and_port(&uri), Ok((host, port)), "{uri}");
        }
    }

    #[test]
    fn a_port_that_cannot_be_is_not_taken_for_another() {
        for uri in [
            "http://a.test:65536/",
            "http://a.test:99999/",
            "http://[::1]:70000/",
            "http://6:65536/",
            "http://me:1@a.test:65536/",
        ] {
            let uri: Uri = uri.parse().expect("it is a URI");
            let wrong = host_and_port(&uri).unwrap_err();
            assert!(wrong.contains("at most 65535"), "{wrong}");
        }
        let unknown: Uri = "foo://a.test/".parse().expect("it is a URI");
        assert!(host_and_port(&unknown).unwrap_err().contains("scheme"));
        let path: Uri = "/path".parse().expect("it is a URI");
        assert!(host_and_port(&path).is_err());
    }
}
