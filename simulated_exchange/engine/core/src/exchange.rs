//! The exchange: its state, and `apply`, which takes one command through the numbered stages.
//!
//! The stages live in files of their own (`entry`, `amend`, `matching`, `clock`, `liquidation`, `takeover`,
//! `invariants`); this file says in which order they run and holds what they share.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::account::Ledger;
use crate::adl_queue::LightBoard;
use crate::book::Book;
use crate::clock::bridged;
use crate::command::{Action, Command};
use crate::event::{Event, EventKind};
use crate::event_log::{Begun, EventLog};
use crate::fixed::{div_ceil, saturate};
use crate::genesis::{validate, Genesis, GenesisError, LiquidationSpec, Pool};
use crate::instrument::Instrument;
use crate::insurance_book::InsuranceBook;
use crate::lending_book::LendingBook;
use crate::market::Market;
use crate::market_command::MarketAction;
use crate::order::Orders;
use crate::position_command::PositionAction;
use crate::profile::Profiles;
use crate::reject::Reject;
use crate::terms::OrderSettings;
use crate::triggers::Triggers;
use crate::types::{
    AccountId, CoinId, InstrumentId, Money, OrderId, PoolId, WalletReason, CONVERSION_ACCOUNT, FEE_ACCOUNT,
    FIRST_POOL_ACCOUNT, FIRST_USER_ACCOUNT, LENDING_ACCOUNT, SCALE, TAKEOVER_ACCOUNT,
};

/// Latest market time a command may carry: 2^53 ms.
pub const MARKET_MS_MAX: i64 = 1 << 53;
/// Positions of the venue's own accounts in the ledger; the insurance pools follow, then the users.
pub(crate) const FEES: u32 = 0;
pub(crate) const TAKEOVER: u32 = 1;
pub(crate) const LENDING: u32 = 2;
pub(crate) const CONVERSION: u32 = 3;
pub(crate) const FIRST_POOL: u32 = 4;

/// What became of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Why it was refused, if it was. A refused command changes nothing but the count of commands.
    pub reject: Option<Reject>,
    /// The order it placed or changed; 0 if none.
    pub order_id: OrderId,
}

/// A bug: an invariant does not hold. The exchange refuses every further command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// Which invariant.
    pub invariant: &'static str,
    /// Number of the command after which it did not hold.
    pub command: u64,
}

impl std::fmt::Display for Fatal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "invariant broken after command {}: {}", self.command, self.invariant)
    }
}

impl std::error::Error for Fatal {}

/// The exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exchange {
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) pools: Vec<Pool>,
    /// Accounts at lower positions are the venue's own.
    pub(crate) first_user: u32,
    pub(crate) books: Vec<Book>,
    pub(crate) markets: Vec<Market>,
    /// For each instrument, those whose index sources it converts.
    pub(crate) bridged: Vec<Vec<usize>>,
    pub(crate) orders: Orders,
    pub(crate) ledger: Ledger,
    /// Settings for orders of the accounts (by position) that have any.
    pub(crate) order_settings: BTreeMap<u32, OrderSettings>,
    /// Orders that wait for a price.
    pub(crate) triggers: Triggers,
    pub(crate) lending: LendingBook,
    pub(crate) profiles: Profiles,
    /// Accounts (by position) whose liquidation is due.
    pub(crate) pending: BTreeSet<u32>,
    /// Accounts whose margin changed in this command.
    pub(crate) touched: Vec<u32>,
    /// Instruments in which a position was taken over in this command.
    pub(crate) taken_over: BTreeSet<usize>,
    /// How accounts are liquidated.
    pub(crate) liquidation: LiquidationSpec,
    /// What the insurance pools gained and lost.
    pub(crate) insurance: InsuranceBook,
    #[serde(skip)]
    pub(crate) lights: LightBoard,
    pub(crate) last_order: u64,
    pub(crate) last_trade: u64,
    pub(crate) last_event: u64,
    pub(crate) commands: u64,
    pub(crate) market_ms: i64,
    pub(crate) wall_us: i64,
    /// Every command takes the long way: see [`Exchange::take_long_way`].
    #[serde(skip)]
    pub(crate) takes_long_way: bool,
    /// Events of the present command, on the long way.
    #[serde(skip)]
    pub(crate) out: EventLog,
    #[serde(skip)]
    poison: Option<Fatal>,
}

