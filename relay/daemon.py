"""The two long-running programs, from settings to exit status.

Belongs here: one function per program, for the command line. Does not belong here: what they do
(`relay.serving`, `relay.publishing`), how they run (`relay.running`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from relay.running import run
from relay.settings import load_publishers, load_serve

__all__ = ["publish", "serve"]


def serve(config: Path, *, as_json: bool) -> int:
    """`relay serve`: broker, streams, drift monitor. Returns the exit status."""

    async def main(stop: asyncio.Event) -> None:
        settings = load_serve(config)
        from relay.serving import serve as serve_until

        await serve_until(settings, stop, as_json=as_json)

    return run(main, config)


def publish(config: Path, *, take_over: bool, new_group: bool, as_json: bool) -> int:
    """`relay publish`: one leader's publisher, or those of a folder of settings. Returns the exit status."""

    async def main(stop: asyncio.Event) -> None:
        leaders = load_publishers(config)
        from relay.publishing import publish as publish_until
        from relay.taking_over import Lost

        lost = Lost(outbox=take_over, group=new_group)
        await publish_until(leaders, stop, lost=lost, as_json=as_json)

    return run(main, config)
