//! What can go wrong, and what a client is told of it.

use std::io;

use longshore::bridge;

/// Why there is no answer, or no program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client asked for something that makes no sense.
    #[error("{0}")]
    BadRequest(&'static str),
    /// All suppliers together have less than was asked for.
    #[error("there are not {quantity} of `{sku}` to be had")]
    NotEnough {
        /// The article.
        sku: String,
        /// How many were asked for.
        quantity: u32,
    },
    /// There may be as many, but not with those suppliers alone that have made an offer.
    #[error("too few offers of `{sku}`: {missing} of the suppliers have made none")]
    TooFewOffers {
        /// The article.
        sku: String,
        /// How many suppliers have made no offer.
        missing: usize,
    },
    /// A supplier did not answer, or not with an offer.
    #[error(transparent)]
    Supplier(#[from] ureq::Error),
    /// A call was refused, ran out of time or was given up.
    #[error(transparent)]
    Lane(#[from] longshore::Error),
    /// A call could not be waited for.
    #[error(transparent)]
    Bridge(#[from] bridge::Error),
    /// The database failed.
    #[error("database: {0}")]
    Store(#[from] rusqlite::Error),
    /// What is stored is not what was stored.
    #[error("a stored quote: {0}")]
    Stored(#[from] serde_json::Error),
    /// The configuration is not one.
    #[error("configuration: {0}")]
    Config(#[source] serde_json::Error),
    /// The API cannot listen, or has no thread.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

impl Error {
    /// The status of the response that tells it.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::NotEnough { .. } => 409,
            Self::TooFewOffers { .. } => 503,
            _ => 500,
        }
    }
}
