//! Spot: coins change hands, there is no position. Rules 3.8 and 6.
//!
//! - A resting buy holds its value in the quote coin, a resting sell its quantity of the base coin.
//! - A take-profit or stop-loss that waits holds likewise: a buy at its limit, at the market at its trigger price, or what it
//!   is to spend.
//! - What may be spent: wallet, less what is held, less losses at the marks; in isolated margin the free balance. An order on
//!   leverage may hold more than that, as far as it can be borrowed and its initial margin borne.
//! - The haircut, in cross margin: what of collateral value a side's orders of an instrument together would lose if they
//!   filled, at the mark; each coin counts with its first bracket, rounded up. What an order adds to it must be available.
//! - The buyer pays its fee in the base coin, the seller in the quote coin, rounded up.
//! - A market buy may name what it spends: it buys whole steps, through the book and at its limit beyond.

use exchange_core::{
    AccountId, CoinId, EventKind, Money, NewOrder, OrderId, OrderType, Qty, Reject, SelfMatch, Side,
    StopKind, TradeId, WalletReason, MONEY_MAX,
};

use crate::conditional::Waiting;
use crate::contract::{sign, Contract, ONE};
use crate::margin::Opening;
use crate::matching::{FeeRule, Leg};
use crate::orders::{check_qty, instrument_id, reaches};
use crate::rounding::{ceil, floor, shown};
use crate::state::{Key, State, FEES};

impl State {
    /// What spot orders hold of a coin.
    pub fn locked(&self, account: usize, coin: CoinId) -> i128 {
        let own = self.orders.iter().filter(|order| order.key.account == account);
        own.map(|order| {
            let contract = &self.contracts[order.key.instrument];
            let held = Opening { side: order.side, qty: order.leaves, price: order.price };
            if contract.is_spot() && paid_in(contract, order.side) == coin {
                holds(contract, &held)
            } else {
                0
            }
        })
        .sum::<i128>()
            + self.locked_by_waiting(account, coin)
    }

    fn locked_by_waiting(&self, account: usize, coin: CoinId) -> i128 {
        let waiting = self.waiting.values();
        let own = waiting.filter(|one| one.key.account == account && one.kind == StopKind::SpotTpSl);
        let held = own.map(|one| {
            let (paid_in, amount) = self.held_by_waiting(one.key.instrument, &one.order);
            // of a pair the dearer one counts: at the older one's turn
            match self.waiting.get(&one.partner) {
                None => (paid_in, amount),
                Some(other) if other.id < one.id => (paid_in, 0),
                Some(other) => {
                    (paid_in, amount.max(self.held_by_waiting(one.key.instrument, &other.order).1))
                }
            }
        });
        held.filter(|(paid_in, _)| *paid_in == coin).map(|(_, amount)| amount).sum()
    }

    /// What an order holds of which coin while it waits.
    pub fn held_by_waiting(&self, instrument: usize, order: &NewOrder) -> (CoinId, i128) {
        let contract = self.contract(instrument);
        let is_limit = order.order_type == OrderType::Limit;
        let price = if is_limit { order.price } else { order.terms.trigger_price };
        let qty = i128::from(order.qty.0);
        let amount = if order.side == Side::Sell || order.terms.in_quote {
            qty
        } else {
            contract.size(qty, i128::from(price.0))
        };
        (paid_in(&contract, order.side), amount)
    }

    /// Refuses a waiting order that cannot hold what it pays with; `before` is what it was, if it changes.
    pub fn check_waiting_hold(
        &self,
        key: Key,
        order: &NewOrder,
        before: Option<&Waiting>,
    ) -> Result<(), Reject> {
        if !self.contracts[key.instrument].is_spot() || order.terms.is_leveraged {
            return Err(Reject::SpotTermsInvalid);
        }
        let (coin, amount) = self.held_by_waiting(key.instrument, order);
        let other = before.and_then(|before| self.waiting.get(&before.partner));
        let held = |order: &NewOrder| self.held_by_waiting(key.instrument, order).1;
        let others = other.map_or(0, |other| held(&other.order));
        let released = before.map_or(0, |before| held(&before.order).max(others));
        let needed = amount.max(others);
        if needed - released > self.spendable_cash(key.account, coin) {
            return Err(Reject::InsufficientBalance);
        }
        Ok(())
    }

