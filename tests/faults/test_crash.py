"""A copy killed at any point, or refused by the disk at any point, is consistent at once and whole
after a rerun. A random sample of the sweep runs here, ``python tests/faults/sweep.py --all`` does
every point; broken engines prove that the checker sees what it looks for."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from crashing import Fault, arguments, strace_words, why_no_strace
from invariants import check, partition_digests
from mutants import never_syncs

from bronze_tui.domain import files
from bronze_tui.testing.tiny_lake import write_tiny_lake

SWEEP = Path(__file__).with_name("sweep.py")
NO_STRACE = why_no_strace()
needs_strace = pytest.mark.skipif(bool(NO_STRACE), reason=NO_STRACE or "strace is there")


def sweep(*words: str) -> tuple[int, dict[str, Any]]:
    """Run the sweep in a process of its own, as it forks and must have no threads."""
    seed = os.environ.get("BRONZE_SEED") or str(secrets.randbelow(1 << 32))
    command = [sys.executable, str(SWEEP), "--json", "--seed", seed, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.stdout, done.stderr
    doc = json.loads(done.stdout)
    print(f"BRONZE_SEED={seed}", done.stderr)
    return done.returncode, doc


def bad(doc: dict[str, Any]) -> list[str]:
    return [f"{line['name']} {wrong}" for line in doc["lines"] for wrong in line["bad"]]


def assert_reached(doc: dict[str, Any]) -> None:
    """How many runs the time is enough for depends on the machine; few may miss their fault."""
    runs = sum(line["runs"] for line in doc["lines"])
    assert 0 < runs <= 2 * sum(line["reached"] for line in doc["lines"])


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ledgers 2 to 13."""
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), first=2, count=12).root


@pytest.fixture
def site(tmp_path: Path, lake: Path) -> Site:
    settings = {"era.ledger_end": 13, "era.partition_size": 4, "perf.workers": 1}
    return Site(tmp_path / "site", lake, settings)


@pytest.mark.parametrize("how", ["patch", pytest.param("strace", marks=needs_strace)])
def test_any_fault_at_any_point(how: str) -> None:
    code, doc = sweep("--how", how, "--sample", "12", "--seconds", "14")
    assert bad(doc) == []
    assert code == 0
    assert_reached(doc)


@pytest.mark.parametrize(
    "words",
    [["--twice"], ["--start", "lost-catalog"], ["--start", "uncommitted"]],
    ids=["in the rerun too", "while the catalog is rebuilt", "while partitions are adopted"],
)
def test_any_fault_while_recovering(words: list[str]) -> None:
    code, doc = sweep("--how", "patch", "--sample", "6", "--seconds", "9", *words)
    assert bad(doc) == []
    assert code == 0
    assert_reached(doc)


@needs_strace
@pytest.mark.parametrize(
    "fault",
    [
        Fault("strace", "link,linkat", "before", 2, "commits"),
        Fault("strace", "fdatasync", "before", 9, "catalog"),
        Fault("strace", "fsync", "before", 2, "pas"),
    ],
    ids=lambda fault: fault.name,
)
def test_the_command_itself_killed_inside_a_system_call(site: Site, fault: Fault) -> None:
    """From its very start, without a fork of a warm process."""
    command = [sys.executable, "-m", "bronze_tui.cli", *arguments(site)]
    done = subprocess.run(
        [*strace_words(site, fault, os.devnull), *command], capture_output=True, check=False
    )
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
    assert check(site, after_recovery=False) == []
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    clean = Site(site.root / "clean", site.lake, site.settings)
    assert clean.run().code == 0
    assert check(site, after_recovery=True, clean=partition_digests(clean)) == []


@pytest.mark.parametrize(
    ("mutant", "kind", "at", "sees"),
    [
        ("skips-what-has-a-file", "before link", "2", "I6"),
        ("splits-the-transaction", "before commit", "", "I4"),
        ("makes-events-anew", "before rename", "1", "I4"),
        ("commits-before-the-data", "after link", "1", "I1"),
        ("moves-the-checkpoint-first", "before link", "3 4 2", "I7"),
        ("builds-otherwise-each-time", "before link", "3", "I10"),
    ],
)
def test_broken_engines_are_caught(mutant: str, kind: str, at: str, sees: str) -> None:
    """The builder may be a link ahead of the sequencer or not: neighbours are tried too."""
    words = ["--how", "patch", "--all", "--workers", "1", "--kind", kind, "--mutant", mutant]
    code, doc = sweep(*words, "--first", *(["--at", *at.split()] if at else []))
    assert code == 1
    assert any(f"{sees}:" in wrong for wrong in bad(doc)), bad(doc)


