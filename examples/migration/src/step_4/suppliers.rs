//! What the suppliers offer: two calls to each.

use std::{collections::BTreeMap, time::Duration};

use longshore::{Group, Lane, lane::Stuck};
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
        let agent = longshore::ureq::config().proxy(None).build();
        let suppliers = config.suppliers.iter();
        Self {
            agent: longshore::ureq::agent(agent),
            suppliers: suppliers
                .map(|supplier| (supplier.clone(), lane(config, supplier)))
                .collect(),
        }
    }

    /// Asks each of them what it offers of an article.
    pub async fn ask_all(&self, sku: &str) -> Vec<Asked> {
        // Whoever drops this future drops the group, and that cancels what is in it.
        let group = Group::new();
        for (supplier, lane) in &self.suppliers {
            let (agent, supplier, sku) = (self.agent.clone(), supplier.clone(), sku.to_owned());
            group.offload(lane, move || ask(&agent, &supplier, &sku));
        }
        let suppliers = self.suppliers.iter().map(|(supplier, _)| &supplier.name);
        suppliers
            .zip(group.join_all().await)
            .map(|(supplier, offer)| Asked {
                supplier: supplier.clone(),
                offer: offer.unwrap_or_else(|error| Err(error.into())),
            })
            .collect()
    }

    /// Ends what is under way at once, and says what does not end.
    pub async fn end(&self) -> Vec<Stuck> {
        let mut stuck = Vec::new();
        for (_, lane) in &self.suppliers {
            stuck.extend(lane.shutdown(Duration::ZERO).await.err());
        }
        stuck
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

/// A lane for each, so that one that hangs takes nothing from the others.
fn lane(config: &Config, supplier: &Supplier) -> Lane {
    Lane::builder(supplier.name.as_str())
        .limit(config.supplier_limit)
        .queue(config.supplier_queue)
        .timeout(config.supplier_timeout())
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
