"""One program per data folder, and one per account on a whole host.

Belongs here: the locks. Does not belong here: what is guarded (`instance`).

A folder's lock is a file in it. A host's lock is a name in the kernel where there are such names (Linux's
abstract sockets): no private /tmp, no read-only file system and no other user hides it. Containers with a
network of their own see each other only through a folder that they share: `SLIPSTREAM_LOCK_DIR` names it.
Every lock ends with the process that holds it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from follower_client.errors import InstanceError

__all__ = ["LOCK_DIR_VARIABLE", "Lock", "hold", "hold_on_host", "is_held"]

LOCK_DIR_VARIABLE = "SLIPSTREAM_LOCK_DIR"
ASK_LIMIT_S = 0.2
CREDENTIALS = struct.Struct("3i")  # process, user, group


class Lock(Protocol):
    """Held until it is closed."""

    def close(self) -> None: ...


def hold(path: Path, what: str) -> Lock:
    """Lock a file until it is closed or the process ends. Raises `InstanceError`."""
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise InstanceError(f"{what}: {path} cannot be locked ({error.strerror})") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read(32).strip()
        file.close()
        raise _taken(what, owner) from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def is_held(path: Path) -> bool:
    """Whether a program that runs on this machine holds a file's lock."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def hold_on_host(name: str, what: str) -> Lock:
    """Lock a name for all programs of this host. The name is hashed, so it may be a secret. Raises
    `InstanceError`.
    """
    digest = f"slipstream-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    chosen = os.environ.get(LOCK_DIR_VARIABLE, "")
    if sys.platform == "linux" and not chosen:
        return _hold_address(f"\0{digest}", what)
    folder = Path(chosen or Path(tempfile.gettempdir()) / f"slipstream-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InstanceError(f"{what}: {folder} cannot be made ({error.strerror})") from None
    return hold(folder / f"{digest}.lock", what)


def _hold_address(address: str, what: str) -> Lock:
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(address)
        held.listen()
    except OSError as error:
        held.close()
        if error.errno != errno.EADDRINUSE:
            raise InstanceError(f"{what}: cannot be locked ({error.strerror})") from None
        raise _taken(what, _holder(address)) from None
    return held


def _holder(address: str) -> str:
    """The process that holds an address; empty where it cannot be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(ASK_LIMIT_S)
        try:
            asking.connect(address)
            raw = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        except OSError:
            return ""
    process: int = CREDENTIALS.unpack(raw)[0]
    return str(process) if process else ""


def _taken(what: str, process: str) -> InstanceError:
    who = f"process {process}" if process.isdigit() else "a process that cannot be seen from here"
    return InstanceError(f"{what}: another follower-client ({who}) is using it, allowed: one of them")
