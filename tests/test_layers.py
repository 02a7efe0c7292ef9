"""Layers: imports go downwards, and light commands load nothing heavy.

import-linter reads the import statements; the subprocess looks at what was really loaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
HEAVY = {
    "aiohttp",
    "duckdb",
    "fsspec",
    "gcsfs",
    "numba",
    "numpy",
    "obstore",
    "psycopg",
    "pyarrow",
    "rich",
    "s3fs",
    "sqlalchemy",
    "stellar_sdk",
    "textual",
}
SCRIPT = """
import json, sys
from bronze_tui.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
CONFIG = """
era: {era_id: e, version_label: v1, network: testnet, ledger_start: 2, ledger_end: 9,
      partition_size: 4}
source: {mode: local, local_path: LAKE}
storage: {backend: local, local_dir: DATA}
"""


def loaded_by(*args: str) -> tuple[int, set[str]]:
    """Exit code and top-level modules of one command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *args],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPO,
        env={**os.environ, "CONFIG_FILE": ""},
    )
    assert done.stdout, done.stderr
    code, modules = json.loads(done.stdout.splitlines()[-1])
    return code, set(modules)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A valid configuration on empty local folders."""
    for name in ("lake", "data"):
        (tmp_path / name).mkdir()
    text = CONFIG.replace("LAKE", str(tmp_path / "lake")).replace("DATA", str(tmp_path / "data"))
    (tmp_path / "config.yaml").write_text(text)
    return tmp_path / "config.yaml"


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["-version"], ["plugins", "--names"], ["plugins"]]
)
def test_light_commands_load_nothing_heavy(args: list[str]) -> None:
    code, modules = loaded_by(*args)
    assert code == 0
    assert modules & HEAVY == set()


@pytest.mark.parametrize("args", [["--help"], ["--version"]])
def test_help_and_version_load_click_only(args: list[str]) -> None:
    _, modules = loaded_by(*args)
    assert modules & {"pluggy", "pydantic", "yaml", "asyncio"} == set()


def test_validate_loads_nothing_heavy(config: Path) -> None:
    for args in (["validate", "--config", str(config)], ["-config", str(config), "-validate"]):
        code, modules = loaded_by(*args)
        assert code == 0
        assert modules & HEAVY == set()


def test_ctl_loads_nothing_heavy(config: Path) -> None:
    code, modules = loaded_by("ctl", "status", "--config", str(config))
    assert code == 7
    assert modules & HEAVY == set()


@pytest.mark.parametrize("how", [["--plain"], ["--json"]])
def test_a_run_without_the_app_loads_no_screen(config: Path, how: list[str]) -> None:
    state = f"checkpoint.dir={config.parent / 'state'}"
    code, modules = loaded_by("run", "--no-tui", *how, "--config", str(config), "--set", state)
    assert code == 1, "the lake is empty"
    assert (config.parent / "state" / "bronze.jsonl").is_file()
    assert modules & {"textual", "duckdb"} == set()


def test_verify_at_chain_loads_nothing_heavy(tmp_path: Path) -> None:
    from bronze_tui.audit.canonical import file_bytes
    from bronze_tui.audit.names import event_name
    from bronze_tui.testing.emitter_contract import make_chain

    for event in make_chain(3):
        (tmp_path / event_name(event)).write_bytes(file_bytes(event))
    code, modules = loaded_by("verify", str(tmp_path))
    assert code == 0
    assert modules & HEAVY == set()


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(linter), "--no-cache", "--config", "pyproject.toml"],
        capture_output=True,
        text=True,
        timeout=170,
        cwd=REPO,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


@pytest.mark.parametrize("level", ["manifest", "file"])
def test_verify_without_rows_loads_nothing_heavy(tmp_path: Path, level: str) -> None:
    from bronze_tui.audit.canonical import file_bytes
    from bronze_tui.audit.names import event_name
    from bronze_tui.testing.emitter_contract import make_chain

    (tmp_path / "pas").mkdir()
    for event in make_chain(2):
        (tmp_path / "pas" / event_name(event)).write_bytes(file_bytes(event))
        (tmp_path / "data" / event.tables[0][1].storage_path).mkdir(parents=True)
    code, modules = loaded_by("verify", str(tmp_path / "pas"), "--level", level)
    assert code == 3, "no file stands where one was announced"
    assert modules & HEAVY == set()
