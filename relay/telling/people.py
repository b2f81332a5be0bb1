"""Messages to people through apprise, where that is installed.

Belongs here: the file of addresses, handing a message on. Does not belong here: what is worth a message, how
often it is tried (each program's notifier).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["AddressError", "Sender", "make_sender", "read_addresses", "sender_of"]

Sender: TypeAlias = Callable[[str, str], Awaitable[bool]]  # title and body -> whether it was handed on


class AddressError(Exception):
    """The file of addresses is of no use; the text says what is allowed and repeats nothing of it."""


def sender_of(file: Path | None) -> Sender | None:
    """What the file's addresses make; None without any. Raises `AddressError`."""
    return make_sender(read_addresses(file))


def read_addresses(file: Path | None) -> list[str]:
    """One apprise address per line; they hold tokens, so none is printed. Raises `AddressError`."""
    if file is None:
        return []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise AddressError("cannot be read, allowed: a text file") from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def make_sender(addresses: Sequence[str]) -> Sender | None:
    """Hands messages to apprise; None without addresses. Raises `AddressError`."""
    if not addresses:
        return None
    try:
        import apprise
    except ImportError:
        raise AddressError("apprise is not installed, allowed: pip install slipstream[notify]") from None
    service: Any = apprise.Apprise()
    for number, address in enumerate(addresses, start=1):
        if not service.add(address):
            raise AddressError(f"line {number} is no apprise address")

    async def send(title: str, body: str) -> bool:
        return bool(await service.async_notify(title=title, body=body))

    return send
