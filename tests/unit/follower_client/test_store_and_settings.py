"""What is kept and what is read: migrations, identity, one head, settings with every error at once."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client.cli import main
from follower_client.core.policy import BelowMinimum, Mode
from follower_client.editing import take_out
from follower_client.errors import ConfigurationError, StoreError
from follower_client.reading import check_secrets, load_settings, read_files
from follower_client.records import Copy, CopyKey, Head, Order
from follower_client.settings import FollowerSettings, meaning
from follower_client.store import Store
from follower_client.store_schema import MIGRATIONS
from follower_client.template import template
from relay.keys import create_nkey

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
GOOD = f"""
[follower]
id = "alice"
data_dir = "data"
[leader]
id = "lead"
public_key = "{"ab" * 32}"
[broker]
url = "nats://127.0.0.1:4222"
nkey_seed_file = "alice.nk"
[venue]
rest_url = "http://127.0.0.1:1"
ws_url = "ws://127.0.0.1:1"
api_key = "key"
api_secret = "canary"
[policy]
mode = "fixed_notional"
scale = 0.25
below_minimum = "round_up"
"""


def copy(seq: int, verdict: str | None = None) -> Copy:
    return Copy(
        leader_id="lead",
        epoch=1,
        seq=seq,
        signal_id=f"lead.1.{seq}",
        symbol="BTC/USDT:USDT",
        side="buy",
        signal=b"{}",
        received_ms=1,
        wave_start_ms=1,
        verdict=verdict,  # type: ignore[arg-type]
    )


def order(seq: int) -> Order:
    return Order(
        client_order_id=f"id{seq}",
        leader_id="lead",
        epoch=1,
        seq=seq,
        leg="open",
        n=0,
        symbol="BTC/USDT:USDT",
        is_buy=True,
        qty=Decimal("0.1"),
        limit_price=None,
        reduce_only=False,
        send_by_ms=1,
    )


def test_intent_copy_and_head_are_one_transaction(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s")
    store.record(copy(1), order=order(1), head=Head(1, 1, "aa"))
    duplicate = order(2)
    duplicate.leg, duplicate.seq, duplicate.client_order_id = "open", 1, "other"
    with pytest.raises(StoreError):
        store.record(copy(2), order=duplicate, head=Head(1, 2, "bb"))
    assert store.head("lead") == Head(1, 1, "aa")
    assert not store.has_copy(CopyKey("lead", 1, 2))
    store.close()
    again = Store.open(tmp_path / "s")
    assert [found.client_order_id for found in again.open_orders()] == ["id1"]
    assert [found.seq for found in again.open_copies("lead")] == [1]


def test_a_verdict_is_final_and_the_head_never_goes_back(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s")
    store.record(copy(5, "copied"), head=Head(1, 5, "ee"))
    store.record(copy(5, "missed"), head=Head(1, 4, "dd"))
    assert store.copies(limit=10)[0].verdict == "copied"
    assert store.head("lead") == Head(1, 5, "ee")


def test_a_store_is_durable_by_setting_and_private(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s")
    database = store._db
    assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert database.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0


def test_a_newer_store_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    Store.open(tmp_path / "s").close()
    database = sqlite3.connect(tmp_path / "s")
    database.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    database.close()
    with pytest.raises(StoreError, match="newer"):
        Store.open(tmp_path / "s")
    (tmp_path / "broken").write_bytes(b"not a database, by any means" * 100)
    with pytest.raises(StoreError, match="broken"):
        Store.open(tmp_path / "broken")


def test_a_store_belongs_to_one_follower_and_account(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s")
    store.claim({"follower": "alice", "account": "one"})
    store.claim({"follower": "alice", "account": "one"})
    with pytest.raises(StoreError, match="belongs to one"):
        store.claim({"follower": "alice", "account": "two"})


def test_a_report_stays_until_it_is_acknowledged(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s")
    store.record(copy(1, "copied"), report=("m1", b"one"))
    store.record(copy(1, "copied"), report=("m1", b"one"))
    rows = store.outbox(10)
    assert [row[1:] for row in rows] == [("m1", b"one")]
    store.reported(rows[0][0])
    assert list(store.outbox(10)) == []


def test_good_settings_become_a_policy(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    settings = load_settings(tmp_path / "a.toml")
    policy = settings.to_policy()
    assert (policy.mode, policy.scale, policy.label) == (
        Mode.FIXED_NOTIONAL,
        Decimal("0.25"),
        "fixed_notional",
    )
    assert policy.below_minimum is BelowMinimum.ROUND_UP
    assert settings.follower.data_dir == tmp_path / "data"
    assert "canary" not in json.dumps(settings.model_dump(mode="json")) and "canary" not in repr(settings)
    assert load_settings(tmp_path / "a.toml", paper=True).venue.kind == "paper"


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    monkeypatch.setenv("SLIPSTREAM_FOLLOWER_POLICY__LEVERAGE_MAX", "7")
    settings = load_settings(tmp_path / "a.toml")
    assert settings.policy.leverage_max == 7 and settings.policy.scale == Decimal("0.25")


def test_all_that_is_wrong_is_said_at_once_and_no_secret_is_shown(tmp_path: Path) -> None:
    text = (
        GOOD.replace('id = "alice"', 'id = "Alice!"')
        .replace("scale = 0.25", "scale = -1\nleverage_mx = 3")
        .replace('api_secret = "canary"', 'api_secrt = "canary"')
        .replace("nats://", "http://user:canary@")
    )
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "bad.toml")
    lines = "\n".join(caught.value.lines)
    for said in (
        "follower.id: was 'Alice!', allowed: 1 to 32 characters of a-z, 0-9",
        "broker.url: allowed: nats:// or tls:// HOST:PORT",
        "policy.scale: was -1, allowed: a number above 0",
        "policy.leverage_mx: unknown key; nearest: policy.leverage_max",
        "venue.api_secrt: unknown key; nearest: venue.api_secret",
    ):
        assert said in lines
    assert "canary" not in lines and caught.value.exit_status == 78


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[follower", "end of document: not TOML (expected"),
        ("", "follower: missing, allowed: a table [follower]"),
        (GOOD + "x = 1", "policy.x: unknown key; allowed: mode, scale, "),
        (
            GOOD.replace('api_secret = "canary"', ""),
            "venue.api_secret: missing, allowed: either api_secret or",
        ),
    ],
)
def test_bad_files_name_themselves(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "bad.toml")
    assert all(line.startswith(str(tmp_path / "bad.toml")) for line in caught.value.lines)
    assert any(said in line for line in caught.value.lines)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({}, "follower.id: was 'alice', allowed: an id of its own"),
        ({'"alice"': '"bob"'}, "follower.data_dir: was '"),
        ({'"alice"': '"bob"', '"data"': '"other"'}, "venue.api_key: allowed: an account of its own"),
        (
            {'"alice"': '"bob"', '"data"': '"other"', 'api_key = "key"': 'api_key_file = "key"'},
            "venue.api_key: allowed: an account of its own",
        ),
    ],
)
def test_what_belongs_to_one_follower_is_his_who_comes_first(
    tmp_path: Path, second: dict[str, str], said: str
) -> None:
    text = GOOD
    for old, new in second.items():
        text = text.replace(old, new)
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(text)
    (tmp_path / "key").write_text("key\n")
    found = read_files(tmp_path)
    assert list(found.settings) == [tmp_path / "a.toml"]
    assert found.lines[0].startswith(f"{tmp_path / 'b.toml'}: ") and any(said in line for line in found.lines)
    assert f"({tmp_path / 'a.toml'} has it)" in found.lines[0]
    assert not any("'key'" in line for line in found.lines)
    with pytest.raises(ConfigurationError):
        found.all_right()


MORE = f"""
[[more_leaders]]
id = "two"
public_key = "{"cd" * 32}"
[[more_leaders]]
id = "three"
public_key = "{"ef" * 32}"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f'"{"ef" * 32}"', '"ef"', "more_leaders[2].public_key: allowed: the leader's public key, 64"),
        ('id = "three"', 'id = "Three"', "more_leaders[2].id: was 'Three', allowed: 1 to 32 characters"),
        ('id = "three"', 'id = "three"\nsilent_ms = 1', "more_leaders[2].silent_ms: unknown key; nearest: "),
        ('id = "two"', "", "more_leaders[1].id: missing, allowed: 1 to 32 characters of a-z, 0-9"),
        ('id = "three"', 'id = "lead"', "more_leaders: was lead twice, allowed: each leader once"),
    ],
)
def test_a_mistake_in_one_of_several_leaders_names_which(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = (GOOD + MORE).replace(old, new)
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "a.toml")
    (line,) = caught.value.lines
    assert said in line
    if "twice" not in said:
        number = int(line.removeprefix(f"{tmp_path / 'a.toml'}:").partition(":")[0])
        shown = text.splitlines()[number - 1]
        assert shown == (new.splitlines() or ["[[more_leaders]]"])[-1] or new in shown, (number, shown)


