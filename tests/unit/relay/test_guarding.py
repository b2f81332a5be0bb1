"""Which figures of the broker are too much for one follower."""

from __future__ import annotations

from typing import Any

from relay.guarding import CONNECTIONS_MAX, HEARD_PER_S_MAX, SENT_PER_S_MAX, Traffic, too_many


def row(user: str, cid: int, sent: int = 0, heard: int = 0) -> tuple[str, dict[str, Any]]:
    return "one", {"cid": cid, "authorized_user": user, "in_msgs": sent, "out_msgs": heard}


def test_who_sends_or_asks_for_more_than_a_follower_can_use_is_named_with_the_figure() -> None:
    traffic, long_ago = Traffic(), 10_000_000
    assert traffic.too_much([row("UA", 1, long_ago), row("UB", 2, 0, long_ago), row("UC", 3)], 100.0) == {}
    rows = [
        row("UA", 1, long_ago + 10 * SENT_PER_S_MAX + 10),
        row("UB", 2, 0, long_ago + 10 * HEARD_PER_S_MAX + 10),
        row("UC", 3, 10 * SENT_PER_S_MAX, 10 * HEARD_PER_S_MAX),  # as much as is allowed
        row("UD", 4, long_ago),  # new: not all of it was in this time
    ]
    found = traffic.too_much(rows, 110.0)
    assert set(found) == {"UA", "UB"}
    assert f"{SENT_PER_S_MAX + 1} messages sent a second" in found["UA"]
    assert "asked for a second" in found["UB"]
    assert traffic.too_much(rows, 120.0) == {}


def test_a_user_is_the_sum_of_his_connections_at_all_servers() -> None:
    traffic = Traffic()
    places = [(server, cid) for server in ("one", "two") for cid in (1, 2)]

    def rows(sent: int) -> list[tuple[str, dict[str, Any]]]:
        return [(server, row("UA", cid, sent)[1]) for server, cid in places]

    traffic.too_much(rows(0), 100.0)
    assert set(traffic.too_much(rows(SENT_PER_S_MAX * 10 // 3), 110.0)) == {"UA"}
    crowd = [row("UA", cid) for cid in range(CONNECTIONS_MAX + 1)] + [
        row("UB", cid) for cid in range(CONNECTIONS_MAX)
    ]
    assert set(too_many(crowd)) == {"UA"}
