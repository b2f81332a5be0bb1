"""One program per data folder and per account.

Belongs here: the file locks. Does not belong here: what is guarded.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import IO

from follower_client.errors import InstanceError

__all__ = ["account_lock_path", "hold"]


def account_lock_path(venue: str, api_key: str) -> Path:
    """The same file for the same account, whoever of this user asks. Holds no part of the key."""
    digest = hashlib.sha256(f"{venue}|{api_key}".encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / f"slipstream-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"account-{digest}.lock"


def hold(path: Path, what: str) -> IO[str]:
    """Lock a file until it is closed or the process ends. Raises `InstanceError`."""
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise InstanceError(f"{what}: {path} cannot be locked ({error.strerror})") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read(32).strip() or "unknown"
        file.close()
        raise InstanceError(f"{what}: another follower-client (process {owner}) is using it") from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file
