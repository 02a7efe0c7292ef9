"""Datasets that the Go copier began: continued in its layout and its audit chain, never touched;
damaged ones are refused before a byte is written."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from copying import Run, Site, digests

from bronze_tui.audit.folder import resolve, verify_folder
from bronze_tui.config.load import load
from bronze_tui.engine.main import EngineProcess, PluginSwitches
from bronze_tui.engine.opening import RunFlags

FIRST, LAST, SIZE = 982180, 982203, 4
NAMES = [f"{start}-{start + SIZE - 1}" for start in range(FIRST, LAST, SIZE)]


class GoSite(Site):
    """A site whose era is the Go copier's."""

    @property
    def dataset(self) -> Path:
        return self.data / "bronze" / "testnet" / "p23_plus" / "v1"

    def everything(self) -> dict[str, str]:
        return digests(self.data) | digests(self.pas)


def go_site(root: Path, archive: Path) -> GoSite:
    settings = {
        "era.era_id": "p23_plus",
        "era.ledger_start": FIRST,
        "era.ledger_end": LAST,
        "era.partition_size": SIZE,
    }
    return GoSite(root, archive, settings)


def take_over(
    site: GoSite, run: Path, *, pas: str = "pas-backup", state: str = "state", partitions: int = 6
) -> None:
    """Lay out what a Go copier left after so many partitions."""
    table = "bronze/testnet/p23_plus/v1/ledgers_lcm_raw"
    for name in NAMES[:partitions]:
        shutil.copytree(run / "data" / table / f"range={name}", site.table / f"range={name}")
    for source, target in ((run / pas, site.pas), (run / state, site.state)):
        shutil.copytree(source, target)
    for path in (site.data, site.pas, site.state):
        for each in (path, *path.rglob("*")):
            each.chmod(0o755 if each.is_dir() else 0o644)


def half_done(root: Path, shared: Path, archive: str = "archive-bare") -> GoSite:
    site = go_site(root, shared / "go-copier" / archive)
    take_over(
        site,
        shared / "go-copier" / "run-restart",
        pas="pas-backup-after-first-half",
        state="state-after-first-half",
        partitions=3,
    )
    return site


