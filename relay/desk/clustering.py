"""`relay init ops --node ...`: the configuration of a cluster's servers and of the relay that uses them.

Belongs here: the files. Does not belong here: what a server's configuration says (`relay.broker_config`), how
a relay works with a cluster (`relay.external_broker`); docs/cluster.md says how to run one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.broker_config import ADMIN, MONITOR, SYSTEM, BrokerUsers, ClusterNode, TlsFiles, broker_config
from relay.desk.setting_up import refuse_existing, write_new
from relay.errors import ConfigurationError
from relay.keys import create_issuer, create_nkey
from relay.registry import Registry

__all__ = ["NodePlace", "init_cluster", "parse_node"]

NODES_MAX: Final = 16
REPLICAS_MAX: Final = 3
_NODE = re.compile(r"\A([a-z0-9-]{1,32})=([^\s/@:]+):(\d{1,5})/(\d{1,5})\Z")

_RELAY_TOML = """\
# `relay serve` on a cluster. Paths are relative to this file; docs/cluster.md says how to run the servers.
registry = "data/registry.sqlite"

[broker]
url = {urls}
replicas = {replicas}                # each stream is on so many servers
data_dir = "keys"           # this relay's own keys to the cluster
# ca_file = "keys/ca.pem"   # the authority of the servers' certificates
retention_days = 30
retention_mib = 1024

[store]
path = "data/drift.sqlite"
"""


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where one server is: for clients, and for the other servers."""

    name: str
    host: str
    port: int
    route_port: int


def parse_node(text: str) -> NodePlace:
    """`NAME=HOST:PORT/ROUTE_PORT`. Raises `ConfigurationError`."""
    found = _NODE.match(text)
    if not found or not 0 < int(found[3]) <= 65535 or not 0 < int(found[4]) <= 65535:
        raise ConfigurationError([f"--node: was {text!r}, allowed: NAME=HOST:PORT/ROUTE_PORT"])
    return NodePlace(found[1], found[2], int(found[3]), int(found[4]))


def init_cluster(folder: Path, nodes: list[NodePlace], *, tls: TlsFiles | None = None) -> str:
    """Write relay.toml, keys, and one `NAME.conf` per server; returns what to do next.

    A server's `data_dir` is `data/NAME` below where it is started, unless its file is changed.
    """
    names = [node.name for node in nodes]
    if len(nodes) > NODES_MAX or len(set(names)) != len(names):
        raise ConfigurationError([f"--node: allowed: at most {NODES_MAX}, each with a name of its own"])
    keys, relay = folder / "keys", folder / "relay.toml"
    configs = {node.name: folder / f"{node.name}.conf" for node in nodes}
    refuse_existing([relay, *configs.values(), keys / "issuer.nk"])
    internal = {role: create_nkey(keys / f"{role}.nk") for role in (SYSTEM, ADMIN, MONITOR)}
    issuer = create_issuer(keys / "issuer.nk")
    routes = tuple(f"nats-route://{node.host}:{node.route_port}" for node in nodes)
    for node in nodes:
        text = broker_config(
            BrokerUsers((), (), internal),
            host=node.host,
            port=node.port,
            data_dir=Path("data") / node.name,
            tls=tls,
            node=ClusterNode(node.name, f"{node.host}:{node.route_port}", routes),
            issuer=issuer,
        )
        write_new(configs[node.name], text)
    scheme = "tls" if tls else "nats"
    urls = [f"{scheme}://{node.host}:{node.port}" for node in nodes]
    write_new(relay, _RELAY_TOML.format(urls=json.dumps(urls), replicas=min(len(nodes), REPLICAS_MAX)))
    Registry.open(folder / "data" / "registry.sqlite").close()
    return (
        f"wrote {relay} and {', '.join(path.name for path in configs.values())}\n"
        "  nats-server -c NAME.conf      # on each server, with its own file\n"
        "  relay serve"
    )
