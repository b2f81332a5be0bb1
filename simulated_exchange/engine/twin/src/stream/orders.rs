//! Orders, amendments and cancellations: what is drawn for them.

use exchange_core::{
    AccountId, Action, CoinId, InstrumentId, LinkId, NewOrder, OrderId, OrderSetting, OrderType,
    PositionIndex, Price, ProductClass, Qty, SelfMatch, Side, SlippageTolerance, Terms, TermsAmendment,
    TradingAction, TriggerBy, SCALE,
};

use super::{Stream, STEP_MARK};
use crate::contract::Contract;
use crate::rounding::shown;
use crate::state::{Key, State};

impl Stream {
    /// An order that rests or waits, by its step, with its owner; sometimes somebody else's, sometimes none.
    pub(super) fn order(&mut self, state: &State) -> (AccountId, OrderId, Option<Known>) {
        let resting = state.orders.iter().map(|order| (order.id, order.key, order.qty, false));
        let waiting = state.waiting.values().map(|one| (one.id, one.key, i128::from(one.order.qty.0), true));
        let known: Vec<(u64, Key, i128, bool)> = resting.chain(waiting).collect();
        if known.is_empty() || self.random.once_in(30) {
            let id = self.random.pick(&[OrderId(0), OrderId(1), OrderId(u64::MAX), OrderId(STEP_MARK)]);
            return (self.account(), id, None);
        }
        let (id, key, qty, waits) = self.random.pick(&known);
        let step = self.placed.iter().find(|(placed, _)| *placed == id);
        let named = step.map_or(id, |(_, step)| STEP_MARK | step);
        let owner =
            if self.random.once_in(30) { self.account() } else { AccountId(state.accounts[key.account].id) };
        (owner, OrderId(named), Some(Known { key, qty, waits }))
    }

    pub(super) fn amendment(&mut self, state: &State) -> Action {
        let (account, order_id, order) = self.order(state);
        let Some(order) = order else {
            return Action::AmendOrder { account, order_id, price: Some(Price(SCALE)), qty: None };
        };
        let contract = state.contract(order.key.instrument);
        let price = self.random.percent(60).then(|| self.price(state, order.key.instrument));
        let step = shown(contract.step());
        let near = shown(order.qty) / step;
        let reads_terms = order.waits && self.random.percent(70) || self.random.once_in(10);
        let qty = self.random.percent(60).then(|| {
            let steps = self.random.between(near / 2, near + near / 2 + 1);
            Qty(self.random.weighted(&[
                (96, steps.saturating_mul(step)),
                (1, 0),
                (1, -step),
                (1, i64::MAX),
                (1, step / 2),
            ]))
        });
        if !reads_terms {
            return Action::AmendOrder { account, order_id, price, qty };
        }
        let mut amendment = TermsAmendment { price, qty, ..TermsAmendment::of(account, order_id) };
        if self.random.percent(60) {
            amendment.trigger_price = Some(self.price(state, order.key.instrument));
        }
        if self.random.percent(20) {
            amendment.trigger_by = Some(self.random.pick(TriggerBy::ALL));
        }
        if self.random.percent(25) {
            let terms = self.exits(state, order.key.instrument);
            (amendment.take_profit, amendment.stop_loss) = (Some(terms.take_profit), Some(terms.stop_loss));
            amendment.tpsl_mode = self.random.percent(50).then_some(terms.tpsl_mode);
        }
        Action::Trading(TradingAction::AmendTerms(amendment))
    }

    /// A price near the mark, on few levels, so that orders meet.
    pub(super) fn price(&mut self, state: &State, at: usize) -> Price {
        let (contract, mark) = (state.contract(at), state.markets[at].mark);
        if self.random.once_in(150) {
            return self.random.pick(&[
                Price(0),
                Price(-1),
                Price(1),
                Price(i64::MAX),
                Price(i64::MIN),
                contract.spec.max_price,
            ]);
        }
        let coarse = (mark / 2_000 / contract.tick()).max(1) * contract.tick();
        let reach = self.random.weighted(&self.mood.reach);
        let middle = mark / coarse * coarse;
        let price = middle + i128::from(self.random.between(-reach, reach)) * coarse;
        Price(shown(price.max(contract.tick())))
    }

