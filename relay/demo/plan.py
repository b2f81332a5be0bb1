"""What a demonstration consists of: its options, its followers, the settings of every program. Pure.

Belongs here: decisions that can be made before anything runs. Does not belong here: processes, files, clocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "LEADER_ID",
    "DemoOptions",
    "FollowerPlan",
    "OptionError",
    "follower_plans",
    "follower_settings",
    "publisher_settings",
    "relay_settings",
]

LEADER_ID = "alice"
FOLLOWERS_MAX = 100


class OptionError(ValueError):
    """An option that turned out not to be usable: one line that names it and what is allowed."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options of `relay demo`, checked for what can be checked without running anything."""

    seconds: int = 60
    followers: int = 5
    seed: int = 7
    scenario: str = "demo"
    replay: tuple[str, ...] = ()
    window_from: str | None = None
    window_to: str | None = None
    leader_fills: Path | None = None
    leader_account: str | None = None
    leader_symbol: str = "BTCUSDT"
    leader_equity_usdt: str = "100000"
    serve: bool = False
    out: Path = Path("runs/demo")
    open_report: bool = False

    def problems(self) -> list[str]:
        """One line per option that can't be as it is; empty when all is well."""
        found: list[str] = []
        if not 20 <= self.seconds <= 86_400:
            found.append(f"--seconds: was {self.seconds}, allowed: 20 to 86400")
        if not 0 <= self.seed < 2**63:
            found.append(f"--seed: was {self.seed}, allowed: 0 to 2^63 - 1")
        if not 1 <= self.followers <= FOLLOWERS_MAX:
            found.append(f"--followers: was {self.followers}, allowed: 1 to {FOLLOWERS_MAX}")
        if self.out.exists() and not self.out.is_dir():
            found.append(f"--out: {self.out} is not a folder")
        if self.leader_fills is not None and self.leader_account is None:
            found.append("--leader-account: needed with --leader-fills (an account of the file)")
        if self.leader_fills is None and self.leader_account is not None:
            found.append("--leader-account: only with --leader-fills")
        if self.leader_fills is not None and not self.leader_fills.is_file():
            found.append(f"--leader-fills: {self.leader_fills} is not a file")
        if not self.replay and (self.window_from or self.window_to):
            found.append("--from, --to: only with --replay")
        for spec in self.replay:
            kind, _, rest = spec.partition(":")
            symbol, _, file = rest.partition("=")
            if kind not in ("index", "last", "mark_check") or not symbol or not file:
                found.append(f"--replay: was {spec!r}, allowed: index|last|mark_check:SYMBOL=FILE")
            elif not Path(file).is_file():
                found.append(f"--replay: {file} is not a file")
        if not self.leader_equity_usdt.isdecimal() or int(self.leader_equity_usdt) < 1_000:
            found.append(f"--leader-equity: was {self.leader_equity_usdt!r}, allowed: whole USDT from 1000")
        return found


@dataclass(frozen=True, slots=True)
class FollowerPlan:
    """One follower: who, how much money, which policy."""

    follower_id: str
    deposit_usdt: str
    kind: str  # venue kind: "ccxt" trades on the venue, "paper" against its live quotes
    policy: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        mode = self.policy["mode"]
        size = self.policy["scale"] if mode == "exposure" else f"{self.policy['fixed_notional_usdt']} USDT"
        return f"{mode} {size}" + (" paper" if self.kind == "paper" else "")


_ARCHETYPES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    # The default: half of the leader's exposure, which is as far as the leverage cap lets anybody go.
    ("steady", "20000", "ccxt", {"mode": "exposure", "scale": "0.5"}),
    # A fixed amount per entry, whatever the leader's size.
    ("fixed", "15000", "ccxt", {"mode": "fixed_notional", "fixed_notional_usdt": "1500"}),
    # Wants three times the leader's exposure: meets the cap of half the leader's leverage on every entry.
    ("bold", "10000", "ccxt", {"mode": "exposure", "scale": "3"}),
    # Too little money for the venue's smallest order.
    ("tiny", "60", "ccxt", {"mode": "exposure", "scale": "0.5"}),
    # The careful one: the same decisions, filled against live quotes with fees and impact, no orders sent.
    ("paper", "20000", "paper", {"mode": "exposure", "scale": "0.4"}),
)


def follower_plans(count: int) -> list[FollowerPlan]:
    """`count` followers: the five archetypes, then more of the same with other names and sizes."""
    plans = []
    for number in range(count):
        name, deposit, kind, policy = _ARCHETYPES[number % len(_ARCHETYPES)]
        turn = number // len(_ARCHETYPES)
        plans.append(
            FollowerPlan(
                follower_id=name if turn == 0 else f"{name}{turn + 1}",
                deposit_usdt=deposit,
                kind=kind,
                policy=dict(policy),
            )
        )
    return plans


def unified_symbol(symbol: str) -> str:
    """The venue's `BTCUSDT` as people and signals write it: `BTC/USDT:USDT`."""
    return f"{symbol.removesuffix('USDT')}/USDT:USDT"


def relay_settings(
    *,
    data_dir: Path,
    leader_nkey: str,
    leader_key: str,
    follower_nkeys: dict[str, str],
    venue_url: str,
) -> dict[str, Any]:
    """Settings of `relay serve`: who may speak and who may listen. Keys are public ones."""
    return {
        "broker": {"listen": "127.0.0.1:0", "data_dir": str(data_dir / "broker")},
        "leaders": [{"id": LEADER_ID, "nkey": leader_nkey, "signing_key": leader_key}],
        "followers": [
            {"id": follower, "nkey": nkey, "leaders": [LEADER_ID]}
            for follower, nkey in follower_nkeys.items()
        ],
        "store": {"path": str(data_dir / "drift.sqlite")},
        "venue": {"rest_url": venue_url, "interval_ms": 1_000},
    }


def publisher_settings(
    *,
    data_dir: Path,
    venue: dict[str, str],
    broker_url: str,
    nkey_seed_file: Path,
    signing_key_file: Path,
    symbol: str,
) -> dict[str, Any]:
    """Settings of `relay publish`. `venue` carries rest_url, ws_url, api_key, api_secret."""
    return {
        "leader": {
            "id": LEADER_ID,
            "nkey_seed_file": str(nkey_seed_file),
            "signing_key_file": str(signing_key_file),
            "outbox": str(data_dir / "outbox.sqlite"),
        },
        "venue": {"exchange": "bybit", **venue},
        "broker": {"url": broker_url},
        "signals": {
            "symbols": [unified_symbol(symbol)],
            "expires_ms": 3_000,
            "stagger": {"waves": 2, "spacing_ms": 40},
        },
    }


def follower_settings(
    plan: FollowerPlan,
    *,
    data_dir: Path,
    venue: dict[str, str],
    broker_url: str,
    nkey_seed_file: Path,
    leader_key: str,
) -> dict[str, Any]:
    """Settings of one follower of `follower-client run`."""
    return {
        "follower": {"id": plan.follower_id, "policy": plan.label, "data_dir": str(data_dir)},
        "leader": {"id": LEADER_ID, "public_key": leader_key},
        "broker": {"url": broker_url, "nkey_seed_file": str(nkey_seed_file)},
        "venue": {"kind": plan.kind, "exchange": "bybit", **venue}
        | ({"paper_balance_usdt": plan.deposit_usdt} if plan.kind == "paper" else {}),
        "policy": plan.policy,
    }
