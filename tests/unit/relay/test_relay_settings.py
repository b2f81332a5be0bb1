"""Settings: every mistake at once, with its place and what is allowed, and never a secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relay.errors import ConfigurationError
from relay.keys import create_nkey, create_signing_key, load_nkey_seed, load_signing_key, nkey_public
from relay.settings import PublishSettings, ServeSettings, load_publish, load_serve

NKEY = "UCSTMETJKGLJEAJUWM2Y32Q2RKYNC7XTX6QCST6YJPGB6HECROPWNSYB"
OTHER_NKEY = "UB5UZ3XN7BFYZM4GLR35K7VWSWYURFCPE2BMKMQMEHZJXAQANWHQZATE"
SECRET = "hunter2secret"
CONFIGS = Path(__file__).parents[3] / "configs"

SERVE = f"""
[broker]
data_dir = "broker"
[store]
path = "drift.sqlite"
[[leaders]]
id = "alice"
nkey = "{NKEY}"
signing_key = "{"0" * 64}"
[[followers]]
id = "bob"
nkey = "{OTHER_NKEY}"
leaders = ["alice"]
"""

PUBLISH = f"""
[leader]
id = "alice"
nkey_seed_file = "a.nk"
signing_key_file = "a.sk"
outbox = "outbox.sqlite"
[venue]
rest_url = "http://127.0.0.1:1"
ws_url = "ws://127.0.0.1:1"
api_key = "key"
api_secret = "{SECRET}"
[broker]
url = "nats://127.0.0.1:4222"
[signals]
symbols = ["BTC/USDT:USDT"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def mistakes(folder: Path, text: str, *, publish: bool = False) -> tuple[str, ...]:
    """What is said, without the file's name, which each line begins with."""
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        (load_publish if publish else load_serve)(path)
    assert caught.value.exit_status == 78 and caught.value.is_located
    assert SECRET not in str(caught.value)
    assert all(line.startswith(f"{path}: ") for line in caught.value.lines)
    return tuple(line.removeprefix(f"{path}: ") for line in caught.value.lines)


def test_a_good_file_is_read_and_paths_lie_beside_it(tmp_path: Path) -> None:
    settings = load_serve(write(tmp_path, SERVE))
    assert settings.broker.data_dir == tmp_path / "broker"
    assert settings.broker.host_port == ("127.0.0.1", 0)
    assert settings.followers[0].leaders == ["alice"]
    published = load_publish(write(tmp_path, PUBLISH))
    assert published.leader.outbox == tmp_path / "outbox.sqlite"
    assert published.venue.credentials() == ("key", SECRET)
    assert (published.signals.expires_ms, published.signals.stagger.waves) == (5000, 1)


def test_the_shipped_files_are_right_but_for_the_keys_that_are_not_there() -> None:
    assert load_serve(CONFIGS / "relay.toml").followers[0].leaders == ["alice"]
    with pytest.raises(ConfigurationError) as caught:
        load_publish(CONFIGS / "publisher.toml")
    assert [line.split(": ")[1] for line in caught.value.lines] == ["venue.api_key_file"]


def test_an_nkey_with_a_typing_error_is_refused(tmp_path: Path) -> None:
    wrong = NKEY[:-1] + ("A" if NKEY[-1] != "A" else "B")
    (line,) = mistakes(tmp_path, SERVE.replace(NKEY, wrong))
    assert line.startswith("leaders.0.nkey")


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_BROKER__LISTEN", "127.0.0.1:4555")
    assert load_serve(write(tmp_path, SERVE)).broker.host_port == ("127.0.0.1", 4555)
    monkeypatch.setenv("PUBLISHER_VENUE__API_KEY", "other")
    assert load_publish(write(tmp_path, PUBLISH)).venue.credentials() == ("other", SECRET)


def test_the_store_is_a_file_or_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_serve(write(tmp_path, SERVE)).store.place == tmp_path / "drift.sqlite"
    bare = SERVE.replace('path = "drift.sqlite"', "")
    assert mistakes(tmp_path, bare) == ("store: missing, allowed: path or url",)
    told = mistakes(tmp_path, bare.replace("[store]", f'[store]\nurl = "mysql://me:{SECRET}@host/drift"'))
    assert told == ("store.url: allowed: postgresql://USER:PASSWORD@HOST:PORT/NAME",)
    monkeypatch.setenv("RELAY_STORE__URL", "postgresql://me@host/drift")
    assert load_serve(write(tmp_path, SERVE)).store.place == "postgresql://me@host/drift"


def test_an_address_for_the_world_needs_a_certificate(tmp_path: Path) -> None:
    text = SERVE.replace('data_dir = "broker"', 'listen = "0.0.0.0:4222"\ndata_dir = "broker"')
    assert mistakes(tmp_path, text) == (
        "broker.listen: was '0.0.0.0:4222', allowed: a loopback address, or any with [broker.tls]",
    )
    path = tmp_path / "secure.toml"
    path.write_text(
        text.replace('data_dir = "broker"', 'data_dir = "broker"\ntls = { certificate = "c", key = "k" }')
    )
    assert not load_serve(path).broker.is_loopback


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = SERVE.replace('data_dir = "broker"', 'listen = "nowhere:4222"\nretention_days = 0')
    text = text.replace('id = "alice"', 'id = "Alice!"').replace(OTHER_NKEY, "SU123")
    lines = mistakes(tmp_path, text)
    assert lines == (
        "broker.listen: was 'nowhere:4222', allowed: HOST:PORT with an IP address (port 0 = any free one)",
        "broker.data_dir: missing, allowed: a folder that the broker may have for itself",
        "broker.retention_days: was 0, allowed: 1 to 3650",
        "leaders.0.id: was 'Alice!', allowed: 1 to 32 characters of a-z, 0-9",
        "followers.0.nkey: allowed: a user's public nkey (U..., from `relay keys nkey`)",
    )


def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_BROKER__RETENTION_DAYS", "none")
    with pytest.raises(ConfigurationError) as caught:
        load_serve(write(tmp_path, SERVE))
    assert caught.value.lines == ("RELAY_BROKER__RETENTION_DAYS: was 'none', allowed: 1 to 3650",)
    monkeypatch.setenv("RELAY_LEADERS", SECRET)
    with pytest.raises(ConfigurationError) as caught:
        load_serve(write(tmp_path, SERVE))
    assert caught.value.lines == ("RELAY_LEADERS: allowed: a list or a table, as JSON",)


def test_every_setting_says_what_is_allowed_in_words() -> None:
    def fields(kind: type[BaseModel]) -> Iterator[FieldInfo]:
        for field in kind.model_fields.values():
            yield field
            for inner in (field.annotation, *get_args(field.annotation)):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    yield from fields(inner)

    found = [*fields(ServeSettings), *fields(PublishSettings)]
    assert len(found) > 30
    assert all(field.description for field in found)


def test_an_unknown_key_names_its_nearest(tmp_path: Path) -> None:
    text = PUBLISH.replace("api_secret =", "api_secrett =").replace("[signals]", "[signals]\nexpire_ms = 3")
    lines = mistakes(tmp_path, text, publish=True)
    assert any(line.startswith("venue.api_secrett: unknown key; nearest: venue.api_secret") for line in lines)
    assert any(
        line.startswith("signals.expire_ms: unknown key; nearest: signals.expires_ms") for line in lines
    )


def test_an_unknown_table_names_its_nearest(tmp_path: Path) -> None:
    lines = mistakes(tmp_path, SERVE + "[brokerr]\nx = 1\n")
    assert lines == ("brokerr: unknown key; nearest: broker",)
    lines = mistakes(tmp_path, SERVE + "[xyz]\nx = 1\n")
    allowed = "broker, registry, leaders, followers, store, dashboard, venue, alarms, notify"
    assert lines == (f"xyz: unknown key; allowed: {allowed}",)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('leaders = ["alice"]', 'leaders = ["carol"]', "followers.0.leaders"),
        (OTHER_NKEY, NKEY, "followers"),
        ('leaders = ["alice"]', "leaders = []", "followers.0.leaders"),
        ("[store]\npath", "[store]\npaht", "store"),
    ],
)
def test_people_must_fit_together(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert mistakes(tmp_path, SERVE.replace(old, new))[0].startswith(key)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"BTC/USDT:USDT"', '"BTCUSDT"', "signals.symbols"),
        ('"http://127.0.0.1:1"', f'"http://user:{SECRET}@host"', "venue.rest_url"),
        (f'api_secret = "{SECRET}"\n', "", "venue.api_secret"),
        (f'api_secret = "{SECRET}"', 'api_secret_file = "none"', "venue.api_secret_file"),
        ('id = "alice"', "id = 5", "leader.id"),
        ('rest_url = "http', 'exchange = "Binance!"\nrest_url = "http', "venue.exchange"),
        ("nats://127.0.0.1:4222", "http://x", "broker.url: was 'http://x', allowed: nats:// or tls://"),
        ("nats://127.0.0.1:4222", "nats://127.0.0.1", "broker.url"),
        ("ws://127.0.0.1:1", "http://127.0.0.1:1", "venue.ws_url"),
    ],
)
def test_a_publisher_is_told_what_is_allowed(tmp_path: Path, old: str, new: str, key: str) -> None:
    (line,) = mistakes(tmp_path, PUBLISH.replace(old, new), publish=True)
    assert line.startswith(key)
    assert "allowed" in line


