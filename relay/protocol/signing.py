"""The envelope: a header that says whose message this is and where it stands, signed together with its
payload.

Belongs here: the frame on the wire, what the Ed25519 signature covers, the chain hash. Does not belong
here: the meaning of a payload (`codec`), the order of messages (`feed`), where keys are kept (`relay.keys`).

Frame: one line of compact JSON (the header, in fixed field order), a line feed, the payload bytes as they
are. Signed are: a domain prefix, then every header field and the SHA-256 of the payload, each preceded by
its length. The chain hash is the SHA-256 of exactly those signed bytes, so a message commits to all before
it. A frame has one byte form only: a header that differs from its own re-encoding is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from relay.protocol.errors import BadSignature, Malformed, TooLarge, UnknownVersion, WrongLeader
from relay.protocol.messages import SCHEMA_VERSION, KeyLink
from relay.protocol.subjects import IDENTIFIER_PATTERN, check_identifier

__all__ = [
    "ENVELOPE_BYTES_MAX",
    "GENESIS_HASH",
    "HEADER_BYTES_MAX",
    "Envelope",
    "PublicKey",
    "Sealed",
    "as_verify_key",
    "header_hash",
    "key_id_of",
    "link_keys",
    "open_chained",
    "open_envelope",
    "open_with",
    "seal",
    "seal_chained",
    "verify_link",
]

ENVELOPE_BYTES_MAX = 16 * 1024
HEADER_BYTES_MAX = 1024
VERIFIED_MAX = 256  # frames remembered as verified: some seconds of many leaders
GENESIS_HASH = "0" * 64  # prev_hash of a leader's first message
_DOMAIN = b"slipstream signal feed v1\0"
_LENGTHS = [length.to_bytes(4, "big") for length in range(HEADER_BYTES_MAX)]
_LINK_DOMAIN = b"slipstream key rotation v1\0"
_NUMBER_MAX = 2**53 - 1

PublicKey: TypeAlias = VerifyKey | str  # 64 hex digits where it is text

_Identifier = Annotated[str, msgspec.Meta(pattern=IDENTIFIER_PATTERN)]
_Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Number = Annotated[int, msgspec.Meta(ge=0, le=_NUMBER_MAX)]


class _Version(msgspec.Struct):
    version: int


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    kind: Annotated[str, msgspec.Meta(pattern=r"\A[a-z_]{1,32}\Z")]
    leader_id: _Identifier
    epoch: _Number
    seq: _Number
    prev_hash: _Hash
    key_id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]
    signature: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]


_HEADERS = msgspec.json.Decoder(_Header)
# The header line as this program writes it, in one match: a quarter of the time of decoding, encoding again
# and comparing. What does not match goes the long way, which says what is wrong with it.
_QUICK_LINE = re.compile(
    rb'\{"version":1,"kind":"([a-z_]{1,32})","leader_id":"([a-z0-9]{1,32})",'
    rb'"epoch":(0|[1-9][0-9]{0,14}),"seq":(0|[1-9][0-9]{0,14}),"prev_hash":"([0-9a-f]{64})",'
    rb'"key_id":"([0-9a-f]{16})","signature":"([0-9a-f]{128})"\}\n'
)
_HASH_LENGTH, _KEY_ID_LENGTH, _DIGEST_LENGTH = _LENGTHS[64], _LENGTHS[16], _LENGTHS[32]
_DOMAIN_AND_VERSION = _DOMAIN + _LENGTHS[1] + b"1"
_verified: OrderedDict[bytes, tuple[Envelope, bytes]] = OrderedDict()


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A verified message of a leader: header fields, the payload's raw bytes, and the hash that the next
    one names.
    """

    version: int
    kind: str
    leader_id: str
    epoch: int
    seq: int
    prev_hash: str
    key_id: str
    signature: str
    payload: bytes
    chain_hash: str

    @property
    def message_id(self) -> str:
        """`<leader>.<epoch>.<seq>`: the signal id of a signal, and what the broker dedupes by."""
        return f"{self.leader_id}.{self.epoch}.{self.seq}"


def as_verify_key(key: PublicKey) -> VerifyKey:
    """A leader's public key from 64 hex digits. Raises `Malformed`, without repeating what was given."""
    if isinstance(key, VerifyKey):
        return key
    try:
        raw = bytes.fromhex(key)
    except ValueError:
        raw = b""
    if len(raw) != 32 or key != raw.hex():
        raise Malformed("public key: 64 hex digits, lower case, are allowed")
    return VerifyKey(raw)


