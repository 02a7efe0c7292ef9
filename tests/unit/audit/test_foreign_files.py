"""Any bytes in any file of others end in a finding or a refusal, never in a traceback.

Events of version 1.1, notes, proofs and keys have such tests beside their own; these are the rest.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bronze_tui.audit.canonical import file_bytes
from bronze_tui.audit.data import Folder
from bronze_tui.audit.event import EventRejected
from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.heads import parse_heads
from bronze_tui.audit.ingester import read_event_file
from bronze_tui.audit.levels.manifests import Listing, check_manifests, unit_of_records
from bronze_tui.audit.levels.rowreader import RowReaders
from bronze_tui.audit.levels.trust import Trust
from bronze_tui.audit.levels.trusted import read_anchors, read_validators
from bronze_tui.audit.levels.unit import Outcome, Unit
from bronze_tui.audit.names import event_name
from bronze_tui.audit.note import VerifyKey
from bronze_tui.audit.publishedhead import compare_published, look_at_heads
from bronze_tui.audit.report import to_json, to_text
from bronze_tui.domain.errors import BronzeError
from bronze_tui.testing.emitter_contract import make_chain

quiet = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
EVENT = make_chain(1)[0]
(TABLE, ENTRY) = EVENT.tables[0]
MANIFEST: dict[str, Any] = {
    "version": "1.0",
    "partition": {"start": 1000, "end": 1009, "network": "testnet"},
    "tables": {TABLE: {"file": "part-1000-1009.parquet", **asdict(ENTRY), "content_hash": "x"}},
    "links": {"first_previous_hash": "a", "last_hash": "b"},
    "chain_key": EVENT.chain_key,
    "manifests": {TABLE: "sha256:" + "0" * 64},
}
INGESTED: dict[str, Any] = {
    "version": "1.1",
    "event_hash": "1" * 64,
    "previous_hash": "0" * 64,
    "timestamp": "2026-01-02T03:04:05Z",
    "producer": {"id": "i", "version": "v", "network": "testnet", "era_id": "e"},
    "batch": {
        "ledger_start": 2,
        "ledger_end": 3,
        "ledger_count": 2,
        "tables": [{"name": "t", "row_count": 1, "checksum": "x"}],
        "manifest_hash": "",
        "total_rows": 1,
        "processing_duration_ms": 1,
    },
}


def places(doc: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [path] if path else []
    inside = doc.items() if isinstance(doc, dict) else enumerate(doc) if type(doc) is list else ()
    for key, value in inside:
        found += places(value, (*path, key))
    return found


def changed(doc: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(doc))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return copy


def refused(call: Callable[..., Any], *args: Any) -> str | None:
    """Where the refusal says it is; None when there is none."""
    try:
        call(*args)
    except BronzeError as error:
        return error.where
    return None


@quiet
@given(st.binary(max_size=500))
def test_any_bytes_as_an_event_of_either_shape(data: bytes) -> None:
    with pytest.raises(EventRejected):
        read_event_file("x", data)


@quiet
@given(st.sampled_from(places(INGESTED)), json_values)
def test_any_json_in_any_field_of_an_ingesters_event(
    tmp_path: Path, path: tuple[Any, ...], value: Any
) -> None:
    data = json.dumps(changed(INGESTED, path, value)).encode()
    file = tmp_path / "pas_2_3_20260102T030405Z.json"
    file.write_bytes(data)
    report = verify_folder(tmp_path)
    assert not report.ok, "its hash is none"
    assert to_text(report)
    assert json.loads(to_json(report))


def records(folder: Path, manifest: bytes, record: bytes) -> Folder:
    for name, data in (
        (f"{EVENT.chain_key}/{TABLE}/range=1000-1009/_manifest.json", manifest),
        (f"{EVENT.chain_key}/_commits/1000-1009.json", record),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Folder(folder)


def judge(data: Folder) -> None:
    unit = Unit(EVENT.chain_key, EVENT.partition, EVENT.tables, EVENT, 1, "event")
    out = Outcome(unit)
    check_manifests(out, data, Listing(True, (EVENT.partition,)), None)
    assert out.findings, "neither is what the event says"
    assert all(type(v) in (str, int, type(None)) for f in out.findings for v in asdict(f).values())
    for by_record in (True, False):
        where = refused(unit_of_records, data, EVENT.chain_key, EVENT.partition, by_record)
        assert where is None or where.endswith(".json")


@quiet
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_as_manifest_and_record(tmp_path: Path, manifest: bytes, record: bytes) -> None:
    judge(records(tmp_path, manifest, record))


@quiet
@given(st.sampled_from(places(MANIFEST)), json_values)
def test_any_json_in_any_field_of_manifest_and_record(
    tmp_path: Path, path: tuple[Any, ...], value: Any
) -> None:
    data = json.dumps(changed(MANIFEST, path, value)).encode()
    judge(records(tmp_path, data, data))


@quiet
@given(st.binary(max_size=300))
def test_any_bytes_as_a_published_head(tmp_path: Path, data: bytes) -> None:
    (tmp_path / event_name(EVENT)).write_bytes(file_bytes(EVENT))
    (tmp_path / "testnet_p23_plus_v1.signed-head").write_bytes(data)
    (tmp_path / "stray.signed-head").write_bytes(data)
    report = verify_folder(tmp_path)
    key = VerifyKey("example.com/b", bytes(32))
    found = compare_published(report, tmp_path, [key]).all_findings()
    assert {f.file for f in found if f.kind == "signed_head_malformed"} == {
        "testnet_p23_plus_v1.signed-head",
        "stray.signed-head",
    }
    assert look_at_heads(report.chains, tmp_path, [])[EVENT.chain_key].state == "malformed"


@quiet
@given(st.binary(max_size=300) | json_values.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_as_heads_anchors_validators(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    for read in (read_anchors, read_validators):
        assert refused(read, path) in (None, str(path))
    assert refused(lambda: parse_heads(data, where="x")) in (None, "x")


def spoilers(whole: bytes) -> list[Callable[[random.Random], bytes]]:
    """Ways to spoil a Parquet file: its footer first, which is what a reader trusts most."""
    footer = int.from_bytes(whole[-8:-4], "little")

    def flip(chance: random.Random) -> bytes:
        spoiled = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8, 40))):
            spoiled[len(whole) - 8 - footer + chance.randrange(footer)] = chance.randrange(256)
        return bytes(spoiled)

    def length(chance: random.Random) -> bytes:
        wrong = chance.choice((0, 1, footer - 1, footer + 1, len(whole), 2**31 - 1, 2**32 - 1))
        return whole[:-8] + wrong.to_bytes(4, "little") + b"PAR1"

    def anywhere(chance: random.Random) -> bytes:
        spoiled = bytearray(whole)
        spoiled[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        return bytes(spoiled)

    return [flip, length, anywhere, lambda chance: whole[: chance.randrange(len(whole))]]


def test_spoiled_parquet_footers_in_the_process_that_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    names = ("ledger_hash", "previous_ledger_hash", "tx_set_hash", "xdr_sha256", "network")
    columns: dict[str, Any] = {name: ["0" * 64] * 4 for name in names}
    columns |= {name: ["v1"] * 4 for name in ("bronze_version", "era_id")}
    columns |= {"ledger_sequence": [2, 3, 4, 5], "xdr_bytes": [b"x" * 100] * 4}
    columns |= {
        name: [1] * 4
        for name in (
            "close_time",
            "protocol_version",
            "total_coins",
            "fee_pool",
            "tx_count",
            "operation_count",
            "xdr_byte_length",
        )
    }
    pq.write_table(pa.table(columns), path)
    chance, whole = random.Random(7), path.read_bytes()
    readers = RowReaders(Trust())
    kinds: set[str] = set()
    try:
        for turn in range(120):
            spoil = spoilers(whole)[turn % 4]
            path.write_bytes(spoil(chance))
            out = Outcome(Unit("testnet/a/v1", EVENT.partition, EVENT.tables, EVENT))
            readers.check(out, "key", path, None, rows=False, halt=lambda: None)
            assert out.findings
            kinds |= {f.kind for f in out.findings}
    finally:
        readers.close()
    assert {"parquet_unreadable", "row_xdr"} <= kinds
