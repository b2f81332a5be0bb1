"""The one failure of a scenario: an input that cannot be used.

Belongs here: the exception with its single clear line. Does not belong here: failures of the venue itself.
"""

from __future__ import annotations

from simulated_exchange.errors import ConfigurationError

__all__ = ["ScenarioError"]


class ScenarioError(ConfigurationError):
    """A scenario or a recorded file that cannot be used; one line names the place and what is allowed."""

    def __init__(self, line: str) -> None:
        super().__init__([line])
