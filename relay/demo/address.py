"""An account of the demonstration's venue, as the program that printed its ready line named it.

Belongs here: the four strings. Does not belong here: what is done with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["AccountAddress"]


@dataclass(frozen=True, slots=True)
class AccountAddress:
    """Where the venue is, and who we are there."""

    rest_url: str
    ws_url: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)

    def credentials(self) -> tuple[str, str]:
        """API key and secret."""
        return self.api_key, self.api_secret
