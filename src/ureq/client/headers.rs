//! Headers that are set for the user, who may have set tens of thousands.
//!
//! A map of headers has room for so many, and panics where there is none and one has not asked.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::Error;

/// What is wrong with a request that has so many.
pub(super) const TOO_MANY: &str = "it has more headers than there is room for";

/// Sets a header, in place of those of that name.
pub(super) fn set(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: HeaderValue,
) -> Result<(), Error> {
    match headers.try_insert(name, value) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::request(TOO_MANY).source(http::Error::from(error))),
    }
}

/// Sets a header, unless there is one of that name.
pub(super) fn set_unless_set(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: HeaderValue,
) -> Result<(), Error> {
    if headers.contains_key(&name) {
        return Ok(());
    }
    set(headers, name, value)
}