impl Exchange {
    /// An exchange with no accounts but its own.
    pub fn new(genesis: &Genesis) -> Result<Self, GenesisError> {
        let listing = validate(genesis)?;
        let instruments = listing.instruments;
        let mut ledger = Ledger::new(listing.coins, instruments.len());
        for own in [FEE_ACCOUNT, TAKEOVER_ACCOUNT, LENDING_ACCOUNT, CONVERSION_ACCOUNT] {
            ledger.open(own.0);
        }
        let mut first_user = FIRST_POOL;
        for (id, pool) in (FIRST_POOL_ACCOUNT..).zip(&listing.pools) {
            let account = ledger.open(id).unwrap_or(first_user);
            let purse = ledger.purse_for(account, pool.coin);
            let balance = i128::from(pool.spec.balance.0);
            ledger.credit(purse, balance);
            ledger.totals[usize::from(pool.coin.0)].deposits += balance;
            first_user = account + 1;
        }
        let balances = listing.pools.iter().map(|pool| i128::from(pool.spec.balance.0));
        let insurance = InsuranceBook::new(balances, instruments.len(), ledger.coins().len());
        let lending = LendingBook::new(ledger.coins().len());
        let mut exchange = Self {
            liquidation: genesis.liquidation,
            insurance,
            lights: LightBoard::default(),
            pools: listing.pools,
            first_user,
            books: vec![Book::default(); instruments.len()],
            markets: instruments.iter().map(|instrument| Market::new(&instrument.spec)).collect(),
            bridged: bridged(&instruments),
            triggers: Triggers::new(instruments.len()),
            instruments,
            orders: Orders::default(),
            ledger,
            order_settings: BTreeMap::new(),
            lending,
            profiles: Profiles::default(),
            pending: BTreeSet::new(),
            touched: Vec::new(),
            taken_over: BTreeSet::new(),
            last_order: 0,
            last_trade: 0,
            last_event: 0,
            commands: 0,
            market_ms: 0,
            wall_us: 0,
            takes_long_way: false,
            out: EventLog::new(),
            poison: None,
        };
        exchange.open_pools();
        Ok(exchange)
    }

    /// As `apply_to`, with the events as values.
    pub fn apply(&mut self, command: &Command, events: &mut Vec<Event>) -> Result<Applied, Fatal> {
        let mut log = EventLog::new();
        let applied = self.apply_to(command, &mut log);
        events.extend(&log);
        applied
    }

    /// Applies one command and appends what happened to `events`.
    ///
    /// An error is a bug in the exchange, never a bad command: it is final, and every later call repeats it.
    pub fn apply_to(&mut self, command: &Command, events: &mut EventLog) -> Result<Applied, Fatal> {
        if self.poison.is_some() {
            return self.refuse_all();
        }
        let applied = match self.apply_plain(command, events) {
            Some(order_id) => Applied { reject: None, order_id },
            None => self.apply_any(command, events),
        };
        if self.poison.is_none() {
            Ok(applied)
        } else {
            self.refuse_all()
        }
    }

    /// What every call comes to after an invariant broke. Apart, so that what became of a command is not copied on its way.
    #[cold]
    fn refuse_all(&self) -> Result<Applied, Fatal> {
        self.poison.map_or_else(|| Ok(Applied::default()), Err)
    }

    /// Takes a command the long way through the stages.
    fn apply_any(&mut self, command: &Command, events: &mut EventLog) -> Applied {
        let begun = self.begin(command, events);
        let applied = match self.run(command) {
            Ok(order_id) => Applied { reject: None, order_id },
            Err(reject) => Applied { reject: Some(reject), order_id: OrderId(0) },
        };
        let is_order = matches!(
            command.action,
            Action::PlaceOrder(_) | Action::AmendOrder { .. } | Action::CancelOrder { .. }
        );
        self.conclude(begun, is_order, events);
        applied
    }

    /// Counts a command and begins to tell it; until `conclude`, the exchange has the events.
    pub(crate) fn begin(&mut self, command: &Command, events: &mut EventLog) -> Begun {
        std::mem::swap(&mut self.out, events);
        self.commands += 1;
        self.out.begin(self.last_event + 1, command.market_ms, command.wall_us)
    }

    /// Stages 9 and 10 of a command.
    pub(crate) fn conclude(&mut self, begun: Begun, is_order: bool, events: &mut EventLog) {
        // 9 assert invariants; an order that only comes to rest, moves or leaves touches nothing that they add up
        let has_moved = std::mem::take(&mut self.ledger.has_moved);
        let checked = if is_order && !has_moved { Ok(()) } else { self.assert_invariants() };
        // 10 emit
        self.last_event += self.out.end(begun);
        std::mem::swap(&mut self.out, events);
        if let Err(invariant) = checked {
            self.poison = Some(Fatal { invariant, command: self.commands });
        }
    }

