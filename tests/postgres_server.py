"""A PostgreSQL server of the tests' own, from Debian's package, on a socket in a temporary folder.

Belongs here: starting, a fresh database each, ending. Fails, and says what to install, where there is no
server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from relay.store.postgres import PostgresDatabase

__all__ = ["PostgresServer", "postgres_server"]

PACKAGES = Path("/usr/lib/postgresql")
MEMORY = Path("/dev/shm")
ROOM_BYTES = 2**30
SERVER_USER = "postgres"  # the server refuses to run as root
_numbers = count(1)


class PostgresServer:
    """A running server."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs

    def run(self, program: str, *arguments: str) -> None:
        """One of the server's programs, as the user who may."""
        as_user = ["runuser", "-u", SERVER_USER, "--"] if os.getuid() == 0 else []
        command = [*as_user, str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder)
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    def start(self) -> None:
        """Make the cluster and start it; it speaks on a socket only."""
        data = str(self._folder / "data")
        self.run("initdb", "-D", data, "-A", "trust", "-U", "monitor", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}' -c fsync=off"
        log = str(self._folder / "log")
        self.run("pg_ctl", "-D", data, "-o", options, "-l", log, "-w", "-t", "60", "start")

    def stop(self) -> None:
        """End it."""
        self.run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def fresh(self) -> str:
        """The URL of a database that nobody used."""
        name = f"drift{next(_numbers)}"
        self._tell(f"CREATE DATABASE {name}")
        return self._url(name)

    def drop(self, url: str) -> None:
        """Take a database away again, whoever still looks at it."""
        name = urlsplit(url).path.removeprefix("/")
        self._tell(f"DROP DATABASE {name} WITH (FORCE)")

    def _tell(self, statement: str) -> None:
        with closing(PostgresDatabase.open(self._url("postgres"), writes=True)) as database:
            database.run(statement)

    def _url(self, name: str) -> str:
        return f"postgresql://monitor@/{name}?host={self._folder}"


def _in_memory() -> Path | None:
    """Where a cluster costs no disk, if there is room for it; None = wherever temporary files go."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    return MEMORY if has_room else None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server for as long as the block."""
    versions = sorted(PACKAGES.glob("*/bin")) if PACKAGES.is_dir() else []
    assert versions, "these tests need a PostgreSQL server: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=_in_memory()))
    if os.getuid() == 0:
        shutil.chown(folder, SERVER_USER)
    server = PostgresServer(folder, versions[-1])
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
