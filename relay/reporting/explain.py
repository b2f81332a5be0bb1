"""`relay explain SIGNAL_ID`: the whole life of one signal, from the leader's fill to every follower's.

Belongs here: the words. Does not belong here: how rows are made of it (`timeline`).
"""

from __future__ import annotations

import json
from typing import Any

from relay.errors import Failed
from relay.reporting.findings import printable
from relay.reporting.timeline import timeline
from relay.store import DriftStore, StorePlace

__all__ = ["explain"]


def explain(signal_id: str, place: StorePlace, *, as_json: bool) -> str:
    """What became of a signal, for reading or as JSON. Raises `Failed` where the store does not know it."""
    with DriftStore.open_for_reading(place) as store:
        rows = store.read_signal(signal_id)
    if rows is None:
        raise Failed(
            f"signal {signal_id!r} is not in the store; `relay report slippage --format csv` lists them"
        )
    [signal] = timeline(rows)
    published = rows.signals[0].signal
    steps = {
        "leader_exec": published.leader_exec_ms,
        "seen": published.seen_ms or None,
        "sealed": published.sealed_ms if published.seen_ms else None,
    }
    if as_json:
        orders = [_plain_orders(verdict) for verdict in signal["verdicts"]]
        return json.dumps({**signal, "verdicts": orders, "times_ms": steps}, indent=2)
    step = f"{signal['side']} {signal['qty']} {signal['symbol']} at {signal['price']}"
    steps_told = "nobody noted when it was seen and signed"
    if published.seen_ms:
        steps_told = f"seen +{published.seen_ms - published.leader_exec_ms} ms, "
        steps_told += f"signed +{published.sealed_ms - published.seen_ms} ms"
    lines = [
        f"{signal['id']}  {signal['cause']}: {step}",
        f"  {signal['time']} UTC at the venue; {steps_told}; position after it {published.position.qty}",
    ]
    for verdict in signal["verdicts"]:
        lines += ["", *_verdict(verdict)]
    if not signal["verdicts"]:
        lines.append("  no follower has given a verdict on it")
    return "\n".join(map(printable, lines))


def _verdict(verdict: dict[str, Any]) -> list[str]:
    lines = [f"{verdict['follower']}: {verdict['verdict']} ({verdict['reason']})"]
    if verdict["detail"]:
        lines.append(f"  {verdict['detail']}")
    if verdict["observed"] is not None:
        against = "" if verdict["limit"] is None else f" against {verdict['limit']}"
        lines.append(f"  decided by {verdict['observed']}{against}")
    if verdict["legs"]:
        lines.append("  " + ", ".join(f"{words} +{ms} ms" for words, ms in verdict["legs"]))
    for order in verdict["orders"]:
        told = f" ({order.reject_code})" if order.reject_code else ""
        fills = f"{len(order.fills)} fill{'s' * (len(order.fills) != 1)}"
        lines.append(
            f"  order {order.client_order_id}: {order.side} {order.qty}, {order.outcome}{told}, {fills}"
        )
    if verdict["slippage"] != "–":
        lines.append(
            f"  {verdict['qty']} at {verdict['price']}: {verdict['slippage']} bps worse than the leader"
        )
        lines += [f"    {bps:>8} bps  {words}" for words, bps in verdict["parts"]]
    return lines


def _plain_orders(verdict: dict[str, Any]) -> dict[str, Any]:
    orders = [
        {
            "client_order_id": order.client_order_id,
            "side": order.side,
            "qty": order.qty,
            "outcome": order.outcome,
            "reject_code": order.reject_code,
            "fills": [{"qty": fill.qty, "price": fill.price, "fee": fill.fee} for fill in order.fills],
        }
        for order in verdict["orders"]
    ]
    return {**verdict, "orders": orders}
