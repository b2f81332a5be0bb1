//! Memory that the exchange takes for its orders and for its accounts: what the process has grown by.

use std::io;

use crate::commands::{funded, pair, priced, resting};
use crate::exchange::Run;
use crate::workload::{START_PRICE, Side};

/// Orders of one account; the exchange allows 500.
const ORDERS_PER_ACCOUNT: u32 = 499;
/// Prices on either side that the orders spread over.
const PRICES: u32 = 10_000;
const PAGE_BYTES: usize = 4096;

/// Bytes that so many resting orders take. Each of their accounts had another one before.
pub(crate) fn of_orders(orders: u32) -> io::Result<usize> {
    let accounts = orders.div_ceil(ORDERS_PER_ACCOUNT);
    let order = |number: u32| {
        let distance = 1 + i64::from(number / 2 % PRICES);
        match number % 2 {
            0 => resting(number % accounts, Side::Buy, START_PRICE - distance, 1),
            _ => resting(number % accounts, Side::Sell, START_PRICE + distance, 1),
        }
    };
    let mut run = Run::empty(1);
    let first = (0..accounts).map(order);
    run.apply(priced(1).chain((0..accounts).flat_map(funded)).chain(first), Run::forget);
    let before = resident_bytes()?;
    run.apply((accounts..accounts + orders).map(order), Run::forget);
    Ok(resident_bytes()?.saturating_sub(before))
}

/// Bytes that so many accounts take, each with money and one position.
pub(crate) fn of_accounts(accounts: u32) -> io::Result<usize> {
    let mut run = Run::empty(1);
    run.apply(priced(1), Run::forget);
    let before = resident_bytes()?;
    run.apply((0..accounts).step_by(2).flat_map(|first| pair(first, 1)), Run::forget);
    Ok(resident_bytes()?.saturating_sub(before))
}

/// Memory of this process that is really there; only Linux tells.
fn resident_bytes() -> io::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.map(|pages| pages * PAGE_BYTES).ok_or_else(|| io::Error::other("statm reads otherwise"))
}
