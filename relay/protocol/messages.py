"""The vocabulary of the wire: what a leader broadcasts and what a follower reports.

Belongs here: the shape of every payload, as frozen msgspec structs, and the rules for its values.
Does not belong here: bytes (`codec`), keys (`signing`), subjects (`subjects`), any I/O or clock.

Amounts are decimal strings (`0|[1-9]\\d{0,15}` with up to 12 decimals, a leading `-` only where a field says
"signed"); times are integers whose name ends in their unit, Unix epoch, wall clock of whoever set them.
Symbols are ccxt's (`BTC/USDT:USDT`). A reader ignores fields it does not know within one major version.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from relay.protocol import forms
from relay.protocol.subjects import IDENTIFIER_PATTERN

__all__ = [
    "FILLS_PER_SIGNAL_MAX",
    "KEY_LINKS_MAX",
    "POSITIONS_MAX",
    "SCHEMA_VERSION",
    "AccountCause",
    "AccountChange",
    "Cause",
    "CopyReport",
    "FillRow",
    "Heartbeat",
    "KeyLink",
    "LegState",
    "MarketState",
    "Notice",
    "OrderRow",
    "PositionState",
    "Signal",
    "Snapshot",
    "StaggerPlan",
    "StatusReport",
    "Verdict",
]

SCHEMA_VERSION: Final = 1

Side = Literal["buy", "sell"]
Cause = Literal["trade", "liquidation", "adl", "manual"]  # what moved a position
AccountCause = Literal["funding", "cash_flow"]  # what moved the wallet alone
Verdict = Literal["copied", "capped", "skipped", "missed"]
OrderOutcome = Literal["accepted", "rejected", "unknown"]

FILLS_PER_SIGNAL_MAX = 100
KEY_LINKS_MAX = 8  # rotations since the key that followers pinned; then they pin a new one
POSITIONS_MAX = 50
ORDERS_PER_COPY_MAX = 20
FILLS_PER_ORDER_MAX = 50
TEXT_LENGTH_MAX = 500

_DIGITS = r"(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?\Z"

# What mypy sees as str and int, and the reader holds to the grammar of the wire.
Unsigned: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A" + _DIGITS)]
Signed: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A(?!-0(\.0*)?\Z)-?" + _DIGITS)]
Identifier: TypeAlias = Annotated[str, msgspec.Meta(pattern=IDENTIFIER_PATTERN)]
Symbol: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9/:._-]{1,64}\Z")]
Hash: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Token: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
# The same in what comes by the thousand: the codec looks at all such texts of a message at once.
UnsignedText: TypeAlias = Annotated[str, forms.UNSIGNED]
SignedText: TypeAlias = Annotated[str, forms.SIGNED]
SymbolText: TypeAlias = Annotated[str, forms.SYMBOL]
Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=TEXT_LENGTH_MAX)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all payloads: immutable, named fields only, unknown fields ignored. None can lead back to
    itself, so the collector of cycles need not know them.
    """


class LegState(_Message, frozen=True, kw_only=True, gc=False):
    """One side of a hedged position."""

    side: Literal["long", "short"]
    qty: UnsignedText
    entry_price: UnsignedText
    leverage: UnsignedText
    take_profit: UnsignedText | None = None
    stop_loss: UnsignedText | None = None


class PositionState(_Message, frozen=True, kw_only=True, gc=False):
    """A position as it is after the step that the message reports.

    In hedge mode `qty`, `entry_price` and `exposure` are the symbol's net (long minus short), so that whoever
    copies them in one-way mode copies the leader's risk; `legs` has the two sides.
    """

    symbol: SymbolText
    qty: SignedText  # signed base units; "0" = flat
    entry_price: UnsignedText  # "0" when flat
    exposure: SignedText  # signed notional at mark / equity
    leverage: UnsignedText  # the position's leverage setting
    margin_mode: Literal["cross", "isolated"] = "cross"
    position_mode: Literal["one_way", "hedge"] = "one_way"
    take_profit: UnsignedText | None = None
    stop_loss: UnsignedText | None = None
    legs: Annotated[list[LegState], msgspec.Meta(max_length=2)] = []


