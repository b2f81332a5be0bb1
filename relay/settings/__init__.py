"""What `relay serve` and `relay publish` can be told: one TOML file each, environment variables on top.

Belongs here: names, limits and defaults of the settings, and the wording of what is wrong with them. Does
not belong here: what the settings do.

`RELAY_...` overrides the file of `serve`, `PUBLISHER_...` that of `publish` (nested keys joined by `__`).
Paths are relative to the file's folder. All mistakes are told at once, each with its place, what was there
and what is allowed; the value is left out where it may be a secret.
"""

from relay.settings.publish import PublishSettings, VenueSettings, load_publish, load_publishers
from relay.settings.serve import ServeSettings, load_serve

__all__ = [
    "PublishSettings",
    "ServeSettings",
    "VenueSettings",
    "load_publish",
    "load_publishers",
    "load_serve",
]
