//! What happened, and its fixed-size record. Events are past tense; nobody can refuse them.
//!
//! Order of the events of one command: the order's acceptance or change; then per trade `Trade`, the taker's and then the
//! maker's `Fill`, `PositionChanged`, `WalletChanged`, and the level left behind (`BookChanged`); then what became of the
//! order's remainder; then prices; then liquidations. Fees credited to the venue's fee account make no event of their own.
//! Amounts beyond the boundary's 64 bits (about 92 billion) are shown saturated; the state stays exact.
//! Record, 128 bytes, little-endian, zero-padded: kind (1), sequence, `market_ms`, `wall_us` (8 each), then the variant's fields as
//! declared (flags and enums 1 byte, instrument 2, account 4, link id 1 + 36, everything else 8).
use crate::event_field::{events, shape, Field, Packer};
use crate::event_log::{words, Fields, Packed, Sink, CODE_BITS, HEAD_BITS};
use crate::event_market::with_market_events;
use crate::event_order::with_order_events;
use crate::kyc::AccountLevel;
use crate::lending::Strain;
use crate::mark::MarkSource;
use crate::record::{DecodeError, Reader, Writer};
use crate::terms::{CreateType, SelfMatch, StopKind, TpSlMode, TriggerBy, TriggerDirection};
use crate::types::{
    AccountId, CancelReason, CoinId, FillKind, InstrumentId, InstrumentStatus, LinkId, MarginMode, Money,
    OrderId, OrderType, PoolId, PositionIndex, PositionMode, Price, Qty, Rate, RepayReason, Side,
    TimeInForce, TradeId, Wallet, WalletReason,
};

/// Size of an event record.
pub const EVENT_BYTES: usize = 128;

/// An event with its number and the clocks of the command that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counted from 1 over the exchange's life, without gaps.
    pub sequence: u64,
    /// Market time in milliseconds.
    pub market_ms: i64,
    /// Wall time in microseconds.
    pub wall_us: i64,
    /// What happened.
    pub kind: EventKind,
}

