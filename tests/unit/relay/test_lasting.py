"""A failure that lasts is said once, when it changes, once a minute, and when it is over."""

from __future__ import annotations

from structlog.testing import capture_logs

from relay.lasting import AGAIN_S, Lasting


def test_four_failures_a_second_for_three_minutes_are_a_few_lines() -> None:
    lasting = Lasting("publish_unknown", "publish_settled")
    with capture_logs() as said:
        lasting.ended(0.0)
        for tick in range(4 * 180):
            lasting.failed(100 + tick / 4, "frozen" if tick < 400 else "not connected", signal_id="x")
        lasting.ended(280.0)
        lasting.ended(281.0)
        lasting.failed(300.0, "not connected")
    lines = [(line["event"], line.get("reason"), line["tries"]) for line in said]
    assert lines == [
        ("publish_unknown", "frozen", 1),
        ("publish_unknown", "frozen", int(AGAIN_S) * 4 + 1),
        ("publish_unknown", "not connected", 401),
        ("publish_unknown", "not connected", 641),
        ("publish_settled", None, 720),
        ("publish_unknown", "not connected", 1),
    ]
    assert said[4]["seconds"] == 180.0
