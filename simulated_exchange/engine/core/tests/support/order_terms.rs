//! What orders ask for beyond the plain, and what accounts set for their orders: as columns of a story, and as random streams.

use exchange_core::{
    AccountId, Action, OrderId, OrderSetting, Price, ProductClass, Qty, SelfMatch, SlippageTolerance, Terms,
    TermsAmendment, TradingAction, TriggerBy, TriggerDirection, SCALE,
};
use proptest::prelude::*;

use super::streams::number;
use super::{fixed, Row};

/// Columns `smp` (maker, taker, both), `slip` (`3 ticks`, or a part such as `0.0005`), `spot` (leverage, or amount: the
/// quantity is one of the quote coin), `trigger` (its price), `by` (last, mark, index), `dir` (rise, fall), `close` (yes).
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
        trigger_price: Price(get("trigger").map_or(0, fixed)),
        trigger_by: by(get("by")),
        trigger_direction: match get("dir") {
            None => TriggerDirection::Either,
            Some("rise") => TriggerDirection::Rise,
            Some("fall") => TriggerDirection::Fall,
            Some(other) => panic!("no direction {other}"),
        },
        close_on_trigger: get("close").is_some(),
    }
}

/// A row's change of an order's terms.
pub fn amendment(row: &Row, account: AccountId, order_id: OrderId) -> Action {
    let price = |name: &str| row.get(name).map(|price| Price(fixed(price)));
    Action::Trading(TradingAction::AmendTerms(TermsAmendment {
        price: price("price"),
        qty: row.get("qty").map(|qty| Qty(fixed(qty))),
        trigger_price: price("trigger"),
        ..TermsAmendment::of(account, order_id)
    }))
}

fn by(name: Option<&str>) -> TriggerBy {
    match name {
        None | Some("last") => TriggerBy::LastPrice,
        Some("mark") => TriggerBy::MarkPrice,
        Some("index") => TriggerBy::IndexPrice,
        Some(other) => panic!("no price {other}"),
    }
}

pub fn any_terms() -> impl Strategy<Value = Terms> {
    let trigger = prop_oneof![
        4 => Just(0),
        1 => number(50_000 * SCALE, SCALE / 10, 3000),
    ];
    let direction =
        prop_oneof![2 => Just(TriggerDirection::Either), 1 => prop::sample::select(TriggerDirection::ALL)];
    let slippage = prop_oneof![
        30 => Just(SlippageTolerance::None),
        1 => (0_u32..20).prop_map(SlippageTolerance::Ticks),
        1 => (5_000_u32..1_000_000).prop_map(SlippageTolerance::Ratio),
        1 => any::<u32>().prop_map(SlippageTolerance::Ratio),
    ];
    let self_match = prop_oneof![6 => Just(SelfMatch::Allow), 1 => prop::sample::select(SelfMatch::ALL)];
    let spot = || prop::bool::weighted(0.08);
    let by = prop::sample::select(TriggerBy::ALL);
    let flags = (prop::bool::weighted(0.1), spot(), spot());
    (self_match, slippage, (trigger, by, direction), flags).prop_map(
        |(self_match, slippage, (trigger, trigger_by, trigger_direction), flags)| Terms {
            self_match,
            slippage,
            trigger_price: Price(trigger),
            trigger_by,
            trigger_direction,
            close_on_trigger: flags.0,
            is_leveraged: flags.1,
            in_quote: flags.2,
        },
    )
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

pub fn any_amendment(account: AccountId, order_id: OrderId) -> impl Strategy<Value = TermsAmendment> {
    let price = || prop::option::weighted(0.3, number(50_000 * SCALE, SCALE / 10, 3000).prop_map(Price));
    let qty = prop::option::weighted(0.3, number(SCALE, SCALE / 100, 99).prop_map(Qty));
    let by = prop::option::weighted(0.2, prop::sample::select(TriggerBy::ALL));
    (price(), qty, price(), by).prop_map(move |(price, qty, trigger_price, trigger_by)| TermsAmendment {
        price,
        qty,
        trigger_price,
        trigger_by,
        ..TermsAmendment::of(account, order_id)
    })
}
