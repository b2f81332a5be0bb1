"""Calls of commands to the publisher that runs beside them.

Belongs here: from a settings file to the answer. Does not belong here: the door (`relay.door`), what it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relay.door import call
from relay.publishing import door_note
from relay.settings import load_publish

__all__ = ["ask"]


def ask(config: Path, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What the publisher of this file answers. Raises `TryAgain` if it does not run, `Failed` if it
    refuses.
    """
    return asyncio.run(call(door_note(load_publish(config)), what, body))
