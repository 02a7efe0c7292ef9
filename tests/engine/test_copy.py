"""The main job: what a copy contains, that it is reproducible, and that a rerun does nothing."""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from copying import Site, digests

from bronze_tui.audit.folder import resolve, verify_folder
from bronze_tui.tables.schema import COLUMNS
from bronze_tui.testing.tiny_lake import TinyLake, write_tiny_lake

RANGES = ["2-17", "18-33", "34-49", "50-65"]


def test_rows_are_the_lakes_ledgers(site: Site, lake: TinyLake) -> None:
    run = site.run()
    assert run.code == 0, run.finished.message
    rows = site.rows()
    assert [row["ledger_sequence"] for row in rows] == list(range(2, 66))
    for row, fact in zip(rows, lake.facts, strict=True):
        assert row["ledger_hash"] == fact.ledger_hash
        assert row["tx_count"] == fact.tx_count
        assert row["operation_count"] == fact.operation_count
        assert int(row["close_time"].timestamp()) == fact.close_time
        length, sha = fact.xdr
        assert row["xdr_byte_length"] == length == len(row["xdr_bytes"])
        assert row["xdr_sha256"] == sha == hashlib.sha256(row["xdr_bytes"]).hexdigest()
        assert row["ingested_at"] is None
        assert (row["bronze_version"], row["era_id"], row["network"]) == ("v1", "first", "testnet")
    for before, after in itertools.pairwise(rows):
        assert after["previous_ledger_hash"] == before["ledger_hash"]


def test_columns_order_and_types(site: Site) -> None:
    site.run()
    schema = pq.read_schema(site.parquet()[0])
    assert [(f.name, f.type, f.nullable) for f in schema] == list(COLUMNS)
    metadata = pq.read_metadata(site.parquet()[0])
    assert metadata.metadata[b"bronze.schema_version"] == b"1.0.0"
    xdr = metadata.row_group(0).column(10)
    assert xdr.path_in_schema == "xdr_bytes"
    assert not xdr.is_stats_set
    assert not xdr.has_dictionary_page


def test_manifest_commit_record_event_checkpoint_and_catalog_agree(site: Site) -> None:
    site.run()
    assert site.ranges() == RANGES
    events = site.events()
    for name, event in zip(RANGES, events, strict=True):
        file = site.table / f"range={name}" / f"part-{name}.parquet"
        checksum = "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
        manifest_bytes = (file.parent / "_manifest.json").read_bytes()
        manifest = json.loads(manifest_bytes)
        commit = json.loads((site.dataset / "_commits" / f"{name}.json").read_bytes())
        table = manifest["tables"]["ledgers_lcm_raw"]
        assert table["checksum"] == checksum
        assert table["byte_size"] == file.stat().st_size
        assert commit["tables"]["ledgers_lcm_raw"] == table
        manifest_sha = "sha256:" + hashlib.sha256(manifest_bytes).hexdigest()
        assert commit["manifests"]["ledgers_lcm_raw"] == manifest_sha
        announced = event["tables"]["ledgers_lcm_raw"]
        assert announced["checksum"] == checksum
        assert announced["storage_path"] == f"testnet/first/v1/ledgers_lcm_raw/range={name}"
    checkpoint = json.loads((site.state / "checkpoint_testnet_first_v1.json").read_bytes())
    assert checkpoint["last_committed_ledger"] == 65
    with sqlite3.connect(site.state / "catalog.sqlite") as catalog:
        lineage = catalog.execute(
            "select ledger_start, ledger_end, checksum, prev_hash from _meta_lineage order by 1"
        ).fetchall()
        coverage = catalog.execute("select min_ledger, max_ledger from _meta_coverage").fetchall()
    assert [f"{a}-{b}" for a, b, _, _ in lineage] == RANGES
    assert [row[3] for row in lineage] == [None, *[row[2] for row in lineage[:-1]]]
    assert coverage == [(2, 65)]


def test_content_hash_is_free_of_parquet(site: Site) -> None:
    site.run()
    digest = hashlib.sha256()
    for row in pq.read_table(site.parquet()[0]).to_pylist():
        digest.update(row["ledger_sequence"].to_bytes(4, "big"))
        digest.update(bytes.fromhex(row["ledger_hash"]) + bytes.fromhex(row["xdr_sha256"]))
    manifest = json.loads((site.parquet()[0].parent / "_manifest.json").read_bytes())
    content_hash = manifest["tables"]["ledgers_lcm_raw"]["content_hash"]
    assert content_hash == f"sha256:{digest.hexdigest()}"


