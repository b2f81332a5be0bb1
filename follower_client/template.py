"""The commented configuration file, written from the settings themselves.

Belongs here: turning fields, defaults and descriptions into TOML. Does not belong here: the fields
(`settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from follower_client.settings import ENVIRONMENT_PREFIX, FollowerSettings

__all__ = ["template"]

HEAD = f"""\
# A follower of Slipstream. Lines that start with # show defaults.
# Every key is also an environment variable: {ENVIRONMENT_PREFIX}VENUE__REST_URL is [venue] rest_url;
# {ENVIRONMENT_PREFIX}CONFIG is the option --config.
"""
PAPER_HEAD = "# PAPER: prices are live, no order leaves this machine.\n"
EXAMPLES = {
    "follower.id": "alice",
    "follower.data_dir": "follower-data",
    "leader.id": "<the leader's id>",
    "leader.public_key": "<the leader's public key, 64 hex digits>",
    "broker.url": "nats://127.0.0.1:4222",
    "broker.nkey_seed_file": "follower.nkey",
    "venue.rest_url": "https://api-testnet.bybit.com",
    "venue.ws_url": "wss://stream-testnet.bybit.com",
    "venue.api_key_file": "api_key",
    "venue.api_secret_file": "api_secret",
}
LIVE_KEYS = ("api_key_file", "api_secret_file")


def template(*, paper: bool = False, values: Mapping[str, object] | None = None) -> str:
    """TOML with every key, its meaning and its default; `values` (`"broker.url"`: ...) are filled in."""
    lines = [HEAD + (PAPER_HEAD if paper else "")]
    for section, info in FollowerSettings.model_fields.items():
        model = info.annotation
        if section == "more_leaders":
            lines += [
                "# [[more_leaders]]  # further leaders on the same account; a sub-account each is better",
                "",
            ]
            continue
        assert isinstance(model, type) and issubclass(model, BaseModel)
        about = (model.__doc__ or "").partition(": ")[2].strip()
        lines.append(f"[{section}]  # {about}")
        lines.extend(
            _line(section, name, field, paper, values or {}) for name, field in model.model_fields.items()
        )
        lines.append("")
    return "\n".join(lines)


def _line(section: str, name: str, field: FieldInfo, paper: bool, values: Mapping[str, object]) -> str:
    if (value := values.get(f"{section}.{name}")) is not None:
        return _with_comment(f"{name} = {_toml(value)}", field)
    example = EXAMPLES.get(f"{section}.{name}")
    if section == "venue" and name == "kind" and paper:
        return _with_comment('kind = "paper"', field)
    if example is not None and (field.is_required() or (name in LIVE_KEYS and not paper)):
        return _with_comment(f'{name} = "{example}"', field)
    return _with_comment(f"# {name} = {_toml(field.default)}", field)


def _with_comment(text: str, field: FieldInfo) -> str:
    return f"{text:<48} # {field.description}" if field.description else text


def _toml(value: Any) -> str:
    if value is None:
        return "..."
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return f'"{value.value}"'
    if isinstance(value, Decimal):
        return f'"{value}"'
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value)