    pub(super) fn new_order(&mut self, state: &State) -> NewOrder {
        let (account, instrument) = (self.account(), self.instrument(state));
        let at = usize::from(instrument.0).min(state.contracts.len() - 1);
        let place = state.place_of(account.0);
        let side = self.random.pick(&[Side::Buy, Side::Sell]);
        let position_index =
            self.position_index(place.is_some_and(|place| state.hedged.contains(&(place, at))));
        let key = place.map(|account| Key { account, instrument: at, index: position_index });
        let held = key.map_or(0, |key| state.slot(key).qty);
        let reduce_only = self.random.percent(if held == 0 { 2 } else { self.mood.reduce_only });
        let closing = if held > 0 { Side::Sell } else { Side::Buy };
        if state.contracts[at].is_spot() {
            return self.spot_order(state, (account, instrument), place);
        }
        let closes_all = held != 0 && self.random.once_in(40);
        let (qty, mut terms) = (self.qty(state, at, place, shown(held)), self.terms());
        terms.close_on_trigger = closes_all || reduce_only && self.random.once_in(20);
        self.maybe_waits(state, at, &mut terms);
        if self.random.percent(self.mood.with_exits) {
            let Terms { take_profit, take_profit_by, take_profit_limit, stop_loss, .. } =
                self.exits(state, at);
            let Terms { stop_loss_by, stop_loss_limit, tpsl_mode, .. } = self.exits(state, at);
            terms = Terms {
                tpsl_mode,
                take_profit,
                take_profit_by,
                take_profit_limit,
                stop_loss,
                stop_loss_by,
                stop_loss_limit,
                ..terms
            };
        }
        NewOrder {
            position_index,
            side: match position_index {
                _ if reduce_only && self.random.percent(95) => closing,
                PositionIndex::HedgeBuy if held == 0 && self.random.percent(95) => Side::Buy,
                PositionIndex::HedgeSell if held == 0 && self.random.percent(95) => Side::Sell,
                _ => side,
            },
            order_type: self.random.weighted(&self.mood.order_types),
            time_in_force: self.random.weighted(&self.mood.times_in_force),
            qty: if closes_all { Qty(0) } else { qty },
            reduce_only,
            link_id: self.link(),
            terms,
            ..NewOrder::limit(account, instrument, side, Qty(0), self.price(state, at))
        }
    }

    /// An order for coins, mostly within what there is of them.
    fn spot_order(
        &mut self,
        state: &State,
        (account, instrument): (AccountId, InstrumentId),
        place: Option<usize>,
    ) -> NewOrder {
        let at = usize::from(instrument.0).min(state.contracts.len() - 1);
        let contract = state.contract(at);
        let (side, price) = (self.random.pick(&[Side::Buy, Side::Sell]), self.price(state, at));
        let cash = |coin: CoinId| place.map_or(0, |place| state.spendable(place, coin));
        let base = contract.base.unwrap_or(contract.settle);
        let payable = match side {
            Side::Buy => cash(contract.settle) * i128::from(SCALE) / i128::from(price.0.max(1)),
            Side::Sell => cash(base),
        };
        let mut terms = self.terms();
        terms.is_leveraged = self.random.percent(25);
        terms.in_quote = self.random.percent(15);
        self.maybe_waits(state, at, &mut terms);
        terms.holds = self.random.percent(if terms.trigger_price == Price(0) { 1 } else { 50 });
        if self.random.percent(self.mood.with_exits) {
            let kept = (terms.is_leveraged, terms.in_quote, terms.holds, terms.self_match, terms.slippage);
            let waits = (terms.trigger_price, terms.trigger_by, terms.trigger_direction);
            terms = self.exits(state, at);
            (terms.is_leveraged, terms.in_quote, terms.holds, terms.self_match, terms.slippage) = kept;
            (terms.trigger_price, terms.trigger_by, terms.trigger_direction) = waits;
        }
        let reach = if terms.is_leveraged { 3 } else { 1 };
        let step = shown(contract.step());
        let steps = shown(payable * reach / contract.step()).clamp(1, 1 << 40);
        let steps = if self.random.percent(30) { steps } else { self.random.scaled(steps) };
        let usual = steps.saturating_mul(step);
        let mut order = NewOrder {
            side,
            order_type: self.random.weighted(&self.mood.order_types),
            time_in_force: self.random.weighted(&self.mood.times_in_force),
            reduce_only: self.random.once_in(60),
            position_index: self.position_index(false),
            link_id: self.link(),
            terms,
            ..NewOrder::limit(account, instrument, side, Qty(usual), price)
        };
        if terms.in_quote && self.random.percent(90) {
            let most = shown(cash(contract.settle)).max(1);
            (order.side, order.order_type) = (Side::Buy, OrderType::Market);
            order.qty = Qty(self.random.scaled(most));
        } else if self.random.once_in(60) {
            order.qty = self.qty(state, at, place, 0);
        }
        order
    }

