//! Looking ahead: who knows which commands come next says so, and what they will look at is brought near while others are
//! applied. Most of what an order of a busy venue takes is waiting for memory, one place after the other: its number leads
//! to the order, the order to its slot, the slot to a purse. Here each step is taken some commands early.
//!
//! Nothing is changed, checked or promised: what is found may be gone or wrong when the command's turn comes, and `apply`
//! looks everything up itself. So no result can depend on it.

use crate::book::reaches;
use crate::command::{glanced, Action, Command, Fields, AMEND_ORDER, CANCEL_ORDER, PLACE_ORDER};
use crate::exchange::Exchange;
use crate::instrument::Instrument;
use crate::market::Market;
use crate::order::NONE;
use crate::types::{AccountId, OrderId, PositionIndex, Side};
use exchange_prefetch::prefetch;

/// How many commands before its turn one should be looked at.
pub const AHEAD: usize = 12;
/// Commands between two steps.
const STRIDE: usize = 2;
/// Sights remembered: a power of two above the steps in all.
const SIGHTS: usize = 16;

/// With fewer slots, what orders touch lies near anyway, and to look ahead would only cost time.
const SLOTS_MIN: usize = 1 << 13;

/// Where a command begins to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sought {
    /// Nowhere that is known before.
    #[default]
    Nothing,
    /// A resting order: `number` is its own, `found` its position, then that of its slot.
    Order,
    /// A slot for a new order: `number` is its key, `found` its position.
    Slot,
}

/// What can be seen of a command without reading it as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    sought: Sought,
    side: Side,
    account: u32,
    instrument: u16,
    order_id: u64,
    price: i64,
}

impl Glance {
    /// No command, or one that is not about an order.
    pub const NOTHING: Self =
        Self { sought: Sought::Nothing, side: Side::Buy, account: 0, instrument: 0, order_id: 0, price: 0 };

    /// Of a command.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "of a command that is only made for this, nothing else remains")]
    pub fn of(command: &Command) -> Self {
        let order = |account: AccountId, order_id: OrderId, price: i64| {
            let (account, order_id) = (account.0, order_id.0);
            Self { sought: Sought::Order, account, order_id, price, ..Self::NOTHING }
        };
        match &command.action {
            Action::AmendOrder { account, order_id, price, .. } => {
                order(*account, *order_id, price.map_or(0, |price| price.0))
            }
            Action::CancelOrder { account, order_id } => order(*account, *order_id, 0),
            Action::PlaceOrder(order) => Self {
                sought: Sought::Slot,
                side: order.side,
                account: order.account.0,
                instrument: order.instrument.0,
                order_id: 0,
                price: order.price.0,
            },
            _ => Self::NOTHING,
        }
    }

    /// Of a command's record; whatever is no record looks like nothing.
    #[inline]
    pub fn of_record(record: &[u8]) -> Self {
        let Some(Fields { kind, side, account, instrument, order_id, price, .. }) = glanced(record) else {
            return Self::NOTHING;
        };
        let sought = match kind {
            PLACE_ORDER => Sought::Slot,
            AMEND_ORDER | CANCEL_ORDER => Sought::Order,
            _ => return Self::NOTHING,
        };
        let side = Side::from_wire(side).unwrap_or(Side::Buy);
        Self { sought, side, account, instrument, order_id, price }
    }
}

/// What is known of a command to come.
#[derive(Clone, Copy, Debug)]
struct Sight {
    sought: Sought,
    side: Side,
    place: u16,
    found: u32,
    number: u64,
    /// The price it asks for; 0 for none.
    price: i64,
    /// That price and the present one, in ticks.
    ticks: [i64; 2],
}

const NOTHING: Sight = Sight {
    sought: Sought::Nothing,
    side: Side::Buy,
    place: 0,
    found: NONE,
    number: 0,
    price: 0,
    ticks: [0; 2],
};

/// Commands to come that were looked at.
#[derive(Clone, Debug)]
pub struct Lookout {
    sights: [Sight; SIGHTS],
    at: usize,
    /// Slots of the smallest venue that is worth it.
    slots_min: usize,
}

impl Lookout {
    /// One that looks ahead in the smallest venue, too: slower, with the same results. For comparing the two.
    pub fn everywhere() -> Self {
        Self { slots_min: 0, ..Self::default() }
    }
}

impl Default for Lookout {
    fn default() -> Self {
        Self { sights: [NOTHING; SIGHTS], at: 0, slots_min: SLOTS_MIN }
    }
}

impl Exchange {
    /// Takes the next step toward each of the commands last looked at, and the first one toward `coming`, whose turn is
    /// [`AHEAD`] commands away. To be called once before every command. Does nothing in a small venue, not even glance.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Glance::of`")]
    pub fn look_ahead(&self, lookout: &mut Lookout, coming: impl FnOnce() -> Glance) {
        if self.ledger.slots_count() < lookout.slots_min {
            return;
        }
        let coming = coming();
        let sight = match coming.sought {
            Sought::Nothing => NOTHING,
            Sought::Order => self.seek_order(&coming),
            Sought::Slot => self.seek_slot(&coming),
        };
        let at = lookout.at;
        lookout.at = at.wrapping_add(1);
        lookout.sights[at % SIGHTS] = sight;
        let before = |steps: usize| at.wrapping_sub(steps * STRIDE) % SIGHTS;
        self.approach_found(&mut lookout.sights[before(1)]);
        self.approach_around(&mut lookout.sights[before(2)]);
        self.approach_prices(&mut lookout.sights[before(3)]);
        self.approach_levels(&lookout.sights[before(4)]);
        self.approach_others(&mut lookout.sights[before(5)]);
    }