    /// Collateral value that all of an account's spot orders quoted in a coin would lose, in the coin.
    pub fn haircut_in(&self, account: usize, coin: CoinId) -> i128 {
        let keys = self.slots_of(account).into_iter();
        let quoted = keys.filter(|key| {
            let contract = &self.contracts[key.instrument];
            contract.is_spot() && contract.settle == coin
        });
        quoted.map(|key| self.haircut(key, &self.exposure(key).orders)).sum()
    }

    fn haircut(&self, key: Key, orders: &[Opening]) -> i128 {
        let (contract, mark) = (self.contract(key.instrument), self.markets[key.instrument].mark);
        let part = |amount: i128, coin: CoinId| {
            let listed = &self.coins[usize::from(coin.0)];
            let ratio =
                listed.collateral.first().filter(|_| listed.is_collateral).map_or(0, |tier| tier.ratio);
            ceil(amount * i128::from(ratio), ONE)
        };
        let lost = |side: Side| {
            let own = || orders.iter().filter(|order| order.side == side);
            let quote: i128 = own().map(|order| contract.size(order.qty, order.price)).sum();
            let base = contract.size(own().map(|order| order.qty).sum(), mark);
            (part(quote, contract.settle) - part(base, contract.base.expect("spot"))) * sign(side)
        };
        lost(Side::Buy).max(0) + lost(Side::Sell).max(0)
    }

    /// What may be spent of a coin.
    pub fn spendable_cash(&self, account: usize, coin: CoinId) -> i128 {
        if self.is_isolated(account) {
            self.isolated_free(account, coin)
        } else {
            self.cash(account, coin)
        }
    }

    /// Refuses an order whose coin is not there, or not borrowable, or whose haircut cannot be borne. `now` is the exchange as
    /// it stands, `self` as it would be without the order if it is an amendment.
    pub fn check_spot(&self, now: &Self, key: Key, order: &Opening, borrows: bool) -> Result<(), Reject> {
        let contract = self.contract(key.instrument);
        let before = self.exposure(key).orders;
        let after = [before.as_slice(), &[*order]].concat();
        let together: i128 = after.iter().filter(|own| own.side == order.side).map(|own| own.qty).sum();
        if together > contract.largest() {
            return Err(Reject::PositionLimit);
        }
        let more = self.haircut(key, &after) - self.haircut(key, &before);
        let more = self.in_usd(contract.settle, more);
        let (coin, needed) = (paid_in(&contract, order.side), holds(&contract, order));
        let short = needed - self.spendable_cash(key.account, coin);
        if short <= 0 {
            let is_borne =
                now.is_isolated(key.account) || more <= now.figures(key.account).available().max(0);
            return if is_borne { Ok(()) } else { Err(Reject::InsufficientBalance) };
        }
        if !borrows {
            return Err(Reject::InsufficientBalance);
        }
        if short > self.borrowable(key.account, coin) {
            return Err(Reject::BorrowLimit);
        }
        // what is held and not there is owed from then on
        let loan = |held: i128| self.loan_margin(key.account, coin, held).0;
        let available = self.figures(key.account).available() - (loan(needed) - loan(0));
        if available < more.max(0) {
            return Err(Reject::InsufficientBalance);
        }
        Ok(())
    }

    /// What only spot orders may ask for; the quantity.
    pub fn on_spot_terms(&self, new: &NewOrder, key: Key, limit: i128, qty: i128) -> Result<i128, Reject> {
        let contract = self.contract(key.instrument);
        if !contract.is_spot() || new.terms.holds {
            return Err(Reject::SpotTermsInvalid);
        }
        if new.terms.is_leveraged && self.is_isolated(key.account) {
            return Err(Reject::NoLoansInIsolatedMode);
        }
        if !new.terms.in_quote {
            return Ok(qty);
        }
        if new.order_type != OrderType::Market || new.side != Side::Buy {
            return Err(Reject::SpotTermsInvalid);
        }
        if new.qty.0 < 1 || new.qty.0 > MONEY_MAX {
            return Err(Reject::QtyInvalid);
        }
        let bought = self.bought_with(i128::from(new.qty.0), key, limit, new.terms.self_match);
        let checked = check_qty(&contract, Qty(shown(bought)), contract.spec.max_market_qty, false);
        checked.map_err(|reject| match reject {
            Reject::QtyInvalid => Reject::QtyBelowMinimum, // not a single step
            reject => reject,
        })
    }