    fn position_index(&mut self, is_hedged: bool) -> PositionIndex {
        if self.random.once_in(50) {
            return self.random.pick(PositionIndex::ALL);
        }
        if is_hedged {
            self.random.pick(&[PositionIndex::HedgeBuy, PositionIndex::HedgeSell])
        } else {
            PositionIndex::OneWay
        }
    }

    fn terms(&mut self) -> Terms {
        if !self.random.percent(self.mood.with_terms) {
            return Terms::NONE;
        }
        let (ticks, ratio) = (self.random.scaled(10_000), self.random.between(10_000, 10_000_000));
        let [ticks, ratio] = [ticks, ratio].map(|number| u32::try_from(number).unwrap_or(1));
        let ticks = self.random.weighted(&[(95, ticks), (2, 0), (2, 10_001), (1, u32::MAX)]);
        let ratio = self.random.weighted(&[(95, ratio), (2, 9_999), (2, 10_000_001), (1, u32::MAX)]);
        let slippage = self.random.weighted(&[
            (60, SlippageTolerance::None),
            (20, SlippageTolerance::Ticks(ticks)),
            (20, SlippageTolerance::Ratio(ratio)),
        ]);
        Terms { self_match: self.random.pick(SelfMatch::ALL), slippage, ..Terms::NONE }
    }

    /// A setting for all orders of an account.
    pub(super) fn order_setting(&mut self) -> OrderSetting {
        let products = self.random.pick(ProductClass::ALL);
        let seconds = self.random.pick(&[0, 1, 2, 3, 10, 300, 301, u32::MAX]);
        let moves = self.random.percent(50);
        self.random.pick(&[
            OrderSetting::SmpGroup(seconds % 4),
            OrderSetting::DisconnectWindow(products, seconds),
            OrderSetting::MovesToBand(products, moves),
        ])
    }

    fn link(&mut self) -> LinkId {
        if !self.random.percent(self.mood.linked) {
            return LinkId::NONE;
        }
        LinkId::parse(&format!("link-{}", self.random.between(0, 200))).unwrap_or_default()
    }

    /// Often as much as the account can bear, often as much as it holds.
    fn qty(&mut self, state: &State, at: usize, place: Option<usize>, held: i64) -> Qty {
        let contract = state.contract(at);
        let step = shown(contract.step());
        if self.random.once_in(100) {
            return Qty(self.random.pick(&[
                0,
                -1,
                1,
                step - 1,
                -step,
                i64::MAX,
                i64::MIN,
                contract.spec.max_qty.0 + step,
            ]));
        }
        if held != 0 && self.random.percent(20) {
            return Qty(held.saturating_abs());
        }
        let largest = place.map_or(1, |place| bearable_steps(state, &contract, at, place));
        let largest = largest.clamp(1, 1 << 40);
        let steps = if self.random.percent(self.mood.large) {
            self.random.between(1, largest)
        } else {
            self.random.scaled(largest)
        };
        let least = contract.spec.min_qty.0 / step;
        let steps = if self.random.percent(90) { steps.max(least) } else { steps };
        Qty(steps.saturating_mul(step))
    }
}

/// What is known of an order that may be changed.
pub(super) struct Known {
    key: Key,
    qty: i128,
    waits: bool,
}

/// About as many steps of quantity as an account could open at forty times what it has.
fn bearable_steps(state: &State, contract: &Contract, at: usize, place: usize) -> i64 {
    let mark = state.markets[at].mark;
    if mark == 0 {
        return 10;
    }
    let step = state.in_usd(contract.settle, contract.size(contract.step(), mark)).max(1);
    shown(state.figures(place).available().max(0) * 30 / step)
}
