"""What the follower's memory tells: status, verdicts, replay; and how it is made anew.

Belongs here: reading stores for people and machines. Does not belong here: a running follower (`cli`), orders
to it (`cli_operator`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from follower_client.cli_words import (
    PROGRAM,
    Config,
    Json,
    followers_of,
    log_to_stderr,
    one_line_errors,
    table,
)

if TYPE_CHECKING:
    from follower_client.replay import Replayed
    from follower_client.settings import FollowerSettings
    from follower_client.store import Store

__all__ = ["register"]

VERDICTS_MAX = 100_000
COUNTS = ("copied", "capped", "skipped", "missed", "open")
DIGITS_SHOWN = 7
DECIMALS_SHOWN_MAX = 8


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (status, verdicts, replay, recover):
        app.command()(command)


def status(config: Config = Path("follower.toml"), as_json: Json = False) -> None:
    """How far each follower is, its verdicts and its position, from the store alone."""
    with one_line_errors():
        found, wrong = followers_of(config)
        rows = [_status_row(one, store) for one, store in _stores(found)]
    if as_json:
        typer.echo(json.dumps(rows))
        raise typer.Exit(wrong)
    columns = (
        "follower",
        "leader",
        "control",
        "seq",
        "copied",
        "capped",
        "skipped",
        "missed",
        "open",
        "positions",
    )
    for row in rows:
        row["follower"] += row["mark"]
        row["leader"] = ", ".join(row["leaders"])
        row["positions"] = ", ".join(f"{qty} {symbol}" for symbol, qty in row["positions"].items())
    table(columns, [["-" if row[key] is None else str(row[key]) for key in columns] for row in rows])
    for row in rows:
        for found in row["evidence"]:
            typer.echo(f"{row['follower']}: evidence: {found['proves']} ({found['file']})")
        if row["stakes"] not in (None, "1"):
            share = Decimal(row["stakes"])
            typer.echo(
                f"{row['follower']}: {share:.0%} of the policy's size; more by copies within the drift"
            )
        if row["seq"] is not None and not row["running"]:
            told = f"not running: nothing is copied, only the venue's stops guard what is open; {PROGRAM} run"
            typer.echo(f"{row['follower']}: {told}")
        if (last := row["last_refusal"]) is not None:
            numbers = ", ".join(
                f"{name} {_for_people(last[name])}" for name in ("limit", "observed") if last[name]
            )
            told = f"{last['signal_id']} not copied: {last['reason']}{f' ({numbers})' if numbers else ''}"
            typer.echo(f"{row['follower']}: {told}: {last['detail']}")
        if row["control"] != "run":
            why = f" ({row['control_reason']})" if row["control_reason"] else ""
            told = f"{row['control']} by {row['control_by']}{why}: no entries until {PROGRAM} resume"
            typer.echo(f"{row['follower']}: {told}")
        for who, found in row["control_of_leaders"].items():
            why = f" ({found['reason']})" if found["reason"] else ""
            told = f"{found['level']} by {found['by']}{why}: no entries of his until {PROGRAM} resume"
            typer.echo(f"{row['follower']}: {who}: {told}")
    raise typer.Exit(wrong)


def verdicts(
    config: Config = Path("follower.toml"),
    limit: Annotated[int, typer.Option(min=1, max=VERDICTS_MAX, help="The newest so many.")] = 50,
    as_json: Json = False,
    reports: Annotated[
        bool, typer.Option("--reports", help="All, as reported: what `relay statement verify` takes.")
    ] = False,
) -> None:
    """Each signal's verdict, with the reason and the number that decided it."""
    if reports:
        _print_reports(config)
        return
    with one_line_errors():
        found, wrong = followers_of(config)
        rows = [
            {
                "follower": one.follower.id,
                "signal_id": copy.signal_id,
                "symbol": copy.symbol,
                "side": copy.side,
                "verdict": copy.verdict or "open",
                "reason": copy.reason,
                "detail": copy.detail,
                "order_qty": str(copy.order_qty),
                "wanted_qty": str(copy.wanted_qty),
                "limit": None if copy.limit_value is None else str(copy.limit_value),
                "observed": None if copy.observed_value is None else str(copy.observed_value),
            }
            for one, store in _stores(found)
            if store is not None
            for copy in store.copies(limit=limit)
        ]
    if as_json:
        typer.echo(json.dumps(rows))
        raise typer.Exit(wrong)
    columns = (
        "follower",
        "signal_id",
        "symbol",
        "side",
        "verdict",
        "reason",
        "limit",
        "observed",
        "order_qty",
    )
    numbers = {"limit", "observed", "order_qty"}
    table(
        columns,
        [
            [_for_people(row[key]) if key in numbers else str(row[key] or "") for key in columns]
            for row in rows
        ],
    )
    with one_line_errors():
        for one, store in _stores([one for one in found if _file(one).exists()]):
            _tell_refused(one, store)
    raise typer.Exit(wrong)


