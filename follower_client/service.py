"""What a service manager wants to hear: ready, still alive, ending.

Belongs here: systemd's notify protocol. Does not belong here: the unit file (`configs/`),
what being ready means (`daemon`). Without `NOTIFY_SOCKET` nothing is said.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress

__all__ = ["heartbeat", "notify"]

WATCHDOG_SHARE = 3  # beats per allowed silence


def notify(state: str) -> None:
    """Say one thing (`READY=1`, `WATCHDOG=1`, `STOPPING=1`)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect(address)
        channel.sendall(state.encode())


async def heartbeat() -> None:
    """Until cancelled, as often as the watchdog wants; a loop that hangs does not beat."""
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    if not allowed_us.isdigit() or int(allowed_us) == 0:
        await asyncio.Event().wait()
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(int(allowed_us) / 1_000_000 / WATCHDOG_SHARE)
