//! Queries: what the state looks like from outside. They change nothing and are not journaled.

use crate::coin::Coin;
use crate::exchange::Exchange;
use crate::fixed::saturate;
use crate::instrument::Instrument;
use crate::margin::{bankruptcy_price, break_even_price, liquidation_price, price_of, tier_index};
use crate::order::Order;
use crate::risk_limits::Notice;
use crate::terms::{OrderSettings, Terms};
use crate::triggers::Waiting;
use crate::types::{
    AccountId, InstrumentId, InstrumentStatus, LinkId, MarginMode, Money, OrderId, PositionIndex,
    PositionMode, Price, Rate, Side,
};
use crate::view::{BookLevel, FundingView, OrderView, PositionView, PriceView};

impl Exchange {
    /// Commands applied so far, refused ones included.
    pub fn command_count(&self) -> u64 {
        self.commands
    }

    /// Number of the last event.
    pub fn event_count(&self) -> u64 {
        self.last_event
    }

    /// Market time of the last accepted command.
    pub fn market_ms(&self) -> i64 {
        self.market_ms
    }

    /// Listed contracts.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Coins as listed.
    pub fn listed_coins(&self) -> &[Coin] {
        self.ledger.coins()
    }

    /// Every account, the venue's own included, ascending.
    pub fn accounts(&self) -> Vec<AccountId> {
        let mut ids: Vec<AccountId> =
            self.ledger.accounts().iter().map(|account| AccountId(account.id)).collect();
        ids.sort_unstable();
        ids
    }

    /// A position, also a flat one.
    pub fn position(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        position_index: PositionIndex,
    ) -> Option<PositionView> {
        let owner = self.ledger.find(account.0)?;
        let index = self.listed(instrument).ok()?;
        let listed = &self.instruments[index];
        let flat = PositionView {
            instrument,
            position_index,
            mark_price: listed.price(self.markets[index].mark_ticks),
            leverage: self.leverage_of(owner, index, position_index),
            tier: 1,
            margin_mode: self.ledger.account(owner).margin_mode,
            ..PositionView::default()
        };
        let slot = self.ledger.find_slot(owner, index, position_index);
        Some(slot.map_or(flat, |slot| self.view_position(slot)))
    }

    /// Position mode of an account in an instrument; `None` when there is no such account or instrument.
    pub fn position_mode(&self, account: AccountId, instrument: InstrumentId) -> Option<PositionMode> {
        let owner = self.ledger.find(account.0)?;
        self.listed(instrument).ok().map(|index| self.position_mode_of(owner, index))
    }

    /// Which orders an instrument lets in.
    pub fn status(&self, instrument: InstrumentId) -> Option<InstrumentStatus> {
        self.listed(instrument).ok().map(|index| self.markets[index].status)
    }

    /// What backs an account's positions.
    pub fn margin_mode(&self, account: AccountId) -> Option<MarginMode> {
        self.ledger.find(account.0).map(|owner| self.ledger.account(owner).margin_mode)
    }

    /// Positions that are not flat, by instrument.
    pub fn positions(&self, account: AccountId) -> Vec<PositionView> {
        let Some(owner) = self.ledger.find(account.0) else { return Vec::new() };
        self.ledger
            .slots_of(owner)
            .into_iter()
            .filter(|slot| self.ledger.slot(*slot).position.lots != 0)
            .map(|slot| self.view_position(slot))
            .collect()
    }

