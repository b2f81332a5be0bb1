"""The simulated exchange: a pure state machine in Rust, with its journal, behind typed calls.

Belongs here: every name of the native module, its units and its errors. Does not belong here: what the
exchange does with a command (the Rust crate `exchange-core`).

Units. Prices, quantities and money are integers of 10**-8 (`SCALE`): a price of 65000.5 USDT is
6_500_050_000_000. Rates (fees, margin rates, bands) are integers of 10**-8 as well. Leverage is an integer
of hundredths (`LEVERAGE_SCALE`): 12.5x is 1250. `market_ms` is market time in milliseconds, which never
goes backwards; `wall_us` is wall time in microseconds, which is stamped onto events and decides nothing.
Instruments are numbered by their position in the genesis; accounts of users begin at 1000.

Errors. A refused command is a value: `Outcome.reject`. Arguments of a wrong kind raise `TypeError`,
integers that do not fit `OverflowError`, values outside their alphabet `ValueError`, queries about
something unknown `LookupError`; the message or its note names the argument. A journal that fails raises
`JournalError`, a bug in the exchange `InvariantError`; after either, no command is accepted any more.
Nothing else is raised for any input.

Enumerations compare equal to their numbers and have the `name` that they are written with.

Threads. Every method may be called from any thread. Commands and queries take turns; `sync` runs beside
them.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, final

from typing_extensions import disjoint_base

from simulated_exchange._engine import rules

__all__ = [
    "COMMAND_BYTES",
    "EVENT_BYTES",
    "LEVERAGE_SCALE",
    "SCALE",
    "AccountLevel",
    "AccountView",
    "AdlAlertView",
    "AdlPlaceView",
    "BatchOutcome",
    "CancelReason",
    "CoinConservation",
    "CoinView",
    "Committer",
    "Conservation",
    "CreateType",
    "Engine",
    "EngineError",
    "Event",
    "FillKind",
    "FundingView",
    "GenesisError",
    "IndexMethod",
    "InstrumentStatus",
    "InstrumentView",
    "InvariantError",
    "JournalError",
    "LendingPoolView",
    "MarginMode",
    "MarkSource",
    "OrderSettings",
    "OrderType",
    "OrderView",
    "Outcome",
    "PlainReader",
    "PlainRequest",
    "PoolView",
    "PositionIndex",
    "PositionMode",
    "PositionView",
    "PriceView",
    "ProductClass",
    "Recovery",
    "Reject",
    "RepayReason",
    "Replay",
    "RiskLimitsView",
    "SelfMatch",
    "Side",
    "SignedPost",
    "SnapshotDraft",
    "Stage",
    "StopKind",
    "Strain",
    "Terms",
    "TimeInForce",
    "TpSlMode",
    "TriggerBy",
    "TriggerDirection",
    "Verification",
    "Wallet",
    "WalletReason",
    "http_answer",
    "rules",
    "signed_post",
    "whole_messages",
]

SCALE: Final[int]
"""Units per whole of prices, quantities, money and rates: 10**8."""
LEVERAGE_SCALE: Final[int]
"""Units per whole of leverage: 100."""
COMMAND_BYTES: Final[int]
"""Size of one command record, in bytes (see `Engine.apply_batch`)."""
EVENT_BYTES: Final[int]
"""Size of one event record, in bytes (see `BatchOutcome.records`)."""

class EngineError(Exception):
    """Base of what the engine raises of its own."""

class InvariantError(EngineError):
    """The state contradicts itself: a bug. The engine has stopped; the process should end with status 70."""

class JournalError(EngineError):
    """The journal could not be created, read, written or committed. One line that names the file."""

class GenesisError(EngineError):
    """The genesis is not usable. One line that names the field and what is allowed."""

@final
class Side:
    """Direction of an order or fill."""

    Buy: ClassVar[Side]
    Sell: ClassVar[Side]
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class PositionIndex:
    """Which of an account's positions in an instrument."""

    OneWay: ClassVar[PositionIndex]
    """The only one, in one-way mode."""
    HedgeBuy: ClassVar[PositionIndex]
    """The long one, in hedge mode."""
    HedgeSell: ClassVar[PositionIndex]
    """The short one, in hedge mode."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class PositionMode:
    """Whether an account has one position in an instrument, or two."""

    OneWay: ClassVar[PositionMode]
    """One, long or short."""
    Hedge: ClassVar[PositionMode]
    """A long and a short one side by side."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class InstrumentStatus:
    """Whether orders for an instrument are let in."""

    Trading: ClassVar[InstrumentStatus]
    """All."""
    ReduceOnly: ClassVar[InstrumentStatus]
    """Only those that reduce a position."""
    Closed: ClassVar[InstrumentStatus]
    """None any more."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class MarginMode:
    """What backs an account's positions."""

    Cross: ClassVar[MarginMode]
    """The whole account."""
    Isolated: ClassVar[MarginMode]
    """Each position its own margin."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class OrderType:
    """Kind of order."""

    Limit: ClassVar[OrderType]
    """At a price or better."""
    Market: ClassVar[OrderType]
    """At once, up to the edge of the price band."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class TimeInForce:
    """How long an order lives."""

    GoodTillCancel: ClassVar[TimeInForce]
    """Until cancelled."""
    ImmediateOrCancel: ClassVar[TimeInForce]
    """What does not fill at once is cancelled."""
    FillOrKill: ClassVar[TimeInForce]
    """Fills whole at once or not at all."""
    PostOnly: ClassVar[TimeInForce]
    """Only rests; cancelled when it would take."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class CancelReason:
    """Why an order ended without being filled whole."""

    User: ClassVar[CancelReason]
    """Asked for by its owner."""
    ImmediateOrCancel: ClassVar[CancelReason]
    """Remainder of an immediate-or-cancel or market order."""
    FillOrKill: ClassVar[CancelReason]
    """Could not fill whole at once."""
    PostOnlyWouldTake: ClassVar[CancelReason]
    """Post-only, and would have taken."""
    ReduceOnly: ClassVar[CancelReason]
    """Reduce-only, and no position left to reduce."""
    Liquidation: ClassVar[CancelReason]
    """Its account is being liquidated."""
    Adl: ClassVar[CancelReason]
    """Its account's position was deleveraged."""
    SelfMatch: ClassVar[CancelReason]
    """Self-match prevention."""
    InsufficientMargin: ClassVar[CancelReason]
    """Its account cannot bear the fill: no margin for what it would open, or a loss beyond its equity."""
    TriggerRefused: ClassVar[CancelReason]
    """A triggered order that was refused as it came in."""
    Delivery: ClassVar[CancelReason]
    """The contract was delivered."""
    TpSlCleared: ClassVar[CancelReason]
    """A take-profit, stop-loss or trailing stop whose position is gone."""
    PairTriggered: ClassVar[CancelReason]
    """A take-profit or stop-loss whose counterpart was triggered."""
    Disconnected: ClassVar[CancelReason]
    """Its owner's client was gone for longer than the disconnect window."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class FillKind:
    """How a fill came about."""

    Trade: ClassVar[FillKind]
    """In the book."""
    TakeOver: ClassVar[FillKind]
    """The venue took a position over at its bankruptcy price."""
    Adl: ClassVar[FillKind]
    """Auto-deleveraging."""
    Netting: ClassVar[FillKind]
    """A long and a short of one account closed against each other at the mark, before a liquidation."""
    Delivery: ClassVar[FillKind]
    """Closed at the delivery price."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class WalletReason:
    """Why a wallet changed."""

    Deposit: ClassVar[WalletReason]
    Withdraw: ClassVar[WalletReason]
    Trade: ClassVar[WalletReason]
    """Realised profit less fee of a fill in the book."""
    TakeOver: ClassVar[WalletReason]
    """Realised profit less fee of a take-over."""
    Adl: ClassVar[WalletReason]
    """Realised profit less fee of a deleveraging."""
    Interest: ClassVar[WalletReason]
    """Interest on a loan."""
    Borrow: ClassVar[WalletReason]
    """Cash lent by a pool."""
    Repay: ClassVar[WalletReason]
    """Cash given back to a pool."""
    Convert: ClassVar[WalletReason]
    """Sold, or bought, to repay a loan."""
    Transfer: ClassVar[WalletReason]
    """Moved between wallets."""
    WriteOff: ClassVar[WalletReason]
    """A debt that nobody could pay, taken over by an insurance pool."""
    Netting: ClassVar[WalletReason]
    """Realised profit of a long and a short closed against each other before a liquidation."""
    Funding: ClassVar[WalletReason]
    """Funding paid or received."""
    Delivery: ClassVar[WalletReason]
    """Realised profit less fee of a delivery."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class MarkSource:
    """What an instrument is marked at."""

    Dual: ClassVar[MarkSource]
    """Median of two prices made from the index and of the last traded price: the venue's own rule."""
    Last: ClassVar[MarkSource]
    """Last traded price."""
    BookMid: ClassVar[MarkSource]
    """Middle of best bid and best ask."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Wallet:
    """One of an account's two wallets of a coin."""

    Unified: ClassVar[Wallet]
    """What it trades with."""
    Funding: ClassVar[Wallet]
    """What it withdraws and lends from; no collateral."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class RepayReason:
    """Why a loan was repaid."""

    Manual: ClassVar[RepayReason]
    """Asked for."""
    Automatic: ClassVar[RepayReason]
    """The account repays by itself at every full and half hour."""
    OverLimit: ClassVar[RepayReason]
    """More was owed than the account may owe."""
    PoolStrained: ClassVar[RepayReason]
    """The pool had lent too much."""
    Liquidation: ClassVar[RepayReason]
    """The account is being liquidated."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Strain:
    """Where on its ladder a lending pool stands."""

    Calm: ClassVar[Strain]
    """Below the warning."""
    Warning: ClassVar[Strain]
    """Borrowers are warned."""
    Repaying: ClassVar[Strain]
    """Loans are repaid by force."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class AccountLevel:
    """How well the venue knows an account's owner, and how much it trades."""

    Unverified: ClassVar[AccountLevel]
    """Not at all; opens nothing."""
    Standard: ClassVar[AccountLevel]
    Advanced: ClassVar[AccountLevel]
    Business: ClassVar[AccountLevel]
    """A company."""
    Vip: ClassVar[AccountLevel]
    """VIP 1 to 3."""
    Vip4: ClassVar[AccountLevel]
    Vip5: ClassVar[AccountLevel]
    Supreme: ClassVar[AccountLevel]
    Pro: ClassVar[AccountLevel]
    """Pro 6, the highest."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class IndexMethod:
    """How the components of an index become one price."""

    Clamp: ClassVar[IndexMethod]
    """Weighted mean; what lies beyond the band around the median is moved to its edge."""
    Drop: ClassVar[IndexMethod]
    """Weighted mean; what lies beyond the band around the median does not count."""
    TwoPass: ClassVar[IndexMethod]
    """The older rule: weights by the inverse square of the distance from the weighted mean."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class SelfMatch:
    """What happens when an order would meet one of the same trader. The incoming order decides."""

    Allow: ClassVar[SelfMatch]
    """They trade."""
    CancelMaker: ClassVar[SelfMatch]
    """The resting order is cancelled."""
    CancelTaker: ClassVar[SelfMatch]
    """The incoming order is cancelled."""
    CancelBoth: ClassVar[SelfMatch]
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class TriggerBy:
    """The price that sets an order off."""

    LastPrice: ClassVar[TriggerBy]
    """Last traded price; the mark before the first trade."""
    MarkPrice: ClassVar[TriggerBy]
    IndexPrice: ClassVar[TriggerBy]
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class TriggerDirection:
    """From where the price must reach an order's trigger."""

    Either: ClassVar[TriggerDirection]
    """From wherever it stands when the order comes."""
    Rise: ClassVar[TriggerDirection]
    Fall: ClassVar[TriggerDirection]
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class StopKind:
    """What kind of order waits, or waited, for a price."""

    Plain: ClassVar[StopKind]
    """None: an order that did not wait."""
    Stop: ClassVar[StopKind]
    """A conditional order."""
    TakeProfit: ClassVar[StopKind]
    """Takes the profit of a whole position."""
    StopLoss: ClassVar[StopKind]
    """Stops the loss of a whole position."""
    PartialTakeProfit: ClassVar[StopKind]
    """Takes the profit of a part."""
    PartialStopLoss: ClassVar[StopKind]
    """Stops the loss of a part."""
    TrailingStop: ClassVar[StopKind]
    """Follows the price of a whole position."""
    SpotTpSl: ClassVar[StopKind]
    """Spot: a take-profit or stop-loss that holds what it pays with."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class CreateType:
    """Who made an order, and why."""

    User: ClassVar[CreateType]
    """Its owner."""
    Closing: ClassVar[CreateType]
    """Its owner, to close the whole position."""
    TakeProfit: ClassVar[CreateType]
    StopLoss: ClassVar[CreateType]
    PartialTakeProfit: ClassVar[CreateType]
    PartialStopLoss: ClassVar[CreateType]
    TrailingStop: ClassVar[CreateType]
    Liquidation: ClassVar[CreateType]
    """The venue, to reduce a position that is being liquidated."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class TpSlMode:
    """How much of a position its take-profit and stop-loss close."""

    Full: ClassVar[TpSlMode]
    """All of it, whatever it is then, at the market."""
    Partial: ClassVar[TpSlMode]
    """A part, at the market or at a limit; there may be several."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class ProductClass:
    """What is traded, as far as an account's settings tell it apart."""

    Contracts: ClassVar[ProductClass]
    Spot: ClassVar[ProductClass]
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Stage:
    """The stage that refused a command."""

    Admit: ClassVar[Stage]
    """Who, when and where."""
    Filter: ClassVar[Stage]
    """The command's own numbers."""
    Order: ClassVar[Stage]
    """The orders and positions it meets."""
    Risk: ClassVar[Stage]
    """Margin and limits."""
    name: Final[str]
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Reject:
    """Why a command was refused. The hundreds of its number are the stage."""

    TimeBackwards: ClassVar[Reject]
    UnknownAccount: ClassVar[Reject]
    AccountExists: ClassVar[Reject]
    AccountReserved: ClassVar[Reject]
    UnknownInstrument: ClassVar[Reject]
    UnknownSource: ClassVar[Reject]
    AmountInvalid: ClassVar[Reject]
    TimeInvalid: ClassVar[Reject]
    UnknownCoin: ClassVar[Reject]
    """No such coin."""
    AccountNotVerified: ClassVar[Reject]
    """The account's level does not open this."""
    IsSubAccount: ClassVar[Reject]
    """Only main accounts have sub-accounts and a level."""
    AccountsUnrelated: ClassVar[Reject]
    """Transfers stay within a main account and its sub-accounts."""
    QtyInvalid: ClassVar[Reject]
    QtyBelowMinimum: ClassVar[Reject]
    QtyAboveMaximum: ClassVar[Reject]
    PriceOutOfRange: ClassVar[Reject]
    BelowMinimumNotional: ClassVar[Reject]
    MarketNotReady: ClassVar[Reject]
    DuplicateLinkId: ClassVar[Reject]
    LeverageInvalid: ClassVar[Reject]
    FundingTermsInvalid: ClassVar[Reject]
    """Funding interval and caps that cannot be."""
    NotPerpetual: ClassVar[Reject]
    """Only perpetuals have funding."""
    MarkSourceFixed: ClassVar[Reject]
    """Spot is always marked at its index."""
    RiskTierInvalid: ClassVar[Reject]
    """A risk-limit tier out of turn, or beyond the bounds of a tier."""
    RiskLimitsInvalid: ClassVar[Reject]
    """Nothing to announce, a table that is none, or a time that has passed."""
    IndexPriceInvalid: ClassVar[Reject]
    CoinPriceInvalid: ClassVar[Reject]
    """A coin's price is not reported from outside, or the report is not positive and bounded."""
    SettingUnchanged: ClassVar[Reject]
    """The setting is what it was."""
    CollateralFixed: ClassVar[Reject]
    """The coin is always collateral."""
    CoinNotLent: ClassVar[Reject]
    """There is no pool to borrow the coin from, or to lend it to."""
    SameWallet: ClassVar[Reject]
    """From a wallet to itself."""
    RepaymentClosed: ClassVar[Reject]
    """Minutes 04:00 to 05:30 of each hour."""
    NotAContract: ClassVar[Reject]
    """Spot has no positions."""
    SpotTermsInvalid: ClassVar[Reject]
    """Leverage of an order, or a quantity of the quote coin, where spot does not know it."""
    InstrumentClosed: ClassVar[Reject]
    """Delivered, or about to be."""
    InstrumentReduceOnly: ClassVar[Reject]
    """The price is too low for more than reducing."""
    LeverageSidesDiffer: ClassVar[Reject]
    """In one-way mode, and in cross margin, both sides have one leverage."""
    PositionIndexMismatch: ClassVar[Reject]
    """The position index belongs to the other position mode."""
    PositionModeUnchanged: ClassVar[Reject]
    PositionModeInUse: ClassVar[Reject]
    """There are positions or orders."""
    NotIsolated: ClassVar[Reject]
    """Only positions of an account in isolated margin have margin of their own."""
    PositionMissing: ClassVar[Reject]
    """No position to give margin to."""
    MarginModeUnchanged: ClassVar[Reject]
    AutoAddMarginUnchanged: ClassVar[Reject]
    MarginModeShort: ClassVar[Reject]
    """The requirements of the margin mode would not be met."""
    MarginNotFree: ClassVar[Reject]
    """Above the initial margin, losses counted, there is not that much to take back."""
    SlippageInvalid: ClassVar[Reject]
    OrderSettingInvalid: ClassVar[Reject]
    PriceBeyondBand: ClassVar[Reject]
    PriceBeyondLiquidation: ClassVar[Reject]
    TriggerPriceInvalid: ClassVar[Reject]
    TooManyConditionalOrders: ClassVar[Reject]
    TriggerNotAbove: ClassVar[Reject]
    """The price is to rise to the trigger, and is there already."""
    TriggerNotBelow: ClassVar[Reject]
    """The price is to fall to the trigger, and is there already."""
    TakeProfitInvalid: ClassVar[Reject]
    """A take-profit or trailing stop that would not close with a gain."""
    StopLossInvalid: ClassVar[Reject]
    """A stop-loss that would not close with a loss."""
    TradingStopInvalid: ClassVar[Reject]
    """Terms of take-profit, stop-loss or trailing stop that do not go together."""
    TradingStopNoPosition: ClassVar[Reject]
    TradingStopUnchanged: ClassVar[Reject]
    TradingStopTooLarge: ClassVar[Reject]
    """Partial take-profits or stop-losses of more than the position."""
    TooManyTradingStops: ClassVar[Reject]
    """More than 20 pairs of partial take-profit and stop-loss."""
    TradingStopReduceOnly: ClassVar[Reject]
    """Take-profit or stop-loss of an order that only reduces."""
    OrderNotFound: ClassVar[Reject]
    TooManyOrders: ClassVar[Reject]
    ReduceOnlyNoPosition: ClassVar[Reject]
    ReduceOnlySameSide: ClassVar[Reject]
    AmendUnchanged: ClassVar[Reject]
    AmendBelowFilled: ClassVar[Reject]
    NothingOwed: ClassVar[Reject]
    """The account owes none of the coin."""
    NoLoansInIsolatedMode: ClassVar[Reject]
    """Loans need cross margin."""
    InsufficientBalance: ClassVar[Reject]
    LeverageAboveTier: ClassVar[Reject]
    LeverageUnchanged: ClassVar[Reject]
    PositionLimit: ClassVar[Reject]
    WithdrawTooLarge: ClassVar[Reject]
    BorrowLimit: ClassVar[Reject]
    """More than pool, account and tier allow together."""
    PoolShort: ClassVar[Reject]
    """The pool has lent out what the supplier wants back."""
    WithdrawalLimit: ClassVar[Reject]
    """More than the account's level may withdraw in a day, or a month."""
    CoinShort: ClassVar[Reject]
    """The venue itself does not have that much of the coin."""
    name: Final[str]

    code: Final[int]
    """Its number: 100s admit, 200s filters, 300s orders as they stand, 400s risk."""
    text: Final[str]
    """One line for people."""
    stage: Final[Stage]
    """The stage that refused."""
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@disjoint_base
class Event:
    """What happened. Always one of the nested classes; use `match` with keyword fields.

    Every event has `sequence` (counted from 1 over the exchange's life, without gaps), `market_ms` and
    `wall_us` (the clocks of the command that caused it). Order within one command: what became of the
    order; per fill `Trade`, the taker's and the maker's `Fill`, `PositionChanged` and `WalletChanged`; the
    levels of the book; prices; liquidations.
    """

    sequence: Final[int]
    market_ms: Final[int]
    wall_us: Final[int]

    def row(self) -> tuple[Any, ...]:
        """The event as a row for the read model: its kind, and what a fold asks for.

        0 (event,): whatever is none of the others;
        1 OrderAccepted (event, account, instrument, order_id, link_id, price, qty, wall_us);
        2 OrderCancelled (account, instrument, order_id, reason, counterparty, wall_us);
        3 Trade (instrument, trade_id, price, qty, taker buys, market_ms, wall time in ms, sequence);
        4 Fill (event, account, instrument, order_id, position index, qty, price, fee, leaves, closed_qty,
        realised_pnl);
        5 PositionChanged (account, instrument, position index, qty, entry_price, wall_us, sequence);
        6 WalletChanged by a fill (event, account);
        7 BookChanged (instrument, is a bid, price, qty, sequence, wall time in ms).
        """

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

    @final
    class AccountCreated(Event):
        """An account was opened."""

        account: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, account: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.AccountCreated: ...

    @final
    class Deposited(Event):
        """Money came in; `balance` is the wallet afterwards."""

        account: Final[int]
        coin: Final[int]
        amount: Final[int]
        balance: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            coin: int,
            amount: int,
            balance: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Deposited: ...

    @final
    class Withdrawn(Event):
        """Money went out; `balance` is the wallet afterwards."""

        account: Final[int]
        coin: Final[int]
        amount: Final[int]
        balance: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            coin: int,
            amount: int,
            balance: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Withdrawn: ...

    @final
    class LeverageChanged(Event):
        """Leverage was set, in hundredths."""

        account: Final[int]
        instrument: Final[int]
        leverage: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, account: int, instrument: int, leverage: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.LeverageChanged: ...

    @final
    class OrderAccepted(Event):
        """An order was accepted; what follows tells whether it filled, rests or was cancelled.

        `price` is the limit actually applied (moved to the price band where it lay beyond), `qty` the
        quantity (a reduce-only order's is cut to the position).
        """

        order_id: Final[int]
        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        side: Final[Side]
        order_type: Final[OrderType]
        time_in_force: Final[TimeInForce]
        price: Final[int]
        qty: Final[int]
        reduce_only: Final[bool]
        link_id: Final[str]
        create_type: Final[CreateType]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            order_id: int,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            side: Side,
            order_type: OrderType,
            time_in_force: TimeInForce,
            price: int,
            qty: int,
            reduce_only: bool,
            link_id: str,
            create_type: CreateType,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.OrderAccepted: ...

    @final
    class OrderAmended(Event):
        """A resting order changed: price, total quantity (filled part included) and unfilled quantity now."""

        order_id: Final[int]
        account: Final[int]
        instrument: Final[int]
        price: Final[int]
        qty: Final[int]
        leaves: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            order_id: int,
            account: int,
            instrument: int,
            price: int,
            qty: int,
            leaves: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.OrderAmended: ...

    @final
    class OrderCancelled(Event):
        """An order ended without being filled whole; `leaves` was unfilled.

        `counterparty` is the order it would have met, where self-match prevention cancelled it; 0 otherwise.
        """

        order_id: Final[int]
        account: Final[int]
        instrument: Final[int]
        leaves: Final[int]
        reason: Final[CancelReason]
        counterparty: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            order_id: int,
            account: int,
            instrument: int,
            leaves: int,
            reason: CancelReason,
            counterparty: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.OrderCancelled: ...

    @final
    class Trade(Event):
        """Two orders met."""

        trade_id: Final[int]
        instrument: Final[int]
        price: Final[int]
        qty: Final[int]
        taker_side: Final[Side]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            trade_id: int,
            instrument: int,
            price: int,
            qty: int,
            taker_side: Side,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Trade: ...

    @final
    class Fill(Event):
        """One side of a trade, a take-over or a deleveraging.

        `order_id` is 0 for take-over and deleveraging. `fee` was paid by this account, `leaves` is what the
        order still wants, `closed_qty` the part that closed a position, `realised_pnl` the profit of that
        part before fees, `position_qty` the signed position afterwards.
        """

        trade_id: Final[int]
        order_id: Final[int]
        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        side: Final[Side]
        price: Final[int]
        qty: Final[int]
        fee: Final[int]
        is_maker: Final[bool]
        leaves: Final[int]
        closed_qty: Final[int]
        realised_pnl: Final[int]
        position_qty: Final[int]
        kind: Final[FillKind]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            trade_id: int,
            order_id: int,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            side: Side,
            price: int,
            qty: int,
            fee: int,
            is_maker: bool,
            leaves: int,
            closed_qty: int,
            realised_pnl: int,
            position_qty: int,
            kind: FillKind,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Fill: ...

    @final
    class PositionChanged(Event):
        """A position changed: signed quantity, average entry price (0 when flat), result so far less fees."""

        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        qty: Final[int]
        entry_price: Final[int]
        realised_pnl: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            qty: int,
            entry_price: int,
            realised_pnl: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.PositionChanged: ...

    @final
    class WalletChanged(Event):
        """A wallet changed by `change` to `balance`."""

        account: Final[int]
        coin: Final[int]
        balance: Final[int]
        change: Final[int]
        reason: Final[WalletReason]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            coin: int,
            balance: int,
            change: int,
            reason: WalletReason,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.WalletChanged: ...

    @final
    class BookChanged(Event):
        """A price level changed: the quantity that now rests at the price, 0 when the level is gone."""

        instrument: Final[int]
        side: Final[Side]
        price: Final[int]
        qty: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            instrument: int,
            side: Side,
            price: int,
            qty: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.BookChanged: ...

    @final
    class PriceChanged(Event):
        """Index or mark price changed."""

        instrument: Final[int]
        index: Final[int]
        mark: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, instrument: int, index: int, mark: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.PriceChanged: ...

    @final
    class LiquidationStarted(Event):
        """An account's margin balance no longer covers its maintenance margin."""

        account: Final[int]
        margin_balance: Final[int]
        maintenance_margin: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            margin_balance: int,
            maintenance_margin: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.LiquidationStarted: ...

    @final
    class TakenOver(Event):
        """The venue took a position (signed quantity) over at the price at which the account's equity is
        zero.
        """

        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        qty: Final[int]
        bankruptcy_price: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            qty: int,
            bankruptcy_price: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.TakenOver: ...

    @final
    class InsuranceFundChanged(Event):
        """The insurance fund changed by `change` to `balance`."""

        pool: Final[int]
        balance: Final[int]
        change: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, pool: int, balance: int, change: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.InsuranceFundChanged: ...

    @final
    class Deleveraged(Event):
        """A position was closed by auto-deleveraging: the signed quantity closed, and the price."""

        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        qty: Final[int]
        price: Final[int]
        place: Final[int]
        """Place in the queue when the closing began; 1 is the first."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            qty: int,
            price: int,
            place: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Deleveraged: ...

    @final
    class CoinPriceChanged(Event):
        """A coin's price in USD changed."""

        coin: Final[int]
        price: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, coin: int, price: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.CoinPriceChanged: ...

    @final
    class OrderConditions(Event):
        """What an accepted order asks for beyond the plain, or asks for now; told only of orders that do.

        One with a `trigger_price` (0 for none) waits until it is triggered; until then it is in no book
        and holds
        no margin.
        """

        order_id: Final[int]
        account: Final[int]
        instrument: Final[int]
        kind: Final[StopKind]
        trigger_price: Final[int]
        trigger_by: Final[TriggerBy]
        trigger_direction: Final[TriggerDirection]
        close_on_trigger: Final[bool]
        trailing_stop: Final[int]
        """How far a trailing stop lets the price come back; 0 for others."""
        partner: Final[int]
        """The other one of a pair of take-profit and stop-loss; 0 for none."""
        self_match: Final[SelfMatch]
        slippage_ticks: Final[int]
        slippage_ratio: Final[int]
        tpsl_mode: Final[TpSlMode]
        take_profit: Final[int]
        """Take-profit that comes with it; 0 for none."""
        take_profit_by: Final[TriggerBy]
        take_profit_limit: Final[int]
        """0 for the market."""
        stop_loss: Final[int]
        """Stop-loss that comes with it; 0 for none."""
        stop_loss_by: Final[TriggerBy]
        stop_loss_limit: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            order_id: int,
            account: int,
            instrument: int,
            kind: StopKind,
            trigger_price: int,
            trigger_by: TriggerBy,
            trigger_direction: TriggerDirection,
            close_on_trigger: bool,
            trailing_stop: int,
            partner: int,
            self_match: SelfMatch,
            slippage_ticks: int,
            slippage_ratio: int,
            tpsl_mode: TpSlMode,
            take_profit: int,
            take_profit_by: TriggerBy,
            take_profit_limit: int,
            stop_loss: int,
            stop_loss_by: TriggerBy,
            stop_loss_limit: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.OrderConditions: ...

    @final
    class SpotConditions(Event):
        """What an accepted order of spot asks for; told, before its other conditions, only of orders that
        do.
        """

        order_id: Final[int]
        account: Final[int]
        instrument: Final[int]
        is_leveraged: Final[bool]
        """Borrows what it cannot pay."""
        spend: Final[int]
        """What a market buy is to spend, in the quote coin; 0 for one of so many of the base coin."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            order_id: int,
            account: int,
            instrument: int,
            is_leveraged: bool,
            spend: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.SpotConditions: ...

    @final
    class OrderTriggered(Event):
        """A waiting order's price was reached, by `price`. What follows tells whether it filled, rested
        or was
        cancelled.
        """

        order_id: Final[int]
        account: Final[int]
        instrument: Final[int]
        price: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            order_id: int,
            account: int,
            instrument: int,
            price: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.OrderTriggered: ...

    @final
    class TradingStopChanged(Event):
        """What ends a whole position changed; 0 for none. Each is an order of its own as well."""

        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        take_profit: Final[int]
        stop_loss: Final[int]
        trailing_stop: Final[int]
        """Distance of the trailing stop."""
        active_price: Final[int]
        """Price at which the trailing stop is armed, or was; 0 for at once."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            take_profit: int,
            stop_loss: int,
            trailing_stop: int,
            active_price: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.TradingStopChanged: ...

    @final
    class OrderSettingsChanged(Event):
        """An account's settings for its orders changed; all of them as they are now."""

        account: Final[int]
        smp_group: Final[int]
        contracts_disconnect_s: Final[int]
        spot_disconnect_s: Final[int]
        contracts_move_to_band: Final[bool]
        spot_moves_to_band: Final[bool]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            smp_group: int,
            contracts_disconnect_s: int,
            spot_disconnect_s: int,
            contracts_move_to_band: bool,
            spot_moves_to_band: bool,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.OrderSettingsChanged: ...

    @final
    class PositionModeChanged(Event):
        """The position mode of an account in an instrument changed."""

        account: Final[int]
        instrument: Final[int]
        mode: Final[PositionMode]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            mode: PositionMode,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.PositionModeChanged: ...

    @final
    class SideLeverageChanged(Event):
        """The leverage of both sides was set, in hundredths."""

        account: Final[int]
        instrument: Final[int]
        buy: Final[int]
        sell: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            buy: int,
            sell: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.SideLeverageChanged: ...

    @final
    class MarginModeChanged(Event):
        """What backs an account's positions changed."""

        account: Final[int]
        mode: Final[MarginMode]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, account: int, mode: MarginMode, sequence: int, market_ms: int, wall_us: int
        ) -> Event.MarginModeChanged: ...

    @final
    class MarginAdded(Event):
        """Margin was added to an isolated position, or (negative) taken back; `assigned` is what it has
        then.
        """

        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        amount: Final[int]
        assigned: Final[int]
        is_automatic: Final[bool]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            amount: int,
            assigned: int,
            is_automatic: bool,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.MarginAdded: ...

    @final
    class AutoAddMarginChanged(Event):
        """Whether margin is added to an isolated position before it is liquidated."""

        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        is_on: Final[bool]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            is_on: bool,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.AutoAddMarginChanged: ...

    @final
    class StatusChanged(Event):
        """An instrument was opened or closed for orders."""

        instrument: Final[int]
        status: Final[InstrumentStatus]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, instrument: int, status: InstrumentStatus, sequence: int, market_ms: int, wall_us: int
        ) -> Event.StatusChanged: ...

    @final
    class Delivered(Event):
        """A contract was delivered; every position follows as a fill. `at_ms` is the market time of its
        delivery.
        """

        instrument: Final[int]
        price: Final[int]
        at_ms: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, instrument: int, price: int, at_ms: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.Delivered: ...

    @final
    class AdlStarted(Event):
        """An insurance pool does not bear a contract's further losses: positions taken over are
        deleveraged.
        """

        pool: Final[int]
        instrument: Final[int]
        ratio: Final[int]
        """The contract's drawdown per eight-hour maximum of the pool, 10**-8."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, pool: int, instrument: int, ratio: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.AdlStarted: ...

    @final
    class AdlStopped(Event):
        """The pool bears the contract's losses again."""

        pool: Final[int]
        instrument: Final[int]
        ratio: Final[int]
        """The contract's drawdown per eight-hour maximum of the pool, 10**-8."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, pool: int, instrument: int, ratio: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.AdlStopped: ...

    @final
    class PositionLiquidationStarted(Event):
        """An isolated position's maintenance margin is no longer covered by what is assigned and its
        profit.
        """

        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        margin: Final[int]
        maintenance_margin: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            margin: int,
            maintenance_margin: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.PositionLiquidationStarted: ...

    @final
    class FundingRateChanged(Event):
        """The running estimate of a funding rate changed. Rates are of 10**-12."""

        instrument: Final[int]
        rate: Final[int]
        """What the next settlement would have with the samples so far."""
        next_ms: Final[int]
        """Market time of the next settlement."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, instrument: int, rate: int, next_ms: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.FundingRateChanged: ...

    @final
    class FundingSettled(Event):
        """Funding was settled; the payments follow."""

        instrument: Final[int]
        at_ms: Final[int]
        """Market time the settlement belongs to."""
        rate: Final[int]
        """Longs pay when it is positive; of 10**-12."""
        mark: Final[int]
        next_ms: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            instrument: int,
            at_ms: int,
            rate: int,
            mark: int,
            next_ms: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.FundingSettled: ...

    @final
    class FundingPaid(Event):
        """One position paid or received funding."""

        account: Final[int]
        instrument: Final[int]
        position_index: Final[PositionIndex]
        at_ms: Final[int]
        """Market time the settlement belongs to."""
        qty: Final[int]
        """Signed quantity of the position."""
        mark: Final[int]
        rate: Final[int]
        """Rate of the settlement; of 10**-12."""
        fee: Final[int]
        """What was paid; negative when it was received."""
        from_margin: Final[int]
        """Part of it that an isolated position's own margin bore."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            instrument: int,
            position_index: PositionIndex,
            at_ms: int,
            qty: int,
            mark: int,
            rate: int,
            fee: int,
            from_margin: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.FundingPaid: ...

    @final
    class FundingTermsChanged(Event):
        """Funding interval or caps changed; the interval holds from the next settlement on."""

        instrument: Final[int]
        interval_ms: Final[int]
        lower: Final[int]
        upper: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            instrument: int,
            interval_ms: int,
            lower: int,
            upper: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.FundingTermsChanged: ...

    @final
    class MarkSourceChanged(Event):
        """What an instrument is marked at changed."""

        instrument: Final[int]
        source: Final[MarkSource]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, instrument: int, source: MarkSource, sequence: int, market_ms: int, wall_us: int
        ) -> Event.MarkSourceChanged: ...

    @final
    class RiskLimitsAnnounced(Event):
        """New risk limits are to hold from a market time on; their tiers follow."""

        instrument: Final[int]
        effective_ms: Final[int]
        tiers: Final[int]
        """How many."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            instrument: int,
            effective_ms: int,
            tiers: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.RiskLimitsAnnounced: ...

    @final
    class RiskTierAnnounced(Event):
        """One tier of the risk limits announced."""

        instrument: Final[int]
        tier: Final[int]
        """Its number, from 1."""
        limit: Final[int]
        max_leverage: Final[int]
        maintenance_rate: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            instrument: int,
            tier: int,
            limit: int,
            max_leverage: int,
            maintenance_rate: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.RiskTierAnnounced: ...

    @final
    class RiskLimitsChanged(Event):
        """Announced risk limits hold from now on."""

        instrument: Final[int]
        tiers: Final[int]
        """How many."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls, instrument: int, tiers: int, sequence: int, market_ms: int, wall_us: int
        ) -> Event.RiskLimitsChanged: ...

    @final
    class BorrowChanged(Event):
        """What an account owes of a coin changed: by hand, from nothing, or to nothing."""

        account: Final[int]
        coin: Final[int]
        borrowed: Final[int]
        """Owed now."""
        spot: Final[int]
        """What of it was lent as cash."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            coin: int,
            borrowed: int,
            spot: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.BorrowChanged: ...

    @final
    class InterestCharged(Event):
        """Interest was taken."""

        account: Final[int]
        coin: Final[int]
        borrowed: Final[int]
        """Owed when it was taken."""
        free: Final[int]
        """What of it costs nothing."""
        rate: Final[int]
        """Rate of one hour, penalty included; 10**-12."""
        hours: Final[int]
        interest: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            coin: int,
            borrowed: int,
            free: int,
            rate: int,
            hours: int,
            interest: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.InterestCharged: ...

    @final
    class Repaid(Event):
        """A loan, or part of it, was repaid."""

        account: Final[int]
        coin: Final[int]
        amount: Final[int]
        left: Final[int]
        """Still owed."""
        reason: Final[RepayReason]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            coin: int,
            amount: int,
            left: int,
            reason: RepayReason,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Repaid: ...

    @final
    class Converted(Event):
        """A coin was sold to repay another."""

        account: Final[int]
        sold_coin: Final[int]
        sold: Final[int]
        """Fee included."""
        fee: Final[int]
        """In the coin sold."""
        coin: Final[int]
        bought: Final[int]
        price: Final[int]
        """Price in USD of what was sold."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            sold_coin: int,
            sold: int,
            fee: int,
            coin: int,
            bought: int,
            price: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Converted: ...

    @final
    class LendingPoolChanged(Event):
        """A lending pool changed; rates are of one hour, 10**-12."""

        coin: Final[int]
        assets: Final[int]
        """What suppliers own."""
        loans: Final[int]
        """What is owed to it."""
        utilisation: Final[int]
        """Loans per assets, 10**-8."""
        borrow_rate: Final[int]
        supply_rate: Final[int]
        index: Final[int]
        """Worth of a share, 10**-12."""
        strain: Final[Strain]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            coin: int,
            assets: int,
            loans: int,
            utilisation: int,
            borrow_rate: int,
            supply_rate: int,
            index: int,
            strain: Strain,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.LendingPoolChanged: ...

    @final
    class Supplied(Event):
        """Money was lent to a pool."""

        account: Final[int]
        coin: Final[int]
        amount: Final[int]
        supplied: Final[int]
        """Worth of the account's shares now."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            coin: int,
            amount: int,
            supplied: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Supplied: ...

    @final
    class Redeemed(Event):
        """Money was taken back from a pool."""

        account: Final[int]
        coin: Final[int]
        amount: Final[int]
        supplied: Final[int]
        """Worth of the account's shares now."""
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            coin: int,
            amount: int,
            supplied: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Redeemed: ...

    @final
    class Transferred(Event):
        """Money moved between wallets."""

        source: Final[int]
        target: Final[int]
        coin: Final[int]
        amount: Final[int]
        from_wallet: Final[Wallet]
        to_wallet: Final[Wallet]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            source: int,
            target: int,
            coin: int,
            amount: int,
            from_wallet: Wallet,
            to_wallet: Wallet,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.Transferred: ...

    @final
    class CollateralChanged(Event):
        """A coin became collateral or ceased to be; account 0 is everybody."""

        account: Final[int]
        coin: Final[int]
        enabled: Final[bool]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            coin: int,
            enabled: bool,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.CollateralChanged: ...

    @final
    class AccountLevelChanged(Event):
        """An account's level was set."""

        account: Final[int]
        level: Final[AccountLevel]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            level: AccountLevel,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.AccountLevelChanged: ...

    @final
    class AutoRepayChanged(Event):
        """Automatic repayment was switched."""

        account: Final[int]
        enabled: Final[bool]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            enabled: bool,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.AutoRepayChanged: ...

    @final
    class SubAccountCreated(Event):
        """An account was opened under another."""

        account: Final[int]
        main: Final[int]
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            account: int,
            main: int,
            sequence: int,
            market_ms: int,
            wall_us: int,
        ) -> Event.SubAccountCreated: ...

