//! The wire's plain orders, as the gateway takes them: read from bytes, placed in one call, answered in bytes.

use std::collections::HashMap;

use exchange_core::types::{AccountId, InstrumentId};
use exchange_core::{Action, Command, NewOrder, Price, Qty};
use exchange_wire as wire;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::arguments::{self, Argument};
use crate::engine::Engine;
use crate::outcome::BatchOutcome;
use crate::words::{OrderType, Side, TimeInForce};

type Told = (String, u16, Side, OrderType, TimeInForce, i64, i64, String);

/// Knows which symbols are contracts, by market.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct PlainReader {
    markets: HashMap<String, HashMap<String, InstrumentId>>,
}

#[pymethods]
impl PlainReader {
    /// With (category, symbol, instrument) of every contract.
    #[new]
    fn new(contracts: Vec<(String, String, u16)>) -> Self {
        let mut markets: HashMap<_, HashMap<_, _>> = HashMap::new();
        for (category, symbol, instrument) in contracts {
            markets.entry(category).or_default().insert(symbol, InstrumentId(instrument));
        }
        Self { markets }
    }

    /// The orders of a request's body; None for whatever needs a closer look.
    fn body(&self, raw: &[u8], is_batch: bool) -> Option<PlainRequest> {
        let read = if is_batch { wire::plain_batch(raw)? } else { wire::plain_order(raw)? };
        self.listed(&read, is_batch)
    }

    /// A message of the trade socket; None for whatever needs a closer look.
    fn frame(&self, message: &[u8]) -> Option<PlainRequest> {
        let read = wire::plain_frame(message)?;
        Some(PlainRequest {
            request_id: read.request_id.to_owned(),
            timestamp: read.timestamp.to_owned(),
            recv_window: read.recv_window.to_owned(),
            ..self.listed(&read.orders, read.is_batch)?
        })
    }
}

impl PlainReader {
    fn listed(&self, read: &wire::PlainOrders<'_>, is_batch: bool) -> Option<PlainRequest> {
        let symbols = self.markets.get(read.category)?;
        let mut orders = Vec::with_capacity(read.orders.len());
        for order in &read.orders {
            let instrument = *symbols.get(order.symbol)?;
            let plain =
                NewOrder::limit(AccountId(0), instrument, order.side, Qty(order.qty), Price(order.price));
            let (order_type, time_in_force, link_id) = (order.order_type, order.time_in_force, order.link_id);
            orders.push((order.symbol.to_owned(), NewOrder { order_type, time_in_force, link_id, ..plain }));
        }
        let (request_id, timestamp, recv_window) = Default::default();
        Some(PlainRequest {
            request_id,
            timestamp,
            recv_window,
            category: read.category.to_owned(),
            is_batch,
            orders,
        })
    }
}

/// A request for one new order, or for a batch of them.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct PlainRequest {
    /// On the trade socket, the client's number for it.
    #[pyo3(get)]
    request_id: String,
    /// On the trade socket, as it was written.
    #[pyo3(get)]
    timestamp: String,
    /// On the trade socket, as it was written; empty for none.
    #[pyo3(get)]
    recv_window: String,
    /// The market.
    #[pyo3(get)]
    category: String,
    /// Whether it is a batch.
    #[pyo3(get)]
    is_batch: bool,
    /// Each with its symbol, and of no account yet.
    orders: Vec<(String, NewOrder)>,
}

#[pymethods]
impl PlainRequest {
    fn __len__(&self) -> usize {
        self.orders.len()
    }

    /// Each as (symbol, instrument, side, kind, time in force, quantity, price, the client's identifier).
    fn orders(&self) -> Vec<Told> {
        let told = |(symbol, order): &(String, NewOrder)| {
            let words = (order.side.into(), order.order_type.into(), order.time_in_force.into());
            let link_id = order.link_id.as_str().to_owned();
            (
                symbol.clone(),
                order.instrument.0,
                words.0,
                words.1,
                words.2,
                order.qty.0,
                order.price.0,
                link_id,
            )
        };
        self.orders.iter().map(told).collect()
    }

    /// The body of the answer over HTTP; None when an order was refused.
    fn rest_answer<'py>(
        &self,
        py: Python<'py>,
        outcome: &BatchOutcome,
        created_ms: i64,
        now_ms: i64,
    ) -> Option<Bound<'py, PyBytes>> {
        let (result, extra) = self.result(outcome, created_ms)?;
        Some(PyBytes::new(py, wire::rest_answer(&result, &extra, now_ms).as_bytes()))
    }

    /// The frame of the answer on the trade socket; None when an order was refused. The allowance is (limit,
    /// remaining, reset).
    fn socket_answer<'py>(
        &self,
        py: Python<'py>,
        outcome: &BatchOutcome,
        created_ms: i64,
        allowance: (i64, i64, i64),
        now_ms: i64,
        connection: &str,
    ) -> Option<Bound<'py, PyBytes>> {
        let (result, extra) = self.result(outcome, created_ms)?;
        let operation = if self.is_batch { "order.create-batch" } else { "order.create" };
        let (limit, remaining, reset_ms) = allowance;
        let text = wire::socket_answer(
            (&self.request_id, operation),
            (&result, &extra),
            &wire::Allowance { limit, remaining, reset_ms },
            now_ms,
            connection,
        );
        Some(PyBytes::new(py, &wire::text_frame(text.as_bytes())))
    }
}