    /// What an amount buys, in whole steps.
    fn bought_with(&self, amount: i128, key: Key, limit: i128, self_match: SelfMatch) -> i128 {
        let contract = self.contract(key.instrument);
        let steps_for = |left: i128, price: i128| {
            floor(left, contract.size(contract.step(), price).max(1)) * contract.step()
        };
        let (mut left, mut bought, mut price) = (amount, 0, limit);
        for maker in self.queue(key.instrument, Side::Sell) {
            if !reaches(Side::Buy, limit, maker.price) {
                break;
            }
            if self_match != SelfMatch::Allow && self.is_same_trader(key, maker.key) {
                if self_match == SelfMatch::CancelMaker {
                    continue;
                }
                price = maker.price;
                break;
            }
            let taken = maker.leaves.min(steps_for(left, maker.price));
            bought += taken;
            left -= contract.size(taken, maker.price);
            if taken < maker.leaves {
                return bought;
            }
        }
        bought + steps_for(left, price)
    }

    /// Of a quantity about to trade beyond the price of its hold, what can be paid.
    pub fn payable(&self, key: Key, side: Side, qty: i128, price: i128) -> i128 {
        let contract = self.contract(key.instrument);
        if side == Side::Sell {
            return qty;
        }
        let cash = self.spendable_cash(key.account, contract.settle).max(0);
        qty.min(floor(cash, contract.size(contract.step(), price).max(1)) * contract.step())
    }

    /// Books one side of a fill and returns its fee.
    pub fn settle_spot(&mut self, leg: &Leg) -> i128 {
        let contract = self.contract(leg.key.instrument);
        let (base, quote) = (contract.base.expect("spot"), contract.settle);
        let rate = match leg.fee {
            FeeRule::Rate(rate) | FeeRule::AsFarAsItCan(rate) => rate,
            FeeRule::None => 0,
        };
        let (mut base_change, mut quote_change) = (leg.qty * sign(leg.side), -leg.value);
        let (fee, fee_coin) = if leg.side == Side::Buy {
            (Contract::fee(leg.qty, rate), base)
        } else {
            (Contract::fee(leg.value, rate), quote)
        };
        *(if leg.side == Side::Buy { &mut base_change } else { &mut quote_change }) -= fee;
        let account = leg.key.account;
        self.purse_mut(account, base).wallet += base_change;
        self.purse_mut(account, quote).wallet += quote_change;
        self.purse_mut(FEES, fee_coin).wallet += fee;
        self.emit(EventKind::Fill {
            trade_id: TradeId(leg.trade_id),
            order_id: OrderId(leg.order_id),
            account: AccountId(self.accounts[account].id),
            instrument: instrument_id(leg.key.instrument),
            position_index: leg.key.index,
            side: leg.side,
            price: Contract::shown_price(leg.price),
            qty: Contract::shown_qty(leg.qty),
            fee: Money(shown(fee)),
            is_maker: leg.is_maker,
            leaves: Contract::shown_qty(leg.leaves),
            closed_qty: Qty(0),
            realised_pnl: Money(0),
            position_qty: Qty(0),
            kind: leg.kind,
        });
        self.tell_wallet(account, base, base_change, WalletReason::Trade);
        self.tell_wallet(account, quote, quote_change, WalletReason::Trade);
        fee
    }
}

/// The coin that a side pays with.
pub fn paid_in(contract: &Contract, side: Side) -> CoinId {
    match side {
        Side::Buy => contract.settle,
        Side::Sell => contract.base.expect("spot"),
    }
}

/// What an order holds of the coin it pays with.
fn holds(contract: &Contract, order: &Opening) -> i128 {
    match order.side {
        Side::Buy => contract.size(order.qty, order.price),
        Side::Sell => order.qty,
    }
}
