//! What is answered to a request whose orders were all taken. No text in it needs an escape.

use std::fmt::{Display, Write};

/// One order that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<'a> {
    /// The contract.
    pub symbol: &'a str,
    /// The venue's number.
    pub order_id: u64,
    /// The client's identifier; may be none.
    pub link_id: &'a str,
}

/// What is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in a window.
    pub limit: i64,
    /// Those that are left.
    pub remaining: i64,
    /// When the window ends, in milliseconds.
    pub reset_ms: i64,
}

/// Result and extra information of one order.
pub fn order_result(order: &Placed<'_>) -> (String, String) {
    let mut result = String::with_capacity(128);
    put(&mut result, &format_args!("{{{}}}", Reference(order)));
    (result, "{}".to_owned())
}

/// Result and extra information of a batch.
pub fn batch_result(category: &str, orders: &[Placed<'_>], created_ms: i64) -> (String, String) {
    let mut rows = String::with_capacity(32 + 192 * orders.len());
    let mut codes = String::with_capacity(16 + 24 * orders.len());
    rows.push_str("{\"list\":[");
    codes.push_str("{\"list\":[");
    for (at, order) in orders.iter().enumerate() {
        let (comma, symbol) = (if at == 0 { "" } else { "," }, order.symbol);
        put(
            &mut rows,
            &format_args!(
                "{comma}{{\"category\":\"{category}\",\"symbol\":\"{symbol}\",{},\"createAt\":\"{created_ms}\"}}",
                Reference(order)
            ),
        );
        put(&mut codes, &format_args!("{comma}{{\"code\":0,\"msg\":\"OK\"}}"));
    }
    rows.push_str("]}");
    codes.push_str("]}");
    (rows, codes)
}

/// The body of an answer over HTTP.
pub fn rest_answer(result: &str, extra: &str, now_ms: i64) -> String {
    let mut body = String::with_capacity(result.len() + extra.len() + 96);
    put(
        &mut body,
        &format_args!(
            "{{\"retCode\":0,\"retMsg\":\"OK\",\"result\":{result},\"retExtInfo\":{extra},\"time\":{now_ms}}}"
        ),
    );
    body
}

/// An answer that went well as HTTP has it; `number` is the request's.
pub fn http_answer(body: &[u8], date: &str, allowance: &Allowance, now_ms: i64, number: u64) -> Vec<u8> {
    let Allowance { limit, remaining, reset_ms } = *allowance;
    let mut head = String::with_capacity(384 + body.len());
    let length = body.len();
    put(
        &mut head,
        &format_args!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nDate: {date}\r\nContent-Length: \
             {length}\r\nX-Bapi-Limit: {limit}\r\nX-Bapi-Limit-Status: {remaining}\r\n\
             X-Bapi-Limit-Reset-Timestamp: {reset_ms}\r\nTraceid: {number:032x}\r\nTimenow: {now_ms}\r\n\r\n"
        ),
    );
    let mut answer = head.into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// The answer on the trade socket.
pub fn socket_answer(
    (request_id, operation): (&str, &str),
    (result, extra): (&str, &str),
    allowance: &Allowance,
    now_ms: i64,
    connection: &str,
) -> String {
    let Allowance { limit, remaining, reset_ms } = *allowance;
    let mut text = String::with_capacity(result.len() + extra.len() + 384);
    put(
        &mut text,
        &format_args!(
            "{{\"reqId\":\"{request_id}\",\"retCode\":0,\"retMsg\":\"OK\",\"op\":\"{operation}\",\"data\":{result},\
             \"retExtInfo\":{extra},\"header\":{{\"X-Bapi-Limit\":\"{limit}\",\"X-Bapi-Limit-Status\":\"{remaining}\",\
             \"X-Bapi-Limit-Reset-Timestamp\":\"{reset_ms}\",\"Traceid\":\"{connection}\",\"Timenow\":\"{now_ms}\"}},\
             \"connId\":\"{connection}\"}}"
        ),
    );
    text
}

/// How the wire refers to an order: the members of an object.
struct Reference<'a>(&'a Placed<'a>);

impl Display for Reference<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Placed { order_id, link_id, .. } = self.0;
        write!(
            formatter,
            "\"orderId\":\"51700000-0000-4000-8000-{order_id:012x}\",\"orderLinkId\":\"{link_id}\""
        )
    }
}

/// Writing into memory cannot fail.
fn put(text: &mut String, what: &std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(*what);
}
