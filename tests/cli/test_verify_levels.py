"""Every tampering passes the levels above and is caught, by its name, at the level that sees it."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from copying import Site
from forging import (
    KEY,
    RAW,
    change_rows,
    change_xdr,
    copy_of,
    edit,
    events,
    folder,
    parquet,
    record,
    seal,
    write_chain,
)
from stellar_sdk import Keypair

from bronze_tui.commands.verify import LEVELS, command
from bronze_tui.domain.errors import BronzeError, StateError, UsageError
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.testing.tiny_lake import write_tiny_lake
from bronze_tui.xdr.proof import _FIRST, _PAIR, ProofReader

PARTITION = "6-9"
CUT = {"era.ledger_end": 17, "era.partition_size": 4}
PASSPHRASE = PASSPHRASES["testnet"]


def make_site(root: Path, seed: int = 0) -> Site:
    write_tiny_lake(root / "lake", count=16, network_passphrase=PASSPHRASE, seed=seed)
    site = Site(root, root / "lake", CUT)
    assert site.run().code == 0
    return site


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Another history of the same ledgers."""
    return make_site(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture
def site(made: Site, tmp_path: Path) -> Site:
    return copy_of(made, tmp_path)


def run(site: Site, level: str, *args: object) -> Result:
    texts = [str(site.pas), "--data", str(site.data), "--level", level, *map(str, args)]
    return CliRunner().invoke(command, texts)


def report(result: Result) -> dict[str, Any]:
    if isinstance(result.exception, BronzeError):
        raise result.exception
    return dict(json.loads(result.output))


def kinds(site: Site, level: str, *args: object) -> set[str]:
    doc = report(run(site, level, "--json", *args))
    found = [f for chain in doc["chains"] for f in chain["findings"]] + doc["findings"]
    found += doc.get("depth", {}).get("findings", [])
    return {f["kind"] for f in found if f["severity"] == "error"}


def caught(site: Site, level: str, kind: str, *args: object) -> dict[str, Any]:
    """The finding, after the level before has seen nothing."""
    before = LEVELS[LEVELS.index(level) - 1]
    assert kinds(site, before, *args) == set()
    result = run(site, level, "--json", *args)
    assert result.exit_code == 3
    found = [f for f in report(result)["depth"]["findings"] if f["kind"] == kind]
    assert found, report(result)["depth"]["findings"]
    return dict(found[0])


@pytest.mark.parametrize("level", [*LEVELS[:-1], "0", "1", "2", "3", "4"])
def test_a_sound_copy_is_sound_at_every_level(site: Site, level: str) -> None:
    result = run(site, level)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"OK  {site.pas}: 1 chain, 4 events")


# Level manifest.


def manifest(site: Site) -> Path:
    return folder(site, PARTITION) / "_manifest.json"


def test_a_manifest_is_gone(site: Site) -> None:
    manifest(site).unlink()
    found = caught(site, "manifest", "manifest_missing")
    assert (found["event"], found["ledgers"]) == (2, PARTITION)
    assert found["file"] == f"{KEY}/{RAW}/range={PARTITION}/_manifest.json"


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1, "a": 2}', "{" * 5000, "\xff"])
def test_a_manifest_is_no_manifest(site: Site, text: str) -> None:
    manifest(site).write_bytes(text.encode("latin-1"))
    found = caught(site, "manifest", "manifest_malformed")
    assert (found["event"], found["ledgers"]) == (2, PARTITION)
    assert found["file"].endswith(f"range={PARTITION}/_manifest.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tables", RAW, "checksum"), "sha256:" + "0" * 64),
        (("tables", RAW, "row_count"), 3),
        (("tables", RAW, "byte_size"), 1),
        (("partition", "end"), 10),
        (("partition", "network"), "pubnet"),
    ],
)
def test_a_manifest_says_something_else(site: Site, path: tuple[str, ...], value: object) -> None:
    def change(doc: dict[str, Any]) -> None:
        for step in path[:-1]:
            doc = doc[step]
        doc[path[-1]] = value

    edit(manifest(site), change)
    seal(site, PARTITION)
    assert caught(site, "manifest", "manifest_mismatch")["found"] == str(value)


def test_a_commit_record_is_gone_or_differs(site: Site) -> None:
    edit(record(site, PARTITION), lambda doc: doc["tables"][RAW].update(row_count=7))
    assert caught(site, "manifest", "record_mismatch")["found"] == "7"
    record(site, PARTITION).unlink()
    caught(site, "manifest", "record_missing")


