"""The dashboard's own script and styles, and the installed plotting library's script.

Belongs here: which files there are. Does not belong here: what they do.
"""

from __future__ import annotations

from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

__all__ = ["static_file"]

OWN = {"dashboard.css": "text/css", "dashboard.js": "text/javascript"}


async def static_file(request: web.Request) -> web.StreamResponse:
    """One of them. Raises `HTTPNotFound` for any other name."""
    name = request.match_info["name"]
    if name == "plotly.js":
        return web.FileResponse(_plotly(), headers={"Cache-Control": "max-age=86400"})
    if name not in OWN:
        raise web.HTTPNotFound(text="There is no such file.\n")
    text = (resources.files("relay.dashboard") / "static" / name).read_text(encoding="utf-8")
    return web.Response(text=text, content_type=OWN[name], charset="utf-8")


def _plotly() -> Path:
    """The script of the installed plotting library, found without importing the library."""
    spec = find_spec("plotly")
    assert spec is not None and spec.submodule_search_locations, "plotly is a dependency of this package"
    return Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
