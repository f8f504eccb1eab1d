//! What became of an item.

use std::time::Duration;

use super::error::Error;
use crate::sync::Arc;

/// What became of an item; from [`Fetches`](super::Fetches).
#[derive(Debug)]
#[non_exhaustive]
pub struct Fetched<T> {
    /// The number of the item in the input, counted from 0.
    pub index: usize,
    /// The item's URL, without credentials and query.
    pub url: Arc<str>,
    /// How often it was tried.
    pub attempts: u32,
    /// From when the item was taken from the input until it began: how long it was held back for
    /// its host.
    pub waited: Duration,
    /// From when it began until this: all its attempts, the pauses between them, and parsing.
    pub took: Duration,
    /// The value, or why there is none.
    pub result: Result<T, Error>,
}
