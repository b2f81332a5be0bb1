"""What a person is told about one bench, for tests."""

from __future__ import annotations

from follower_client.notify import Notifier
from follower_client.protection import Protection
from follower_client.settings import WatchSection
from follower_client.watch import Watch
from tests.unit.follower_client.executor_bench import Bench

__all__ = ["Alarms"]


class Alarms:
    """What a person was told."""

    def __init__(self, one: Bench, watch: WatchSection | None = None) -> None:
        self.told: list[tuple[str, str]] = []
        self.silent_s = 0.0
        notifier = Notifier("alice", self.send, per_hour_max=3)
        self.notifier = notifier
        self.protection = Protection(one.desk, lambda: {"leader": one.executor.leader})
        self.watch = Watch(
            one.desk, self.protection, notifier, watch or WatchSection(), lambda: {"leader": self.silent_s}
        )

    async def send(self, title: str, body: str) -> bool:
        self.told.append((title, body))
        return True