def key_id_of(verify_key: VerifyKey) -> str:
    """Short name of a key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(bytes(verify_key)).hexdigest()[:16]


def header_hash(envelope: Envelope) -> str:
    """The chain hash: SHA-256 of the signed bytes, in hex; the next message carries it as `prev_hash`."""
    return hashlib.sha256(_signed_bytes(envelope)).hexdigest()


class Sealed(NamedTuple):
    """A frame that goes out, and the hash that the next one names."""

    wire: bytes
    chain_hash: str


def seal_chained(
    signing_key: SigningKey,
    *,
    kind: str,
    leader_id: str,
    epoch: int,
    seq: int,
    prev_hash: str,
    payload: bytes,
) -> Sealed:
    """Sign a payload. Raises `ProtocolError` if a reader would refuse the frame."""
    check_identifier(leader_id)
    unsigned = _Header(
        version=SCHEMA_VERSION,
        kind=kind,
        leader_id=leader_id,
        epoch=epoch,
        seq=seq,
        prev_hash=prev_hash,
        key_id=key_id_of(signing_key.verify_key),
        signature="0" * 128,
    )
    signed = _signed_bytes(unsigned, payload)
    header = msgspec.structs.replace(unsigned, signature=signing_key.sign(signed).signature.hex())
    wire = msgspec.json.encode(header) + b"\n" + payload
    _split(wire)
    return Sealed(wire, hashlib.sha256(signed).hexdigest())


def seal(
    signing_key: SigningKey,
    *,
    kind: str,
    leader_id: str,
    epoch: int,
    seq: int,
    prev_hash: str,
    payload: bytes,
) -> bytes:
    """`seal_chained` for those who need the frame alone."""
    return seal_chained(
        signing_key,
        kind=kind,
        leader_id=leader_id,
        epoch=epoch,
        seq=seq,
        prev_hash=prev_hash,
        payload=payload,
    ).wire


def open_envelope(wire: bytes, verify_key: PublicKey, leader_id: str) -> Envelope:
    """Check a frame against the pinned key and leader. Raises a `ProtocolError`; nothing unverified is
    returned.
    """
    key = as_verify_key(verify_key)

    def only_this_one(key_id: str, _seq: int) -> VerifyKey:
        if key_id != key_id_of(key):
            raise WrongLeader("envelope: another leader's id or key")
        return key

    return open_with(wire, only_this_one, leader_id)


def open_with(wire: bytes, choose: Callable[[str, int], VerifyKey], leader_id: str) -> Envelope:
    """As `open_envelope`, where the key follows from the key id and seq in the header; `choose` raises
    `WrongLeader` for one that is not the leader's there.

    A frame that was verified a moment ago is not verified again for the next reader in this process: a
    thousand followers of one leader cost one verification. Who may speak is asked for each all the same.
    """
    known = _verified.get(wire)
    if known is not None and known[0].leader_id == leader_id:
        key = choose(known[0].key_id, known[0].seq)
        if bytes(key) == known[1]:
            return known[0]
    envelope, key = _open_anew(wire, choose, leader_id)
    _verified[wire] = (envelope, bytes(key))
    if len(_verified) > VERIFIED_MAX:
        _verified.popitem(last=False)
    return envelope


def _open_anew(
    wire: bytes, choose: Callable[[str, int], VerifyKey], leader_id: str
) -> tuple[Envelope, VerifyKey]:
    envelope, signed = _read(wire)
    if envelope.leader_id != leader_id:
        raise WrongLeader("envelope: another leader's id or key")
    key = choose(envelope.key_id, envelope.seq)
    try:
        key.verify(signed, bytes.fromhex(envelope.signature))
    except (BadSignatureError, ValueError):
        raise BadSignature("envelope: the signature does not fit header, payload and key") from None
    return envelope, key


def open_chained(wire: bytes, leader_id: str, chain_hash: str) -> Envelope:
    """A frame that a verified later one commits to: its chain hash is the `prev_hash` of the one after it.
    Raises a `ProtocolError` for any other frame.
    """
    envelope, _ = _read(wire)
    if envelope.leader_id != leader_id:
        raise WrongLeader("envelope: another leader's id or key")
    if envelope.chain_hash != chain_hash:
        raise BadSignature("envelope: not the one that the next message follows")
    return envelope


def _read(wire: bytes) -> tuple[Envelope, bytes]:
    """A frame, not verified yet, and the bytes that its signature is over."""
    found = _QUICK_LINE.match(wire) if len(wire) <= ENVELOPE_BYTES_MAX else None
    if found is None:
        header, payload = _split(wire)
        signed = _signed_bytes(header, payload)
        return _envelope(header, payload, signed), signed
    kind, leader_id, epoch, seq, prev_hash, key_id, signature = found.groups()
    payload = wire[found.end() :]
    signed = b"".join(
        (
            _DOMAIN_AND_VERSION,
            _LENGTHS[len(kind)],
            kind,
            _LENGTHS[len(leader_id)],
            leader_id,
            _LENGTHS[len(epoch)],
            epoch,
            _LENGTHS[len(seq)],
            seq,
            _HASH_LENGTH,
            prev_hash,
            _KEY_ID_LENGTH,
            key_id,
            _DIGEST_LENGTH,
            hashlib.sha256(payload).digest(),
        )
    )
    envelope = Envelope(
        version=1,
        kind=kind.decode(),
        leader_id=leader_id.decode(),
        epoch=int(epoch),
        seq=int(seq),
        prev_hash=prev_hash.decode(),
        key_id=key_id.decode(),
        signature=signature.decode(),
        payload=payload,
        chain_hash=hashlib.sha256(signed).hexdigest(),
    )
    return envelope, signed


def _envelope(header: _Header, payload: bytes, signed: bytes) -> Envelope:
    return Envelope(
        version=header.version,
        kind=header.kind,
        leader_id=header.leader_id,
        epoch=header.epoch,
        seq=header.seq,
        prev_hash=header.prev_hash,
        key_id=header.key_id,
        signature=header.signature,
        payload=payload,
        chain_hash=hashlib.sha256(signed).hexdigest(),
    )


def link_keys(old_key: SigningKey, leader_id: str, new_key: str, from_seq: int) -> KeyLink:
    """The old key's word that from `from_seq` on the new one (64 hex digits) signs for this leader."""
    as_verify_key(new_key)
    old_text = bytes(old_key.verify_key).hex()
    signature = old_key.sign(_link_bytes(leader_id, old_text, new_key, from_seq)).signature.hex()
    return KeyLink(old_key=old_text, new_key=new_key, from_seq=from_seq, signature=signature)