def go_rule(path: Path) -> str:
    """The Go copier's hash of an event file: spaces outside strings dropped, its hash emptied."""
    doc = json.loads(path.read_bytes())
    doc["chain"]["event_hash"] = ""
    text = json.dumps(doc, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def assert_one_chain(site: GoSite, names: list[str]) -> None:
    """By our verifier and by the Go copier's rule."""
    report = verify_folder(resolve(site.pas))
    assert report.ok, report
    before = ""
    for name in names:
        path = site.pas / f"testnet_p23_plus_v1_{name}.json"
        chain = json.loads(path.read_bytes())["chain"]
        assert chain["prev_event_hash"] == before
        assert chain["event_hash"] == go_rule(path)
        before = chain["event_hash"]
    heads = json.loads((site.pas / "pas-chain-heads.json").read_bytes())
    assert heads == {"testnet/p23_plus/v1": before}


def assert_adopted(site: GoSite, names: list[str]) -> None:
    """Every partition has a commit record that is true, and one lineage row."""
    assert site.ranges() == names
    with sqlite3.connect(site.state / "catalog.sqlite") as catalog:
        rows = catalog.execute(
            "select ledger_start, ledger_end, checksum, prev_hash from _meta_lineage order by 1"
        ).fetchall()
    assert [f"{row[0]}-{row[1]}" for row in rows] == names
    assert [row[3] for row in rows] == [None, *[row[2] for row in rows[:-1]]]
    for name, row in zip(names, rows, strict=True):
        record = json.loads((site.dataset / "_commits" / f"{name}.json").read_bytes())
        facts = record["tables"]["ledgers_lcm_raw"]
        data = (site.table / f"range={name}" / facts["file"]).read_bytes()
        assert facts["checksum"] == row[2] == "sha256:" + hashlib.sha256(data).hexdigest()


def assert_untouched(before: dict[str, str], site: GoSite, *but: str) -> None:
    after = site.everything()
    changed = {name for name, sha in before.items() if after.get(name) != sha}
    assert changed <= set(but)


def refused(site: GoSite, run: Run, *words: str) -> None:
    assert run.code == 5, run.finished.message
    for word in words:
        assert word in run.finished.message, run.finished.message
    assert not list((site.dataset / "_commits").glob("*.json")) or site.ranges()


@pytest.mark.parametrize("archive", ["archive-bare", "archive-batch"])
def test_half_a_dataset_is_continued(tmp_path: Path, shared: Path, archive: str) -> None:
    site = half_done(tmp_path, shared, archive)
    before = site.everything()
    run = site.run()
    assert run.code == 0, run.finished.message
    assert run.finished.partitions_committed == 3
    assert run.finished.last_committed_ledger == LAST
    assert_adopted(site, NAMES)
    assert_one_chain(site, NAMES)
    assert_untouched(before, site, "pas-chain-heads.json")
    assert [row["ledger_sequence"] for row in site.rows()] == list(range(FIRST, LAST + 1))
    recovered = [r["partition"] for r in run.of("partition_committed") if r["recovered"]]
    assert recovered == NAMES[:3]
    checkpoint = json.loads((site.state / "checkpoint_testnet_p23_plus_v1.json").read_bytes())
    assert checkpoint["last_committed_ledger"] == LAST


def test_both_archives_give_the_same_bytes(tmp_path: Path, shared: Path) -> None:
    sites = [half_done(tmp_path / a, shared, a) for a in ("archive-bare", "archive-batch")]
    for site in sites:
        assert site.run().code == 0
    first, second = (digests(site.table, "**/*.parquet") for site in sites)
    assert first == second


def test_our_rows_are_the_go_copiers(tmp_path: Path, shared: Path) -> None:
    """All but the time of the copy, and the operations inside fee bumps that it leaves out."""
    site = half_done(tmp_path, shared)
    assert site.run().code == 0
    theirs = shared / "go-copier/run-restart/data/bronze/testnet/p23_plus/v1/ledgers_lcm_raw"
    for name in NAMES[3:]:
        file = f"range={name}/part-{name}.parquet"
        ours, go = pq.read_table(site.table / file), pq.read_table(theirs / file)
        assert ours.schema.names == go.schema.names
        assert [str(f.type) for f in ours.schema] == [str(f.type) for f in go.schema]
        for column in set(ours.schema.names) - {"ingested_at", "operation_count"}:
            assert ours[column].to_pylist() == go[column].to_pylist(), column


def test_a_whole_dataset_is_taken_over_and_nothing_is_copied(tmp_path: Path, shared: Path) -> None:
    site = go_site(tmp_path, shared / "go-copier/archive-bare")
    take_over(site, shared / "go-copier/run-restart")
    before = site.everything()
    run = site.run()
    assert run.code == 0, run.finished.message
    assert run.finished.source_bytes == 0
    assert run.finished.partitions_committed == 0
    assert_adopted(site, NAMES)
    assert_one_chain(site, NAMES)
    assert_untouched(before, site)
    after = site.everything()
    assert site.run().code == 0
    assert site.everything() == after


def test_a_crash_between_data_and_event_is_completed(tmp_path: Path, shared: Path) -> None:
    site = go_site(tmp_path, shared / "go-copier/archive-bare")
    run_restart = shared / "go-copier/run-restart"
    take_over(site, run_restart)
    last = f"testnet_p23_plus_v1_{NAMES[-1]}.json"
    (site.pas / last).unlink()
    event = json.loads((run_restart / "pas-backup" / last).read_bytes())
    heads = {"testnet/p23_plus/v1": event["chain"]["prev_event_hash"]}
    (site.pas / "pas-chain-heads.json").write_text(json.dumps(heads, indent=2))
    before = site.everything()
    run = site.run()
    assert run.code == 0, run.finished.message
    assert run.finished.source_bytes == 0
    assert_adopted(site, NAMES)
    assert_one_chain(site, NAMES)
    assert_untouched(before, site, "pas-chain-heads.json")


def test_a_crash_that_tore_the_event_is_completed(tmp_path: Path, shared: Path) -> None:
    """A killed Go copier leaves an event file without a byte."""
    site = go_site(tmp_path, shared / "go-copier/archive-bare")
    run_restart = shared / "go-copier/run-restart"
    take_over(site, run_restart)
    last = site.pas / f"testnet_p23_plus_v1_{NAMES[-1]}.json"
    event = json.loads(last.read_bytes())
    last.write_bytes(b"")
    heads = {"testnet/p23_plus/v1": event["chain"]["prev_event_hash"]}
    (site.pas / "pas-chain-heads.json").write_text(json.dumps(heads, indent=2))
    run = site.run()
    assert run.code == 0, run.finished.message
    assert_adopted(site, NAMES)
    assert json.loads(last.read_bytes())["chain"]["prev_event_hash"] == next(iter(heads.values()))
    assert list(site.pas.glob("*.damaged-*"))


def test_a_lost_manifest_is_built_again(tmp_path: Path, shared: Path) -> None:
    """Data without a manifest and without an event: not whole, so it is copied from the lake."""
    site = go_site(tmp_path, shared / "go-copier/archive-bare")
    take_over(
        site,
        shared / "go-copier/run-restart",
        pas="pas-backup-after-first-half",
        state="state-after-first-half",
        partitions=4,
    )
    (site.table / f"range={NAMES[3]}" / "_manifest.json").unlink()
    run = site.run()
    assert run.code == 0, run.finished.message
    assert run.finished.partitions_committed == 3
    assert_adopted(site, NAMES)
    assert_one_chain(site, NAMES)


def test_the_go_copiers_configuration_runs(tmp_path: Path, shared: Path) -> None:
    """Only paths changed, and the catalog left out."""
    doc: dict[str, Any] = json.loads((shared / "go-copier/run-pipeline/config.yaml").read_text())
    site = GoSite(tmp_path, shared / "go-copier/archive-bare")
    doc["source"]["local_path"] = str(site.lake)
    doc["storage"]["local_dir"] = str(site.data)
    doc["pas"]["backup_dir"] = str(site.pas)
    doc["checkpoint"]["dir"] = str(site.state)
    doc["catalog"]["postgres_dsn"] = ""
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(doc))
    loaded = load(path, [], {})
    finished = EngineProcess(loaded, RunFlags(), PluginSwitches(), lambda _: None).run()
    assert finished.exit_code == 0, finished.message
    assert finished.partitions_committed == len(NAMES)
    assert_adopted(site, NAMES)
    assert_one_chain(site, NAMES)


