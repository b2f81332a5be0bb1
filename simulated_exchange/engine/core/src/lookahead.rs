//! Reading ahead for a stream of commands: what the next few will touch is fetched while none of them waits for it.
//! Changes nothing and decides nothing; a venue whose books outgrow the caches applies long streams faster for it.

use crate::command::{Action, Command};
use crate::exchange::Exchange;
use crate::types::{AccountId, InstrumentId, Side};

/// Commands worth reading ahead: enough to overlap their memory latencies, few enough to stay in the cache.
pub const LOOK_AHEAD_MAX: usize = 16;

impl Exchange {
    /// Reads what the commands will touch. Call it with up to [`LOOK_AHEAD_MAX`] commands, then apply them.
    pub fn look_ahead(&self, commands: &[Command]) {
        for command in commands.iter().take(LOOK_AHEAD_MAX) {
            std::hint::black_box(match command.action {
                Action::AmendOrder { order_id, .. } | Action::CancelOrder { order_id, .. } => {
                    self.read_order(order_id.0)
                }
                Action::PlaceOrder(ref order) => self.read_slot(order.account, order.instrument),
                _ => 0,
            });
        }
    }

    fn read_order(&self, id: u64) -> i64 {
        let Some(index) = self.orders.find(id) else { return 0 };
        let order = self.orders.get(index);
        let slot = self.ledger.slot(order.slot);
        let level = self.books[usize::from(order.instrument)].level(order.side, order.ticks());
        let wallet = self.ledger.account(slot.account).wallet;
        level.lots ^ slot.margin.order_initial ^ i64::from(slot.leverage) ^ i64::from(wallet < 0)
    }

    fn read_slot(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        let instrument = usize::from(instrument.0);
        let Some(account) = self.ledger.find(account.0) else { return 0 };
        if instrument >= self.books.len() {
            return 0;
        }
        let wallet = self.ledger.account(account).wallet;
        let slot = self.ledger.find_slot(account, instrument).map(|slot| self.ledger.slot(slot));
        let best = self.books[instrument].best(Side::Buy).unwrap_or(0);
        best ^ slot.map_or(0, |slot| slot.margin.order_initial) ^ i64::from(wallet < 0)
    }
}
