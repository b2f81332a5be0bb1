//! How large an order may be and how many an account may have; orders that reduce more than the largest order does come in as
//! several.

use exchange_core::limits::ACTIVE_ORDERS_MAX;
use exchange_core::{CreateType, LinkId, OrderType, Price, Qty, Reject, Terms, TimeInForce};

use crate::conditional::Waiting;
use crate::orders::rests;
use crate::state::{Key, Order, State};

impl State {
    /// The largest order of a kind.
    pub fn largest(&self, instrument: usize, order_type: OrderType, time_in_force: TimeInForce) -> Qty {
        let spec = &self.contract(instrument).spec;
        match (order_type, time_in_force) {
            (OrderType::Market, _) => spec.max_market_qty,
            (_, TimeInForce::PostOnly) => spec.max_post_only_qty.unwrap_or(spec.max_qty),
            _ => spec.max_qty,
        }
    }

    /// Whether one more order may rest: at most 500 in a contract, both legs of a hedge together, or in all pairs of spot.
    pub fn has_room(&self, key: Key) -> bool {
        let is_spot = |instrument: usize| self.contracts[instrument].is_spot();
        let counts = |other: &&Order| {
            let is_alike = other.key.instrument == key.instrument
                || is_spot(key.instrument) && is_spot(other.key.instrument);
            other.key.account == key.account && is_alike
        };
        self.orders.iter().filter(counts).count() < ACTIVE_ORDERS_MAX as usize
    }

    /// Cuts an order that reduces to the largest order; returns what is beyond. What must fill whole cannot be split.
    pub fn cut_to_largest(&self, order: &mut Order) -> Result<i128, Reject> {
        let largest = self.largest(order.key.instrument, order.order_type, order.time_in_force);
        let beyond = order.qty - i128::from(largest.0);
        if !order.reduce_only || beyond <= 0 {
            return Ok(0);
        }
        if order.time_in_force == TimeInForce::FillOrKill {
            return Err(Reject::QtyAboveMaximum);
        }
        order.qty -= beyond;
        order.leaves = order.qty;
        Ok(beyond)
    }

    /// Places what is beyond the first part: orders of their own, without its link id, and never waiting. What is not there any
    /// more to be closed is not asked for.
    pub fn place_parts(
        &mut self,
        first: &Order,
        beyond: i128,
        create_type: CreateType,
        fired: Option<&Waiting>,
    ) {
        let fired = fired.map(|waiting| Waiting { partner: 0, ..*waiting });
        let mut left = beyond;
        for _ in 1..ACTIVE_ORDERS_MAX {
            left = left.min(self.closable(first.key, first.side).unwrap_or(0));
            if left == 0 || rests(first.time_in_force) && !self.has_room(first.key) {
                break;
            }
            self.last_order += 1;
            let qty = left.min(first.qty);
            let part = Order {
                id: self.last_order,
                qty,
                leaves: qty,
                link: LinkId::NONE,
                terms: Terms { trigger_price: Price(0), ..first.terms },
                ..first.clone()
            };
            left -= qty;
            self.accept(&part, create_type, fired.as_ref());
            let valued = self.valued_at(&part);
            self.send(part, valued);
        }
    }
}