def _tell_refused(one: FollowerSettings, store: Store | None) -> None:
    """What was no signal at all: forged, replayed, out of its place."""
    from follower_client.refused import refused_messages

    for leader_id, counts in ({} if store is None else refused_messages(store)).items():
        reasons = ", ".join(f"{code} {count}" for code, count in sorted(counts.items()))
        told = f"{sum(counts.values())} messages in the name of {leader_id} were not believed ({reasons})"
        typer.echo(f"{one.follower.id}: {told}")


def _print_reports(config: Path) -> None:
    """Every signal that got a verdict, with the report on it, one JSON object per line."""
    with one_line_errors():
        from follower_client.reports import Identity, copy_report
        from relay.protocol.codec import encode_payload

        found, wrong = followers_of(config)
        for one, store in _stores(found):
            if store is None:
                continue
            paper = one.venue.kind == "paper"
            for copy in store.copies(limit=VERDICTS_MAX):
                if copy.verdict is None or copy.is_late:
                    continue
                identity = Identity(one.follower.id, copy.leader_id, one.to_policy().label, paper)
                orders = [
                    (order, store.fills_of(order.client_order_id)) for order in store.orders_of(copy.key)
                ]
                report = encode_payload(copy_report(identity, copy, orders))
                typer.echo(b'{"signal":' + copy.signal + b',"report":' + report + b"}")
    raise typer.Exit(wrong)


def replay(
    log: Annotated[Path, typer.Argument(help="A follower's data folder, or its follower.sqlite.")],
    policy: Annotated[Path, typer.Option("--policy", help="A follower's file with the other [policy].")],
    equity: Annotated[str, typer.Option(help="USDT that the other policy would have begun with.")] = "10000",
    as_json: Json = False,
) -> None:
    """Decide the recorded signals again under another policy (PAPER), and show what differs."""
    with one_line_errors():
        from follower_client.errors import ConfigurationError
        from follower_client.reading import load_settings
        from follower_client.replay import replay as decide_again

        try:
            money = Decimal(equity)
        except InvalidOperation:
            money = Decimal(0)
        if not money.is_finite() or money <= 0:
            raise ConfigurationError([f"--equity: was {equity!r}, allowed: a number above 0"])
        found = decide_again(log, load_settings(policy).to_policy(), equity=money)
    if as_json:
        typer.echo(json.dumps(_replayed(found)))
        return
    columns = ("signal_id", "symbol", "recorded", "recorded_qty", "replayed", "replayed_qty")
    rows = [
        [
            _for_people(str(getattr(step, name))) if name.endswith("_qty") else getattr(step, name)
            for name in columns
        ]
        for step in found.steps
        if step.differs
    ]
    table(columns, rows)
    typer.echo(
        f"PAPER: {len(rows)} of {len(found.steps)} signals differ; equity {found.equity_start} -> "
        f"{found.equity_end:.2f} USDT, leverage at most {found.leverage_peak:.2f}"
    )


def _replayed(found: Replayed) -> dict[str, Any]:
    return {
        "paper": True,
        "equity_start": str(found.equity_start),
        "equity_end": str(found.equity_end),
        "leverage_peak": str(found.leverage_peak),
        "positions": {symbol: str(qty) for symbol, qty in found.positions.items()},
        "steps": [{**{k: str(v) for k, v in asdict(s).items()}, "differs": s.differs} for s in found.steps],
    }


