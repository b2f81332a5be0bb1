"""Keys as files: a leader's signing key (Ed25519) and everybody's broker identity (nkey).

Belongs here: making and reading them, each in a file of its own that only its owner may read.
Does not belong here: what is signed (`relay.protocol.signing`), who may do what (`relay.broker_config`).

Formats: a signing key is 64 hex digits (the seed), an nkey seed is NATS' own text (`SU...`), each with a
line feed.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec
import nkeys
from nacl.public import PrivateKey
from nacl.signing import SigningKey

from relay.errors import ConfigurationError
from relay.protocol.keyring import KeyRing
from relay.protocol.messages import KeyLink
from relay.protocol.signing import key_id_of

__all__ = [
    "begin_rotation",
    "box_public",
    "create_issuer",
    "create_nkey",
    "create_signing_key",
    "dump_links",
    "finish_rotation",
    "is_public_nkey",
    "issuer_public",
    "load_current_key",
    "load_issuer",
    "load_links",
    "load_nkey_seed",
    "load_or_create_box",
    "load_signing_key",
    "new_nkey",
    "nkey_public",
    "public_key_hex",
    "ring_of",
    "saved_links",
]

_PUBLIC_NKEY = re.compile(r"\AU[A-Z2-7]{55}\Z")
_SEED_BYTES = 32


def create_signing_key(path: Path) -> str:
    """Write a new signing key; returns its public half, 64 hex digits. Refuses to overwrite."""
    key = SigningKey.generate()
    _write_new(path, bytes(key).hex())
    return public_key_hex(key)


def create_nkey(path: Path) -> str:
    """Write a new user nkey; returns its public half (`U...`). Refuses to overwrite."""
    seed, public = new_nkey()
    _write_new(path, seed)
    return public


def new_nkey() -> tuple[str, str]:
    """A new user nkey that is kept nowhere: its seed (`SU...`) and its public half (`U...`)."""
    seed: str = nkeys.encode_seed(secrets.token_bytes(_SEED_BYTES), nkeys.PREFIX_BYTE_USER).decode()
    return seed, nkey_public(seed)


def create_issuer(path: Path) -> str:
    """Write a new account nkey, which signs who is let into a cluster; returns its public half (`A...`)."""
    seed: str = nkeys.encode_seed(secrets.token_bytes(_SEED_BYTES), nkeys.PREFIX_BYTE_ACCOUNT).decode()
    _write_new(path, seed)
    return issuer_public(seed)


def load_issuer(path: Path) -> str:
    """Read an account nkey's seed. Raises `ConfigurationError`."""
    text = _read_private(path, "broker.data_dir/issuer.nk")
    try:
        issuer_public(text)
    except ValueError:
        line = f"broker.data_dir/issuer.nk: allowed: a file with an account's seed, SA... ({path})"
        raise ConfigurationError([line]) from None
    return text


def issuer_public(seed: str) -> str:
    """The public half of an account nkey seed. Raises `ValueError` if it is none."""
    try:
        public: str = nkeys.from_seed(bytearray(seed.encode())).public_key.decode()
    except (nkeys.NkeysError, ValueError, IndexError):
        raise ValueError("not an nkey seed") from None
    if not public.startswith("A"):
        raise ValueError("not the seed of an account")
    return public


def load_or_create_box(path: Path) -> bytes:
    """The X25519 key in a file (64 hex digits), written there first if there is none. Raises
    `ConfigurationError`.
    """
    if not path.exists():
        _write_new(path, bytes(PrivateKey.generate()).hex())
    try:
        return bytes(PrivateKey(bytes.fromhex(_read_private(path, path.name))))
    except (ValueError, TypeError):
        raise ConfigurationError([f"{path.name}: allowed: a file with 64 hex digits ({path})"]) from None


def box_public(private: bytes) -> str:
    """The public half of an X25519 key, 64 hex digits."""
    return bytes(PrivateKey(private).public_key).hex()


