"""An invite: one token that makes a stranger a follower, and the one question he asks with it.

Belongs here: the token's form, the request to join and its answer, the proof that the asker holds his keys.
Does not belong here: who is let in (`relay.registry`), the call itself (the bus), files.

Token: `slip1_`, then base64url without padding of: 4 bytes of the SHA-256 of the rest (typing mistakes), the
rest as MessagePack. It is a secret until it is used up or runs out: whoever has it may join in its name, and
nothing else. The follower makes his keys himself; only their public halves travel.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Final

import msgspec
import nkeys
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from relay.protocol.codec import decode_strictly
from relay.protocol.errors import BadSignature, Malformed, TooLarge, UnknownVersion
from relay.protocol.messages import Count, Hash, Identifier, Symbol, Text, Token
from relay.protocol.subjects import check_identifier

__all__ = [
    "INVITE_PREFIX",
    "JOIN_BYTES_MAX",
    "URLS_MAX",
    "Invite",
    "JoinAnswer",
    "JoinRequest",
    "VenueHint",
    "decode_join_answer",
    "decode_join_request",
    "encode_invite",
    "encode_join_answer",
    "encode_join_request",
    "parse_invite",
]

INVITE_PREFIX: Final = "slip1_"
INVITE_LENGTH_MAX: Final = 8_192
JOIN_BYTES_MAX: Final = 4_096
ANSWER_BYTES_MAX: Final = 48 * 1024  # with a profile in it
URLS_MAX: Final = 8
_CHECK_BYTES = 4
_PROOF_DOMAIN = b"slipstream join v1\0"

Nkey = Annotated[str, msgspec.Meta(pattern=r"\AU[A-Z2-7]{55}\Z")]
Seed = Annotated[str, msgspec.Meta(pattern=r"\ASU[A-Z2-7]{56}\Z")]
BrokerUrl = Annotated[
    str, msgspec.Meta(pattern=r"\A(nats|tls)://([^\s/@:]{1,255}|\[[0-9a-fA-F:]+\]):[0-9]{1,5}\Z")
]
VenueUrl = Annotated[str, msgspec.Meta(pattern=r"\A(https?|wss?)://[^\s/@]{1,255}\Z")]


class VenueHint(msgspec.Struct, frozen=True, array_like=True):
    """Where the leader trades: a suggestion for paper trading, never a place to send API keys unasked."""

    exchange: Token
    rest_url: VenueUrl | None = None
    ws_url: VenueUrl | None = None


class Invite(msgspec.Struct, frozen=True, array_like=True):
    """What a token carries. Times in ms of the Unix epoch."""

    invite_id: (
        Identifier  # the broker user of the invite; its inbox and `join.<invite_id>` are all it may use
    )
    seed: Seed  # that user's nkey seed
    urls: Annotated[list[BrokerUrl], msgspec.Meta(min_length=1, max_length=URLS_MAX)]
    leader_id: Identifier
    leader_key: Hash  # 64 hex digits: what the follower pins
    expires_ms: Count
    ca_pem: Annotated[str, msgspec.Meta(max_length=4_096)] | None = None  # None: the system's authorities
    venue: VenueHint | None = None
    symbols: Annotated[list[Symbol], msgspec.Meta(max_length=50)] = []


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants to follow. `proof` = signature of the nkey over everything else and the invite's id."""

    follower_id: Identifier
    nkey: Nkey
    box_key: Hash  # X25519 public key, hex: what keys of private groups are wrapped to
    program_version: Text
    proof: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]


class JoinAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`error` empty: the follower is known to the broker now, under `follower_id`, and may hear `leaders`.

    Else one of: id_taken, invite_used, invite_expired, invite_revoked, malformed, proof. `profile`: what the
    invite's leader says of himself, as he signed it.
    """

    follower_id: Text
    leaders: list[Identifier]
    error: Text = ""
    detail: Text = ""
    profile: Annotated[str, msgspec.Meta(max_length=ANSWER_BYTES_MAX)] | None = None


def encode_invite(invite: Invite) -> str:
    """The token. Raises `Malformed` for what `parse_invite` would refuse."""
    body = msgspec.msgpack.encode(invite)
    text = base64.urlsafe_b64encode(_check(body) + body).decode().rstrip("=")
    token = INVITE_PREFIX + text
    if parse_invite(token) != invite:
        raise Malformed("invite: does not survive its own encoding")
    return token


def parse_invite(token: str) -> Invite:
    """A token as its invite. Raises a `ProtocolError` whose text never repeats the token."""
    text = "".join(token.split())
    if len(text) > INVITE_LENGTH_MAX:
        raise TooLarge(f"invite: at most {INVITE_LENGTH_MAX} characters are allowed")
    if not text.startswith(INVITE_PREFIX):
        if text.startswith("slip"):
            raise UnknownVersion("invite: made by another version of this program")
        raise Malformed(f"invite: a token that begins with {INVITE_PREFIX} is allowed")
    encoded = text.removeprefix(INVITE_PREFIX)
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("invite: characters that a token does not have") from None
    check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    if check != _check(body):
        raise Malformed("invite: incomplete or mistyped")
    try:
        invite = msgspec.msgpack.decode(body, type=Invite)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Malformed("invite: not what this program writes") from None
    return invite


def encode_join_request(
    invite: Invite, *, follower_id: str, nkey_seed: str, box_key: str, program_version: str
) -> bytes:
    """The request's bytes, proven by the follower's own nkey. Raises `Malformed` for a seed that is none."""
    check_identifier(follower_id)
    try:
        pair = nkeys.from_seed(bytearray(nkey_seed.encode()))
        nkey: str = pair.public_key.decode()
        proof: str = pair.sign(_proven(invite.invite_id, follower_id, nkey, box_key)).hex()
    except (nkeys.NkeysError, ValueError, IndexError):
        raise Malformed("nkey: a user's seed is allowed") from None
    raw = msgspec.json.encode(
        JoinRequest(
            follower_id=follower_id, nkey=nkey, box_key=box_key, program_version=program_version, proof=proof
        )
    )
    decode_join_request(raw, invite.invite_id)
    return raw


def decode_join_request(raw: bytes, invite_id: str) -> JoinRequest:
    """A request that arrived on `join.<invite_id>`. Raises `ProtocolError`, `BadSignature` without proof."""
    request = decode_strictly(raw, JoinRequest, JOIN_BYTES_MAX, "join")
    signed = _proven(invite_id, request.follower_id, request.nkey, request.box_key)
    try:
        VerifyKey(base64.b32decode(request.nkey)[1:33]).verify(signed, bytes.fromhex(request.proof))
    except (BadSignatureError, ValueError):
        raise BadSignature("join: the proof does not fit the nkey") from None
    return request


def encode_join_answer(answer: JoinAnswer) -> bytes:
    """The answer's bytes."""
    return msgspec.json.encode(answer)


def decode_join_answer(raw: bytes) -> JoinAnswer:
    """The relay's answer. Raises a `ProtocolError`."""
    return decode_strictly(raw, JoinAnswer, ANSWER_BYTES_MAX, "join")


def _proven(*fields: str) -> bytes:
    parts = [field.encode() for field in fields]
    return _PROOF_DOMAIN + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _check(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECK_BYTES]
