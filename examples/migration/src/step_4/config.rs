//! What the program is told when it starts.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::error::Error;

/// The configuration, a JSON object.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The file of the database, which is made if it is not there.
    pub database: PathBuf,
    /// Who is asked for offers.
    pub suppliers: Vec<Supplier>,
    /// How many offers of one supplier may be asked for at once.
    #[serde(default = "default_supplier_limit")]
    pub supplier_limit: usize,
    /// How many more may wait for that; the next one goes without.
    #[serde(default = "default_supplier_queue")]
    pub supplier_queue: usize,
    /// How long a supplier may take for an offer, waiting included, in milliseconds.
    #[serde(default = "default_supplier_timeout")]
    pub supplier_timeout_ms: u64,
    /// How long a quote may be given again, in seconds. Zero for never.
    #[serde(default = "default_cache")]
    pub cache_seconds: u32,
}

/// One that is asked for offers.
#[derive(Clone, Debug, Deserialize)]
pub struct Supplier {
    /// As it is called in answers.
    pub name: String,
    /// Where its API begins, without a slash at the end.
    pub url: String,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// It is not JSON, or something is missing in it.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(Error::Config)
    }

    /// How long a supplier may take for an offer.
    pub fn supplier_timeout(&self) -> Duration {
        Duration::from_millis(self.supplier_timeout_ms)
    }
}

fn default_supplier_limit() -> usize {
    16
}

fn default_supplier_queue() -> usize {
    64
}

fn default_supplier_timeout() -> u64 {
    10_000
}

fn default_cache() -> u32 {
    60
}
