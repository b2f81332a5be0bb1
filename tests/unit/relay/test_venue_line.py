"""The line of a venue that was started a moment ago: waited for while incomplete, refused when wrong."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from relay.desk import setting_up
from relay.errors import ConfigurationError

LINE = json.dumps(
    {"rest": "http://v", "ws": "ws://v", "accounts": [{"name": "leader", "api_key": "k", "api_secret": "s"}]}
)


def test_a_line_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "venue.json"

    def write() -> None:
        time.sleep(0.1)
        with file.open("w") as sink:
            for piece in ("", LINE[:30], LINE[30:], "\n"):
                time.sleep(0.1)
                sink.write(piece)
                sink.flush()

    writer = threading.Thread(target=write)
    writer.start()
    found = setting_up.venue_from_line(file, "leader")
    writer.join()
    assert found == {"rest_url": "http://v", "ws_url": "ws://v", "api_key": "k", "api_secret": "s"}


@pytest.mark.parametrize("text", ["no line of a venue\n", "{}\n", "x" * 2_000_000 + "\n", LINE])
def test_what_will_not_become_a_venues_line_is_refused(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting_up, "_VENUE_LINE_WAIT_S", 0.2)
    file = tmp_path / "venue.json"
    file.write_text(text)
    if text == LINE:  # complete but for its end, which may never come
        assert setting_up.venue_from_line(file, "leader")["api_key"] == "k"
        return
    with pytest.raises(ConfigurationError, match="--venue: "):
        setting_up.venue_from_line(file, "leader")
