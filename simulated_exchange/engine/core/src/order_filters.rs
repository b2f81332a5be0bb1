//! Stage 2, filter by filter: what an instrument allows of quantity, price and slippage, what there is to reduce, and how
//! many orders may rest. In which order they are asked stands in `entry`.

use crate::command::NewOrder;
use crate::entry::{band_edge, within_band, ACTIVE_ORDERS_MAX};
use crate::exchange::Exchange;
use crate::fixed::{div_ceil, div_floor, saturate};
use crate::instrument::Instrument;
use crate::mark::{slippage_limit, Slippage};
use crate::reject::Reject;
use crate::slot::Slot;
use crate::terms::{SlippageTolerance, SLIPPAGE_RATIO_MAX, SLIPPAGE_RATIO_MIN, SLIPPAGE_TICKS_MAX};
use crate::types::{OrderType, PositionIndex, Price, Qty, Side, TimeInForce};

impl Instrument {
    /// A quantity in lots, if it is allowed.
    #[inline]
    pub(crate) fn lots_within_limits(&self, qty: Qty, largest: Qty) -> Result<i64, Reject> {
        let lots = self.lot.count(qty.0).ok_or(Reject::QtyInvalid)?;
        if qty < self.spec.min_qty {
            return Err(Reject::QtyBelowMinimum);
        }
        if qty > largest {
            return Err(Reject::QtyAboveMaximum);
        }
        Ok(lots)
    }

    /// The largest order of a kind.
    #[inline]
    pub(crate) fn largest(&self, order_type: OrderType, time_in_force: TimeInForce) -> Qty {
        let spec = &self.spec;
        match (order_type, time_in_force) {
            (OrderType::Market, _) => spec.max_market_qty,
            (_, TimeInForce::PostOnly) => spec.max_post_only_qty.unwrap_or(spec.max_qty),
            _ => spec.max_qty,
        }
    }

    /// A price in ticks, if it is allowed.
    #[inline]
    pub(crate) fn ticks_of(&self, price: Price) -> Result<i64, Reject> {
        let ticks = self.tick.count(price.0).filter(|_| price <= self.spec.max_price);
        ticks.ok_or(Reject::PriceOutOfRange)
    }
}

impl Exchange {
    /// A quantity in lots, if the instrument allows it.
    pub(crate) fn lots_within_limits(
        &self,
        instrument: usize,
        qty: Qty,
        largest: Qty,
    ) -> Result<i64, Reject> {
        self.instruments[instrument].lots_within_limits(qty, largest)
    }

    /// As `largest`, for a new order; one that reduces is split instead, see `parts`.
    #[inline]
    pub(crate) fn largest_of(&self, instrument: usize, order: &NewOrder) -> Qty {
        if order.reduce_only {
            return Qty(i64::MAX);
        }
        self.instruments[instrument].largest(order.order_type, order.time_in_force)
    }

    /// Refuses an order that would rest beside as many as an account may have: in a contract, both legs of a hedge counted;
    /// of spot, in all pairs together.
    #[inline]
    pub(crate) fn has_room(&self, account: u32, slot: Option<u32>) -> Result<(), Reject> {
        let Some(place) = slot else { return Ok(()) };
        let slot = self.ledger.slot(place);
        let is_alone = slot.index == PositionIndex::OneWay && !slot.is_spot;
        let count = if is_alone { slot.orders.count } else { self.count_orders(account, place) };
        if count < ACTIVE_ORDERS_MAX {
            Ok(())
        } else {
            Err(Reject::TooManyOrders)
        }
    }

    #[cold]
    fn count_orders(&self, account: u32, place: u32) -> u32 {
        let own = self.ledger.slot(place);
        let slots = self.ledger.slots_of(account).into_iter().map(|slot| self.ledger.slot(slot));
        let counts =
            |slot: &&Slot| if own.is_spot { slot.is_spot } else { slot.instrument == own.instrument };
        slots.filter(counts).map(|slot| slot.orders.count).sum()
    }

    /// A price in ticks, if the instrument allows it.
    pub(crate) fn ticks_of(&self, instrument: usize, price: Price) -> Result<i64, Reject> {
        self.instruments[instrument].ticks_of(price)
    }

    /// Lots that an order of a side can close.
    pub(crate) fn can_reduce(&self, slot: Option<u32>, side: Side) -> Result<i64, Reject> {
        match slot.map_or(0, |slot| self.ledger.slot(slot).position.lots) {
            0 => Err(Reject::ReduceOnlyNoPosition),
            held if Side::of_position(held) == side => Err(Reject::ReduceOnlySameSide),
            held => Ok(held.abs()),
        }
    }

    /// A limit as far as the price band lets it: one beyond is moved to the edge, or refused where the account's setting
    /// says so (rules 3.3).
    #[inline]
    pub(crate) fn within_band(
        &self,
        account: u32,
        instrument: usize,
        side: Side,
        ticks: i64,
    ) -> Result<i64, Reject> {
        let market = &self.markets[instrument];
        let edge = band_edge(side, market.max_buy_ticks, market.min_sell_ticks);
        if within_band(side, ticks, edge) == ticks {
            return Ok(ticks);
        }
        let products = self.products_of(instrument);
        let moves = self.settings_of(account).moves_to_band[usize::from(products.to_wire())];
        moves.then_some(edge).ok_or(Reject::PriceBeyondBand)
    }

    /// The limit of a market order that tolerates only so much slippage: rules 3.4. It does not matter on an empty book.
    #[inline]
    pub(crate) fn within_tolerance(
        &self,
        order: &NewOrder,
        instrument: usize,
        limit: i64,
    ) -> Result<i64, Reject> {
        if order.terms.slippage == SlippageTolerance::None {
            return Ok(limit);
        }
        let tick = self.instruments[instrument].spec.tick_size.0;
        let tolerated = match order.terms.slippage {
            _ if order.order_type != OrderType::Market => return Err(Reject::SlippageInvalid),
            SlippageTolerance::Ticks(ticks) if (1..=SLIPPAGE_TICKS_MAX).contains(&ticks) => {
                Slippage::Distance(i64::from(ticks).saturating_mul(tick))
            }
            SlippageTolerance::Ratio(ratio) if (SLIPPAGE_RATIO_MIN..=SLIPPAGE_RATIO_MAX).contains(&ratio) => {
                Slippage::Ratio(i64::from(ratio))
            }
            _ => return Err(Reject::SlippageInvalid),
        };
        let Some(best) = self.books[instrument].best(order.side.opposite()) else { return Ok(limit) };
        let worst = i128::from(slippage_limit(order.side, best.saturating_mul(tick), tolerated));
        let tick = i128::from(tick);
        let worst = if order.side == Side::Buy { div_floor(worst, tick) } else { div_ceil(worst, tick) };
        Ok(within_band(order.side, limit, saturate(worst).max(1)))
    }
}
