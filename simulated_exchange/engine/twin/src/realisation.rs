//! Before a take-over: what an account owns is turned into what it needs. Rules 5.4.
//!
//! - Each coin that positions settle in should hold its share, by the positions' size in USD, of what stands behind the account
//!   (where that is below nothing, by what its positions lose at the mark in USD, as long as any of them loses):
//!   the worth of its collateral, of the coins of its positions and of its debts, each rounded down in USD. Every other coin
//!   should owe nothing.
//! - Coins without positions that owe are met first, by what is spare in the order of coins, then by the coins of positions
//!   however far those fall; then the coins of positions. Coins that are no collateral come last, and only where what stands
//!   behind the account is below nothing; then they make good for it, but never make it worth more than nothing.
//! - The fee is that of a repayment, and none where what stands behind the account is not worth twice that fee on all that is
//!   missing.

use exchange_core::{CoinId, MONEY_MAX};

use crate::borrowing::{sale_at, Sale, Source, CONVERSION_FEE};
use crate::contract::ONE;
use crate::rounding::{ceil, floor};
use crate::state::State;

/// What the coin of a position may come to owe for a debt elsewhere.
const OWED_MAX: i128 = 64 * MONEY_MAX as i128;
/// Sells whatever it takes.
const NO_CAP: i128 = i128::MAX / 8;

/// What an account has of a coin.
struct Holding {
    coin: CoinId,
    price: i128,
    equity: i128,
    counts: bool,
    /// Size of its positions that settle in the coin, in USD.
    size: i128,
    /// What those of them that lose have lost at the mark, in USD.
    lost: i128,
}

impl Holding {
    fn stands_behind(&self) -> bool {
        self.counts || self.size > 0 || self.equity < 0
    }

    fn worth(&self) -> i128 {
        floor(self.equity * self.price, ONE)
    }
}

impl State {
    fn holdings(&self, account: usize) -> Vec<Holding> {
        let mut holdings = Vec::new();
        for coin in self.coin_ids() {
            let price = self.coin_prices[usize::from(coin.0)];
            let (mut size, mut lost) = (0, 0);
            for key in self.slots_of(account) {
                let contract = &self.contracts[key.instrument];
                if contract.settle == coin {
                    size += contract.size(self.slot(key).qty, self.markets[key.instrument].mark);
                    lost += self.lost_at_mark(key);
                }
            }
            let in_usd = |amount: i128| if price > 0 { ceil(amount * price, ONE) } else { amount };
            holdings.push(Holding {
                coin,
                price,
                equity: self.equity(account, coin) - self.assigned(account, coin),
                counts: self.purse(account, coin).is_collateral && self.venue_collateral[usize::from(coin.0)],
                size: in_usd(size),
                lost: in_usd(lost),
            });
        }
        holdings
    }

    /// The sales, in order: what is sold, and for which coin.
    pub fn realisation(&self, account: usize) -> Vec<(Source, Sale, CoinId)> {
        let holdings = self.holdings(account);
        let worth_of = |behind: bool| -> i128 {
            holdings.iter().filter(|held| held.stands_behind() == behind).map(Holding::worth).sum()
        };
        let (behind, others) = (worth_of(true), worth_of(false));
        let worth = if behind < 0 { (behind + others).min(0) } else { behind };
        let all_lost: i128 = holdings.iter().map(|held| held.lost).sum();
        let part = |held: &Holding| if worth < 0 && all_lost > 0 { held.lost } else { held.size };
        let total: i128 = holdings.iter().map(part).sum();
        let should_hold = |held: &Holding| match (held.size > 0, held.price > 0) {
            (true, true) => floor(floor(worth * part(held), total) * ONE, held.price),
            (true, false) => held.equity,
            (false, _) => 0,
        };
        let mut missing: Vec<i128> =
            holdings.iter().map(|held| (should_hold(held) - held.equity).max(0)).collect();
        let may_be_sold = |held: &Holding| held.price > 0 && (held.stands_behind() || behind < 0);
        let spare =
            |held: &Holding| if may_be_sold(held) { (held.equity - should_hold(held)).max(0) } else { 0 };
        let mut spare: Vec<i128> = holdings.iter().map(spare).collect();
        let needs: i128 =
            holdings.iter().zip(&missing).map(|(held, missing)| ceil(missing * held.price, ONE)).sum();
        let fee = if behind > floor(needs * 2 * CONVERSION_FEE, ONE) { CONVERSION_FEE } else { 0 };

        let all = 0..holdings.len();
        let (positions, rest): (Vec<usize>, Vec<usize>) = all.clone().partition(|at| holdings[*at].size > 0);
        let (first, last): (Vec<usize>, Vec<usize>) = all.partition(|at| holdings[*at].stands_behind());
        let sources = [first, last].concat();
        let mut steps: Vec<(usize, usize, bool)> = Vec::new(); // from, into, however far it falls
        for debt in rest {
            steps.extend(sources.iter().map(|from| (*from, debt, false)));
            steps.extend(positions.iter().map(|from| (*from, debt, true)));
        }
        for position in positions {
            steps.extend(sources.iter().map(|from| (*from, position, false)));
        }
        let mut sales = Vec::new();
        for (from, into, however_far) in steps {
            let available = if however_far { OWED_MAX } else { spare[from] };
            let source = Source { coin: holdings[from].coin, available, price: holdings[from].price };
            let sale = sale_at(missing[into], holdings[into].price, &source, NO_CAP, fee);
            if let Some(sale) = sale.filter(|_| from != into) {
                missing[into] -= sale.bought;
                spare[from] -= sale.sold;
                sales.push((source, sale, holdings[into].coin));
            }
        }
        sales
    }

    /// What stands behind an account in one coin: its own equity there, and what all else would bring after the fee.
    pub fn reach(&self, account: usize, coin: CoinId) -> i128 {
        let (mut own, mut elsewhere) = (0, 0);
        for held in self.holdings(account) {
            if held.coin == coin {
                own = held.equity;
            } else if held.stands_behind() {
                let worth = held.worth();
                elsewhere += if worth > 0 { floor(worth * (ONE - CONVERSION_FEE), ONE) } else { worth };
            }
        }
        match self.coin_prices[usize::from(coin.0)] {
            0 => own,
            price => own + floor(elsewhere * ONE, price),
        }
    }
}