    /// Sends plain orders the same way as all others from now on: slower, with the same results. For comparing the two.
    pub fn take_long_way(&mut self) {
        self.takes_long_way = true;
    }

    fn run(&mut self, command: &Command) -> Result<OrderId, Reject> {
        // 1 admit
        if command.market_ms < self.market_ms {
            return Err(Reject::TimeBackwards);
        }
        if command.market_ms > MARKET_MS_MAX {
            return Err(Reject::TimeInvalid);
        }
        let before = (self.market_ms, self.wall_us);
        (self.market_ms, self.wall_us) = (command.market_ms, command.wall_us);
        // 2 shape and filters, 3 risk hold, 4 match, 5 settle
        let performed = self.perform(&command.action);
        if performed.is_err() {
            (self.market_ms, self.wall_us) = before;
            return performed;
        }
        // 6 re-mark
        match command.action {
            Action::SetIndexSource { instrument, .. }
            | Action::Market(MarketAction::SetMarkSource { instrument, .. }) => {
                self.remark(usize::from(instrument.0));
            }
            Action::AdvanceTime => {
                self.pass_time();
                self.run_lending();
            }
            _ => {}
        }
        self.follow_up(matches!(command.action, Action::AdvanceTime));
        performed
    }

    /// Stages 7 and 8: what a command that succeeded set off.
    pub(crate) fn follow_up(&mut self, time_passed: bool) {
        // 7 triggers
        if self.triggers.has_work() {
            self.run_triggers();
        }
        // 8 liquidate
        self.liquidate(time_passed);
        self.settle_loans(time_passed);
        if self.triggers.has_work() {
            self.attend_exits();
        }
    }

    fn perform(&mut self, action: &Action) -> Result<OrderId, Reject> {
        const NO_ORDER: OrderId = OrderId(0);
        match *action {
            Action::PlaceOrder(ref order) => self.place_order(order),
            Action::AmendOrder { account, order_id, price, qty } => {
                self.amend_order(account, order_id, price, qty)
            }
            Action::CancelOrder { account, order_id } => self.cancel_order(account, order_id),
            Action::CancelAll { account, instrument } => {
                self.cancel_all(account, instrument).map(|()| NO_ORDER)
            }
            Action::CreateAccount { account } => self.create_account(account).map(|()| NO_ORDER),
            Action::Deposit { account, coin, amount } => {
                self.deposit(account, coin, amount).map(|()| NO_ORDER)
            }
            Action::Withdraw { account, coin, amount } => {
                self.withdraw(account, coin, amount).map(|()| NO_ORDER)
            }
            Action::SetLeverage { account, instrument, leverage } => {
                self.set_leverage(account, instrument, leverage).map(|()| NO_ORDER)
            }
            Action::SetIndexSource { instrument, source, price } => {
                self.set_index_source(instrument, source, price).map(|()| NO_ORDER)
            }
            Action::SetCoinPrice { coin, price } => self.set_coin_price(coin, price).map(|()| NO_ORDER),
            Action::AdvanceTime => Ok(NO_ORDER),
            Action::Account(ref action) => self.perform_account(action).map(|()| NO_ORDER),
            Action::Market(action) => self.change_market(action).map(|()| NO_ORDER),
            Action::Position(action) => self.perform_position(action).map(|()| NO_ORDER),
            Action::Trading(action) => self.perform_trading(action),
        }
    }

    fn perform_position(&mut self, action: PositionAction) -> Result<(), Reject> {
        match action {
            PositionAction::SetPositionMode { account, scope, mode } => {
                self.set_position_mode(account, scope, mode)
            }
            PositionAction::SetSideLeverage { account, instrument, buy, sell } => {
                self.set_side_leverage(account, instrument, buy, sell)
            }
            PositionAction::SetMarginMode { account, mode } => self.set_margin_mode(account, mode),
            PositionAction::AddMargin { account, instrument, position_index, amount } => {
                self.add_margin(account, instrument, position_index, amount)
            }
            PositionAction::SetAutoAddMargin { account, instrument, position_index, is_on } => {
                self.set_auto_add_margin(account, instrument, position_index, is_on)
            }
        }
    }

    fn create_account(&mut self, account: AccountId) -> Result<(), Reject> {
        if account.0 < FIRST_USER_ACCOUNT {
            return Err(Reject::AccountReserved);
        }
        if self.ledger.find(account.0).is_some() {
            return Err(Reject::AccountExists);
        }
        self.ledger.open(account.0).ok_or(Reject::AccountReserved)?;
        self.emit(EventKind::AccountCreated { account });
        Ok(())
    }