impl PlainRequest {
    /// Its orders as commands of an account. The clocks are market and wall.
    fn commands(
        &self,
        account: AccountId,
        (market_ms, wall_us): (i64, i64),
    ) -> impl Iterator<Item = Command> {
        self.orders.iter().map(move |(_, order)| {
            let action = Action::PlaceOrder(NewOrder { account, ..*order });
            Command { market_ms, wall_us, action }
        })
    }

    fn result(&self, outcome: &BatchOutcome, created_ms: i64) -> Option<(String, String)> {
        let mut placed = Vec::with_capacity(self.orders.len());
        for ((symbol, order), order_id) in self.orders.iter().zip(outcome.placed()?) {
            placed.push(wire::Placed { symbol, order_id, link_id: order.link_id.as_str() });
        }
        match placed.as_slice() {
            [one] if !self.is_batch => Some(wire::order_result(one)),
            all => Some(wire::batch_result(&self.category, all, created_ms)),
        }
    }
}

#[pymethods]
impl Engine {
    /// Places the orders of a request, one after the other.
    fn place_plain(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        request: &PlainRequest,
    ) -> PyResult<BatchOutcome> {
        let clocks = (arguments::signed("market_ms", market_ms)?, arguments::signed("wall_us", wall_us)?);
        let commands: Vec<Command> = request.commands(arguments::account(account)?, clocks).collect();
        self.apply_all(py, &commands)
    }

    /// Places the orders of many requests, one after the other: what became of all of them, then of each.
    fn place_plain_all(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        requests: Vec<(Bound<'_, PyAny>, PyRef<'_, PlainRequest>)>,
    ) -> PyResult<(BatchOutcome, Vec<BatchOutcome>)> {
        let clocks = (arguments::signed("market_ms", market_ms)?, arguments::signed("wall_us", wall_us)?);
        let (mut commands, mut parts) =
            (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
        for (account, request) in requests {
            let begin = commands.len();
            commands.extend(request.commands(arguments::account(&account)?, clocks));
            parts.push(begin..commands.len());
        }
        let outcome = self.apply_all(py, &commands)?;
        let parts = parts.into_iter().map(|commands| outcome.part(commands)).collect();
        Ok((outcome, parts))
    }
}

/// A signed request over HTTP that is all here.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct SignedPost {
    /// Without a query.
    #[pyo3(get)]
    path: String,
    /// Whose it says it is.
    #[pyo3(get)]
    api_key: String,
    /// As it was written.
    #[pyo3(get)]
    timestamp: String,
    /// As it was written; empty for none.
    #[pyo3(get)]
    recv_window: String,
    /// As it was written.
    #[pyo3(get)]
    signature: String,
    /// The body.
    #[pyo3(get)]
    body: Py<PyBytes>,
}

/// The signed request that the bytes are; None for whatever needs a closer look.
#[pyfunction]
fn signed_post(py: Python<'_>, data: &[u8]) -> Option<SignedPost> {
    let read = wire::signed_post(data)?;
    Some(SignedPost {
        path: read.path.to_owned(),
        api_key: read.api_key.to_owned(),
        timestamp: read.timestamp.to_owned(),
        recv_window: read.recv_window.to_owned(),
        signature: read.signature.to_owned(),
        body: PyBytes::new(py, read.body).unbind(),
    })
}

/// An answer that went well as HTTP has it. The allowance is (limit, remaining, reset).
#[pyfunction]
fn http_answer<'py>(
    py: Python<'py>,
    body: &[u8],
    date: &str,
    allowance: (i64, i64, i64),
    now_ms: i64,
    number: u64,
) -> Bound<'py, PyBytes> {
    let (limit, remaining, reset_ms) = allowance;
    let allowance = wire::Allowance { limit, remaining, reset_ms };
    PyBytes::new(py, &wire::http_answer(body, date, &allowance, now_ms, number))
}

/// The messages of frames that are whole and one message each, as (kind, payload); None when there is any other.
#[pyfunction]
fn whole_messages<'py>(py: Python<'py>, data: &[u8], most: usize) -> PyResult<Option<Bound<'py, PyList>>> {
    let messages = PyList::empty(py);
    let mut rest = data;
    while !rest.is_empty() {
        let Some(frame) = wire::whole_frame(rest, most) else { return Ok(None) };
        let payload = PyBytes::new_with(py, frame.masked.len(), |bytes| {
            frame.unmask(bytes);
            Ok(())
        })?;
        messages.append((frame.kind, payload))?;
        rest = &rest[frame.length..];
    }
    Ok(Some(messages))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(whole_messages, module)?)?;
    module.add_function(wrap_pyfunction!(signed_post, module)?)?;
    module.add_function(wrap_pyfunction!(http_answer, module)?)?;
    module.add_class::<SignedPost>()?;
    module.add_class::<PlainReader>()?;
    module.add_class::<PlainRequest>()
}
