"""An invite's token and the request to join: what survives, what is refused, what is proven."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest

from relay.keys import create_nkey, load_nkey_seed
from relay.protocol.errors import BadSignature, Malformed, ProtocolError, UnknownVersion
from relay.protocol.invite import (
    INVITE_PREFIX,
    Invite,
    JoinAnswer,
    VenueHint,
    decode_join_answer,
    decode_join_request,
    encode_invite,
    encode_join_answer,
    encode_join_request,
    parse_invite,
)

BOX_KEY = "0b" * 32


def new_seed(folder: Path, name: str) -> str:
    create_nkey(folder / name)
    return load_nkey_seed(folder / name)


@pytest.fixture
def invite(tmp_path: Path) -> Invite:
    return Invite(
        invite_id="inv1",
        seed=new_seed(tmp_path, "invite"),
        urls=["tls://relay.example:4222", "nats://[::1]:4223"],
        leader_id="alice",
        leader_key="ab" * 32,
        expires_ms=1_800_000_000_000,
        ca_pem="-----BEGIN CERTIFICATE-----",
        venue=VenueHint("bybit", "http://127.0.0.1:8080", "ws://127.0.0.1:8080"),
        symbols=["BTC/USDT:USDT"],
    )


def test_a_token_carries_the_invite_through_line_breaks(invite: Invite) -> None:
    token = encode_invite(invite)
    assert parse_invite(token) == invite
    broken = "\n".join(token[start : start + 40] for start in range(0, len(token), 40))
    assert parse_invite(f"  {broken}\n") == invite


def test_every_mistyped_character_is_noticed(invite: Invite) -> None:
    token = encode_invite(invite)
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(300):
        place = chance.randrange(len(INVITE_PREFIX), len(token) - 1)
        letter = chance.choice([c for c in "ABCabc019-_" if c != token[place]])
        with pytest.raises(ProtocolError):
            parse_invite(token[:place] + letter + token[place + 1 :])
            pytest.fail(f"seed {seed}, place {place}, letter {letter}")
    for cut in (1, 10, 100):
        with pytest.raises(ProtocolError):
            parse_invite(token[:-cut])


def test_what_is_no_token_is_refused_without_repeating_it(invite: Invite) -> None:
    for text in ("", "hello", INVITE_PREFIX, INVITE_PREFIX + "!!", INVITE_PREFIX + "A" * 10_000):
        with pytest.raises(ProtocolError) as caught:
            parse_invite(text)
        assert not text or text[-10:] not in str(caught.value) or text == INVITE_PREFIX
    with pytest.raises(UnknownVersion):
        parse_invite("slip2_" + encode_invite(invite).removeprefix(INVITE_PREFIX))


@pytest.mark.parametrize(
    "change",
    [
        {"urls": []},
        {"urls": ["http://relay.example:4222"]},
        {"urls": ["nats://user:password@relay.example:4222"]},
        {"leader_id": "Alice"},
        {"leader_key": "ab"},
        {"seed": "SUxx"},
        {"expires_ms": -1},
        {"symbols": ["no symbol"]},
    ],
)
def test_a_token_of_nonsense_is_not_made(invite: Invite, change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        encode_invite(msgspec.structs.replace(invite, **change))


def test_a_request_is_proven_by_the_followers_own_key(invite: Invite, tmp_path: Path) -> None:
    seed = new_seed(tmp_path, "bob")
    raw = encode_join_request(
        invite, follower_id="bob", nkey_seed=seed, box_key=BOX_KEY, program_version="0.1.0"
    )
    request = decode_join_request(raw, "inv1")
    assert (request.follower_id, request.box_key) == ("bob", BOX_KEY)
    with pytest.raises(BadSignature):
        decode_join_request(raw, "inv2")  # moved to another invite
    other = encode_join_request(
        invite,
        follower_id="eve",
        nkey_seed=new_seed(tmp_path, "eve"),
        box_key=BOX_KEY,
        program_version="0.1.0",
    )
    stolen = json.loads(raw) | {"proof": json.loads(other)["proof"]}
    for changed in (
        stolen,
        json.loads(raw) | {"follower_id": "eve"},
        json.loads(raw) | {"box_key": "0c" * 32},
    ):
        with pytest.raises(BadSignature):
            decode_join_request(json.dumps(changed, separators=(",", ":")).encode(), "inv1")
    with pytest.raises(Malformed):
        decode_join_request(raw.replace(b'"nkey"', b'"nkey" '), "inv1")


def test_an_answer_survives(invite: Invite) -> None:
    answer = JoinAnswer(follower_id="bob", leaders=["alice"], error="id_taken", detail="another has it")
    assert decode_join_answer(encode_join_answer(answer)) == answer
