"""``bronze rebuild``: every verdict on real ledgers, and what must not be taken for one."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from copying import Site, digests
from forging import (
    KEY,
    RAW,
    Rows,
    agree,
    announce,
    change_rows,
    change_xdr,
    copy_of,
    edit,
    events,
    folder,
    parquet,
    record,
    write_chain,
)

from bronze_tui.commands.rebuild import command
from bronze_tui.domain.errors import BronzeError, ConfigError, SourceDenied, StateError, UsageError
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.testing.tiny_lake import remove, replace_object, rewrite, write_tiny_lake

PARTITION = "6-9"
CUT = {"era.ledger_end": 17, "era.partition_size": 4}
ALL = ["2-5", "6-9", "10-13", "14-17"]
PASSPHRASE = PASSPHRASES["testnet"]


def make_site(root: Path, seed: int = 0, **changes: Any) -> Site:
    write_tiny_lake(root / "lake", count=16, network_passphrase=PASSPHRASE, seed=seed)
    site = Site(root, root / "lake", CUT)
    assert site.run(**changes).code == 0
    return site


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("made"))


@pytest.fixture
def site(made: Site, tmp_path: Path) -> Site:
    return copy_of(made, tmp_path)


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files of these tests are in a folder of their own."""
    place = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def call(*args: object) -> Result:
    result = CliRunner().invoke(command, list(map(str, args)))
    if result.exception is not None and not isinstance(result.exception, SystemExit | BronzeError):
        raise result.exception
    return result


def rebuild(site: Site, wanted: str = "all", *args: object) -> dict[str, Any]:
    """The report of a rebuild from the site's lake."""
    result = call(
        wanted, site.pas, "--data", site.data, "--from", site.lake, "--json", "--jobs", 2, *args
    )
    if isinstance(result.exception, BronzeError):
        raise result.exception
    return dict(json.loads(result.stdout))


def verdicts(doc: dict[str, Any]) -> dict[str, str]:
    return {part["ledgers"]: part["verdict"] for part in doc["partitions"]}


def one(doc: dict[str, Any], partition: str = PARTITION) -> dict[str, Any]:
    return dict(next(part for part in doc["partitions"] if part["ledgers"] == partition))


def same(rows: Rows) -> Rows:
    return rows


def rename_writer(data: bytes, name: bytes) -> bytes:
    """The file as another version of the library would have written it."""
    match = re.search(rb"(.)(parquet-cpp-arrow version [0-9.]+)", data[-4000:], re.DOTALL)
    assert match is not None
    assert match[1][0] == len(match[2]) < 128 > len(name)
    at = len(data) - min(4000, len(data)) + match.start()
    length = int.from_bytes(data[-8:-4], "little") + len(name) - len(match[2])
    changed = data[:at] + bytes([len(name)]) + name + data[at + 1 + len(match[2]) : -8]
    return changed + length.to_bytes(4, "little") + b"PAR1"


# Identical.


def test_all_is_identical_and_nothing_is_written(site: Site, temporary: Path) -> None:
    before = digests(site.root)
    doc = rebuild(site)
    assert verdicts(doc) == dict.fromkeys(ALL, "IDENTICAL")
    assert doc["verdict"] == "ok"
    assert {part["compared_with"] for part in doc["partitions"]} == {"file"}
    assert [part["rebuilt"] for part in doc["partitions"]] == [
        event.tables[0][1].checksum for event in events(site)
    ]
    assert digests(site.root) == before
    assert list(temporary.iterdir()) == []


def test_text_and_codes(site: Site) -> None:
    from bronze_tui.cli import main

    args = ["rebuild", "2-9", str(site.pas), "--data", str(site.data), "--from", str(site.lake)]
    assert main(args) == 0
    result = call(*args[1:])
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"IDENTICAL       {KEY} 2-5  sha256:")
    assert lines[-1] == f"OK  {site.pas} from {site.lake.as_uri()}: 2 IDENTICAL"
    quiet = call(*args[1:], "--quiet").stdout
    assert quiet.splitlines() == [lines[-1]]
    change_rows(site, PARTITION, lambda rows: [{**r, "fee_pool": 1} for r in rows])
    assert main(args) == 3


