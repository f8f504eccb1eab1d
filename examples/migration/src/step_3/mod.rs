//! The edge to the database: readers, and one writer.
//!
//! As with the suppliers, nothing above `store` has changed.

#[path = "../step_0/api.rs"]
mod api;
#[path = "../step_1/config.rs"]
mod config;
#[path = "../step_1/error.rs"]
mod error;
#[path = "../step_0/pricing.rs"]
mod pricing;
#[path = "../step_0/quotes.rs"]
mod quotes;
mod store;
#[path = "../step_2/suppliers.rs"]
mod suppliers;

use std::sync::Arc;

use longshore::Bridge;

pub use self::{api::Server, error::Error};
use self::{config::Config, quotes::Quotes, store::Store, suppliers::Suppliers};

/// Starts the program.
///
/// # Errors
///
/// The configuration is not one, the database cannot be opened, or the address is taken.
pub fn start(config: &str) -> Result<Server, Error> {
    let config = Config::from_json(config)?;
    let bridge = Bridge::start()?;
    let store = Store::open(&config, bridge.clone())?;
    let suppliers = Suppliers::new(&config, bridge);
    let quotes = Quotes::new(suppliers, store);
    Server::start(&config, Arc::new(quotes))
}
