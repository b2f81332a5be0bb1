"""Auth callout: a cluster asks who somebody is, the relay answers from its registry.

Belongs here: the question and the signed answer (JWTs as nats-server defines them), the proof that who
connects has his nkey. Pure but for the time it is given. Does not belong here: who there is
(`relay.admission`), the connection (`relay.external_broker`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Any, Final

import msgspec
import nkeys
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from relay.broker_config import Rights
from relay.keys import is_public_nkey, issuer_public

__all__ = ["CALLOUT_SUBJECT", "Issuer", "Question", "read_question"]

CALLOUT_SUBJECT: Final = "$SYS.REQ.USER.AUTH"
QUESTION_BYTES_MAX: Final = 64 * 1024
LEASE_S: Final = 3600  # after it the server asks again
_HEADER: Final = b'{"typ":"JWT","alg":"ed25519-nkey"}'

_Text = Annotated[str, msgspec.Meta(max_length=4096)]


class _Server(msgspec.Struct):
    id: _Text


class _Client(msgspec.Struct):
    nonce: _Text = ""


class _Options(msgspec.Struct):
    nkey: _Text = ""
    sig: _Text = ""


class _Asked(msgspec.Struct):
    server_id: _Server
    user_nkey: _Text
    client_info: _Client
    connect_opts: _Options


class _Claims(msgspec.Struct):
    nats: _Asked


class Question(msgspec.Struct, frozen=True):
    """Somebody wants to connect. `nkey` is empty where he has not proven one."""

    server_id: str
    user_nkey: str  # what the server calls this connection
    nkey: str


def read_question(raw: bytes) -> Question | None:
    """A server's question; None for what is none. It came on a subject only servers publish on."""
    parts = raw.split(b".")
    if len(raw) > QUESTION_BYTES_MAX or len(parts) != 3:
        return None
    try:
        asked = msgspec.json.decode(_unpadded(parts[1]), type=_Claims).nats
    except (msgspec.MsgspecError, ValueError, binascii.Error):
        return None
    proven = _has_proven(asked.connect_opts.nkey, asked.connect_opts.sig, asked.client_info.nonce)
    return Question(asked.server_id.id, asked.user_nkey, asked.connect_opts.nkey if proven else "")


class Issuer:
    """Signs answers with the account nkey that the servers trust."""

    def __init__(self, seed: str) -> None:
        self._pair = nkeys.from_seed(bytearray(seed.encode()))
        self._public = issuer_public(seed)

    def admit(self, question: Question, rights: Rights, now_s: int) -> bytes:
        """The answer that lets somebody in with these rights, for LEASE_S."""
        user = self._token(
            now_s,
            question.user_nkey,
            rights.account,
            {
                "pub": {"allow": list(rights.publish)},
                "sub": {"allow": list(rights.subscribe)},
                "subs": -1,
                "data": -1,
                "payload": -1,
                "type": "user",
                "version": 2,
            },
            name=rights.user,
            exp=now_s + LEASE_S,
        )
        return self._answer(question, {"jwt": user.decode()}, now_s)

    def refuse(self, question: Question, now_s: int) -> bytes:
        """The answer that lets nobody in."""
        return self._answer(question, {"error": "not one of this relay's users"}, now_s)

    def _answer(self, question: Question, said: dict[str, Any], now_s: int) -> bytes:
        claims = {**said, "type": "authorization_response", "version": 2}
        return self._token(now_s, question.user_nkey, question.server_id, claims)

    def _token(self, now_s: int, subject: str, audience: str, claims: dict[str, Any], **more: Any) -> bytes:
        tree = {"iat": now_s, "iss": self._public, "sub": subject, "aud": audience, "nats": claims, **more}
        tree["jti"] = (
            base64.b32encode(hashlib.sha256(msgspec.json.encode(tree)).digest()).decode().rstrip("=")
        )
        signed = _padless(_HEADER) + b"." + _padless(msgspec.json.encode(tree))
        signature: bytes = self._pair.sign(signed)
        return signed + b"." + _padless(signature)


def _has_proven(nkey: str, signature: str, nonce: str) -> bool:
    """Whether the nonce of this connection was signed by this nkey."""
    if not nonce or not is_public_nkey(nkey):
        return False
    try:
        raw = _unpadded(signature.replace("+", "-").replace("/", "_").rstrip("=").encode())
        VerifyKey(base64.b32decode(nkey)[1:33]).verify(nonce.encode(), raw)
    except (BadSignatureError, ValueError, TypeError, binascii.Error):
        return False
    return True


def _padless(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _unpadded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