@final
class Outcome:
    """What became of one command."""

    command: Final[int]
    """Number of the command, from 1; its number in the journal."""
    reject: Final[Reject | None]
    """Why it was refused; None if it was not. A refused command changes nothing."""
    order_id: Final[int]
    """The order it placed or changed; 0 if none."""
    events: Final[list[Event]]
    """What happened, in order."""

@final
class BatchOutcome:
    """What became of a batch of commands."""

    first_command: Final[int]
    """Number of the batch's first command."""
    commands: Final[int]
    """Commands applied, refused ones included."""
    event_count: Final[int]
    """Events that happened."""
    def rejects(self) -> list[tuple[int, Reject]]:
        """Refused commands: position in the batch, and why."""

    def order_ids(self) -> list[int]:
        """One order identifier per command; 0 where a command placed or changed none."""

    def events(self) -> list[Event]:
        """What happened, in order, as objects; made anew by every call."""

    def rows(self) -> tuple[list[tuple[Any, ...]], int, int]:
        """What happened as rows (`Event.row`), and number and market time of the last event; 0 if nothing.

        In order, except that changed levels of books come last, each once, as it is in the end.
        """

    def records(self) -> bytes:
        """What happened, in order, as records of `EVENT_BYTES`, little-endian, zero-padded.

        kind u8 (1 AccountCreated, 2 Deposited, ... in the order of `Event`'s classes), sequence u64,
        market_ms i64, wall_us i64, then the event's fields in the order of its class: flags and
        enumerations u8, instrument u16, account u32, link_id as length u8 and 36 bytes, everything else 8
        bytes.
        """

