//! The edge to the suppliers: each has a lane, and its calls can be cancelled.
//!
//! Nothing above `suppliers` has changed. Who calls it still waits for one supplier after the other,
//! on a thread of its own, by a bridge.

#[path = "../step_0/api.rs"]
mod api;
mod config;
mod error;
#[path = "../step_0/pricing.rs"]
mod pricing;
#[path = "../step_0/quotes.rs"]
mod quotes;
#[path = "../step_0/store.rs"]
mod store;
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
    let store = Store::open(&config)?;
    let suppliers = Suppliers::new(&config, Bridge::start()?);
    let quotes = Quotes::new(suppliers, store);
    Server::start(&config, Arc::new(quotes))
}