def test_a_manifest_that_was_made_anew_is_not_the_committed_one(site: Site) -> None:
    edit(manifest(site), lambda doc: doc.update(created_at="2020-01-01T00:00:00Z"))
    assert "SHA-256" in caught(site, "manifest", "record_mismatch")["message"]


def test_a_cut_tail_shows_in_the_dataset(site: Site) -> None:
    whole = events(site)
    write_chain(site, whole[:2])
    found = caught(site, "manifest", "unannounced")
    assert found["ledgers"] == "10-13"
    write_chain(site, whole[:3])
    assert kinds(site, "manifest") == set(), "one behind the head is a copier at work"
    assert "warning unannounced" in run(site, "manifest").output


def test_a_path_that_leaves_the_data_folder(site: Site) -> None:
    from dataclasses import replace

    chain = events(site)
    (name, table), *_ = chain[1].tables
    chain[1] = replace(chain[1], tables=((name, replace(table, storage_path="../../etc")),))
    write_chain(site, chain)
    assert "manifest_malformed" in kinds(site, "manifest")
    assert "file_mismatch" in kinds(site, "file")


def write_config(site: Site) -> Path:
    settings: dict[str, Any] = {}
    for pair in site.sets():
        key, _, value = pair.partition("=")
        section, _, name = key.partition(".")
        settings.setdefault(section, {})[name] = value
    path = site.root / "config.yaml"
    path.write_text(json.dumps(settings))
    return path


def test_the_configuration_names_everything_and_its_catalog_is_compared(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    config = str(write_config(site))
    for level in LEVELS:
        result = CliRunner().invoke(command, [config, "--level", level])
        assert result.exit_code == 0, result.output
    with sqlite3.connect(site.state / "catalog.sqlite") as catalog:
        names = [row[0] for row in catalog.execute("select name from sqlite_master")]
        table = next(n for n in names if "chain" in n and not n.startswith("sqlite"))
        catalog.execute("pragma writable_schema=on")
        for trigger in [n for n in names if "trigger" in n]:
            catalog.execute(f"drop trigger if exists {trigger}")
        catalog.execute(f"delete from {table} where ledger_start = 6")
    result = CliRunner().invoke(command, [config, "--level", "manifest", "--json"])
    found = report(result)["depth"]["findings"]
    assert [f["kind"] for f in found] == ["catalog_mismatch"]
    assert found[0]["ledgers"] == PARTITION


@pytest.mark.parametrize(
    "text",
    ['{"tables": []}', '{"tables": {"ledgers_lcm_raw": 3}}', '{"partition": 5, "links": 1}', "{}"],
)
def test_a_manifest_of_other_shapes(site: Site, text: str) -> None:
    manifest(site).write_text(text)
    seal(site, PARTITION)
    assert "manifest_mismatch" in kinds(site, "row")
    record(site, PARTITION).write_text(text)
    assert "record_mismatch" in kinds(site, "row")


# Level file.


def test_a_file_is_altered_cut_or_gone(site: Site) -> None:
    path = parquet(site, PARTITION)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    found = caught(site, "file", "file_mismatch")
    assert found["event"] == 2
    assert found["expected"] == events(site)[1].tables[0][1].checksum
    assert found["found"].startswith("sha256:")
    path.write_bytes(whole[:-1])
    assert f"has {len(whole) - 1:,} bytes" in caught(site, "file", "file_mismatch")["message"]
    path.unlink()
    caught(site, "file", "file_missing")


def test_what_cannot_be_read_is_another_code(site: Site) -> None:
    parquet(site, PARTITION).unlink()
    os.mkfifo(parquet(site, PARTITION))
    result = run(site, "file", "--json")
    assert (result.exit_code, report(result)["verdict"]) == (7, "unread")
    manifest(site).unlink()
    assert run(site, "file").exit_code == 3, "something is proven wrong besides"


# Level row.


def column(name: str, value: object, place: int = 1) -> Callable[[Site], None]:
    def act(site: Site) -> None:
        def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            rows[place][name] = value
            return rows

        change_rows(site, PARTITION, change)

    return act


def flipped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    xdr = bytearray(rows[1]["xdr_bytes"])
    xdr[-1] ^= 1
    rows[1]["xdr_bytes"] = bytes(xdr)
    return rows


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (lambda s: change_rows(s, PARTITION, flipped), "row_xdr"),
        (lambda s: change_xdr(s, PARTITION, 1, lambda xdr: xdr[:-4]), "row_xdr"),
        (lambda s: change_xdr(s, PARTITION, 1, lambda xdr: xdr + bytes(4)), "row_xdr"),
        (lambda s: change_rows(s, PARTITION, lambda rows: rows[:1] + rows[2:]), "row_missing"),
        (lambda s: change_rows(s, PARTITION, lambda rows: rows[:-1]), "row_missing"),
        (
            lambda s: change_rows(s, PARTITION, lambda r: [r[0], r[2], r[1], r[3]]),
            "row_out_of_order",
        ),
        (lambda s: change_rows(s, PARTITION, lambda rows: [*rows, rows[0]]), "row_out_of_order"),
        (column("fee_pool", 1), "row_column"),
        (column("tx_count", 99), "row_column"),
        (column("operation_count", 99), "row_column"),
        (column("tx_set_hash", "0" * 64), "row_column"),
        (column("xdr_byte_length", 5), "row_column"),
        (column("network", "pubnet"), "row_column"),
        (column("protocol_version", 3), "row_column"),
        (column("ledger_hash", "0" * 64), "row_column"),
        (column("previous_ledger_hash", "0" * 64), "ledger_link"),
    ],
)
def test_rows_that_do_not_follow_from_their_xdr(
    site: Site, act: Callable[[Site], None], kind: str
) -> None:
    act(site)
    found = caught(site, "row", kind)
    assert found["event"] == 2
    assert found["file"].endswith(f"part-{PARTITION}.parquet")


