"""The drift store's database on a PostgreSQL server.

Belongs here: the connection, statements in the server's spelling, errors as `StoreError`. Does not belong
here: what is stored (`writing`, `reading`).

The driver is asynchronous and the store is not: the connection lives in a loop of its own thread, and each
call waits for it. A connection that is lost is an error; whoever runs the store starts anew.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from relay.store.database import Row, StoreError

if TYPE_CHECKING:
    import asyncpg

__all__ = ["PostgresDatabase", "url_without_secret"]

CONNECT_SECONDS_MAX = 10.0
STATEMENT_SECONDS_MAX = 60.0
ONE_WRITER_LOCK = 0x736C6970  # a session lock of this number belongs to the one writer of a database

_COLUMNS = (
    "SELECT column_name, data_type FROM information_schema.columns"
    " WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position"
)
_MARK = re.compile(r"\?")
_Found = TypeVar("_Found")


def url_without_secret(url: str) -> str:
    """Where a database is, for people: host, port, name."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


class PostgresDatabase:
    """A connection to a server."""

    def __init__(self, url: str) -> None:
        self.name = url_without_secret(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres", daemon=True)
        self._thread.start()
        self._connection: asyncpg.Connection[Any] | None = None

    @classmethod
    def open(cls, url: str, *, writes: bool) -> Self:
        """Connect; the one writer takes the database's lock. Raises `StoreError`."""
        try:
            import asyncpg  # noqa: F401 - an extra
        except ImportError:
            raise StoreError("store: PostgreSQL needs asyncpg: pip install 'slipstream[postgres]'") from None
        database = cls(url)
        try:
            database._connect(url)
            if not writes:
                database.run("SET default_transaction_read_only = on")
            elif not database.rows("SELECT pg_try_advisory_lock(?) AS mine", (ONE_WRITER_LOCK,))[0]["mine"]:
                raise StoreError(f"store {database.name}: another monitor writes it")
        except StoreError:
            database.close()
            raise
        return database

    def _connect(self, url: str) -> None:
        import asyncpg

        self._connection = self._wait(
            asyncpg.connect(
                url,
                timeout=CONNECT_SECONDS_MAX,
                command_timeout=STATEMENT_SECONDS_MAX,
                server_settings={"application_name": "slipstream-monitor"},
            )
        )

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        self._wait(self._open.execute(_numbered(sql), *values))

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._wait(self._open.executemany(_numbered(sql), rows))

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._wait(self._open.fetch(_numbered(sql), *values))

    def columns(self, table: str) -> dict[str, str]:
        found = self.rows(_COLUMNS, (table,))
        return {row["column_name"]: row["data_type"] for row in found}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.run("BEGIN")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def view(self) -> Iterator[None]:
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            yield
        finally:
            self._roll_back()

    def close(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            self._wait(self._connection.close(timeout=CONNECT_SECONDS_MAX))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def _open(self) -> asyncpg.Connection[Any]:
        assert self._connection is not None, "connected"
        return self._connection

    def _roll_back(self) -> None:
        if not self._open.is_closed():
            self.run("ROLLBACK")

    def _wait(self, work: Coroutine[Any, Any, _Found]) -> _Found:
        import asyncpg

        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            told = str(error) or type(error).__name__
            raise StoreError(f"store {self.name}: {told}") from error


def _numbered(sql: str) -> str:
    """`?` as `$1`, `$2`, ... (no statement has a question mark of another kind)."""
    number = iter(range(1, 100_000))
    return _MARK.sub(lambda _: f"${next(number)}", sql)
