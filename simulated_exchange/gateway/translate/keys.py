"""Rows of members and their API keys, and the wire's permissions.

Belongs here: wire names and texts of who may do what. Does not belong here: checking it (`gateway.auth`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from simulated_exchange.accounts import ApiKey, Member
from simulated_exchange.driver import AccountLevel
from simulated_exchange.gateway.translate.refusals import invalid_parameter

__all__ = ["SCOPES", "addresses", "api_key_row", "issued_key_row", "member_row", "scopes_of", "sub_key_row"]

Row = dict[str, Any]

SCOPES = {
    "contract_order": ("ContractTrade", "Order"),
    "contract_position": ("ContractTrade", "Position"),
    "spot": ("Spot", "SpotTrade"),
    "transfer": ("Wallet", "AccountTransfer"),
    "sub_transfer": ("Wallet", "SubMemberTransfer"),
    "withdraw": ("Wallet", "Withdraw"),
    "derivatives": ("Derivatives", "DerivativesTrade"),
}
"""What a key can be allowed, and where the wire has it."""

_GROUPS = [
    "ContractTrade",
    "Spot",
    "Wallet",
    "Options",
    "Derivatives",
    "Exchange",
    "Earn",
    "FiatP2P",
    "FiatBitPay",
    "FiatGlobalPay",
    "FiatConvertBroker",
    "BitCard",
    "ByXPost",
    "Affiliate",
    "BlockTrade",
    "NFT",
    "CopyTrading",
]
_LEVELS = {AccountLevel.Unverified: "LEVEL_DEFAULT", AccountLevel.Standard: "LEVEL_1"}
_VIP = {
    AccountLevel.Vip: "VIP-3",
    AccountLevel.Vip4: "VIP-4",
    AccountLevel.Vip5: "VIP-5",
    AccountLevel.Supreme: "VIP-Supreme",
    AccountLevel.Pro: "PRO-6",
}
_NEVER = "1970-01-01T00:00:00Z"
DAY_MS = 86_400_000
ADDRESSES_MAX = 20


def _time_text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _permissions(scopes: Sequence[str] | None) -> Row:
    groups: Row = {name: [] for name in _GROUPS}
    for scope, (group, word) in SCOPES.items():
        if scopes is None or scope in scopes:
            groups[group].append(word)
    return groups


def scopes_of(permissions: object) -> tuple[str, ...]:
    """The scopes behind the wire's permissions; words that mean nothing here are left out."""
    if not isinstance(permissions, Mapping):
        raise invalid_parameter("permissions", "an object of lists")
    found = []
    for scope, (group, word) in SCOPES.items():
        words = permissions.get(group) or []
        if not isinstance(words, list):
            raise invalid_parameter("permissions", "an object of lists")
        if word in words:
            found.append(scope)
    return tuple(found)


def addresses(value: object) -> tuple[str, ...]:
    """The addresses a key is bound to: comma separated, or a list; "*" and nothing are everywhere."""
    texts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    if len(texts) > ADDRESSES_MAX or not all(isinstance(text, str) and len(text) <= 45 for text in texts):
        raise invalid_parameter("ips", f"at most {ADDRESSES_MAX} addresses")
    found = tuple(text.strip() for text in texts if text.strip())
    return () if "*" in found else found


def _key_row(key: ApiKey) -> Row:
    return {
        "id": str(key.account),
        "note": key.note or key.name,
        "apiKey": key.api_key,
        "readOnly": int(key.is_read_only),
        "secret": "",
        "permissions": _permissions(key.scopes),
    }


def api_key_row(key: ApiKey, member: Member, level: AccountLevel, now_ms: int) -> Row:
    """What a key may do, and whose it is; the secret is never repeated."""
    left_days = (key.expires_ms - now_ms) // DAY_MS if key.expires_ms else -1
    return {
        **_key_row(key),
        "ips": list(key.ips) or ["*"],
        "type": 1,
        "deadlineDay": left_days,
        "expiredAt": _time_text(key.expires_ms) if key.expires_ms else _NEVER,
        "createdAt": _time_text(key.created_ms),
        "uta": 1,
        "unified": 0,
        "userID": key.account,
        "inviterID": 0,
        "vipLevel": _VIP.get(level, "No VIP"),
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": not member.main,
        "parentUid": str(member.main),
        "kycLevel": _LEVELS.get(level, "LEVEL_2"),
        "kycRegion": "",
        "userIDInt64": str(key.account),
        "inviterIDInt64": "0",
        "affiliateIDInt64": "0",
    }


def issued_key_row(key: ApiKey, *, with_secret: bool) -> Row:
    """What making or changing a key answers; the secret is told once."""
    row = _key_row(key)
    return {**row, "secret": key.api_secret} if with_secret else {**row, "ips": list(key.ips) or ["*"]}


def sub_key_row(key: ApiKey, now_ms: int) -> Row:
    """A row of a sub-account's keys."""
    left_days = (key.expires_ms - now_ms) // DAY_MS if key.expires_ms else -1
    return {
        **_key_row(key),
        "ips": list(key.ips) or ["*"],
        "status": 4 if key.expires_ms and key.expires_ms <= now_ms else 1,
        "expiredAt": _time_text(key.expires_ms) if key.expires_ms else _NEVER,
        "createdAt": _time_text(key.created_ms),
        "type": 1,
        "secret": "******",
        "readOnly": key.is_read_only,
        "deadlineDay": left_days,
        "flag": "hmac",
    }


def member_row(member: Member) -> Row:
    """A sub-account."""
    return {
        "uid": str(member.account),
        "username": member.name,
        "memberType": 1,
        "status": 4 if member.is_frozen else 1,
        "remark": member.note,
        "accountMode": 6,
    }
