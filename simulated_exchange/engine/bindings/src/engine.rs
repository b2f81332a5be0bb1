//! The `Engine` class: commands and queries as typed calls, batches, commits.
//!
//! Two things may happen at once: one command or query, and one commit. Commands take the machine's lock;
//! commits do not, so a thread that waits for the disk holds nobody up.

#![expect(clippy::too_many_arguments, reason = "an order has as many fields, and Python names them all")]

use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use exchange_core::{
    AccountId, Action, COMMAND_BYTES, Command, EventLog, Exchange, InstrumentId, Money, NewOrder, Price, Qty,
};
use exchange_journal::{Durability, Journal, SnapshotWriter};
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use crate::arguments::{self, Argument};
use crate::committer::Committer;
use crate::errors;
use crate::machine::{Failure, Machine};
use crate::outcome::{BatchOutcome, Outcome};
use crate::replay::Replay;
use crate::restart::{Recovery, SnapshotDraft};
use crate::terms::Terms;
use crate::views::{
    AccountView, CoinView, Conservation, InstrumentView, OrderView, PositionView, PriceView, Verification,
};
use crate::words::{OrderType, PositionIndex, Side, TimeInForce};

/// Largest batch, in records.
const BATCH_RECORDS_MAX: usize = 1 << 22;

type Levels = Vec<(i64, i64)>;

thread_local! {
    /// The buffer of a command's events, used again from command to command; empty in between.
    static EVENTS: Cell<EventLog> = Cell::default();
}

/// The exchange behind its journal.
#[pyclass(frozen, module = "simulated_exchange._engine")]
pub struct Engine {
    machine: Mutex<Machine>,
    journal: Option<Arc<Journal>>,
    snapshots: Arc<Mutex<SnapshotWriter>>,
}

#[pymethods]
impl Engine {
    /// A new exchange; with a path, also its journal, which must not exist.
    #[staticmethod]
    fn create(
        py: Python<'_>,
        genesis_json: &str,
        journal_path: Option<&str>,
        durability: &str,
    ) -> PyResult<Self> {
        let durability = parse_durability(durability)?;
        let path = journal_path.map(Path::new);
        let journal = path.map(|path| (path, durability));
        let (machine, journal) =
            py.detach(|| Machine::create(genesis_json, journal)).map_err(to_exception)?;
        Ok(Self::new(machine, journal, path.unwrap_or(Path::new("")), None))
    }

    /// The exchange as its journal left it, ready for the next command.
    #[staticmethod]
    fn recover(py: Python<'_>, journal_path: &str, durability: &str) -> PyResult<(Self, Recovery)> {
        let (path, durability) = (Path::new(journal_path), parse_durability(durability)?);
        let recovered = py.detach(|| Machine::recover(path, durability));
        let (machine, journal, replayed, start) = recovered.map_err(to_exception)?;
        let newest = Some(start.commands).filter(|commands| *commands > 0);
        let recovery = Recovery::new(replayed, start);
        Ok((Self::new(machine, Some(journal), path, newest), recovery))
    }

