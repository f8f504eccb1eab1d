//! Percent-encoding: for the pairs of a query or a form, and for what stands raw in a `Location`.

/// Where a byte is to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a path or a query that is whole: what has a meaning there keeps it.
    Path,
    Query,
    /// Within one key or value of a query: nothing must have a meaning.
    Pair,
    /// As `Pair`, in a form, where a space is `+`.
    Form,
}

/// Appends `text` to `to` as it has to be written in `place`.
pub(super) fn encode(to: &mut String, text: &[u8], place: Place) {
    for &byte in text {
        match byte {
            b' ' if place == Place::Form => to.push('+'),
            byte if place.leaves(byte) => to.push(char::from(byte)),
            byte => {
                let digit = |n: u8| char::from(b"0123456789ABCDEF"[usize::from(n)]);
                to.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

/// Appends `key=value`, after a `&` if there is something to be divided from.
pub(super) fn append_pair(to: &mut String, key: &str, value: &str, place: Place) {
    if !to.is_empty() {
        to.push('&');
    }
    encode(to, key.as_bytes(), place);
    to.push('=');
    encode(to, value.as_bytes(), place);
}

impl Place {
    /// Whether a byte stands for itself. The sets for paths and queries are those of the WHATWG's
    /// URL standard, which leaves alone what is encoded already.
    fn leaves(self, byte: u8) -> bool {
        let printable = (b'!'..=b'~').contains(&byte);
        match self {
            Self::Path => printable && !b"\"#<>?`{}".contains(&byte),
            Self::Query => printable && !b"\"#<>'".contains(&byte),
            Self::Pair | Self::Form => byte.is_ascii_alphanumeric() || b"-._~".contains(&byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, place: Place) -> String {
        let mut to = String::new();
        encode(&mut to, text.as_bytes(), place);
        to
    }

    #[test]
    fn pairs_survive_a_strict_reader() {
        let pairs = [("a b", "c&d=e"), ("ä", "%+/?#"), ("", "~-._")];
        for place in [Place::Pair, Place::Form] {
            let mut text = String::new();
            for (key, value) in pairs {
                append_pair(&mut text, key, value, place);
            }
            let url = url::Url::parse(&format!("http://h/?{text}")).unwrap();
            let read: Vec<_> = url.query_pairs().into_owned().collect();
            let sent: Vec<_> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
            assert_eq!(read, sent, "{text}");
        }
    }

    #[test]
    fn what_is_encoded_stays_as_it_is() {
        assert_eq!(encoded("/a%20b/ä b", Place::Path), "/a%20b/%C3%A4%20b");
        assert_eq!(encoded("a=%26&b='", Place::Query), "a=%26&b=%27");
        assert_eq!(encoded("a b", Place::Form), "a+b");
        assert_eq!(encoded("a b", Place::Pair), "a%20b");
    }
}
