//! What orders ask for beyond the plain, and what accounts set for their orders: as columns of a story, and as random streams.

use exchange_core::{OrderSetting, ProductClass, SelfMatch, SlippageTolerance, Terms};
use proptest::prelude::*;

use super::{fixed, Row};

/// Columns `smp` (maker, taker, both), `slip` (`3 ticks`, or a part such as `0.0005`) and `spot` (leverage, or amount: the
/// quantity is one of the quote coin).
pub fn of(row: &Row) -> Terms {
    let get = |name: &str| row.get(name).map(String::as_str);
    Terms {
        self_match: match get("smp") {
            None => SelfMatch::Allow,
            Some("maker") => SelfMatch::CancelMaker,
            Some("taker") => SelfMatch::CancelTaker,
            Some("both") => SelfMatch::CancelBoth,
            Some(other) => panic!("no self-match prevention {other}"),
        },
        slippage: match get("slip").map(|slip| slip.strip_suffix(" ticks").ok_or(slip)) {
            None => SlippageTolerance::None,
            Some(Ok(ticks)) => SlippageTolerance::Ticks(ticks.parse().expect("ticks")),
            Some(Err(ratio)) => SlippageTolerance::Ratio(u32::try_from(fixed(ratio)).expect("ratio")),
        },
        is_leveraged: get("spot").is_some_and(|spot| spot == "leverage"),
        in_quote: get("spot").is_some_and(|spot| spot == "amount"),
    }
}

pub fn any_terms() -> impl Strategy<Value = Terms> {
    let slippage = prop_oneof![
        30 => Just(SlippageTolerance::None),
        1 => (0_u32..20).prop_map(SlippageTolerance::Ticks),
        1 => (5_000_u32..1_000_000).prop_map(SlippageTolerance::Ratio),
        1 => any::<u32>().prop_map(SlippageTolerance::Ratio),
    ];
    let self_match = prop_oneof![6 => Just(SelfMatch::Allow), 1 => prop::sample::select(SelfMatch::ALL)];
    let spot = || prop::bool::weighted(0.08);
    (self_match, slippage, spot(), spot()).prop_map(|(self_match, slippage, is_leveraged, in_quote)| Terms {
        self_match,
        slippage,
        is_leveraged,
        in_quote,
    })
}

pub fn any_setting() -> impl Strategy<Value = OrderSetting> {
    let products = || prop::sample::select(ProductClass::ALL);
    prop_oneof![
        (0_u32..3).prop_map(OrderSetting::SmpGroup),
        (products(), 0_u32..310)
            .prop_map(|(products, seconds)| OrderSetting::DisconnectWindow(products, seconds)),
        (products(), any::<bool>()).prop_map(|(products, moves)| OrderSetting::MovesToBand(products, moves)),
    ]
}
