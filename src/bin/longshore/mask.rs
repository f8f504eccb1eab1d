//! Text that may hold a password, with as much of it hidden as it takes: in the terminal, in the JSON, on
//! the page.

/// `text` with what may be a password hidden, the values of a query and a fragment. It is for text that is
/// no URL, where one cannot be sure what is what.
///
/// A password may hold a slash, a `?` or a `#` that should have been encoded, a query an `@`, and a URL
/// may be cut off before its `@`. Where it cannot be told which it is, too much is hidden.
pub(crate) fn masked(text: &str) -> String {
    let (scheme, rest) = text.split_at(after_scheme(text));
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, _)) if user.contains(['?', '#']) => return format!("{scheme}***"),
        // A name that has no password may be one itself.
        Some((user, place)) => {
            let with_password = user.split_once(':').filter(|(_, rest)| !rest.is_empty());
            let name = with_password.map_or("", |(name, _)| name);
            (format!("{name}:***@"), place)
        }
        None => (String::new(), rest),
    };
    let (place, fragment) = place.split_at(place.find('#').unwrap_or(place.len()));
    let path = place.split('?').next().unwrap_or_default();
    if let Some(host) = before_password(path) {
        return format!("{scheme}{user}{host}:***");
    }
    let fragment = if fragment.len() > 1 { "#***" } else { fragment };
    format!("{scheme}{user}{}{fragment}", without_values(place))
}

/// Where the authority begins, if there is one: what stands before it holds no secret.
fn after_scheme(text: &str) -> usize {
    let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
    let is_scheme = scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_ours = ["http", "https"].map(|ours| scheme.eq_ignore_ascii_case(ours));
    let start = match rest.starts_with("//") {
        true if is_scheme => scheme.len() + 1,
        _ if is_ours.contains(&true) && !rest.is_empty() => scheme.len() + 1,
        _ => 0,
    };
    text.len() - text[start..].trim_start_matches(['/', '\\']).len()
}

/// What comes before a colon that no port follows: what follows may be the password of a URL that was
/// cut off before its `@`.
fn before_password(place: &str) -> Option<&str> {
    let authority = &place[..place.find(['/', '\\']).unwrap_or(place.len())];
    // Colons in brackets are those of an address.
    let after_address = match authority.starts_with('[') {
        true => authority.find(']').map_or(0, |at| at + 1),
        false => 0,
    };
    let (host, port) = authority[after_address..].split_once(':')?;
    let is_port = match port {
        "" => place.len() <= authority.len() + 1,
        _ => port.bytes().all(|byte| byte.is_ascii_digit()),
    };
    (!is_port).then(|| &place[..after_address + host.len()])
}

/// `url` with the values of its query hidden: a key there is as good as a password. The names say what
/// is asked for, and stay; what has no name may be a key.
pub(crate) fn without_values(url: &str) -> String {
    let Some((place, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let hidden = |pair: &str| match pair.split_once('=') {
        Some((_, "")) => pair.to_owned(),
        Some((name, _)) => format!("{name}=***"),
        None if pair.is_empty() => String::new(),
        None => "***".to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(hidden).collect();
    format!("{place}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn of_what_is_no_url_no_password_is_shown() {
        for (text, shown) in [
            ("http://me:canary@h:99999/", "http://me:***@h:99999/"),
            ("http://me:can@ary@[::1]", "http://me:***@[::1]"),
            ("http://canary@host/", "http://:***@host/"),
            ("http://canary:@h:0/", "http://:***@h:0/"),
            ("ftp://me:canary@h/a", "ftp://me:***@h/a"),
            // One that should have been encoded.
            ("http://me:can/ary@h/", "http://me:***@h/"),
            ("http://me:can?ary@h/", "http://***"),
            ("http://me:can#ary@h/", "http://***"),
            ("http://h:99999/a?to=me@canary", "http://***"),
            // Cut off before what tells it from a port.
            ("http://me:canary", "http://me:***"),
            ("http://me:can/ary", "http://me:***"),
            ("http://me:/canary", "http://me:***"),
            ("http://me:can]ary", "http://me:***"),
            ("http://u:7@h:canary/x", "http://u:***@h:***"),
            // With a part of what begins a URL, or without.
            ("http:me:can//ary@h/", "http:me:***@h/"),
            ("http:/me:canary", "http:/me:***"),
            ("http:\\\\me:canary", "http:\\\\me:***"),
            ("me:can//ary@host", "me:***@host"),
            ("me:can://ary@host", "me:***@host"),
            ("//me:canary@host/", "//me:***@host/"),
            ("ftp:/me:canary", "ftp:***"),
            ("me:canary", "me:***"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn of_what_is_no_url_no_value_of_a_query_is_shown_and_no_fragment() {
        for (text, shown) in [
            ("http://host/?a=canary&b=", "http://host/?a=***&b="),
            ("http://h:99999/#key=canary", "http://h:99999/#***"),
            (
                "http://h:99999/?a=canary#canary?canary",
                "http://h:99999/?a=***#***",
            ),
            ("/a?canary", "/a?***"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn what_holds_no_secret_is_shown_as_it_is() {
        for text in [
            "",
            "http://",
            "http:///path",
            "http:/127.0.0.1/",
            "127.0.0.1:80",
            "http://127.0.0.1:/",
            "http://[::1]:99999/a:b",
            "http://h/a#",
            "no url",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