def test_the_chain_verifies(site: Site) -> None:
    site.run()
    report = verify_folder(resolve(site.pas))
    assert report.ok, report


@pytest.mark.parametrize("workers", [1, 3])
def test_bytes_do_not_depend_on_run_or_workers(site: Site, lake: TinyLake, workers: int) -> None:
    site.run()
    other = Site(site.root / "other", lake.root)
    other.run(perf__workers=workers)
    assert digests(site.table, "**/*.parquet") == digests(other.table, "**/*.parquet")


def test_bytes_do_not_depend_on_batching(tmp_path: Path) -> None:
    # Whole files of 8 ledgers end at 71, and what a demo ledger holds depends on the lake's range.
    plain = write_tiny_lake(tmp_path / "plain", first=2, count=70)
    batched = write_tiny_lake(tmp_path / "batched", first=2, count=70, ledgers_per_file=8)
    sites = [Site(tmp_path / str(i), lake.root) for i, lake in enumerate((plain, batched))]
    for site in sites:
        run = site.run()
        assert run.code == 0, run.finished.message
    assert digests(sites[0].table, "**/*.parquet") == digests(sites[1].table, "**/*.parquet")


def test_bare_archives_give_the_same_bytes(site: Site) -> None:
    site.run()
    bare = write_tiny_lake(site.root / "bare", first=2, count=64, bare=True)
    other = Site(site.root / "other", bare.root)
    run = other.run()
    assert run.code == 0, run.finished.message
    assert digests(site.table, "**/*.parquet") == digests(other.table, "**/*.parquet")


def test_a_rerun_changes_no_byte_and_reads_nothing(site: Site) -> None:
    site.run()
    before = digests(site.data) | digests(site.pas)
    again = site.run()
    assert again.code == 0
    assert again.finished.partitions_committed == 0
    assert again.finished.source_bytes == 0
    assert digests(site.data) | digests(site.pas) == before


def test_ingested_at_now_is_one_time_per_partition(site: Site) -> None:
    run = site.run(bronze__ingested_at="now")
    assert run.code == 0, run.finished.message
    for path in site.parquet():
        times = set(pq.read_table(path).column("ingested_at").to_pylist())
        assert len(times) == 1
        assert None not in times


@pytest.mark.parametrize("codec", ["zstd:1", "snappy", "none"])
def test_codecs(site: Site, codec: str) -> None:
    assert site.run(bronze__compression=codec).code == 0
    found = pq.read_metadata(site.parquet()[0]).row_group(0).column(10).compression
    assert found == {"zstd:1": "ZSTD", "snappy": "SNAPPY", "none": "UNCOMPRESSED"}[codec]


def test_an_era_from_ledger_1_begins_at_2_and_stays_aligned(site: Site) -> None:
    run = site.run(era__ledger_start=1, era__ledger_end=64)
    assert run.code == 0, run.finished.message
    assert site.ranges() == ["2-16", "17-32", "33-48", "49-64"]


def test_partitions_are_aligned_to_the_era_not_to_the_run(site: Site) -> None:
    site.run(era__ledger_end=40)
    assert site.ranges() == ["2-17", "18-33", "34-40"]


def test_eras_link_across_their_border(site: Site) -> None:
    eras = [
        {"era_id": "old", "ledger_start": 2, "ledger_end": 33},
        {"era_id": "new", "ledger_start": 34, "ledger_end": 65},
    ]
    path = site.root / "config.yaml"
    common = {"network": "testnet", "version_label": "v1", "partition_size": 16}
    path.write_text(json.dumps({"eras": [common | era for era in eras]}))
    from bronze_tui.config.load import load
    from bronze_tui.engine.main import EngineProcess, PluginSwitches
    from bronze_tui.engine.opening import RunFlags

    sets = [s for s in site.sets() if not s.startswith("era.")]
    finished = EngineProcess(
        load(path, sets, {}), RunFlags(), PluginSwitches(), lambda _: None
    ).run()
    assert finished.exit_code == 0, finished.message
    for era, names in (("old", ["2-17", "18-33"]), ("new", ["34-49", "50-65"])):
        commits = site.data / "bronze" / "testnet" / era / "v1" / "_commits"
        found = sorted((p.stem for p in commits.iterdir()), key=lambda n: int(n.split("-")[0]))
        assert found == names
