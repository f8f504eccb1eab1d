//! What computes, on the cores.

#[path = "../step_4/api.rs"]
mod api;
#[path = "../step_4/config.rs"]
mod config;
#[path = "../step_4/error.rs"]
mod error;
#[path = "../step_0/pricing.rs"]
mod pricing;
mod quotes;
#[path = "../step_4/store.rs"]
mod store;
#[path = "../step_4/suppliers.rs"]
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
