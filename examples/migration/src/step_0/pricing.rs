//! The cheapest way to buy. It computes, and touches nothing else.

use serde::{Deserialize, Serialize};

/// What one supplier offers of an article.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Who offers it.
    pub supplier: String,
    /// The price of one, in cents.
    pub cents: u64,
    /// Lower prices for larger orders, in the order of their sizes.
    pub breaks: Vec<Break>,
    /// What an order of any size costs besides, in cents.
    pub shipping_cents: u64,
    /// How many there are.
    pub units: u32,
}

/// From so many on, each costs so much.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Break {
    /// The size of the order.
    pub units: u32,
    /// The price of one, in cents.
    pub cents: u64,
}

/// What to order from one supplier.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Order {
    /// From whom.
    pub supplier: String,
    /// How many.
    pub units: u32,
    /// For how much in all, in cents.
    pub cents: u64,
}

impl Offer {
    /// What an order of this size costs, in cents.
    fn price(&self, units: u32) -> u64 {
        if units == 0 {
            return 0;
        }
        let reached = self.breaks.iter().rev().find(|step| units >= step.units);
        let cents = reached.map_or(self.cents, |step| step.cents);
        u64::from(units) * cents + self.shipping_cents
    }
}

/// Splits an order between suppliers so that it costs as little as possible, prices for large orders
/// and shipping considered. `None` if there are not as many to be had.
///
/// For each supplier in turn: the cheapest way to buy any number from those before and from it. That
/// takes time with the square of the quantity, some milliseconds for a thousand.
pub fn cheapest(offers: &[Offer], quantity: u32) -> Option<Vec<Order>> {
    let size = quantity as usize + 1;
    let mut costs: Vec<Option<u64>> = vec![None; size];
    costs[0] = Some(0);
    let mut chosen = Vec::with_capacity(offers.len());
    for offer in offers {
        let most = offer.units.min(quantity);
        let prices: Vec<u64> = (0..=most).map(|units| offer.price(units)).collect();
        let mut next = vec![None; size];
        let mut units_of = vec![0_u32; size];
        for total in 0..size {
            for (units, price) in prices.iter().enumerate().take(total + 1) {
                let Some(before) = costs[total - units] else {
                    continue;
                };
                let cost = before + price;
                if next[total].is_none_or(|best| cost < best) {
                    next[total] = Some(cost);
                    units_of[total] = units as u32;
                }
            }
        }
        costs = next;
        chosen.push(units_of);
    }
    costs[quantity as usize]?;

    let mut orders = Vec::new();
    let mut left = quantity;
    for (offer, units_of) in offers.iter().zip(&chosen).rev() {
        let units = units_of[left as usize];
        if units > 0 {
            orders.push(Order {
                supplier: offer.supplier.clone(),
                units,
                cents: offer.price(units),
            });
        }
        left -= units;
    }
    orders.reverse();
    Some(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(supplier: &str, cents: u64, shipping_cents: u64, units: u32) -> Offer {
        let breaks = vec![Break {
            units: 10,
            cents: cents / 2,
        }];
        Offer {
            supplier: supplier.to_owned(),
            cents,
            breaks,
            shipping_cents,
            units,
        }
    }

    fn split(offers: &[Offer], quantity: u32) -> Option<Vec<(String, u32, u64)>> {
        let orders = cheapest(offers, quantity)?;
        let told = orders.into_iter();
        Some(
            told.map(|order| (order.supplier, order.units, order.cents))
                .collect(),
        )
    }

    #[test]
    fn an_order_is_split_where_that_is_cheaper_than_one_shipping() {
        let offers = [offer("a", 100, 50, 5), offer("b", 120, 10, 9)];
        assert_eq!(split(&offers, 1), Some(vec![("b".into(), 1, 130)]));
        assert_eq!(split(&offers, 4), Some(vec![("a".into(), 4, 450)]));
        let both = vec![("a".into(), 5, 550), ("b".into(), 2, 250)];
        assert_eq!(split(&offers, 7), Some(both));
        assert_eq!(split(&offers, 15), None);
    }

    #[test]
    fn a_large_order_is_worth_its_lower_price() {
        let offers = [offer("a", 100, 0, 9), offer("b", 110, 0, 20)];
        assert_eq!(split(&offers, 9), Some(vec![("a".into(), 9, 900)]));
        assert_eq!(split(&offers, 10), Some(vec![("b".into(), 10, 550)]));
        assert_eq!(split(&[], 1), None);
    }
}
