//! Turning what an account owns in other coins into the coins it needs, before its positions are taken over: all of it, and
//! not what happens to lie in one coin, stands behind them. Rules 5.4. The plan is pure; carrying it out follows.
//!
//! - What counts as collateral is sold in the venue's order of coins, to the venue's conversion desk, at the coins' prices
//!   less the conversion fee (`repayment`). Coin by coin nothing is made or lost.
//! - Debts in coins without positions come first and are met whole: what collateral does not cover, the coins of the
//!   positions do, and through the price of the take-over the insurance pools.
//! - The rest is spread over the coins of the positions by the positions' sizes; what is missing, by their losses.
//! - Only where that is not enough, coins that do not count are sold too. An account with little left pays no fee.

use crate::collateral::{usd_ceil, usd_floor};
use crate::exchange::Exchange;
use crate::fixed::{div_floor, mul_div_floor};
use crate::repayment::{convert, Conversion, Source, CONVERSION_FEE};
use crate::types::{CoinId, MONEY_MAX, SCALE};

/// Most that the coin of a position may come to owe for a debt elsewhere: more than anybody could ever pay in.
const OWED_MAX: i128 = 64 * MONEY_MAX as i128;
/// No cap on what is sold.
const NO_CAP: i128 = i128::MAX / 8;

/// What an account has of one coin, or owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holding {
    coin: CoinId,
    /// In USD.
    price: i64,
    /// Wallet less debt, with profit at the marks.
    equity: i128,
    /// It counts as collateral.
    counts: bool,
    /// Size in USD of the positions that settle in it.
    size: i128,
    /// What those of them that lose have lost at the mark, in USD.
    loss: i128,
}

impl Holding {
    fn stands_behind(&self) -> bool {
        self.counts || self.size > 0 || self.equity < 0
    }

    fn worth(&self) -> i128 {
        usd_floor(self.equity, self.price)
    }
}

/// Sales on the way.
struct Plan {
    holdings: Vec<Holding>,
    /// What a coin lacks.
    missing: Vec<i128>,
    /// What of a coin may be sold.
    spare: Vec<i128>,
    fee_rate: i64,
    /// In order: the sale, and for which coin.
    sales: Vec<(Conversion, CoinId)>,
}

impl Plan {
    /// The sales that an account with these holdings must make; holdings come in the venue's order of coins.
    fn of(holdings: Vec<Holding>) -> Vec<(Conversion, CoinId)> {
        let mut plan = Self::weighed(holdings);
        let all = 0..plan.holdings.len();
        let (positions, debts): (Vec<usize>, Vec<usize>) =
            all.clone().partition(|at| plan.holdings[*at].size > 0);
        let (counted, others): (Vec<usize>, Vec<usize>) =
            all.partition(|at| plan.holdings[*at].stands_behind());
        let sources = [counted, others].concat();
        for debt in debts {
            for source in &sources {
                plan.sell(*source, debt, plan.spare[*source]);
            }
            for source in &positions {
                plan.sell(*source, debt, OWED_MAX);
            }
        }
        for position in positions {
            for source in &sources {
                plan.sell(*source, position, plan.spare[*source]);
            }
        }
        plan.sales
    }