    /// Position of a coin.
    pub(crate) fn known_coin(&self, coin: CoinId) -> Result<usize, Reject> {
        let at = usize::from(coin.0);
        (at < self.ledger.coins().len()).then_some(at).ok_or(Reject::UnknownCoin)
    }

    /// Worth of an amount of a coin in USD, rounded up.
    #[inline]
    pub(crate) fn in_usd(&self, coin: CoinId, amount: i128) -> i128 {
        if self.ledger.coins()[usize::from(coin.0)].is_par {
            return amount;
        }
        div_ceil(amount.saturating_mul(i128::from(self.ledger.coin_price(coin))), i128::from(SCALE))
    }

    /// The purse of an instrument's insurance pool.
    #[inline]
    pub(crate) fn pool_purse(&self, pool: PoolId) -> u32 {
        let coin = self.pools[usize::from(pool.0)].coin;
        self.ledger.find_purse(FIRST_POOL + u32::from(pool.0), coin).unwrap_or(0)
    }

    /// The purse that collects fees in a coin.
    #[inline]
    pub(crate) fn fee_purse(&mut self, coin: CoinId) -> u32 {
        self.ledger.purse_for(FEES, coin)
    }

    /// Position of a user's account.
    #[inline]
    pub(crate) fn user(&self, account: AccountId) -> Result<u32, Reject> {
        if account.0 < FIRST_USER_ACCOUNT {
            return Err(Reject::AccountReserved);
        }
        self.ledger.find(account.0).ok_or(Reject::UnknownAccount)
    }

    /// Position of an instrument.
    #[inline]
    pub(crate) fn listed(&self, instrument: InstrumentId) -> Result<usize, Reject> {
        let index = usize::from(instrument.0);
        (index < self.instruments.len()).then_some(index).ok_or(Reject::UnknownInstrument)
    }

    /// Recomputes a slot's margin after its position, orders, leverage or mark changed.
    #[inline]
    pub(crate) fn refresh(&mut self, slot: u32) {
        let current = self.ledger.slot(slot);
        if current.is_spot {
            self.refresh_spot(slot);
            return;
        }
        let index = usize::from(current.instrument);
        let margin = current.exposure(self.markets[index].mark_ticks).margin(&self.instruments[index]);
        let (account, is_flat) = (current.account, current.position.lots == 0);
        // figures of the venue's own accounts saturate
        let is_users = account >= self.first_user && !self.takes_long_way;
        let is_plain = is_users && self.instruments[index].is_plain && !current.is_isolated;
        if is_plain && self.ledger.owes_nothing_after(current, 0, &margin) {
            self.ledger.margin_at_par(slot, &margin);
        } else {
            self.ledger.set_margin(slot, margin);
        }
        // without a position too, what its orders would lose counts against the account's other positions
        if !is_flat || margin.order_loss > 0 {
            self.touch(account);
        }
    }

    /// As `refresh`, where only resting orders changed: without tiers in play, nothing but their margin moves.
    #[inline]
    pub(crate) fn refresh_orders(&mut self, slot: u32) {
        let current = self.ledger.slot(slot);
        let index = usize::from(current.instrument);
        let listed = &self.instruments[index];
        if i64::from(current.leverage) > listed.leverage_everywhere || current.is_spot {
            self.refresh(slot);
            return;
        }
        let initial = current.open_orders.initial(current.position.lots);
        let loss = current.open_orders.loss(self.markets[index].mark_ticks, listed);
        let account = current.account;
        if self.ledger.set_order_margin(slot, initial, loss) {
            self.touch(account);
        }
    }

    /// Notes that an account's margin changed, for the liquidation stage.
    #[inline]
    pub(crate) fn touch(&mut self, account: u32) {
        if account >= self.first_user && self.touched.last() != Some(&account) {
            self.touched.push(account);
        }
    }

    /// A purse's wallet as the boundary shows it.
    pub(crate) fn wallet(&self, purse: u32) -> Money {
        Money(saturate(self.ledger.purse(purse).wallet))
    }

    /// Appends an event with the next number and the command's clocks.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "where the kind is known, only its own fields are packed")]
    pub(crate) fn emit(&mut self, kind: EventKind) {
        self.out.tell(&kind);
    }

    /// Emits a wallet's change, if there was one.
    pub(crate) fn emit_wallet(&mut self, purse: u32, change: i128, reason: WalletReason) {
        if change != 0 {
            let (balance, held) = (self.wallet(purse), self.ledger.purse(purse));
            let (account, coin) = (AccountId(self.ledger.account(held.account).id), held.coin);
            let change = Money(saturate(change));
            self.emit(EventKind::WalletChanged { account, coin, balance, change, reason });
        }
    }
}
