"""Getting out without a running daemon, and knowing when one is out.

Belongs here: closing copied positions from the command line, leaving a leader. Does not belong here: the way
out itself (`closeout`), the order to take it (`control`).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from follower_client.closeout import Closeout
from follower_client.control import ControlFile
from follower_client.core.snapshot import Control
from follower_client.daemon import Market
from follower_client.desk import Desk
from follower_client.errors import FollowerError, InstanceError
from follower_client.failpoint import Failpoints
from follower_client.joining import request_leave
from follower_client.locks import hold
from follower_client.reading import load_settings
from follower_client.records import Order
from follower_client.settings import FollowerSettings
from follower_client.store import Store

__all__ = ["leave", "wait_until_flat"]

LOOK_EVERY_S = 0.1
LEFT_SUFFIX = ".left"


def wait_until_flat(settings: FollowerSettings, limit_s: float) -> bool:
    """Whether nothing copied is open any more. A running daemon closes; without one it is done here."""
    folder = settings.follower.data_dir
    if not (folder / "follower.sqlite").exists():
        return True
    try:
        lock = hold(folder / "lock", "follower.data_dir")
    except InstanceError:
        return _watch(folder, limit_s)
    try:
        return asyncio.run(_close_here(settings, limit_s))
    finally:
        lock.close()


def _watch(folder: Path, limit_s: float) -> bool:
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        store = Store.open(folder / "follower.sqlite", read_only=True)
        try:
            if not store.positions() and not store.open_orders():
                return True
        finally:
            store.close()
        time.sleep(LOOK_EVERY_S)
    return False


async def _close_here(settings: FollowerSettings, limit_s: float) -> bool:
    """The account alone, without a feed: resolve what was open, then close what copying built."""
    folder = settings.follower.data_dir
    store = Store.open(folder / "follower.sqlite")
    market = Market([settings])
    control = ControlFile(folder)
    port = None
    try:
        async with asyncio.timeout(limit_s):
            port = market.port(settings, await market.start())
            desk = Desk(settings.to_policy(), store, port, control, Failpoints())
            desk.prepare()
            await port.start(desk)
            running = [asyncio.create_task(one) for one in (market.run(), port.run())]
            running += [asyncio.create_task(_drive(desk, order)) for order in store.open_orders()]
            await asyncio.sleep(0)  # every one of them counts before anything is compared
            try:
                await desk.reconcile()
                number = control.read().closing or control.read().number
                return await Closeout(settings.follower.id, desk).close_all(number)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
    except TimeoutError:
        return False
    finally:
        if port is not None:
            await port.close()
        await market.close()
        store.close()


async def _drive(desk: Desk, order: Order) -> None:
    live = desk.driver.adopt(order)
    live.why_not = lambda: "" if order.leg != "open" else "flatten"
    await desk.driver.drive(live, recovered=True)


def leave(settings: FollowerSettings, config: Path, *, keep: bool, limit_s: float) -> dict[str, object]:
    """No more entries from now on; close or keep; off the relay's list; the configuration set aside."""
    level = Control.PAUSE if keep else Control.FLATTEN
    settings.follower.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = ControlFile(settings.follower.data_dir).order(level, by="operator", reason="left the leader")
    is_flat = not keep and wait_until_flat(settings, limit_s)
    is_off = asyncio.run(request_leave(settings))
    if is_flat or keep:
        _set_aside(settings, config)
    return {
        "follower": settings.follower.id,
        "leader": settings.leader.id,
        "level": state.level.value,
        "flat": is_flat,
        "off_the_relays_list": is_off,
    }


def _set_aside(settings: FollowerSettings, config: Path) -> None:
    """So that `run` does not follow again. Data and keys stay where they are."""
    files = sorted(config.glob("*.toml")) if config.is_dir() else [config]
    for file in files:
        if load_settings(file).follower.id == settings.follower.id:
            try:
                file.rename(file.with_name(file.name + LEFT_SUFFIX))
            except OSError as error:
                raise FollowerError(f"{file}: cannot be set aside ({error.strerror})") from None
