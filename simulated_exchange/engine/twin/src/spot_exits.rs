//! Take-profit and stop-loss that come with a limit order of spot: rules 3.1, 3.2 and 3.7.
//!
//! - As the order fills they are put in place, as waiting orders of the other side that hold what they pay with, for what it
//!   got: of a buy the quantity less the fee, in whole steps, of a sell the quantity. Both are of that size.
//! - They are a pair: one is triggered, the other is cancelled; together they hold what the dearer of them holds. One of them
//!   cancelled, the other stands alone.
//! - The pair grows with its order, unless one of it is due: then, or when what it would hold more is not there, there is
//!   another one for what has come. That one is cancelled as soon as it is told when its coin is not there, or there would be
//!   more such orders in the instrument than allowed.

use exchange_core::limits::SPOT_TPSL_ORDERS_MAX;
use exchange_core::{
    AccountId, CancelReason, NewOrder, OrderType, Price, Reject, Side, StopKind, Terms, TimeInForce,
    TriggerDirection,
};

use crate::conditional::Waiting;
use crate::contract::Contract;
use crate::exits::ends_of;
use crate::orders::instrument_id;
use crate::rounding::floor;
use crate::spot::paid_in;
use crate::state::{Key, Order, State};

impl State {
    /// Refuses ends of an order at the market, of one that holds while it waits, and such as could not be sent at the market.
    pub fn check_spot_ends(&self, order: &NewOrder, instrument: usize) -> Result<(), Reject> {
        let terms = &order.terms;
        if order.order_type == OrderType::Market || terms.holds {
            return Err(Reject::SpotTermsInvalid);
        }
        let largest = self.contracts[instrument].spec.max_market_qty;
        if order.qty > largest && ends_of(terms).iter().any(|end| end.limit == Price(0)) {
            return Err(Reject::QtyAboveMaximum);
        }
        Ok(())
    }

    /// What an order has got, or sold, more by a fill.
    pub fn got_by(&self, before: &Order, qty: i128, fee: i128) -> i128 {
        let step = self.contracts[before.key.instrument].step();
        let filled = before.qty - before.leaves;
        let got = |filled: i128, fee: i128| {
            if before.side == Side::Buy {
                floor((filled - fee).max(0), step) * step
            } else {
                filled
            }
        };
        got(filled + qty, before.fee + fee) - got(filled, before.fee)
    }

    /// Puts in place what came with an order, for what of it has come.
    pub fn attach_to_coins(&mut self, order: u64, key: Key, side: Side, qty: i128, terms: &Terms) {
        let contract = self.contract(key.instrument);
        let cash = self.spendable_cash(key.account, paid_in(&contract, side.opposite()));
        let own: Vec<Waiting> =
            self.waiting.values().filter(|one| one.key == key && one.parent == order).copied().collect();
        if !own.is_empty() && own.iter().all(|one| !one.is_due) {
            let larger = |one: &Waiting| {
                let mut order = one.order;
                order.qty = Contract::shown_qty(i128::from(order.qty.0) + qty);
                order
            };
            let now = self.dearest(key, own.iter().map(|one| one.order));
            if self.dearest(key, own.iter().map(larger)) - now <= cash {
                for one in &own {
                    self.resize(one, i128::from(one.order.qty.0) + qty);
                }
                return;
            }
        }
        let first = self.last_order + 1;
        let ends = ends_of(terms);
        let here = |one: &&Waiting| one.key == key && one.kind == StopKind::SpotTpSl;
        let others = self.waiting.values().filter(here).count();
        let mut put = Vec::new();
        for end in &ends {
            let rises = (side == Side::Buy) == end.takes_profit();
            let is_limit = end.limit != Price(0);
            let account = AccountId(self.accounts[key.account].id);
            let qty = Contract::shown_qty(qty);
            let mut ending =
                NewOrder::limit(account, instrument_id(key.instrument), side.opposite(), qty, end.limit);
            if !is_limit {
                ending.order_type = OrderType::Market;
                ending.time_in_force = TimeInForce::ImmediateOrCancel;
            }
            ending.terms = Terms {
                trigger_price: end.price,
                trigger_by: end.by,
                trigger_direction: if rises { TriggerDirection::Rise } else { TriggerDirection::Fall },
                holds: true,
                ..Terms::NONE
            };
            let fresh = self.new_waiting(key, StopKind::SpotTpSl, ending, rises);
            let partner = match ends.len() {
                2 if fresh.id == first => first + 1,
                2 => first,
                _ => 0,
            };
            let waiting = Waiting { partner, parent: order, ..fresh };
            self.put_waiting(waiting);
            put.push(waiting);
        }
        let is_paid = self.dearest(key, put.iter().map(|one| one.order)) <= cash;
        for waiting in &put {
            if is_paid && others + put.len() <= SPOT_TPSL_ORDERS_MAX {
                self.trigger_if_reached(waiting);
            } else {
                self.withdraw_waiting(waiting.id, CancelReason::InsufficientMargin);
            }
        }
    }

    fn dearest(&self, key: Key, orders: impl Iterator<Item = NewOrder>) -> i128 {
        orders.map(|order| self.held_by_waiting(key.instrument, &order).1).max().unwrap_or(0)
    }
}