def test_a_missing_or_broken_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.toml: cannot be read \(No such file"):
        load_serve(tmp_path / "none.toml")
    (line,) = mistakes(tmp_path, f"[broker]\nsecret = {SECRET}\n")
    assert line == "line 2, column 10: not TOML (invalid value)"


def test_a_secret_file_is_its_owners_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    text = PUBLISH.replace(f'api_secret = "{SECRET}"', 'api_secret_file = "secret"')
    secret.chmod(0o644)
    assert "chmod 600" in mistakes(tmp_path, text, publish=True)[0]
    secret.chmod(0o600)
    assert load_publish(write(tmp_path, text)).venue.credentials() == ("key", SECRET)


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    public = create_signing_key(tmp_path / "keys" / "a.sk")
    assert bytes(load_signing_key(tmp_path / "keys" / "a.sk").verify_key).hex() == public
    nkey = create_nkey(tmp_path / "a.nk")
    assert nkey_public(load_nkey_seed(tmp_path / "a.nk")) == nkey
    for path in (tmp_path / "keys" / "a.sk", tmp_path / "a.nk"):
        assert path.stat().st_mode & 0o777 == 0o600
        before = path.read_text()
        with pytest.raises(ConfigurationError, match="never overwritten"):
            create_nkey(path)
        assert path.read_text() == before
        path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_signing_key(tmp_path / "keys" / "a.sk")


@pytest.mark.parametrize("text", ["", "zz", "00" * 31, "SUAAAA", SECRET])
def test_a_file_that_is_no_key_is_told_without_its_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    for load in (load_signing_key, load_nkey_seed):
        with pytest.raises(ConfigurationError) as caught:
            load(path)
        assert not text or text not in str(caught.value).replace(str(path), "")