@final
class PlainReader:
    """Reads the wire's usual requests for new orders of contracts, and only those."""

    def __new__(cls, contracts: Sequence[tuple[str, str, int]]) -> PlainReader:
        """With (category, symbol, instrument) of every contract."""

    def body(self, raw: bytes, is_batch: bool) -> PlainRequest | None:
        """The orders of a request's body; None for whatever needs a closer look."""

    def frame(self, message: bytes) -> PlainRequest | None:
        """A message of the trade socket; None for whatever needs a closer look."""

@final
class PlainRequest:
    """A request for one new order, or for a batch of them: what the gateway would read of the same bytes."""

    request_id: Final[str]
    """On the trade socket, the client's number for it."""
    timestamp: Final[str]
    """On the trade socket, as it was written."""
    recv_window: Final[str]
    """On the trade socket, as it was written; empty for none."""
    category: Final[str]
    """The market."""
    is_batch: Final[bool]
    """Whether it is a batch."""
    def __len__(self) -> int:
        """How many orders."""

    def orders(self) -> list[tuple[str, int, Side, OrderType, TimeInForce, int, int, str]]:
        """Each as (symbol, instrument, side, kind, time in force, quantity, price, client's identifier)."""

    def rest_answer(self, outcome: BatchOutcome, created_ms: int, now_ms: int) -> bytes | None:
        """The body of the answer over HTTP; None when an order was refused."""

    def socket_answer(
        self,
        outcome: BatchOutcome,
        created_ms: int,
        allowance: tuple[int, int, int],
        now_ms: int,
        connection: str,
    ) -> bytes | None:
        """The frame of the answer on the trade socket; None when an order was refused. The allowance is
        (limit, remaining, reset).
        """

