//! What orders ask for beyond the plain, and what accounts set for their orders: as columns of a story, and as random streams.

use exchange_core::{
    AccountId, Action, InstrumentId, OrderId, OrderSetting, PositionIndex, Price, ProductClass, Qty,
    SelfMatch, SlippageTolerance, Terms, TermsAmendment, TpSlMode, TradingAction, TradingStop, TriggerBy,
    TriggerDirection, SCALE,
};
use proptest::prelude::*;

use super::streams::number;
use super::{fixed, Row};

/// Columns `smp` (maker, taker, both), `slip` (`3 ticks`, or a part such as `0.0005`), `spot` (leverage; amount: the
/// quantity is one of the quote coin; tpsl: holds what it pays with), `trigger` (its price), `by` (last, mark, index), `dir` (rise, fall), `close` (yes).
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
        in_quote: get("spot").is_some_and(|spot| spot.contains("amount")),
        holds: get("spot").is_some_and(|spot| spot.contains("tpsl")),
        trigger_price: Price(get("trigger").map_or(0, fixed)),
        trigger_by: by(get("by")),
        trigger_direction: match get("dir") {
            None => TriggerDirection::Either,
            Some("rise") => TriggerDirection::Rise,
            Some("fall") => TriggerDirection::Fall,
            Some(other) => panic!("no direction {other}"),
        },
        close_on_trigger: get("close").is_some(),
        ..exits(row)
    }
}

/// Columns `tp` and `sl` (prices), `tp by` and `sl by` (last, mark, index), `tp at` and `sl at` (limits), `mode` (full, partial).
fn exits(row: &Row) -> Terms {
    let get = |name: &str| row.get(name).map(String::as_str);
    let price = |name: &str| Price(get(name).map_or(0, fixed));
    Terms {
        tpsl_mode: mode(get("mode")),
        take_profit: price("tp"),
        take_profit_by: by(get("tp by")),
        take_profit_limit: price("tp at"),
        stop_loss: price("sl"),
        stop_loss_by: by(get("sl by")),
        stop_loss_limit: price("sl at"),
        ..Terms::NONE
    }
}

fn mode(name: Option<&str>) -> TpSlMode {
    match name {
        None | Some("full") => TpSlMode::Full,
        Some("partial") => TpSlMode::Partial,
        Some(other) => panic!("no mode {other}"),
    }
}

/// A row's change of what ends a position: the columns of `exits`, `qty` (of a part), `trail` (distance), `active`.
pub fn trading_stop(
    row: &Row,
    account: AccountId,
    instrument: InstrumentId,
    position_index: PositionIndex,
) -> Action {
    let price = |name: &str| row.get(name).map(|price| Price(fixed(price)));
    let terms = exits(row);
    Action::Trading(TradingAction::SetTradingStop(TradingStop {
        position_index,
        mode: terms.tpsl_mode,
        take_profit: price("tp"),
        take_profit_by: terms.take_profit_by,
        take_profit_limit: terms.take_profit_limit,
        stop_loss: price("sl"),
        stop_loss_by: terms.stop_loss_by,
        stop_loss_limit: terms.stop_loss_limit,
        size: Qty(row.get("qty").map_or(0, |qty| fixed(qty))),
        trailing_stop: price("trail"),
        active_price: price("active").unwrap_or_default(),
        ..TradingStop::of(account, instrument)
    }))
}

/// Columns of an amendment that concern an order's terms.
pub const ARE_TERMS: [&str; 6] = ["trigger", "tp", "sl", "tp at", "sl at", "mode"];

