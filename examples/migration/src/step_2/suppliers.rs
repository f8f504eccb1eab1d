//! What the suppliers offer: two calls to each.

use std::collections::BTreeMap;

use longshore::{Bridge, Lane, Task, Threads};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    config::{Config, Supplier},
    error::Error,
    pricing::{Break, Offer},
};

/// Those that are asked for offers.
pub struct Suppliers {
    agent: ureq::Agent,
    suppliers: Vec<(Supplier, Lane)>,
    bridge: Bridge,
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
    pub fn new(config: &Config, bridge: Bridge) -> Self {
        let agent = longshore::ureq::config().proxy(None).build();
        let suppliers = config.suppliers.iter();
        Self {
            agent: longshore::ureq::agent(agent),
            suppliers: suppliers
                .map(|supplier| (supplier.clone(), lane(config, supplier)))
                .collect(),
            bridge,
        }
    }

    /// Asks each of them what it offers of an article.
    pub fn ask_all(&self, sku: &str) -> Vec<Asked> {
        let mut asked = Vec::new();
        for (supplier, lane) in &self.suppliers {
            asked.push((&supplier.name, self.offer(supplier, lane, sku)));
        }
        // All of them are under way. To wait for one now is to wait for the others as well.
        let mut all = Vec::new();
        for (supplier, offer) in asked {
            all.push(Asked {
                supplier: supplier.clone(),
                offer: self.wait(offer),
            });
        }
        all
    }

    /// Begins to ask one of them.
    fn offer(&self, supplier: &Supplier, lane: &Lane, sku: &str) -> Task<Result<Offer, Error>> {
        let (agent, supplier, sku) = (self.agent.clone(), supplier.clone(), sku.to_owned());
        lane.offload(move || ask(&agent, &supplier, &sku))
    }

    fn wait(&self, offer: Task<Result<Offer, Error>>) -> Result<Offer, Error> {
        self.bridge.call(offer)??
    }

    /// How many are being asked at this moment, by what they are counted under.
    pub fn busy(&self) -> BTreeMap<String, usize> {
        let lanes = self.suppliers.iter().map(|(_, lane)| lane);
        lanes
            .map(|lane| {
                let stats = lane.stats();
                (lane.name().to_owned(), stats.running + stats.draining)
            })
            .collect()
    }
}

/// A lane for each, so that one that hangs takes nothing from the others. Its threads are its own,
/// as those that call are in no runtime.
fn lane(config: &Config, supplier: &Supplier) -> Lane {
    Lane::builder(supplier.name.as_str())
        .limit(config.supplier_limit)
        .queue(config.supplier_queue)
        .timeout(config.supplier_timeout())
        .own_threads(Threads::new())
        .build()
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
