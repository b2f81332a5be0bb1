"""Who may trade here: one account per API key, kept in one file of the data folder (mode 0600).

Belongs here: names, keys, secrets and the account number behind each. Does not belong here: balances and
positions (the engine's) and signatures (`gateway.auth`).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from simulated_exchange.errors import ConfigurationError

__all__ = ["ACCOUNTS_MAX", "ACCOUNT_FIRST", "ACCOUNT_NAME", "ApiKey", "KeyStore"]

ACCOUNT_FIRST = 100_000  # below: the venue's own accounts and those of the scenario's traders
ACCOUNTS_MAX = 100_000
ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
ACCOUNT_NAME_RULE = "1 to 32 letters, digits, '_', '-' or '.', beginning with a letter or a digit"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One account and the key that trades it."""

    name: str
    api_key: str
    api_secret: str
    account: int
    created_ms: int

    def __repr__(self) -> str:
        """Without the secret, so that no log line can carry it."""
        return f"ApiKey(name={self.name!r}, account={self.account})"


class KeyStore:
    """All API keys of one venue; every change is on disk before it is used."""

    def __init__(self, path: Path, keys: list[ApiKey]) -> None:
        self._path = path
        self._by_key = {key.api_key: key for key in keys}
        self._by_name = {key.name: key for key in keys}
        self._by_account = {key.account: key for key in keys}

    @classmethod
    def open(cls, path: Path) -> KeyStore:
        """The store in this file, or an empty one. Raises ConfigurationError for another file."""
        if not path.exists():
            return cls(path, [])
        try:
            rows = orjson.loads(path.read_bytes())
            keys = [ApiKey(**row) for row in rows["accounts"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigurationError([f"{path}: not a file of accounts ({type(error).__name__})"]) from error
        return cls(path, keys)

    def __len__(self) -> int:
        return len(self._by_key)

    def by_key(self, api_key: str) -> ApiKey | None:
        """The account behind an API key."""
        return self._by_key.get(api_key)

    def by_name(self, name: str) -> ApiKey | None:
        """The account of this name."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(self._by_account.values())

    def accounts(self) -> list[int]:
        """The numbers of all accounts that have a key."""
        return list(self._by_account)

    def create(self, name: str, created_ms: int) -> ApiKey:
        """A new account with a new key; on disk when this returns. Raises ValueError for an unusable name."""
        if ACCOUNT_NAME.fullmatch(name) is None:
            raise ValueError(f"name must be {ACCOUNT_NAME_RULE}")
        if name in self._by_name:
            raise ValueError(f"the name {name} is taken")
        if len(self) >= ACCOUNTS_MAX:
            raise ValueError(f"this venue has its maximum of {ACCOUNTS_MAX} accounts")
        account = max(self._by_account, default=ACCOUNT_FIRST - 1) + 1
        key = ApiKey(name, secrets.token_hex(9), secrets.token_hex(18), account, created_ms)
        self._write([*self, key])
        self._by_key[key.api_key] = self._by_name[name] = self._by_account[account] = key
        return key

    def _write(self, keys: list[ApiKey]) -> None:
        body = orjson.dumps({"accounts": [asdict(key) for key in keys]}, option=orjson.OPT_INDENT_2)
        scratch = self._path.with_suffix(".new")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the new name is durable only when its folder is
        finally:
            os.close(folder)
