//! All suppliers at once.
//!
//! A call is under way as soon as it is handed in, so it is enough to hand in all of them before the
//! first is waited for.

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