    /// Says what each coin lacks and may spare: the coins of the positions share what the account is worth.
    fn weighed(holdings: Vec<Holding>) -> Self {
        let sum = |behind: bool| -> i128 {
            holdings.iter().filter(|held| held.stands_behind() == behind).map(Holding::worth).sum()
        };
        let (counted, others) = (sum(true), sum(false));
        let worth = if counted < 0 { (counted + others).min(0) } else { counted };
        // who lost bears what is missing; without a loss, and of what is there, everybody his part
        let by_loss = worth < 0 && holdings.iter().any(|held| held.loss > 0);
        let weight = |held: &Holding| if by_loss { held.loss } else { held.size };
        let total: i128 = holdings.iter().map(weight).sum();
        let target = |held: &Holding| match (held.size > 0, held.price > 0) {
            (true, true) => {
                let share = mul_div_floor(worth, weight(held), total);
                div_floor(share.saturating_mul(i128::from(SCALE)), i128::from(held.price))
            }
            (true, false) => held.equity,
            (false, _) => 0,
        };
        let is_source = |held: &Holding| held.price > 0 && (held.stands_behind() || counted < 0);
        let missing: Vec<i128> = holdings.iter().map(|held| (target(held) - held.equity).max(0)).collect();
        let spare = |held: &Holding| if is_source(held) { (held.equity - target(held)).max(0) } else { 0 };
        let spare = holdings.iter().map(spare).collect();
        let needs: i128 =
            missing.iter().zip(&holdings).map(|(missing, held)| usd_ceil(*missing, held.price)).sum();
        let fees = mul_div_floor(needs, 2 * i128::from(CONVERSION_FEE), i128::from(SCALE));
        let fee_rate = if counted > fees { CONVERSION_FEE } else { 0 };
        Self { holdings, missing, spare, fee_rate, sales: Vec::new() }
    }

    fn sell(&mut self, from: usize, into: usize, available: i128) {
        let source = Source { coin: self.holdings[from].coin.0, available, price: self.holdings[from].price };
        let (need, price) = (self.missing[into], self.holdings[into].price);
        let Some(sale) = convert(need, price, &source, self.fee_rate, NO_CAP).filter(|_| from != into) else {
            return;
        };
        self.missing[into] -= sale.bought;
        self.spare[from] -= sale.sold;
        self.sales.push((sale, self.holdings[into].coin));
    }
}

impl Exchange {
    /// Turns what an account owns into what its debts and the coins of its positions need.
    pub(crate) fn realise(&mut self, account: u32) {
        for (sale, into) in Plan::of(self.holdings(account)) {
            self.book_sale(account, &sale, into);
        }
    }

    /// True when [`Exchange::realise`] would sell something.
    pub(crate) fn would_realise(&self, account: u32) -> bool {
        !Plan::of(self.holdings(account)).is_empty()
    }

    /// What stands behind an account's positions, in one coin: its equity there, and what all other coins would bring.
    pub(crate) fn reach(&self, account: u32, coin: CoinId) -> i128 {
        let kept = i128::from(SCALE - CONVERSION_FEE);
        let others = |held: &Holding| match held.worth() {
            gain if gain > 0 => mul_div_floor(gain, kept, i128::from(SCALE)),
            debt => debt,
        };
        let holdings = self.holdings(account);
        let own: i128 = holdings.iter().filter(|held| held.coin == coin).map(|held| held.equity).sum();
        let behind = holdings.iter().filter(|held| held.coin != coin && held.stands_behind());
        own + self.in_coin(coin, behind.map(others).sum())
    }

