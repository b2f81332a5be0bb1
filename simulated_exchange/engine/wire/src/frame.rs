//! Requests of the trade socket that hold plain new orders.

use crate::json::{Scanner, keep};
use crate::order::{self, PlainOrders};

const REQUEST_ID_MAX: usize = 36;

/// A request for one order, or for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainFrame<'a> {
    /// The client's number for it: letters, digits, '-' and '_'.
    pub request_id: &'a str,
    /// As the client wrote it: a text, whatever it says, or a whole number.
    pub timestamp: &'a str,
    /// As the client wrote it; empty for none.
    pub recv_window: &'a str,
    /// Whether it asked for a batch.
    pub is_batch: bool,
    /// What it asks for.
    pub orders: PlainOrders<'a>,
}

/// One message.
pub fn plain_frame(message: &[u8]) -> Option<PlainFrame<'_>> {
    let mut scanner = Scanner::new(message);
    let (mut request_id, mut header, mut operation, mut orders) = (None, None, None, None);
    scanner.object(|key, scanner| match key {
        "reqId" => keep(&mut request_id, scanner.text()?),
        "header" => keep(&mut header, times(scanner)?),
        "op" => keep(&mut operation, scanner.text()?),
        "args" => {
            let mut found = None;
            scanner.list(|scanner| {
                // The operation may stand behind its arguments; a batch says what it is.
                let read = order_or_batch(scanner)?;
                keep(&mut found, read)
            })?;
            keep(&mut orders, found?)
        }
        _ => None,
    })?;
    scanner.end()?;
    let (orders, has_list) = orders?;
    let is_batch = match operation? {
        "order.create" => false,
        "order.create-batch" => true,
        _ => return None,
    };
    let (timestamp, recv_window) = header?;
    let request_id = request_id.filter(|text| is_plain(text))?;
    (is_batch == has_list).then_some(PlainFrame { request_id, timestamp, recv_window, is_batch, orders })
}

fn order_or_batch<'a>(scanner: &mut Scanner<'a>) -> Option<(PlainOrders<'a>, bool)> {
    let begin = scanner.place();
    if let Some(orders) = order::order(scanner) {
        return Some((orders, false));
    }
    scanner.go_back(begin);
    order::batch(scanner).map(|orders| (orders, true))
}

/// Timestamp and window of a header, which may say more.
fn times<'a>(scanner: &mut Scanner<'a>) -> Option<(&'a str, &'a str)> {
    const OTHERS_MAX: usize = 8;
    let (mut timestamp, mut window) = (None, None);
    let mut others: [&str; OTHERS_MAX] = [""; OTHERS_MAX];
    let mut count = 0;
    scanner.object(|key, scanner| match key {
        "X-BAPI-TIMESTAMP" => keep(&mut timestamp, scanner.text_or_number()?),
        "X-BAPI-RECV-WINDOW" => keep(&mut window, scanner.text_or_number()?),
        _ if count < OTHERS_MAX && !others[..count].contains(&key) => {
            scanner.text()?;
            others[count] = key;
            count += 1;
            Some(())
        }
        _ => None,
    })?;
    Some((timestamp?, window.unwrap_or("")))
}

fn is_plain(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=REQUEST_ID_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str =
        r#"{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"1"}"#;
    const HEADER: &str = r#"{"X-BAPI-TIMESTAMP":"17","X-BAPI-RECV-WINDOW":"50","Referer":"me"}"#;

    fn text(operation: &str, argument: &str) -> String {
        format!(r#"{{"reqId":"a-1","header":{HEADER},"op":"{operation}","args":[{argument}]}}"#)
    }

    #[test]
    fn a_frame_is_read_whatever_the_order_of_its_keys() {
        let message = text("order.create", ORDER);
        let frame = plain_frame(message.as_bytes()).unwrap();
        assert_eq!((frame.request_id, frame.timestamp, frame.recv_window), ("a-1", "17", "50"));
        assert_eq!((frame.is_batch, frame.orders.orders.len()), (false, 1));
        let turned = format!(r#"{{"args":[{ORDER}],"op":"order.create","reqId":"a-1","header":{HEADER}}}"#);
        assert_eq!(plain_frame(turned.as_bytes()), Some(frame));
        let batch = text("order.create-batch", &format!(r#"{{"category":"linear","request":[{ORDER}]}}"#));
        assert!(plain_frame(batch.as_bytes()).unwrap().is_batch);
    }

    #[test]
    fn an_odd_frame_is_left_to_others() {
        let batch = format!(r#"{{"category":"linear","request":[{ORDER}]}}"#);
        let twice = format!("{ORDER},{ORDER}");
        for message in [
            text("order.amend", ORDER),
            text("order.create", &batch),
            text("order.create-batch", ORDER),
            text("order.create", &twice),
            text("order.create", "").replace("[]", "5"),
            text("order.create", ORDER).replace("a-1", "a:1"),
            text("order.create", ORDER).replace("Referer", "X-BAPI-TIMESTAMP"),
            text("order.create", ORDER).replace("\"reqId\":\"a-1\",", ""),
            text("order.create", ORDER).replace("\"reqId\":\"a-1\",", "\"reqId\":\"a-1\",\"reqId\":\"a-1\","),
        ] {
            assert_eq!(plain_frame(message.as_bytes()), None, "{message}");
        }
    }
}
