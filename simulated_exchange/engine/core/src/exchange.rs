//! The exchange: its state, and `apply`, which takes one command through the numbered stages.
//!
//! The stages live in files of their own (`entry`, `amend`, `matching`, `clock`, `liquidation`, `takeover`,
//! `invariants`); this file says in which order they run and holds what they share.

use std::collections::BTreeSet;

use crate::account::Ledger;
use crate::book::Book;
use crate::command::{Action, Command};
use crate::event::{Event, EventKind};
use crate::fixed::saturate;
use crate::instrument::{validate, Genesis, GenesisError, Instrument};
use crate::margin::Margin;
use crate::mark::Market;
use crate::order::Orders;
use crate::reject::Reject;
use crate::types::{
    AccountId, InstrumentId, Money, OrderId, WalletReason, FEE_ACCOUNT, FIRST_USER_ACCOUNT,
    INSURANCE_ACCOUNT, MONEY_MAX, TAKEOVER_ACCOUNT,
};

/// Latest market time a command may carry: 2^53 ms.
pub const MARKET_MS_MAX: i64 = 1 << 53;
/// Positions of the venue's own accounts in the ledger.
pub(crate) const FEES: u32 = 0;
pub(crate) const INSURANCE: u32 = 1;
pub(crate) const TAKEOVER: u32 = 2;
/// Accounts at lower positions are the venue's own.
pub(crate) const FIRST_USER: u32 = 3;

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
#[derive(Clone, Debug)]
pub struct Exchange {
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) books: Vec<Book>,
    pub(crate) markets: Vec<Market>,
    pub(crate) orders: Orders,
    pub(crate) ledger: Ledger,
    /// Accounts (by position) whose liquidation is due.
    pub(crate) pending: BTreeSet<u32>,
    /// Accounts whose margin changed in this command.
    pub(crate) touched: Vec<u32>,
    /// Instruments in which a position was taken over in this command.
    pub(crate) taken_over: BTreeSet<usize>,
    pub(crate) last_order: u64,
    pub(crate) last_trade: u64,
    pub(crate) last_event: u64,
    pub(crate) commands: u64,
    pub(crate) market_ms: i64,
    pub(crate) wall_us: i64,
    out: Vec<Event>,
    poison: Option<Fatal>,
}

impl Exchange {
    /// An exchange with no accounts but its own.
    pub fn new(genesis: &Genesis) -> Result<Self, GenesisError> {
        let instruments = validate(genesis)?;
        let mut ledger = Ledger::new(instruments.len());
        for own in [FEE_ACCOUNT, INSURANCE_ACCOUNT, TAKEOVER_ACCOUNT] {
            ledger.open(own.0);
        }
        let fund = i128::from(genesis.insurance_fund.0);
        ledger.credit(INSURANCE, fund);
        ledger.deposits = fund;
        Ok(Self {
            books: vec![Book::default(); instruments.len()],
            markets: instruments.iter().map(|instrument| Market::new(&instrument.spec)).collect(),
            instruments,
            orders: Orders::default(),
            ledger,
            pending: BTreeSet::new(),
            touched: Vec::new(),
            taken_over: BTreeSet::new(),
            last_order: 0,
            last_trade: 0,
            last_event: 0,
            commands: 0,
            market_ms: 0,
            wall_us: 0,
            out: Vec::new(),
            poison: None,
        })
    }

    /// Applies one command and appends what happened to `events`.
    ///
    /// An error is a bug in the exchange, never a bad command: it is final, and every later call repeats it.
    pub fn apply(&mut self, command: &Command, events: &mut Vec<Event>) -> Result<Applied, Fatal> {
        if let Some(fatal) = self.poison {
            return Err(fatal);
        }
        std::mem::swap(&mut self.out, events);
        self.commands += 1;
        let applied = match self.run(command) {
            Ok(order_id) => Applied { reject: None, order_id },
            Err(reject) => Applied { reject: Some(reject), order_id: OrderId(0) },
        };
        // 8 assert invariants
        let checked = self.assert_invariants();
        // 9 emit
        std::mem::swap(&mut self.out, events);
        match checked {
            Ok(()) => Ok(applied),
            Err(invariant) => {
                let fatal = Fatal { invariant, command: self.commands };
                self.poison = Some(fatal);
                Err(fatal)
            }
        }
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
            Action::SetIndexSource { instrument, .. } => self.remark(usize::from(instrument.0)),
            Action::AdvanceTime => self.pass_time(),
            _ => {}
        }
        // 7 liquidate
        self.liquidate(matches!(command.action, Action::AdvanceTime));
        performed
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
            Action::Deposit { account, amount } => self.deposit(account, amount).map(|()| NO_ORDER),
            Action::Withdraw { account, amount } => self.withdraw(account, amount).map(|()| NO_ORDER),
            Action::SetLeverage { account, instrument, leverage } => {
                self.set_leverage(account, instrument, leverage).map(|()| NO_ORDER)
            }
            Action::SetIndexSource { instrument, source, price } => {
                self.set_index_source(instrument, source, price).map(|()| NO_ORDER)
            }
            Action::AdvanceTime => Ok(NO_ORDER),
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

