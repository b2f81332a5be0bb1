"""What a leader says of himself, signed: who may follow reads it before he does.

Belongs here: the profile, its bytes, opening it with a pinned key. Does not belong here: where it is kept
(`relay.registry`), the score in it (`statements`).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from nacl.signing import SigningKey

from relay.protocol.codec import decode_strictly
from relay.protocol.documents import open_document, sign_document
from relay.protocol.errors import BadSignature, Malformed, ProtocolError
from relay.protocol.keyring import KeyRing
from relay.protocol.messages import KEY_LINKS_MAX, Count, Identifier, KeyLink, Symbol, Text, Token, Unsigned
from relay.protocol.signing import PublicKey
from relay.protocol.statements import STATEMENT_BYTES_MAX, Statement, open_statement

__all__ = ["PROFILE_BYTES_MAX", "OpenProfile", "Profile", "ProfileAnswer", "open_profile", "sign_profile"]

PROFILE_BYTES_MAX: Final = 32 * 1024
_KIND: Final = b"leader profile"
_SYMBOLS_MAX: Final = 50


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """`keys` leads from a key that somebody may have pinned to the one that signs now. `statement` is a
    signed slippage statement: the score.
    """

    leader_id: Identifier
    issued_ms: Count
    text: Text = ""
    recommended_leverage: Unsigned | None = None
    exchange: Token | None = None
    symbols: Annotated[list[Symbol], msgspec.Meta(max_length=_SYMBOLS_MAX)] = []
    statement: Annotated[str, msgspec.Meta(max_length=STATEMENT_BYTES_MAX)] | None = None
    keys: Annotated[list[KeyLink], msgspec.Meta(max_length=KEY_LINKS_MAX)] = []


class OpenProfile(msgspec.Struct, frozen=True):
    """A profile that is the leader's. `score` is None where he publishes none, or none that he has signed."""

    profile: Profile
    score: Statement | None

    @property
    def score_text(self) -> str:
        """The score in one line; empty without one."""
        if self.score is None:
            return ""
        if self.score.slippage_bps is None:
            return "no copies yet"
        return f"{self.score.slippage_bps.mean} bps over {self.score.copies} copies"


class ProfileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The relay's answer to a leader who publishes his profile; `error` empty: followers see it now."""

    error: Text = ""


def sign_profile(key: SigningKey, profile: Profile) -> bytes:
    """The document. Raises `Malformed` for what a reader would refuse."""
    payload = msgspec.json.encode(profile)
    decode_strictly(payload, Profile, PROFILE_BYTES_MAX, "profile")
    return sign_document(key, _KIND, profile.leader_id, payload)


def open_profile(document: bytes, pinned: PublicKey, leader_id: str) -> OpenProfile:
    """A profile signed by the pinned key, or by one that it has passed its word on to. Raises `ProtocolError`
    for any other.
    """
    if len(document) > PROFILE_BYTES_MAX:
        raise Malformed(f"profile: at most {PROFILE_BYTES_MAX} bytes are allowed")
    claimed = decode_strictly(document.partition(b"\n")[2], Profile, PROFILE_BYTES_MAX, "profile")
    ring = KeyRing(leader_id, pinned)
    if not ring.learn(claimed.keys):
        raise BadSignature("profile: one key was passed on to two others")
    open_document(document, ring.public_key, _KIND, leader_id)
    if claimed.leader_id != leader_id:
        raise Malformed(f"profile: it is {claimed.leader_id}'s")
    return OpenProfile(claimed, _score(claimed, [ring.public_key, *(link.old_key for link in claimed.keys)]))


def _score(profile: Profile, keys: list[str]) -> Statement | None:
    for key in keys if profile.statement is not None else ():
        try:
            return open_statement(str(profile.statement).encode(), key, profile.leader_id)
        except ProtocolError:
            continue
    return None
