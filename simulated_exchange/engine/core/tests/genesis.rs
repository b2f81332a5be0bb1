//! A genesis that cannot be is refused with the field and what is allowed.

mod support;

use exchange_core::{Exchange, Genesis, InstrumentSpec, Money, Price, Qty, TierSpec, SCALE};

fn refusal(spec: InstrumentSpec) -> String {
    let genesis = Genesis::linear(vec![spec], Money(0));
    Exchange::new(&genesis).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn every_refusal_names_its_field() {
    let tier =
        |limit: i64, rate: i64| TierSpec { limit: Money(limit), max_leverage: 100, maintenance_rate: rate };
    let base = support::btc;
    let cases = [
        ("tick_size", InstrumentSpec { tick_size: Price(0), ..base() }),
        ("tick_size", InstrumentSpec { tick_size: Price(1), qty_step: Qty(SCALE / 1000), ..base() }),
        ("qty_step", InstrumentSpec { qty_step: Qty(-1), ..base() }),
        ("min_qty", InstrumentSpec { min_qty: Qty(1), ..base() }),
        ("max_qty", InstrumentSpec { max_qty: Qty(0), ..base() }),
        ("max_price", InstrumentSpec { max_price: Price(i64::MAX), ..base() }),
        ("max_price", InstrumentSpec { max_price: Price(9_000_000 * SCALE), ..base() }),
        ("taker_fee", InstrumentSpec { taker_fee: SCALE, ..base() }),
        ("basis_window_ms", InstrumentSpec { basis_window_ms: 0, ..base() }),
        ("default_leverage", InstrumentSpec { default_leverage: 99, ..base() }),
        ("index_sources", InstrumentSpec { index_sources: Vec::new(), ..base() }),
        ("tiers", InstrumentSpec { tiers: Vec::new(), ..base() }),
        ("tiers[1]", InstrumentSpec { tiers: vec![tier(SCALE, 5), tier(SCALE, 6)], ..base() }),
        ("tiers[1]", InstrumentSpec { tiers: vec![tier(SCALE, 5), tier(2 * SCALE, 4)], ..base() }),
    ];
    for (field, spec) in cases {
        let text = refusal(spec);
        assert!(text.starts_with(&format!("instruments[0].{field}: ")), "{field}: {text}");
    }
    let empty = Genesis::default();
    assert!(Exchange::new(&empty).unwrap_err().to_string().starts_with("instruments: was 0 entries"));
    let debt = Genesis::linear(vec![base()], Money(-1));
    assert!(Exchange::new(&debt).unwrap_err().to_string().starts_with("pools[0].balance: was -1"));
}
