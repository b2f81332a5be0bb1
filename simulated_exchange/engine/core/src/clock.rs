//! Stage 6, re-mark: index reports and the passing of market time move mark prices, and with them every margin.
//!
//! Trades alone move no mark: the last price enters it at the next report or tick. That keeps a trade's cost
//! independent of how many accounts hold the instrument.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::reject::Reject;
use crate::types::{InstrumentId, Price, Side};

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
        if price.0 < spec.tick_size.0 || price.0 > spec.max_price.0 {
            return Err(Reject::IndexPriceInvalid);
        }
        let market_ms = self.market_ms;
        let sources = &mut self.markets[index].sources;
        let kept = sources.get_mut(source as usize).ok_or(Reject::UnknownSource)?;
        kept.report(price.0, market_ms);
        Ok(())
    }

    /// Samples every basis and re-marks every instrument.
    pub(crate) fn pass_time(&mut self) {
        for index in 0..self.instruments.len() {
            let book = &self.books[index];
            let quotes = book.best(Side::Buy).zip(book.best(Side::Sell));
            let tick_size = self.instruments[index].spec.tick_size.0;
            self.markets[index].sample(self.market_ms, quotes, tick_size);
            self.remark(index);
        }
    }

    /// Recomputes the prices of an instrument and, when the mark moved, the margin of everyone in it.
    pub(crate) fn remark(&mut self, index: usize) {
        let listed = &self.instruments[index];
        let market = &mut self.markets[index];
        let mark_before = market.mark_ticks;
        if !market.refresh(self.market_ms, &listed.spec, listed.max_ticks) {
            return;
        }
        let mark_ticks = market.mark_ticks;
        let (index_price, mark) = (Price(market.index), listed.price(mark_ticks));
        let instrument = InstrumentId(u16::try_from(index).unwrap_or(u16::MAX));
        self.emit(EventKind::PriceChanged { instrument, index: index_price, mark });
        if mark_ticks == mark_before {
            return;
        }
        for place in 0..self.ledger.members(index).len() {
            let slot = self.ledger.members(index)[place];
            let member = self.ledger.slot(slot);
            if member.position.lots != 0 || member.orders.count != 0 {
                self.refresh(slot);
            }
        }
    }
}
