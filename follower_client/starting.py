"""Which followers of a configuration may start, before anything heavy is loaded.

Belongs here: files, keys, the gate before real money, a first look at the locks; again on SIGHUP. Does not
belong here: running (`daemon`), what is wrong with one file (`reading`).

In a folder every follower stands for himself: a mistake in one file is told, and the others run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from follower_client.errors import ConfigurationError, FollowerError
from follower_client.instance import check_folder, hold_follower
from follower_client.reading import Found, check_secrets, read_files
from follower_client.settings import FollowerSettings
from follower_client.trial import gate

__all__ = ["Files", "check"]


def check(config: Path) -> list[FollowerSettings]:
    """Everybody, if nothing at all is wrong; nothing is started and nothing locked. Raises
    `ConfigurationError`.
    """
    found = _readable(config, paper=False)
    return found.all_right()


def _readable(config: Path, *, paper: bool) -> Found:
    found = check_secrets(read_files(config, paper=paper))
    _sort_out(found, _pass_gate)
    return found


def _pass_gate(one: FollowerSettings) -> None:
    try:
        check_folder(one)
    except FollowerError as error:
        raise error.of(one.follower.id) from None
    if one.is_real_money and (refusals := gate(one)):
        raise ConfigurationError([f"{one.follower.id}: trial: {refusal}" for refusal in refusals])


def _is_free(one: FollowerSettings) -> None:
    try:
        for lock in hold_follower(one):
            lock.close()
    except FollowerError as error:
        raise error.of(one.follower.id) from None


def _sort_out(found: Found, look: Callable[[FollowerSettings], None]) -> None:
    """Whoever does not pass is wrong. Raises the last one's error where nobody is left."""
    last: FollowerError | None = None
    for file, one in list(found.settings.items()):
        try:
            look(one)
        except FollowerError as error:
            last = error
            found.wrong[file] = str(error).splitlines()
            del found.settings[file]
    if last is not None and not found.settings:
        raise last if len(found.wrong) == 1 else ConfigurationError(found.lines)


class Files:
    """The files of one run: read at the start, and again on SIGHUP."""

    def __init__(self, config: Path, *, paper: bool) -> None:
        self._config, self._paper = config, paper
        self._running: dict[Path, FollowerSettings] = {}
        self.status = 0

    def marked(self, follower_id: str) -> str:
        """The name, and whether it is paper or real money."""
        one = next(one for one in self._running.values() if one.follower.id == follower_id)
        return f"{follower_id}{one.mark}"

    def first(self) -> Sequence[FollowerSettings]:
        """Whoever may start; what is wrong with the others is said. Raises `FollowerError` where nobody
        may.
        """
        found = _readable(self._config, paper=self._paper)
        _sort_out(found, _is_free)
        return self._take(found)

    def again(self) -> Sequence[FollowerSettings]:
        """The same on SIGHUP: whose file is wrong now runs on with what was right. Raises
        `ConfigurationError` where nothing is right any more.
        """
        found = _readable(self._config, paper=self._paper)
        for file in [file for file in found.wrong if file in self._running]:
            found.settings[file] = self._running[file]
        return self._take(found)

    def _take(self, found: Found) -> Sequence[FollowerSettings]:
        for line in found.lines:
            print(f"follower-client: {line}", file=sys.stderr, flush=True)  # noqa: T201
        self.status = ConfigurationError.exit_status if found.wrong else 0
        self._running = found.settings
        return list(found.settings.values())
