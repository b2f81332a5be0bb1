"""How a settings file is read, and the wording of what is wrong with it.

Belongs here: types that several settings share, TOML plus environment, one line per mistake. Does not belong
here: which settings there are (`serve`, `publish`).
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic_settings import BaseSettings, SettingsError

from relay.errors import ConfigurationError, wrong
from relay.keys import is_public_nkey

__all__ = [
    "BrokerUrl",
    "FilePath",
    "HttpUrl",
    "Identifier",
    "PublicNkey",
    "Section",
    "SocketUrl",
    "file_being_read",
    "in_file",
    "load",
    "read_secret",
]

file_being_read: ContextVar[Path] = ContextVar("settings_file", default=Path("settings.toml"))
_Loaded = TypeVar("_Loaded", bound=BaseSettings)


def _beside_file(path: Path) -> Path:
    return file_being_read.get().parent / path.expanduser()


def _public_nkey(text: str) -> str:
    if not is_public_nkey(text):
        raise ValueError
    return text


Identifier = Annotated[
    str, StringConstraints(pattern=r"\A[a-z0-9]{1,32}\z"), Field(description="1 to 32 characters of a-z, 0-9")
]
PublicNkey = Annotated[
    str,
    AfterValidator(_public_nkey),
    Field(description="a user's public nkey (U..., from `relay keys nkey`)"),
]
FilePath = Annotated[Path, AfterValidator(_beside_file)]
HttpUrl = StringConstraints(pattern=r"\Ahttps?://[^\s/@]+\z")
SocketUrl = StringConstraints(pattern=r"\Awss?://[^\s/@]+\z")
BrokerUrl = Annotated[
    str, StringConstraints(pattern=r"\A(nats|tls)://([^\s/@:]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}\z")
]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def load(kind: type[_Loaded], path: Path) -> _Loaded:
    try:
        with path.open("rb") as file:
            tomllib.load(file)
    except OSError as error:
        raise in_file(path, [f"cannot be read ({error.strerror}), allowed: a TOML file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise in_file(path, [_syntax(error)]) from None
    token = file_being_read.set(path.resolve())
    try:
        return kind()
    except ValidationError as error:
        raise ConfigurationError(list(dict.fromkeys(_lines(kind, path, error))), is_located=True) from None
    except SettingsError as error:
        name = "".join(re.findall(r'field "(\w+)"', str(error))).upper()
        variable = f"{kind.model_config.get('env_prefix', '')}{name}"
        raise ConfigurationError(
            [f"{variable}: allowed: a list or a table, as JSON"], is_located=True
        ) from None
    finally:
        file_being_read.reset(token)


def in_file(path: Path, lines: Sequence[str]) -> ConfigurationError:
    return ConfigurationError([f"{path}: {line}" for line in lines], is_located=True)


def _lines(kind: type[BaseModel], path: Path, error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_context=False, include_url=False):
        location = problem["loc"]
        place = _place(kind, path, location)
        if problem["type"] == "extra_forbidden":
            known = list(_fields(kind, location[:-1]))
            close = difflib.get_close_matches(str(location[-1]), known, 1, 0.5)
            nearest = ".".join(str(part) for part in (*location[:-1], *close))
            hint = f"nearest: {nearest}" if close else f"allowed: {', '.join(known)}"
            yield f"{place}: unknown key; {hint}"
        elif problem["type"] == "missing":
            yield f"{place}: missing, allowed: {_description(kind, location)}"
        else:
            yield wrong(place, problem["input"], _description(kind, location))


def _place(kind: type[BaseModel], path: Path, location: Sequence[int | str]) -> str:
    """Where a setting was given: the environment variable if there is one, else the file; and the key."""
    prefix = str(kind.model_config.get("env_prefix", ""))
    names = [str(part) for part in location]
    variables = {name.upper() for name in os.environ}
    for depth in range(len(names), 0, -1):
        variable = f"{prefix}{'__'.join(names[:depth])}".upper()
        if variable in variables:
            return ": ".join([variable, *([".".join(names[depth:])] if depth < len(names) else [])])
    return f"{path}: {'.'.join(names)}"


def _description(kind: type[BaseModel], location: Sequence[int | str]) -> str:
    """What is allowed at a place: the innermost description on the way to it."""
    found = ""
    for depth, part in enumerate(location):
        field = _fields(kind, location[:depth]).get(str(part))
        if field is not None and field.description:
            found = field.description
    return found


def _fields(kind: type[BaseModel], location: Sequence[int | str]) -> dict[str, Any]:
    """The fields of the table at a place; none if there is no table."""
    model: type[BaseModel] = kind
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return {}
        model = inner
    return dict(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def read_secret(field: str, value: SecretStr | None, path: Path | None) -> str:
    if value is not None:
        return value.get_secret_value()
    if path is None:
        raise ConfigurationError([f"{field}: missing, allowed: {field} or {field}_file"])
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            [f"{field}_file: cannot be read, allowed: a file of one line ({path})"]
        ) from None
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(
            [f"{field}_file: allowed: a file that only its owner reads (chmod 600 {path})"]
        )
    return text


def _syntax(error: Exception) -> str:
    """Where the file is no TOML, and why, without the text that is there."""
    reason, _, position = str(error).rpartition(" (at ")
    if not reason:
        return "not TOML (not UTF-8 text)"
    return f"{position.rstrip(')')}: not TOML ({reason[0].lower()}{reason[1:]})"
