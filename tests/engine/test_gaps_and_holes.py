"""What is not there: gaps, the source's tip, holes declared and mended."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from typing import Any

import pytest
from copying import Site, digests
from damage import RANGES, check_committed, check_whole, mend, reforge, strays

from bronze_tui.audit.folder import declared_holes, resolve, verify_folder
from bronze_tui.domain.errors import SourceUnavailable
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.opening import RunFlags
from bronze_tui.lake.source import LakeSource
from bronze_tui.testing.tiny_lake import TinyLake, find_object, remove, replace_object, rewrite

HOLE = "6-9"
OTHERS = ["2-5", "10-13", "14-17"]


def cut(site: Site, first: int) -> None:
    """The lake ends before ``first``."""
    for sequence in range(first, 18):
        remove(site.lake, sequence)


def test_the_tip_of_a_bounded_era_is_exit_1(
    small: Site, small_lake: TinyLake, clean: dict[str, str]
) -> None:
    cut(small, 12)
    run = small.run()
    assert (run.code, run.finished.outcome) == (1, "at_tip")
    assert "ends at ledger 11" in run.finished.message
    assert "the era ends at 17" in run.finished.message
    assert run.of("partition_failed") == []
    check_committed(small, clean, RANGES[:2])
    mend(small, small_lake.root)
    check_whole(small, clean)


def test_the_tip_of_an_endless_era_is_exit_0(small: Site, clean: dict[str, str]) -> None:
    cut(small, 12)
    run = small.run(RunFlags(follow=False), era__ledger_end=0)
    assert (run.code, run.finished.outcome) == (0, "at_tip")
    assert "ends at ledger 11" in run.finished.message
    check_committed(small, clean, RANGES[:2])


@pytest.mark.parametrize(("wish", "outcome"), [("stop", "stopped"), ("drain", "drained")])
def test_a_run_that_waits_for_its_source_ends_as_asked(
    small: Site, monkeypatch: pytest.MonkeyPatch, wish: str, outcome: str
) -> None:
    real = LakeSource.tip
    away = threading.Event()

    def tip(self: LakeSource) -> int | None:
        if away.is_set():
            raise SourceUnavailable("no answer")
        return real(self)

    def listen(record: dict[str, Any]) -> None:
        if record.get("state") == "at_tip":
            away.set()
        if "tried again shortly" in record.get("todo", ""):
            getattr(process.control, wish)("test")

    monkeypatch.setattr(LakeSource, "tip", tip)
    changes = {"era__ledger_end": 0, "perf__retry_attempts": 2, "perf__retry_backoff_ms": 60_000}
    process, _ = small.engine(None, listen, **changes)
    begin = time.monotonic()
    finished = process.run()
    assert (finished.outcome, finished.exit_code) == (outcome, 0)
    assert time.monotonic() - begin < 50


def test_a_missing_ledger_is_a_gap_as_soon_as_a_newer_one_stands(
    small: Site, clean: dict[str, str]
) -> None:
    cut(small, 13)
    remove(small.lake, 11)
    assert small.run().finished.outcome == "at_tip"
    shutil.copy(find_object(small.lake, 12), small.lake / "FFFFFFFF--0-63999/FFFFFFF2--13.xdr.zst")
    run = small.run()
    [failed] = run.of("partition_failed")
    assert (run.code, failed["partition"], failed["error_type"]) == (5, "10-13", "GapError")
    assert "FFFFFFF4--11.xdr.zst" in failed["error"]
    check_committed(small, clean, RANGES[:2])


def test_an_empty_lake_is_a_tip_without_a_ledger(small: Site) -> None:
    cut(small, 2)
    run = small.run()
    assert (run.code, run.finished.outcome) == (1, "at_tip")
    assert "is empty" in run.finished.message


@pytest.mark.parametrize("end", [17, 0], ids=["bounded", "endless"])
def test_a_following_run_takes_ledgers_that_appear(
    small: Site, small_lake: TinyLake, clean: dict[str, str], end: int
) -> None:
    cut(small, 12)

    def listen(record: dict[str, Any]) -> None:
        if record["kind"] == "state_changed" and record["state"] == "at_tip":
            shutil.copytree(small_lake.root, small.lake, dirs_exist_ok=True)
        if record["kind"] == "partition_committed" and record["last_ledger"] == 17:
            process.control.drain("test")

    process, records = small.engine(
        RunFlags(follow=True), listen, era__ledger_end=end, source__poll_interval="0.1"
    )
    finished = process.run()
    assert finished.exit_code == 0, finished.message
    assert any(r["kind"] == "state_changed" and r["state"] == "at_tip" for r in records)
    check_committed(small, clean, RANGES)
    check_whole(small, clean)


def test_a_bad_ledger_may_be_skipped_and_repaired(
    small: Site, small_lake: TinyLake, clean: dict[str, str]
) -> None:
    replace_object(small.lake, 7, b"junk")
    run = small.run(perf__on_failure="skip")
    assert (run.code, run.finished.outcome) == (1, "failed")
    assert HOLE in run.finished.message
    [failed] = run.of("partition_failed")
    assert (failed["partition"], failed["halts"]) == (HOLE, False)
    [quarantined] = run.of("partition_quarantined")
    assert "FFFFFFF8--7.xdr.zst" in quarantined["reason"]
    check_hole(small, clean)
    check_rerun_leaves_the_hole(small)
    check_repair(small, small_lake, clean)


def test_a_repair_that_does_not_carry_what_follows_is_refused(
    small: Site, small_lake: TinyLake, clean: dict[str, str]
) -> None:
    """Ledger 9 is sound and follows 8, but is not the parent of the committed ledger 10."""
    replace_object(small.lake, 7, b"junk")
    assert small.run(perf__on_failure="skip").code == 1
    mend(small, small_lake.root)
    rewrite(small.lake, 9, reforge)
    run = small.run(RunFlags(repair=True))
    assert run.code == 5, run.finished.message
    [failed] = run.of("partition_failed")
    assert (failed["partition"], failed["error_type"]) == (HOLE, "LinkError")
    assert "committed ledger 10" in failed["error"]
    check_committed(small, clean, OTHERS)
    mend(small, small_lake.root)
    assert small.run(RunFlags(repair=True)).code == 0
    check_committed(small, clean, RANGES)


def check_hole(site: Site, clean: dict[str, str]) -> None:
    """The hole is declared where it must be, and nowhere else."""
    check_committed(site, clean, OTHERS)
    record = json.loads((site.dataset / "_holes" / f"{HOLE}.json").read_bytes())
    assert record["partition"] == {"start": 6, "end": 9}
    assert "FFFFFFF8--7.xdr.zst" in record["reason"]
    assert quality(site)[HOLE] == (0, record["reason"])
    assert all(quality(site)[name] == (1, None) for name in OTHERS)
    holes = declared_holes(site.dataset / "_holes")
    assert holes == {"testnet/first/v1": [LedgerRange(6, 9)]}
    assert errors(site, {}) == ["gap"]
    assert errors(site, holes) == ["declared_gap"]


def errors(site: Site, holes: dict[str, list[LedgerRange]]) -> list[str]:
    """What a verification finds wrong."""
    report = verify_folder(resolve(site.pas), holes=holes)
    return [finding.kind for chain in report.chains for finding in chain.errors]


def check_rerun_leaves_the_hole(site: Site) -> None:
    before = digests(site.data) | digests(site.pas)
    again = site.run(perf__on_failure="skip")
    assert (again.code, again.finished.outcome) == (1, "done")
    assert f"declared holes ({HOLE})" in again.finished.message
    assert again.of("partition_started") == []
    assert [r["holes"] for r in again.of("coverage")] == [[HOLE]]
    assert digests(site.data) | digests(site.pas) == before


def check_repair(site: Site, lake: TinyLake, clean: dict[str, str]) -> None:
    unmended = site.run(RunFlags(repair=True))
    assert unmended.code == 5, unmended.finished.message
    assert "FFFFFFF8--7.xdr.zst" in unmended.finished.message
    check_hole(site, clean)
    mend(site, lake.root)
    repaired = site.run(RunFlags(repair=True))
    assert repaired.code == 0, repaired.finished.message
    assert [r["partition"] for r in repaired.of("partition_committed")] == [HOLE]
    check_committed(site, clean, RANGES)
    assert quality(site)[HOLE] == (1, None)
    report = verify_folder(resolve(site.pas), holes=declared_holes(site.dataset / "_holes"))
    assert report.ok, report
    [chain] = report.chains
    assert {f.severity for f in chain.findings} == {"note"}
    again = site.run()
    assert (again.code, again.of("partition_started")) == (0, [])
    assert again.finished.last_committed_ledger == 17
    checkpoint = json.loads((site.state / "checkpoint_testnet_first_v1.json").read_bytes())
    assert checkpoint["last_committed_ledger"] == 17
    assert strays(site) == []


def quality(site: Site) -> dict[str, tuple[int, str | None]]:
    """Verdict and reason by partition."""
    query = "select ledger_start, ledger_end, passed, error_message from _meta_quality"
    with sqlite3.connect(site.state / "catalog.sqlite") as catalog:
        return {f"{a}-{b}": (ok, why) for a, b, ok, why in catalog.execute(query)}


def test_a_hole_survives_a_lost_catalog(
    small: Site, small_lake: TinyLake, clean: dict[str, str]
) -> None:
    replace_object(small.lake, 7, b"junk")
    small.run(perf__on_failure="skip")
    events = digests(small.pas)
    (small.state / "catalog.sqlite").unlink()
    again = small.run()
    assert again.code == 1, again.finished.message
    check_hole(small, clean)
    assert digests(small.pas) == events
    mend(small, small_lake.root)
    assert small.run(RunFlags(repair=True)).code == 0
    check_committed(small, clean, RANGES)


def test_a_repaired_hole_survives_a_lost_catalog(
    small: Site, small_lake: TinyLake, clean: dict[str, str]
) -> None:
    """The chain's order is then 2-5, 10-13, 6-9, 14-17."""
    cut(small, 14)
    replace_object(small.lake, 7, b"junk")
    small.run(perf__on_failure="skip")
    mend(small, small_lake.root)
    assert small.run(RunFlags(repair=True)).code == 0
    assert small.run().code == 0
    events = digests(small.pas)
    (small.state / "catalog.sqlite").unlink()
    again = small.run()
    assert again.code == 0, again.finished.message
    check_committed(small, clean, RANGES)
    assert digests(small.pas) == events


def test_bad_stores_and_states_are_never_skipped(small: Site, clean: dict[str, str]) -> None:
    small.run()
    file = small.parquet()[1]
    file.chmod(0o644)
    file.write_bytes(b"PAR1")
    run = small.run(perf__on_failure="skip")
    assert run.code == 5, run.finished.message
    assert not (small.dataset / "_holes").exists()