@final
class SignedPost:
    """A signed request over HTTP that is all here: a POST without a query, of plain headers."""

    path: Final[str]
    """What is asked."""
    api_key: Final[str]
    """Whose it says it is."""
    timestamp: Final[str]
    """As it was written."""
    recv_window: Final[str]
    """As it was written; empty for none."""
    signature: Final[str]
    """As it was written."""
    body: Final[bytes]
    """The body."""

def signed_post(data: bytes) -> SignedPost | None:
    """The signed request that the bytes are, no more and no less; None for whatever needs a closer look."""

def http_answer(body: bytes, date: str, allowance: tuple[int, int, int], now_ms: int, number: int) -> bytes:
    """An answer that went well as HTTP has it. The allowance is (limit, remaining, reset); `number` is the
    request's.
    """

def whole_messages(data: bytes, most: int) -> list[tuple[int, bytes]] | None:
    """The messages, (kind, payload), of WebSocket frames of a client that are whole, final and of text or
    bytes, none longer than `most` or than 65,535 bytes; None when there is anything else.
    """

@final
class PositionView:
    """A position of one account in one instrument."""

    instrument: Final[int]
    position_index: Final[PositionIndex]
    qty: Final[int]
    """Signed quantity."""
    entry_price: Final[int]
    """Average entry price; 0 when flat."""
    mark_price: Final[int]
    leverage: Final[int]
    """In hundredths."""
    value: Final[int]
    """Value at the mark, unsigned."""
    initial_margin: Final[int]
    maintenance_margin: Final[int]
    unrealised_pnl: Final[int]
    """Profit at the mark."""
    realised_pnl: Final[int]
    """Realised in this instrument so far, less fees."""
    liquidation_price: Final[int]
    """Mark price at which the account would be liquidated, all else fixed; 0 when there is none."""
    bankruptcy_price: Final[int]
    """Mark price at which the account's equity would be zero, all else fixed; 0 when there is none."""
    funding_paid: Final[int]
    """Funding paid so far, less what was received."""
    take_profit: Final[int]
    """Price at which profit is taken of all of it; 0 for none."""
    stop_loss: Final[int]
    """Price at which its loss is stopped; 0 for none."""
    trailing_stop: Final[int]
    """How far its trailing stop lets the price come back; 0 for none."""
    active_price: Final[int]
    """Price at which the trailing stop is armed, or was; 0 for at once."""
    tpsl_mode: Final[TpSlMode]
    """Partial when parts of it have a take-profit or stop-loss of their own."""
    adl_rank: Final[int]
    """Lights of the deleveraging queue: 0 without a position, 5 is next in line."""
    tier: Final[int]
    """Risk-limit tier, from 1."""
    margin_mode: Final[MarginMode]
    assigned_margin: Final[int]
    """Margin assigned to an isolated position; 0 in cross margin."""
    auto_add_margin: Final[bool]
    """Margin is added to an isolated position before it is liquidated."""
    break_even_price: Final[int]
    """Price at which closing pays for the fees and what the present holding realised; 0 when there is
    none.
    """
    current_realised_pnl: Final[int]
    """Realised by the present holding, less fees; the last holding's while flat."""

