//! Orders that reduce and are larger than the largest order: they come in as several, each as large as one may be. Rules 3.2.
//! The first is the order that was asked for, with its link id; the others are orders of their own.

use crate::command::NewOrder;
use crate::entry::{Intent, ACTIVE_ORDERS_MAX};
use crate::exchange::Exchange;
use crate::reject::Reject;
use crate::terms::{CreateType, Terms};
use crate::triggers::Waiting;
use crate::types::{LinkId, Price, TimeInForce};

impl Exchange {
    /// Cuts an order that reduces to the largest order; returns what is beyond. What must fill whole cannot be split.
    pub(crate) fn cut_to_largest(&self, order: &NewOrder, intent: &mut Intent) -> Result<i64, Reject> {
        let listed = &self.instruments[intent.instrument];
        let largest = listed.largest(order.order_type, intent.time_in_force).0 / listed.spec.qty_step.0;
        let beyond = (intent.lots - largest).max(0);
        if beyond > 0 && intent.time_in_force == TimeInForce::FillOrKill {
            return Err(Reject::QtyAboveMaximum);
        }
        intent.lots -= beyond;
        Ok(beyond)
    }

    /// Places what is beyond the first part, as far as there is still something to close, and no more orders than an account
    /// may have. `intent` is the first part's; `fired` is what the order was while it waited for a price.
    #[cold]
    pub(crate) fn place_parts(
        &mut self,
        order: &NewOrder,
        intent: Intent,
        beyond: i64,
        create_type: CreateType,
        fired: Option<&Waiting>,
    ) {
        let largest = intent.lots;
        let terms = Terms { trigger_price: Price(0), ..order.terms };
        let part = NewOrder { link_id: LinkId::NONE, terms, ..*order };
        let fired = fired.map(|waiting| Waiting { partner: 0, order: part, ..*waiting });
        let rests = matches!(intent.time_in_force, TimeInForce::GoodTillCancel | TimeInForce::PostOnly);
        let mut left = beyond;
        let mut intent = intent;
        for _ in 1..ACTIVE_ORDERS_MAX {
            let slot = self.ledger.find_slot(intent.account, intent.instrument, intent.position_index);
            left = left.min(self.can_reduce(slot, order.side).unwrap_or(0));
            if left == 0 || rests && self.has_room(intent.account, slot).is_err() {
                break;
            }
            intent.lots = left.min(largest);
            left -= intent.lots;
            self.last_order += 1;
            let id = self.last_order;
            let listed = &self.instruments[intent.instrument];
            let applied = (listed.price(intent.ticks), listed.qty(intent.lots), intent.time_in_force);
            self.accept(intent.account, &part, applied, create_type, id);
            if !part.terms.is_none() || fired.is_some() {
                self.emit_conditions(id, &part, fired.as_ref());
            }
            let valued = self.valued(&part, &intent);
            self.send(&part, &intent, valued, id, fired.as_ref());
        }
    }
}
