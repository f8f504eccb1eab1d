//! What the program is for: a quote, from what the suppliers offer.

use std::{collections::BTreeMap, num::NonZero, thread, time::Duration};

use longshore::{Lane, lane::Stuck};
use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    pricing::{self, Order},
    store::{Report, Store},
    suppliers::Suppliers,
};

/// The largest order that is worked out.
const MOST: u32 = 10_000;

/// The service, as the API sees it.
pub struct Quotes {
    suppliers: Suppliers,
    store: Store,
    cores: Lane,
}

/// The cheapest way to buy so many of an article.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Quote {
    /// The article.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// For how much in all, in cents.
    pub cents: u64,
    /// What to order from whom.
    pub orders: Vec<Order>,
    /// Who has not made an offer.
    pub missing: Vec<Missing>,
}

/// One that has not made an offer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Missing {
    /// Who.
    pub supplier: String,
    /// And why.
    pub why: String,
}

impl Quotes {
    /// The service over these suppliers and this database.
    pub fn new(suppliers: Suppliers, store: Store) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            suppliers,
            store,
            cores: Lane::builder("pricing").limit(cores).rayon_global().build(),
        }
    }

    /// The cheapest way to buy so many of an article, as far as suppliers have made offers.
    pub async fn quote(&self, sku: &str, quantity: u32) -> Result<Quote, Error> {
        check(sku)?;
        if quantity == 0 || quantity > MOST {
            return Err(Error::BadRequest("`quantity` is from 1 to 10000"));
        }
        if let Some(quote) = self.store.find(sku, quantity).await? {
            return Ok(quote);
        }
        let mut offers = Vec::new();
        let mut missing = Vec::new();
        for asked in self.suppliers.ask_all(sku).await {
            match asked.offer {
                Ok(offer) => offers.push(offer),
                Err(error) => missing.push(Missing {
                    supplier: asked.supplier,
                    why: error.to_string(),
                }),
            }
        }
        let orders = self
            .cores
            .offload(move || pricing::cheapest(&offers, quantity));
        let orders = orders.await?.ok_or_else(|| none(sku, quantity, &missing))?;
        let quote = Quote {
            sku: sku.to_owned(),
            quantity,
            cents: orders.iter().map(|order| order.cents).sum(),
            orders,
            missing,
        };
        self.store.keep(&quote).await?;
        Ok(quote)
    }

    /// What was quoted of an article so far.
    pub async fn report(&self, sku: &str) -> Result<Report, Error> {
        check(sku)?;
        self.store.report(sku).await
    }

    /// Ends what suppliers are being asked at once: quotes go without those that are left.
    pub async fn end_asking(&self) -> Vec<Stuck> {
        self.suppliers.end().await
    }

    /// Ends all that is under way at once, and says what does not end.
    pub async fn end(&self) -> Vec<Stuck> {
        let mut stuck = self.end_asking().await;
        stuck.extend(self.cores.shutdown(Duration::ZERO).await.err());
        stuck.extend(self.store.end().await);
        stuck
    }

    /// What is under way at this moment, by where.
    pub fn busy(&self) -> BTreeMap<String, usize> {
        let mut busy = self.suppliers.busy();
        busy.extend(self.store.busy());
        let stats = self.cores.stats();
        busy.insert(self.cores.name().to_owned(), stats.running + stats.draining);
        busy
    }
}

/// It becomes part of a URL.
fn check(sku: &str) -> Result<(), Error> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if sku.is_empty() || !sku.bytes().all(known) {
        return Err(Error::BadRequest("`sku` is of letters, digits and dashes"));
    }
    Ok(())
}

/// Why there is no way to buy so many.
fn none(sku: &str, quantity: u32, missing: &[Missing]) -> Error {
    let sku = sku.to_owned();
    match missing.len() {
        0 => Error::NotEnough { sku, quantity },
        missing => Error::TooFewOffers { sku, missing },
    }
}
