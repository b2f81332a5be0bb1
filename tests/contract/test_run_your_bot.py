"""The guide's own words, carried out: its commands in a shell, its script unmodified."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.serving import environment, run, served

GUIDE = Path(__file__).parents[2] / "docs" / "run-your-bot.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = f"{shlex.quote(sys.executable)} -m simulated_exchange"


def blocks(language: str) -> list[str]:
    """The guide's blocks of a language, in their order."""
    return [text for name, text in BLOCK.findall(GUIDE.read_text()) if name == language]


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it as a person would, in the folder that the venue was started in."""
    kept = environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    kept.pop("PYTHONPATH", None)
    checkout = Path(__file__).parents[2]
    program = f'simulated-exchange() {{ PYTHONPATH={shlex.quote(str(checkout))} {PROGRAM} "$@"; }}\n'
    return subprocess.run(
        ["bash", "-euc", program + script],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def options_of_serve() -> list[str]:
    words = shlex.split(blocks("sh")[0])
    assert words[:2] == ["simulated-exchange", "serve"]
    return words[2:]


def test_a_pybit_script_runs_by_the_guides_text_alone(tmp_path: Path) -> None:
    _, point, lose_an_answer = blocks("sh")
    options = options_of_serve()
    at = options.index("--port")
    del options[at : at + 2]  # any free port instead of the one that the guide names
    (tmp_path / "runs").mkdir()
    (tmp_path / "my_bot.py").write_text(blocks("python")[0])
    with served(tmp_path / "runs" / "exchange", *options) as venue:
        ended = shell(f"{point}\n{shlex.quote(sys.executable)} my_bot.py\n{lose_an_answer}", tmp_path)
        assert ended.returncode == 0, ended.stderr
        lines = ended.stdout.splitlines()
        assert lines[0].startswith("best bid [")
        assert lines[1:3] == ["open orders 2", "cancelled 2"]
        assert lines[3].startswith("equity 100000")
        assert json.loads(lines[4])["kind"] == "drop"
        assert venue.stop() == 0
    ended = shell(point, tmp_path)
    assert "no venue runs with this data folder" in ended.stderr


CCXT_BOT = """
import asyncio, os, ccxt, ccxt.pro, ccxt.async_support
keys = {"apiKey": os.environ["BYBIT_API_KEY"], "secret": os.environ["BYBIT_API_SECRET"]}
for switch in ("", "set_sandbox_mode", "enable_demo_trading"):
    client = ccxt.bybit(keys)
    if switch:
        getattr(client, switch)(True)
    print(client.fetch_balance()["USDT"]["total"])

async def watch():
    client = ccxt.pro.bybit(keys)
    client.set_sandbox_mode(True)
    try:
        ticker = await client.watch_ticker("BTC/USDT:USDT")
        order = await client.create_order_ws("BTC/USDT:USDT", "limit", "buy", 0.01, 99000)
        print(ticker["symbol"], len(await client.fetch_open_orders("BTC/USDT:USDT")))
    finally:
        await client.close()

asyncio.run(watch())
"""


def test_an_unmodified_ccxt_bot_stays_here_whatever_network_it_switches_to(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "bot.py").write_text(CCXT_BOT)
    (tmp_path / "sitecustomize.py").write_text("print('the next one runs, too')\n")
    with served(tmp_path / "runs" / "exchange", "--account", "me:100000"):
        point = 'export PYTHONPATH="$PWD"\neval "$(simulated-exchange env --bot ccxt --account me)"'
        ended = shell(f"{point}\n{shlex.quote(sys.executable)} bot.py", tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[-4:] == ["100000.0", "100000.0", "100000.0", "BTC/USDT:USDT 1"]


ADDRESSES = """
def get_http_base_url(is_testnet):
    return "https://api-testnet.bybit.com" if is_testnet else "https://api.bybit.com"
def get_ws_base_url_public(product_type, is_testnet):
    return f"wss://stream.bybit.com/v5/public/{product_type}"
def elsewhere():
    return "https://example.com/x"
"""


def test_functions_that_answer_addresses_are_pointed_here_too(tmp_path: Path) -> None:
    """As nautilus_trader has them, which has no setting for its public sockets."""
    package = tmp_path / "nautilus_trader" / "adapters" / "bybit" / "common"
    package.mkdir(parents=True)
    (package / "urls.py").write_text(ADDRESSES)
    bot = (
        "from nautilus_trader.adapters.bybit.common.urls import *;"
        "print(get_http_base_url(True), get_ws_base_url_public('spot', is_testnet=False), elsewhere())"
    )
    point = (
        'export PYTHONPATH="$PWD"\neval "$(simulated-exchange env --bot nautilus --rest http://127.0.0.1:1)"'
    )
    ended = shell(f"{point}\n{shlex.quote(sys.executable)} -c {shlex.quote(bot)}", tmp_path)
    assert ended.stdout.split() == [
        "http://127.0.0.1:1",
        "ws://127.0.0.1:1/v5/public/spot",
        "https://example.com/x",
    ], ended.stderr


CONSTANTS = """
REST_URLS = {"main": "https://api.bybit.com/", "test": "https://api-testnet.bybit.com"}
WSS_URLS = {"main": "wss://stream.bybit.com/v5/public/linear"}
"""


def test_constants_keep_their_paths_to_the_last_slash(tmp_path: Path) -> None:
    """As hummingbot has them: one connector adds paths that begin with a slash, one paths that do not."""
    package = tmp_path / "hummingbot" / "connector" / "derivative" / "bybit_perpetual"
    package.mkdir(parents=True)
    (package / "bybit_perpetual_constants.py").write_text(CONSTANTS)
    name = "hummingbot.connector.derivative.bybit_perpetual.bybit_perpetual_constants"
    bot = f"from {name} import *; print(REST_URLS['main'], REST_URLS['test'], WSS_URLS['main'])"
    point = 'export PYTHONPATH="$PWD"\neval "$(simulated-exchange env --bot hummingbot --rest http://127.0.0.1:1)"'
    ended = shell(f"{point}\n{shlex.quote(sys.executable)} -c {shlex.quote(bot)}", tmp_path)
    assert ended.stdout.split() == [
        "http://127.0.0.1:1/",
        "http://127.0.0.1:1",
        "ws://127.0.0.1:1/v5/public/linear",
    ], ended.stderr


@pytest.mark.parametrize(
    ("bot", "path"),
    [
        ("ccxt", ["urls", "demotrading", "ws", "private", "trade"]),
        ("freqtrade", ["exchange", "ccxt_config", "urls", "api", "ws", "private", "trade"]),
        ("nautilus", ["base_url_ws_trade"]),
        ("pybit", ["trade"]),
    ],
)
def test_settings_for_bots_that_can_be_told(bot: str, path: list[str]) -> None:
    told = json.loads(run("env", "--bot", bot, "--json", "--rest", "http://127.0.0.1:1").stdout)
    for name in path:
        told = told[name]
    assert told == "ws://127.0.0.1:1/v5/trade"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--bot", "skynet"], "--bot: was 'skynet', allowed: pybit"),
        (["--rest", "localhost"], "--rest: was 'localhost', allowed: an address"),
        (["--rest", "http://x", "--account", "me"], "--account: no account 'me'"),
        ([], "no venue runs with this data folder"),
    ],
)
def test_what_cannot_be_pointed_at_is_said(arguments: list[str], text: str, tmp_path: Path) -> None:
    ended = run("env", *arguments, "--data-dir", str(tmp_path))
    assert ended.returncode == 78
    assert text in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
