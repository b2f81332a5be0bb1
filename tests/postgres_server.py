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
from contextlib import contextmanager
from itertools import count
from pathlib import Path

__all__ = ["PostgresServer", "postgres_server"]

PACKAGES = Path("/usr/lib/postgresql")
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
        self.run("createdb", "-h", str(self._folder), "-U", "monitor", name)
        return f"postgresql://monitor@/{name}?host={self._folder}"


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server for as long as the block."""
    versions = sorted(PACKAGES.glob("*/bin")) if PACKAGES.is_dir() else []
    assert versions, "these tests need a PostgreSQL server: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if os.getuid() == 0:
        shutil.chown(folder, SERVER_USER)
    server = PostgresServer(folder, versions[-1])
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