    fn view_position(&self, slot: u32) -> PositionView {
        let held = self.ledger.slot(slot);
        let index = usize::from(held.instrument);
        let (listed, mark_ticks) = (&self.instruments[index], self.markets[index].mark_ticks);
        let exposure = held.exposure(mark_ticks);
        let position = held.position;
        let value = listed.value(position.lots, mark_ticks).abs();
        let owner = self.ledger.account(held.account).worth;
        let others = self.in_coin(listed.settle, owner.balance) - i128::from(held.margin.unrealised);
        let maintenance = self.in_coin(listed.settle, owner.maintenance + owner.order_loss + owner.haircut);
        let (behind, cushion) = if held.is_isolated {
            (self.isolated_cushion(slot), self.ledger.detail(slot).extras().assigned)
        } else {
            (others, others - (maintenance - i128::from(held.margin.maintenance)))
        };
        let detail = self.ledger.detail(slot);
        let is_open = position.lots != 0;
        let shown = |price: Option<i128>| {
            let price = price.filter(|price| is_open && *price < i128::from(listed.spec.max_price.0));
            Price(saturate(price.unwrap_or(0)))
        };
        let stop = self.trading_stop_of(slot);
        PositionView {
            take_profit: stop.take_profit,
            stop_loss: stop.stop_loss,
            trailing_stop: stop.trailing_stop,
            active_price: stop.active_price,
            tpsl_mode: stop.mode,
            instrument: InstrumentId(held.instrument),
            position_index: held.index,
            qty: listed.qty(position.lots),
            entry_price: Price(saturate(price_of(position.cost.abs(), position.lots, listed))),
            mark_price: listed.price(mark_ticks),
            leverage: i64::from(held.leverage),
            value: Money(saturate(value)),
            initial_margin: Money(held.margin.position_initial),
            maintenance_margin: Money(held.margin.maintenance),
            unrealised_pnl: Money(held.margin.unrealised),
            realised_pnl: Money(saturate(detail.realised)),
            liquidation_price: shown(liquidation_price(&exposure, cushion, listed)),
            bankruptcy_price: shown(bankruptcy_price(&position, behind, listed)),
            adl_rank: self.adl_lights(slot),
            tier: u8::try_from(tier_index(&listed.tiers, value) + 1).unwrap_or(u8::MAX),
            margin_mode: self.ledger.account(held.account).margin_mode,
            assigned_margin: Money(saturate(detail.extras().assigned)),
            auto_add_margin: detail.extras().adds_margin,
            break_even_price: shown(break_even_price(&position, detail.realised_since_open, listed)),
            current_realised_pnl: Money(saturate(detail.realised_since_open)),
            funding_paid: Money(saturate(detail.funding)),
        }
    }

    /// Levels of a book from the best on: bids, asks.
    pub fn book(&self, instrument: InstrumentId, levels: usize) -> (Vec<BookLevel>, Vec<BookLevel>) {
        let Ok(index) = self.listed(instrument) else { return (Vec::new(), Vec::new()) };
        let side = |side: Side| {
            let prices = self.books[index].prices(side).take(levels);
            prices.map(|ticks| self.view_level(index, side, ticks)).collect()
        };
        (side(Side::Buy), side(Side::Sell))
    }

    /// Best bid and ask; zeros where a side is empty.
    pub fn best(&self, instrument: InstrumentId) -> (BookLevel, BookLevel) {
        let Ok(index) = self.listed(instrument) else { return <_>::default() };
        let side = |side: Side| {
            let best = self.books[index].best(side);
            best.map_or_else(BookLevel::default, |ticks| self.view_level(index, side, ticks))
        };
        (side(Side::Buy), side(Side::Sell))
    }

    fn view_level(&self, index: usize, side: Side, ticks: i64) -> BookLevel {
        let listed = &self.instruments[index];
        BookLevel { price: listed.price(ticks), qty: listed.qty(self.books[index].level(side, ticks).lots) }
    }

    /// Prices; `None` for an unknown instrument.
    pub fn prices(&self, instrument: InstrumentId) -> Option<PriceView> {
        let index = self.listed(instrument).ok()?;
        let (listed, market) = (&self.instruments[index], &self.markets[index]);
        let longs =
            self.ledger.members(index).iter().map(|slot| self.ledger.slot(*slot).position.lots.max(0));
        let open_lots: i128 = longs.map(i128::from).sum();
        Some(PriceView {
            index: Price(market.index),
            mark: listed.price(market.mark_ticks),
            last: listed.price(market.last_ticks),
            price1: Price(market.price1),
            price2: Price(market.price2),
            basis_mean: market.basis.mean(),
            max_buy: listed.price(market.max_buy_ticks),
            min_sell: listed.price(market.min_sell_ticks),
            open_interest: listed.qty(saturate(open_lots)),
            mark_source: market.mark_source,
        })
    }

