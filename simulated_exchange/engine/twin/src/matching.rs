//! What happens when an order meets the book: rules 3.1 and 3.8. One trade after the other, best price first, at one price
//! the oldest first; every trade is settled on both sides before the next.
//!
//! Nobody trades below nothing. Before each trade both accounts are asked how much of it they can bear:
//! - What closes may cost no more than the account has: were the *whole* position closed at this price, loss against the
//!   mark and taker fee, reckoned step by step of quantity and each in USD rounded up, must be within the margin balance;
//!   otherwise nothing is borne.
//! - What opens must have its loss against the mark available (after the loss of what closes), step by step.
//! - The incoming order, where it trades worse than the price its hold reckoned with, must have the cost of opening
//!   available as well, at the dearer of price and mark.
//! - A resting order better than the mark, of an account with something available, is borne whole.
//!
//! The incoming order stops when its account cannot bear all of the next trade; a resting one that can bear nothing is
//! cancelled.
//!
//! Where two orders of one trader would meet, nothing of this is asked: the word of the incoming one decides which of them is
//! cancelled (rules 3.5).

use exchange_core::{
    AccountId, CancelReason, EventKind, FillKind, Money, OrderId, SelfMatch, Side, TradeId, TriggerBy,
    WalletReason,
};

use crate::contract::{sign, Contract, ONE};
use crate::margin::{order_cost, reducible, Opening};
use crate::orders::{instrument_id, reaches};
use crate::rounding::{floor, shown, toward_zero};
use crate::state::{Key, Order, State, FEES, TAKEOVER};

/// How a fill's fee is found.
#[derive(Clone, Copy, Debug)]
pub enum FeeRule {
    /// A rate of the size.
    Rate(i64),
    /// The same, as far as the margin balance goes; of an isolated position as far as what its closing released goes.
    AsFarAsItCan(i64),
    /// None: the venue's own.
    None,
}

/// An order on its way through the book.
#[derive(Clone, Copy, Debug)]
pub struct Incoming {
    /// Number; 0 for the venue's own orders.
    pub order_id: u64,
    /// Whose.
    pub key: Key,
    /// Side.
    pub side: Side,
    /// Worst price.
    pub limit: i128,
    /// Still wanted.
    pub leaves: i128,
    /// Price its hold reckoned with.
    pub valued: i128,
    /// Never opens.
    pub reduce_only: bool,
    /// Its fee.
    pub fee: FeeRule,
    /// What its fills are.
    pub kind: FillKind,
    /// It stopped because its account, or the insurance pool, cannot bear the next trade.
    pub blocked: bool,
    /// What happens when it meets an order of its own trader.
    pub self_match: SelfMatch,
    /// The order of its own trader that stopped it; 0 for none.
    pub met: u64,
    /// Size filled.
    pub filled_value: i128,
    /// Fees paid.
    pub fee_paid: i128,
}

/// One account's side of a fill.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    /// Trade.
    pub trade_id: u64,
    /// Order; 0 for none.
    pub order_id: u64,
    /// Whose.
    pub key: Key,
    /// Side.
    pub side: Side,
    /// Quantity.
    pub qty: i128,
    /// Signed settlement value.
    pub value: i128,
    /// Price to show.
    pub price: i128,
    /// Fee.
    pub fee: FeeRule,
    /// Rested.
    pub is_maker: bool,
    /// What the order still wants.
    pub leaves: i128,
    /// How it came about.
    pub kind: FillKind,
}

/// What a fill makes of a position.
#[derive(Clone, Copy, Debug)]
pub struct Booked {
    /// Position afterwards.
    pub qty: i128,
    /// Its cost.
    pub cost: i128,
    /// Quantity that closed.
    pub closed: i128,
    /// Profit realised.
    pub realised: i128,
}

/// Books a signed quantity of a signed value into a position. What closes carries its share of the cost, rounded towards
/// zero; where more comes than closes, the part of the value that closes is rounded down.
pub fn book_fill(qty: i128, cost: i128, filled: i128, value: i128) -> Booked {
    let closed = if qty.signum() * filled.signum() < 0 { qty.abs().min(filled.abs()) } else { 0 };
    if closed == 0 {
        return Booked { qty: qty + filled, cost: cost + value, closed, realised: 0 };
    }
    let cost_closed = toward_zero(cost * closed, qty.abs());
    let value_closed = floor(value * closed, filled.abs());
    Booked {
        qty: qty + filled,
        cost: cost - cost_closed + (value - value_closed),
        closed,
        realised: -value_closed - cost_closed,
    }
}

