"""``bronze config`` and ``bronze validate``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bronze_tui.commands.config import config
from bronze_tui.commands.validate import command as validate
from bronze_tui.config.keys import Shape, leaves
from bronze_tui.config.load import load
from bronze_tui.domain.errors import ConfigError

TEXT = """\
eras:
  - {era_id: 1.10, network: n, ledger_start: 2, ledger_end: 9, partition_size: 4}
  - {era_id: p23, network: n, ledger_start: 10}
source:
  url: "./a b"
  options: {token: "hush", region: "no"}
catalog: {postgres_dsn: "postgres://u:hush@h/d"}
pas: {enabled: true}
bronze: {ingested_at: now, compression: "zstd:19"}
plugins: {allow: [a, "null"]}
logging: {level: warn}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG_FILE", *(slot.key.env for _, slot in leaves() if slot.key.env)):
        monkeypatch.delenv(name, raising=False)


def run(command: click.Command, *args: str | Path) -> Result:
    texts: Sequence[str] = [str(arg) for arg in args]
    return CliRunner().invoke(command, texts)


def test_show_prints_yaml_that_loads_again(path: Path, tmp_path: Path) -> None:
    result = run(config, "show", "-c", path, "--set", "source.options.token=")
    assert result.exit_code == 0
    assert "hush" not in result.stdout
    again = tmp_path / "again.yaml"
    again.write_text(result.stdout.replace("***@", ""))
    first = load(path, ["source.options.token=", "catalog.postgres_dsn=postgres://h/d"], {})
    assert load(again, (), {}).settings == first.settings


def test_show_tells_origins_and_hides_secrets(path: Path) -> None:
    result = run(config, "show", "-c", path, "--origin", "--set", "copier_id=me")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "copier_id: me # --set" in lines
    assert 'era_id: "1.10" # file:2' in lines
    assert "version_label: v1 # default" in lines
    assert 'postgres_dsn: "postgres://***@h/d" # file:7' in lines
    assert 'token: "***" # file:6' in lines
    assert 'region: "no" # file:6' in lines


def test_show_as_json_names_every_key(path: Path) -> None:
    result = run(config, "show", "-c", path, "--json")
    shown = json.loads(result.stdout)
    assert "hush" not in result.stdout
    assert shown["config_file"] == str(path)
    for dotted, slot in leaves():
        value: Any = shown["settings"]
        for part in dotted.split("."):
            value = value[part] if not part.endswith("[]") else value[part[:-2]][0]
        assert slot.shape is not Shape.TEXTS or isinstance(value, list)
        assert dotted.replace("[]", ".0") in shown["origins"]


def test_schema_prints_json(path: Path) -> None:
    result = run(config, "schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "Bronze TUI configuration"


def test_validate_sums_up(path: Path, tmp_path: Path) -> None:
    result = run(validate, "-c", path)
    assert result.exit_code == 0
    assert "hush" not in result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "configuration is valid"
    assert "era      n/1.10/v1: ledgers 2 to 9, 2 partitions of 4" in lines
    assert "era      n/p23/v1: from ledger 10 without end, partitions of 10,000" in lines
    assert f"source   local, {(Path.cwd() / 'a b').as_uri()}" in lines
    assert "catalog  postgres://***@h/d" in lines
    assert "audit    ./pas-backup" in lines


def test_validate_as_json(path: Path) -> None:
    shown = json.loads(run(validate, "-c", path, "--json").stdout)
    assert shown["valid"] is True
    assert [era["partitions"] for era in shown["eras"]] == [2, None]
    assert shown["catalog"] == "postgres://***@h/d"


def test_validate_warns_on_stderr(path: Path) -> None:
    result = run(validate, "-c", path, "--set", "source.gcs_bucket=b")
    assert "warning: source.gcs_bucket: not used, source.url takes precedence\n" in result.stderr
    assert "hush" not in result.stderr


def test_validate_raises_all_problems(path: Path) -> None:
    result = run(validate, "-c", path, "--set", "era.x=1", "--set", "eras.1.ledger_start=5")
    assert isinstance(result.exception, ConfigError)
    assert len(result.exception.problems) == 2
    result = run(validate, "-c", path, "--set", "era.x=1", "--json")
    assert isinstance(result.exception, ConfigError)
    shown = json.loads(result.stdout)
    assert shown == {"valid": False, "problems": result.exception.problems}


HEAVY = [
    "duckdb",
    "numba",
    "numpy",
    "obstore",
    "pluggy",
    "prometheus_client",
    "psycopg",
    "pyarrow",
    "rich",
    "sqlalchemy",
    "stellar_sdk",
    "textual",
    "zstandard",
]


def loaded_modules(code: str) -> set[str]:
    script = f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_and_loading_pulls_in_nothing_heavy() -> None:
    code = (
        "import bronze_tui.config.load, bronze_tui.config.show, bronze_tui.config.schema\n"
        "bronze_tui.config.load.load(None, ['source.url=/lake'], {})"
    )
    assert not loaded_modules(code) & set(HEAVY)


def test_commands_and_redaction_import_no_models() -> None:
    code = (
        "import bronze_tui.commands.config, bronze_tui.commands.validate\n"
        "import bronze_tui.config.redact"
    )
    assert not loaded_modules(code) & {*HEAVY, "pydantic", "yaml"}
