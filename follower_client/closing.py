"""Getting out without a running daemon, and knowing when one is out.

Belongs here: closing copied positions from the command line, leaving a leader. Does not belong here: the way
out itself (`closeout`), the order to take it (`control`).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from follower_client.closeout import Closeout
from follower_client.control import ControlFile
from follower_client.core.snapshot import Control
from follower_client.daemon import Market
from follower_client.desk import Desk
from follower_client.editing import take_out
from follower_client.errors import FollowerError, InstanceError, StoreError, VenueUnavailableError
from follower_client.failpoint import Failpoints
from follower_client.joining import request_leave
from follower_client.locks import hold
from follower_client.protection import Protection
from follower_client.reading import read_files
from follower_client.records import Order
from follower_client.settings import FollowerSettings
from follower_client.store import Store
from follower_client.store_witness import is_lost

__all__ = ["leave", "wait_until_flat"]

LOOK_EVERY_S = 0.1
LEFT_SUFFIX = ".left"


def wait_until_flat(settings: FollowerSettings, limit_s: float) -> bool:
    """Whether nothing copied is open any more. A running daemon closes; without one it is done here."""
    folder = settings.follower.data_dir
    if is_lost(folder / "follower.sqlite"):
        told = "the memory of what was copied is gone, so nobody knows what to close"
        raise StoreError(f"{told}: follower-client recover, or close by hand at the venue")
    if _never_copied(folder):
        return True
    try:
        lock = hold(folder / "lock", "follower.data_dir")
    except InstanceError:
        return _watch(folder, limit_s)
    try:
        return asyncio.run(_close_here(settings, limit_s))
    finally:
        lock.close()


def _never_copied(folder: Path) -> bool:
    """A store that is lost is none that never was: what it held may be open."""
    file = folder / "follower.sqlite"
    return not file.exists() and not is_lost(file)


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


async def _close_here(settings: FollowerSettings, limit_s: float, only: str | None = None) -> bool:
    """The account alone, without a feed: resolve what was open, then close what copying built (`only` of one
    leader).
    """
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
                is_flat = await Closeout(settings.follower.id, desk).close_all(number, only)
                with suppress(VenueUnavailableError):
                    await desk.part_stops.keep(Protection(desk, dict).parts())
                return is_flat
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


def leave(
    settings: FollowerSettings, leader_id: str, config: Path, *, keep: bool, limit_s: float
) -> dict[str, object]:
    """No more entries from now on; close or keep; off the relay's list; out of the configuration."""
    settings.follower.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    control = ControlFile(settings.follower.data_dir)
    if settings.more_leaders:
        is_flat = _leave_one(settings, leader_id, config, keep=keep, limit_s=limit_s)
        level = control.read().level
    else:
        level = Control.PAUSE if keep else Control.FLATTEN
        level = control.order(level, by="operator", reason=f"left {leader_id}").level
        is_flat = not keep and wait_until_flat(settings, limit_s)
    is_off = asyncio.run(request_leave(settings, leader_id))
    if not settings.more_leaders and (is_flat or keep):
        _set_aside(settings, config)
        control.leave(leader_id)
    return {
        "follower": settings.follower.id,
        "leader": leader_id,
        "level": level.value,
        "flat": is_flat,
        "off_the_relays_list": is_off,
    }


def _leave_one(
    settings: FollowerSettings, leader_id: str, config: Path, *, keep: bool, limit_s: float
) -> bool:
    """One of several leaders goes, the others stay: so nothing may run that still copies all of them. Whether
    his copies are closed.
    """
    folder = settings.follower.data_dir
    try:
        lock = hold(folder / "lock", "follower.data_dir")
    except InstanceError as error:
        others = ", ".join(leader.id for leader in settings.leaders if leader.id != leader_id)
        told = f"{error}; it copies {others} too, allowed: stop it, leave, start it again"
        raise InstanceError(f"leave: {told}") from None
    try:
        is_flat = False
        if not keep:
            is_flat = _never_copied(folder)
            is_flat = is_flat or asyncio.run(_close_here(settings, limit_s, leader_id))
        if is_flat or keep:
            ControlFile(folder).note("left", by="operator", detail=leader_id)
            take_out(_file_of(settings, config), leader_id)
        return is_flat
    finally:
        lock.close()


def _file_of(settings: FollowerSettings, config: Path) -> Path:
    files = read_files(config).settings
    return next(file for file, one in files.items() if one.follower.id == settings.follower.id)


def _set_aside(settings: FollowerSettings, config: Path) -> None:
    """So that `run` does not follow again. Data and keys stay where they are."""
    file = _file_of(settings, config)
    try:
        file.rename(file.with_name(file.name + LEFT_SUFFIX))
    except OSError as error:
        raise FollowerError(f"{file}: cannot be set aside ({error.strerror})") from None
