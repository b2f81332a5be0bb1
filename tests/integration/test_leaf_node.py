"""A leaf node near followers: no streams of its own, the cluster's feed, the same rights."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from relay.broker import find_nats_server
from relay.broker_config import ADMIN, SYSTEM, BrokerUsers, FollowerUser, leaf_config
from relay.keys import create_nkey, load_nkey_seed, nkey_public
from relay.nats_bus import Bus, BusMessage
from relay.protocol import subjects
from tests.integration.broker_room import eventually, settle
from tests.integration.cluster_room import Cluster, free_ports, running_cluster
from tests.integration.follower_world import die_with_parent

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240)]


async def start_leaf(cluster: Cluster, hub_port: int, folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    (port,) = free_ports(1)
    create_nkey(folder / "local-system.nk")
    system = nkey_public(load_nkey_seed(folder / "local-system.nk"))
    users = BrokerUsers((), [FollowerUser("bob", cluster.public["bob"], ("alice",))], {SYSTEM: system})
    hub = f"nats-leaf://127.0.0.1:{hub_port}"
    seed = load_nkey_seed(cluster.folder / "leaf.nk")
    text = leaf_config(users, host="127.0.0.1", port=port, data_dir=folder, hub=hub, seed=seed)
    (folder / "leaf.conf").write_text(text)
    with (folder / "leaf.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            str(find_nats_server()), "-c", str(folder / "leaf.conf"), stderr=log, preexec_fn=die_with_parent
        )
    return process, f"nats://127.0.0.1:{port}"


async def test_followers_behind_a_leaf_node_hear_read_and_report_like_others(tmp_path: Path) -> None:
    (hub_port,) = free_ports(1)
    folder = tmp_path / "cluster"
    folder.mkdir()
    leaf_key = create_nkey(folder / "leaf.nk")
    async with running_cluster(folder, leaf=("a", hub_port, leaf_key)) as cluster:
        (tmp_path / "leaf").mkdir()
        process, url = await start_leaf(cluster, hub_port, tmp_path / "leaf")
        try:
            seed = load_nkey_seed(folder / "bob.nk")
            bob = await Bus.connect(url, seed, subjects.inbox_prefix("bob"), "bob", timeout_s=20)
            heard: list[bytes] = []

            async def hear(message: BusMessage) -> None:
                heard.append(message.data)

            await bob.subscribe("feed.alice", hear)
            alice = await cluster.bus("alice", node="c")
            for seq in (1, 2):
                await _stored(alice, seq)
            await eventually(lambda: heard[-1:] == [b"s2"], 20)
            assert await bob.fetch_range(subjects.stream("alice"), 1, 5, timeout_s=10) == [
                (1, b"s1"),
                (2, b"s2"),
            ]
            assert await bob.publish_report("alice", "bob", b"report", "r1", timeout_s=10) == 1
            await _attack(url, seed, cluster)
            await _stored(alice, 3)
            await eventually(lambda: heard[-1:] == [b"s3"], 20)
            assert heard == [b"s1", b"s2", b"s3"][-len(heard) :]
            await asyncio.gather(bob.close(), alice.close())
        finally:
            process.kill()
            await process.wait()


async def _stored(alice: Bus, seq: int) -> None:
    await alice.publish_signal("alice", b"s%d" % seq, seq - 1, f"alice.1.{seq}", timeout_s=10)


async def _eve(cluster: Cluster) -> tuple[Client, list[bytes]]:
    """Who follows the same leader at the cluster itself."""
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    seed = load_nkey_seed(cluster.folder / "eve.nk")
    eve = await nats.connect(cluster.urls[1], nkeys_seed_str=seed, inbox_prefix=b"_INBOX_eve")
    for subject in ("feed.alice", "beat.alice"):
        await eve.subscribe(subject, cb=hear)
    await settle(eve)
    return eve, heard


async def _attack(url: str, seed: str, cluster: Cluster) -> None:
    complaints: list[str] = []

    async def complain(error: Exception) -> None:
        complaints.append(str(error).lower())

    raw = await nats.connect(
        url, nkeys_seed_str=seed, inbox_prefix=b"_INBOX_bob", error_cb=complain, allow_reconnect=False
    )
    forbidden = [
        "signals.alice",
        "feed.alice",
        "reports.alice.eve",
        "beat.alice",
        "$JS.API.DIRECT.GET.SIGNALS_carol",
    ]
    for subject in forbidden:
        await raw.publish(subject, b"forged")
    eve, heard = await _eve(cluster)
    for target in ("signals.carol", "reports.alice.eve", "feed.alice", "beat.alice"):
        for body in ({"seq": 1}, {"seq": 1, "batch": 2}):
            for subject in ("$JS.API.DIRECT.GET.SIGNALS_alice", "history.SIGNALS_alice"):
                await raw.publish(subject, json.dumps(body).encode(), reply=target)
    assert (await raw.request("history.SIGNALS_alice", b'{"seq":1}', timeout=5)).data == b"s1"
    await settle(raw)
    await settle(eve)
    assert heard == []
    await eve.close()
    told = " ".join(complaints)
    assert all(f'for publish to "{subject.lower()}"' in told for subject in forbidden), told
    admin = await cluster.broker.connect(ADMIN)
    for stream, count in (("SIGNALS_carol", 0), ("SIGNALS_alice", 2), ("REPORTS", 1)):
        info = await admin.api(f"$JS.API.STREAM.INFO.{stream}", {}, timeout_s=10)
        assert info["state"]["messages"] == count, stream
    await admin.close()
    await raw.close()
