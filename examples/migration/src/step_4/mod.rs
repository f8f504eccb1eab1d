//! Async from the API down to the edges, which are where they were.
//!
//! A request takes no thread, and a client that goes away cancels what was done for it.

mod api;
mod config;
mod error;
#[path = "../step_0/pricing.rs"]
mod pricing;
mod quotes;
mod store;
mod suppliers;

use std::sync::Arc;

use tokio::runtime::Builder;

pub use self::{api::Server, error::Error};
use self::{config::Config, quotes::Quotes, store::Store, suppliers::Suppliers};

/// Starts the program.
///
/// # Errors
///
/// The configuration is not one, the database cannot be opened, or the address is taken.
pub fn start(config: &str) -> Result<Server, Error> {
    let config = Config::from_json(config)?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let store = runtime.block_on(Store::open(&config))?;
    let suppliers = Suppliers::new(&config);
    let quotes = Quotes::new(suppliers, store);
    Server::start(&config, runtime, Arc::new(quotes))
}
