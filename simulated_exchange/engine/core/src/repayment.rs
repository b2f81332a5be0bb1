//! Repaying a loan: who is first, and what is sold for it. Rules 7. Pure: numbers in, numbers out.
//!
//! Selling goes through the venue at its own coin prices: what the owner gets is never worth more than what he gives,
//! the fee comes out of what is sold, and both roundings are against him.

use crate::collateral::usd_ceil;
use crate::fixed::{div_floor, mul_div_ceil, mul_div_floor};
use crate::types::SCALE;

/// Most that one repayment may sell, in USD: 300,000.
pub const OPERATION_USD_MAX: i128 = 300_000 * SCALE as i128;

/// Fee of a sale towards a repayment, in `10^-8` of what is sold: 0.1 %, our choice.
pub const CONVERSION_FEE: i64 = SCALE / 1000;

/// The largest borrower; of equals the one with the lower number. Nobody who owes nothing.
pub fn largest(borrowers: impl IntoIterator<Item = (u32, i128)>) -> Option<(u32, i128)> {
    let owing = borrowers.into_iter().filter(|(_, borrowed)| *borrowed > 0);
    owing.max_by_key(|(who, borrowed)| (*borrowed, std::cmp::Reverse(*who)))
}

/// A coin that could be sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Number of the coin.
    pub coin: u16,
    /// What there is of it to sell.
    pub available: i128,
    /// Its price in USD.
    pub price: i64,
}

/// One sale towards a repayment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Number of the coin sold.
    pub coin: u16,
    /// What leaves the owner, fee included.
    pub sold: i128,
    /// The fee, in the coin sold.
    pub fee: i128,
    /// What the owner gets of the coin he owes.
    pub bought: i128,
}

/// Sells of one coin as much as it takes to get `need` at `price`, or as much as there is and `room_usd` allows.
/// `fee_rate` in `10^-8`. Nothing when it would bring nothing.
pub fn convert(need: i128, price: i64, source: &Source, fee_rate: i64, room_usd: i128) -> Option<Conversion> {
    if need <= 0 || price <= 0 || source.price <= 0 || source.available <= 0 || room_usd <= 0 {
        return None;
    }
    let scale = i128::from(SCALE);
    let fee_rate = i128::from(fee_rate.clamp(0, SCALE - 1));
    let (buying, selling) = (i128::from(price), i128::from(source.price));
    let net = mul_div_ceil(need, buying, selling);
    let wanted = mul_div_ceil(net, scale, scale - fee_rate);
    let most = source.available.min(div_floor(room_usd.saturating_mul(scale), selling));
    let (sold, fee) =
        if wanted <= most { (wanted, wanted - net) } else { (most, mul_div_ceil(most, fee_rate, scale)) };
    let bought = mul_div_floor(sold - fee, selling, buying).min(need);
    (bought > 0).then_some(Conversion { coin: source.coin, sold, fee, bought })
}

/// Sells coins in their given order until `need` is met, nothing is left, or the operation's cap is reached.
pub fn plan(
    need: i128,
    price: i64,
    sources: impl IntoIterator<Item = Source>,
    fee_rate: i64,
    cap_usd: i128,
) -> Vec<Conversion> {
    let (mut missing, mut room) = (need, cap_usd);
    let mut plan = Vec::new();
    for source in sources {
        if let Some(sale) = convert(missing, price, &source, fee_rate, room) {
            missing -= sale.bought;
            room -= usd_ceil(sale.sold, source.price);
            plan.push(sale);
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collateral::usd_floor;
    use proptest::prelude::*;

    const ONE: i128 = SCALE as i128;

    #[test]
    fn the_largest_borrower_is_first_and_the_ranks_are_made_anew() {
        let mut owed = [(3, 50), (5, 90), (8, 90), (9, 0)];
        let mut order = Vec::new();
        for _ in 0..4 {
            let (who, borrowed) = largest(owed).unwrap();
            order.push(who);
            for (name, left) in &mut owed {
                if *name == who {
                    *left -= borrowed.min(45);
                }
            }
        }
        assert_eq!(order, [5, 8, 3, 5]);
        assert_eq!(largest([(1, 0), (2, -4)]), None);
    }

    #[test]
    fn sells_in_the_given_order_up_to_the_need() {
        let btc = Source { coin: 2, available: ONE, price: 50_000 * SCALE };
        let eth = Source { coin: 3, available: 10 * ONE, price: 4_000 * SCALE };
        let sales = plan(60_000 * ONE, SCALE, [btc, eth], 0, OPERATION_USD_MAX);
        let shape: Vec<_> = sales.iter().map(|sale| (sale.coin, sale.sold, sale.bought)).collect();
        assert_eq!(shape, [(2, ONE, 50_000 * ONE), (3, 25 * ONE / 10, 10_000 * ONE)]);
    }

    #[test]
    fn the_fee_comes_out_of_what_is_sold() {
        let btc = Source { coin: 2, available: ONE, price: 50_000 * SCALE };
        let sale = convert(999 * ONE, SCALE, &btc, 100_000, OPERATION_USD_MAX).unwrap(); // 0.1 %
        assert_eq!((sale.sold, sale.fee, sale.bought), (2_000_000, 2_000, 999 * ONE));
    }

    #[test]
    fn an_operation_is_capped() {
        let btc = Source { coin: 2, available: 100 * ONE, price: 50_000 * SCALE };
        let sales = plan(1_000_000 * ONE, SCALE, [btc, btc], 0, OPERATION_USD_MAX);
        assert_eq!(sales.len(), 1);
        assert_eq!((sales[0].sold, sales[0].bought), (6 * ONE, 300_000 * ONE));
    }

    proptest! {
        #[test]
        fn nobody_gains_by_a_conversion(
            need in 1_i128..1 << 60, price in 1_i64..1 << 50, fee_rate in 0..SCALE,
            coins in prop::collection::vec((1_i128..1 << 60, 0_i64..1 << 50), 0..6), cap in 0_i128..1 << 70,
        ) {
            let sources: Vec<Source> = (0_u16..).zip(&coins)
                .map(|(coin, (available, price))| Source { coin, available: *available, price: *price }).collect();
            let sales = plan(need, price, sources.clone(), fee_rate, cap);
            let mut sold_usd = 0;
            for sale in &sales {
                let source = sources[usize::from(sale.coin)];
                prop_assert!(sale.sold <= source.available && (0..sale.sold).contains(&sale.fee) && sale.bought > 0);
                prop_assert!(sale.fee * ONE + ONE >= sale.sold * i128::from(fee_rate), "fee is taken");
                prop_assert!(usd_floor(sale.bought, price) <= usd_ceil(sale.sold - sale.fee, source.price));
                sold_usd += usd_floor(sale.sold, source.price);
            }
            prop_assert!(sales.iter().map(|sale| sale.bought).sum::<i128>() <= need);
            prop_assert!(sold_usd <= cap);
        }
    }
}