impl State {
    /// Fills an incoming order as far as book, limit and the accounts allow.
    pub fn match_incoming(&mut self, incoming: &mut Incoming) {
        let instrument = incoming.key.instrument;
        while incoming.leaves > 0 && !incoming.blocked && incoming.met == 0 {
            let book = self.queue(instrument, incoming.side.opposite());
            let Some(maker) =
                book.first().filter(|maker| reaches(incoming.side, incoming.limit, maker.price))
            else {
                return;
            };
            if incoming.self_match != SelfMatch::Allow && self.is_same_trader(incoming.key, maker.key) {
                self.prevent_self_match(incoming, maker.id);
                continue;
            }
            let mut wanted = incoming.leaves.min(maker.leaves);
            if incoming.reduce_only {
                wanted = wanted.min(reducible(self.slot(incoming.key).qty, incoming.side));
            }
            if wanted == 0 {
                return;
            }
            let mut qty = self.bearable_by_taker(incoming, wanted, maker.price);
            incoming.blocked = qty < wanted;
            if qty == 0 {
                return;
            }
            qty = self.bearable(maker.key, maker.side, qty, maker.price, false);
            if qty == 0 {
                self.withdraw_order(maker.id, CancelReason::InsufficientMargin);
                incoming.blocked = false; // the next order is asked anew
            } else {
                self.trade(incoming, maker, qty);
            }
        }
    }

    /// Of a quantity about to trade, what an account can bear; `costs` when initial margin must be available as well.
    fn bearable(&self, key: Key, side: Side, qty: i128, price: i128, costs: bool) -> i128 {
        if self.contracts[key.instrument].is_spot() {
            return if costs { self.payable(key, side, qty, price) } else { qty };
        }
        if self.is_isolated(key.account) {
            return self.bearable_isolated(key, &Opening { side, qty, price }, costs);
        }
        let contract = self.contract(key.instrument);
        let (slot, mark) = (self.slot(key), self.markets[key.instrument].mark);
        let figures = self.figures(key.account);
        let is_worse_than_mark = (price - mark) * sign(side) > 0;
        if !is_worse_than_mark && figures.available() >= 0 && !costs {
            return qty;
        }
        let step = contract.step();
        let usd = |amount: i128| self.in_usd(contract.settle, amount);
        let loss = usd(contract.loss(side, step, price, mark));
        let fee = usd(Contract::fee(contract.size(step, price), contract.spec.taker_fee));
        let closing = qty.min(reducible(slot.qty, side));
        if closing > 0 && (loss + fee) * (slot.qty.abs() / step) > figures.balance {
            return 0;
        }
        let opening = qty - closing;
        let left = figures.available() - loss * (closing / step);
        if opening == 0 || left < 0 {
            return closing;
        }
        let dearer = if contract.size(step, price) > contract.size(step, mark) { price } else { mark };
        let cost = order_cost(&contract, &Opening { side, qty: step, price: dearer }, slot.leverage);
        let each = loss + if costs { usd(cost) } else { 0 };
        match each {
            0 => qty,
            each => closing + opening.min(floor(left, each) * step),
        }
    }

    /// The same for the order that comes in: up to the price of its hold only what closes is asked about.
    fn bearable_by_taker(&self, incoming: &Incoming, qty: i128, price: i128) -> i128 {
        match incoming.fee {
            FeeRule::Rate(_) if reaches(incoming.side, incoming.valued, price) => {
                if reducible(self.slot(incoming.key).qty, incoming.side) > 0 {
                    self.bearable(incoming.key, incoming.side, qty, price, false)
                } else {
                    qty
                }
            }
            FeeRule::Rate(_) => self.bearable(incoming.key, incoming.side, qty, price, true),
            FeeRule::AsFarAsItCan(_) => qty, // its limit is the bankruptcy price
            FeeRule::None => self.affordable(incoming, price).min(qty),
        }
    }