@final
class AccountView:
    """An account's margin figures in USD."""

    wallet_balance: Final[int]
    """What its wallets are worth at the coins' prices, debts taken off, without haircuts."""
    equity: Final[int]
    """The same with profit at the marks."""
    margin_balance: Final[int]
    """The same after haircuts."""
    available: Final[int]
    """What new orders may use; negative when the initial margin is not covered."""
    initial_margin: Final[int]
    """Of positions, orders and loans."""
    maintenance_margin: Final[int]
    """Of positions and loans."""
    initial_rate: Final[int | None]
    """Initial margin per margin balance, 10**-8; the largest number when the balance is used up. None in
    isolated margin, which knows no account rates."""

    maintenance_rate: Final[int | None]
    """Maintenance margin per margin balance, likewise; one whole is a breach."""
    order_margin: Final[int]
    """Initial margin of orders."""
    position_margin: Final[int]
    """Initial margin of positions."""
    unrealised_pnl: Final[int]
    """Profit at the marks."""
    borrowed: Final[int]
    """What it owes."""
    main: Final[int]
    """Its main account: itself, unless it is a sub-account."""
    level: Final[AccountLevel]
    auto_repay: Final[bool]
    """It repays by selling other coins at every full and half hour."""
    withdrawal_room: Final[int]
    """What it may still withdraw today."""

@final
class CoinView:
    """One coin of an account; amounts in the coin, unless named USD."""

    coin: Final[int]
    wallet_balance: Final[int]
    """Deposits, withdrawals and realised results."""
    equity: Final[int]
    """Wallet less debt, with profit at the marks."""
    unrealised_pnl: Final[int]
    """Profit at the marks of what settles in the coin."""
    position_margin: Final[int]
    order_margin: Final[int]
    maintenance_margin: Final[int]
    isolated_margin: Final[int]
    """Margin assigned to isolated positions, part of the wallet."""
    locked: Final[int]
    """Held by spot orders, part of the wallet."""
    funding_balance: Final[int]
    """The wallet it withdraws and lends from; no collateral."""
    borrowed: Final[int]
    """Owed, however it came about."""
    spot_borrowed: Final[int]
    """What of it was lent as cash."""
    interest_due: Final[int]
    """What the next hour of interest would take if it were charged now."""
    free: Final[int]
    """Cash that nothing holds."""
    is_collateral: Final[bool]
    """The account uses it as collateral."""
    collateral_value: Final[int]
    """What its equity adds to the margin balance, in USD."""
    usd_value: Final[int]
    """Worth of the equity in USD, without haircut."""
    usd_price: Final[int]
    """Price of the coin in USD; 0 while there is none."""

@final
class LendingPoolView:
    """A coin's lending pool; amounts in the coin, rates of one hour in 10**-12."""

    coin: Final[int]
    assets: Final[int]
    """What suppliers own."""
    cash: Final[int]
    """What of it lies in the pool's wallet."""
    loans: Final[int]
    """Everything owed; more than the assets when losses outran the pool."""
    lendable: Final[int]
    """What may still be lent on demand."""
    redeemable: Final[int]
    """What suppliers could take out now."""
    utilisation: Final[int]
    """Loans per assets, 10**-8."""
    borrow_rate: Final[int]
    supply_rate: Final[int]
    index: Final[int]
    """Worth of a share, 10**-12."""
    strain: Final[Strain]

