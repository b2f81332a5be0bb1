//! Stage 6, re-mark: index reports and the passing of market time move mark prices, and with them every margin.
//!
//! Trades alone move no mark: the last price enters it at the next report or tick. That keeps a trade's cost
//! independent of how many accounts hold the instrument.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::fixed::{div_half_up, saturate};
use crate::funding_payment::instrument_id;
use crate::index::{convert, index_price, Component, IndexMethod, Source};
use crate::instrument::{Instrument, Kind};
use crate::reject::Reject;
use crate::types::{InstrumentId, Price, Side, MONEY_MAX};

/// For each instrument, those whose sources it converts.
pub(crate) fn bridged(instruments: &[Instrument]) -> Vec<Vec<usize>> {
    let mut bridged = vec![Vec::new(); instruments.len()];
    for (index, listed) in instruments.iter().enumerate() {
        for bridge in listed.spec.index_sources.iter().filter_map(|source| source.converted_by) {
            let over: &mut Vec<usize> = &mut bridged[usize::from(bridge.0)];
            if over.last() != Some(&index) {
                over.push(index);
            }
        }
    }
    bridged
}

impl Exchange {
    /// Keeps a report of one component of an index.
    pub(crate) fn set_index_source(
        &mut self,
        instrument: InstrumentId,
        source: u32,
        price: Price,
    ) -> Result<(), Reject> {
        let index = self.listed(instrument)?;
        let spec = &self.instruments[index].spec;
        let listed = spec.index_sources.get(source as usize).ok_or(Reject::UnknownSource)?;
        // a price in another coin may lie anywhere
        let range =
            if listed.converted_by.is_some() { 1..=MONEY_MAX } else { spec.tick_size.0..=spec.max_price.0 };
        if !range.contains(&price.0) {
            return Err(Reject::IndexPriceInvalid);
        }
        let market_ms = self.market_ms;
        let sources = &mut self.markets[index].sources;
        let kept = sources.get_mut(source as usize).ok_or(Reject::UnknownSource)?;
        kept.report(price.0, market_ms);
        Ok(())
    }

    /// Stage 6 of the passing of time, instrument by instrument: coming risk limits, samples of the seconds passed, index
    /// and mark, then funding, whose settled rate moves the mark again.
    pub(crate) fn pass_time(&mut self) {
        for index in 0..self.instruments.len() {
            self.take_risk_limits(index);
            if self.markets[index].wants_sample(self.market_ms) {
                let (mid, impact_mid) = (self.book_mid(index), self.impact_mid(index));
                let (market_ms, spec) = (self.market_ms, &self.instruments[index].spec);
                self.markets[index].sample(market_ms, spec, mid, impact_mid);
            }
            self.remark(index);
            if self.pass_funding(index) {
                self.remark(index);
            }
            self.pass_delivery(index);
        }
    }

    /// Middle of best bid and best ask as far as they count, half up; nothing while a side is empty.
    fn book_mid(&self, index: usize) -> Option<i64> {
        let (book, listed) = (&self.books[index], &self.instruments[index]);
        let best = book.best(Side::Buy).zip(book.best(Side::Sell))?;
        let counted = |ticks: i64| self.markets[index].counted(listed.price(ticks).0, &listed.spec);
        let (bid, ask) = (counted(best.0), counted(best.1));
        Some(saturate(div_half_up(i128::from(bid) + i128::from(ask), 2)))
    }

    /// Middle of the impact prices, half up, of an instrument that is marked by them.
    fn impact_mid(&self, index: usize) -> Option<i64> {
        if !matches!(self.instruments[index].spec.kind, Kind::Expiry { .. }) {
            return None;
        }
        let (bid, ask) = self.impact(index, Side::Buy).zip(self.impact(index, Side::Sell))?;
        Some(saturate(div_half_up(i128::from(bid) + i128::from(ask), 2)))
    }

    /// Index of the components that count now; nothing when none does.
    fn index_now(&self, index: usize) -> Option<i64> {
        let (spec, sources) = (&self.instruments[index].spec, &self.markets[index].sources);
        let method = spec.index_method;
        let is_fresh = |at: usize| sources[at].is_fresh(self.market_ms, spec.index_stale_ms, method);
        let converted = |at: usize| match spec.index_sources[at].converted_by {
            Some(bridge) => convert(sources[at].price, self.bridge_index(usize::from(bridge.0))?),
            None => Some(sources[at].price),
        };
        let component =
            |at: usize| converted(at).map(|price| Component { price, weight: spec.index_sources[at].weight });
        let components: Vec<Component> =
            (0..sources.len()).filter(|at| is_fresh(*at)).filter_map(component).collect();
        let band = if method == IndexMethod::TwoPass { spec.tick_size.0 } else { spec.index_clamp };
        index_price(&components, method, band)
    }

    /// Index of an instrument that converts others' sources; nothing while none of its own sources is fresh.
    fn bridge_index(&self, index: usize) -> Option<i64> {
        let (spec, market) = (&self.instruments[index].spec, &self.markets[index]);
        let is_fresh =
            |source: &Source| source.is_fresh(self.market_ms, spec.index_stale_ms, spec.index_method);
        market.sources.iter().any(is_fresh).then_some(market.index)
    }

    /// Recomputes the prices of an instrument, and all that follows: when the mark moved, the margin of everyone in it;
    /// when the index moved, the coins that are priced by it and the instruments whose sources it converts.
    pub(crate) fn remark(&mut self, index: usize) {
        let (index_now, mid) = (self.index_now(index), self.book_mid(index));
        let listed = &self.instruments[index];
        let market = &mut self.markets[index];
        let (index_before, mark_before) = (market.index, market.mark_ticks);
        if !market.refresh(self.market_ms, &listed.spec, listed.max_ticks, index_now, mid) {
            return;
        }
        let (index_price, mark_ticks) = (market.index, market.mark_ticks);
        let mark = listed.price(mark_ticks);
        let instrument = instrument_id(index);
        self.emit(EventKind::PriceChanged { instrument, index: Price(index_price), mark });
        self.note_marked(index);
        if mark_ticks != mark_before {
            self.refresh_members(index);
        }
        if index_price != index_before {
            self.reprice_coins(index);
            for place in 0..self.bridged[index].len() {
                self.remark(self.bridged[index][place]);
            }
        }
    }

    /// Recomputes the margin of everyone in an instrument.
    pub(crate) fn refresh_members(&mut self, index: usize) {
        for place in 0..self.ledger.members(index).len() {
            let slot = self.ledger.members(index)[place];
            let member = self.ledger.slot(slot);
            if member.position.lots != 0 || member.orders.count != 0 {
                self.refresh(slot);
            }
        }
    }
}