    /// What a fill-or-kill order is sure to get. What depends on earlier fills does not count: a reduce-only order behind
    /// another order of its owner that is not, and what its owner may no longer bear by then, with all that he has behind it.
    pub fn sure_to_fill(&self, incoming: &Incoming) -> i128 {
        let queue = self.queue(incoming.key.instrument, incoming.side.opposite());
        let mut counted: Vec<Order> = Vec::new(); // those ahead in the queue that do count, or were looked at
        let mut given_up: Vec<Key> = Vec::new();
        let (mut sure, mut last_price) = (0, incoming.valued);
        for maker in queue {
            if sure >= incoming.leaves || !reaches(incoming.side, incoming.limit, maker.price) {
                break;
            }
            if incoming.self_match != SelfMatch::Allow && self.is_same_trader(incoming.key, maker.key) {
                match incoming.self_match {
                    SelfMatch::CancelMaker => continue,
                    _ => break,
                }
            }
            let ahead: Vec<&Order> = counted.iter().filter(|order| order.key == maker.key).collect();
            if maker.reduce_only && ahead.iter().any(|order| !order.reduce_only) {
                continue;
            }
            let together = maker.leaves + ahead.iter().map(|order| order.leaves).sum::<i128>();
            let worst = ahead.first().map_or(maker.price, |order| order.price);
            counted.push(maker.clone());
            let can_bear = self.bearable(maker.key, maker.side, together, worst, false) >= together;
            if given_up.contains(&maker.key) || !can_bear {
                given_up.push(maker.key);
                continue;
            }
            sure += maker.leaves;
            last_price = maker.price;
        }
        self.bearable_by_taker(incoming, sure.min(incoming.leaves), last_price)
    }

    /// True when two positions belong to one account, or to accounts of one group.
    pub fn is_same_trader(&self, one: Key, other: Key) -> bool {
        let group = |account: usize| self.settings.get(&account).map_or(0, |settings| settings.smp_group);
        let (one, other) = (one.account, other.account);
        one == other || group(one) != 0 && group(one) == group(other)
    }

    /// Two orders of one trader would meet: the incoming one says which of them goes.
    fn prevent_self_match(&mut self, incoming: &mut Incoming, maker: u64) {
        if incoming.self_match != SelfMatch::CancelMaker {
            incoming.met = maker;
        }
        if incoming.self_match != SelfMatch::CancelTaker {
            self.withdraw_against(maker, CancelReason::SelfMatch, incoming.order_id);
        }
    }

    /// One trade.
    fn trade(&mut self, incoming: &mut Incoming, maker: &Order, qty: i128) {
        let instrument = incoming.key.instrument;
        let contract = self.contract(instrument);
        let size = contract.size(qty, maker.price);
        self.last_trade += 1;
        let trade_id = self.last_trade;
        self.markets[instrument].last = maker.price;
        self.note_price(instrument, TriggerBy::LastPrice);
        self.emit(EventKind::Trade {
            trade_id: TradeId(trade_id),
            instrument: instrument_id(instrument),
            price: Contract::shown_price(maker.price),
            qty: Contract::shown_qty(qty),
            taker_side: incoming.side,
        });
        incoming.leaves -= qty;
        let rested = self.order_mut(maker.id);
        rested.leaves -= qty;
        let maker_leaves = rested.leaves;
        let taker_leg = Leg {
            trade_id,
            order_id: incoming.order_id,
            key: incoming.key,
            side: incoming.side,
            qty,
            value: size * sign(incoming.side) * contract.direction(),
            price: maker.price,
            fee: incoming.fee,
            is_maker: false,
            leaves: incoming.leaves,
            kind: incoming.kind,
        };
        incoming.filled_value += size;
        incoming.fee_paid += self.settle(&taker_leg);
        let fee = self.settle(&Leg {
            order_id: maker.id,
            key: maker.key,
            side: maker.side,
            value: -taker_leg.value,
            fee: FeeRule::Rate(contract.spec.maker_fee),
            is_maker: true,
            leaves: maker_leaves,
            ..taker_leg
        });
        self.note_filled(maker, qty, fee, &maker.terms);
        let rested = self.order_mut(maker.id);
        rested.filled_value += size;
        rested.fee += fee;
        if maker_leaves == 0 {
            self.remove_order(maker.id);
        }
        self.emit_level(instrument, maker.side, maker.price);
        self.trim_reduce_only(incoming.key);
        self.trim_reduce_only(maker.key);
    }

