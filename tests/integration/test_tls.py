"""A broker for the world: TLS by an authority of its own, certificates that run out, people who are put out
while connected (F29).
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay.broker import Broker
from relay.broker_config import FollowerUser, LeaderUser, TlsFiles
from relay.keys import create_nkey, load_nkey_seed
from relay.nats_bus import Bus, BusMessage, BusUnavailable
from relay.protocol import subjects
from tests.integration.broker_room import Room, eventually, running_room

pytestmark = pytest.mark.asyncio

_LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class Authority:
    """Signs certificates for the loopback address."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key.public_key(), 3600, is_authority=True)
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, folder: Path, *, seconds: int = 3600) -> TlsFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
        certificate = self._sign(name, key.public_key(), seconds, is_authority=False)
        folder.mkdir(exist_ok=True)
        files = TlsFiles(folder / "broker.pem", folder / "broker.key")
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, seconds: int, *, is_authority: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(seconds=seconds))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )


def broker_of(folder: Path, tls: TlsFiles, ca_pem: str) -> Broker:
    names = {name: create_nkey(folder / f"{name}.nk") for name in ("alice", "bob")}
    return Broker(
        folder / "broker",
        [LeaderUser("alice", names["alice"])],
        [FollowerUser("bob", names["bob"], ("alice",))],
        tls=tls,
        ca_pem=ca_pem,
    )


async def connect(
    broker: Broker, folder: Path, name: str, ca_pem: str | None, *, timeout_s: float = 5
) -> Bus:
    seed = load_nkey_seed(folder / f"{name}.nk")
    prefix = subjects.inbox_prefix(name)
    return await Bus.connect(broker.url, seed, prefix, name, ca_pem=ca_pem, timeout_s=timeout_s)


async def test_only_the_right_authoritys_broker_is_believed(tmp_path: Path) -> None:
    ours, other = Authority("ours"), Authority("other")
    broker = broker_of(tmp_path, ours.issue(tmp_path / "tls"), ours.pem)
    await broker.start()
    try:
        assert broker.url.startswith("tls://")
        alice, bob = (
            await connect(broker, tmp_path, "alice", ours.pem),
            await connect(broker, tmp_path, "bob", ours.pem),
        )
        heard: list[bytes] = []

        async def hear(message: BusMessage) -> None:
            heard.append(message.data)

        await bob.subscribe("feed.alice", hear)
        await alice.publish_signal("alice", b"one", 0, "alice.1.1")
        await eventually(lambda: heard == [b"one"])
        for ca_pem in (other.pem, None):
            with pytest.raises(BusUnavailable, match=r"(?i)certificate"):
                await connect(broker, tmp_path, "bob", ca_pem, timeout_s=1)
        plain = broker.url.replace("tls://", "nats://")
        seed = load_nkey_seed(tmp_path / "bob.nk")
        with pytest.raises(BusUnavailable):
            await Bus.connect(plain, seed, subjects.inbox_prefix("bob"), "bob", timeout_s=1)
        with pytest.raises(BusUnavailable, match="cannot be read"):
            await connect(broker, tmp_path, "bob", "no certificate", timeout_s=1)
        await asyncio.gather(alice.close(), bob.close())
    finally:
        await broker.stop()


async def test_a_certificate_that_has_run_out_is_said_so(tmp_path: Path) -> None:
    ours = Authority("ours")
    files = ours.issue(tmp_path / "tls", seconds=3)
    broker = broker_of(tmp_path, files, ours.pem)
    await broker.start()
    try:
        bob = await connect(broker, tmp_path, "bob", ours.pem)
        await asyncio.sleep(3.2)
        with pytest.raises(BusUnavailable, match=r"(?i)certificate.*expired"):
            await connect(broker, tmp_path, "bob", ours.pem, timeout_s=1)
        await bob.close()
    finally:
        await broker.stop()


async def test_who_is_put_out_while_connected_ends_with_the_reason(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        bob, eve = await room.bus("bob"), await room.bus("eve")
        heard: list[bytes] = []

        async def hear(message: BusMessage) -> None:
            heard.append(message.data)

        await bob.subscribe("feed.alice", hear)
        began = time.monotonic()
        await room.broker.change_users(
            room.broker.leaders, [one for one in room.broker.followers if one.id != "bob"], []
        )
        await _still_hears(room, eve)
        assert heard == []  # his session ended before the change was said to be made
        await asyncio.wait_for(bob.wait_closed(), 10)
        assert time.monotonic() - began < 10
        assert bob.was_put_out
        assert "no longer one of the broker's users" in bob.last_error
        assert eve.is_connected
        await asyncio.gather(bob.close(), eve.close())


async def _still_hears(room: Room, bus: Bus) -> None:
    heard: list[bytes] = []

    async def hear(message: BusMessage) -> None:
        heard.append(message.data)

    await bus.subscribe("feed.alice", hear)
    alice = await room.bus("alice")
    await alice.publish_signal("alice", b"x", 0, "alice.1.1")
    await eventually(lambda: heard == [b"x"])
    await alice.close()
