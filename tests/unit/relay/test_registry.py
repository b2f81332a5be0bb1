"""Who is let in, who is put out, and what the log says about it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from relay.errors import Failed, InvariantBroken
from relay.protocol.invite import JoinRequest
from relay.registry import InviteRow, Refused, Registry

DAY_MS = 86_400_000
NKEYS = {name: "U" + name[0].upper() * 55 for name in ("alice", "carol", "bob", "eve", "dave")}


def invite(
    name: str = "inv1", *, leader: str = "alice", follower: str | None = None, uses: int = 1
) -> InviteRow:
    return InviteRow(name, f"U{name.upper():A<55}", leader, follower, "", 0, DAY_MS, uses, 0, None)


def request(name: str, *, nkey: str | None = None, box_key: str = "0b" * 32) -> JoinRequest:
    return JoinRequest(
        follower_id=name, nkey=nkey or NKEYS[name], box_key=box_key, program_version="", proof="00" * 64
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    opened = Registry.open(tmp_path / "registry.sqlite")
    opened.add_leader("alice", NKEYS["alice"], "ab" * 32, {"exchange": "bybit"}, 0)
    opened.add_leader("carol", NKEYS["carol"], "cd" * 32, {}, 0)
    return opened


def refusal(call: object) -> str:
    with pytest.raises(Refused) as caught:
        call()  # type: ignore[operator]
    return caught.value.code


def test_an_invite_lets_one_in_and_a_lost_answer_is_answered_again(registry: Registry) -> None:
    registry.add_invite(invite())
    assert registry.join("inv1", request("bob"), 5) == ("alice",)
    before = registry.revision
    assert registry.join("inv1", request("bob"), 6) == ("alice",)
    assert registry.revision == before
    assert refusal(lambda: registry.join("inv1", request("eve"), 7)) == "invite_used"
    assert [one.id for one in registry.followers()] == ["bob"]
    assert [row.uses for row in registry.invites()] == [1]


def test_what_an_invite_does_not_open(registry: Registry) -> None:
    registry.add_invite(invite("inv1", follower="bob"))
    registry.add_invite(invite("inv2"))
    registry.add_invite(invite("inv3"))
    registry.add_invite(invite("inv4", uses=5))
    assert refusal(lambda: registry.join("nothere", request("bob"), 5)) == "invite_revoked"
    assert refusal(lambda: registry.join("inv1", request("eve"), 5)) == "id_taken"
    assert refusal(lambda: registry.join("inv2", request("bob"), DAY_MS)) == "invite_expired"
    registry.revoke_invite("inv3", 5)
    assert refusal(lambda: registry.join("inv3", request("bob"), 5)) == "invite_revoked"
    assert refusal(lambda: registry.revoke_invite("inv3", 6)) == "unknown"
    registry.join("inv4", request("bob"), 5)
    assert refusal(lambda: registry.join("inv4", request("bob", nkey=NKEYS["eve"]), 6)) == "id_taken"
    assert refusal(lambda: registry.join("inv4", request("eve", nkey=NKEYS["bob"]), 6)) == "id_taken"
    assert refusal(lambda: registry.join("inv4", request("eve", nkey=NKEYS["alice"]), 6)) == "id_taken"
    assert refusal(lambda: registry.add_invite(invite("inv5", leader="nobody"))) == "unknown_leader"


def test_a_follower_of_two_leaders_leaves_one(registry: Registry) -> None:
    registry.add_invite(invite("inv1"))
    registry.add_invite(invite("inv2", leader="carol"))
    registry.join("inv1", request("bob"), 1)
    assert registry.join("inv2", request("bob"), 2) == ("alice", "carol")
    registry.revoke("alice", "bob", 3, by="follower")
    assert registry.followers()[0].leaders == ("carol",)
    assert refusal(lambda: registry.revoke("alice", "bob", 4, by="leader")) == "unknown"
    assert refusal(lambda: registry.join("inv1", request("bob"), 4)) == "invite_used"
    registry.revoke("carol", "bob", 5, by="leader")
    assert registry.followers() == []


def test_the_rows_say_who_could_read_what_and_when(registry: Registry) -> None:
    registry.add_invite(invite("inv1", uses=2))
    registry.join("inv1", request("bob"), 10)
    registry.join("inv1", request("eve"), 20)
    registry.revoke("alice", "bob", 30, by="leader")
    assert registry.readers("alice", 9) == []
    assert registry.readers("alice", 15) == ["bob"]
    assert registry.readers("alice", 29) == ["bob", "eve"]
    assert registry.readers("alice", 30) == ["eve"]
    assert [(row.what, row.who) for row in registry.log()] == [
        ("leader_added", "alice"),
        ("leader_added", "carol"),
        ("invite_made", "alice"),
        ("joined", "bob"),
        ("joined", "eve"),
        ("grant_ended", "bob"),
    ]


def test_a_leader_is_who_he_was(registry: Registry) -> None:
    registry.add_leader("alice", NKEYS["alice"], "ab" * 32, {"exchange": "okx"}, 5)
    assert registry.leaders()[0].hint == {"exchange": "okx"}
    assert refusal(lambda: registry.add_leader("alice", NKEYS["dave"], "ab" * 32, {}, 6)) == "id_taken"
    registry.add_invite(invite())
    registry.join("inv1", request("bob"), 7)
    registry.remove_leader("alice", 8)
    assert [leader.id for leader in registry.leaders()] == ["carol"]
    assert registry.followers() == []
    assert refusal(lambda: registry.remove_leader("alice", 9)) == "unknown"


def test_who_was_removed_comes_back_with_a_new_nkey_and_his_followers(registry: Registry) -> None:
    registry.add_invite(invite())
    registry.join("inv1", request("bob"), 7)
    was = next(leader for leader in registry.leaders() if leader.id == "alice")
    registry.remove_leader("alice", 8)
    assert refusal(lambda: registry.add_leader("alice", NKEYS["dave"], "0" * 64, {}, 9)) == "id_taken"
    for other in ("carol", "bob"):  # another leader's, a follower's
        assert (
            refusal(lambda other=other: registry.add_leader("alice", NKEYS[other], was.signing_key, {}, 9))
            == "id_taken"
        )
    registry.add_leader("alice", NKEYS["dave"], was.signing_key, {}, 10)
    now = next(leader for leader in registry.leaders() if leader.id == "alice")
    assert (now.nkey, now.signing_key, now.hint) == (NKEYS["dave"], was.signing_key, was.hint)
    assert [(one.id, one.leaders) for one in registry.followers()] == [("bob", ("alice",))]


def test_a_refused_change_leaves_nothing(registry: Registry) -> None:
    registry.add_invite(invite("inv1"))
    registry.join("inv1", request("bob"), 1)
    revision, log = registry.revision, registry.log()
    refusal(lambda: registry.join("inv1", request("eve"), 2))
    assert (registry.revision, registry.log()) == (revision, log)
    assert [one.id for one in registry.followers()] == ["bob"]


def test_a_file_that_is_damaged_or_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    Registry.open(path).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE fact SET value = '9' WHERE name = 'version'")
    database.close()
    with pytest.raises(Failed, match="version 9"):
        Registry.open(path)
    (tmp_path / "other").write_bytes(b"no database, but long enough to be looked at" * 40)
    with pytest.raises(InvariantBroken):
        Registry.open(tmp_path / "other")
