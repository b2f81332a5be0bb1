"""Who may trade here: members, and the API keys of each, kept in one file of the data folder (mode 0600).

Belongs here: names, keys, secrets, what a key may do, and the account number behind each. Does not belong
here: balances and positions (the engine's), signatures (`gateway.auth`), the wire's names of permissions
(`gateway.translate.keys`).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from simulated_exchange.errors import ConfigurationError

__all__ = [
    "ACCOUNTS_MAX",
    "ACCOUNT_FIRST",
    "ACCOUNT_NAME",
    "KEYS_PER_MEMBER_MAX",
    "ApiKey",
    "KeyStore",
    "Member",
]

ACCOUNT_FIRST = 100_000  # below: the venue's own accounts and those of the scenario's traders
ACCOUNTS_MAX = 100_000
KEYS_PER_MEMBER_MAX = 20
ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
ACCOUNT_NAME_RULE = "1 to 32 letters, digits, '_', '-' or '.', beginning with a letter or a digit"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key and the account that it trades.

    Without `scopes` it may do everything, without `ips` from anywhere; `expires_ms` 0 is never.
    """

    name: str
    api_key: str
    api_secret: str
    account: int
    created_ms: int
    note: str = ""
    is_read_only: bool = False
    scopes: tuple[str, ...] | None = None
    ips: tuple[str, ...] = ()
    expires_ms: int = 0

    def __repr__(self) -> str:
        """Without the secret, so that no log line can carry it."""
        return f"ApiKey(name={self.name!r}, account={self.account})"


@dataclass(frozen=True, slots=True)
class Member:
    """One account: a main one, or a sub-account of `main`."""

    name: str
    account: int
    created_ms: int
    main: int = 0
    note: str = ""
    is_frozen: bool = False

    @property
    def main_account(self) -> int:
        """The main account of its family: itself, unless it is a sub-account."""
        return self.main or self.account


class KeyStore:
    """All members and API keys of one venue; every change is on disk before it is used."""

    def __init__(self, path: Path, keys: Sequence[ApiKey], members: Sequence[Member] = ()) -> None:
        self._path = path
        self._keys = {key.api_key: key for key in keys}
        first = {key.account: key for key in reversed(keys)}
        known = {member.account for member in members}
        founders = [
            Member(key.name, key.account, key.created_ms) for key in keys if key is first[key.account]
        ]
        self._members = {
            member.account: member
            for member in [*members, *(entry for entry in founders if entry.account not in known)]
        }
        self._by_name = {member.name: member for member in self._members.values()}

    @classmethod
    def open(cls, path: Path) -> KeyStore:
        """The store in this file, or an empty one. Raises ConfigurationError for another file."""
        if not path.exists():
            return cls(path, [])
        try:
            rows = orjson.loads(path.read_bytes())
            keys = [_key(row) for row in rows["accounts"]]
            members = [Member(**row) for row in rows.get("members", [])]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError([f"{path}: not a file of accounts ({type(error).__name__})"]) from error
        return cls(path, keys, members)

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[ApiKey]:
        """Every key, in the order of their making."""
        return iter(self._keys.values())

    def by_key(self, api_key: str) -> ApiKey | None:
        """What an API key is."""
        return self._keys.get(api_key)

    def by_name(self, name: str) -> Member | None:
        """The member of this name."""
        return self._by_name.get(name)

    def member(self, account: int) -> Member | None:
        """The member of this account."""
        return self._members.get(account)

    def members(self) -> list[Member]:
        """All members, in the order of their accounts' opening."""
        return list(self._members.values())

    def sub_members(self, main: int) -> list[Member]:
        """The sub-accounts of a main account."""
        return [member for member in self._members.values() if member.main == main]

    def accounts(self) -> list[int]:
        """The numbers of all accounts."""
        return list(self._members)

    def keys_of(self, account: int) -> list[ApiKey]:
        """An account's keys, oldest first."""
        return [key for key in self._keys.values() if key.account == account]

    def create(self, name: str, created_ms: int) -> ApiKey:
        """A new main account with its first key; on disk when this returns. Raises ValueError for an unusable
        name.
        """
        member = self._new_member(name, created_ms, 0, "")
        key = ApiKey(name, secrets.token_hex(9), secrets.token_hex(18), member.account, created_ms)
        self._keep({**self._keys, key.api_key: key}, {**self._members, member.account: member})
        return key

    def create_sub(self, main: int, name: str, created_ms: int, note: str = "") -> Member:
        """A new sub-account, which has no key yet. Raises ValueError for an unusable name."""
        member = self._new_member(name, created_ms, main, note)
        self._keep(self._keys, {**self._members, member.account: member})
        return member

    def freeze(self, account: int, is_frozen: bool) -> None:
        """Take a sub-account's keys out of service, or put them back."""
        member = replace(self._members[account], is_frozen=is_frozen)
        self._keep(self._keys, {**self._members, account: member})

    def remove_sub(self, account: int) -> None:
        """Close a sub-account to its keys for good; what the engine knows of it stays."""
        keys = {text: key for text, key in self._keys.items() if key.account != account}
        self._keep(keys, {**self._members, account: replace(self._members[account], is_frozen=True)})

    def issue(self, account: int, created_ms: int, **terms: Any) -> ApiKey:
        """A further key of an account; `terms` are fields of ApiKey. Raises ValueError beyond the most."""
        if len(self.keys_of(account)) >= KEYS_PER_MEMBER_MAX:
            raise ValueError(f"an account has at most {KEYS_PER_MEMBER_MAX} keys")
        name = self._members[account].name
        key = ApiKey(name, secrets.token_hex(9), secrets.token_hex(18), account, created_ms, **terms)
        self._keep({**self._keys, key.api_key: key}, self._members)
        return key

    def modify(self, api_key: str, **terms: Any) -> ApiKey:
        """Change what a key may do; `terms` are fields of ApiKey. Raises KeyError for an unknown key."""
        key = replace(self._keys[api_key], **terms)
        self._keep({**self._keys, api_key: key}, self._members)
        return key

    def delete(self, api_key: str) -> None:
        """Take a key out of service. Raises KeyError for an unknown key."""
        keys = dict(self._keys)
        del keys[api_key]
        self._keep(keys, self._members)

    def _new_member(self, name: str, created_ms: int, main: int, note: str) -> Member:
        if ACCOUNT_NAME.fullmatch(name) is None:
            raise ValueError(f"name must be {ACCOUNT_NAME_RULE}")
        if name in self._by_name:
            raise ValueError(f"the name {name} is taken")
        if len(self) >= ACCOUNTS_MAX:
            raise ValueError(f"this venue has its maximum of {ACCOUNTS_MAX} accounts")
        account = max(self._members, default=ACCOUNT_FIRST - 1) + 1
        return Member(name, account, created_ms, main, note)

    def _keep(self, keys: dict[str, ApiKey], members: dict[int, Member]) -> None:
        self._write(keys, members)
        self._keys, self._members = keys, members
        self._by_name = {member.name: member for member in members.values()}

    def _write(self, keys: dict[str, ApiKey], members: dict[int, Member]) -> None:
        rows = {
            "accounts": [asdict(key) for key in keys.values()],
            "members": [asdict(member) for member in members.values()],
        }
        scratch = self._path.with_suffix(".new")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the new name is durable only when its folder is
        finally:
            os.close(folder)


def _key(row: dict[str, Any]) -> ApiKey:
    """A key as it was written; lists come back as tuples."""
    scopes = row.get("scopes")
    row = {**row, "scopes": None if scopes is None else tuple(scopes), "ips": tuple(row.get("ips", ()))}
    return ApiKey(**row)
