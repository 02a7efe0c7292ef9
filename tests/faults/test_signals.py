"""Signals to the real command: killed at random moments it goes on where it was; TERM drains,
two INT stop, HUP is survived; every end is a consistent state that a rerun completes."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Copy, copying
from copying import Site
from invariants import check, partition_digests

from bronze_tui.audit.folder import resolve, verify_folder
from bronze_tui.testing.tiny_lake import write_tiny_lake

GATED = Path(__file__).with_name("gated.py")
ROUNDS = 10


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ledgers 2 to 41."""
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), first=2, count=40).root


def a_site(root: Path, lake: Path, size: int, workers: int) -> Site:
    settings = {"era.ledger_end": 41, "era.partition_size": size, "perf.workers": workers}
    return Site(root, lake, settings)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, lake: Path) -> dict[int, dict[str, str]]:
    """Partition digests of undisturbed copies, by partition size."""
    found = {}
    for size in (2, 8):
        site = a_site(tmp_path_factory.mktemp("clean"), lake, size, 2)
        assert site.run().code == 0
        found[size] = partition_digests(site)
    return found


@contextmanager
def held(site: Site) -> Iterator[Copy]:
    """A run whose workers all wait for their first ledger."""
    with copying(site, str(GATED)) as copy:
        for _ in range(int(site.settings["perf.workers"])):
            copy.read("partition_started")
        yield copy


def test_killed_again_and_again_it_ends_as_a_clean_copy(
    tmp_path: Path, lake: Path, clean: dict[int, dict[str, str]]
) -> None:
    seed = int(os.environ.get("BRONZE_SEED") or secrets.randbelow(1 << 32))
    print(f"BRONZE_SEED={seed}")
    rng = random.Random(seed)
    site = a_site(tmp_path, lake, 2, 2)
    for _ in range(ROUNDS):
        with copying(site) as copy:
            for _ in range(rng.randint(1, 14)):
                next(copy.lines(), None)
            # A moment inside a step, not only right after something was said.
            try:
                copy.process.wait(timeout=rng.uniform(0, 0.01))
            except subprocess.TimeoutExpired:
                copy.send(signal.SIGKILL)
            copy.process.wait(timeout=60)
        assert check(site, after_recovery=False) == []
        assert set(partition_digests(site).items()) <= set(clean[2].items())
    with copying(site) as copy:
        assert copy.end() == 0
    assert check(site, after_recovery=True, clean=clean[2]) == []
    report = verify_folder(resolve(site.pas))
    assert report.ok, report


def test_term_drains(tmp_path: Path, lake: Path, clean: dict[int, dict[str, str]]) -> None:
    site = a_site(tmp_path, lake, 8, 2)
    with held(site) as copy:
        begun = copy.ranges("partition_started")
        copy.send(signal.SIGTERM)
        copy.read("state_changed", state="draining", by="SIGTERM")
        copy.open_gate()
        assert copy.end() == 143
    assert sorted(begun) == ["10-17", "2-9"]
    assert copy.ranges("partition_committed") == ["2-9", "10-17"]
    assert copy.records[-1]["outcome"] == "drained"
    assert site.ranges() == ["2-9", "10-17"]
    assert check(site, after_recovery=True) == []
    assert site.run().code == 0
    assert check(site, after_recovery=True, clean=clean[8]) == []


def test_two_interrupts_stop(tmp_path: Path, lake: Path, clean: dict[int, dict[str, str]]) -> None:
    site = a_site(tmp_path, lake, 8, 2)
    with held(site) as copy:
        copy.send(signal.SIGINT)
        copy.read("state_changed", state="draining", by="SIGINT")
        copy.send(signal.SIGINT)
        copy.read("state_changed", state="stopping", by="SIGINT")
        copy.open_gate()
        assert copy.end() == 130
    assert copy.records[-1]["outcome"] == "stopped"
    assert site.ranges() == []
    assert check(site, after_recovery=False) == []
    assert site.run().code == 0
    assert check(site, after_recovery=True, clean=clean[8]) == []


def test_a_third_interrupt_ends_at_once(
    tmp_path: Path, lake: Path, clean: dict[int, dict[str, str]]
) -> None:
    site = a_site(tmp_path, lake, 8, 2)
    with held(site) as copy:
        copy.send(signal.SIGINT)
        copy.read("state_changed", state="draining")
        copy.send(signal.SIGINT)
        copy.read("state_changed", state="stopping")
        copy.send(signal.SIGINT)
        assert copy.end() == 130
    assert check(site, after_recovery=False) == []
    assert site.run().code == 0
    assert check(site, after_recovery=True, clean=clean[8]) == []


def test_a_lost_terminal_is_survived(
    tmp_path: Path, lake: Path, clean: dict[int, dict[str, str]]
) -> None:
    site = a_site(tmp_path, lake, 8, 2)
    with held(site) as copy:
        copy.send(signal.SIGHUP)
        copy.open_gate()
        assert copy.end() == 0
    assert check(site, after_recovery=True, clean=clean[8]) == []


def test_a_lost_terminal_that_cannot_be_written_is_survived(
    tmp_path: Path, lake: Path, clean: dict[int, dict[str, str]]
) -> None:
    site = a_site(tmp_path, lake, 8, 2)
    with held(site) as copy:
        assert copy.process.stdout is not None
        assert copy.process.stderr is not None
        copy.process.stdout.close()
        copy.process.stderr.close()
        copy.send(signal.SIGHUP)
        copy.open_gate()
        assert copy.process.wait(timeout=60) in (0, 141)
    assert check(site, after_recovery=True, clean=clean[8]) == []