def recover(
    config: Config = Path("follower.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a store that is good.")] = False,
    as_json: Json = False,
) -> None:
    """Build a lost or damaged store anew from the leader's history and the venue's. Nothing is traded."""
    with one_line_errors():
        from follower_client.reading import check_secrets, read_files
        from follower_client.recovery import recover as build_anew

        settings = check_secrets(read_files(config)).all_right()
        log_to_stderr()
        rows: list[dict[str, Any]] = []
        for one in settings:
            found = build_anew(one, force=force)
            row = asdict(found) | {"follower": one.follower.id}
            row["set_aside"] = None if found.set_aside is None else str(found.set_aside)
            rows.append(row)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(
            f"{PROGRAM}: {row['follower']}: {row['orders']} orders and {row['fills']} fills of "
            f"{row['signals']} signals found; own {row['positions'] or 'flat'}, "
            f"external {row['external'] or 'none'}"
        )


def _stores(found: Sequence[FollowerSettings]) -> Iterator[tuple[FollowerSettings, Store | None]]:
    """Each with its memory; without one it has never run, which is said and is no failure."""
    from follower_client.store import Store
    from follower_client.store_witness import is_lost

    for one in found:
        file = _file(one)
        if not file.exists() and not is_lost(file):
            told = f"has not run yet, nothing is kept in {one.follower.data_dir}; next: {PROGRAM} run"
            typer.echo(f"{PROGRAM}: {one.follower.id}: {told}", err=True)
            yield one, None
            continue
        store = Store.open(file, read_only=True)
        try:
            yield one, store
        finally:
            store.close()


def _file(one: FollowerSettings) -> Path:
    return one.follower.data_dir / "follower.sqlite"


def _status_row(one: FollowerSettings, store: Store | None) -> dict[str, Any]:
    from follower_client.control import ControlFile
    from follower_client.locks import is_held
    from follower_client.refused import refused_messages
    from follower_client.trial import stakes
    from relay.telling.evidence import kept_evidence

    name, leader = one.follower.id, one.leader.id
    control = ControlFile(one.follower.data_dir).read()
    head = None if store is None else store.head(leader)
    counts = dict.fromkeys(COUNTS, 0)
    reasons: dict[str, int] = {}
    for (verdict, reason), count in ({} if store is None else store.verdict_counts()).items():
        counts[verdict] += count
        if verdict in ("skipped", "missed"):
            reasons[reason] = reasons.get(reason, 0) + count
    return {
        "follower": name,
        "leader": leader,
        "leaders": [each.id for each in one.leaders],
        "paper": one.venue.kind == "paper",
        "mark": one.mark,
        "running": is_held(one.follower.data_dir / "lock"),
        "stakes": None if store is None else str(stakes(one, store)),
        "seq": None if head is None else head.seq,
        **counts,
        "reasons": reasons,
        "last_refusal": _last_refusal(store),
        "positions": {s: str(qty) for s, qty in ({} if store is None else store.positions()).items()},
        "refused_messages": {} if store is None else refused_messages(store),
        "unfinished_orders": 0 if store is None else len(store.open_orders()),
        "control": control.level.value,
        "control_by": control.by,
        "control_reason": control.reason,
        "control_of_leaders": {
            who: {"level": found.level.value, "by": found.by, "reason": found.reason}
            for who, found in control.leaders.items()
        },
        "evidence": [
            {"file": str(file), "proves": proves} for file, proves in kept_evidence(one.follower.data_dir)
        ],
    }


def _last_refusal(store: Store | None) -> dict[str, str | None] | None:
    """The newest signal, where it was not copied: why, and the numbers that decided it."""
    for copy in [] if store is None else store.copies(limit=1):
        if copy.verdict in ("skipped", "missed"):
            return {
                "signal_id": copy.signal_id,
                "reason": copy.reason,
                "detail": copy.detail,
                "limit": None if copy.limit_value is None else str(copy.limit_value),
                "observed": None if copy.observed_value is None else str(copy.observed_value),
            }
    return None


def _for_people(number: str | None) -> str:
    """Rounded to what a person reads: seven digits, at most eight of them decimals."""
    if number is None:
        return ""
    value = Decimal(number)
    decimals = min(max(DIGITS_SHOWN - 1 - value.adjusted(), 0), DECIMALS_SHOWN_MAX)
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