    fn holdings(&self, account: u32) -> Vec<Holding> {
        let slots = self.ledger.slots_of(account);
        let holding = |purse: u32| {
            let held = self.ledger.purse(purse);
            let (coin, price) = (held.coin, self.ledger.coin_price(held.coin));
            let in_coin = || slots.iter().filter(|slot| self.settle_of(**slot) == coin);
            let size: i128 = in_coin().map(|slot| self.mark_value(*slot).abs()).sum();
            let loss: i128 = in_coin().map(|slot| self.loss_at_mark(*slot)).sum();
            let in_usd = |amount: i128| if price > 0 { usd_ceil(amount, price) } else { amount };
            Holding {
                coin,
                price,
                equity: held.equity() - held.extras().isolated,
                counts: held.is_collateral && self.ledger.coins()[usize::from(coin.0)].spec.is_collateral,
                size: in_usd(size),
                loss: in_usd(loss),
            }
        };
        self.ledger.purses_of(account).into_iter().map(holding).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: i128 = SCALE as i128;

    fn holding(coin: u16, price: i64, equity: i128, size: i128) -> Holding {
        Holding {
            loss: 0,
            coin: CoinId(coin),
            price: price * SCALE,
            equity: equity * ONE,
            counts: true,
            size: size * ONE,
        }
    }

    /// What is left of each coin after the sales.
    fn after(holdings: &[Holding], sales: &[(Conversion, CoinId)]) -> Vec<i128> {
        let left = |held: &Holding| {
            let sold: i128 =
                sales.iter().filter(|sale| sale.0.coin == held.coin.0).map(|sale| sale.0.sold).sum();
            let bought: i128 =
                sales.iter().filter(|sale| sale.1 == held.coin).map(|sale| sale.0.bought).sum();
            held.equity - sold + bought
        };
        holdings.iter().map(left).collect()
    }

    #[test]
    fn all_collateral_goes_to_the_coin_of_the_positions() {
        let holdings = vec![holding(0, 1, 100, 50_000), holding(1, 50_000, 2, 0), holding(2, 2_000, 1, 0)];
        let left = after(&holdings, &Plan::of(holdings.clone()));
        assert_eq!(left[1..], [0, 0]);
        assert_eq!(left[0] / ONE, 100 + 99_900 + 1_998);
    }

    #[test]
    fn the_coins_of_positions_share_by_size() {
        let holdings = vec![holding(0, 1, 4_000, 10_000), holding(1, 1, 0, 30_000)];
        let left = after(&holdings, &Plan::of(holdings.clone()));
        assert_eq!(left, [1_000 * ONE, 2_997 * ONE]); // a quarter and, less the fee, three
    }

    #[test]
    fn a_debt_is_met_by_collateral_then_by_the_coins_of_the_positions() {
        // 1,000 owed, 600 of another coin there, positions in a third that has 100
        let holdings = vec![holding(0, 1, 100, 5_000), holding(1, 1, -1_000, 0), holding(2, 3, 200, 0)];
        let left = after(&holdings, &Plan::of(holdings.clone()));
        assert_eq!(left, [-300 * ONE, 0, 0]);
    }

    #[test]
    fn what_does_not_count_is_sold_last_and_no_more_of_it_than_needed() {
        let mut off = holding(2, 10, 100, 0);
        off.counts = false;
        let holdings = vec![holding(0, 1, -500, 5_000), holding(1, 1, 200, 0), off];
        let left = after(&holdings, &Plan::of(holdings.clone()));
        assert_eq!(left, [0, 0, 70 * ONE]);
        let rich = vec![holding(0, 1, 10, 5_000), off];
        assert!(Plan::of(rich).is_empty(), "it is not margin");
    }

    proptest! {
        #[test]
        fn nobody_with_a_position_is_left_with_a_debt_elsewhere(
            coins in prop::collection::vec((1_i64 << 20..1 << 40, -1_i128 << 44..1 << 44, any::<bool>(), prop_oneof![Just(0_i128), 1_i128..1 << 60]), 1..7),
        ) {
            let holdings: Vec<Holding> = (0_u16..).map(CoinId).zip(coins)
                .map(|(coin, (price, equity, counts, size))| Holding { coin, price, equity, counts, size, loss: if counts { size / 3 } else { 0 } }).collect();
            let sales = Plan::of(holdings.clone());
            let left = after(&holdings, &sales);
            let has_position = holdings.iter().any(|held| held.size > 0);
            let worth = |equities: &[i128]| -> i128 {
                holdings.iter().zip(equities).map(|(held, equity)| usd_ceil(*equity, held.price)).sum()
            };
            let before: Vec<i128> = holdings.iter().map(|held| held.equity).collect();
            prop_assert!(worth(&left) <= worth(&before) + i128::try_from(holdings.len()).unwrap(), "nothing is gained");
            for (held, left) in holdings.iter().zip(&left) {
                prop_assert!(!has_position || held.size > 0 || *left >= 0, "a debt is left: {:?}", held);
                prop_assert!(held.size > 0 || *left >= held.equity.min(0));
            }
        }
    }
}
