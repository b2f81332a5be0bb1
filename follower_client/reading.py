"""Reads configuration files, and says all that is wrong at once.

Belongs here: files and environment into settings, mistakes into lines with file, line, key, what was there,
what is allowed and the nearest key. Does not belong here: names, types and limits (`settings`).

A value is left out of a message where it may be a secret.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from follower_client.errors import ConfigurationError
from follower_client.settings import ENVIRONMENT_PREFIX, FollowerSettings, meaning

__all__ = ["Found", "check_secrets", "load_settings", "read_files", "read_secret"]

CONFIG_BYTES_MAX = 64 * 1024
FOLLOWERS_MAX = 2048
VALUE_LENGTH_MAX = 60
PATHS = (
    ("follower", "data_dir"),
    ("leader", "box_key_file"),
    ("broker", "nkey_seed_file"),
    ("broker", "ca_file"),
    ("venue", "api_key_file"),
    ("venue", "api_secret_file"),
    ("trial", "paper_data_dir"),
    ("notify", "urls_file"),
)

_HEADER = re.compile(r"\s*\[{1,2}([^\]]+)\]{1,2}")


def load_settings(path: Path, *, paper: bool = False) -> FollowerSettings:
    """Read and check one file; relative paths in it are relative to it. Raises `ConfigurationError`."""
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigurationError([f"{path}: too long, allowed: {CONFIG_BYTES_MAX} bytes"])
        text = path.read_text(encoding="utf-8")
        tree: dict[str, Any] = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: cannot be read ({error.strerror}), allowed: a TOML file"]
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: {_syntax(error)}"]) from None
    if paper and isinstance(tree.get("venue"), dict):
        tree["venue"] = {**tree["venue"], "kind": "paper"}
    _anchor_paths(tree, path.resolve().parent)
    try:
        return FollowerSettings(**tree)
    except ValidationError as error:
        raise ConfigurationError(list(_lines(path, text, error))) from None
    except SettingsError as error:
        name = "".join(re.findall(r'field "(\w+)"', str(error))).upper()
        raise ConfigurationError([f"{ENVIRONMENT_PREFIX}{name}: allowed: a table, as JSON"]) from None


@dataclass(frozen=True, slots=True)
class Found:
    """What the files of a configuration hold, in the order of their names: settings, or what is wrong."""

    settings: dict[Path, FollowerSettings]
    wrong: dict[Path, list[str]]

    @property
    def lines(self) -> list[str]:
        return [line for lines in self.wrong.values() for line in lines]

    def all_right(self) -> list[FollowerSettings]:
        """Everybody, where nothing is wrong anywhere. Raises `ConfigurationError`."""
        if self.wrong:
            raise ConfigurationError(self.lines)
        return list(self.settings.values())


def read_files(path: Path, *, paper: bool = False) -> Found:
    """One follower per file; a mistake in one says nothing of the others. Raises `ConfigurationError` where
    nobody is left.
    """
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files:
        raise ConfigurationError([f"{path}: empty, allowed: a folder with at least one .toml file"])
    if len(files) > FOLLOWERS_MAX:
        raise ConfigurationError([f"{path}: was {len(files)} files, allowed: at most {FOLLOWERS_MAX}"])
    found = Found({}, {})
    for file in files:
        try:
            found.settings[file] = load_settings(file, paper=paper)
        except ConfigurationError as error:
            found.wrong[file] = error.lines
    _part_twins(found)
    if not found.settings:
        raise ConfigurationError(found.lines)
    return found


def check_secrets(found: Found) -> Found:
    """Look into the files with keys, so that a wrong one is noticed before any network. Raises
    `ConfigurationError` where nobody is left.
    """
    for file, one in list(found.settings.items()):
        if lines := list(_wrong_secrets(one)):
            found.wrong[file] = lines
            del found.settings[file]
    if not found.settings:
        raise ConfigurationError(found.lines)
    return found


def _part_twins(found: Found) -> None:
    """What belongs to one follower alone is his who comes first; the other file is wrong."""
    owner: dict[tuple[str, str], Path] = {}
    for file, one in list(found.settings.items()):
        own = list(_own_things(one))
        lines = [
            f"{file}: {name}: {_shown(name, value)}allowed: {allowed} ({owner[name, value]} has it)"
            for name, value, allowed in own
            if (name, value) in owner
        ]
        if lines:
            found.wrong[file] = lines
            del found.settings[file]
            continue
        owner |= {(name, value): file for name, value, _ in own}


def _own_things(one: FollowerSettings) -> Iterator[tuple[str, str, str]]:
    """(key, value, what is allowed) of what no two followers may share."""
    yield "follower.id", one.follower.id, "an id of its own"
    yield "follower.data_dir", str(one.follower.data_dir), "a folder of its own"
    if one.venue.kind == "paper":
        return
    with suppress(ConfigurationError):  # a file that cannot be read is told of elsewhere
        key = read_secret(one.venue.api_key, one.venue.api_key_file, "venue.api_key_file")
        yield "venue.api_key", key, "an account of its own, several leaders on one are [[more_leaders]]"


def _shown(name: str, value: str) -> str:
    return "" if name == "venue.api_key" else f"was {value!r}, "


def read_secret(value: SecretStr | None, file: Path | None, name: str) -> str:
    """A secret from its setting or its file. Raises `ConfigurationError` that names the key, never the
    value.
    """
    if value is not None:
        return value.get_secret_value()
    assert file is not None, "checked when the settings were read"
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigurationError(
            [f"{name}: cannot be read, allowed: a file of one line ({file}: {reason})"]
        ) from None
    if not text:
        raise ConfigurationError([f"{name}: empty, allowed: a file of one line ({file})"])
    return text


def _wrong_secrets(one: FollowerSettings) -> Iterator[str]:
    secrets: list[tuple[SecretStr | None, Path | None, str]] = [
        (None, one.broker.nkey_seed_file, "broker.nkey_seed_file")
    ]
    venue = one.venue
    if venue.kind != "paper":
        secrets += [
            (venue.api_key, venue.api_key_file, "venue.api_key_file"),
            (venue.api_secret, venue.api_secret_file, "venue.api_secret_file"),
        ]
    secrets += [
        (None, leader.box_key_file, f"box_key_file of leader {leader.id}")
        for leader in one.leaders
        if leader.box_key_file is not None
    ]
    if one.broker.ca_file is not None:
        secrets.append((None, one.broker.ca_file, "broker.ca_file"))
    for value, file, name in secrets:
        try:
            text = read_secret(value, file, name)
        except ConfigurationError as error:
            yield from error.of(one.follower.id).lines
            continue
        if name == "broker.nkey_seed_file" and not _is_nkey_seed(text):
            yield f"{one.follower.id}: {name}: allowed: a file with an nkey seed, SU... ({file})"


def _is_nkey_seed(text: str) -> bool:
    import nkeys

    try:
        public: bytes = nkeys.from_seed(bytearray(text.encode())).public_key
    except (nkeys.NkeysError, ValueError, IndexError):
        return False
    return public.startswith(b"U")


def _anchor_paths(tree: dict[str, Any], folder: Path) -> None:
    more = tree.get("more_leaders")
    for part in more if isinstance(more, list) else []:
        _anchor(part, "box_key_file", folder)
    for section, key in PATHS:
        _anchor(tree.get(section), key, folder)


def _anchor(part: object, key: str, folder: Path) -> None:
    if isinstance(part, dict) and isinstance(part.get(key), str):
        part[key] = str(folder / Path(part[key]).expanduser())


def _syntax(error: Exception) -> str:
    """Where the file is no TOML, and why, without the text that is there."""
    reason, _, position = str(error).rpartition(" (at ")
    if not reason:
        return "not TOML (not UTF-8 text)"
    return f"{position.rstrip(')')}: not TOML ({reason[0].lower()}{reason[1:]})"


def _lines(path: Path, text: str, error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False, include_context=False):
        location = item["loc"]
        place = _place(path, text, location) if location else str(path)
        known, allowed = meaning(location)
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
            nearest = _key((*location[:-1], *close))
            yield f"{place}: unknown key; " + (
                f"nearest: {nearest}" if close else f"allowed: {', '.join(known)}"
            )
        elif item["type"] == "missing":
            yield f"{place}: missing, allowed: {allowed}"
        elif item["type"] == "value_error":
            where = f"{place}." if location else f"{path}: "
            yield from (f"{where}{line}" for line in item["msg"].removeprefix("Value error, ").splitlines())
        else:
            yield f"{place}: {_was(place, item['input'])}allowed: {allowed}"


def _place(path: Path, text: str, location: Sequence[int | str]) -> str:
    """Where a setting was given: the environment variable if there is one, else file and line; and the
    key.
    """
    names = [str(part) for part in location]
    variables = {name.upper() for name in os.environ}
    for depth in range(len(names), 0, -1):
        variable = f"{ENVIRONMENT_PREFIX}{'__'.join(names[:depth])}".upper()
        if variable in variables:
            return ": ".join([variable, *([_key(location[depth:])] if depth < len(names) else [])])
    line = _line_of(text, location)
    return f"{path}{'' if line is None else f':{line}'}: {_key(location)}"


def _key(location: Sequence[int | str]) -> str:
    """As people name it: the second of several tables is `more_leaders[2]`."""
    words = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location)
    return words.removeprefix(".")


def _line_of(text: str, location: Sequence[int | str]) -> int | None:
    """The line of a key, or of its table where the key is missing. Of several tables of one name the
    place says which.
    """
    wanted = next((part for part in location if isinstance(part, int)), 0)
    names = [part for part in location if isinstance(part, str)]
    table, found, seen = "", None, -1
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header is not None:
            table = header[1].strip()
            seen += table == names[0]
            if table == names[0] and (seen == wanted or found is None):
                found = number
        elif (table, seen) != (names[0], wanted) or len(names) == 1:
            continue
        elif re.match(rf"\s*{re.escape(names[1])}\s*=", line):
            return number
    return found


def _was(place: str, value: Any) -> str:
    """What was there; nothing where it may be a secret."""
    if isinstance(value, dict | list):
        return "was a table, " if isinstance(value, dict) else "was a list, "
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "@" in text or any(word in place.rpartition(": ")[2].lower() for word in ("key", "secret")):
        return ""
    shown = text[:VALUE_LENGTH_MAX] + "..." * (len(text) > VALUE_LENGTH_MAX)
    return f"was {shown!r}, " if isinstance(value, str) else f"was {shown}, "