def verify_link(link: KeyLink, leader_id: str) -> None:
    """Raises `BadSignature` unless the link's old key has signed it for this leader."""
    signed = _link_bytes(leader_id, link.old_key, link.new_key, link.from_seq)
    try:
        as_verify_key(link.old_key).verify(signed, bytes.fromhex(link.signature))
    except (BadSignatureError, ValueError):
        raise BadSignature("key rotation: not signed by the old key") from None


def _link_bytes(leader_id: str, old_key: str, new_key: str, from_seq: int) -> bytes:
    fields = (leader_id.encode(), old_key.encode(), new_key.encode(), str(from_seq).encode())
    return _LINK_DOMAIN + b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def _split(wire: bytes) -> tuple[_Header, bytes]:
    if len(wire) > ENVELOPE_BYTES_MAX:
        raise TooLarge(f"envelope: at most {ENVELOPE_BYTES_MAX} bytes are allowed, got {len(wire)}")
    end = wire.find(b"\n", 0, HEADER_BYTES_MAX + 1)
    if end < 0:
        raise Malformed(f"envelope: a header line of at most {HEADER_BYTES_MAX} bytes is allowed")
    line, payload = wire[:end], wire[end + 1 :]
    try:
        header = _HEADERS.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        _check_version(line)
        raise Malformed(f"envelope: {error}") from None
    if msgspec.json.encode(header) != line:
        raise Malformed("envelope: compact JSON in the fixed field order is allowed")
    return header, payload


def _check_version(line: bytes) -> None:
    """Another version's header may look like anything else."""
    try:
        version = msgspec.json.decode(line, type=_Version).version
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Malformed("envelope: the header is not a JSON object with a version") from None
    if version != SCHEMA_VERSION:
        raise UnknownVersion(f"envelope: version {SCHEMA_VERSION} is allowed")


def _signed_bytes(header: _Header | Envelope, payload: bytes | None = None) -> bytes:
    if payload is None:
        assert isinstance(header, Envelope)
        payload = header.payload
    fields = (
        str(header.version).encode(),
        header.kind.encode(),
        header.leader_id.encode(),
        str(header.epoch).encode(),
        str(header.seq).encode(),
        header.prev_hash.encode(),
        header.key_id.encode(),
        hashlib.sha256(payload).digest(),
    )
    return _DOMAIN + b"".join([part for field in fields for part in (_LENGTHS[len(field)], field)])
