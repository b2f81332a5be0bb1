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
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from follower_client.errors import ConfigurationError
from follower_client.settings import ENVIRONMENT_PREFIX, FollowerSettings, meaning

__all__ = ["check_secrets", "load_folder_or_file", "load_settings", "read_secret"]

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


def load_folder_or_file(path: Path, *, paper: bool = False) -> list[FollowerSettings]:
    """One follower per file. Raises `ConfigurationError` with what is wrong in all of them."""
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files:
        raise ConfigurationError([f"{path}: empty, allowed: a folder with at least one .toml file"])
    if len(files) > FOLLOWERS_MAX:
        raise ConfigurationError([f"{path}: was {len(files)} files, allowed: at most {FOLLOWERS_MAX}"])
    found: list[FollowerSettings] = []
    lines: list[str] = []
    for file in files:
        try:
            found.append(load_settings(file, paper=paper))
        except ConfigurationError as error:
            lines.extend(error.lines)
    seen: dict[str, Path] = {}
    for settings, file in zip(found, files, strict=False):
        name = settings.follower.id
        if name in seen and not lines:
            lines.append(
                f"{file}: follower.id: was {name!r}, allowed: an id of its own ({seen[name]} has it)"
            )
        seen[name] = file
    if lines:
        raise ConfigurationError(lines)
    return found


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


def check_secrets(found: Sequence[FollowerSettings]) -> None:
    """Look into the files with keys, so that a wrong one is noticed before any network. Raises
    `ConfigurationError` with what is wrong in all of them.
    """
    lines: list[str] = []
    for one in found:
        secrets: list[tuple[SecretStr | None, Path | None, str]] = [
            (None, one.broker.nkey_seed_file, "broker.nkey_seed_file")
        ]
        venue = one.venue
        if venue.kind != "paper":
            secrets += [
                (venue.api_key, venue.api_key_file, "venue.api_key_file"),
                (venue.api_secret, venue.api_secret_file, "venue.api_secret_file"),
            ]
        if one.leader.box_key_file is not None:
            secrets.append((None, one.leader.box_key_file, "leader.box_key_file"))
        if one.broker.ca_file is not None:
            secrets.append((None, one.broker.ca_file, "broker.ca_file"))
        for value, file, name in secrets:
            try:
                text = read_secret(value, file, name)
                if name == "broker.nkey_seed_file" and not _is_nkey_seed(text):
                    lines.append(
                        f"{one.follower.id}: {name}: allowed: a file with an nkey seed, SU... ({file})"
                    )
            except ConfigurationError as error:
                lines.extend(error.of(one.follower.id).lines)
    if lines:
        raise ConfigurationError(lines)


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
        place = _place(path, text, location)
        known, allowed = meaning(location)
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
            nearest = ".".join(str(part) for part in (*location[:-1], *close))
            yield f"{place}: unknown key; " + (
                f"nearest: {nearest}" if close else f"allowed: {', '.join(known)}"
            )
        elif item["type"] == "missing":
            yield f"{place}: missing, allowed: {allowed}"
        elif item["type"] == "value_error":
            yield from (f"{place}.{line}" for line in item["msg"].removeprefix("Value error, ").splitlines())
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
            return ": ".join([variable, *([".".join(names[depth:])] if depth < len(names) else [])])
    line = _line_of(text, names)
    return f"{path}{'' if line is None else f':{line}'}: {'.'.join(names)}"


def _line_of(text: str, names: Sequence[str]) -> int | None:
    """The line of a key, or of its table where the key is missing."""
    table, found = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header is not None:
            table = header[1].strip()
            if table == names[0]:
                found = found or number
        elif table == names[0] and len(names) > 1 and re.match(rf"\s*{re.escape(names[1])}\s*=", line):
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
