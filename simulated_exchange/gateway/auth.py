"""Who is asking: signatures over the bytes as received, receive windows by the wall clock.

Belongs here: pure checks of keys, times, signatures and of what a key may do. Does not belong here: reading
requests, and secrets anywhere near a log.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from simulated_exchange.accounts import ApiKey, KeyStore
from simulated_exchange.driver import SignedPost
from simulated_exchange.gateway.translate.frames import AuthFrame
from simulated_exchange.gateway.translate.refusals import (
    bad_request,
    bad_signature,
    expired_api_key,
    expired_timestamp,
    permission_denied,
    unknown_api_key,
    unmatched_address,
)

__all__ = [
    "FUTURE_MS_MAX",
    "Signed",
    "check_key",
    "check_timestamp",
    "require_scope",
    "sign",
    "signed_of",
    "verify_request",
    "verify_signed",
    "verify_socket",
]

FUTURE_MS_MAX = 1000  # a signed time may lie this far ahead of ours
RECV_WINDOW_MS_MAX = 600_000
ORIGIN_TEXT_MAX = 512
SIGNERS_MAX = 4096


def sign(secret: str, text: bytes) -> str:
    """Lower-case hex HMAC-SHA256."""
    signer = _signer(secret).copy()
    signer.update(text)
    return signer.hexdigest()


@lru_cache(maxsize=SIGNERS_MAX)
def _signer(secret: str) -> hmac.HMAC:
    """A secret made ready: a copy of it costs half of what beginning anew does."""
    return hmac.new(secret.encode(), digestmod="sha256")


class Signed(NamedTuple):
    """What a request is signed with."""

    api_key: str
    timestamp: str
    recv_window: str
    signature: str


def verify_request(
    headers: Mapping[str, str],
    payload: bytes,
    keys: KeyStore,
    now_ms: int,
    recv_window_ms: int,
    address: str = "",
) -> ApiKey:
    """The key behind a signed request from `address`; `payload` is the raw query string or the raw body."""
    return verify_signed(signed_of(headers), payload, keys, now_ms, recv_window_ms, address)


def signed_of(headers: Mapping[str, str]) -> Signed:
    """What of a request's headers (names in upper case) counts."""
    get = headers.get
    return Signed(
        get("X-BAPI-API-KEY", ""),
        get("X-BAPI-TIMESTAMP", ""),
        get("X-BAPI-RECV-WINDOW", ""),
        get("X-BAPI-SIGN", ""),
    )


def verify_signed(
    signed: Signed | SignedPost,
    payload: bytes,
    keys: KeyStore,
    now_ms: int,
    recv_window_ms: int,
    address: str,
) -> ApiKey:
    """The same where the headers are read already."""
    api_key, timestamp, window = signed.api_key, signed.timestamp, signed.recv_window
    key = keys.by_key(api_key)
    if key is None:
        raise unknown_api_key()
    check_timestamp(timestamp, window, now_ms, recv_window_ms)
    origin = f"{timestamp}{api_key}{window}".encode() + payload
    if not _equal(sign(key.api_secret, origin), signed.signature):
        raise bad_signature(origin[:ORIGIN_TEXT_MAX].decode("utf-8", "replace"))
    check_key(key, keys, now_ms, address)
    return key


def check_key(key: ApiKey, keys: KeyStore, now_ms: int, address: str) -> None:
    """What is wrong with a key is told to who can sign with it, and to nobody else."""
    if key.expires_ms and key.expires_ms <= now_ms:
        raise expired_api_key()
    member = keys.member(key.account)
    if member is not None and member.is_frozen:
        raise permission_denied()
    if key.ips and address and address not in key.ips:
        raise unmatched_address()


def require_scope(key: ApiKey, scope: str, *, is_write: bool, category: str = "") -> None:
    """Refuse what the key may not do; the scope `order` is that of the market the order is for."""
    if is_write and key.is_read_only:
        raise permission_denied()
    if key.scopes is None or not scope:
        return
    if scope == "order":
        scope = "spot" if category == "spot" else "contract_order"
    if scope not in key.scopes:
        raise permission_denied()


def check_timestamp(timestamp: str, window: str, now_ms: int, recv_window_ms: int) -> None:
    """server - window <= timestamp < server + 1000."""
    if not _is_number(timestamp) or (window and not _is_number(window)):
        raise bad_request("params error: X-BAPI-TIMESTAMP and X-BAPI-RECV-WINDOW must be milliseconds")
    window_ms = min(int(window), RECV_WINDOW_MS_MAX) if window else recv_window_ms
    if not now_ms - window_ms <= int(timestamp) < now_ms + FUTURE_MS_MAX:
        raise expired_timestamp(int(timestamp), now_ms, window_ms)


def verify_socket(frame: AuthFrame, keys: KeyStore, now_ms: int, address: str = "") -> ApiKey:
    """The key behind a socket's auth frame; it may not have expired, how late it expires is the client's."""
    key = keys.by_key(frame.api_key)
    if key is None:
        raise unknown_api_key()
    if frame.expires_ms < now_ms:
        raise bad_request(f"Params Error: expires[{frame.expires_ms}] lies before server time[{now_ms}]")
    if not _equal(sign(key.api_secret, f"GET/realtime{frame.expires_ms}".encode()), frame.signature):
        raise bad_signature(f"GET/realtime{frame.expires_ms}")
    check_key(key, keys, now_ms, address)
    return key


def _equal(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 16