@pytest.mark.parametrize("compression", ["zstd:1", "snappy", "none"])
def test_the_manifest_tells_the_compression(tmp_path: Path, compression: str) -> None:
    site = make_site(tmp_path, bronze__compression=compression)
    assert verdicts(rebuild(site)) == dict.fromkeys(ALL, "IDENTICAL")
    parquet(site, PARTITION).unlink()
    part = one(rebuild(site))
    assert (part["verdict"], part["compared_with"]) == ("IDENTICAL", "manifest")


def test_the_manifest_tells_ingested_at(tmp_path: Path) -> None:
    site = make_site(tmp_path, bronze__ingested_at="now")
    doc = rebuild(site)
    assert verdicts(doc) == dict.fromkeys(ALL, "IDENTICAL")
    assert all(part["ingested_at"].startswith("20") for part in doc["partitions"])
    parquet(site, PARTITION).unlink()
    assert one(rebuild(site))["verdict"] == "IDENTICAL"
    # Another time than the file's: nobody can prove which, so it is told.
    edit(
        folder(site, "2-5") / "_manifest.json",
        lambda doc: doc.update(created_at="2020-01-01T00:00:00Z"),
    )
    part = one(rebuild(site), "2-5")
    assert part["verdict"] == "DIFFERENT"
    assert part["difference"]["column"] == "ingested_at"
    assert "another time than its manifest" in part["cause"]


def test_events_alone(site: Site) -> None:
    shutil.rmtree(site.data)
    result = call("all", site.pas, "--from", site.lake, "--json")
    doc = json.loads(result.stdout)
    assert verdicts(doc) == dict.fromkeys(ALL, "IDENTICAL")
    assert {part["compared_with"] for part in doc["partitions"]} == {"event"}
    assert "not here" in doc["partitions"][0]["notes"][0]
    said = call("all", site.pas, "--from", site.lake, "--quiet").stdout
    assert said.endswith(": 4 IDENTICAL, 4 of them by hashes alone\n")


def test_a_dataset_without_events(site: Site) -> None:
    shutil.rmtree(site.pas)
    result = call("all", site.dataset, "--from", site.lake, "--json")
    doc = json.loads(result.stdout)
    assert verdicts(doc) == dict.fromkeys(ALL, "IDENTICAL")
    assert {part["event_hash"] for part in doc["partitions"]} == {""}


def test_the_number_of_builders_does_not_matter(site: Site) -> None:
    docs = [rebuild(site, "all", "--jobs", jobs) for jobs in (1, 4)]
    rebuilt = [[(p["rebuilt"], p["content_root"]) for p in doc["partitions"]] for doc in docs]
    assert rebuilt[0] == rebuilt[1]


# Written otherwise.


@pytest.mark.parametrize(
    "name", [b"parquet-cpp-arrow version 99.0.0", b"x", b"another parquet writer, with a long name"]
)
def test_another_version_of_the_library(site: Site, name: bytes) -> None:
    path = parquet(site, PARTITION)
    rows = pq.read_table(path).to_pylist()
    path.chmod(0o644)
    path.write_bytes(rename_writer(path.read_bytes(), name))
    assert pq.read_table(path).to_pylist() == rows
    agree(site, PARTITION, rows)
    doc = rebuild(site)
    assert verdicts(doc) == {**dict.fromkeys(ALL, "IDENTICAL"), PARTITION: "IDENTICAL-BODY"}
    assert doc["verdict"] == "ok"
    assert name.decode() in one(doc)["notes"][0]


