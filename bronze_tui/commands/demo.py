"""``bronze demo``: makes a small lake, copies it, verifies the copy. No network, no account."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bronze_tui.domain.errors import Exit, UsageError

if TYPE_CHECKING:
    from bronze_tui.testing.tiny_lake import TinyLake

_FIRST, _COUNT, _SIZE = 2, 255, 64
_MARKER = "demo.yaml"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("demo"))
@click.option("--no-tui", is_flag=True, help="Without the app: progress, or log lines in a pipe.")
@click.option("--json", "as_json", is_flag=True, help="Journal as JSON lines on stdout.")
@click.option("--ledgers", type=click.IntRange(64, 100_000), default=_COUNT, show_default=True)
def command(folder: Path, no_tui: bool, as_json: bool, ledgers: int) -> int:
    """Make a small chain-consistent lake in FOLDER (default: demo), copy it, verify the copy.

    The lake has V0, V1 and V2 ledgers with payments, fee bumps, a failed transaction, a Soroban
    invocation, an upgrade and an empty ledger. Running it again finds everything done.
    """
    from bronze_tui.tui.launch import on_terminal

    if not (no_tui or as_json) and on_terminal():
        return show(folder, ledgers)
    from bronze_tui.commands._context import load_config
    from bronze_tui.commands.run import run_headless
    from bronze_tui.engine.main import PluginSwitches
    from bronze_tui.engine.opening import RunFlags

    config = _prepare(folder, ledgers, quiet=as_json)
    code = run_headless(
        load_config(config, ()),
        RunFlags(),
        PluginSwitches(),
        as_json=as_json,
        next_step="see below",
    )
    if code != Exit.OK:
        return code
    return _prove(folder, config, quiet=as_json)


def show(folder: Path, ledgers: int = _COUNT) -> int:
    """The demo on a terminal: the app on its copy, then the proof; the exit code."""
    from bronze_tui.commands._context import load_config
    from bronze_tui.commands.run import config_arguments
    from bronze_tui.tui.launch import run_with_app

    config = _prepare(folder, ledgers, quiet=False)
    outcome = run_with_app(load_config(config, ()), config_arguments(config))
    if outcome.code != Exit.OK or not outcome.finished:
        return outcome.code
    return _prove(folder, config, quiet=False)


def _prepare(folder: Path, ledgers: int, *, quiet: bool) -> Path:
    """The demo's lake and configuration, made when absent; the configuration's path."""
    config = folder / _MARKER
    if config.exists():
        _say(f"Using the demo lake in {folder}", quiet=quiet)
        return config
    if folder.exists() and any(item.name != "lake" for item in folder.iterdir()):
        raise UsageError(
            "folder is not empty and holds no demo", where=str(folder), todo="name another folder"
        )
    from bronze_tui.testing.tiny_lake import write_tiny_lake

    _say(f"Making a lake of {ledgers} ledgers in {folder / 'lake'} ...", quiet=quiet)
    lake = write_tiny_lake(folder / "lake", first=_FIRST, count=ledgers)
    config.write_text(_config(folder, lake), encoding="utf-8")
    return config


def _config(folder: Path, lake: TinyLake) -> str:
    root = folder.as_posix()
    return f"""\
# Configuration of the demo; see config.example.yaml for every key.
copier_id: demo
era:
  network: demo
  era_id: first
  version_label: v1
  ledger_start: {_FIRST}
  ledger_end: {lake.ledgers.end}
  partition_size: {_SIZE}
source:
  mode: datastore
  datastore_path: "{(folder / "lake").resolve().as_uri()}"
storage:
  backend: local
  local_dir: "{root}/data"
  prefix: bronze/
pas:
  enabled: true
  backup_dir: "{root}/pas-backup"
checkpoint:
  enabled: true
  dir: "{root}/state"
"""


def _prove(folder: Path, config: Path, *, quiet: bool) -> int:
    """Verify the audit chain as an auditor would, then say what to look at."""
    from bronze_tui.audit.folder import resolve, verify_folder
    from bronze_tui.audit.report import to_text

    report = verify_folder(resolve(folder))
    _say(to_text(report) + "\n\n" + _next_steps(folder, config), quiet=quiet)
    return Exit.OK if report.ok else Exit.VERIFICATION


def _next_steps(folder: Path, config: Path) -> str:
    table = folder / "data" / "bronze" / "demo" / "first" / "v1" / "ledgers_lcm_raw"
    sample = next((folder / "lake").glob("*/*.xdr.zst"))
    q = shlex.quote
    bronze = q(_own_name())
    query = f"select ledger_sequence, close_time, tx_count from '{table}/*/*.parquet' order by 1"  # noqa: S608
    return f"""\
Look at what was made:
  {bronze} status --config {q(str(config))}
  {bronze} verify {q(str(folder))}
  {bronze} ledger {q(str(sample))}
  ls {q(str(table))}
Query it with any Parquet reader, for instance DuckDB:
  {query};
Run it again, everything is done: {bronze} run --config {q(str(config))}"""


def _own_name() -> str:
    """How this command is called from here: by name where the shell finds it, else by path."""
    found = shutil.which("bronze")
    called = Path(sys.argv[0])
    if called.name != "bronze" or (found and Path(found).resolve() == called.resolve()):
        return "bronze"
    return str(called)


def _say(text: str, *, quiet: bool) -> None:
    if not quiet:
        click.echo(text, err=True)