with_order_events! {
    /// An account was opened.
    AccountCreated = 1 {
        /// Account.
        account: AccountId,
    }
    /// Money came in.
    Deposited = 2 {
        /// Account.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
        /// Wallet afterwards.
        balance: Money,
    }
    /// Money went out.
    Withdrawn = 3 {
        /// Account.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
        /// Wallet afterwards.
        balance: Money,
    }
    /// Leverage was set.
    LeverageChanged = 4 {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Hundredths.
        leverage: i64,
    }
    /// An order was accepted; what follows tells whether it filled, rested or was cancelled.
    OrderAccepted = 5 {
        /// Order.
        order_id: OrderId,
        /// Owner.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions it is for.
        position_index: PositionIndex,
        /// Side.
        side: Side,
        /// Limit or market.
        order_type: OrderType,
        /// How long it lives.
        time_in_force: TimeInForce,
        /// Limit actually applied: moved to the price band where it lay beyond.
        price: Price,
        /// Quantity; a reduce-only order's is cut to the position.
        qty: Qty,
        /// Never grows a position.
        reduce_only: bool,
        /// Client's identifier.
        link_id: LinkId,
        /// Who made it, and why.
        create_type: CreateType,
    }
    /// A resting order changed.
    OrderAmended = 6 {
        /// Order.
        order_id: OrderId,
        /// Owner.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Price now.
        price: Price,
        /// Total quantity now, filled part included.
        qty: Qty,
        /// Unfilled quantity now.
        leaves: Qty,
    }
    /// An order ended without being filled whole.
    OrderCancelled = 7 {
        /// Order.
        order_id: OrderId,
        /// Owner.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// What was unfilled.
        leaves: Qty,
        /// Why.
        reason: CancelReason,
        /// The order it would have met, where self-match prevention cancelled it; 0 otherwise.
        counterparty: OrderId,
    }
    /// Two orders met.
    Trade = 8 {
        /// Trade.
        trade_id: TradeId,
        /// Instrument.
        instrument: InstrumentId,
        /// Price.
        price: Price,
        /// Quantity.
        qty: Qty,
        /// Side of the order that came in.
        taker_side: Side,
    }
    /// One side of a trade, a take-over or a deleveraging.
    Fill = 9 {
        /// Trade.
        trade_id: TradeId,
        /// Order; 0 for take-over and deleveraging.
        order_id: OrderId,
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions.
        position_index: PositionIndex,
        /// Side of this account.
        side: Side,
        /// Price; rounded to the boundary's unit for take-over and deleveraging.
        price: Price,
        /// Quantity.
        qty: Qty,
        /// Fee paid.
        fee: Money,
        /// Rested in the book.
        is_maker: bool,
        /// What the order still wants.
        leaves: Qty,
        /// Part of the quantity that closed a position.
        closed_qty: Qty,
        /// Profit realised, before fees.
        realised_pnl: Money,
        /// Signed position afterwards.
        position_qty: Qty,
        /// How it came about.
        kind: FillKind,
    }
    /// A position changed.
    PositionChanged = 10 {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions.
        position_index: PositionIndex,
        /// Signed quantity.
        qty: Qty,
        /// Average entry price, rounded half up; 0 when flat.
        entry_price: Price,
        /// Realised in this instrument so far, less fees.
        realised_pnl: Money,
    }
    /// A wallet changed.
    WalletChanged = 11 {
        /// Account.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// Afterwards.
        balance: Money,
        /// By how much.
        change: Money,
        /// Why.
        reason: WalletReason,
    }
    /// A price level changed.
    BookChanged = 12 {
        /// Instrument.
        instrument: InstrumentId,
        /// Side of the book.
        side: Side,
        /// Price.
        price: Price,
        /// Quantity now at this price; 0 when the level is gone.
        qty: Qty,
    }
    /// Index or mark price changed.
    PriceChanged = 13 {
        /// Instrument.
        instrument: InstrumentId,
        /// Index price.
        index: Price,
        /// Mark price.
        mark: Price,
    }
    /// An account's maintenance margin is no longer covered.
    LiquidationStarted = 14 {
        /// Account.
        account: AccountId,
        /// Margin balance.
        margin_balance: Money,
        /// Maintenance margin.
        maintenance_margin: Money,
    }
    /// The venue took a position over.
    TakenOver = 15 {
        /// Whose it was.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions.
        position_index: PositionIndex,
        /// Signed quantity.
        qty: Qty,
        /// Price at which the account's equity is zero, rounded half up.
        bankruptcy_price: Price,
    }
    /// An insurance pool changed.
    InsuranceFundChanged = 16 {
        /// Which.
        pool: PoolId,
        /// Afterwards.
        balance: Money,
        /// By how much.
        change: Money,
    }
    /// A position was closed by auto-deleveraging.
    Deleveraged = 17 {
        /// Whose it was.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions.
        position_index: PositionIndex,
        /// Signed quantity that was closed.
        qty: Qty,
        /// Price.
        price: Price,
        /// Place in the queue when the closing began; 1 is the first.
        place: i64,
    }
    /// The position mode of an account in an instrument changed.
    PositionModeChanged = 100 {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// The mode.
        mode: PositionMode,
    }
    /// The leverage of both sides was set.
    SideLeverageChanged = 101 {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Of the long side, in hundredths.
        buy: i64,
        /// Of the short side, in hundredths.
        sell: i64,
    }
    /// What backs an account's positions changed.
    MarginModeChanged = 102 {
        /// Account.
        account: AccountId,
        /// The mode.
        mode: MarginMode,
    }
    /// Margin was added to an isolated position, or taken back.
    MarginAdded = 103 {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions.
        position_index: PositionIndex,
        /// How much; negative when taken back.
        amount: Money,
        /// Assigned to the position afterwards.
        assigned: Money,
        /// The venue added it instead of liquidating.
        is_automatic: bool,
    }
    /// Whether margin is added to a position before it is liquidated.
    AutoAddMarginChanged = 104 {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions.
        position_index: PositionIndex,
        /// Whether it is.
        is_on: bool,
    }
    /// An instrument was opened or closed for orders.
    StatusChanged = 105 {
        /// Instrument.
        instrument: InstrumentId,
        /// Which orders are let in.
        status: InstrumentStatus,
    }
    /// A contract was delivered; every position follows as a fill.
    Delivered = 106 {
        /// Instrument.
        instrument: InstrumentId,
        /// Delivery price.
        price: Price,
        /// Market time of its delivery.
        at_ms: i64,
    }
    /// A coin's price in USD changed.
    CoinPriceChanged = 18 {
        /// Coin.
        coin: CoinId,
        /// Price.
        price: Price,
    }
    /// An insurance pool does not bear a contract's further losses: positions taken over are deleveraged.
    AdlStarted = 90 {
        /// Pool.
        pool: PoolId,
        /// Instrument.
        instrument: InstrumentId,
        /// The contract's drawdown per eight-hour maximum of the pool, in `10^-8`.
        ratio: i64,
    }
    /// The pool bears the contract's losses again.
    AdlStopped = 91 {
        /// Pool.
        pool: PoolId,
        /// Instrument.
        instrument: InstrumentId,
        /// The contract's drawdown per eight-hour maximum of the pool, in `10^-8`.
        ratio: i64,
    }
    /// What an account owes of a coin changed: by hand, from nothing, or to nothing.
    BorrowChanged = 60 {
        /// Account.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// Owed now.
        borrowed: Money,
        /// What of it was lent as cash.
        spot: Money,
    }
    /// Interest was taken.
    InterestCharged = 61 {
        /// Account.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// Owed when it was taken.
        borrowed: Money,
        /// What of it costs nothing.
        free: Money,
        /// Rate of one hour, penalty included.
        rate: Rate,
        /// For how many hours.
        hours: i64,
        /// How much.
        interest: Money,
    }
    /// A loan, or part of it, was repaid.
    Repaid = 62 {
        /// Account.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
        /// Still owed.
        left: Money,
        /// Why.
        reason: RepayReason,
    }
    /// A coin was sold to repay another.
    Converted = 63 {
        /// Account.
        account: AccountId,
        /// What was sold.
        sold_coin: CoinId,
        /// How much of it, fee included.
        sold: Money,
        /// Fee, in the coin sold.
        fee: Money,
        /// What was bought.
        coin: CoinId,
        /// How much of it.
        bought: Money,
        /// Price in USD of what was sold.
        price: Price,
    }
    /// A lending pool changed.
    LendingPoolChanged = 64 {
        /// Coin.
        coin: CoinId,
        /// What suppliers own.
        assets: Money,
        /// What is owed to it.
        loans: Money,
        /// Loans per assets, in `10^-8`.
        utilisation: i64,
        /// What borrowers pay in an hour.
        borrow_rate: Rate,
        /// What suppliers earn in an hour.
        supply_rate: Rate,
        /// Worth of a share, in `10^-12`.
        index: i64,
        /// Where on its ladder it stands.
        strain: Strain,
    }
    /// Money was lent to a pool.
    Supplied = 65 {
        /// Account.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
        /// Worth of the account's shares now.
        supplied: Money,
    }
    /// Money was taken back from a pool.
    Redeemed = 66 {
        /// Account.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
        /// Worth of the account's shares now.
        supplied: Money,
    }
    /// Money moved between wallets.
    Transferred = 67 {
        /// From whom.
        source: AccountId,
        /// To whom.
        target: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
        /// Out of which wallet.
        from_wallet: Wallet,
        /// Into which wallet.
        to_wallet: Wallet,
    }
    /// A coin became collateral or ceased to be.
    CollateralChanged = 68 {
        /// Whose; 0 is everybody's.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// It is now.
        enabled: bool,
    }
    /// An account's level was set.
    AccountLevelChanged = 69 {
        /// Account.
        account: AccountId,
        /// Level.
        level: AccountLevel,
    }
    /// Automatic repayment was switched.
    AutoRepayChanged = 70 {
        /// Account.
        account: AccountId,
        /// On now.
        enabled: bool,
    }
    /// An account was opened under another.
    SubAccountCreated = 71 {
        /// The new account.
        account: AccountId,
        /// Its main account.
        main: AccountId,
    }
    /// An isolated position's maintenance margin is no longer covered.
    PositionLiquidationStarted = 92 {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions.
        position_index: PositionIndex,
        /// Assigned margin and profit at the mark.
        margin: Money,
        /// Maintenance margin.
        maintenance_margin: Money,
    }
}

impl Event {
    /// The event as a record.
    pub fn encode(&self) -> [u8; EVENT_BYTES] {
        let mut writer = Writer::new();
        writer.u8(self.kind.code()).u64(self.sequence).i64(self.market_ms).i64(self.wall_us);
        self.kind.put(&mut writer);
        writer.finish()
    }

    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() != EVENT_BYTES {
            return Err(DecodeError::Length);
        }
        let mut reader = Reader::new(bytes);
        let code = reader.u8()?;
        let (sequence, market_ms, wall_us) = (reader.u64()?, reader.i64()?, reader.i64()?);
        let kind = EventKind::take(code, &mut reader)?;
        reader.end()?;
        Ok(Self { sequence, market_ms, wall_us, kind })
    }
}