@pytest.mark.parametrize(("kind", "at"), [("before link", ["2", "3"]), ("after link", ["1", "4"])])
def test_the_engine_itself_passes_where_broken_ones_are_caught(kind: str, at: list[str]) -> None:
    code, doc = sweep("--how", "patch", "--all", "--workers", "1", "--kind", kind, "--at", *at)
    assert (code, bad(doc)) == (0, [])


class Diary:
    """What a run does to the disk, in order: ``(what, path)``."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.entries: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._link, self._rename, self._fsync = os.link, os.rename, os.fsync
        patch.setattr(os, "link", self._linking)
        patch.setattr(os, "rename", self._renaming)
        patch.setattr(os, "fsync", self._syncing)
        patch.setattr(sqlite3, "connect", self._connecting(sqlite3.connect))

    def note(self, what: str, path: str) -> None:
        with self._lock:
            self.entries.append((what, path))

    def _linking(self, old: Any, new: Any, **options: Any) -> None:
        self._link(old, new, **options)
        self.note("staged", _full(old, options.get("src_dir_fd")))
        self.note("link", _full(new, options.get("dst_dir_fd")))

    def _renaming(self, old: Any, new: Any, **options: Any) -> None:
        self._rename(old, new, **options)
        self.note("staged", _full(old, options.get("src_dir_fd")))
        self.note("rename", _full(new, options.get("dst_dir_fd")))

    def _syncing(self, fd: int) -> None:
        path = str(Path(f"/proc/self/fd/{fd}").readlink())
        self._fsync(fd)
        self.note("fsync", path)

    def _connecting(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        diary = self

        class Connection(sqlite3.Connection):
            def commit(self) -> None:
                chained = self.execute("SELECT count(*) FROM _bronze_chain").fetchone()[0]
                super().commit()
                diary.note("commit", f"{chained} events")

        return lambda *a, **k: connect(*a, factory=Connection, **k)


def _full(name: Any, folder: int | None) -> str:
    base = Path() if folder is None else Path(f"/proc/self/fd/{folder}").readlink()
    return str(base / name)


def misorders(diary: list[tuple[str, str]], site: Site, name: str) -> list[str]:
    """Where the steps of one partition are not each durable before the next begins."""
    wrong = []
    folder = site.table / f"range={name}"
    start, end = name.split("-")
    steps = [
        ("link", str(folder / f"part-{name}.parquet")),
        ("link", str(folder / "_manifest.json")),
        ("link", str(site.dataset / "_commits" / f"{name}.json")),
        ("commit", "1 events"),
        ("link", str(site.pas / f"testnet_first_v1_{start}-{end}.json")),
        ("rename", str(site.pas / "pas-chain-heads.json")),
        ("rename", str(site.state / "checkpoint_testnet_first_v1.json")),
    ]
    missing = [step for step in steps if step not in diary]
    if missing:
        return [f"never happened: {missing}"]
    places = [diary.index(step) for step in steps]
    if places != sorted(places):
        wrong.append(f"order is {places}")
    bounds = [*places[1:], len(diary)]
    for (what, path), place, bound in zip(steps, places, bounds, strict=True):
        if what == "commit":
            continue
        staged = diary[place - 1][1]
        if ("fsync", staged) not in diary[:place]:
            wrong.append(f"{path} got its name before its bytes were synced")
        if ("fsync", str(Path(path).parent)) not in diary[place:bound]:
            wrong.append(f"the folder of {path} was not synced before the next step")
    return wrong


def record(site: Site) -> list[tuple[str, str]]:
    site.settings["era.ledger_end"] = 5
    with pytest.MonkeyPatch.context() as patch:
        diary = Diary(patch)
        assert site.run().code == 0
    return diary.entries


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="needs /proc to name open files"
)


@needs_proc
def test_every_step_is_durable_before_the_next(site: Site) -> None:
    assert misorders(record(site), site, "2-5") == []


@needs_proc
def test_an_engine_that_does_not_sync_is_caught(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_sync", files._sync)
    never_syncs()
    assert any("synced" in wrong for wrong in misorders(record(site), site, "2-5"))


@needs_proc
def test_new_folders_are_durable_before_what_they_hold(site: Site) -> None:
    entries = record(site)
    parquet = site.table / "range=2-5" / "part-2-5.parquet"
    place = entries.index(("link", str(parquet)))
    before = {path for what, path in entries[:place] if what == "fsync"}
    folder = parquet.parent
    while folder != site.data:
        folder = folder.parent
        assert str(folder) in before


def test_the_catalog_waits_for_the_disk(site: Site) -> None:
    """EXTRA: also the folder, after the rollback journal's removal, is synced at a commit."""
    from bronze_tui.catalog.store import Catalog

    site.state.mkdir(parents=True)
    catalog = Catalog(site.state / "catalog.sqlite")
    try:
        run = catalog.database.connection.exec_driver_sql
        assert run("PRAGMA synchronous").scalar() == 3
        assert run("PRAGMA journal_mode").scalar() == "delete"
    finally:
        catalog.close()