    /// Replays a journal and recomputes every invariant after every command; changes and locks nothing.
    #[staticmethod]
    #[pyo3(signature = (journal_path, *, progress=None))]
    fn verify(
        py: Python<'_>,
        journal_path: &str,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Verification> {
        let progress = progress.map(Bound::unbind);
        let mut raised = None;
        let mut tell = |commands: u64, done: u64, all: u64| {
            Python::attach(|py| {
                py.check_signals()?;
                progress.as_ref().map(|told| told.call1(py, (commands, done, all))).transpose()
            })
            .map(drop)
            .map_err(|error: PyErr| {
                raised = Some(error);
                Failure::Stopped
            })
        };
        let verified = py.detach(|| {
            let (mut machine, replayed) = Machine::verify(Path::new(journal_path), &mut tell)?;
            Ok((machine.ask(Exchange::conservation)?, replayed))
        });
        if let Some(error) = raised {
            return Err(error);
        }
        let (conservation, replayed) = verified.map_err(to_exception)?;
        Ok(Verification {
            commands: replayed.commands,
            truncated_bytes: replayed.torn_bytes,
            state_hash: hex(replayed.state_hash),
            genesis_json: replayed.genesis_json,
            conservation_delta: conservation.worst_delta(),
        })
    }

    /// A journal told again, batch by batch; changes and locks nothing.
    #[staticmethod]
    #[pyo3(signature = (journal_path, *, snapshot_commands=0))]
    fn replay(py: Python<'_>, journal_path: &str, snapshot_commands: u64) -> PyResult<Replay> {
        py.detach(|| Replay::open(Path::new(journal_path), snapshot_commands)).map_err(to_exception)
    }

    /// Opens an account; numbers from 1000 on are for users.
    fn create_account(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let account = arguments::account(account)?;
        self.apply(py, market_ms, wall_us, Action::CreateAccount { account })
    }

    /// Puts money into a wallet.
    fn deposit(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        amount: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let (account, coin) = (arguments::account(account)?, arguments::coin(coin)?);
        let amount = Money(arguments::signed("amount", amount)?);
        self.apply(py, market_ms, wall_us, Action::Deposit { account, coin, amount })
    }

    /// Takes money out of a wallet, no more than is available.
    fn withdraw(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        amount: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let (account, coin) = (arguments::account(account)?, arguments::coin(coin)?);
        let amount = Money(arguments::signed("amount", amount)?);
        self.apply(py, market_ms, wall_us, Action::Withdraw { account, coin, amount })
    }

    /// Places an order.
    #[pyo3(signature = (market_ms, wall_us, account, instrument, side, order_type, time_in_force, qty, price, reduce_only, link_id, position_index=PositionIndex::OneWay, terms=None))]
    fn place_order(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        side: Side,
        order_type: OrderType,
        time_in_force: TimeInForce,
        qty: Argument<'_, '_>,
        price: Argument<'_, '_>,
        reduce_only: bool,
        link_id: &str,
        position_index: PositionIndex,
        terms: Option<Terms>,
    ) -> PyResult<Outcome> {
        let order = NewOrder {
            account: arguments::account(account)?,
            instrument: arguments::instrument(instrument)?,
            position_index: position_index.into(),
            side: side.into(),
            order_type: order_type.into(),
            time_in_force: time_in_force.into(),
            qty: Qty(arguments::signed("qty", qty)?),
            price: Price(arguments::signed("price", price)?),
            reduce_only,
            link_id: arguments::link_id(link_id)?,
            terms: terms.map_or(exchange_core::Terms::NONE, |terms| terms.0),
        };
        self.apply(py, market_ms, wall_us, Action::PlaceOrder(order))
    }

    /// Changes a resting order's price, its total quantity, or both; None keeps.
    #[pyo3(signature = (market_ms, wall_us, account, order_id, price, qty))]
    fn amend_order(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        order_id: Argument<'_, '_>,
        price: Option<Argument<'_, '_>>,
        qty: Option<Argument<'_, '_>>,
    ) -> PyResult<Outcome> {
        let action = Action::AmendOrder {
            account: arguments::account(account)?,
            order_id: arguments::order_id(order_id)?,
            price: arguments::optional("price", price)?.map(Price),
            qty: arguments::optional("qty", qty)?.map(Qty),
        };
        self.apply(py, market_ms, wall_us, action)
    }

    /// Cancels an order.
    #[pyo3(signature = (market_ms, wall_us, account, order_id))]
    fn cancel_order(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        order_id: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let action = Action::CancelOrder {
            account: arguments::account(account)?,
            order_id: arguments::order_id(order_id)?,
        };
        self.apply(py, market_ms, wall_us, action)
    }

    /// Cancels an account's orders in one instrument, or everywhere with None.
    #[pyo3(signature = (market_ms, wall_us, *, account, instrument))]
    fn cancel_all(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        instrument: Option<Argument<'_, '_>>,
    ) -> PyResult<Outcome> {
        let action = Action::CancelAll {
            account: arguments::account(account)?,
            instrument: instrument.map(arguments::instrument).transpose()?,
        };
        self.apply(py, market_ms, wall_us, action)
    }

    /// Sets an account's leverage in an instrument, in hundredths.
    #[pyo3(signature = (market_ms, wall_us, *, account, instrument, leverage))]
    fn set_leverage(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        leverage: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let action = Action::SetLeverage {
            account: arguments::account(account)?,
            instrument: arguments::instrument(instrument)?,
            leverage: arguments::unsigned("leverage", leverage)?,
        };
        self.apply(py, market_ms, wall_us, action)
    }

    /// Updates one component of an index.
    #[pyo3(signature = (market_ms, wall_us, instrument, source, price))]
    fn set_index_source(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        source: Argument<'_, '_>,
        price: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let action = Action::SetIndexSource {
            instrument: arguments::instrument(instrument)?,
            source: arguments::unsigned("source", source)?,
            price: Price(arguments::signed("price", price)?),
        };
        self.apply(py, market_ms, wall_us, action)
    }

    /// Reports the price of a coin in USD.
    #[pyo3(signature = (market_ms, wall_us, *, coin, price))]
    fn set_coin_price(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        price: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let coin = arguments::coin(coin)?;
        let price = Price(arguments::signed("price", price)?);
        self.apply(py, market_ms, wall_us, Action::SetCoinPrice { coin, price })
    }

    /// Lets market time pass: basis samples, stale index components, mark prices, liquidations.
    fn advance_time(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        self.apply(py, market_ms, wall_us, Action::AdvanceTime)
    }

    /// Applies many commands given as fixed-size records, other threads running meanwhile.
    fn apply_batch(&self, py: Python<'_>, records: &[u8]) -> PyResult<BatchOutcome> {
        let count = records.len() / COMMAND_BYTES;
        if !records.len().is_multiple_of(COMMAND_BYTES) {
            let length = records.len();
            return Err(errors::value(format!(
                "records: was {length} bytes, must be a multiple of {COMMAND_BYTES}"
            )));
        }
        if count > BATCH_RECORDS_MAX {
            return Err(errors::value(format!(
                "records: was {count} records, at most {BATCH_RECORDS_MAX} are allowed"
            )));
        }
        let batch =
            py.detach(|| self.machine.lock().unwrap_or_else(PoisonError::into_inner).apply_batch(records));
        batch.map(BatchOutcome::from).map_err(to_exception)
    }

    /// Makes every command applied before the call durable; returns the last such command's number.
    fn sync(&self, py: Python<'_>) -> PyResult<u64> {
        match &self.journal {
            Some(journal) => py.detach(|| journal.sync()).map_err(|error| errors::journal(&error)),
            None => self.ask(py, Exchange::command_count),
        }
    }

    /// A thread of its own for commits; None without a journal.
    fn committer(&self) -> PyResult<Option<Committer>> {
        Ok(self.journal.as_ref().map(Committer::start).transpose()?)
    }

    /// Copies the state for a snapshot. None without a journal.
    fn begin_snapshot(&self, py: Python<'_>) -> PyResult<Option<SnapshotDraft>> {
        let draft =
            py.detach(|| self.machine.lock().unwrap_or_else(PoisonError::into_inner).begin_snapshot());
        let draft = draft.map_err(to_exception)?;
        Ok(draft.map(|draft| SnapshotDraft::new(draft, Arc::clone(&self.snapshots))))
    }

    /// A position, also a flat one.
    #[pyo3(signature = (account, instrument, position_index=PositionIndex::OneWay))]
    fn position(
        &self,
        py: Python<'_>,
        account: Argument<'_, '_>,
        instrument: Argument<'_, '_>,
        position_index: PositionIndex,
    ) -> PyResult<PositionView> {
        let (account, instrument) = (arguments::account(account)?, arguments::instrument(instrument)?);
        let view = self.ask(py, |exchange| exchange.position(account, instrument, position_index.into()))?;
        view.map(Into::into).ok_or_else(|| unknown(account, instrument))
    }

    /// An account's positions that are not flat.
    fn positions(&self, py: Python<'_>, account: Argument<'_, '_>) -> PyResult<Vec<PositionView>> {
        let account = arguments::account(account)?;
        let views = self.ask(py, |exchange| exchange.positions(account))?;
        Ok(views.into_iter().map(Into::into).collect())
    }

    /// An account's margin figures.
    fn account(&self, py: Python<'_>, account: Argument<'_, '_>) -> PyResult<AccountView> {
        let account = arguments::account(account)?;
        let view = self.ask(py, |exchange| exchange.account(account))?;
        let missing = || format!("account: {} does not exist", account.0);
        view.map(Into::into).ok_or_else(|| PyLookupError::new_err(missing()))
    }

    /// Every account, the venue's own included, ascending.
    fn accounts(&self, py: Python<'_>) -> PyResult<Vec<u32>> {
        let accounts = self.ask(py, Exchange::accounts)?;
        Ok(accounts.into_iter().map(|account| account.0).collect())
    }

    /// The best levels as (price, quantity): bids from the highest, asks from the lowest.
    fn book(
        &self,
        py: Python<'_>,
        instrument: Argument<'_, '_>,
        levels: Argument<'_, '_>,
    ) -> PyResult<(Levels, Levels)> {
        let instrument = self.listed(py, instrument)?;
        let levels = arguments::unsigned("levels", levels)?;
        let (bids, asks) = self.ask(py, |exchange| exchange.book(instrument, levels as usize))?;
        let rows = |side: Vec<exchange_core::BookLevel>| side.iter().map(level).collect();
        Ok((rows(bids), rows(asks)))
    }

    /// Bid price, bid quantity, ask price, ask quantity; 0 where there is none.
    fn best(&self, py: Python<'_>, instrument: Argument<'_, '_>) -> PyResult<(i64, i64, i64, i64)> {
        let instrument = self.listed(py, instrument)?;
        let (bid, ask) = self.ask(py, |exchange| exchange.best(instrument))?;
        Ok((bid.price.0, bid.qty.0, ask.price.0, ask.qty.0))
    }

    /// The prices of an instrument.
    fn prices(&self, py: Python<'_>, instrument: Argument<'_, '_>) -> PyResult<PriceView> {
        let instrument = arguments::instrument(instrument)?;
        let view = self.ask(py, |exchange| exchange.prices(instrument))?;
        view.map(Into::into).ok_or_else(|| unknown_instrument(instrument))
    }

    /// A live order; None when there is none of this number.
    fn order(&self, py: Python<'_>, order_id: Argument<'_, '_>) -> PyResult<Option<OrderView>> {
        let order_id = arguments::order_id(order_id)?;
        Ok(self.ask(py, |exchange| exchange.order(order_id))?.map(Into::into))
    }

    /// The order, live or ended, that used a link id; 0 when none did.
    fn order_id_by_link(&self, py: Python<'_>, account: Argument<'_, '_>, link_id: &str) -> PyResult<u64> {
        let (account, link_id) = (arguments::account(account)?, arguments::link_id(link_id)?);
        let order_id = self.ask(py, |exchange| exchange.order_id_by_link(account, &link_id))?;
        Ok(order_id.map_or(0, |order_id| order_id.0))
    }

    /// An account's live orders, oldest first.
    #[pyo3(signature = (account, instrument))]
    fn open_orders(
        &self,
        py: Python<'_>,
        account: Argument<'_, '_>,
        instrument: Option<Argument<'_, '_>>,
    ) -> PyResult<Vec<OrderView>> {
        let account = arguments::account(account)?;
        let instrument = instrument.map(arguments::instrument).transpose()?;
        let orders = self.ask(py, |exchange| exchange.open_orders(account, instrument))?;
        Ok(orders.into_iter().map(Into::into).collect())
    }

    /// The listed contracts, by number.
    fn instruments(&self, py: Python<'_>) -> PyResult<Vec<InstrumentView>> {
        self.ask(py, |exchange| {
            let listed = (0_u16..).zip(exchange.instruments());
            listed.map(|(at, instrument)| InstrumentView::new(at, instrument)).collect()
        })
    }

    /// Names of the coins, by number.
    fn coins(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.ask(py, |exchange| exchange.listed_coins().iter().map(|coin| coin.spec.name.clone()).collect())
    }

    /// An account's coins, by coin.
    fn purses(&self, py: Python<'_>, account: Argument<'_, '_>) -> PyResult<Vec<CoinView>> {
        let account = arguments::account(account)?;
        let coins = self.ask(py, |exchange| exchange.coins(account))?;
        Ok(coins.into_iter().map(Into::into).collect())
    }

    /// The venue's books, recomputed from every account.
    fn conservation(&self, py: Python<'_>) -> PyResult<Conservation> {
        self.ask(py, Exchange::conservation).map(Into::into)
    }

    /// Recomputes every invariant from scratch.
    fn check_invariants(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.machine.lock().unwrap_or_else(PoisonError::into_inner).check())
            .map_err(to_exception)
    }

