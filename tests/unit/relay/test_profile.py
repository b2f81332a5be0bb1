"""A leader's profile: believed by the pinned key or one it passed its word on to; the score is his own."""

from __future__ import annotations

import msgspec
import pytest

from relay.protocol.documents import sign_document
from relay.protocol.errors import ProtocolError
from relay.protocol.profile import PROFILE_BYTES_MAX, Profile, open_profile, sign_profile
from relay.protocol.signing import link_keys
from relay.protocol.statements import Spread, Statement, sign_statement
from tests.unit.relay import feed_samples as samples

OTHER = bytes(samples.OTHER_KEY.verify_key).hex()


def score(leader_id: str = "alice") -> Statement:
    return Statement(
        leader_id=leader_id,
        period_start_ms=1,
        period_end_ms=2,
        made_ms=3,
        signals=4,
        followers=1,
        copied=3,
        capped=0,
        skipped=1,
        missed=0,
        copies=3,
        slippage_bps=Spread(mean="1.5", p50="1", p95="4", p99="5"),
        slippage_parts_bps=None,
        latency_ms=None,
        rows_digest="00" * 32,
    )


def profile(**changes: object) -> Profile:
    given = Profile(
        leader_id="alice",
        issued_ms=5,
        text="slow and steady",
        recommended_leverage="5",
        exchange="bybit",
        symbols=["BTC/USDT:USDT"],
        statement=sign_statement(samples.KEY, score()).decode(),
    )
    return msgspec.structs.replace(given, **changes)


def test_it_opens_with_its_score() -> None:
    opened = open_profile(sign_profile(samples.KEY, profile()), samples.PUBLIC, "alice")
    assert opened.profile == profile()
    assert opened.score == score()
    assert opened.score_text == "1.5 bps over 3 copies"


def test_after_a_rotation_it_opens_with_the_key_that_was_pinned_before() -> None:
    link = link_keys(samples.KEY, "alice", OTHER, 7)
    document = sign_profile(samples.OTHER_KEY, profile(keys=[link]))
    assert open_profile(document, samples.PUBLIC, "alice").score_text == "1.5 bps over 3 copies"
    assert open_profile(document, OTHER, "alice").profile.text == "slow and steady"
    with pytest.raises(ProtocolError):  # the key that was passed on speaks no more
        open_profile(sign_profile(samples.KEY, profile(keys=[link])), samples.PUBLIC, "alice")


def test_nobody_elses_word_is_the_leaders() -> None:
    good = sign_profile(samples.KEY, profile())
    payload = good.partition(b"\n")[2]
    for bad in (
        sign_profile(samples.OTHER_KEY, profile()),
        sign_document(samples.KEY, b"slippage statement", "alice", payload),
        good.replace(b"steady", b"steadx"),
        good + b" ",
        payload,
        b"",
        b"x" * (PROFILE_BYTES_MAX + 1),
        sign_profile(samples.KEY, profile(leader_id="carol")),
    ):
        with pytest.raises(ProtocolError):
            open_profile(bad, samples.PUBLIC, "alice")


def test_a_score_that_he_has_not_signed_is_none() -> None:
    for statement in (
        sign_statement(samples.OTHER_KEY, score()).decode(),
        sign_statement(samples.KEY, score("carol")).decode(),
        "nonsense",
    ):
        document = sign_profile(samples.KEY, profile(statement=statement))
        assert open_profile(document, samples.PUBLIC, "alice").score is None