/// A row's change of an order's terms.
pub fn amendment(row: &Row, account: AccountId, order_id: OrderId) -> Action {
    let price = |name: &str| row.get(name).map(|price| Price(fixed(price)));
    Action::Trading(TradingAction::AmendTerms(TermsAmendment {
        price: price("price"),
        qty: row.get("qty").map(|qty| Qty(fixed(qty))),
        trigger_price: price("trigger"),
        take_profit: price("tp"),
        take_profit_limit: price("tp at"),
        stop_loss: price("sl"),
        stop_loss_limit: price("sl at"),
        tpsl_mode: row.get("mode").map(|name| mode(Some(name))),
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
    let flags = (prop::bool::weighted(0.1), spot(), spot(), spot());
    (self_match, slippage, (trigger, by, direction), flags, any_exits()).prop_map(
        |(self_match, slippage, (trigger, trigger_by, trigger_direction), flags, exits)| Terms {
            self_match,
            slippage,
            trigger_price: Price(trigger),
            trigger_by,
            trigger_direction,
            close_on_trigger: flags.0,
            is_leveraged: flags.1,
            in_quote: flags.2,
            holds: flags.3 && trigger != 0,
            ..exits
        },
    )
}

/// Take-profit and stop-loss, mostly on the sides where a long or a short position would have them.
fn any_exits() -> impl Strategy<Value = Terms> {
    let near = |seldom: f64| prop::option::weighted(seldom, number(50_000 * SCALE, SCALE / 10, 6000));
    let limit = || prop::option::weighted(0.2, number(50_000 * SCALE, SCALE / 10, 3000));
    let by = || prop::sample::select(TriggerBy::ALL);
    let mode = prop::sample::select(TpSlMode::ALL);
    let exits = (near(0.6), near(0.6), limit(), limit(), by(), by(), mode);
    let price = |price: Option<i64>| Price(price.unwrap_or(0));
    prop::option::weighted(0.25, exits).prop_map(move |exits| {
        let Some((profit, loss, profit_at, loss_at, take_profit_by, stop_loss_by, tpsl_mode)) = exits else {
            return Terms::NONE;
        };
        Terms {
            tpsl_mode,
            take_profit: price(profit),
            take_profit_by,
            take_profit_limit: price(profit_at.filter(|_| tpsl_mode == TpSlMode::Partial)),
            stop_loss: price(loss),
            stop_loss_by,
            stop_loss_limit: price(loss_at.filter(|_| tpsl_mode == TpSlMode::Partial)),
            ..Terms::NONE
        }
    })
}

pub fn any_trading_stop(account: AccountId, instrument: InstrumentId) -> impl Strategy<Value = TradingStop> {
    let index = prop_oneof![4 => Just(PositionIndex::OneWay), 1 => prop::sample::select(PositionIndex::ALL)];
    let trail = prop_oneof![
        3 => Just(None),
        1 => number(100 * SCALE, SCALE, 99).prop_map(|distance| Some(Price(distance))),
    ];
    let active = prop_oneof![3 => Just(0), 1 => number(50_000 * SCALE, SCALE / 10, 3000)];
    let removes = (prop::bool::weighted(0.05), prop::bool::weighted(0.05));
    let size = number(SCALE / 10, SCALE / 100, 9);
    (any_exits(), index, trail, active, removes, size).prop_map(
        move |(terms, position_index, trailing_stop, active, removes, size)| {
            let given = |price: Price, removes: bool| (removes || price != Price(0)).then_some(price);
            let is_partial = terms.tpsl_mode == TpSlMode::Partial;
            TradingStop {
                position_index,
                mode: terms.tpsl_mode,
                take_profit: given(terms.take_profit, removes.0),
                take_profit_by: terms.take_profit_by,
                take_profit_limit: terms.take_profit_limit,
                stop_loss: given(terms.stop_loss, removes.1),
                stop_loss_by: terms.stop_loss_by,
                stop_loss_limit: terms.stop_loss_limit,
                size: Qty(if is_partial { size } else { 0 }),
                trailing_stop,
                active_price: Price(if trailing_stop.is_some() { active } else { 0 }),
                ..TradingStop::of(account, instrument)
            }
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
    let exits = (price(), price(), prop::option::weighted(0.1, prop::sample::select(TpSlMode::ALL)));
    (price(), qty, price(), by, prop::bool::weighted(0.3), exits).prop_map(
        move |(price, qty, trigger_price, trigger_by, has_exits, exits)| TermsAmendment {
            price,
            qty,
            trigger_price,
            trigger_by,
            take_profit: exits.0.filter(|_| has_exits),
            stop_loss: exits.1.filter(|_| has_exits),
            tpsl_mode: exits.2.filter(|_| has_exits),
            ..TermsAmendment::of(account, order_id)
        },
    )
}