@pytest.mark.parametrize(
    ("leaves", "left"), [("lead", "two three"), ("two", "lead three"), ("three", "lead two")]
)
def test_one_of_several_leaders_is_taken_out_of_the_file(tmp_path: Path, leaves: str, left: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(GOOD + MORE)
    file.chmod(0o600)
    kept = take_out(file, leaves)
    settings = load_settings(file)
    assert [leader.id for leader in settings.leaders] == left.split()
    assert settings.policy.scale == Decimal("0.25") and file.stat().st_mode & 0o777 == 0o600
    assert kept.read_text() == GOOD + MORE and kept.stat().st_mode & 0o777 == 0o600


def test_a_file_with_a_mistake_keeps_nobody_else_from_an_order_or_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD.replace("scale = 0.25", "scale = -1"))
    for words in (["pause"], ["status"], ["verdicts"], ["resume"]):
        monkeypatch.setattr("sys.argv", ["follower-client", *words, "-c", str(tmp_path), "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 78, words
        said = capsys.readouterr()
        assert "b.toml:18: policy.scale: was -1, allowed: a number above 0" in said.err
        rows = json.loads(said.out)
        if words == ["pause"]:
            assert rows == [{"follower": "alice", "level": "pause", "reason": ""}]
        if words[0] in ("status", "verdicts"):
            assert "alice: has not run yet, nothing is kept in" in said.err


def test_config_check_asks_for_the_trial_that_real_money_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text(GOOD.replace('id = "alice"', 'id = "alice"\nmode = "live"'))
    create_nkey(tmp_path / "alice.nk")
    monkeypatch.setattr("sys.argv", ["follower-client", "config", "check", "-c", str(tmp_path / "a.toml")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 78
    assert "alice: trial: no trial was shown, allowed: [trial] paper_data_dir" in capsys.readouterr().err


@pytest.mark.parametrize("paper", [True, False])
def test_the_template_and_the_shipped_file_are_the_settings(paper: bool) -> None:
    shipped = (CONFIGS / ("follower.paper.toml" if paper else "follower.toml")).read_text()
    assert shipped == template(paper=paper)
    tree = tomllib.loads(shipped)
    tree["leader"] |= {"id": "lead", "public_key": "0" * 64}
    assert FollowerSettings(**tree).venue.kind == ("paper" if paper else "ccxt")
    for section, field in FollowerSettings.model_fields.items():
        for name in getattr(field.annotation, "model_fields", ()):
            assert f"{name} = " in shipped, f"{section}.{name} is not in the file"


def test_the_template_says_which_lines_are_to_be_filled_in(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(template())
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "a.toml")
    assert [line.removeprefix(f"{tmp_path / 'a.toml'}:") for line in caught.value.lines] == [
        """12: leader.id: was "<the leader's id>", allowed: 1 to 32 characters of a-z, 0-9""",
        "13: leader.public_key: allowed: the leader's public key, 64 hex digits",
    ]


def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    monkeypatch.setenv("SLIPSTREAM_FOLLOWER_POLICY__LEVERAGE_MAX", "many")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "a.toml")
    assert caught.value.lines == [
        "SLIPSTREAM_FOLLOWER_POLICY__LEVERAGE_MAX: was 'many', allowed: above 0, to 100"
    ]
    monkeypatch.setenv("SLIPSTREAM_FOLLOWER_POLICY", "many")
    with pytest.raises(ConfigurationError, match=r"^SLIPSTREAM_FOLLOWER_POLICY: allowed: a table, as JSON$"):
        load_settings(tmp_path / "a.toml")


def test_every_setting_says_what_is_allowed_in_words() -> None:
    for section, field in FollowerSettings.model_fields.items():
        assert meaning((section,))[1]
        for name in getattr(field.annotation, "model_fields", ()):
            assert meaning((section, name))[1] != meaning((section,))[1], f"{section}.{name}"


@pytest.mark.parametrize("text", [None, "", "canary", "SUcanary", "canary" * 10])
def test_a_file_that_is_no_key_is_noticed_before_any_network(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    settings = load_settings(tmp_path / "a.toml")
    file = settings.broker.nkey_seed_file
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"^alice: broker\.nkey_seed_file: ") as caught:
        check_secrets(read_files(tmp_path))
    assert "canary" not in str(caught.value) and len(caught.value.lines) == 1
    file.unlink(missing_ok=True)
    create_nkey(file)
    assert check_secrets(read_files(tmp_path)).wrong == {}


def test_verdicts_are_rounded_for_people_and_exact_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "data").mkdir()
    exact = "65123.456789012345678901234567"
    row = copy(1, "capped")
    row.limit_value, row.observed_value = Decimal(exact), Decimal("0.000012345678901")
    row.order_qty = Decimal("0.100")
    store = Store.open(tmp_path / "data" / "follower.sqlite")
    store.record(row)
    store.close()
    for options in ([], ["--json"]):
        monkeypatch.setattr(
            "sys.argv", ["follower-client", "verdicts", "-c", str(tmp_path / "a.toml"), *options]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
    table, _, as_json = capsys.readouterr().out.rpartition("\n[")
    assert "65123.46 " in table and "0.00001235 " in table and " 0.1 " in table
    assert exact not in table
    assert json.loads("[" + as_json)[0]["limit"] == exact