def test_another_version_of_the_library_by_the_event_alone(site: Site) -> None:
    """The one difference can be undone, so that even a hash alone is proof."""
    path = parquet(site, PARTITION)
    rows = pq.read_table(path).to_pylist()
    path.chmod(0o644)
    path.write_bytes(rename_writer(path.read_bytes(), b"parquet-cpp-arrow version 25.1.0"))
    agree(site, PARTITION, rows)
    shutil.rmtree(site.data)
    doc = json.loads(call("all", site.pas, "--from", site.lake, "--json").stdout)
    assert verdicts(doc) == {**dict.fromkeys(ALL, "IDENTICAL"), PARTITION: "IDENTICAL-BODY"}
    assert "version 25.1.0" in one(doc)["notes"][1]


def test_another_layout(site: Site) -> None:
    change_rows(site, PARTITION, same)
    path = parquet(site, "10-13")
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=1, compression="gzip", use_dictionary=True)
    agree(site, "10-13", table.to_pylist())
    doc = rebuild(site)
    found = verdicts(doc)
    assert (found[PARTITION], found["10-13"]) == ("SAME-CONTENT", "SAME-CONTENT")
    assert doc["verdict"] == "ok"


def test_the_same_content_by_the_manifest(site: Site) -> None:
    change_rows(site, PARTITION, same)
    parquet(site, PARTITION).unlink()
    part = one(rebuild(site))
    assert (part["verdict"], part["compared_with"]) == ("SAME-CONTENT", "manifest")
    assert any("content_hash" in note for note in part["notes"])


@pytest.mark.parametrize(
    ("run", "archive"),
    [
        ("run-pipeline", "archive-bare"),
        ("run-sequential", "archive-batch"),
        ("run-datastore-gcs", "archive-batch"),
        ("run-escaping", "archive-bare"),
    ],
)
def test_files_of_the_go_copier(shared: Path, run: str, archive: str) -> None:
    place = shared / "go-copier"
    result = call("all", place / run, "--from", place / archive, "--json")
    doc = json.loads(result.stdout)
    assert set(verdicts(doc).values()) == {"SAME-CONTENT"}, doc["partitions"][0]
    assert len(doc["partitions"]) == 6
    assert "parquet-go" in doc["partitions"][0]["notes"][0]
    assert doc["partitions"][0]["ingested_at"].startswith("2026-")


def test_a_hole_of_the_go_copier(shared: Path) -> None:
    """A partition that was published with three of its four ledgers."""
    place = shared / "go-copier"
    result = call("all", place / "bad-hole", "--from", place / "archive-bare", "--json")
    doc = json.loads(result.stdout)
    part = one(doc, "982188-982191")
    assert part["verdict"] == "DIFFERENT"
    assert part["difference"]["ledger"] == 982188
    assert part["difference"]["column"] == "ledger_sequence"
    assert doc["counts"]["SAME-CONTENT"] == 5
    assert doc["verdict"] == "broken"


def test_the_go_copiers_count_of_operations(site: Site) -> None:
    """It leaves out what is inside fee bumps; by its own events that is no difference."""

    def fewer(rows: Rows) -> Rows:
        return [{**row, "operation_count": max(0, row["operation_count"] - 1)} for row in rows]

    change_rows(site, PARTITION, fewer)
    assert one(rebuild(site))["verdict"] == "DIFFERENT"
    go = {"name": "bronze-copier", "version": "v0.1.0", "git_sha": "unknown"}
    edit(folder(site, PARTITION) / "_manifest.json", lambda doc: doc.update(producer=go))
    part = one(rebuild(site))
    assert part["verdict"] == "SAME-CONTENT"
    assert "fee bumps" in part["notes"][1]
    change_rows(site, PARTITION, lambda rows: [{**r, "operation_count": 99} for r in rows])
    edit(folder(site, PARTITION) / "_manifest.json", lambda doc: doc.update(producer=go))
    assert one(rebuild(site))["difference"]["column"] == "operation_count"


# Different.


def different(site: Site, partition: str = PARTITION) -> dict[str, Any]:
    doc = rebuild(site)
    expected = {**dict.fromkeys(ALL, "IDENTICAL"), partition: "DIFFERENT"}
    assert verdicts(doc) == expected
    assert doc["verdict"] == "broken"
    return one(doc, partition)


