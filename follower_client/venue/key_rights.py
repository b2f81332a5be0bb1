"""What an API key may do, and what that means for a follower.

Belongs here: reading the venue's description of a key, the objections to it. Does not belong here: asking the
venue (`v5_account`), telling a person (`doctor`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from follower_client.errors import VenueUnavailableError

__all__ = ["KeyRights", "Objection", "objections"]

WITHDRAW = "Withdraw"
TRANSFERS = frozenset({"AccountTransfer", "SubMemberTransfer", "SubMemberTransferList"})
UNVERIFIED = "LEVEL_DEFAULT"
DAYS_LEFT_FEW = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRights:
    """`rights` = every right of the key, whatever its group; `ips` empty = usable from anywhere; `account` =
    the venue's number of it, empty where it tells none; `days_left` `None` = it does not run out.
    """

    rights: frozenset[str]
    can_trade: bool
    is_read_only: bool
    ips: tuple[str, ...]
    kyc_level: str
    is_unified: bool
    account: str = ""
    days_left: int | None = None

    @classmethod
    def of(cls, answer: object) -> KeyRights:
        """The venue's answer. Raises `VenueUnavailableError` for one that does not list the key's rights."""
        row = answer.get("result") if isinstance(answer, Mapping) else None
        groups = row.get("permissions") if isinstance(row, Mapping) else None
        if not isinstance(row, Mapping) or not isinstance(groups, Mapping):
            raise VenueUnavailableError("the key: an answer that does not list its rights")
        rights = frozenset(str(right) for found in groups.values() for right in found or [])
        contract = {"Order", "Position"} <= set(groups.get("ContractTrade") or [])
        return cls(
            rights=rights,
            can_trade=contract or "DerivativesTrade" in (groups.get("Derivatives") or []),
            is_read_only=bool(row.get("readOnly")),
            ips=tuple(ip for ip in row.get("ips") or [] if ip and ip != "*"),
            kyc_level=str(row.get("kycLevel") or ""),
            is_unified=bool(row.get("uta") or row.get("unified")),
            account=str(row.get("userID") or ""),
            days_left=_days(row.get("deadlineDay")),
        )


@dataclass(frozen=True, slots=True)
class Objection:
    """`is_fatal` = nothing is started with this key."""

    name: str
    is_fatal: bool
    what: str
    what_to_do: str


def objections(key: KeyRights, *, real_money: bool) -> list[Objection]:
    """What speaks against a key. Where money is real, one that may withdraw or works from anywhere is not
    used at all; test environments hand out such keys.
    """
    found = []
    if WITHDRAW in key.rights:
        todo = "make a key without the right to withdraw"
        found.append(Objection("withdraw", real_money, "the key may withdraw", todo))
    if key.is_read_only or not key.can_trade:
        found.append(
            Objection(
                "trade", True, "the key may not trade contracts", "give it contract orders and positions"
            )
        )
    if key.kyc_level == UNVERIFIED:
        found.append(
            Objection(
                "kyc", True, "the account is not verified, contracts are closed to it", "verify the account"
            )
        )
    if not key.is_unified:
        found.append(
            Objection("unified", True, "the account is not a unified one", "upgrade it at the venue")
        )
    if key.rights & TRANSFERS:
        found.append(
            Objection("transfer", False, "the key may move money between accounts", "take that right away")
        )
    if key.days_left is not None and key.days_left <= DAYS_LEFT_FEW:
        todo = "make a new one, or bind it to an address, in time"
        found.append(Objection("expiry", False, f"the key runs out in {key.days_left} days", todo))
    if not key.ips:
        found.append(
            Objection("ip", real_money, "the key works from any address", "bind it to this machine's address")
        )
    return found


def _days(value: object) -> int | None:
    days = int(value) if isinstance(value, int | str) and str(value).lstrip("-").isdigit() else -1
    return days if days >= 0 else None
