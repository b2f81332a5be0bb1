"""Forms of texts, and the one shape that a message's bytes have.

Belongs here: which text has which form, a struct's shape as one pattern, finding a text that is wrong. Does
not belong here: the messages (`messages`), the moment of looking (`codec`).

msgspec calls back into Python for every text with a pattern, which took half of the time of reading history.
What comes by the thousand has forms instead: a message's bytes are matched once, all of them, against the
shape that its struct has in compact JSON. A match says that no field is out of its order or there twice, that
no white space or escape is in it, and that each text has its form; so it is also what the struct would be
encoded to. What does not match is looked at text by text.
"""

from __future__ import annotations

import re
import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, Union

import msgspec

__all__ = ["SIGNED", "SYMBOL", "UNSIGNED", "Form", "shape_of", "wrong_text"]


@dataclass(frozen=True, slots=True)
class Form:
    """What a text may look like: `pattern` matches all of it, where a quote or the end comes after it."""

    pattern: str


_NUMBER: Final = r"(?:0|[1-9][0-9]{0,15}+)(?:\.[0-9]{1,12}+)?+"
UNSIGNED: Final = Form(_NUMBER)
SIGNED: Final = Form(r'(?!-0(?:\.0*+)?+(?:"|\Z))-?+' + _NUMBER)
SYMBOL: Final = Form(r"[A-Za-z0-9/:._-]{1,64}+")
_PLAIN: Final = r'"[^"\\\x00-\x1f]*+"'  # a text without an escape
_WHOLE: Final = r"(?:0|-?+[1-9][0-9]*+)"


@cache
def shape_of(struct: type[msgspec.Struct]) -> re.Pattern[bytes]:
    """What matches a message of this struct in compact JSON, with all its texts in their forms.

    It may fail to match what is right (texts with escapes); never the other way round.
    """
    return re.compile(_struct_shape(struct).encode("ascii"))


def wrong_text(message: msgspec.Struct) -> str | None:
    """Name of the first text in a message that has not the form its type asks for; None if all have."""
    for name, hint in _looked_at(type(message)):
        wrong = _wrong_in(name, hint, getattr(message, name))
        if wrong is not None:
            return wrong
    return None


def _wrong_in(name: str, hint: Any, value: Any) -> str | None:
    for form in _forms_of(hint):
        if isinstance(value, str) and re.fullmatch(form.pattern, value) is None:
            return name
    found = None
    if isinstance(value, msgspec.Struct):
        found = wrong_text(value)
    elif isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
        found = next((wrong for wrong in map(wrong_text, value) if wrong is not None), None)
    return None if found is None else f"{name}.{found}"


@cache
def _hints(struct: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    return list(typing.get_type_hints(struct, include_extras=True).items())


@cache
def _looked_at(struct: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    """The fields in which a text with a form can be; reports have next to none, and come by the thousand."""
    return [(name, hint) for name, hint in _hints(struct) if _has_forms(hint)]


def _has_forms(hint: Any) -> bool:
    if _forms_of(hint):
        return True
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return bool(_looked_at(hint))
    if typing.get_origin(hint) is Literal:
        return False
    return any(_has_forms(one) for one in typing.get_args(hint))


def _forms_of(hint: Any) -> list[Form]:
    """The forms of a text, or of a text that may be None."""
    if typing.get_origin(hint) is typing.Annotated:
        return [one for one in typing.get_args(hint)[1:] if isinstance(one, Form)]
    if typing.get_origin(hint) in (Union, types.UnionType):
        return [form for one in typing.get_args(hint) for form in _forms_of(one)]
    return []


def _struct_shape(struct: type[msgspec.Struct]) -> str:
    hints = dict(_hints(struct))
    fields = [
        f'"{re.escape(one.encode_name)}":{_shape(hints[one.name])}' for one in msgspec.structs.fields(struct)
    ]
    return r"\{" + ",".join(fields) + r"\}"


def _shape(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        forms = _forms_of(hint)
        return f'"{forms[0].pattern}"' if forms else _shape(arguments[0])
    if origin in (Union, types.UnionType):
        return "(?:" + "|".join(_shape(one) for one in arguments) + ")"
    if origin is list:
        one = _shape(arguments[0])
        return rf"\[(?:{one}(?:,{one})*+)?+\]"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _struct_shape(hint)
    if hint is str or (origin is Literal and all(isinstance(one, str) for one in arguments)):
        return _PLAIN
    shapes = {int: _WHOLE, bool: "(?:true|false)", type(None): "null"}
    return shapes[hint]