@pytest.mark.parametrize(
    ("column", "value", "cause"),
    [
        ("fee_pool", 1, "the row was altered"),
        ("total_coins", -5, "the row was altered"),
        ("xdr_sha256", "00" * 32, "contradicts itself"),
        ("era_id", "second", "labelled as another dataset's"),
        ("tx_set_hash", "ab" * 32, "the row was altered"),
    ],
)
def test_a_changed_column(site: Site, column: str, value: Any, cause: str) -> None:
    def act(rows: Rows) -> Rows:
        rows[2][column] = value
        return rows

    honest = pq.read_table(parquet(site, PARTITION)).to_pylist()[2][column]
    change_rows(site, PARTITION, act)
    part = different(site)
    assert part["difference"] == {
        "ledger": 8,
        "column": column,
        "expected": str(honest),
        "found": str(value),
        "also": [],
    }
    assert cause in part["cause"]


def meta(xdr: bytes) -> bytes:
    """Size of live state, which no header covers."""
    spoiled = bytearray(xdr)
    spoiled[-9] ^= 1
    return bytes(spoiled)


def test_changed_meta_in_the_file(site: Site) -> None:
    change_xdr(site, "14-17", 2, meta)
    part = different(site, "14-17")
    assert (part["difference"]["ledger"], part["difference"]["column"]) == (16, "xdr_bytes")
    assert part["difference"]["also"] == ["xdr_sha256"]
    assert "transaction meta" in part["cause"]
    assert re.search(r"[0-9,]+ bytes, at [0-9,]+: [0-9a-f]{16}", part["difference"]["found"])


def test_changed_meta_in_the_lake(site: Site) -> None:
    rewrite(site.lake, 16, meta)
    part = different(site, "14-17")
    assert (part["difference"]["ledger"], part["difference"]["column"]) == (16, "xdr_bytes")


def test_another_history(site: Site, tmp_path: Path) -> None:
    write_tiny_lake(tmp_path / "other", count=16, network_passphrase=PASSPHRASE, seed=1)
    site.lake = tmp_path / "other"
    doc = rebuild(site)
    assert verdicts(doc) == dict.fromkeys(ALL, "DIFFERENT")
    part = one(doc)
    assert (part["difference"]["ledger"], part["difference"]["column"]) == (6, "ledger_hash")
    assert "not closed by this network" in part["cause"]


@pytest.mark.parametrize(
    ("change", "ledger", "expected", "found"),
    [
        (lambda rows: rows[:-1], 9, "9", "no row"),
        (lambda rows: rows[:1] + rows[2:], 7, "7", "8"),
        (lambda rows: [*rows, rows[-1]], 9, "no row", "9"),
        (lambda rows: [rows[1], rows[0], *rows[2:]], 6, "6", "7"),
    ],
)
def test_dropped_doubled_and_moved_rows(
    site: Site, change: Callable[[Rows], Rows], ledger: int, expected: str, found: str
) -> None:
    change_rows(site, PARTITION, change)
    difference = different(site)["difference"]
    assert difference["column"] == "ledger_sequence"
    assert (difference["ledger"], difference["expected"], difference["found"]) == (
        ledger,
        expected,
        found,
    )


def test_dropped_rows_without_the_file(site: Site) -> None:
    change_rows(site, PARTITION, lambda rows: rows[:-1])
    parquet(site, PARTITION).unlink()
    part = different(site)
    assert part["difference"]["column"] == "row count"
    assert (part["difference"]["expected"], part["difference"]["found"]) == ("4", "3")


def test_changed_ledgers_without_the_file(site: Site) -> None:
    change_xdr(site, PARTITION, 1, meta)
    parquet(site, PARTITION).unlink()
    part = different(site)
    assert (part["difference"]["ledger"], part["difference"]["column"]) == (None, "content_hash")