    /// Digest of the whole state: equal on every machine for equal commands.
    fn state_hash(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, Exchange::state_hash).map(hex)
    }

    /// Commands applied so far, refused ones included.
    fn command_count(&self, py: Python<'_>) -> PyResult<u64> {
        self.ask(py, Exchange::command_count)
    }

    /// Market time of the last admitted command.
    fn market_ms(&self, py: Python<'_>) -> PyResult<i64> {
        self.ask(py, Exchange::market_ms)
    }
}

impl Engine {
    fn new(machine: Machine, journal: Option<Arc<Journal>>, path: &Path, newest: Option<u64>) -> Self {
        let snapshots = Arc::new(Mutex::new(SnapshotWriter::new(path, newest)));
        Self { machine: Mutex::new(machine), journal, snapshots }
    }

    pub(crate) fn apply(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        action: Action,
    ) -> PyResult<Outcome> {
        let market_ms = arguments::signed("market_ms", market_ms)?;
        let wall_us = arguments::signed("wall_us", wall_us)?;
        let command = Command { market_ms, wall_us, action };
        let mut events = EVENTS.take();
        let applied = {
            let mut machine = self.machine.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
            machine.apply(&command, &mut events).map(|applied| (machine.command_count(), applied))
        };
        // Objects are made without the lock: making them may run a collector, and that any finaliser.
        let outcome = applied
            .map_err(to_exception)
            .and_then(|(number, applied)| Outcome::new(py, number, applied, &events));
        events.clear();
        EVENTS.set(events);
        outcome
    }

