//! What a `Location` means: RFC 3986, section 5.2, with the manners of the WHATWG's URL standard,
//! by which browsers go: a backslash is a slash, `%2e` is a dot, and what stands raw in a path or a
//! query is encoded.

use http::Uri;

use super::{
    encode::{Place, encode},
    target::{Wrong, canonical, default_port},
};

/// The URL that `location` names when it comes from `base`, which is one that was
/// [checked](super::target::checked). Fragments are for documents and are left out.
pub(super) fn resolve(base: &Uri, location: &[u8]) -> Result<Uri, Wrong> {
    let location = location.trim_ascii();
    if location.iter().any(u8::is_ascii_control) {
        return Err("the `Location` holds control characters".to_owned());
    }
    let location = before(location, b'#');
    let hierarchy = before(location, b'?');
    let query = location.get(hierarchy.len() + 1..);
    let hierarchy: Vec<u8> = hierarchy
        .iter()
        .map(|&byte| if byte == b'\\' { b'/' } else { byte })
        .collect();

    let (scheme, rest) = match scheme_of(&hierarchy) {
        Some((scheme, rest)) => (scheme, rest),
        None => (
            base.scheme_str().unwrap_or_default().to_owned(),
            &*hierarchy,
        ),
    };
    let default_port = default_port(&scheme)?;

    let mut url = format!("{scheme}://");
    let (path, query) = if let Some(rest) = rest.strip_prefix(b"//") {
        let authority = before(rest, b'/');
        let text = std::str::from_utf8(authority).unwrap_or("\u{fffd}");
        url.push_str(&canonical(text, default_port)?);
        (without_dots(&rest[authority.len()..]), query)
    } else if rest.len() < hierarchy.len() {
        return Err("the `Location` names a scheme and no host".to_owned());
    } else {
        url.push_str(base.authority().map_or("", |authority| authority.as_str()));
        let base_path = base.path().as_bytes();
        if rest.is_empty() {
            let query = query.or(base.query().map(str::as_bytes));
            (base_path.to_vec(), query)
        } else if rest.starts_with(b"/") {
            (without_dots(rest), query)
        } else {
            let end = base_path.iter().rposition(|&byte| byte == b'/');
            let folder = &base_path[..=end.unwrap_or(0).min(base_path.len() - 1)];
            (without_dots(&[folder, rest].concat()), query)
        }
    };
    encode(&mut url, &path, Place::Path);
    if let Some(query) = query {
        url.push('?');
        encode(&mut url, query, Place::Query);
    }
    url.parse()
        .map_err(|error| format!("the `Location` is not valid: {error}"))
}

fn before(text: &[u8], mark: u8) -> &[u8] {
    text.split(|&byte| byte == mark).next().unwrap_or(text)
}

/// The scheme in lower case and what follows its colon.
fn scheme_of(text: &[u8]) -> Option<(String, &[u8])> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
    let named = scheme.first()?.is_ascii_alphabetic()
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    let scheme = named.then(|| String::from_utf8_lossy(scheme).to_ascii_lowercase())?;
    Some((scheme, rest))
}

/// The path with `.` and `..` carried out; it begins with a slash.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path
        .strip_prefix(b"/")
        .unwrap_or(path)
        .split(|&byte| byte == b'/')
        .peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match dots(segment) {
            Some(up) => {
                if up {
                    kept.pop();
                }
                // `a/..` is a folder, and its name ends in a slash.
                if is_last {
                    kept.push(b"");
                }
            }
            None => kept.push(segment),
        }
    }
    let mut path = Vec::new();
    for segment in kept {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    path
}

/// `Some(false)` for `.`, `Some(true)` for `..`, where each dot may be encoded.
fn dots(segment: &[u8]) -> Option<bool> {
    match segment.to_ascii_lowercase().as_slice() {
        b"." | b"%2e" => Some(false),
        b".." | b".%2e" | b"%2e." | b"%2e%2e" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: &[&str] = &[
        "http://host/",
        "http://host/dir/x",
        "http://host/dir/x?old=1",
        "https://host:8443/a/b/c/d;p?q",
        "http://[::1]:8080/a//b/",
    ];

    const LOCATIONS: &[&str] = &[
        "",
        "?",
        "?q",
        "?q=a/../b",
        "#f",
        "?q#f",
        ".",
        "./",
        "..",
        "../",
        "../..",
        "../../",
        "../../../../g",
        "g",
        "./g",
        "g/",
        "/g",
        "/",
        "//other",
        "//other:8080/p?q",
        "//OTHER/p",
        "g?y",
        "g?y/./x",
        "g;x=1/../y",
        ";x",
        "/./g",
        "/../g",
        "g.",
        ".g",
        "..g",
        "g..",
        "./../g",
        "g/.",
        "g/..",
        "g/./h",
        "g/../h",
        "g//h",
        "/a//../b",
        "%2e%2E/g",
        "%2E",
        "a%20b",
        "a b",
        "a b?c d",
        "/\u{e4}/\u{20ac}?\u{fc}=1",
        "a\"<>`{}^|'",
        "?a\"<>`{}^|'",
        "a\\b\\..\\c",
        "\\\\other\\p",
        "http://other/p",
        "https://other",
        "HTTP://other:80/p",
        "https://other:443/p/./q/../r",
        "http://other?q",
        "http://[::1]:99/p",
        "  /trimmed  ",
        "/a:b",
        "./a:b",
        "1a:b",
        "file%3A///etc/passwd",
    ];

    #[test]
    fn a_location_means_what_it_means_to_a_browser() {
        for base in BASES {
            for location in LOCATIONS {
                let mut expected = url::Url::parse(base).unwrap().join(location).unwrap();
                expected.set_fragment(None);
                let uri = resolve(&base.parse().unwrap(), location.as_bytes())
                    .unwrap_or_else(|wrong| panic!("{base} + {location}: {wrong}"));
                assert_eq!(uri.to_string(), expected.as_str(), "{base} + {location}");
            }
        }
    }

    #[test]
    fn a_location_that_leads_nowhere_is_refused() {
        let base: Uri = "http://host/dir/x".parse().unwrap();
        for (location, word) in [
            (&b"file:///etc/passwd"[..], "`file`"),
            (b"javascript:alert(1)", "`javascript`"),
            (b"data:text/plain,hi", "`data`"),
            (b"ftp://host/", "`ftp`"),
            (b"http://host:99999/", "65535"),
            (b"//host:65536/", "65535"),
            (b"http://user:canary@other/", "credentials"),
            (b"//canary@other/", "credentials"),
            (b"http:///path", "host"),
            (b"///g/h", "host"),
            (b"http:path", "no host"),
            (b"http:", "no host"),
            (b"/a\r\nSet-Cookie: b", "control"),
            (b"/a\0", "control"),
            (b"/a\tb", "control"),
            (b"http://h\xc3\xa4st/", "ASCII"),
            (b"http://\xff/", "ASCII"),
            (b"http://a b/", "ASCII"),
        ] {
            let wrong = resolve(&base, location).unwrap_err();
            let location = String::from_utf8_lossy(location);
            assert!(wrong.contains(word), "{location}: {wrong}");
            assert!(!wrong.contains("canary"), "{location}: {wrong}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_encoded_one_by_one() {
        let base: Uri = "http://host/dir/x".parse().unwrap();
        let uri = resolve(&base, b"/caf\xe9?\xff").unwrap();
        assert_eq!(uri.to_string(), "http://host/caf%E9?%FF");
    }
}
