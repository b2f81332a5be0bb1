"""The two long-running programs, from settings to exit status.

Belongs here: one function per program, for the command line. Does not belong here: what they do
(`relay.serving`, `relay.publishing`), how they run (`relay.running`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from relay.running import run
from relay.settings import load_publish, load_serve

__all__ = ["publish", "serve"]


def serve(config: Path, *, as_json: bool) -> int:
    """`relay serve`: broker, streams, drift monitor. Returns the exit status."""

    async def main(stop: asyncio.Event) -> None:
        settings = load_serve(config)
        from relay.serving import serve as serve_until

        await serve_until(settings, stop, as_json=as_json)

    return run(main, config)


def publish(config: Path, *, take_over: bool, as_json: bool) -> int:
    """`relay publish`: the leader's publisher. Returns the exit status."""

    async def main(stop: asyncio.Event) -> None:
        settings = load_publish(config)
        from relay.publishing import publish as publish_until

        await publish_until(settings, stop, take_over=take_over, as_json=as_json)

    return run(main, config)