def test_a_forked_chain_is_refused(tmp_path: Path, shared: Path) -> None:
    site = go_site(tmp_path, shared / "go-copier/archive-bare")
    take_over(site, shared / "go-copier/bad-http-fork")
    before = site.everything()
    run = site.run()
    assert run.code == 5
    assert "fork" in run.finished.message
    assert f"bronze verify {site.pas}" in run.finished.message
    assert site.everything() == before


def test_a_published_hole_is_refused(tmp_path: Path, shared: Path) -> None:
    """The Go copier announced a partition of four ledgers whose file has three rows."""
    site = go_site(tmp_path, shared / "go-copier/archive-bare")
    take_over(site, shared / "go-copier/bad-hole")
    before = site.everything()
    run = site.run()
    assert run.code == 5
    message = run.finished.message
    assert "982188-982191" in message
    assert "3 rows" in message
    assert "part-982188-982191.parquet" in message
    assert "version_label" in message
    assert_untouched(before, site)
    assert len(site.events()) == len(NAMES)
    again = site.run()
    assert (again.code, again.finished.message) == (5, message)


def test_a_hole_that_was_not_announced_is_built_again(tmp_path: Path, shared: Path) -> None:
    """Three rows without an event bind nobody: the lake has the ledger now."""
    site = half_done(tmp_path, shared)
    bad = shared / "go-copier/bad-hole/data/bronze/testnet/p23_plus/v1/ledgers_lcm_raw"
    folder = site.table / f"range={NAMES[2]}"
    (site.pas / f"testnet_p23_plus_v1_{NAMES[2]}.json").unlink()
    last = json.loads((site.pas / f"testnet_p23_plus_v1_{NAMES[1]}.json").read_bytes())
    heads = {"testnet/p23_plus/v1": last["chain"]["event_hash"]}
    (site.pas / "pas-chain-heads.json").write_text(json.dumps(heads))
    shutil.rmtree(folder)
    shutil.rmtree(site.state)
    shutil.copytree(bad / f"range={NAMES[2]}", folder)
    run = site.run()
    assert run.code == 0, run.finished.message
    assert run.finished.partitions_committed == 4
    assert_adopted(site, NAMES)
    assert_one_chain(site, NAMES)
    assert [row["ledger_sequence"] for row in site.rows()] == list(range(FIRST, LAST + 1))