@final
class OrderView:
    """A live order."""

    order_id: Final[int]
    account: Final[int]
    instrument: Final[int]
    position_index: Final[PositionIndex]
    side: Final[Side]
    order_type: Final[OrderType]
    time_in_force: Final[TimeInForce]
    price: Final[int]
    qty: Final[int]
    """Total quantity, filled part included."""
    leaves: Final[int]
    """Unfilled quantity."""
    filled_value: Final[int]
    """Value filled so far."""
    fee: Final[int]
    """Fees paid so far."""
    reduce_only: Final[bool]
    terms: Final[Terms]
    """What it asks for beyond the plain."""
    kind: Final[StopKind]
    """What kind of order waits, or waited, for a price."""
    is_waiting: Final[bool]
    """It waits for its trigger price: it is in no book and holds no margin."""
    trailing_stop: Final[int]
    """How far a trailing stop lets the price come back; armed, its trigger price follows the best."""
    partner: Final[int]
    """The other one of a pair of take-profit and stop-loss that both wait; 0 for none."""
    link_id: Final[str]
    """The client's own identifier; empty if none."""
    created_market_ms: Final[int]
    """Market time of acceptance, in milliseconds."""
    created_wall_us: Final[int]
    """Wall time of acceptance, in microseconds."""
    updated_wall_us: Final[int]
    """Wall time of the last change, in microseconds."""

@final
class Terms:
    """What an order asks for beyond side, quantity and price.

    `slippage_ticks` (1 to 10000) or `slippage_ratio` (of the best price, in 10**-8: 0.01 % to 10 %) bounds
    how far a market order fills beyond the best price; ValueError for both at once. Spot orders may borrow
    what the account has too little of (`is_leveraged`); the quantity of a spot market buy may be what is
    spent of the quote coin (`in_quote`). With a `trigger_price` the
    order waits until the price of `trigger_by` reaches it. `close_on_trigger` only ever closes; with
    reduce-only
    and a quantity of 0 it closes the whole position. `take_profit` and `stop_loss` are put in place for
    what the order opens as it fills: of the whole position, or (`tpsl_mode`) of as much as it filled, at the
    market or at a limit.
    """

    self_match: Final[SelfMatch]
    slippage_ticks: Final[int | None]
    slippage_ratio: Final[int | None]
    is_leveraged: Final[bool]
    in_quote: Final[bool]
    trigger_price: Final[int | None]
    trigger_by: Final[TriggerBy]
    trigger_direction: Final[TriggerDirection]
    close_on_trigger: Final[bool]
    tpsl_mode: Final[TpSlMode]
    take_profit: Final[int | None]
    take_profit_by: Final[TriggerBy]
    take_profit_limit: Final[int | None]
    stop_loss: Final[int | None]
    stop_loss_by: Final[TriggerBy]
    stop_loss_limit: Final[int | None]
    holds: Final[bool]
    """A spot order waits as a take-profit or stop-loss, which holds what it pays with."""
    def __new__(
        cls,
        *,
        self_match: SelfMatch = ...,
        slippage_ticks: int | None = None,
        slippage_ratio: int | None = None,
        is_leveraged: bool = False,
        in_quote: bool = False,
        trigger_price: int | None = None,
        trigger_by: TriggerBy = ...,
        trigger_direction: TriggerDirection = ...,
        close_on_trigger: bool = False,
        tpsl_mode: TpSlMode = ...,
        take_profit: int | None = None,
        take_profit_by: TriggerBy = ...,
        take_profit_limit: int | None = None,
        stop_loss: int | None = None,
        stop_loss_by: TriggerBy = ...,
        stop_loss_limit: int | None = None,
        holds: bool = False,
    ) -> Terms: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class OrderSettings:
    """An account's settings for its orders."""

    smp_group: Final[int]
    """The group of accounts that count as one trader; 0 for none."""
    contracts_disconnect_s: Final[int]
    """Seconds after which contracts' orders of a client that is gone are to be cancelled; 0 for never."""
    spot_disconnect_s: Final[int]
    contracts_move_to_band: Final[bool]
    """Limits beyond the price band are moved to its edge; otherwise refused."""
    spot_moves_to_band: Final[bool]
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class PriceView:
    """The prices of an instrument; 0 where there is none yet."""

    index: Final[int]
    mark: Final[int]
    last: Final[int]
    """Last traded price."""
    price1: Final[int]
    """First candidate of the mark: index with the funding premium."""
    price2: Final[int]
    """Second candidate: index with the mean basis."""
    basis_mean: Final[int]
    """Mean basis over the window, signed."""
    max_buy: Final[int]
    """Highest price a buy may execute at now."""
    min_sell: Final[int]
    """Lowest price a sell may execute at now."""
    open_interest: Final[int]
    """Sum of all long positions."""
    mark_source: Final[MarkSource]
    """What the instrument is marked at."""

@final
class FundingView:
    """Funding of a perpetual. Rates are of 10**-12 (`rules.RATE_SCALE`)."""

    rate: Final[int]
    """What the next settlement would have with the samples so far."""
    settled_rate: Final[int]
    """Rate of the last settlement; 0 before the first."""
    next_ms: Final[int]
    """Market time of the next settlement; 0 before the first price."""
    period_ms: Final[int]
    """Length of the interval that ends then."""
    interval_ms: Final[int]
    """Interval in force from the next settlement on."""
    premium: Final[int]
    """Last premium sample."""
    average_premium: Final[int]
    """Mean of the interval's samples, in which the i-th counts i times."""
    samples: Final[int]
    """How many samples the interval has: one a minute."""
    lower: Final[int]
    upper: Final[int]
    """Lowest and highest rate."""

@final
class RiskLimitsView:
    """Risk limits to come."""

    effective_ms: Final[int]
    """Market time from which they hold."""
    tiers: Final[list[tuple[int, int, int]]]
    """Limit, highest leverage and maintenance rate of each tier, smallest first."""

@final
class InstrumentView:
    """A contract as listed."""

    instrument: Final[int]
    """Its number."""
    symbol: Final[str]
    """Such as BTCUSDT."""
    base: Final[str]
    quote: Final[str]
    tick_size: Final[int]
    max_price: Final[int]
    """Highest price an order may name."""
    qty_step: Final[int]
    min_qty: Final[int]
    max_qty: Final[int]
    """Largest limit order."""
    max_market_qty: Final[int]
    """Largest market order."""
    max_post_only_qty: Final[int]
    """Largest post-only order."""
    min_notional: Final[int]
    """Smallest order value; reduce-only orders are exempt."""
    taker_fee: Final[int]
    """Rate, 10**-8."""
    maker_fee: Final[int]
    """Rate, 10**-8."""
    price_band_x: Final[int]
    """Inner half-width of the price band around the mark, 10**-8."""
    price_band_y: Final[int]
    """Outer half-width, 10**-8."""
    default_leverage: Final[int]
    """Of an account that never set one, in hundredths."""
    tiers: Final[list[tuple[int, int, int]]]
    """Risk-limit tiers, smallest first: position value limit, leverage limit (hundredths), maintenance rate
    (10**-8).
    """
    index_sources: Final[list[tuple[str, int]]]
    """Components of the index: name and relative weight."""
    is_spot: Final[bool]
    """The coin itself, not a contract."""
    is_inverse: Final[bool]
    """A quantity is an amount of the quote coin, and settles in the base coin."""
    delivery_ms: Final[int]
    """Market time of delivery; 0 for what has no end."""
    settle: Final[int]
    """Number of the coin it settles in."""
    pool: Final[int]
    """Number of its insurance pool."""
    zone: Final[str]
    """Zone of listing, such as `innovation`; empty for the ordinary one."""

@final
class PoolView:
    """An insurance pool; amounts in its coin."""

    pool: Final[int]
    """Its number."""
    coin: Final[int]
    balance: Final[int]
    balance_peak: Final[int]
    """Its eight-hour maximum, sampled each market minute."""

@final
class AdlAlertView:
    """How far a contract is from deleveraging; amounts in the pool's coin, ratios in 10**-8."""

    instrument: Final[int]
    pool: Final[int]
    balance: Final[int]
    """What the pool holds."""
    balance_peak: Final[int]
    """The pool's eight-hour maximum."""
    pnl: Final[int]
    """What the contract gained for the pool, less what it cost."""
    pnl_peak: Final[int]
    """The eight-hour maximum of that."""
    open_loss: Final[int]
    """What the contract's positions taken over would lose at the mark."""
    ratio: Final[int]
    """Loss since the peak, open loss included, per maximum of the pool."""
    threshold: Final[int]
    """Pools that hold no more are not watched for drawdown."""
    trigger_ratio: Final[int]
    """Ratio at which deleveraging starts."""
    stop_ratio: Final[int]
    """Ratio above which it stops."""
    is_deleveraging: Final[bool]

@final
class AdlPlaceView:
    """A place in the queue of the deleveraging."""

    account: Final[int]
    position_index: Final[PositionIndex]
    qty: Final[int]
    """Signed quantity."""
    lights: Final[int]
    """5 lights: next in line."""

@final
class CoinConservation:
    """The books of one coin, recomputed from every account; amounts in 10**-8 of the coin."""

    coin: Final[int]
    delta: Final[int]
    """Wallets less entry costs less deposits plus withdrawals; anything but 0 is a bug."""
    wallets: Final[int]
    """Sum of all wallets, the venue's own included."""
    entry_costs: Final[int]
    """Sum of all signed entry costs settled in the coin."""
    insurance: Final[int]
    """The insurance pools held in the coin."""
    fees: Final[int]
    """Fees collected."""
    lending: Final[int]
    """Cash in the lending pool."""
    loans: Final[int]
    """Everything owed, as cash or by falling below nothing."""
    deposits: Final[int]
    """Everything ever deposited, the pools' opening balances included."""
    withdrawals: Final[int]
    """Everything ever withdrawn."""