class MarketState(_Message, frozen=True, kw_only=True, gc=False):
    """Prices at the leader's venue when the message was sealed; what is beside them, where it is known."""

    mark: UnsignedText
    index: UnsignedText
    last: UnsignedText
    bid: UnsignedText
    ask: UnsignedText
    venue: Token | None = None  # its name, to be compared with one's own
    depth_usdt: UnsignedText | None = None  # on the thinner side, within 10 bps of the middle
    open_interest: UnsignedText | None = None  # base units


class StaggerPlan(_Message, frozen=True, kw_only=True, gc=False):
    """How entries are spread: `waves` groups, `spacing_ms` apart. One wave = no stagger."""

    waves: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    spacing_ms: Count = 0


class Signal(_Message, frozen=True, kw_only=True, gc=False):
    """One step of the leader, and where he stands after it.

    `side`, `qty`, `price` are the step (volume-weighted over `fill_ids`); `position` is the state after it.
    `account_leverage` = sum of |notional| over all symbols / equity, after the step: what half of the
    leader's leverage is counted from. `expires_ms` is a duration: an entry not submitted within it after
    the follower's wave began is dropped; exits never expire.
    """

    signal_id: Token  # "<leader>.<epoch>.<seq>"
    cause: Cause
    symbol: SymbolText
    side: Side
    qty: UnsignedText
    price: UnsignedText
    fill_ids: Annotated[list[Token], msgspec.Meta(min_length=1, max_length=FILLS_PER_SIGNAL_MAX)]
    position: PositionState
    equity: SignedText
    account_leverage: UnsignedText
    market: MarketState
    leader_exec_ms: Count  # the venue's time of the (last) fill
    seen_ms: Count  # the publisher read it from the stream
    sealed_ms: Count  # the publisher signed it
    expires_ms: Count
    stagger: StaggerPlan = StaggerPlan()
    fee: SignedText | None = None  # what the step cost him, quote currency; positive = paid


class AccountChange(_Message, frozen=True, kw_only=True, gc=False):
    """A change of the leader's wallet that no trade made: funding, a deposit, a withdrawal. Nothing to copy.

    Travels as a `signal`, told apart by its cause, so that no ratio changes unseen: `equity`,
    `account_leverage` and `positions` are as they are after it. A follower answers with no verdict.
    """

    signal_id: Token  # "<leader>.<epoch>.<seq>"
    cause: AccountCause
    event_ids: Annotated[list[Token], msgspec.Meta(min_length=1, max_length=FILLS_PER_SIGNAL_MAX)]
    amount: Signed  # of the wallet, USDT terms; positive = it grew
    symbol: Symbol | None = None  # whose funding; None = the account's
    positions: Annotated[list[PositionState], msgspec.Meta(max_length=POSITIONS_MAX)]
    equity: Signed
    account_leverage: Unsigned
    leader_exec_ms: Count
    seen_ms: Count
    sealed_ms: Count


class Snapshot(_Message, frozen=True, kw_only=True, gc=False):
    """Everything the leader holds. Sent at start and every N seconds; takes a seq."""

    positions: Annotated[list[PositionState], msgspec.Meta(max_length=POSITIONS_MAX)]
    equity: SignedText
    account_leverage: UnsignedText
    sealed_ms: Count


class KeyLink(_Message, frozen=True, kw_only=True, gc=False):
    """One rotation: `old_key` says that from `from_seq` on `new_key` signs in its place."""

    old_key: Hash
    new_key: Hash
    from_seq: Count
    signature: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]  # by the old key


class Heartbeat(_Message, frozen=True, kw_only=True, gc=False):
    """Head of the chain, once a second, not stored, no seq of its own.

    `keys` leads from a key that a follower may have pinned to the one that signs now, so that nobody has to
    remember rotations.
    """

    head_seq: Count
    head_hash: Hash
    mode: Literal["live", "paused"]
    program_version: Text
    sent_ms: Count
    keys: Annotated[list[KeyLink], msgspec.Meta(max_length=KEY_LINKS_MAX)] = []


