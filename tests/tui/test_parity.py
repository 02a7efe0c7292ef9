"""The same archive through the app and without it, with one worker and with four, killed in the
middle, and beside five broken plugins: the same bytes each time."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from copying import Site, digests
from piloting import run, text_of, until
from textual.pilot import Pilot

from bronze_tui.audit.folder import resolve, verify_folder
from bronze_tui.config.load import load
from bronze_tui.journal.reader import read
from bronze_tui.testing.tiny_lake import write_tiny_lake
from bronze_tui.tui import launch
from bronze_tui.tui.app import BronzeApp

SETTINGS = {"era.ledger_end": 65, "era.partition_size": 4}
CLI = [sys.executable, "-m", "bronze_tui.cli"]
HEAD = "from bronze_tui.hooks import hookimpl\nbronze_hook_api = 1\n"
BROKEN = {
    "noimport": ("import", "import a_module_that_is_not_there\n"),
    "oldapi": ("version", "bronze_hook_api = 99\n"),
    "wrongarg": ("register", HEAD + "@hookimpl\ndef bronze_run_started(event, mood): pass\n"),
    "typo": ("pending", HEAD + "@hookimpl\ndef bronze_partition_comitted(event): pass\n"),
    "raises": (
        "call",
        HEAD + "@hookimpl\ndef bronze_partition_committed(event): raise RuntimeError('x')\n",
    ),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ledgers 2 to 65: sixteen partitions."""
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), first=2, count=64).root


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, lake: Path) -> Any:
    """What an undisturbed copy with one worker and without the app leaves."""
    site = a_site(tmp_path_factory.mktemp("clean"), lake, 1)
    headless(site)
    return left(site)


def a_site(root: Path, lake: Path, workers: int) -> Site:
    return Site(root, lake, SETTINGS | {"perf.workers": workers})


def words(site: Site, **changes: Any) -> list[str]:
    return [w for value in site.sets(**changes) for w in ("--set", value)]


def headless(
    site: Site, *options: str, env: dict[str, str] | None = None, code: int = 0, **changes: Any
) -> str:
    """``bronze run --no-tui``; its stdout."""
    done = subprocess.run(
        [*CLI, "run", "--no-tui", *options, *words(site, **changes)],
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def left(site: Site) -> tuple[dict[str, str], list[Any], list[Any]]:
    """Digests of Parquet files; manifests and events without their times, ids and hashes."""
    manifests = [json.loads(p.read_bytes()) for p in sorted(site.dataset.rglob("_manifest.json"))]
    return digests(site.table, "**/*.parquet"), plain(manifests), plain(site.events())


def plain(value: Any) -> Any:
    """Without what differs from run to run."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    own = ("event_id", "event_hash", "prev_event_hash", "timestamp", "created_at", "run_id")
    return {k: plain(v) for k, v in value.items() if k not in own}


def watched(site: Site, *, killed_at: int = 0, **changes: Any) -> None:
    """The engine as ``bronze run`` starts it, and the app on its journal to the end; or the engine
    is killed when ``killed_at`` partitions are committed and it waits for more."""
    loaded = load(None, site.sets(**changes), {})
    site.state.mkdir(parents=True, exist_ok=True)
    before = site.state / "bronze.jsonl"
    after = max((r["time"] for r in read(before)), default=0.0) if before.exists() else 0.0
    child = subprocess.Popen(
        [*CLI, "engine", *words(site, **changes)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    session = replace(
        launch.session_of(loaded, "run", control=True), child=child, after=after + 1e-6
    )

    async def go() -> None:
        app = BronzeApp(session)
        async with app.run_test(size=(120, 40)) as pilot:
            if not killed_at:
                await patiently(pilot, lambda: "DONE" in text_of(app))
                return
            await patiently(pilot, lambda: app.view.partitions_committed == killed_at)
            child.send_signal(signal.SIGKILL)
            child.wait()
            await patiently(pilot, lambda: "GONE" in text_of(app))
            assert "run again" in text_of(app)

    try:
        run(go())
    finally:
        child.kill()
        child.wait()


async def patiently(pilot: Pilot[Any], true: Any) -> None:
    """Several times the usual patience: a whole copy runs meanwhile."""
    for _ in range(9):
        try:
            return await until(pilot, true)
        except AssertionError:
            continue
    return await until(pilot, true)


def test_with_the_app_and_one_worker(tmp_path: Path, lake: Path, clean: Any) -> None:
    site = a_site(tmp_path, lake, 1)
    watched(site)
    assert left(site) == clean


def test_with_the_app_four_workers_and_killed_in_the_middle(
    tmp_path: Path, lake: Path, clean: Any
) -> None:
    site = a_site(tmp_path, tmp_path / "lake", 4)
    # Half of the archive is there: the engine waits in the middle and cannot be too quick.
    shutil.copytree(lake, site.lake)
    for path in site.lake.rglob("*.xdr.zst"):
        if int(path.name.partition("--")[2].partition(".")[0].partition("-")[0]) > 33:
            path.unlink()
    watched(site, killed_at=8, era__ledger_end=0)
    assert len(site.parquet()) == 8
    shutil.rmtree(site.lake)
    shutil.copytree(lake, site.lake)
    watched(site)
    assert left(site) == clean
    assert verify_folder(resolve(site.pas)).ok


def test_json_on_stdout_is_json_and_nothing_else(tmp_path: Path, lake: Path, clean: Any) -> None:
    site = a_site(tmp_path, lake, 4)
    lines = headless(site, "--json").splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_finished")
    assert left(site) == clean


def test_a_pipe_gets_no_escapes_while_stderr_is_a_terminal(tmp_path: Path, lake: Path) -> None:
    site = a_site(tmp_path, lake, 1)
    ours, theirs = pty.openpty()
    try:
        child = subprocess.Popen(
            [*CLI, "run", "--no-tui", "--json", *words(site)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        assert child.stdout is not None
        with child.stdout:
            written = child.stdout.read()
        assert child.wait(60) == 0
    finally:
        os.close(theirs)
        os.close(ours)
    assert b"\x1b" not in written
    assert all(json.loads(line) for line in written.splitlines())


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """An environment in which five broken plugins are installed."""
    site = tmp_path / "site"
    for name, (_, code) in BROKEN.items():
        info = site / f"acme_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[bronze_tui.plugins]\n{name} = acme_{name}\n")
        (site / f"acme_{name}.py").write_text(dedent(code))
    return {"PYTHONPATH": str(site)}


def test_beside_five_broken_plugins(
    tmp_path: Path, lake: Path, clean: Any, broken: dict[str, str]
) -> None:
    site = a_site(tmp_path, lake, 2)
    allow = {"plugins__allow": ",".join(BROKEN)}
    headless(site, "--plain", env=broken, **allow)
    assert left(site) == clean
    said = [r["message"] for r in read(site.state / "bronze.jsonl") if r["kind"] == "alert"]
    assert all(any(f"'{name}'" in text for text in said) for name in BROKEN), said
    listed = subprocess.run(
        [*CLI, "plugins", "--json", *(w for name in BROKEN for w in ("--allow", name))],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **broken},
    )
    records = {r["name"]: r for r in json.loads(listed.stdout)}
    # The fifth is well until it is called.
    for name in list(BROKEN)[:4]:
        assert (records[name]["status"], records[name]["stage"]) == ("failed", BROKEN[name][0])
        assert records[name]["error"]
    (tmp_path / "strict").mkdir()
    strict = a_site(tmp_path / "strict", lake, 1)
    headless(strict, "--plain", "--strict-plugins", env=broken, code=4, **allow)
    assert not strict.table.exists()