    /// Funding; `None` for an unknown instrument and for one that is no perpetual.
    pub fn funding(&self, instrument: InstrumentId) -> Option<FundingView> {
        let clock = self.markets[self.listed(instrument).ok()?].funding?;
        Some(FundingView {
            rate: Rate(clock.predicted_rate),
            settled_rate: Rate(clock.settled_rate),
            next_ms: clock.next_ms,
            period_ms: clock.period_ms,
            interval_ms: clock.interval_ms,
            premium: Rate(clock.premium),
            average_premium: Rate(clock.samples.mean()),
            samples: clock.samples.count,
            lower: Rate(clock.terms.lower),
            upper: Rate(clock.terms.upper),
        })
    }

    /// Risk limits announced for an instrument, and the market time from which they hold.
    pub fn coming_risk_limits(&self, instrument: InstrumentId) -> Option<&Notice> {
        self.markets[self.listed(instrument).ok()?].risk_limits.announced.as_ref()
    }

    /// A live order.
    pub fn order(&self, order_id: OrderId) -> Option<OrderView> {
        let waiting = || self.triggers.get(order_id.0).map(|waiting| self.view_waiting(waiting));
        self.orders.find(order_id.0).map(|index| self.view_order(index)).or_else(waiting)
    }

    /// An account's settings for its orders.
    pub fn order_settings(&self, account: AccountId) -> Option<OrderSettings> {
        self.ledger.find(account.0).map(|owner| self.settings_of(owner))
    }

    /// The order, live or closed, that used a link id.
    pub fn order_id_by_link(&self, account: AccountId, link_id: &LinkId) -> Option<OrderId> {
        self.ledger.link_ids.order(account, link_id).map(OrderId)
    }

    /// Live orders of an account by instrument: those in the book, then those that wait for a price, each by age.
    pub fn open_orders(&self, account: AccountId, instrument: Option<InstrumentId>) -> Vec<OrderView> {
        let Some(owner) = self.ledger.find(account.0) else { return Vec::new() };
        self.ledger
            .slots_of(owner)
            .into_iter()
            .filter(|slot| instrument.is_none_or(|wanted| wanted.0 == self.ledger.slot(*slot).instrument))
            .flat_map(|slot| {
                let live = self.orders.of(self.ledger.slot(slot).orders).map(|index| self.view_order(index));
                live.chain(self.triggers.of(slot).map(|waiting| self.view_waiting(waiting)))
            })
            .collect()
    }

    fn view_waiting(&self, waiting: &Waiting) -> OrderView {
        let order = &waiting.order;
        OrderView {
            order_id: OrderId(waiting.id),
            account: order.account,
            instrument: order.instrument,
            position_index: order.position_index,
            side: order.side,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            price: order.price,
            qty: order.qty,
            leaves: order.qty,
            filled_value: Money(0),
            fee: Money(0),
            reduce_only: order.reduce_only,
            terms: Terms { trigger_price: self.triggers.trigger_price(waiting), ..order.terms },
            kind: waiting.kind,
            is_waiting: true,
            trailing_stop: waiting.distance,
            partner: OrderId(waiting.partner),
            link_id: order.link_id,
            created_market_ms: waiting.created_market_ms,
            created_wall_us: waiting.created_wall_us,
            updated_wall_us: waiting.updated_wall_us,
        }
    }

    fn view_order(&self, index: u32) -> OrderView {
        let (terms, kind) = self.orders.terms(index);
        let (order, detail): (&Order, _) = (self.orders.get(index), self.orders.detail(index));
        let listed = &self.instruments[usize::from(order.instrument)];
        OrderView {
            order_id: OrderId(order.id),
            account: AccountId(self.ledger.account(self.ledger.slot(order.slot).account).id),
            instrument: InstrumentId(order.instrument),
            position_index: self.ledger.slot(order.slot).index,
            side: order.side,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            price: listed.price(order.ticks()),
            qty: listed.qty(order.lots),
            leaves: listed.qty(order.leaves),
            filled_value: Money(saturate(detail.filled_value)),
            fee: Money(saturate(detail.fee)),
            reduce_only: order.reduce_only,
            terms,
            kind,
            is_waiting: false,
            trailing_stop: Price(0),
            partner: OrderId(0),
            link_id: detail.link_id,
            created_market_ms: detail.created_market_ms,
            created_wall_us: detail.created_wall_us,
            updated_wall_us: detail.updated_wall_us,
        }
    }
}
