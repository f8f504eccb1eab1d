//! As found: synchronous, a fixed number of threads, each of which serves one request at a time.
//!
//! A request for a quote asks every supplier in turn, works out the cheapest way to buy, and writes
//! down what it found.

mod api;
mod config;
mod error;
mod pricing;
mod quotes;
mod store;
mod suppliers;

use std::sync::Arc;

pub use self::{api::Server, error::Error};
use self::{config::Config, quotes::Quotes, store::Store, suppliers::Suppliers};

/// Starts the program.
///
/// # Errors
///
/// The configuration is not one, the database cannot be opened, or the address is taken.
pub fn start(config: &str) -> Result<Server, Error> {
    let config = Config::from_json(config)?;
    let store = Store::open(&config)?;
    let suppliers = Suppliers::new(&config);
    let quotes = Quotes::new(suppliers, store);
    Server::start(&config, Arc::new(quotes))
}
