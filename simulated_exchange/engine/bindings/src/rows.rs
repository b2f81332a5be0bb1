//! What happened as rows for the read model: of the usual events the values that a fold asks for, at once.
//!
//! An event as an object is asked field by field, which costs more than folding it. A row begins with its kind; what
//! follows, and in which order, stands in the engine's stub.

use std::collections::HashMap;

use exchange_core::EventLog;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::event::Event;
use crate::words::{Side, WalletReason};

const OTHER: u8 = 0;
const ACCEPTED: u8 = 1;
const CANCELLED: u8 = 2;
const TRADE: u8 = 3;
const FILL: u8 = 4;
const POSITION: u8 = 5;
const WALLET: u8 = 6;
const LEVEL: u8 = 7;

/// Rows of everything that happened, with number and market time of the last event.
pub(crate) type Rows<'py> = (Bound<'py, PyList>, u64, i64);

/// In order, except that levels of books come last, each as it is in the end.
pub(crate) fn rows<'py>(py: Python<'py>, events: &EventLog) -> PyResult<Rows<'py>> {
    let mut rows = Vec::with_capacity(events.len());
    let mut levels = Levels::default();
    let (mut last_sequence, mut last_ms) = (0, 0);
    for event in events {
        (last_sequence, last_ms) = (event.sequence, event.market_ms);
        let event = Event::from(event);
        match level(&event) {
            Some(level) => levels.put(level),
            None => rows.push(row(py, &event, || event.clone().into_pyobject(py))?),
        }
    }
    for level in levels.rows.into_iter().flatten() {
        rows.push(level.into_pyobject(py)?);
    }
    Ok((PyList::new(py, rows)?, last_sequence, last_ms))
}

/// The row of one event, of which `object` makes the object where a row has it.
pub(crate) fn row<'py>(
    py: Python<'py>,
    event: &Event,
    object: impl FnOnce() -> PyResult<Bound<'py, Event>>,
) -> PyResult<Bound<'py, PyTuple>> {
    match *event {
        Event::OrderAccepted { account, instrument, order_id, ref link_id, price, qty, wall_us, .. } => {
            (ACCEPTED, object()?, account, instrument, order_id, *link_id, price, qty, wall_us)
                .into_pyobject(py)
        }
        Event::OrderCancelled { account, instrument, order_id, reason, counterparty, wall_us, .. } => {
            (CANCELLED, account, instrument, order_id, reason, counterparty, wall_us).into_pyobject(py)
        }
        Event::Trade { trade_id, instrument, price, qty, taker_side, sequence, market_ms, wall_us } => {
            let (taker_buys, wall_ms) = (taker_side == Side::Buy, wall_us.div_euclid(1000));
            (TRADE, instrument, trade_id, price, qty, taker_buys, market_ms, wall_ms, sequence)
                .into_pyobject(py)
        }
        Event::Fill {
            account,
            instrument,
            order_id,
            position_index,
            qty,
            price,
            fee,
            leaves,
            closed_qty,
            realised_pnl,
            ..
        } => {
            let (event, place) = (object()?, position_index as u8);
            (
                FILL,
                event,
                account,
                instrument,
                order_id,
                place,
                qty,
                price,
                fee,
                leaves,
                closed_qty,
                realised_pnl,
            )
                .into_pyobject(py)
        }
        Event::PositionChanged {
            account,
            instrument,
            position_index,
            qty,
            entry_price,
            sequence,
            wall_us,
            ..
        } => {
            let place = position_index as u8;
            (POSITION, account, instrument, place, qty, entry_price, wall_us, sequence).into_pyobject(py)
        }
        Event::WalletChanged { account, reason, .. } if is_of_trading(reason) => {
            (WALLET, object()?, account).into_pyobject(py)
        }
        _ => match level(event) {
            Some(level) => level.into_pyobject(py),
            None => (OTHER, object()?).into_pyobject(py),
        },
    }
}

/// Whether a fill came before, of which the movement is a part.
fn is_of_trading(reason: WalletReason) -> bool {
    use WalletReason::{Adl, Delivery, Netting, TakeOver, Trade};
    matches!(reason, Trade | TakeOver | Adl | Netting | Delivery)
}

type Level = (u8, u16, bool, i64, i64, u64, i64);

fn level(event: &Event) -> Option<Level> {
    let Event::BookChanged { instrument, side, price, qty, sequence, wall_us, .. } = *event else {
        return None;
    };
    Some((LEVEL, instrument, side == Side::Buy, price, qty, sequence, wall_us.div_euclid(1000)))
}

/// The levels of books that changed, each once, in the order of their last change.
#[derive(Default)]
struct Levels {
    places: HashMap<(u16, bool, i64), usize>,
    rows: Vec<Option<Level>>,
}

impl Levels {
    fn put(&mut self, level: Level) {
        let (_, instrument, is_bid, price, ..) = level;
        if let Some(before) = self.places.insert((instrument, is_bid, price), self.rows.len()) {
            self.rows[before] = None;
        }
        self.rows.push(Some(level));
    }
}