    /// Books one side of a fill and returns its fee.
    pub fn settle(&mut self, leg: &Leg) -> i128 {
        let contract = self.contract(leg.key.instrument);
        if contract.is_spot() {
            return self.settle_spot(leg);
        }
        let coin = contract.settle;
        let slot = self.slot_mut(leg.key);
        let (qty_before, assigned_before) = (slot.qty, slot.assigned);
        let booked = book_fill(slot.qty, slot.cost, leg.qty * sign(leg.side), leg.value);
        (slot.qty, slot.cost) = (booked.qty, booked.cost);
        if booked.closed > 0 {
            self.note_reduced(leg.key, booked.qty == 0 || booked.closed < leg.qty);
        }
        self.purse_mut(leg.key.account, coin).wallet += booked.realised;
        if self.is_isolated(leg.key.account) {
            self.reassign(leg.key, qty_before, booked.closed, leg.value);
        }
        let fee = match leg.fee {
            FeeRule::None => 0,
            FeeRule::Rate(rate) => Contract::fee(leg.value, rate),
            FeeRule::AsFarAsItCan(rate) if self.is_isolated(leg.key.account) => {
                let released = assigned_before + booked.realised - self.slot(leg.key).assigned;
                Contract::fee(leg.value, rate).min(released.max(0))
            }
            FeeRule::AsFarAsItCan(rate) => {
                Contract::fee(leg.value, rate).min(self.balance_in(leg.key.account, coin))
            }
        };
        self.purse_mut(leg.key.account, coin).wallet -= fee;
        self.purse_mut(FEES, coin).wallet += fee;
        self.slot_mut(leg.key).realised += booked.realised - fee;
        self.emit_leg(leg, &booked, fee);
        let reason = match leg.kind {
            FillKind::Trade => WalletReason::Trade,
            FillKind::TakeOver => WalletReason::TakeOver,
            FillKind::Adl => WalletReason::Adl,
            FillKind::Netting => WalletReason::Netting,
            FillKind::Delivery => WalletReason::Delivery,
        };
        self.tell_wallet(leg.key.account, coin, booked.realised - fee, reason);
        if leg.key.account == TAKEOVER {
            self.sweep_takeover(leg.key.instrument);
        }
        fee
    }

    /// An account's margin balance in a coin, rounded down; 0 when it is negative.
    pub fn balance_in(&self, account: usize, coin: exchange_core::CoinId) -> i128 {
        let balance = self.figures(account).balance.max(0);
        floor(balance * ONE, self.coin_prices[usize::from(coin.0)].max(1))
    }

    fn emit_leg(&mut self, leg: &Leg, booked: &Booked, fee: i128) {
        let contract = self.contract(leg.key.instrument);
        let account = AccountId(self.accounts[leg.key.account].id);
        let (instrument, position_index) = (instrument_id(leg.key.instrument), leg.key.index);
        let money = |amount: i128| Money(shown(amount));
        self.emit(EventKind::Fill {
            trade_id: TradeId(leg.trade_id),
            order_id: OrderId(leg.order_id),
            account,
            instrument,
            position_index,
            side: leg.side,
            price: Contract::shown_price(leg.price),
            qty: Contract::shown_qty(leg.qty),
            fee: money(fee),
            is_maker: leg.is_maker,
            leaves: Contract::shown_qty(leg.leaves),
            closed_qty: Contract::shown_qty(booked.closed),
            realised_pnl: money(booked.realised),
            position_qty: Contract::shown_qty(booked.qty),
            kind: leg.kind,
        });
        let realised = self.slot(leg.key).realised;
        self.emit(EventKind::PositionChanged {
            account,
            instrument,
            position_index,
            qty: Contract::shown_qty(booked.qty),
            entry_price: Contract::shown_price(contract.price_of(booked.cost.abs(), booked.qty)),
            realised_pnl: money(realised),
        });
    }
}
