"""The files for Prometheus and Grafana, held against a real metrics page and by Prometheus's own tool."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest

from relay.core.intake import Came, Odd, Refusal
from relay.core.watch import AlarmLimits
from relay.dashboard import Dashboard
from relay.protocol.feed import Locked, NeedGap
from relay.store import CopyRows, DriftStore, FeedEntry, FeedHead, RefusedReport
from relay.watching import Watching
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status

FOLDER = Path(__file__).parents[2] / "configs" / "monitoring"
METRIC = re.compile(r"\brelay_[a-z_]+\b")


def metrics_page() -> str:
    """The page of a relay to which everything has happened once."""
    watching = everything_wrong()
    watching.look()
    return watching.metrics.page().decode()


def everything_wrong() -> Watching:
    """A relay of which, ten seconds ago, everything that can be wrong was heard."""
    now_ms = [START_MS]
    watching = Watching(AlarmLimits(), clock_ms=lambda: now_ms[0])
    watching.metrics.note_broker(syncs_always=True)
    signal = a_signal(1)
    entry = FeedEntry(FeedHead(LEADER, 1, 1, "h"), signal.signal)
    refused = RefusedReport("d", "reports.alice.steady", Refusal("malformed", "no JSON"))
    status = a_status(at_ms=START_MS - 2_000, unknown_orders=2, exposure_gap="0.2")
    watching.watch.expect(LEADER, START_MS)
    ahead = Came(START_MS - 60_000)  # a verdict by a clock that is a minute ahead
    off = CopyRows.of(a_copy(signal, "fast"), ahead)
    watching.hear_stored([entry, a_copy(signal), off, status, refused])
    watching.hear_odd([Odd("doubled", LEADER, "steady")])
    watching.hear_feed(LEADER, [NeedGap(3, 2), Locked("equivocation", 7, "two at 7", ())], is_whole=False)
    now_ms[0] += 10_000
    return watching


def names_in(text: str) -> set[str]:
    return set(METRIC.findall(text))


def test_rules_and_pictures_ask_only_for_what_the_page_has() -> None:
    page = metrics_page()
    there = {line.split("{")[0].split(" ")[0] for line in page.splitlines() if line and line[0] != "#"}
    rules = "\n".join(
        line for line in (FOLDER / "alerts.yml").read_text().splitlines() if not line.startswith("#")
    )
    board = json.loads((FOLDER / "grafana.json").read_text())
    asked = names_in(rules) | names_in(
        " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    )
    assert asked <= there, asked - there
    assert len(asked) >= 15
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


@pytest.mark.system
def test_prometheus_takes_the_rules_and_raises_them(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "this test needs promtool: apt-get install prometheus"

    def ran(*arguments: str, stdin: str = "") -> None:
        done = subprocess.run(
            [promtool, *arguments], input=stdin, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr

    ran("check", "metrics", stdin=metrics_page())
    ran("check", "rules", str(FOLDER / "alerts.yml"))
    (tmp_path / "rules_test.yml").write_text(RAISED.replace("RULES", str(FOLDER / "alerts.yml")))
    ran("test", "rules", "rules_test.yml")


NAMES = """
relay_signal_publish_lag_seconds relay_signal_transit_seconds relay_decide_seconds relay_order_ack_seconds
relay_slippage_bps relay_signals_total relay_orders_total relay_orders_unknown relay_seq_gap_total
relay_duplicate_suppressed_total relay_clock_skew_seconds relay_heartbeat_age_seconds relay_cap_used_ratio
relay_mode relay_build_info relay_reports_odd_total relay_copies_left_out_total relay_reports_refused_total
"""


def test_every_promised_name_is_on_the_page() -> None:
    names = {
        re.sub("_(bucket|sum|count)$", "", line.split("{")[0].split(" ")[0])
        for line in metrics_page().splitlines()
    }
    assert set(NAMES.split()) <= names
    page = metrics_page()
    for label in ('component="spread_impact"', 'verdict="copied"', 'outcome="accepted"', 'cap="leverage"'):
        assert label in page, label


@pytest.mark.system
@pytest.mark.asyncio
async def test_the_rules_rise_on_a_live_metrics_page(tmp_path: Path) -> None:
    """What a running relay serves over HTTP, held for two minutes under the rules as they are."""
    promtool = shutil.which("promtool")
    assert promtool is not None, "this test needs promtool: apt-get install prometheus"
    DriftStore.open(tmp_path / "drift.sqlite").close()
    watching = everything_wrong()
    watching.look()
    board = Dashboard(tmp_path / "drift.sqlite", watching, "a-token-of-the-tests", public_metrics=True)
    await board.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{board.address}/metrics") as answer:
            page = await answer.text()
    finally:
        await board.stop()
    series = [
        {"series": line.rpartition(" ")[0], "values": f"{float(line.rpartition(' ')[2])}x40"}
        for line in page.splitlines()
        if line and line[0] != "#"
    ]
    expected = ("OrdersUnknown", "HeartbeatLost", "ClockSkew", "GapUnresolved", "Equivocation", "ExposureGap")
    rising = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "150s",
        "exp_samples": [
            {"labels": f'{{alertname="Slipstream{name}"}}', "value": 1} for name in sorted(expected)
        ],
    }
    tests = [{"interval": "5s", "input_series": series, "promql_expr_test": [rising]}]
    document = {"rule_files": [str(FOLDER / "alerts.yml")], "evaluation_interval": "5s", "tests": tests}
    (tmp_path / "live.yml").write_text(json.dumps(document))
    command = [promtool, "test", "rules", "live.yml"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr


PAIR = 'leader="alice", follower="bob"'
LATE = f'relay_signal_transit_seconds_bucket{{{PAIR}, le="%s"}}'
ORDERS = f'relay_orders_total{{{PAIR}, outcome="%s"}}'
STANDS_BY_S = 200
# Of each rule: series that raise it, series beside which it is quiet, and who is named.
EACH_RULE: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "OrdersUnknown": (
        {f"relay_orders_unknown{{{PAIR}}}": "2x60"},
        {f"relay_orders_unknown{{{PAIR}}}": "0x9 2x4 0x50"},  # known again within half a minute
        {"leader": "alice", "follower": "bob"},
    ),
    "HeartbeatLost": (
        {'relay_heartbeat_age_seconds{leader="alice"}': "1x5 10x60"},
        {'relay_heartbeat_age_seconds{leader="alice"}': "3x60"},
        {"leader": "alice"},
    ),
    "ClockSkew": (
        {f"relay_clock_skew_seconds{{{PAIR}}}": "-0.7x60"},
        {f"relay_clock_skew_seconds{{{PAIR}}}": "0.5x60"},
        {"leader": "alice", "follower": "bob"},
    ),
    "GapUnresolved": (
        {'relay_alarms{rule="gap", severity="critical"}': "1x60"},
        {'relay_alarms{rule="stale", severity="warning"}': "1x60"},
        {"rule": "gap"},
    ),
    "Equivocation": (
        {'relay_equivocation{leader="alice"}': "0x5 1x60"},
        {'relay_equivocation{leader="alice"}': "0x60"},
        {"leader": "alice"},
    ),
    "Rejects": (
        {ORDERS % "rejected": "0+1x60", ORDERS % "accepted": "0+3x60"},
        {ORDERS % "rejected": "0+1x60", ORDERS % "accepted": "0+4x60"},
        {"leader": "alice", "follower": "bob"},
    ),
    "TransitSlow": (
        {LATE % "0.25": "0+97x60", LATE % "0.5": "0+100x60", LATE % "+Inf": "0+100x60"},
        {LATE % "0.25": "0+99x60", LATE % "0.5": "0+100x60", LATE % "+Inf": "0+100x60"},
        {"follower": "bob"},
    ),
    "ExposureGap": (
        {f"relay_exposure_gap_ratio{{{PAIR}}}": "0.06x60"},
        {f"relay_exposure_gap_ratio{{{PAIR}}}": "0.05x60"},
        {"leader": "alice", "follower": "bob"},
    ),
    "BrokerNotDurable": (
        {"relay_broker_sync_always": "1x5 0x60"},
        {"relay_broker_sync_always": "1x60"},
        {},
    ),
}


def rules() -> set[str]:
    return set(re.findall(r"alert: Slipstream(\w+)", (FOLDER / "alerts.yml").read_text()))


@pytest.mark.system
@pytest.mark.parametrize("rule", sorted(EACH_RULE))
def test_each_rule_rises_and_is_quiet(rule: str, tmp_path: Path) -> None:
    """Beside nothing but its own series, as Prometheus evaluates it; who it is about is named."""
    promtool = shutil.which("promtool")
    assert promtool is not None, "this test needs promtool: apt-get install prometheus"
    assert rules() == set(EACH_RULE), "every rule has a test"
    raising, quiet, who = EACH_RULE[rule]
    firing = f'count(ALERTS{{alertname="Slipstream{rule}", alertstate="firing"}})'
    named = "".join(f', {name}="{value}"' for name, value in who.items())
    own = f'count(ALERTS{{alertname="Slipstream{rule}", alertstate="firing"{named}}})'
    tests = []
    for series, samples in ((raising, [{"labels": "{}", "value": 1}]), (quiet, [])):
        asked = [
            {"expr": expression, "eval_time": f"{STANDS_BY_S}s", "exp_samples": samples}
            for expression in (firing, own)
        ]
        given = [{"series": name, "values": values} for name, values in series.items()]
        tests.append({"interval": "5s", "input_series": given, "promql_expr_test": asked})
    document = {"rule_files": [str(FOLDER / "alerts.yml")], "evaluation_interval": "5s", "tests": tests}
    (tmp_path / "rule.yml").write_text(json.dumps(document))
    done = subprocess.run(
        [promtool, "test", "rules", "rule.yml"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr


RAISED = """
rule_files: [RULES]
evaluation_interval: 5s
tests:
  - interval: 5s
    input_series:
      - { series: 'relay_orders_unknown{leader="alice", follower="bob"}', values: '2x20' }
      - { series: 'relay_heartbeat_age_seconds{leader="alice"}', values: '1x5 10x20' }
      - { series: 'relay_equivocation{leader="alice"}', values: '0x5 1x20' }
      - { series: 'relay_orders_total{leader="alice", follower="bob", outcome="rejected"}', values: '0+1x40' }
      - { series: 'relay_orders_total{leader="alice", follower="bob", outcome="accepted"}', values: '0+1x40' }
      - { series: 'relay_broker_sync_always', values: '1x5 0x20' }
    alert_rule_test:
      - { eval_time: 10s, alertname: SlipstreamBrokerNotDurable, exp_alerts: [] }
      - eval_time: 80s
        alertname: SlipstreamBrokerNotDurable
        exp_alerts:
          - exp_labels: { severity: critical }
            exp_annotations:
              summary: Nothing says that the broker syncs signals to disk before it acknowledges them
              action: Look whether relay serve runs and is scraped; it refuses a broker that does not sync.
      - { eval_time: 10s, alertname: SlipstreamOrdersUnknown, exp_alerts: [] }
      - eval_time: 40s
        alertname: SlipstreamOrdersUnknown
        exp_alerts:
          - exp_labels: { severity: critical, leader: alice, follower: bob }
            exp_annotations:
              summary: bob does not know what became of 2 orders
              action: It enters nothing in these symbols meanwhile; look the orders up at the venue.
      - { eval_time: 10s, alertname: SlipstreamHeartbeatLost, exp_alerts: [] }
      - eval_time: 40s
        alertname: SlipstreamHeartbeatLost
        exp_alerts:
          - exp_labels: { severity: critical, leader: alice }
            exp_annotations:
              summary: alice has not been heard for 10 s
              action: Look at the publisher and its link to the broker.
      - eval_time: 40s
        alertname: SlipstreamEquivocation
        exp_alerts:
          - exp_labels: { severity: critical, leader: alice }
            exp_annotations:
              summary: alice contradicts himself
              action: Do not follow this leader until it is clear who has the key.
      - eval_time: 150s
        alertname: SlipstreamRejects
        exp_alerts:
          - exp_labels: { severity: warning, leader: alice, follower: bob }
            exp_annotations:
              summary: The venue rejects more than a fifth of bob's orders
              action: "`follower-client verdicts` there has the venue's codes."
"""