def test_the_content_hash_is_that_of_the_rows(site: Site) -> None:
    wrong = {"content_hash": "sha256:" + "0" * 64}
    edit(manifest(site), lambda doc: doc["tables"][RAW].update(wrong))
    seal(site, PARTITION)
    assert caught(site, "row", "content_hash")["expected"] == wrong["content_hash"]


def test_a_partition_of_another_history_does_not_link(site: Site, other: Site) -> None:
    import pyarrow.parquet as pq

    theirs = pq.read_table(parquet(other, PARTITION)).to_pylist()
    change_rows(site, PARTITION, lambda _: theirs)
    found = caught(site, "row", "ledger_link")
    assert "partition 2-5" in found["message"]
    assert found["expected"] != found["found"]


def test_a_file_that_is_no_parquet(site: Site) -> None:
    rows = site.rows()[4:8]
    parquet(site, PARTITION).write_bytes(b"PAR1 nothing PAR1")
    from forging import agree

    agree(site, PARTITION, rows)
    found = caught(site, "row", "parquet_unreadable")
    assert (found["event"], found["ledgers"]) == (2, PARTITION)
    assert "no readable Parquet file of ledgers" in found["message"]


def test_a_file_of_another_hash_is_not_parsed(site: Site) -> None:
    """Its rows are spoiled too, and none of that is looked at: hash before parse."""
    path = parquet(site, PARTITION)
    whole = path.read_bytes()
    change_rows(site, PARTITION, flipped)
    spoiled = path.read_bytes()
    path.write_bytes(whole)
    from forging import agree

    agree(site, PARTITION, site.rows()[4:8])
    path.write_bytes(spoiled)
    found = report(run(site, "row", "--json"))["depth"]["findings"]
    assert [(f["kind"], f["severity"]) for f in found] == [
        ("file_mismatch", "error"),
        ("rows_not_read", "note"),
    ]
    assert found[1]["event"] == 2


