"""What points a bot at a running venue: addresses, keys, the shim for bots that cannot be told.

Belongs here: finding the venue, and the texts that `env` prints. Does not belong here: the shim's work
(`bot_shim`), serving.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

from simulated_exchange.accounts import KeyStore
from simulated_exchange.errors import ConfigurationError

__all__ = ["ACCOUNTS_NAME", "BOTS", "READY_NAME", "environment_lines", "library_settings", "note_ready"]

READY_NAME = "ready.json"
ACCOUNTS_NAME = "accounts.json"
SHIM_FOLDER = Path(__file__).resolve().parent / "bot_shim"
CATEGORIES = ("spot", "linear", "inverse", "option")
BOTS = ("pybit", "ccxt", "freqtrade", "hummingbot", "nautilus")


def note_ready(folder: Path, ready: dict[str, Any]) -> Path:
    """Write down where a venue listens, beside its journal; whoever closes the venue removes the file."""
    file = folder / READY_NAME
    scratch = file.with_suffix(".new")
    scratch.write_text(json.dumps({name: ready[name] for name in ("rest", "ws")}))
    scratch.replace(file)
    return file


def _addresses(rest: str | None, data_dir: Path) -> tuple[str, str]:
    """HTTP and socket address: as given, or as a running venue noted them."""
    if rest is not None:
        rest = rest.rstrip("/")
        if not rest.startswith(("http://", "https://")):
            raise ConfigurationError(
                [f"--rest: was {rest!r}, allowed: an address such as http://127.0.0.1:8080"]
            )
        return rest, "ws" + rest.removeprefix("http")
    file = data_dir / READY_NAME
    try:
        noted = json.loads(file.read_text())
        return str(noted["rest"]), str(noted["ws"])
    except (OSError, ValueError, KeyError, TypeError):
        problem = f"{file}: no venue runs with this data folder; start one, or say --rest http://HOST:PORT"
        raise ConfigurationError([problem]) from None


def _key(account: str | None, data_dir: Path) -> dict[str, str]:
    if account is None:
        return {}
    store = KeyStore.open(data_dir / ACCOUNTS_NAME)
    member = store.by_name(account)
    keys = store.keys_of(member.account) if member is not None else []
    if not keys:
        raise ConfigurationError([f"--account: no account {account!r} with a key in {data_dir}"])
    return {"BYBIT_API_KEY": keys[0].api_key, "BYBIT_API_SECRET": keys[0].api_secret}


def environment_lines(*, rest: str | None, data_dir: Path, account: str | None) -> list[str]:
    """Lines for a shell: addresses, the shim, the key of an account. Raises ConfigurationError."""
    rest_url, ws_url = _addresses(rest, data_dir)
    values = {"VENUE_REST_URL": rest_url, "VENUE_WS_URL": ws_url, **_key(account, data_dir)}
    kept = [
        entry
        for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if entry and Path(entry).resolve() != SHIM_FOLDER
    ]
    values["PYTHONPATH"] = os.pathsep.join([str(SHIM_FOLDER), *kept])
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def library_settings(bot: str, *, rest: str | None, data_dir: Path, account: str | None) -> dict[str, Any]:
    """The same for a bot that can be told, in the words of its own configuration."""
    rest_url, ws_url = _addresses(rest, data_dir)
    key = _key(account, data_dir)
    if bot in ("ccxt", "freqtrade"):
        private = f"{ws_url}/v5/private"
        api = {
            **dict.fromkeys(("spot", "futures", "v2", "public", "private"), rest_url),
            "ws": {
                "public": {name: f"{ws_url}/v5/public/{name}" for name in CATEGORIES},
                "private": {
                    "spot": {"unified": private, "nonUnified": private},
                    "contract": private,
                    "usdc": private,
                    "trade": f"{ws_url}/v5/trade",
                },
            },
        }
        urls = {"urls": {"api": api, "test": api, "demotrading": api}}
        secrets = {"apiKey": key["BYBIT_API_KEY"], "secret": key["BYBIT_API_SECRET"]} if key else {}
        if bot == "ccxt":
            return {**secrets, **urls}
        named = {"key": secrets["apiKey"], "secret": secrets["secret"]} if secrets else {}
        return {"exchange": {"name": "bybit", **named, "ccxt_config": urls, "ccxt_async_config": urls}}
    if bot == "nautilus":
        named = {"api_key": key["BYBIT_API_KEY"], "api_secret": key["BYBIT_API_SECRET"]} if key else {}
        return {
            **named,
            "base_url_http": rest_url,
            "base_url_ws_private": f"{ws_url}/v5/private",
            "base_url_ws_trade": f"{ws_url}/v5/trade",
        }
    named = {"api_key": key["BYBIT_API_KEY"], "api_secret": key["BYBIT_API_SECRET"]} if key else {}
    sockets = {name: f"{ws_url}/v5/{path}" for name, path in _SOCKETS.items()}
    return {**named, "rest": rest_url, **sockets}


_SOCKETS = {**{name: f"public/{name}" for name in CATEGORIES}, "private": "private", "trade": "trade"}
