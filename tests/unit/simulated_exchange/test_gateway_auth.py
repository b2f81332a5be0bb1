"""Signatures and receive windows. The vectors follow the documented formula; they were computed elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from simulated_exchange.accounts import ApiKey, KeyStore
from simulated_exchange.gateway.auth import (
    check_timestamp,
    require_scope,
    sign,
    verify_request,
    verify_socket,
)
from simulated_exchange.gateway.rate_limit import (
    ADDRESS_BAN_MS,
    ADDRESS_FRAMES_MAX,
    ADDRESS_SOCKETS_MAX,
    SOCKETS_WINDOW_MS,
    RateLimiter,
)
from simulated_exchange.gateway.translate.frames import AuthFrame
from simulated_exchange.gateway.translate.refusals import RefusedError

NOW_MS = 1_764_547_200_000
KEY = ApiKey("local", "LOCALKEY", "LOCALSECRET", 100_000, NOW_MS)

VECTORS = [
    (
        b"symbol=BTCUSDT&limit=200&category=linear",
        "e54e21e2e5f22a3fc7bb9a3cc555229225752cee7e35da6a4ac81cc2a3c0de20",
    ),
    (
        b'{"symbol":"BTCUSDT","side":"Buy","orderType":"Limit","price":"99000","category":"linear","qty":"0.01"}',
        "5255bd74568a7afdd020f42220f52c7ad799c78e6d8fba10f63f4f6a6252ff3a",
    ),
    (
        b'{"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.01"}',
        "d4f27694ddbf83584b8141d4da462b9d74d7705bd8c2a2ce210ff83ed3742e79",
    ),
    (b"", "e381dd8c264a0cafef283955e392c0c835327036fcc40276af3828950ad19216"),
]


def keys() -> KeyStore:
    return KeyStore(Path("unused"), [KEY])


def headers(signature: str, timestamp: str = str(NOW_MS), window: str = "5000") -> dict[str, str]:
    return {
        "X-BAPI-API-KEY": KEY.api_key,
        "X-BAPI-TIMESTAMP": timestamp,
        "X-BAPI-RECV-WINDOW": window,
        "X-BAPI-SIGN": signature,
    }


@pytest.mark.parametrize(("payload", "signature"), VECTORS)
def test_requests_are_verified_on_the_bytes_as_received(payload: bytes, signature: str) -> None:
    assert verify_request(headers(signature), payload, keys(), NOW_MS, 5000) is KEY
    for other in (payload + b" ", payload.replace(b"linear", b"inverse") + b"x"):
        with pytest.raises(RefusedError) as refused:
            verify_request(headers(signature), other, keys(), NOW_MS, 5000)
        assert refused.value.code == 10004


def test_the_window_is_closed_below_and_open_above() -> None:
    for timestamp_ms, window, code in (
        (NOW_MS - 5000, "", 0),
        (NOW_MS - 5001, "", 10002),
        (NOW_MS - 5001, "6000", 0),
        (NOW_MS + 999, "", 0),
        (NOW_MS + 1000, "", 10002),
    ):
        if not code:
            check_timestamp(str(timestamp_ms), window, NOW_MS, 5000)
            continue
        with pytest.raises(RefusedError) as refused:
            check_timestamp(str(timestamp_ms), window, NOW_MS, 5000)
        assert refused.value.code == code
    for timestamp, window in (
        ("", "5000"),
        ("soon", "5000"),
        (str(NOW_MS), "-1"),
        ("1e12", ""),
        ("9" * 17, ""),
    ):
        with pytest.raises(RefusedError) as refused:
            check_timestamp(timestamp, window, NOW_MS, 5000)
        assert refused.value.code == 10001


def test_sockets_are_verified_until_they_expire() -> None:
    signature = "b2e22044b95f69580137328e0722574bde77af1c939cd042b0dc1bde746da4e4"
    frame = AuthFrame("LOCALKEY", 1_764_547_210_000, signature)
    assert verify_socket(frame, keys(), NOW_MS) is KEY
    for wrong, now_ms, code in (
        (frame._replace(api_key="other"), NOW_MS, 10003),
        (frame._replace(expires_ms=frame.expires_ms + 1), NOW_MS, 10004),
        (frame, frame.expires_ms + 1, 10001),
    ):
        with pytest.raises(RefusedError) as refused:
            verify_socket(wrong, keys(), now_ms)
        assert refused.value.code == code


def test_a_signature_of_other_letters_is_only_wrong() -> None:
    with pytest.raises(RefusedError) as refused:
        verify_request(headers("Ω" * 64), b"", keys(), NOW_MS, 5000)
    assert refused.value.code == 10004
    assert KEY.api_secret not in refused.value.text
    assert sign("s", b"").islower()


def refused_by(key: ApiKey, scope: str, category: str = "", *, is_write: bool = True) -> int:
    try:
        require_scope(key, scope, is_write=is_write, category=category)
    except RefusedError as refusal:
        return refusal.code
    return 0


def test_a_key_does_what_it_may_and_nothing_else() -> None:
    assert refused_by(KEY, "withdraw") == 0
    spot_only = replace(KEY, scopes=("spot", "transfer"))
    assert refused_by(spot_only, "order", "spot") == 0
    assert refused_by(spot_only, "order", "linear") == 10005
    assert refused_by(spot_only, "transfer") == 0
    assert refused_by(spot_only, "withdraw") == 10005
    looking = replace(KEY, is_read_only=True)
    assert refused_by(looking, "order", "linear") == 10005
    assert refused_by(looking, "", is_write=False) == 0


@pytest.mark.parametrize(
    ("key", "address", "code"),
    [
        (replace(KEY, expires_ms=NOW_MS), "127.0.0.1", 33004),
        (replace(KEY, expires_ms=NOW_MS + 1), "127.0.0.1", 0),
        (replace(KEY, ips=("10.0.0.1",)), "127.0.0.1", 10010),
        (replace(KEY, ips=("10.0.0.1", "127.0.0.1")), "127.0.0.1", 0),
    ],
)
def test_keys_end_and_are_bound_to_addresses(key: ApiKey, address: str, code: int) -> None:
    store, signature = KeyStore(Path("unused"), [key]), VECTORS[3][1]
    if not code:
        assert verify_request(headers(signature), b"", store, NOW_MS, 5000, address) is key
        return
    with pytest.raises(RefusedError) as refused:
        verify_request(headers(signature), b"", store, NOW_MS, 5000, address)
    assert refused.value.code == code
    with pytest.raises(RefusedError) as refused:  # who cannot sign learns nothing of the key
        verify_request(headers("0" * 64), b"", store, NOW_MS, 5000, address)
    assert refused.value.code == 10004


def test_published_limits_are_by_call_and_by_address() -> None:
    limiter = RateLimiter(1_000_000, is_published=True)
    assert limiter.take(1, "order.create", NOW_MS) == (10, 9, NOW_MS, False)
    assert limiter.take(1, "order.create-batch", NOW_MS, cost=20).is_exceeded is False
    assert limiter.take(1, "order.create-batch", NOW_MS + 500).is_exceeded
    assert limiter.take(1, "order.create.spot", NOW_MS).limit == 20
    assert limiter.take(1, "transfer", NOW_MS).limit == 60
    for _ in range(59):
        limiter.take(1, "transfer", NOW_MS)
    assert limiter.take(1, "transfer", NOW_MS + 59_000).reset_ms == NOW_MS + 60_000
    assert limiter.take(0, "market", NOW_MS).limit == 1_000_000, "what is public is limited by address"
    asked = [limiter.is_banned("10.0.0.1", NOW_MS) for _ in range(601)]
    assert asked == [False] * 600 + [True]
    assert limiter.is_banned("10.0.0.1", NOW_MS + ADDRESS_BAN_MS - 1)
    assert not limiter.is_banned("10.0.0.1", NOW_MS + ADDRESS_BAN_MS)
    assert not limiter.is_banned("10.0.0.2", NOW_MS)
    sent = [limiter.sends_too_much("10.0.0.1", NOW_MS) for _ in range(ADDRESS_FRAMES_MAX + 1)]
    assert sent == [False] * ADDRESS_FRAMES_MAX + [True]
    assert not limiter.sends_too_much("10.0.0.2", NOW_MS)
    assert not limiter.sends_too_much("10.0.0.1", NOW_MS + 1000)
    opened = [limiter.opens_too_many("10.0.0.1", NOW_MS) for _ in range(ADDRESS_SOCKETS_MAX + 1)]
    assert opened == [False] * ADDRESS_SOCKETS_MAX + [True]
    assert not limiter.opens_too_many("10.0.0.2", NOW_MS)
    assert not limiter.opens_too_many("10.0.0.1", NOW_MS + SOCKETS_WINDOW_MS)


def test_sub_accounts_and_further_keys_survive_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    store = KeyStore.open(path)
    first = store.create("alice", NOW_MS)
    sub = store.create_sub(first.account, "alice-sub", NOW_MS, "for a bot")
    key = store.issue(sub.account, NOW_MS, scopes=("spot",), ips=("127.0.0.1",), is_read_only=True)
    store.modify(key.api_key, is_read_only=False)
    store.delete(first.api_key)
    again = KeyStore.open(path)
    assert again.by_name("alice") is not None, "a member stays when its last key goes"
    assert again.keys_of(first.account) == []
    assert again.keys_of(sub.account) == [replace(key, is_read_only=False)]
    assert [member.account for member in again.sub_members(first.account)] == [sub.account]
    assert again.create("bob", NOW_MS).account == sub.account + 1
    signed = headers(sign(key.api_secret, f"{NOW_MS}{key.api_key}5000".encode()))
    signed["X-BAPI-API-KEY"] = key.api_key
    assert verify_request(signed, b"", again, NOW_MS, 5000).account == sub.account
    again.freeze(sub.account, True)
    with pytest.raises(RefusedError) as refused:
        verify_request(signed, b"", again, NOW_MS, 5000)
    assert refused.value.code == 10005


def test_budgets_are_per_account_group_and_second() -> None:
    limiter = RateLimiter(2)
    assert [limiter.take(1, "order", NOW_MS).remaining for _ in range(2)] == [1, 0]
    beyond = limiter.take(1, "order", NOW_MS + 10)
    assert beyond.is_exceeded
    assert beyond.reset_ms > NOW_MS + 10  # some clients sleep until then and fail on the past
    late = limiter.take(1, "order", NOW_MS + 999)
    assert late.reset_ms >= NOW_MS + 999 + 50, "the answer has to travel before it is read"
    assert not limiter.take(2, "order", NOW_MS).is_exceeded
    assert not limiter.take(1, "history", NOW_MS).is_exceeded
    assert not limiter.take(1, "order", NOW_MS + 1000).is_exceeded


def test_keys_survive_on_disk_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    store = KeyStore.open(path)
    made = [store.create(name, NOW_MS) for name in ("alice", "bob")]
    assert made[0].account != made[1].account
    assert path.stat().st_mode & 0o777 == 0o600
    again = KeyStore.open(path)
    assert list(again) == made
    assert again.by_key(made[1].api_key) == made[1]
    assert made[0].api_secret not in repr(made[0])
    for name in ("alice", "", "-x", "a b", "x" * 33):
        with pytest.raises(ValueError, match=r"name"):
            again.create(name, NOW_MS)


def test_a_key_that_cannot_be_kept_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyStore.open(tmp_path / "accounts.json")
    store.create("alice", NOW_MS)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.create("bob", NOW_MS)
    assert store.by_name("bob") is None
    assert [key.name for key in store] == ["alice"]
    store.create("bob", NOW_MS)
    assert [key.name for key in KeyStore.open(tmp_path / "accounts.json")] == ["alice", "bob"]


def test_a_file_from_before_there_were_members_is_read(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    row = {"name": "alice", "api_key": "k", "api_secret": "s", "account": 100_000, "created_ms": NOW_MS}
    path.write_text(json.dumps({"accounts": [row]}))
    store = KeyStore.open(path)
    member = store.by_name("alice")
    assert member is not None
    assert (member.account, member.main_account, member.is_frozen) == (100_000, 100_000, False)
    assert store.by_key("k") == ApiKey("alice", "k", "s", 100_000, NOW_MS)
    assert store.create("bob", NOW_MS).account == 100_001