@final
class Conservation:
    """The venue's books, recomputed from every account."""

    coins: Final[list[CoinConservation]]
    position_qty_sums: Final[list[int]]
    """Sum of signed positions per instrument; anything but 0 is a bug."""
    adds_up: Final[bool]
    """No coin was made or lost, and every instrument's positions cancel."""

@final
class Recovery:
    """What a recovery found."""

    @property
    def commands(self) -> int:
        """Commands in the journal, refused ones included."""
    @property
    def snapshot_commands(self) -> int:
        """Commands that a snapshot stood for, so that they were not applied again; 0 without one."""
    @property
    def attachment(self) -> bytes:
        """What was given to `SnapshotDraft.write` with that snapshot."""
    @property
    def remarks(self) -> list[str]:
        """One line for each newer snapshot that was passed over, with the reason."""
    @property
    def truncated_bytes(self) -> int:
        """Bytes of a torn last write that were cut off; 0 after a clean end."""
    @property
    def state_hash(self) -> str:
        """As `Engine.state_hash`."""
    @property
    def genesis_json(self) -> str:
        """The genesis as it was given to `Engine.create`."""

@final
class SnapshotDraft:
    """A copy of the state on its way into a snapshot, a file beside the journal."""

    @property
    def commands(self) -> int:
        """Commands that it stands for."""
    def write(self, attachment: bytes) -> int:
        """Writes the snapshot, once, while other threads run, and removes all but the one before it. Returns
        its size in bytes.

        `attachment` is kept beside the state and given back by a recovery. What it tells of must be in the
        journal; it may know of later commands than the state. Raises JournalError when the file cannot be
        written or a later draft was begun (the engine goes on either way); ValueError the second time.
        """

@final
class Verification:
    """What a verification found."""

    commands: Final[int]
    """Commands replayed, refused ones included."""
    truncated_bytes: Final[int]
    """Bytes of a torn last record; they were left in place."""
    state_hash: Final[str]
    """As `Engine.state_hash`."""
    genesis_json: Final[str]
    """The genesis as it was given to `Engine.create`."""
    conservation_delta: Final[int]
    """Delta of the coin farthest from adding up, unsigned, after the last command."""

@final
class Replay:
    """A journal told again: an iterator over its commands, up to 4096 at a time.

    Raises JournalError where the journal is damaged, InvariantError where its commands break the exchange.
    """

    def __iter__(self) -> Replay: ...
    def __next__(self) -> BatchOutcome: ...

@final
class Committer:
    """Commits beside the interpreter, one at a time, as `Engine.sync` does it."""

    def fileno(self) -> int:
        """The descriptor that becomes readable when a commit has ended."""

    def begin(self) -> None:
        """Ask for a commit of everything applied so far; returns at once."""

    def ended(self) -> int | None:
        """The last command of the commit that has ended, told once; None when none has.

        Raises JournalError, or OSError once there will be no more commits; nothing may be acknowledged then.
        """

    def close(self) -> None:
        """No more commits; one that runs is not waited for."""