class Notice(_Message, frozen=True, kw_only=True, gc=False):
    """Something followers should know that is not a trade. Takes a seq.

    `key_rotation` is the last message under the old key; `key_revoked` ends the belief in the key that signed
    it. `terms` tells a changed recommendation. `group_epoch` begins an epoch of a private group: `keys_root`
    commits to the wrapped keys of all `keys_count` members. `run` is another one in every `started`: two
    publishers that begin in one millisecond do not say the same.
    """

    notice: Literal[
        "started", "paused", "resumed", "closing", "key_rotation", "key_revoked", "terms", "group_epoch"
    ]
    text: Text
    sealed_ms: Count
    link: KeyLink | None = None
    recommended_leverage: Unsigned | None = None
    group_epoch: Count | None = None
    keys_root: Hash | None = None
    keys_count: Count | None = None
    run: Token | None = None


class FillRow(_Message, frozen=True, kw_only=True, gc=False):
    """One execution at the follower's venue."""

    fill_id: Token
    qty: Unsigned
    price: Unsigned
    fee: Signed
    fee_currency: Token
    executed_ms: Count
    is_maker: bool


class OrderRow(_Message, frozen=True, kw_only=True, gc=False):
    """One order of a copy and everything that became of it."""

    client_order_id: Token
    order_id: Token | None
    side: Side
    qty: Unsigned
    reduce_only: bool
    outcome: OrderOutcome
    reject_code: Token | None = None
    fills: Annotated[list[FillRow], msgspec.Meta(max_length=FILLS_PER_ORDER_MAX)] = []


class CopyReport(_Message, frozen=True, kw_only=True, gc=False):
    """The one terminal verdict of one follower on one signal.

    `reason` is a code (`copied` or why not), `detail` a sentence, `limit_value` / `observed_value` the
    numbers that decided it. `*_mid` are the follower's own quotes at that moment (null where that step was
    not reached); `leverage_after` / `leverage_cap` are in the sense of the leverage cap: |notional| /
    equity at the moment of deciding with this order counted as filled, and the cap in force for it (null
    for exits and skips).
    """

    follower_id: Identifier
    leader_id: Identifier
    epoch: Count
    seq: Count
    signal_id: Token
    symbol: Symbol
    side: Side
    policy: Text
    paper: bool
    verdict: Verdict
    reason: Text
    detail: Text
    is_exit: bool
    target_qty: Signed  # signed position the policy wanted
    order_qty: Unsigned  # unsigned, after caps and rounding; "0" when nothing was sent
    wanted_qty: Unsigned  # unsigned, before caps
    limit_value: Text | None = None
    observed_value: Text | None = None
    leverage_after: Unsigned | None = None
    leverage_cap: Unsigned | None = None
    received_ms: Count
    released_ms: Count | None = None
    submitted_ms: Count | None = None
    accepted_ms: Count | None = None
    executed_ms: Count | None = None  # last fill, venue time
    received_mid: Unsigned | None = None
    released_mid: Unsigned | None = None
    submitted_mid: Unsigned | None = None
    accepted_mid: Unsigned | None = None
    received_mark: Unsigned | None = None
    received_last: Unsigned | None = None
    venue_mid: Unsigned | None = None  # own venue's when the signal was sealed; null where it is the leader's
    executed_mark: Unsigned | None = None  # own venue's at the last fill
    executed_last: Unsigned | None = None
    orders: Annotated[list[OrderRow], msgspec.Meta(max_length=ORDERS_PER_COPY_MAX)] = []


class StatusReport(_Message, frozen=True, kw_only=True, gc=False):
    """Where a follower stands: sent every few seconds and once more at the end."""

    follower_id: Identifier
    leader_id: Identifier
    policy: Text
    paper: bool
    sent_ms: Count
    head_seq: Count  # last signal seq with a verdict
    equity: Signed
    positions: Annotated[list[PositionState], msgspec.Meta(max_length=POSITIONS_MAX)]
    target_exposure: Signed  # signed, of the leader's last state under this policy, all symbols summed
    actual_exposure: Signed
    exposure_gap: Unsigned  # |target - actual|, fractions of equity
    leverage: Unsigned
    leverage_peak: Unsigned  # highest ever seen, prices included
    unknown_orders: Count
    funding_paid: Signed | None = None  # of the account, since its first start; negative = received
    interest_paid: Unsigned | None = None
    mode: Literal["running", "reduce_only", "paused", "stopped"]