def load_signing_key(path: Path, *, field: str = "signing_key_file") -> SigningKey:
    """Read a signing key. Raises `ConfigurationError` that names `field`."""
    text = _read_private(path, field)
    try:
        return SigningKey(bytes.fromhex(text))
    except ValueError:
        raise ConfigurationError([f"{field}: allowed: a file of 64 hex digits ({path})"]) from None


def load_nkey_seed(path: Path, *, field: str = "nkey_seed_file") -> str:
    """Read a user nkey's seed. Raises `ConfigurationError` that names `field`."""
    text = _read_private(path, field)
    try:
        nkey_public(text)
    except ValueError:
        raise ConfigurationError([f"{field}: allowed: a file with an nkey seed, SU... ({path})"]) from None
    return text


def begin_rotation(path: Path) -> SigningKey:
    """Write a new signing key beside the one in force, to `FILE.new`; or take the one that is there."""
    new = _beside(path, "new")
    if not new.exists():
        create_signing_key(new)
    return load_signing_key(new, field="signing_key_file.new")


def finish_rotation(path: Path, links: Sequence[KeyLink] = ()) -> None:
    """Put `FILE.new` in the place of the key, which is kept as `FILE.KEYID`; the way from the first key to
    this one goes into `FILE.links`, for the day the outbox is lost.
    """
    if links:
        _beside(path, "links").write_text(dump_links(links), "utf-8")
    old = load_signing_key(path)
    kept = _beside(path, key_id_of(old.verify_key))
    if not kept.exists():
        os.link(path, kept)
    _beside(path, "new").replace(path)


def load_current_key(path: Path, key_id: str | None, *, field: str = "signing_key_file") -> SigningKey:
    """The signing key; ends a rotation to `key_id` that a crash has interrupted."""
    key = load_signing_key(path, field=field)
    new = _beside(path, "new")
    if key_id is not None and key_id_of(key.verify_key) != key_id and new.exists():
        if key_id_of(load_signing_key(new, field=field).verify_key) != key_id:
            return key
        finish_rotation(path)
        return load_signing_key(path, field=field)
    return key


def dump_links(links: Sequence[KeyLink]) -> str:
    """Rotations as text."""
    return msgspec.json.encode(list(links)).decode()


def load_links(text: str | None) -> list[KeyLink]:
    """The inverse of `dump_links`; none for None."""
    return msgspec.json.decode(text, type=list[KeyLink]) if text else []


def saved_links(path: Path) -> list[KeyLink]:
    """What `finish_rotation` has kept beside a key."""
    file = _beside(path, "links")
    return load_links(file.read_text("utf-8")) if file.exists() else []


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def public_key_hex(key: SigningKey) -> str:
    """What followers pin: 64 hex digits."""
    return bytes(key.verify_key).hex()


def ring_of(leader_id: str, key: SigningKey, links: Sequence[KeyLink]) -> KeyRing:
    """The keys that have signed for a leader so far: the first one, and where `links` lead from it."""
    ring = KeyRing(leader_id, links[0].old_key if links else public_key_hex(key))
    ring.learn(links)
    return ring


def nkey_public(seed: str) -> str:
    """The public half of an nkey seed. Raises `ValueError` if it is none of a user."""
    try:
        public: str = nkeys.from_seed(bytearray(seed.encode())).public_key.decode()
    except (nkeys.NkeysError, ValueError, IndexError):
        raise ValueError("not an nkey seed") from None
    if not is_public_nkey(public):
        raise ValueError("not the seed of a user")
    return public


def is_public_nkey(text: str) -> bool:
    """Whether this is a user's public nkey, check sum included."""
    if _PUBLIC_NKEY.match(text) is None:
        return False
    raw = base64.b32decode(text)
    return bool(nkeys.crc16(bytearray(raw[:-2])) == int.from_bytes(raw[-2:], "little"))


def _write_new(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError([f"{path}: exists already; a key is never overwritten"]) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read_private(path: Path, field: str) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigurationError(
            [f"{field}: cannot be read, allowed: a key file ({path}: {reason})"]
        ) from None
    if mode & 0o077:
        raise ConfigurationError([f"{field}: allowed: a file that only its owner reads (chmod 600 {path})"])
    return text
