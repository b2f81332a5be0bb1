//! New orders of contracts that ask for nothing beyond the plain: limit or market, one or a batch of them.

use exchange_core::types::{LinkId, SCALE};
use exchange_core::{OrderType, Side, TimeInForce};

use crate::json::{Scanner, keep};

/// Orders in one batch.
pub const BATCH_MAX: usize = 20;

const WHOLE_DIGITS_MAX: usize = 10;
const FRACTION_DIGITS_MAX: usize = 18;
const FRACTION_DIGITS: usize = 8;

/// One order. A market order has no price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainOrder<'a> {
    /// The contract.
    pub symbol: &'a str,
    /// Its side.
    pub side: Side,
    /// Limit or market.
    pub order_type: OrderType,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// 10^-8.
    pub qty: i64,
    /// 10^-8, above zero for a limit order.
    pub price: i64,
    /// The client's own identifier; may be none.
    pub link_id: LinkId,
}

/// The orders of one request, for one market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainOrders<'a> {
    /// The market.
    pub category: &'a str,
    /// In their order; at least one.
    pub orders: Vec<PlainOrder<'a>>,
}

/// The body of a request for one order.
pub fn plain_order(body: &[u8]) -> Option<PlainOrders<'_>> {
    whole(body, order)
}

/// The body of a request for a batch.
pub fn plain_batch(body: &[u8]) -> Option<PlainOrders<'_>> {
    whole(body, batch)
}

fn whole<'a>(
    body: &'a [u8],
    read: impl FnOnce(&mut Scanner<'a>) -> Option<PlainOrders<'a>>,
) -> Option<PlainOrders<'a>> {
    let mut scanner = Scanner::new(body);
    let orders = read(&mut scanner)?;
    scanner.end()?;
    Some(orders)
}

/// One order with its market.
pub(crate) fn order<'a>(scanner: &mut Scanner<'a>) -> Option<PlainOrders<'a>> {
    let draft = Draft::read(scanner)?;
    Some(PlainOrders { category: draft.category?, orders: vec![draft.order()?] })
}

/// A market and its orders.
pub(crate) fn batch<'a>(scanner: &mut Scanner<'a>) -> Option<PlainOrders<'a>> {
    let (mut category, mut orders) = (None, None);
    scanner.object(|key, scanner| match key {
        "category" => keep(&mut category, scanner.text()?),
        "request" => {
            let mut found = Vec::with_capacity(BATCH_MAX);
            scanner.list(|scanner| {
                found.push(Draft::read(scanner)?.order()?);
                (found.len() <= BATCH_MAX).then_some(())
            })?;
            keep(&mut orders, found)
        }
        _ => None,
    })?;
    Some(PlainOrders { category: category?, orders: orders? })
}

/// The texts of an order's fields.
#[derive(Default)]
struct Draft<'a> {
    category: Option<&'a str>,
    symbol: Option<&'a str>,
    side: Option<&'a str>,
    order_type: Option<&'a str>,
    qty: Option<&'a str>,
    price: Option<&'a str>,
    time_in_force: Option<&'a str>,
    link_id: Option<&'a str>,
}

impl<'a> Draft<'a> {
    fn read(scanner: &mut Scanner<'a>) -> Option<Self> {
        let mut draft = Self::default();
        scanner.object(|key, scanner| {
            let place = match key {
                "category" => &mut draft.category,
                "symbol" => &mut draft.symbol,
                "side" => &mut draft.side,
                "orderType" => &mut draft.order_type,
                "qty" => &mut draft.qty,
                "price" => &mut draft.price,
                "timeInForce" => &mut draft.time_in_force,
                "orderLinkId" => &mut draft.link_id,
                _ => return None,
            };
            keep(place, scanner.text()?)
        })?;
        Some(draft)
    }

