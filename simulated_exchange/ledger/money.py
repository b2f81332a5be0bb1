"""What is remembered of an account's money beyond its unified wallet: transfers, cash in and out, interest.

Belongs here: bounded histories and their counts. Does not belong here: balances (the engine's answers), the
identifiers that clients give their transfers (`requests_book`), wire text.
"""

from __future__ import annotations

from collections import deque

from simulated_exchange.driver import Event
from simulated_exchange.ledger.money_records import CashFlow, InterestCharge, TransferRecord

__all__ = ["FLOWS_MAX", "MoneyMemory"]

FLOWS_MAX = 1000  # of each kind, per account


class MoneyMemory:
    """The histories of one account; counts go on where histories forget."""

    def __init__(self) -> None:
        self.transfers: deque[TransferRecord] = deque(maxlen=FLOWS_MAX)
        self.transfer_count = 0
        self.deposits: deque[CashFlow] = deque(maxlen=FLOWS_MAX)
        self.deposit_count = 0
        self.withdrawals: deque[CashFlow] = deque(maxlen=FLOWS_MAX)
        self.withdrawal_count = 0
        self.interest: deque[InterestCharge] = deque(maxlen=FLOWS_MAX)

    def transfer(self, event: Event.Transferred) -> None:
        """Money left one of the account's wallets for another."""
        self.transfer_count += 1
        self.transfers.append(
            TransferRecord(
                self.transfer_count,
                event.sequence,
                event.source,
                event.target,
                event.coin,
                event.amount,
                event.from_wallet.name,
                event.to_wallet.name,
                event.wall_us,
            )
        )

    def deposit(self, event: Event.Deposited) -> None:
        """Money came in."""
        self.deposit_count += 1
        self.deposits.append(
            CashFlow(self.deposit_count, event.sequence, event.coin, event.amount, event.wall_us)
        )

    def withdraw(self, event: Event.Withdrawn) -> None:
        """Money went out."""
        self.withdrawal_count += 1
        self.withdrawals.append(
            CashFlow(self.withdrawal_count, event.sequence, event.coin, event.amount, event.wall_us)
        )

    def charge(self, event: Event.InterestCharged) -> None:
        """Interest was taken."""
        self.interest.append(
            InterestCharge(
                event.sequence,
                event.coin,
                event.borrowed,
                event.free,
                event.rate,
                event.interest,
                event.wall_us,
            )
        )