def test_a_missing_and_a_foreign_column(site: Site) -> None:
    path = parquet(site, PARTITION)
    table = pq.read_table(path)
    rows = table.to_pylist()
    pq.write_table(table.drop_columns(["fee_pool"]), path)
    agree(site, PARTITION, rows)
    assert different(site)["difference"]["found"] == "no such column"
    for values in ([1] * len(rows), [0.5] * len(rows), [[1]] * len(rows)):
        pq.write_table(table.append_column("extra", pa.array(values)), path)
        agree(site, PARTITION, rows)
        assert different(site)["difference"]["column"] == "extra"


def test_writer_options_of_another_version_are_said(site: Site) -> None:
    change_rows(site, PARTITION, same)
    other = {"writer": f"sha256:{'7' * 64}"}
    edit(folder(site, PARTITION) / "_manifest.json", lambda doc: doc.update(other))
    part = one(rebuild(site))
    assert part["verdict"] == "SAME-CONTENT"
    assert "writer options that this version does not have" in part["notes"][-1]
    assert "writer options" not in str(one(rebuild(site), "2-5")["notes"])


def test_the_content_root_is_that_of_the_published_rows(site: Site) -> None:
    from bronze_tui.audit import tree

    columns = ["ledger_sequence", "ledger_hash", "xdr_sha256"]
    table = pq.read_table(parquet(site, PARTITION), columns=columns).to_pylist()
    leaves = [
        tree.leaf_hash(
            row["ledger_sequence"].to_bytes(4, "big")
            + bytes.fromhex(row["ledger_hash"])
            + bytes.fromhex(row["xdr_sha256"])
        )
        for row in table
    ]
    assert one(rebuild(site))["content_root"] == f"sha256:{tree.root(leaves).hex()}"


@pytest.mark.parametrize(("network", "ledger"), [("pubnet", 53312000), ("testnet", 982180)])
def test_real_ledgers(shared: Path, tmp_path: Path, network: str, ledger: int) -> None:
    site = Site(
        tmp_path,
        shared / "lake" / network,
        {
            "era.network": network,
            "era.ledger_start": ledger,
            "era.ledger_end": ledger,
            "era.partition_size": 1,
        },
    )
    assert site.run().code == 0
    doc = rebuild(site)
    assert verdicts(doc) == {f"{ledger}-{ledger}": "IDENTICAL"}
    site.lake = shared / "lake" / ("testnet" if network == "pubnet" else "pubnet")
    with pytest.raises(UsageError, match="the lake is of the network"):
        rebuild(site)


def test_a_table_of_a_plugin_is_said_not_to_be_judged(site: Site) -> None:
    chain = events(site)
    (_, table), *_ = chain[1].tables
    more = ("transactions", replace(table, storage_path=f"{KEY}/transactions/range=6-9"))
    chain[1] = replace(chain[1], tables=((RAW, table), more))
    write_chain(site, chain)
    part = one(rebuild(site))
    assert part["verdict"] == "IDENTICAL"
    assert part["notes"] == ["not built again, and not judged: transactions"]


def test_a_file_altered_after_it_was_announced(site: Site) -> None:
    path = parquet(site, PARTITION)
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[3]["fee_pool"] += 1
    path.unlink()
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    part = different(site)
    assert (part["difference"]["ledger"], part["difference"]["column"]) == (9, "fee_pool")
    assert "the lake gives the one announced" in part["cause"]