    fn order(self) -> Option<PlainOrder<'a>> {
        let side = match self.side? {
            "Buy" => Side::Buy,
            "Sell" => Side::Sell,
            _ => return None,
        };
        let (order_type, price, time_in_force) = match self.order_type? {
            "Limit" => {
                let price = decimal(self.price?).filter(|price| *price > 0)?;
                (OrderType::Limit, price, time_in_force(self.time_in_force)?)
            }
            // Whatever it says of price and time counts for nothing.
            "Market" => (OrderType::Market, 0, TimeInForce::ImmediateOrCancel),
            _ => return None,
        };
        let link_id = LinkId::parse(self.link_id.unwrap_or(""))?;
        let (symbol, qty) = (self.symbol?, decimal(self.qty?)?);
        Some(PlainOrder { symbol, side, order_type, time_in_force, qty, price, link_id })
    }
}

fn time_in_force(text: Option<&str>) -> Option<TimeInForce> {
    Some(match text.unwrap_or("") {
        "GTC" | "" => TimeInForce::GoodTillCancel,
        "IOC" => TimeInForce::ImmediateOrCancel,
        "FOK" => TimeInForce::FillOrKill,
        "PostOnly" => TimeInForce::PostOnly,
        _ => return None,
    })
}

/// Text as fixed point (10^-8); nothing when it is no plain decimal of at most eight places.
fn decimal(text: &str) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    if whole.is_empty() || whole.len() > WHOLE_DIGITS_MAX || fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let mut value = 0_i64;
    for byte in whole.bytes() {
        value = value * 10 + digit(byte)?;
    }
    value *= SCALE;
    let mut unit = SCALE;
    for (place, byte) in fraction.bytes().enumerate() {
        let digit = digit(byte)?;
        unit /= 10;
        if place < FRACTION_DIGITS {
            value += digit * unit;
        } else if digit != 0 {
            return None;
        }
    }
    Some(value)
}

#[inline]
fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_of_at_most_eight_places_are_read_exactly() {
        for (text, value) in [
            ("0", Some(0)),
            ("1", Some(SCALE)),
            ("007", Some(7 * SCALE)),
            ("0.00000001", Some(1)),
            ("9999999999.99999999", Some(999_999_999_999_999_999)),
            ("1.500000000000000000", Some(SCALE * 3 / 2)),
            ("1.000000001", None),
            ("1.0000000000000000000", None),
            ("12345678901", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("1e3", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1.2.3", None),
        ] {
            assert_eq!(decimal(text), value, "{text}");
        }
    }

    #[test]
    fn a_batch_is_read_order_by_order() {
        let one = r#"{"symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"1","orderLinkId":"a"}"#;
        let two = r#"{"symbol":"ETHUSDT","side":"Sell","orderType":"Limit","qty":"0.5","price":"7","timeInForce":"FOK"}"#;
        let body = format!(r#"{{"request":[{one}, {two}],"category":"linear"}}"#);
        let read = plain_batch(body.as_bytes()).unwrap();
        assert_eq!((read.category, read.orders.len()), ("linear", 2));
        let [first, second] = &read.orders[..] else { panic!("two orders") };
        assert_eq!(
            (first.order_type, first.price, first.link_id.as_bytes()),
            (OrderType::Market, 0, &b"a"[..])
        );
        assert_eq!((second.side, second.qty, second.price), (Side::Sell, SCALE / 2, 7 * SCALE));
        assert_eq!((second.time_in_force, second.link_id), (TimeInForce::FillOrKill, LinkId::NONE));
        for (from, to) in
            [(one, "5"), ("request", "requests"), ("\"linear\"", "1"), ("Buy", "buy"), ("\"7\"", "\"0\"")]
        {
            assert_eq!(plain_batch(body.replace(from, to).as_bytes()), None, "{from} as {to}");
        }
        let many = [one; BATCH_MAX + 1].join(",");
        assert_eq!(plain_batch(format!(r#"{{"category":"linear","request":[{many}]}}"#).as_bytes()), None);
    }
}
