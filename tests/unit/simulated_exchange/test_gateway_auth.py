"""Signatures and receive windows. The vectors follow the documented formula; they were computed elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulated_exchange.accounts import ApiKey, KeyStore
from simulated_exchange.gateway.auth import check_timestamp, sign, verify_request, verify_socket
from simulated_exchange.gateway.rate_limit import RateLimiter
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