def test_a_damaged_dataset_is_mended_with_what_was_kept(site: Site, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    whole = parquet(site, PARTITION).read_bytes()
    lost = parquet(site, "10-13").read_bytes()
    parquet(site, "10-13").unlink()
    path = parquet(site, PARTITION)
    path.unlink()
    path.write_bytes(whole[:100] + b"x" + whole[101:])
    doc = rebuild(site, "all", "--keep", keep)
    assert verdicts(doc) == {**dict.fromkeys(ALL, "IDENTICAL"), PARTITION: "DIFFERENT"}
    assert "the lake gives the one announced" in one(doc)["cause"]
    files = {p.name: p for p in keep.rglob("*.parquet")}
    assert {name: p.read_bytes() for name, p in files.items()} == {
        f"part-{PARTITION}.parquet": whole,
        "part-10-13.parquet": lost,
    }
    assert one(doc)["kept"] == str(files[f"part-{PARTITION}.parquet"])
    assert one(doc, "2-5")["kept"] == ""
    path.write_bytes(files[f"part-{PARTITION}.parquet"].read_bytes())
    parquet(site, "10-13").write_bytes(files["part-10-13.parquet"].read_bytes())
    again = rebuild(site, "all", "--keep", tmp_path / "nothing")
    assert {part["compared_with"] for part in again["partitions"]} == {"file"}
    assert again["verdict"] == "ok"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("option", ["--keep", "--state"])
def test_nothing_is_put_into_the_dataset(site: Site, option: str) -> None:
    before = digests(site.root)
    with pytest.raises(UsageError, match="inside the dataset"):
        rebuild(site, "all", option, site.table / "mine")
    assert digests(site.root) == before


def test_the_same_rows_in_another_file_than_announced(site: Site) -> None:
    path = parquet(site, PARTITION)
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table, path)
    part = different(site)
    assert part["difference"]["column"] == "SHA-256 of the file"
    assert part["difference"]["expected"] == part["announced"][RAW]


def test_another_file_announced_than_stored(site: Site) -> None:
    table = {"checksum": f"sha256:{'0' * 64}", "row_count": 4, "byte_size": 1}
    announce(site, PARTITION, table)
    part = different(site)
    assert "the event or its record was altered" in part["cause"]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"nothing" * 100, b"PAR1" + bytes(40) + b"PAR1"])
def test_what_is_announced_is_no_parquet(site: Site, data: bytes) -> None:
    path = parquet(site, PARTITION)
    rows = pq.read_table(path).to_pylist()
    path.unlink()
    path.write_bytes(data)
    agree(site, PARTITION, rows)
    part = different(site)
    assert part["difference"] is None
    assert "no readable Parquet file" in part["cause"]


# What cannot be decided or read.


def test_a_hash_alone_that_is_another(tmp_path: Path) -> None:
    site = make_site(tmp_path, bronze__compression="zstd:1")
    shutil.rmtree(site.data)
    doc = json.loads(call("all", site.pas, "--from", site.lake, "--json").stdout)
    assert verdicts(doc) == dict.fromkeys(ALL, "UNDECIDED")
    assert doc["verdict"] == "unread"
    assert "compression" in doc["partitions"][0]["cause"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lake: remove(lake, 8), "no object for ledgers 8-8"),
        (lambda lake: replace_object(lake, 8, b"nothing"), "xdr"),
        (lambda lake: rewrite(lake, 8, lambda data: data[:-1]), "xdr"),
        (lambda lake: rewrite(lake, 8, lambda d: d.replace(d[150:151], b"\x99", 1)), "xdr"),
    ],
)
def test_the_lake_lacks_it_or_is_damaged(
    site: Site, damage: Callable[[Path], Path], said: str
) -> None:
    damage(site.lake)
    doc = rebuild(site)
    assert verdicts(doc) == {**dict.fromkeys(ALL, "IDENTICAL"), PARTITION: "UNREAD"}
    assert doc["verdict"] == "unread"
    assert said in one(doc)["cause"]
    from bronze_tui.cli import main

    args = ["rebuild", "all", str(site.pas), "--data", str(site.data), "--from", str(site.lake)]
    assert main(args) == 7
    change_rows(site, "2-5", lambda rows: rows[1:])
    assert main(args) == 3, "what is proven wrong goes before what could not be read"


def test_a_gap_of_the_lake_does_not_hide_an_altered_file(site: Site) -> None:
    path = parquet(site, PARTITION)
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data + b"x")
    remove(site.lake, 8)
    part = one(rebuild(site))
    assert part["verdict"] == "DIFFERENT"
    assert part["difference"]["expected"] == part["announced"][RAW]
    assert "no object for ledgers 8-8" in part["notes"][0]
    assert part["rebuilt"] == ""


