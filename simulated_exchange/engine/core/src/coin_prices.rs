//! Prices of coins in USD as they move: by report, or with the indices they follow. Whoever holds the coin is looked at
//! again. What a coin follows is fixed at genesis (`coin`).

use crate::coin::CoinPrice;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::index::{convert, usd_index};
use crate::reject::Reject;
use crate::types::{CoinId, InstrumentId, Price, MONEY_MAX, SCALE};

impl Exchange {
    /// Keeps a report of a coin's price.
    pub(crate) fn set_coin_price(&mut self, coin: CoinId, price: Price) -> Result<(), Reject> {
        let at = self.known_coin(coin)?;
        let is_reported = matches!(self.ledger.coins()[at].spec.price, CoinPrice::Reported(_));
        if !is_reported || !(1..=MONEY_MAX).contains(&price.0) {
            return Err(Reject::CoinPriceInvalid);
        }
        self.move_coin_price(coin, price.0);
        self.reprice_quoted_in(coin);
        Ok(())
    }

    /// Recomputes the prices of the coins that an index decides: those that are a ratio with it, then those that follow it.
    pub(crate) fn reprice_coins(&mut self, index: usize) {
        for coin in (0..).map(CoinId).take(self.ledger.coins().len()) {
            let listed = self.ledger.coins()[usize::from(coin.0)].spec.price;
            let CoinPrice::Ratio { dollars, coins } = listed else { continue };
            if usize::from(dollars.0) == index || usize::from(coins.0) == index {
                let price = usd_index(SCALE, self.index_of(dollars), self.index_of(coins));
                if let Some(price) = price.filter(|price| *price != self.ledger.coin_price(coin)) {
                    self.move_coin_price(coin, price);
                    self.reprice_quoted_in(coin);
                }
            }
        }
        self.reprice_followers(index);
    }

    fn reprice_quoted_in(&mut self, coin: CoinId) {
        for index in 0..self.instruments.len() {
            if self.instruments[index].quote == Some(coin) {
                self.reprice_followers(index);
            }
        }
    }

    /// Recomputes the prices of the coins that follow the index of an instrument.
    fn reprice_followers(&mut self, index: usize) {
        let Some(price) = self.index_in_dollars(index) else { return };
        for coin in (0..).map(CoinId).take(self.ledger.coins().len()) {
            let listed = self.ledger.coins()[usize::from(coin.0)].spec.price;
            let follows = matches!(listed, CoinPrice::Index(followed) if usize::from(followed.0) == index);
            if follows && price != self.ledger.coin_price(coin) {
                self.move_coin_price(coin, price);
            }
        }
    }

    /// An index in USD, rounded half up once. A quote coin that is not listed is the dollar itself.
    fn index_in_dollars(&self, index: usize) -> Option<i64> {
        let price = self.markets[index].index;
        let Some(quote) = self.instruments[index].quote else {
            return Some(price).filter(|price| *price > 0);
        };
        match self.ledger.coins()[usize::from(quote.0)].spec.price {
            CoinPrice::Ratio { dollars, coins } => {
                usd_index(price, self.index_of(dollars), self.index_of(coins))
            }
            _ => convert(price, self.ledger.coin_price(quote)),
        }
    }

    fn index_of(&self, instrument: InstrumentId) -> i64 {
        self.markets[usize::from(instrument.0)].index
    }

    /// Sets a coin's price; every account that holds the coin is looked at again.
    fn move_coin_price(&mut self, coin: CoinId, price: i64) {
        self.ledger.set_coin_price(coin, price);
        self.emit(EventKind::CoinPriceChanged { coin, price: Price(price) });
        for account in self.ledger.holders(coin) {
            self.touch(account);
        }
    }
}