    pub(crate) fn apply_all(&self, py: Python<'_>, commands: &[Command]) -> PyResult<BatchOutcome> {
        let mut machine = self.machine.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        machine.apply_all(commands).map(BatchOutcome::from).map_err(to_exception)
    }

    pub(crate) fn ask<T>(&self, py: Python<'_>, question: impl FnOnce(&Exchange) -> T) -> PyResult<T> {
        let mut machine = self.machine.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        machine.ask(question).map_err(to_exception)
    }

    fn listed(&self, py: Python<'_>, instrument: Argument<'_, '_>) -> PyResult<exchange_core::InstrumentId> {
        let instrument = arguments::instrument(instrument)?;
        let count = self.ask(py, |exchange| exchange.instruments().len())?;
        if usize::from(instrument.0) < count { Ok(instrument) } else { Err(unknown_instrument(instrument)) }
    }
}

pub(crate) fn unknown(account: AccountId, instrument: InstrumentId) -> PyErr {
    PyLookupError::new_err(format!("account {} or instrument {} does not exist", account.0, instrument.0))
}

pub(crate) fn unknown_instrument(instrument: exchange_core::InstrumentId) -> PyErr {
    PyLookupError::new_err(format!("instrument: {} does not exist", instrument.0))
}

fn level(level: &exchange_core::BookLevel) -> (i64, i64) {
    (level.price.0, level.qty.0)
}

fn parse_durability(text: &str) -> PyResult<Durability> {
    match text {
        "fsync" => Ok(Durability::Fsync),
        "os" => Ok(Durability::Os),
        "none" => Ok(Durability::None),
        _ => Err(errors::value(format!("durability: was {text:?}, allowed are fsync, os, none"))),
    }
}

pub(crate) fn hex(digest: u128) -> String {
    format!("{digest:032x}")
}

pub(crate) fn to_exception(failure: Failure) -> PyErr {
    match failure {
        Failure::Invariant(text) => errors::invariant(text),
        Failure::Journal(error) => errors::journal(&error),
        Failure::Genesis(text) => errors::GenesisError::new_err(text),
        Failure::Record(text) => errors::value(text),
        Failure::Stopped => errors::value("stopped"),
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()
}