@final
class Engine:
    """The exchange behind its journal. Commands are numbered from 1; each is journaled before it is
    applied.
    """

    @staticmethod
    def create(genesis_json: str, journal_path: str | None, durability: str) -> Engine:
        """A new exchange; with a path, also its journal, which must not exist.

        `genesis_json` is an object with `instruments` (a list of contracts) and `insurance_fund`. A
        contract has `symbol base quote tick_size qty_step min_qty max_qty max_market_qty min_notional
        taker_fee maker_fee price_band_x price_band_y index_clamp` (text and decimal strings),
        `index_stale_ms basis_window_ms` (integers), `tiers` (list of `limit max_leverage mmr`),
        `index_sources` (list of `name weight`), and may have `max_price default_leverage
        max_post_only_qty`. Unknown keys are refused.

        Of prices it may have `index_method` ("clamp", "drop", "two_pass") and, in a source that is quoted in
        another coin, `converted_by` (symbol of a contract listed before, whose index converts it); of funding
        `funding_interval_ms` (whole minutes), `lower_funding_rate` with `upper_funding_rate`, `daily_interest
        funding_clamp impact_notional` (decimal strings) and `funding_payments` (over how many one rate is
        spread). A coin's `price` is a decimal string, "reported", a symbol whose index it follows, or two
        symbols "BTCUSD/BTCUSDT": the price of a third coin in dollars over its price in this one.

        `durability` says what `sync` waits for: "fsync" (the disk: survives a power cut), "os" (the
        operating system: survives the death of the process), "none" (nothing; written when a buffer is full
        and at the end).

        Raises GenesisError; JournalError when the journal exists or cannot be created; ValueError for
        `durability`.
        """

    @staticmethod
    def recover(journal_path: str, durability: str) -> tuple[Engine, Recovery]:
        """The exchange as its journal left it, ready for the next command. A torn last write is cut off.

        Goes on from the newest snapshot beside the journal that belongs to it and that this build wrote; of
        what the snapshot stands for only the checksums are read.

        Raises JournalError when the file cannot be read, is in use by another process, is damaged (with the
        byte at which the damage begins) or has lost records that a snapshot stands for (nothing is changed
        then); InvariantError when its commands break the exchange.
        """

    @staticmethod
    def verify(
        journal_path: str, *, progress: Callable[[int, int, int], object] | None = None
    ) -> Verification:
        """Replays a journal and recomputes every invariant after every command. Changes and locks nothing.

        `progress` is told now and then how far it is: commands, bytes read, bytes in all. What it raises ends
        the verification, as an interrupt does.

        Works on the journal of a running exchange: what has been written so far is verified. Raises as
        `recover`.
        """

    @staticmethod
    def replay(journal_path: str, *, snapshot_commands: int = 0) -> Replay:
        """A journal told again from its first command, or behind the snapshot that stands for so many.

        Changes and locks nothing. Works on the journal of a running exchange: it ends with what has been
        written so far. Raises as `recover`, the iterator too.
        """

    def create_account(self, market_ms: int, wall_us: int, account: int) -> Outcome:
        """Opens an account; numbers from 1000 on are for users."""

    def deposit(self, market_ms: int, wall_us: int, account: int, coin: int, amount: int) -> Outcome:
        """Puts money into a wallet."""

    def withdraw(self, market_ms: int, wall_us: int, account: int, coin: int, amount: int) -> Outcome:
        """Takes money out of the funding wallet, within the limit of the account's level."""

    def create_sub_account(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        main: int,
    ) -> Outcome:
        """Opens an account under another one, whose level and limits it shares."""

    def borrow(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        coin: int,
        amount: int,
    ) -> Outcome:
        """Borrows cash from a coin's pool."""

    def repay(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        coin: int,
        amount: int,
        convert: bool,
    ) -> Outcome:
        """Repays a loan, amount 0 all of it; with `convert` also by selling other coins."""

    def supply(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        coin: int,
        amount: int,
    ) -> Outcome:
        """Lends to a coin's pool, out of the funding wallet."""

    def redeem(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        coin: int,
        amount: int,
    ) -> Outcome:
        """Takes back what was lent to a pool, amount 0 all of it, into the funding wallet."""

    def transfer(
        self,
        market_ms: int,
        wall_us: int,
        *,
        source: int,
        target: int,
        coin: int,
        amount: int,
        from_wallet: Wallet,
        to_wallet: Wallet,
    ) -> Outcome:
        """Moves money between the wallets of an account, or of a main account and its sub-accounts."""

    def set_collateral(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        coin: int,
        enabled: bool,
    ) -> Outcome:
        """An account begins or ends to use a coin as collateral."""

    def set_venue_collateral(
        self,
        market_ms: int,
        wall_us: int,
        *,
        coin: int,
        enabled: bool,
    ) -> Outcome:
        """The venue begins or ends to take a coin as collateral from anyone."""

    def set_auto_repay(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        enabled: bool,
    ) -> Outcome:
        """Switches repayment by selling other coins at every full and half hour."""

    def set_account_level(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        level: AccountLevel,
    ) -> Outcome:
        """Sets how well the venue knows an account's owner."""

    def transferable_amount(self, account: int, coin: int) -> int:
        """The most of a coin that may leave an account's unified wallet."""

    def borrowable_amount(self, account: int, coin: int) -> int:
        """The most of a coin that limits allow an account to borrow; its margin may allow less."""

    def supplied_amount(self, account: int, coin: int) -> int:
        """What an account's shares in a coin's pool are worth."""

    def lending_pool(self, coin: int) -> LendingPoolView:
        """A coin's lending pool. LookupError where there is none."""

    def place_order(
        self,
        market_ms: int,
        wall_us: int,
        account: int,
        instrument: int,
        side: Side,
        order_type: OrderType,
        time_in_force: TimeInForce,
        qty: int,
        price: int,
        reduce_only: bool,
        link_id: str,
        position_index: PositionIndex = ...,
        terms: Terms | None = None,
    ) -> Outcome:
        """Places an order; `Outcome.order_id` is its number.

        `price` is ignored for market orders, which are always immediate-or-cancel. `link_id` is the
        client's own identifier, up to 36 characters of A-Z a-z 0-9 - _, empty for none; ValueError for
        anything else.
        """

    def amend_order(
        self, market_ms: int, wall_us: int, account: int, order_id: int, price: int | None, qty: int | None
    ) -> Outcome:
        """Changes a resting order's price, its total quantity (filled part included), or both; None keeps."""

    def amend_terms(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        order_id: int,
        price: int | None = None,
        qty: int | None = None,
        trigger_price: int | None = None,
        trigger_by: TriggerBy | None = None,
        take_profit: int | None = None,
        take_profit_by: TriggerBy | None = None,
        take_profit_limit: int | None = None,
        stop_loss: int | None = None,
        stop_loss_by: TriggerBy | None = None,
        stop_loss_limit: int | None = None,
        tpsl_mode: TpSlMode | None = None,
    ) -> Outcome:
        """Changes an order's terms, and its price and quantity with them; None keeps, a take-profit or
        stop-loss of 0 removes. Only a waiting order has a trigger price to change.
        """

    def set_trading_stop(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        instrument: int,
        position_index: PositionIndex = ...,
        mode: TpSlMode = ...,
        take_profit: int | None = None,
        take_profit_by: TriggerBy = ...,
        take_profit_limit: int | None = None,
        stop_loss: int | None = None,
        stop_loss_by: TriggerBy = ...,
        stop_loss_limit: int | None = None,
        size: int | None = None,
        trailing_stop: int | None = None,
        active_price: int | None = None,
    ) -> Outcome:
        """Sets, changes or removes what ends a position; None keeps, a price of 0 removes.

        Full: one take-profit, stop-loss and trailing stop for all of it, whatever it is then. Partial: a new
        pair for a `size`, at the market or at a limit; it is changed and cancelled as the two orders it is.
        """

    def cancel_disconnected(
        self, market_ms: int, wall_us: int, *, account: int, products: ProductClass
    ) -> Outcome:
        """Cancels the orders of an account whose client is gone for longer than its disconnect window. What
        ends its positions stays; refused without a window.
        """

    def set_smp_group(self, market_ms: int, wall_us: int, *, account: int, group: int) -> Outcome:
        """Puts an account into a group that counts as one trader; 0 takes it out."""

    def set_disconnect_window(
        self, market_ms: int, wall_us: int, *, account: int, products: ProductClass, seconds: int
    ) -> Outcome:
        """Sets after how many seconds (3 to 300; 0 for never) the orders of a client that is gone are to be
        cancelled. Kept here; fired by whoever serves the clients.
        """

    def set_moves_to_band(
        self, market_ms: int, wall_us: int, *, account: int, products: ProductClass, moves: bool
    ) -> Outcome:
        """Sets whether limits beyond the price band are moved to its edge, or refused."""

    def order_settings(self, account: int) -> OrderSettings:
        """An account's settings for its orders. LookupError for an unknown account."""

    def cancel_order(self, market_ms: int, wall_us: int, account: int, order_id: int) -> Outcome:
        """Cancels an order."""

    def cancel_all(self, market_ms: int, wall_us: int, *, account: int, instrument: int | None) -> Outcome:
        """Cancels an account's orders in one instrument, or everywhere with None."""

    def set_leverage(
        self, market_ms: int, wall_us: int, *, account: int, instrument: int, leverage: int
    ) -> Outcome:
        """Sets an account's leverage in an instrument, in hundredths."""

    def set_position_mode(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        mode: PositionMode,
        instrument: int | None = None,
        coin: int | None = None,
    ) -> Outcome:
        """Sets the position mode in one instrument, or in every contract that settles in a coin.

        Raises ValueError unless exactly one of the two is named.
        """

    def set_side_leverage(
        self, market_ms: int, wall_us: int, *, account: int, instrument: int, buy: int, sell: int
    ) -> Outcome:
        """Sets the leverage of both sides, in hundredths; they may differ in isolated hedge mode only."""

    def set_margin_mode(self, market_ms: int, wall_us: int, *, account: int, mode: MarginMode) -> Outcome:
        """Sets what backs an account's positions, if the requirements hold afterwards."""

    def add_margin(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        instrument: int,
        amount: int,
        position_index: PositionIndex = ...,
    ) -> Outcome:
        """Adds margin to an isolated position; a negative amount takes back what lies above the initial
        margin.
        """

    def set_auto_add_margin(
        self,
        market_ms: int,
        wall_us: int,
        *,
        account: int,
        instrument: int,
        is_on: bool,
        position_index: PositionIndex = ...,
    ) -> Outcome:
        """Sets whether margin is added to an isolated position before it is liquidated."""

    def set_index_source(
        self, market_ms: int, wall_us: int, instrument: int, source: int, price: int
    ) -> Outcome:
        """Updates one component of an index; `source` is its position in the instrument's list."""

    def set_mark_source(
        self, market_ms: int, wall_us: int, *, instrument: int, source: MarkSource
    ) -> Outcome:
        """Changes what an instrument is marked at."""

    def set_funding_terms(
        self,
        market_ms: int,
        wall_us: int,
        *,
        instrument: int,
        interval_minutes: int,
        lower: int,
        upper: int,
    ) -> Outcome:
        """Changes funding caps (of 10**-12) at once, and the funding interval from the next settlement on."""

    def stage_risk_tier(
        self,
        market_ms: int,
        wall_us: int,
        *,
        instrument: int,
        number: int,
        limit: int,
        max_leverage: int,
        maintenance_rate: int,
    ) -> Outcome:
        """Puts a tier into the risk limits to be announced; number 0 begins them anew."""

    def announce_risk_limits(
        self, market_ms: int, wall_us: int, *, instrument: int, effective_ms: int
    ) -> Outcome:
        """Announces the risk limits put together; they hold from market time `effective_ms` on."""

    def funding(self, instrument: int) -> FundingView:
        """Funding of a perpetual. Raises LookupError for any other instrument."""

    def coming_risk_limits(self, instrument: int) -> RiskLimitsView | None:
        """Risk limits announced and not yet in force; None when there are none. Raises LookupError."""

    def set_coin_price(self, market_ms: int, wall_us: int, *, coin: int, price: int) -> Outcome:
        """Reports the price of a coin in USD; only of a coin whose price is `reported`."""

    def advance_time(self, market_ms: int, wall_us: int) -> Outcome:
        """Lets market time pass: samples, mark prices, funding, coming risk limits, liquidations."""

    def place_plain(self, market_ms: int, wall_us: int, account: int, request: PlainRequest) -> BatchOutcome:
        """Places the orders of a request, one after the other."""

    def place_plain_all(
        self, market_ms: int, wall_us: int, requests: list[tuple[int, PlainRequest]]
    ) -> tuple[BatchOutcome, list[BatchOutcome]]:
        """Places the orders of many requests, each with its account, one after the other.

        What became of all of them, then of each; what happened is with all of them only.
        """

    def apply_batch(self, records: bytes) -> BatchOutcome:
        """Applies many commands, other threads running meanwhile.

        Records of `COMMAND_BYTES`, little-endian, unused bytes zero: kind u8, side u8, order type u8, time
        in force u8, flags u8 (1 reduce-only, 2 price given, 4 qty given, 8 instrument given), link id
        length u8, instrument u16, account u32, leverage or source u32, market_ms i64, wall_us i64, order_id
        u64, price or amount i64, qty i64, link id 36 bytes, position index u8, zeros to the end. Kinds: 1
        create_account, 2 deposit, 3 withdraw, 4 place_order, 5 amend_order, 6 cancel_order, 7 cancel_all, 8
        set_leverage, 9 set_index_source, 10 advance_time, 11 set_coin_price; a coin stands where an
        instrument does. Enumerations are the numbers of `Side`, `OrderType`, `TimeInForce`, `PositionIndex`.
        60 set_mark_source (`MarkSource` where the leverage is), 61 set_funding_terms (minutes there, caps as
        price and qty), 62 stage_risk_tier (number there, leverage as order_id, limit and rate as price and
        qty), 63 announce_risk_limits (time as price).

        Raises ValueError when `records` is not a whole number of records, has more than 2**22 of them, or
        one does not decode; nothing has been applied then.
        """

    def sync(self) -> int:
        """Makes every command applied before the call as durable as asked; returns the last such command's
        number.

        Releases the interpreter while it waits for the disk: call it from an executor thread while commands
        go on. Callers that wait at the same time share one commit. Without a journal it returns at once.
        Raises JournalError; nothing may be acknowledged then, and no command is accepted any more.
        """

    def committer(self) -> Committer | None:
        """A thread of its own for commits; None without a journal. Raises OSError when there can be none."""

    def begin_snapshot(self) -> SnapshotDraft | None:
        """Copies the state, commands waiting meanwhile; None without a journal."""

    def position(self, account: int, instrument: int, position_index: PositionIndex = ...) -> PositionView:
        """A position, also a flat one. Raises LookupError."""

    def status(self, instrument: int) -> InstrumentStatus:
        """Which orders an instrument lets in. Raises LookupError."""

    def margin_mode(self, account: int) -> MarginMode:
        """What backs an account's positions. Raises LookupError."""

    def position_mode(self, account: int, instrument: int) -> PositionMode:
        """Position mode of an account in an instrument. Raises LookupError."""

    def positions(self, account: int) -> list[PositionView]:
        """An account's positions that are not flat; none for an unknown account."""

    def account(self, account: int) -> AccountView:
        """An account's margin figures. Raises LookupError."""

    def accounts(self) -> list[int]:
        """Every account, the venue's own included, ascending."""

    def book(self, instrument: int, levels: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The best levels as (price, quantity): bids from the highest, asks from the lowest. Raises
        LookupError.
        """

    def best(self, instrument: int) -> tuple[int, int, int, int]:
        """Bid price, bid quantity, ask price, ask quantity; 0 where there is none. Raises LookupError."""

    def prices(self, instrument: int) -> PriceView:
        """The prices of an instrument. Raises LookupError."""

    def order(self, order_id: int) -> OrderView | None:
        """A live order; None when there is none of this number."""

    def order_id_by_link(self, account: int, link_id: str) -> int:
        """The order, live or ended, that used a link id; 0 when none did."""

    def open_orders(self, account: int, instrument: int | None) -> list[OrderView]:
        """An account's live orders, oldest first; in one instrument, or everywhere with None."""

    def instruments(self) -> list[InstrumentView]:
        """The listed contracts, by number."""

    def insurance_pool(self, pool: int) -> int:
        """Balance of an insurance pool. Raises LookupError."""

    def insurance_pools(self) -> list[PoolView]:
        """Every insurance pool, by number."""

    def adl_alert(self, instrument: int) -> AdlAlertView:
        """How far an instrument is from deleveraging. Raises LookupError."""

    def adl_places(self, instrument: int, side: Side) -> list[AdlPlaceView]:
        """The queue of the deleveraging of longs (Buy) or shorts (Sell), first in line first; empty for an
        unknown instrument.
        """

    def coins(self) -> list[str]:
        """Names of the coins, by number."""

    def purses(self, account: int) -> list[CoinView]:
        """The coins an account ever held, by number."""

    def conservation(self) -> Conservation:
        """The venue's books, recomputed from every account."""

    def check_invariants(self) -> None:
        """Recomputes every invariant from scratch. Raises InvariantError."""

    def state_hash(self) -> str:
        """Digest of the whole state, 32 hexadecimal digits: equal on every machine for equal commands."""

    def command_count(self) -> int:
        """Commands applied so far, refused ones included."""

    def market_ms(self) -> int:
        """Market time of the last admitted command."""