def test_keys_of_the_lake_without_a_configuration(site: Site) -> None:
    """A lake without manifest on a web server needs its layout; here it must only be heeded."""
    assert rebuild(site, "2-5", "--set", "source.ledgers_per_file=1")["verdict"] == "ok"
    with pytest.raises(ConfigError, match="ledgers_per_file"):
        rebuild(site, "2-5", "--set", "source.ledgers_per_file=64")
    with pytest.raises(UsageError, match="no key of the lake"):
        rebuild(site, "2-5", "--set", "perf.workers=1")
    with pytest.raises(ConfigError):
        rebuild(site, "2-5", "--set", "source.nothing=1")


def test_a_configuration_is_the_target(site: Site) -> None:
    config = site.root / "config.json"
    doc: dict[str, dict[str, str]] = {}
    for text in site.sets():
        name, _, value = text.partition("=")
        section, _, key = name.partition(".")
        doc.setdefault(section, {})[key] = value
    config.write_text(json.dumps(doc))
    for args in (["all", config], ["all", "--config", config]):
        found = json.loads(call(*args, "--json").stdout)
        assert verdicts(found) == dict.fromkeys(ALL, "IDENTICAL")
    lake = site.lake.rename(site.root / "moved")
    moved = call("all", config, "--json", "--set", f"source.local_path={lake}")
    assert json.loads(moved.stdout)["verdict"] == "ok"
    assert json.loads(call("all", config, "--json", "--from", lake).stdout)["verdict"] == "ok"


def test_no_lake(site: Site) -> None:
    result = call("all", site.pas, "--from", site.root / "nowhere")
    assert isinstance(result.exception, SourceDenied)
    assert isinstance(call("all", site.pas).exception, UsageError)


def test_a_lake_of_another_network(site: Site, tmp_path: Path) -> None:
    write_tiny_lake(tmp_path / "demo", count=16)
    site.lake = tmp_path / "demo"
    with pytest.raises(UsageError, match="the lake is of the network"):
        rebuild(site)
    from bronze_tui.testing.tiny_lake import DEMO_PASSPHRASE

    doc = rebuild(site, "all", "--network-passphrase", DEMO_PASSPHRASE)
    assert set(verdicts(doc).values()) == {"DIFFERENT"}


def test_a_file_that_cannot_be_read(site: Site) -> None:
    path = parquet(site, PARTITION)
    path.unlink()
    path.mkdir()
    part = one(rebuild(site))
    assert part["verdict"] == "UNREAD"
    assert "published file" in part["cause"]


def test_an_event_that_points_elsewhere(site: Site) -> None:
    chain = events(site)
    (_, table), *_ = chain[1].tables
    outside = replace(table, storage_path="../../pas")
    chain[1] = replace(chain[1], tables=((RAW, outside),))
    write_chain(site, chain)
    part = one(rebuild(site))
    assert part["verdict"] == "DIFFERENT"
    assert "leaves the data folder" in part["cause"]


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"tables": {}}', "\xff"])
def test_records_that_are_none(site: Site, manifest: str) -> None:
    """They are not needed where the file and its event are."""
    path = folder(site, PARTITION) / "_manifest.json"
    path.unlink()
    path.write_text(manifest)
    record(site, PARTITION).unlink()
    doc = rebuild(site, PARTITION)
    assert one(doc)["verdict"] == "IDENTICAL"


def test_a_broken_chain_is_told(site: Site) -> None:
    chain = events(site)
    (site.pas / next(p.name for p in site.pas.glob("*_6-9.json"))).unlink()
    doc = rebuild(site, "2-5")
    assert verdicts(doc) == {"2-5": "IDENTICAL"}
    assert doc["verdict"] == "broken"
    assert {finding["kind"] for finding in doc["findings"]} >= {"missing_event"}
    write_chain(site, chain)
    assert rebuild(site, "2-5")["verdict"] == "ok"


