"""Who may copy: one program per data folder, per API key, per account at the venue.

Belongs here: what is locked for a follower. Does not belong here: how a lock is held (`locks`), noticing a
second program on another host (`order_driver` sees its orders).
"""

from __future__ import annotations

from contextlib import ExitStack, closing

from follower_client.errors import ConfigurationError, FollowerError, StoreError
from follower_client.locks import Lock, hold, hold_on_host
from follower_client.reading import read_secret
from follower_client.settings import FollowerSettings
from follower_client.store import Store
from follower_client.store_witness import refuse_lost
from follower_client.venue.key_rights import KeyRights
from relay.protocol.venues import venue_name

__all__ = ["bind_store", "check_folder", "hold_account", "hold_follower"]

PAPER = "paper"
LIVE = "live"


def hold_follower(settings: FollowerSettings) -> list[Lock]:
    """Everything that can be held before the venue is asked. Raises `FollowerError`."""
    folder = settings.follower.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FollowerError(f"follower.data_dir: {folder} cannot be made ({error.strerror})") from None
    with ExitStack() as held:
        locks = [hold(folder / "lock", f"follower.data_dir: {folder}")]
        held.enter_context(closing(locks[0]))
        if settings.venue.kind != PAPER:
            key = read_secret(settings.venue.api_key, settings.venue.api_key_file, "venue.api_key_file")
            locks.append(hold_on_host(f"key|{key}", "venue.api_key: this key"))
        held.pop_all()
    return locks


def hold_account(settings: FollowerSettings, key: KeyRights) -> Lock | None:
    """The account itself, which may have several keys; `None` where the venue does not number it."""
    if not key.account:
        return None
    return hold_on_host(f"account|{_account(settings, key)}", f"venue.api_key: the account {key.account}")


def check_folder(settings: FollowerSettings) -> None:
    """Whether a folder that was used before is this follower's, and of the same kind. Raises
    `ConfigurationError`, or `StoreError` where its store is gone; one that cannot be read is told of when it
    is opened.
    """
    folder = settings.follower.data_dir
    file = folder / "follower.sqlite"
    refuse_lost(file)
    if not file.exists():
        return
    try:
        store = Store.open(file, read_only=True)
    except StoreError:
        return
    try:
        identity = store.identity()
    except StoreError:
        return
    finally:
        store.close()
    told = f"follower.data_dir: was {str(folder)!r}, allowed: a folder of its own, this one keeps"
    owner, bound = identity.get("follower", settings.follower.id), identity.get("account")
    if owner != settings.follower.id:
        raise ConfigurationError([f"{told} the copies of {owner}"])
    if bound is not None and (bound == PAPER) != (settings.venue.kind == PAPER):
        raise ConfigurationError([f"{told} copies on {'paper' if bound == PAPER else 'a real account'}"])


def bind_store(store: Store, settings: FollowerSettings, key: KeyRights | None) -> None:
    """A folder keeps the copies of one follower on one account, whichever key of it is used. Raises
    `StoreError`.
    """
    if store.identity().get("account") is None:
        store.claim({"account": PAPER if key is None else LIVE})
    if key is not None and key.account:
        store.claim({"owner": _account(settings, key)})


def _account(settings: FollowerSettings, key: KeyRights) -> str:
    return f"{venue_name(settings.venue.exchange, settings.venue.rest_url)}|{key.account}"