    fn deposit(&mut self, account: AccountId, amount: Money) -> Result<(), Reject> {
        let target = if account == INSURANCE_ACCOUNT { INSURANCE } else { self.user(account)? };
        let change = i128::from(amount.0);
        let wallet = self.ledger.account(target).wallet;
        if amount.0 <= 0 || wallet + change > i128::from(MONEY_MAX) {
            return Err(Reject::AmountInvalid);
        }
        self.ledger.deposits += change;
        self.ledger.credit(target, change);
        let balance = self.wallet(target);
        self.emit(EventKind::Deposited { account, amount, balance });
        self.emit_wallet(target, change, WalletReason::Deposit);
        self.touch(target);
        Ok(())
    }

    /// Profit that is not realised cannot be withdrawn; loss that is not realised stays covered.
    fn withdraw(&mut self, account: AccountId, amount: Money) -> Result<(), Reject> {
        let source = self.user(account)?;
        if amount.0 <= 0 {
            return Err(Reject::AmountInvalid);
        }
        let owner = self.ledger.account(source);
        let change = i128::from(amount.0);
        if change > owner.available() - owner.margin.unrealised.max(0) {
            return Err(Reject::WithdrawTooLarge);
        }
        self.ledger.withdrawals += change;
        self.ledger.credit(source, -change);
        let balance = self.wallet(source);
        self.emit(EventKind::Withdrawn { account, amount, balance });
        self.emit_wallet(source, -change, WalletReason::Withdraw);
        self.touch(source);
        Ok(())
    }

    fn set_leverage(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        leverage: u32,
    ) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let index = self.listed(instrument)?;
        let leverage = i64::from(leverage);
        if leverage < crate::types::LEVERAGE_SCALE {
            return Err(Reject::LeverageInvalid);
        }
        let listed = &self.instruments[index];
        if leverage > listed.tiers[0].max_leverage {
            return Err(Reject::LeverageAboveTier);
        }
        let slot = self.ledger.slot_for(owner, index, listed);
        let current = self.ledger.slot(slot);
        if i64::from(current.leverage) == leverage {
            return Err(Reject::LeverageUnchanged);
        }
        let mut exposure = current.exposure(self.markets[index].mark_ticks);
        if leverage > exposure.tier(listed).max_leverage {
            return Err(Reject::LeverageAboveTier);
        }
        exposure.leverage = leverage;
        let (before, after) = (current.margin, exposure.margin(listed));
        let initial = |margin: Margin| i128::from(margin.position_initial) + i128::from(margin.order_initial);
        let more = initial(after) - initial(before);
        if more > 0 && more > self.ledger.account(owner).available() {
            return Err(Reject::InsufficientBalance);
        }
        self.ledger.slot_mut(slot).leverage = i32::try_from(leverage).unwrap_or(i32::MAX);
        self.refresh(slot);
        self.emit(EventKind::LeverageChanged { account, instrument, leverage });
        Ok(())
    }

    /// Position of a user's account.
    pub(crate) fn user(&self, account: AccountId) -> Result<u32, Reject> {
        if account.0 < FIRST_USER_ACCOUNT {
            return Err(Reject::AccountReserved);
        }
        self.ledger.find(account.0).ok_or(Reject::UnknownAccount)
    }

    /// Position of an instrument.
    pub(crate) fn listed(&self, instrument: InstrumentId) -> Result<usize, Reject> {
        let index = usize::from(instrument.0);
        (index < self.instruments.len()).then_some(index).ok_or(Reject::UnknownInstrument)
    }

    /// Recomputes a slot's margin after its position, orders, leverage or mark changed.
    #[inline]
    pub(crate) fn refresh(&mut self, slot: u32) {
        let current = self.ledger.slot(slot);
        let index = usize::from(current.instrument);
        let margin = current.exposure(self.markets[index].mark_ticks).margin(&self.instruments[index]);
        let (account, is_flat) = (current.account, current.position.lots == 0);
        self.ledger.set_margin(slot, margin);
        if !is_flat {
            self.touch(account);
        }
    }

    /// As `refresh`, where only resting orders changed: without tiers in play, nothing but their margin moves.
    #[inline]
    pub(crate) fn refresh_orders(&mut self, slot: u32) {
        let current = self.ledger.slot(slot);
        let index = usize::from(current.instrument);
        let listed = &self.instruments[index];
        if i64::from(current.leverage) > listed.leverage_everywhere {
            self.refresh(slot);
            return;
        }
        let order_initial = saturate(current.exposure(self.markets[index].mark_ticks).order_initial(listed));
        self.ledger.set_order_margin(slot, order_initial);
    }

    /// Notes that an account's margin changed, for the liquidation stage.
    #[inline]
    pub(crate) fn touch(&mut self, account: u32) {
        if account >= FIRST_USER && self.touched.last() != Some(&account) {
            self.touched.push(account);
        }
    }

    /// An account's wallet as the boundary shows it.
    pub(crate) fn wallet(&self, account: u32) -> Money {
        Money(saturate(self.ledger.account(account).wallet))
    }

    /// Appends an event with the next number and the command's clocks.
    #[inline]
    pub(crate) fn emit(&mut self, kind: EventKind) {
        self.last_event += 1;
        self.out.push(Event {
            sequence: self.last_event,
            market_ms: self.market_ms,
            wall_us: self.wall_us,
            kind,
        });
    }

    /// Emits a wallet's change, if there was one.
    pub(crate) fn emit_wallet(&mut self, account: u32, change: i128, reason: WalletReason) {
        if change != 0 {
            let balance = self.wallet(account);
            let account = AccountId(self.ledger.account(account).id);
            self.emit(EventKind::WalletChanged { account, balance, change: Money(saturate(change)), reason });
        }
    }
}
