"""Bodies of requests that move money or change what backs it: transfers, withdrawals, loans, collateral.

Belongs here: shape of the values (kinds, words, decimals). Does not belong here: orders (`requests`),
positions (`position_requests`), rules (the engine's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulated_exchange.coins import Coin, Coins
from simulated_exchange.driver import Wallet
from simulated_exchange.gateway.translate.body import whole_number
from simulated_exchange.gateway.translate.numbers import parse_decimal
from simulated_exchange.gateway.translate.refusals import invalid_parameter

__all__ = [
    "CollateralRequest",
    "LoanRequest",
    "TransferRequest",
    "WithdrawalRequest",
    "auto_repay_request",
    "coin_of",
    "collateral_batch_request",
    "collateral_request",
    "loan_request",
    "repay_request",
    "transfer_request",
    "withdrawal_request",
]

Body = Mapping[str, Any]

_IDENTITY = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{7,63}", re.ASCII)
_WALLETS = {"UNIFIED": Wallet.Unified, "FUND": Wallet.Funding}
_WITHDRAW_FROM = {"FUND": False, "SPOT": False, "UTA": True, "FUND,UTA": True, "": False}
TEXT_MAX = 256


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Money from one wallet to another; accounts are 0 where the request is about the caller's own."""

    identity: str
    coin: Coin
    amount: int
    source: int
    target: int
    from_wallet: Wallet
    to_wallet: Wallet


@dataclass(frozen=True, slots=True)
class WithdrawalRequest:
    """Money out of the venue; `from_unified` moves it out of the unified wallet first."""

    coin: Coin
    amount: int
    address: str
    chain: str
    tag: str
    identity: str
    from_unified: bool


@dataclass(frozen=True, slots=True)
class LoanRequest:
    """Borrow, or repay; amount 0 is everything."""

    coin: Coin
    amount: int


@dataclass(frozen=True, slots=True)
class CollateralRequest:
    """Whether the account uses a coin as collateral."""

    coin: Coin
    enabled: bool


def coin_of(body: Body, coins: Coins, name: str = "coin") -> Coin:
    """The coin that a request names."""
    value = body.get(name)
    coin = coins.by_name(value) if isinstance(value, str) else None
    if coin is None:
        raise invalid_parameter(name, "a listed coin")
    return coin


def _amount(body: Body, *, may_be_absent: bool = False) -> int:
    value = body.get("amount")
    if may_be_absent and (value is None or value == ""):
        return 0
    amount = parse_decimal(value)
    if not amount:
        raise invalid_parameter("amount", "a decimal string above zero")
    return amount


def _wallet(body: Body, name: str) -> Wallet:
    wallet = _WALLETS.get(str(body.get(name, "")))
    if wallet is None:
        raise invalid_parameter(name, "UNIFIED or FUND")
    return wallet


def _text(body: Body, name: str, *, is_required: bool = False) -> str:
    value = body.get(name)
    if (value is None or value == "") and not is_required:
        return ""
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_MAX:
        raise invalid_parameter(name, f"text of 1 to {TEXT_MAX} characters")
    return value


def transfer_request(body: Body, coins: Coins, *, between_members: bool) -> TransferRequest:
    """A body of inter-transfer or universal-transfer."""
    identity = body.get("transferId")
    if not isinstance(identity, str) or _IDENTITY.fullmatch(identity) is None:
        raise invalid_parameter("transferId", "a UUID")
    source = whole_number(body, "fromMemberId") if between_members else 0
    target = whole_number(body, "toMemberId") if between_members else 0
    return TransferRequest(
        identity=identity,
        coin=coin_of(body, coins),
        amount=_amount(body),
        source=source,
        target=target,
        from_wallet=_wallet(body, "fromAccountType"),
        to_wallet=_wallet(body, "toAccountType"),
    )


def withdrawal_request(body: Body, coins: Coins) -> WithdrawalRequest:
    """A body of withdraw create."""
    whole_number(body, "timestamp")
    kind = body.get("accountType", "")
    if not isinstance(kind, str) or kind not in _WITHDRAW_FROM:
        raise invalid_parameter("accountType", "FUND or UTA")
    return WithdrawalRequest(
        coin=coin_of(body, coins),
        amount=_amount(body),
        address=_text(body, "address", is_required=True),
        chain=_text(body, "chain"),
        tag=_text(body, "tag"),
        identity=_text(body, "requestId"),
        from_unified=_WITHDRAW_FROM[kind],
    )


def loan_request(body: Body, coins: Coins) -> LoanRequest:
    """A body of borrow."""
    return LoanRequest(coin_of(body, coins), _amount(body))


def repay_request(body: Body, coins: Coins) -> list[LoanRequest]:
    """A body of repay: one coin, or every coin that something is owed of; without an amount all of it."""
    amount = _amount(body, may_be_absent=True)
    if body.get("coin"):
        return [LoanRequest(coin_of(body, coins), amount)]
    if amount:
        raise invalid_parameter("coin", "given with an amount")
    return [LoanRequest(coin, 0) for coin in coins]


def collateral_request(body: Body, coins: Coins) -> CollateralRequest:
    """A body of set-collateral-switch."""
    switch = body.get("collateralSwitch")
    if switch not in ("ON", "OFF"):
        raise invalid_parameter("collateralSwitch", "ON or OFF")
    return CollateralRequest(coin_of(body, coins), switch == "ON")


def collateral_batch_request(body: Body, coins: Coins) -> list[CollateralRequest]:
    """A body of set-collateral-switch-batch."""
    entries = body.get("request")
    if not isinstance(entries, list) or not 1 <= len(entries) <= len(coins):
        raise invalid_parameter("request", "a list of coins")
    if not all(isinstance(entry, dict) for entry in entries):
        raise invalid_parameter("request", "a list of objects")
    return [collateral_request(entry, coins) for entry in entries]


def auto_repay_request(body: Body, coins: Coins) -> tuple[str, bool]:
    """A body of set-auto-repay-mode: the coin, "" for all, and whether to."""
    mode = str(body.get("autoRepayMode", ""))
    if mode not in ("0", "1"):
        raise invalid_parameter("autoRepayMode", "0 or 1")
    return coin_of(body, coins, "currency").name if body.get("currency") else "", mode == "1"