# Ranges and choices.


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("", "no range"),
        ("x", "no range"),
        ("9-6", "no range"),
        ("6", "no range"),
        ("6-8", "cuts partition 6-9"),
        ("7-9", "cuts partition 6-9"),
        ("2-10", "give 10-13, or 2-13"),
        ("100-200", "the nearest is 14-17"),
    ],
)
def test_ranges_that_mean_nothing(site: Site, wanted: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        rebuild(site, wanted)
    assert said in str(caught.value)


def test_a_range_that_is_not_all_published(site: Site) -> None:
    doc = rebuild(site, "14-30")
    assert verdicts(doc) == {"14-17": "IDENTICAL"}
    assert doc["missing"] == ["18-30"]
    assert doc["verdict"] == "unread"


def test_several_partitions_and_choices(site: Site) -> None:
    assert list(verdicts(rebuild(site, "6-13"))) == ["6-9", "10-13"]
    assert list(verdicts(rebuild(site, "all", "--subset", "2/2"))) == ["6-9", "14-17"]
    drawn = [rebuild(site, "all", "--sample", "2", "--seed", "5") for _ in range(2)]
    assert verdicts(drawn[0]) == verdicts(drawn[1])
    assert len(drawn[0]["partitions"]) == 2
    assert "--seed 5" in drawn[0]["choice"]


def test_options_that_are_wrong(site: Site) -> None:
    for args in (
        ["--chain", "nowhere"],
        ["--subset", "3/2"],
        ["--sample", "none"],
        ["--key", site.root / "key"],
    ):
        with pytest.raises(UsageError):
            rebuild(site, "all", *args)
    assert isinstance(call("all", "--from", site.lake).exception, UsageError)


# Interrupted.


def test_what_was_sound_is_not_built_again(site: Site, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    hidden = (site.lake / "hidden").resolve()
    gone = remove_to(site.lake, 8, hidden)
    first = rebuild(site, "all", "--state", state)
    assert verdicts(first)[PARTITION] == "UNREAD"
    hidden.rename(gone)
    with state.open("ab") as file:
        file.write(b'{"cut')
    second = rebuild(site, "all", "--state", state)
    assert second["verdict"] == "ok"
    again = {part["ledgers"] for part in second["partitions"] if not part["recalled"]}
    assert again == {PARTITION}
    fresh = rebuild(site)["partitions"]
    for one_, other in zip(second["partitions"], fresh, strict=True):
        for name in ("verdict", "rebuilt", "content_root", "writer", "event_hash"):
            assert one_[name] == other[name]


def remove_to(lake: Path, sequence: int, place: Path) -> Path:
    from bronze_tui.testing.tiny_lake import find_object

    path = find_object(lake, sequence)
    path.rename(place)
    return path


def test_another_lake_is_built_from_again(site: Site, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    rebuild(site, "all", "--state", state)
    shutil.copytree(site.lake, tmp_path / "second")
    site.lake = tmp_path / "second"
    rewrite(site.lake, 16, meta)
    doc = rebuild(site, "all", "--state", state)
    assert not any(part["recalled"] for part in doc["partitions"])
    assert verdicts(doc)["14-17"] == "DIFFERENT"


@pytest.mark.parametrize("text", ["x\n", "{}\n", '{"format": "bronze-verified/1"}\n'])
def test_a_state_file_that_is_none(site: Site, tmp_path: Path, text: str) -> None:
    state = tmp_path / "state.jsonl"
    state.write_text(text)
    with pytest.raises(StateError):
        rebuild(site, "all", "--state", state)
    assert state.read_text() == text


def test_an_interruption_leaves_nothing_behind(
    site: Site, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bronze_tui.commands import rebuild as module

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_told", interrupted)
    before = digests(site.root)
    result = CliRunner().invoke(
        command, ["all", str(site.pas), "--data", str(site.data), "--from", str(site.lake)]
    )
    assert result.exit_code != 0
    assert list(temporary.iterdir()) == []
    assert digests(site.root) == before


def test_no_room_for_temporary_files(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bronze_tui.domain.errors import StoreError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StoreError):
        rebuild(site)