def test_a_file_that_ends_its_reader(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other partition is judged all the same."""
    from bronze_tui.audit.levels import rowreader

    body = (
        "import os, sys; from bronze_tui.audit.levels import rowchild as c; j = c.judge\n"
        f"c.judge = lambda r, o: os.abort() if r['partition'] == {PARTITION!r} else j(r, o)\n"
        "c.main()"
    )
    monkeypatch.setattr(rowreader, "COMMAND", (sys.executable, "-c", body))
    doc = report(run(site, "row", "--json"))
    (found,) = doc["depth"]["findings"]
    assert (found["kind"], found["event"]) == ("parquet_unreadable", 2)
    assert "SIGABRT" in found["message"]
    assert doc["depth"]["ledgers"] == 12


def test_no_parquet_file_ends_in_a_traceback(site: Site, tmp_path: Path) -> None:
    from bronze_tui.audit.levels.network import NetworkCheck
    from bronze_tui.audit.levels.rows import RowCheck
    from bronze_tui.audit.levels.trust import Trust
    from bronze_tui.audit.levels.unit import Outcome, Unit

    chance = random.Random(5)
    whole, path = parquet(site, PARTITION).read_bytes(), tmp_path / "spoiled.parquet"
    event = events(site)[1]
    network = NetworkCheck(Trust(), "testnet")
    found: set[str] = set()
    for turn in range(300):
        spoiled = bytearray(whole)
        for _ in range(chance.choice((1, 3, 20))):
            spoiled[-1 - chance.randrange(len(whole) if turn % 2 else 5000)] = chance.randrange(256)
        path.write_bytes(spoiled if turn % 10 else spoiled[: chance.randrange(len(whole))])
        out = Outcome(Unit(KEY, event.partition, event.tables, event))
        RowCheck(out, "file", network).run(path, None, lambda: None)
        found |= {f.kind for f in out.findings}
    assert {"parquet_unreadable", "row_xdr"} <= found


# Level ledger.


def parts(xdr: bytes) -> dict[int, int]:
    """First byte of each part of a ledger, by mark."""
    reader = ProofReader()
    reader.read(xdr)
    return {row[0]: row[1] for row in reader._walker.rows.tolist()}


def flip_at(mark: int, by: int) -> Callable[[bytes], bytes]:
    def change(xdr: bytes) -> bytes:
        spoiled = bytearray(xdr)
        spoiled[parts(xdr)[mark] + by] ^= 1
        return bytes(spoiled)

    return change


@pytest.mark.parametrize("partition", ["2-5", "6-9", "14-17"], ids=["V0", "V1", "V2"])
@pytest.mark.parametrize(
    ("mark", "by", "kind"),
    [
        (_PAIR, 39, "result_hash"),
        (_FIRST + 2, 10, "tx_set_hash"),
        (_FIRST + 1, 40, "ledger_hash"),
    ],
    ids=["fee charged", "transaction set", "state hash"],
)
def test_bytes_that_the_header_covers(
    site: Site, partition: str, mark: int, by: int, kind: str
) -> None:
    place = next(i for i, row in enumerate(rows_of(site, partition)) if row["tx_count"])
    change_xdr(site, partition, place, flip_at(mark, by))
    found = caught(site, "ledger", kind)
    assert found["ledgers"] == str(int(partition.partition("-")[0]) + place)
    assert len(found["expected"]) == len(found["found"]) == 64


def rows_of(site: Site, partition: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return list(pq.read_table(parquet(site, partition)).to_pylist())


def test_rows_of_another_network(site: Site) -> None:
    args = ("--network-passphrase", PASSPHRASES["pubnet"])
    found = caught(site, "ledger", "signature", *args)
    assert found["cause"] == "the ledger was signed for testnet: rows of another network"
    unknown = caught(site, "ledger", "signature", "--network-passphrase", "nobody's")
    assert "signed for testnet" in unknown["cause"]


def write_anchors(path: Path, site: Site, *sequences: int) -> Path:
    hashes = {row["ledger_sequence"]: row["ledger_hash"] for row in site.rows()}
    path.write_text(json.dumps([[n, hashes[n]] for n in sequences]))
    return path


def test_a_history_made_up_as_a_whole_takes_an_anchor(
    made: Site, other: Site, tmp_path: Path
) -> None:
    anchors = write_anchors(tmp_path / "anchors.json", made, 5, 12)
    assert kinds(other, "ledger") == set(), "it agrees with itself"
    doc = report(run(made, "ledger", "--json", "--anchors", anchors))["depth"]
    assert (doc["anchors_matched"], doc["proven"]) == (2, [{"start": 2, "end": 12}])
    result = run(other, "ledger", "--json", "--anchors", anchors)
    assert result.exit_code == 3
    doc = report(result)["depth"]
    wrong = [f for f in doc["findings"] if f["severity"] == "error"]
    assert {f["kind"] for f in wrong} == {"anchor_mismatch"}
    assert [f["ledgers"] for f in wrong] == ["5", "12"]
    assert doc["proven"] == []


def test_an_anchor_proves_nothing_across_damage(site: Site, tmp_path: Path) -> None:
    anchors = write_anchors(tmp_path / "anchors.json", site, 17)
    change_xdr(site, PARTITION, 1, flip_at(_FIRST + 2, 10))
    doc = report(run(site, "ledger", "--json", "--anchors", anchors))["depth"]
    assert doc["proven"] == [{"start": 10, "end": 17}]


def test_validators_are_named_and_strangers_told(site: Site, tmp_path: Path) -> None:
    result = run(site, "ledger")
    assert result.exit_code == 0
    assert "signatures  16 valid" in result.output
    assert "signed by   known validators 0, unknown ones 16" in result.output
    assert result.output.count("warning unknown_validator") == 1, "once a key, not a partition"
    assert "signed 16 ledgers, the first of them 2" in result.output
    strict = run(site, "ledger", "--json", "--strict-validators")
    assert strict.exit_code == 3
    assert kinds(site, "ledger", "--strict-validators") == {"unknown_validator"}
    (signer,) = report(run(site, "ledger", "--json"))["depth"]["signers"]
    keys = tmp_path / "validators.txt"
    keys.write_text(f"# ours\n{signer['validator']} Demo Validator\n")
    result = run(site, "ledger", "--validators", keys)
    assert "Demo Validator: 16" in result.output
    assert "known validators 16, unknown ones 0" in result.output
    assert "unknown_validator" not in result.output
    assert run(site, "ledger", "--validators", keys, "--strict-validators").exit_code == 0
    keys.write_text(
        f'[[VALIDATORS]]\nPUBLIC_KEY = "{signer["validator"]}"\nNAME = "d1"\nHOME_DOMAIN = "d.org"'
    )
    assert "d1 (d.org): 16" in run(site, "ledger", "--validators", keys).output
    stranger = Keypair.from_raw_ed25519_seed(bytes(32)).public_key
    keys.write_text(json.dumps({stranger: "somebody else"}))
    result = run(site, "ledger", "--validators", keys)
    assert result.exit_code == 0
    assert result.output.count("warning unknown_validator") == 1
    assert "not on the list: 16" in result.output


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[[1]]", '[[1,"zz"]]', f'[[1,"{"0" * 64}"],[1,"{"1" * 64}"]]']
)
def test_anchors_that_are_none(site: Site, tmp_path: Path, text: str) -> None:
    path = tmp_path / "anchors.json"
    path.write_text(text)
    assert isinstance(run(site, "ledger", "--anchors", path).exception, UsageError)


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"nobody", b'{"x": "y"}', b"\xff", b"G" + b"A" * 55 + b" bad checksum"),
        *(b"[[VALIDATORS]]", b"[[VALIDATORS]]\nPUBLIC_KEY = 1", b"[[VALIDATORS]]\nx"),
        b'[[VALIDATORS]]\nPUBLIC_KEY = "G"',
    ],
)
def test_validators_that_are_none(site: Site, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text)
    assert isinstance(run(site, "ledger", "--validators", path).exception, UsageError)


def test_a_network_that_nobody_knows(tmp_path: Path) -> None:
    write_tiny_lake(tmp_path / "lake", count=4)
    site = Site(tmp_path, tmp_path / "lake", {**CUT, "era.network": "mine", "era.ledger_end": 5})
    assert site.run().code == 0
    result = run(site, "ledger")
    assert result.exit_code == 0
    assert "4 not checked" in result.output
    assert "give --network-passphrase" in result.output


# Level source.


def test_meta_is_seen_by_the_lake_alone(site: Site) -> None:
    def change(xdr: bytes) -> bytes:
        """Size of live state, which no header covers."""
        spoiled = bytearray(xdr)
        spoiled[-9] ^= 1
        return bytes(spoiled)

    change_xdr(site, "14-17", 2, change)
    found = caught(site, "source", "source_mismatch", "--config", write_config(site))
    assert found["ledgers"] == "16"


def test_the_lake_is_broken_or_unknown(site: Site) -> None:
    from bronze_tui.testing.tiny_lake import remove, replace_object

    config = write_config(site)
    replace_object(site.lake, 7, b"nothing")
    remove(site.lake, 8)
    result = run(site, "source", "--json", "--config", config)
    assert result.exit_code == 7
    found = report(result)["depth"]["findings"]
    assert [(f["kind"], f["ledgers"]) for f in found if f["severity"] == "error"] == [
        ("source_unreadable", "7"),
        ("source_unreadable", "8"),
    ]
    assert isinstance(run(site, "source").exception, UsageError)


# Targets, choices, memory, reports.


def test_targets(site: Site) -> None:
    def verdict(*args: object) -> str:
        texts = [str(a) for a in args]
        result = CliRunner().invoke(command, [*texts, "--level", "row", "--quiet"])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    assert "1 chain, 4 events, 4 partitions" in verdict(site.data, "--pas", site.pas)
    assert "1 chain, 4 events, 4 partitions" in verdict(site.dataset, "--pas", site.pas)
    assert "1 chain, 4 events, 4 partitions" in verdict(site.pas)
    assert "0 chains, 0 events, 4 partitions at level row, 2 warnings" in verdict(site.dataset)
    site.pas.rename(site.root / "pas-backup")
    assert "1 chain, 4 events, 4 partitions" in verdict(site.data)
    assert "1 chain, 4 events, 4 partitions" in verdict(site.root)


def test_without_events_there_is_no_chain_to_judge(site: Site) -> None:
    config = str(write_config(site))
    site.pas.rename(site.root / "elsewhere")
    result = CliRunner().invoke(command, [config])
    assert isinstance(result.exception, UsageError)
    result = CliRunner().invoke(command, [config, "--level", "file"])
    assert result.exit_code == 0
    assert "warning no_events" in result.output
    result = CliRunner().invoke(command, [config, "--level", "file", "--head", "0" * 64])
    assert isinstance(result.exception, UsageError)


def test_targets_that_are_none(site: Site, tmp_path: Path) -> None:
    for args in (["nowhere"], [str(tmp_path / "lake")], ["s3://"], [str(site.pas), "--data", "x"]):
        result = CliRunner().invoke(command, [*args, "--level", "file"])
        assert isinstance(result.exception, UsageError), args
    alone = tmp_path / "alone"
    site.pas.rename(alone)
    site.data.rename(tmp_path / "elsewhere")
    result = CliRunner().invoke(command, [str(alone), "--level", "file"])
    assert "--data" in str(result.exception)


@pytest.mark.parametrize(
    ("args", "read"),
    [
        (["--sample", "50%"], 2),
        (["--sample", "3"], 3),
        (["--sample", "99"], 4),
        (["--subset", "1/3"], 2),
        (["--subset", "3/3"], 1),
        (["--since", "9"], 3),
        (["--since", "2020-01-01"], 4),
        (["--since", "2999-01-01T00:00:00Z"], 0),
    ],
)
def test_choices(site: Site, args: list[str], read: int) -> None:
    doc = report(run(site, "row", "--json", *args))["depth"]
    assert (doc["partitions"], doc["partitions_read"]) == (4, read)
    assert args[1] in doc["choice"]


def test_a_sample_can_be_drawn_again(site: Site) -> None:
    parquet(site, PARTITION).unlink()
    seeds = {seed: kinds(site, "file", "--sample", 1, "--seed", seed) for seed in range(12)}
    assert set() in seeds.values()
    assert {"file_missing"} in seeds.values()
    again = {seed: kinds(site, "file", "--sample", 1, "--seed", seed) for seed in range(12)}
    assert again == seeds


@pytest.mark.parametrize(
    "args",
    [
        ["--sample", "0"],
        ["--sample", "x%"],
        ["--sample", "101%"],
        ["--sample", "nan"],
        ["--subset", "0/3"],
        ["--subset", "4/3"],
        ["--since", "yesterday"],
        ["--report", "x.pdf"],
    ],
)
def test_choices_that_are_none(site: Site, args: list[str]) -> None:
    assert isinstance(run(site, "file", *args).exception, UsageError)


def test_the_chain_is_never_narrowed(site: Site) -> None:
    assert isinstance(run(site, "chain", "--sample", "1").exception, UsageError)


def test_state_takes_up_where_it_stopped(site: Site, tmp_path: Path) -> None:
    state = tmp_path / "verified"
    whole = parquet(site, PARTITION).read_bytes()
    parquet(site, PARTITION).write_bytes(whole[:-1])
    assert run(site, "ledger", "--state", state).exit_code == 3
    state.write_bytes(state.read_bytes() + b'{"cut')
    parquet(site, PARTITION).write_bytes(whole)
    anchored = write_anchors(tmp_path / "anchors.json", site, 12)
    doc = report(run(site, "ledger", "--json", "--state", state))["depth"]
    assert (doc["partitions_read"], doc["partitions_recalled"]) == (1, 3)
    assert doc["ledgers"] == 16
    doc = report(run(site, "row", "--json", "--state", state))["depth"]
    assert doc["partitions_recalled"] == 4, "a deeper level counts"
    doc = report(run(site, "ledger", "--json", "--state", state, "--anchors", anchored))["depth"]
    assert doc["partitions_recalled"] == 0, "with other anchors nothing was verified"
    state.write_text("something else\n")
    assert isinstance(run(site, "row", "--state", state).exception, StateError)


def test_state_keeps_no_damage(site: Site, tmp_path: Path) -> None:
    change_xdr(site, PARTITION, 1, flip_at(_FIRST + 2, 10))
    for _ in range(2):
        assert run(site, "ledger", "--state", tmp_path / "verified").exit_code == 3


@pytest.mark.parametrize("suffix", ["md", "html"])
def test_a_report_to_hand_over(site: Site, tmp_path: Path, suffix: str) -> None:
    parquet(site, PARTITION).unlink()
    path = tmp_path / f"report.{suffix}"
    assert run(site, "ledger", "--report", path).exit_code == 3
    text = path.read_text()
    assert "BROKEN" in text
    assert "level ledger" in text
    assert ("file_missing" if suffix == "html" else r"file\_missing") in text
    assert "transaction meta" in text, "limits are printed"


def test_a_report_shows_foreign_text_as_text(tmp_path: Path) -> None:
    from bronze_tui.audit.findings import Finding
    from bronze_tui.audit.printed import printed
    from bronze_tui.audit.report import VerifyReport

    nasty = "<script>|`x`[a](b)\x1b"
    finding = Finding("fork", "error", nasty, nasty, file=nasty)
    made_up = VerifyReport(nasty, "chain", (), (finding,), False)
    html = printed(made_up, Path("a.html"), "now")
    assert "<script>" not in html
    assert "\x1b" not in html
    markdown = printed(made_up, Path("a.md"), "now")
    assert r"\<script\>\|\`x\`\[a\]\(b\)" in markdown


def test_progress_in_a_line() -> None:
    from bronze_tui.audit.filecheck import Progress
    from bronze_tui.commands._depth import progress_line

    line = progress_line("file", Progress(12, 400, 620_000_000, 2_480_000_000, 2.0))
    assert line == "file  12 of 400 partitions, 310 MB/s, 00:06 left"
    done = progress_line("row", Progress(400, 400, 5_000_000, 5_000_000, 1.0, True))
    assert done == "row  400 of 400 partitions, 5 MB/s"


def test_ending_early_keeps_what_was_found(site: Site, tmp_path: Path) -> None:
    from bronze_tui.audit.data import Folder
    from bronze_tui.audit.filecheck import Stopped
    from bronze_tui.audit.folder import verify_folder
    from bronze_tui.audit.levels.memory import Memory
    from bronze_tui.audit.levels.run import Job, run_job, take_inventory

    data = Folder(site.data / "bronze")
    inventory = take_inventory(data, verify_folder(site.pas).chains, [])
    state = tmp_path / "verified"

    def lines() -> int:
        return state.read_bytes().count(b"\n")

    def job(memory: Memory) -> Job:
        return Job("row", data, inventory.units, inventory.listings, jobs=1, memory=memory)

    with Memory(state, "here") as memory, pytest.raises(Stopped):
        run_job(job(memory), stop=lambda: lines() >= 2, tell=lambda _: None)
    assert lines() == 2
    with Memory(state, "here") as memory:
        outcomes = run_job(job(memory), stop=lambda: False, tell=lambda _: None)
    assert [out.recalled for out in outcomes] == [True, True, False, False]
    assert lines() == 4


def test_more_findings_than_anybody_reads_are_counted() -> None:
    from bronze_tui.audit.levels.unit import MOST, Outcome, Unit
    from bronze_tui.domain.ledger import LedgerRange

    out = Outcome(Unit(KEY, LedgerRange(2, 5), ()))
    for _ in range(MOST + 3):
        out.add("row_xdr", "wrong")
    out.close()
    assert len(out.findings) == MOST + 1
    assert out.findings[-1].message.startswith("3 more")


def test_a_store_is_read_like_a_folder(site: Site, tmp_path: Path) -> None:
    from bronze_tui.audit.data import Outside, Remote
    from bronze_tui.audit.folder import verify_folder
    from bronze_tui.audit.levels.run import Job, run_job, take_inventory
    from bronze_tui.audit.levels.trust import Trust
    from bronze_tui.hooks.contracts import StoreOptions
    from bronze_tui.hooks.manager import load_plugins

    host = load_plugins(allow=(), disable=(), needed={"local"})
    store = host.store("local")(StoreOptions("local", site.data.as_uri(), tmp_path / "staging"))
    data = Remote(store, "bronze/")
    chains = verify_folder(site.pas).chains
    inventory = take_inventory(data, chains, [])

    def outcomes() -> set[str]:
        job = Job("ledger", data, inventory.units, inventory.listings, trust=Trust())
        found = run_job(job, stop=lambda: False, tell=lambda _: None)
        assert sum(out.ledgers for out in found) >= 12
        return {f.kind for out in found for f in out.findings}

    assert outcomes() == set()
    parquet(site, PARTITION).unlink()
    assert outcomes() == {"file_missing"}
    for key in ("../x", "/etc/passwd", "a//b", ""):
        with pytest.raises(Outside):
            data.get(key, 10)


# The Go copier's folders.


@pytest.mark.parametrize("level", LEVELS[:4])
@pytest.mark.parametrize(
    "name", ["run-pipeline", "run-sequential", "run-datastore-gcs", "run-restart", "run-escaping"]
)
def test_go_copies_are_sound(shared: Path, name: str, level: str) -> None:
    target = shared / "go-copier" / name / "pas-backup"
    result = CliRunner().invoke(command, [str(target), "--level", level])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("name", "level", "wanted"),
    [
        ("bad-http-fork", "chain", {"fork"}),
        ("bad-http-fork", "row", {"fork"}),
        ("bad-hole", "file", set()),
        ("bad-hole", "row", {"row_missing"}),
    ],
)
def test_bad_go_copies_for_their_reason(
    shared: Path, name: str, level: str, wanted: set[str]
) -> None:
    target = shared / "go-copier" / name / "pas-backup"
    result = CliRunner().invoke(command, [str(target), "--level", level, "--json"])
    doc = report(result)
    found = [f for chain in doc["chains"] for f in chain["findings"]]
    found += doc.get("depth", {}).get("findings", [])
    assert {f["kind"] for f in found if f["severity"] == "error"} == wanted
    assert result.exit_code == (3 if wanted else 0)


def test_go_fixtures_were_not_closed_by_the_network(shared: Path) -> None:
    """They were made from one real ledger: its signature is valid, the others' cannot be."""
    target = shared / "go-copier" / "run-pipeline" / "pas-backup"
    doc = report(CliRunner().invoke(command, [str(target), "--level", "ledger", "--json"]))
    found = [f for f in doc["depth"]["findings"] if f["severity"] == "error"]
    assert {f["kind"] for f in found} == {"signature"}
    assert [f["ledgers"] for f in found] == [str(n) for n in range(982_181, 982_204)]
    assert doc["depth"]["signers"][0]["ledgers"] == 1


@pytest.mark.parametrize("network", ["pubnet", "testnet"])
def test_real_ledgers_prove_themselves(shared: Path, network: str) -> None:
    from bronze_tui.audit.levels.network import NetworkCheck
    from bronze_tui.audit.levels.trust import Trust
    from bronze_tui.audit.levels.unit import Outcome, Unit
    from bronze_tui.domain.ledger import LedgerRange
    from bronze_tui.lake.frames import decompress_frame
    from bronze_tui.xdr.header import batch_bounds

    path = next((shared / "lake" / network).rglob("*.xdr.*"))
    raw = decompress_frame(path.read_bytes(), 1 << 28)
    xdr = memoryview(raw)[12 if batch_bounds(raw) else 0 :]
    out = Outcome(Unit(f"{network}/a/b", LedgerRange(1, 2), ()))
    sequence = NetworkCheck(Trust(), network).check(out, "", 1, xdr).sequence
    assert out.findings == []
    assert sum(out.signers.values()) == 1
    assert sequence > 900_000
