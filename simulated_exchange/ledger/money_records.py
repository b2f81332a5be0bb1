"""What is remembered of an account's money beyond its trading: transfers, cash in and out, loans' interest.

Belongs here: the shapes. Does not belong here: how they come about (`ledger.money`) and wire text.
Amounts are fixed point; times are wall microseconds.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CashFlow", "InterestCharge", "TransferRecord"]


class TransferRecord(NamedTuple):
    """Money that left one of an account's wallets for another wallet; `ordinal` counts from 1."""

    ordinal: int
    sequence: int
    source: int
    target: int
    coin: int
    amount: int
    from_wallet: str
    to_wallet: str
    wall_us: int


class CashFlow(NamedTuple):
    """Money that came into the venue, or left it; `ordinal` counts from 1 within its kind."""

    ordinal: int
    sequence: int
    coin: int
    amount: int
    wall_us: int


class InterestCharge(NamedTuple):
    """Interest on one loan; the rate is of one hour, 10**-12."""

    sequence: int
    coin: int
    borrowed: int
    free: int
    rate: int
    interest: int
    wall_us: int
