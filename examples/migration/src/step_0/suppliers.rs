//! What the suppliers offer: two calls to each.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    config::{Config, Supplier},
    error::Error,
    pricing::{Break, Offer},
};

/// Those that are asked for offers.
pub struct Suppliers {
    agent: ureq::Agent,
    suppliers: Vec<Supplier>,
    in_flight: AtomicUsize,
}

/// What asking one of them has come to.
pub struct Asked {
    /// Who was asked.
    pub supplier: String,
    /// What it said.
    pub offer: Result<Offer, Error>,
}

impl Suppliers {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(config.supplier_timeout()))
            .max_idle_connections_per_host(config.threads)
            .max_idle_connections(1000)
            .proxy(None)
            .build();
        Self {
            agent: ureq::Agent::new_with_config(agent),
            suppliers: config.suppliers.clone(),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// Asks each of them what it offers of an article.
    pub fn ask_all(&self, sku: &str) -> Vec<Asked> {
        let mut all = Vec::new();
        for supplier in &self.suppliers {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            let offer = ask(&self.agent, supplier, sku);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            all.push(Asked {
                supplier: supplier.name.clone(),
                offer,
            });
        }
        all
    }

    /// How many are being asked at this moment, by what they are counted under.
    pub fn busy(&self) -> BTreeMap<String, usize> {
        let in_flight = self.in_flight.load(Ordering::SeqCst);
        BTreeMap::from([(String::from("suppliers"), in_flight)])
    }
}

/// The answer to `/price/SKU`.
#[derive(Deserialize)]
struct Price {
    cents: u64,
    breaks: Vec<Break>,
    shipping_cents: u64,
}

/// The answer to `/stock/SKU`.
#[derive(Deserialize)]
struct Stock {
    units: u32,
}

/// The two calls.
fn ask(agent: &ureq::Agent, supplier: &Supplier, sku: &str) -> Result<Offer, Error> {
    let price: Price = get(agent, &format!("{}/price/{sku}", supplier.url))?;
    let stock: Stock = get(agent, &format!("{}/stock/{sku}", supplier.url))?;
    Ok(Offer {
        supplier: supplier.name.clone(),
        cents: price.cents,
        breaks: price.breaks,
        shipping_cents: price.shipping_cents,
        units: stock.units,
    })
}

fn get<T: DeserializeOwned>(agent: &ureq::Agent, url: &str) -> Result<T, Error> {
    Ok(agent.get(url).call()?.into_body().read_json()?)
}
