"""The rules of ARCHITECTURE.md and CONTRIBUTING.md that a machine can check. Only rules live here."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("relay", "follower_client", "simulated_exchange")
PYTHON_LINES_MAX = 400
RUST_LINES_MAX = 600
FUNCTION_LINES_MAX = 60


def tracked(*suffixes: str) -> list[Path]:
    """Files that belong to the project: what git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    paths = [ROOT / line for line in listed]
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


def package_files() -> list[Path]:
    return [p for p in tracked(".py") if p.relative_to(ROOT).parts[0] in PACKAGES]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_keep_their_budget() -> None:
    over = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in tracked(".py", ".rs")
        if (lines := len(path.read_text().splitlines()))
        > (PYTHON_LINES_MAX if path.suffix == ".py" else RUST_LINES_MAX)
    ]
    assert over == []


def test_functions_keep_their_budget() -> None:
    over = [
        f"{path.relative_to(ROOT)} {name}: {lines}"
        for path in package_files()
        for name, lines in functions(path)
        if lines > FUNCTION_LINES_MAX
    ]
    assert over == []


def test_every_module_says_what_belongs_in_it() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in package_files()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_nothing_is_left_unfinished() -> None:
    # Spelled in pieces so that this file does not find itself.
    words = re.compile(
        "|".join(
            (
                "TO" + "DO",
                "FIX" + "ME",
                "Not" + "Implemented" + "Error",
                r"todo" + r"!\(",
                r"unimplemented" + r"!\(",
            )
        )
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked(".py", ".rs", ".toml", ".md")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if words.search(line)
    ]
    assert found == []


def test_no_address_of_a_package_index_and_no_path_of_a_machine() -> None:
    pattern = re.compile(
        "|".join((r"py" + r"pi\.org", r"files\.python" + "hosted", r"(?<![\w.])/(?:work|root)/"))
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix in {".py", ".rs", ".toml", ".md", ".lock", ".txt", ".html", ".css", ""}
        and path.name != "Cargo.lock"
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


def test_requirements_are_locked_with_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^[A-Za-z0-9_.-]+==\S+", text, flags=re.MULTILINE)
    assert len(pinned) > 40
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "http" not in re.sub(r"^\s*#.*$|^[A-Za-z].*$", "", text, flags=re.MULTILINE)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[><=;\[ ]", entry)[0].lower() for entry in declared}
    assert names <= {line.split("==")[0].lower() for line in pinned}


def test_only_the_driver_knows_the_engine() -> None:
    # A compiled module is invisible to import-linter.
    def is_engine(name: str | None) -> bool:
        return f"{name}.".startswith("simulated_exchange._engine.")

    doors = {
        str(path.relative_to(ROOT))
        for path in package_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and is_engine(node.module))
        or (isinstance(node, ast.Import) and any(is_engine(a.name) for a in node.names))
    }
    assert "simulated_exchange/driver.py" in doors
    assert [door for door in doors if not re.fullmatch(r"simulated_exchange/driver(_\w+)?\.py", door)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_shelf_for_odds_and_ends(package: str) -> None:
    names = {path.stem for path in (ROOT / package).rglob("*.py")} | {
        path.name for path in (ROOT / package).rglob("*") if path.is_dir()
    }
    assert not names & {"common", "utils", "util", "helpers", "misc"}