    /// First step: the account, and where the order's number is looked up.
    #[inline]
    fn seek_order(&self, coming: &Glance) -> Sight {
        self.ledger.approach_account(coming.account);
        self.orders.approach_number(coming.order_id);
        Sight { sought: Sought::Order, number: coming.order_id, price: coming.price, ..NOTHING }
    }

    /// First step of a new order: the account, and where its slot is looked up.
    #[inline]
    fn seek_slot(&self, coming: &Glance) -> Sight {
        let &Glance { sought, side, instrument: place, price, account, .. } = coming;
        let Some(owner) = self.ledger.approach_account(account) else { return NOTHING };
        let number = self.ledger.approach_key(owner, usize::from(place), PositionIndex::OneWay);
        Sight { sought, side, place, number, price, ..NOTHING }
    }

    /// Second step: the order or the slot itself.
    #[inline]
    fn approach_found(&self, sight: &mut Sight) {
        match sight.sought {
            Sought::Nothing => {}
            Sought::Order => match self.orders.guess(sight.number) {
                Some(index) => {
                    self.orders.approach(index);
                    sight.found = index;
                }
                None => *sight = NOTHING,
            },
            Sought::Slot => {
                if let Some(slot) = self.ledger.guess_slot(sight.number) {
                    self.ledger.approach_slot(slot);
                    sight.found = slot;
                }
            }
        }
    }

    /// Third step: an order's slot and neighbours, a slot's purse, the instrument.
    #[inline]
    fn approach_around(&self, sight: &mut Sight) {
        match sight.sought {
            Sought::Nothing => return,
            Sought::Order => {
                let Some(order) = self.orders.peek(sight.found) else { return };
                self.ledger.approach_slot(order.slot);
                self.orders.approach_neighbours(order);
                (sight.side, sight.place, sight.found) = (order.side, order.instrument, order.slot);
                sight.ticks[1] = order.ticks();
            }
            Sought::Slot => {}
        }
        let place = usize::from(sight.place);
        if let (Some(listed), Some(market)) = (self.instruments.get(place), self.markets.get(place)) {
            approach_terms(listed, market);
            self.books[place].approach(sight.side);
        }
    }

    /// Fourth step: the purse, and where the prices lie in the book.
    #[inline]
    fn approach_prices(&self, sight: &mut Sight) {
        if matches!(sight.sought, Sought::Nothing) {
            return;
        }
        self.ledger.approach_purse_of(sight.found);
        let place = usize::from(sight.place);
        if let (Some(listed), Some(book)) = (self.instruments.get(place), self.books.get(place)) {
            sight.ticks[0] = listed.tick.count(sight.price).unwrap_or(0);
            for ticks in sight.ticks {
                book.approach_entry(sight.side, ticks);
            }
        }
    }

    /// Fifth step: the levels at the prices; for an order that meets others, the first of them.
    #[inline]
    fn approach_levels(&self, sight: &Sight) {
        let Some(book) = self.books.get(usize::from(sight.place)) else { return };
        for ticks in sight.ticks {
            book.approach_level(sight.side, ticks);
        }
        if let Some(met) = self.first_met(sight) {
            self.orders.approach(met);
        }
    }

    /// Sixth step: who is last in the queue to join, or what the first order met belongs to.
    #[inline]
    fn approach_others(&self, sight: &mut Sight) {
        if let Some(met) = self.first_met(sight).and_then(|met| self.orders.peek(met)) {
            self.ledger.approach_side(met.account, met.slot);
        } else if let Some(book) = self.books.get(usize::from(sight.place)) {
            self.orders.approach_order(book.level(sight.side, sight.ticks[0]).tail);
        }
        *sight = NOTHING;
    }

    /// The order that a new one would meet first as the book is now.
    #[inline]
    fn first_met(&self, sight: &Sight) -> Option<u32> {
        let book = self.books.get(usize::from(sight.place))?;
        let against = sight.side.opposite();
        let best = book.best(against)?;
        let meets = matches!(sight.sought, Sought::Slot) && reaches(sight.side, sight.ticks[0], best);
        meets.then(|| book.level(against, best).head)
    }
}

/// Asks for what an order looks at of its instrument.
#[inline]
fn approach_terms(listed: &Instrument, market: &Market) {
    prefetch(&listed.tick);
    prefetch(&listed.lot_tick_value);
    prefetch(&listed.default_shares);
    prefetch(&listed.spec.tick_size);
    prefetch(&listed.spec.min_notional);
    prefetch(&listed.is_plain);
    prefetch(&market.mark_ticks);
    prefetch(&market.max_buy_ticks);
    prefetch(&market.is_restricted);
}
