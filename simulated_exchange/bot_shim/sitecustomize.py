"""Points the client library of an unmodified bot at a simulated exchange. Python runs this file when the bot
starts, because its folder is first on PYTHONPATH and VENUE_REST_URL and VENUE_WS_URL are set.

Belongs here: which constants of which library hold addresses. Does not belong here: anything of this project;
the bot's Python need not have it installed, so only the standard library is imported. Real, test and demo
addresses are all replaced: a bot that switches to a sandbox stays on the simulated exchange, with its keys.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from urllib.parse import urlsplit

REST_URL = os.environ.get("VENUE_REST_URL", "").rstrip("/")
WS_URL = os.environ.get("VENUE_WS_URL", "").rstrip("/")
_HOSTS = ("bybit", "bytick", "{hostname}")


def pointed(value: Any) -> Any:
    """The same addresses, those of the venue replaced with the path kept; also inside dictionaries."""
    if isinstance(value, dict):
        return {key: pointed(entry) for key, entry in value.items()}
    if not isinstance(value, str) or "://" not in value:
        return value
    parts = urlsplit(value)
    if not any(host in parts.netloc for host in _HOSTS):
        return value
    base = WS_URL if parts.scheme in ("ws", "wss") else REST_URL
    return base + parts.path


def _pybit_http(module: ModuleType) -> None:
    module.HTTP_URL = REST_URL  # type: ignore[attr-defined]


def _pybit_streams(module: ModuleType) -> None:
    module.PUBLIC_WSS = WS_URL + "/v5/public/{CHANNEL_TYPE}"  # type: ignore[attr-defined]
    module.PRIVATE_WSS = WS_URL + "/v5/private"  # type: ignore[attr-defined]


def _pybit_trading(module: ModuleType) -> None:
    module.TRADE_WSS = WS_URL + "/v5/trade"  # type: ignore[attr-defined]


def _ccxt(module: ModuleType) -> None:
    """ccxt describes an exchange in a method; what it says of addresses is replaced on the way out."""
    exchange = module.bybit
    describe = exchange.describe

    def described(self: Any) -> Any:
        told = describe(self)
        for name in ("api", "test", "demotrading"):
            if name in told["urls"]:
                told["urls"][name] = pointed(told["urls"][name])
        return told

    exchange.describe = described


def _constants(module: ModuleType) -> None:
    """A module of constants: every address in it."""
    for name, value in list(vars(module).items()):
        if not name.startswith("_") and isinstance(value, str | dict):
            setattr(module, name, pointed(value))


def _functions(module: ModuleType) -> None:
    """A module of functions that answer an address: every one of them."""

    def pointing(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: pointed(function(*arguments, **named))

    for name, value in list(vars(module).items()):
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            setattr(module, name, pointing(value))


HOOKS: dict[str, Callable[[ModuleType], None]] = {
    "pybit._http_manager": _pybit_http,
    "pybit.unified_trading": _pybit_streams,
    "pybit._websocket_trading": _pybit_trading,
    "ccxt.bybit": _ccxt,
    "ccxt.async_support.bybit": _ccxt,
    "ccxt.pro.bybit": _ccxt,
    "hummingbot.connector.exchange.bybit.bybit_constants": _constants,
    "hummingbot.connector.derivative.bybit_perpetual.bybit_perpetual_constants": _constants,
    "nautilus_trader.adapters.bybit.common.urls": _functions,
}


class _Loader(importlib.abc.Loader):
    """The module's own loader, then the hook."""

    def __init__(self, inner: importlib.abc.Loader, hook: Callable[[ModuleType], None]) -> None:
        self._inner = inner
        self._hook = hook

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        self._hook(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds nothing itself; puts the hook behind whatever the others find."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        hook = HOOKS.get(name)
        if hook is None:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, hook)
                return spec
        return None


def _run_the_next() -> None:
    """An environment may have a file of this name already; Python runs only the first, so this runs it."""
    here = Path(__file__).resolve().parent
    elsewhere = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if REST_URL and WS_URL:
    sys.meta_path.insert(0, Finder())
_run_the_next()
