"""Chains of other software, verified by their own hash rules and told what these leave out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bronze_tui.audit.canonical import event_hash, file_bytes
from bronze_tui.audit.folder import read_folder, verify_folder
from bronze_tui.audit.names import event_name
from bronze_tui.audit.report import VerifyReport, to_json, to_text
from bronze_tui.cli import group
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import UsageError
from bronze_tui.testing.emitter_contract import make_chain

Doc = dict[str, Any]
KEY = "testnet/(all eras)/(ingester)"


# The ingester's shape, made here by its rule and by no code of the verifier.


def ingester_hash(doc: Doc) -> str:
    batch = doc["batch"]
    seconds, _, fraction = doc["timestamp"].rstrip("Z").partition(".")
    tables = sorted(batch["tables"] or [], key=lambda table: str(table["name"]))
    canonical = {
        "version": doc["version"],
        "previous_hash": doc["previous_hash"],
        "timestamp": f"{seconds}.{(fraction + '000')[:3]}Z",
        "producer": {key: doc["producer"][key] for key in ("id", "version", "network", "era_id")},
        "batch": {
            "ledger_start": batch["ledger_start"],
            "ledger_end": batch["ledger_end"],
            "ledger_count": batch["ledger_count"],
            "tables": tables,
            "manifest_hash": batch["manifest_hash"],
            "total_rows": batch["total_rows"],
            "processing_duration_ms": batch["processing_duration_ms"],
        },
    }
    text = json.dumps(canonical, separators=(",", ":"), ensure_ascii=False)
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, escape)
    return sha256(text.encode()).hexdigest()


def ingested(count: int, first: int = 95, size: int = 3, **producer: str) -> list[Doc]:
    docs: list[Doc] = []
    for n in range(count):
        start = first + n * size
        doc: Doc = {
            "version": "1.1",
            "event_hash": "",
            "previous_hash": docs[-1]["event_hash"] if docs else "0" * 64,
            "timestamp": f"2026-01-02T03:04:{n:02}.123456789Z",
            "producer": {
                "id": "ingester <1>",
                "version": "v3.0.0",
                "network": "testnet",
                "era_id": "pre_p23" if n < 2 else "p23_plus",
            }
            | producer,
            "batch": {
                "ledger_start": start,
                "ledger_end": start + size - 1,
                "ledger_count": size,
                "tables": [
                    {"name": "transactions_row_v2", "row_count": 7, "checksum": "ab" * 32},
                    {"name": "ledgers_row_v2", "row_count": size},
                ],
                "manifest_hash": "cd" * 32,
                "total_rows": 7 + size,
                "processing_duration_ms": 1234,
            },
        }
        doc["event_hash"] = ingester_hash(doc)
        docs.append(doc)
    return docs


def relink(docs: list[Doc]) -> list[Doc]:
    previous = "0" * 64
    for doc in docs:
        doc["previous_hash"] = previous
        previous = doc["event_hash"] = ingester_hash(doc)
    return docs


def name_of(doc: Doc) -> str:
    batch = doc["batch"]
    digits = doc["timestamp"][:19].replace("-", "").replace(":", "")
    return f"pas_{batch['ledger_start']}_{batch['ledger_end']}_{digits}Z.json"


def put(folder: Path, docs: list[Doc]) -> Path:
    folder.mkdir(exist_ok=True)
    for doc in docs:
        (folder / name_of(doc)).write_text(json.dumps(doc, indent=2))
    return folder


def facts(report: VerifyReport, *severities: str) -> list[tuple[str, int | None, str]]:
    wanted = severities or ("error",)
    found = [f for f in report.all_findings() if f.severity in wanted]
    return [(f.kind, f.event, f.ledgers) for f in found]


def test_a_whole_chain_of_the_ingester(tmp_path: Path) -> None:
    folder = put(tmp_path / "pas", ingested(6))
    assert sorted(p.name for p in folder.iterdir())[0].startswith("pas_101"), "names mislead"
    report = verify_folder(folder)
    assert facts(report, "error", "warning") == []
    (chain,) = report.chains
    assert (chain.chain_key, chain.events, chain.rules) == (KEY, 6, ("ingester",))
    assert [str(r) for r in chain.ledgers] == ["95-112"]
    assert chain.head == f"sha256:{ingested(6)[-1]['event_hash']}"
    text = to_text(report)
    assert "hashed by   the DuckLake ingester's rule" in text
    assert "do not cover the timestamp below milliseconds" in text
    assert "level chain only" in text
    assert json.loads(to_json(report))["chains"][0]["hash_rules"] == ["ingester"]


def test_the_vector_of_the_specification() -> None:
    """A value worked out once from the rule, so that both sides cannot drift together."""
    assert ingested(1)[0]["event_hash"] == (
        "9a26c9d21855b1a8aee886d220dbafa6905c0b0b89fc09e3a34e9ed34942c189"
    )


COVERED: dict[str, Callable[[Doc], Any]] = {
    "time": lambda d: d.update(timestamp="2026-01-02T03:04:02.124456789Z"),
    "producer id": lambda d: d["producer"].update(id="another"),
    "producer version": lambda d: d["producer"].update(version="v9"),
    "era": lambda d: d["producer"].update(era_id="another"),
    "ledger count": lambda d: d["batch"].update(ledger_count=2),
    "manifest": lambda d: d["batch"].update(manifest_hash="ef" * 32),
    "rows": lambda d: d["batch"].update(total_rows=9),
    "duration": lambda d: d["batch"].update(processing_duration_ms=1),
    "table name": lambda d: d["batch"]["tables"][0].update(name="x"),
    "table rows": lambda d: d["batch"]["tables"][1].update(row_count=4),
    "table checksum": lambda d: d["batch"]["tables"][0].update(checksum="00" * 32),
    "table gone": lambda d: d["batch"]["tables"].pop(),
    "checksum gone": lambda d: d["batch"]["tables"][0].pop("checksum"),
}


@pytest.mark.parametrize("what", COVERED)
def test_a_covered_field_is_altered(tmp_path: Path, what: str) -> None:
    docs = ingested(4)
    COVERED[what](docs[2])
    report = verify_folder(put(tmp_path / "pas", docs))
    assert ("hash_mismatch", 3, "101-103") in facts(report)
    (found,) = [f for f in report.all_findings() if f.kind == "hash_mismatch"]
    assert found.file == name_of(docs[2])
    assert found.expected == f"sha256:{docs[2]['event_hash']}"
    assert found.found == f"sha256:{ingester_hash(docs[2])}"


def test_ledgers_and_network_are_covered_too(tmp_path: Path) -> None:
    docs = ingested(4)
    docs[2]["batch"]["ledger_end"] += 1
    found = facts(verify_folder(put(tmp_path / "a", docs)))
    assert {kind for kind, *_ in found} == {"hash_mismatch", "overlap"}
    docs = ingested(4)
    docs[2]["producer"]["network"] = "pubnet"
    kinds = {kind for kind, *_ in facts(verify_folder(put(tmp_path / "b", docs)))}
    assert {"hash_mismatch", "foreign_event"} <= kinds


@pytest.mark.parametrize("what", ["digits of the time", "order of tables"])
def test_what_the_ingesters_hash_leaves_out_is_said(tmp_path: Path, what: str) -> None:
    docs = ingested(3)
    if what == "order of tables":
        docs[1]["batch"]["tables"].reverse()
    else:
        docs[1]["timestamp"] = "2026-01-02T03:04:01.123999Z"
    report = verify_folder(put(tmp_path / "pas", docs))
    assert facts(report, "error", "warning") == [], "nobody can see it"
    assert "leaves no trace" in to_text(report)
    assert "order in which tables are written" in to_text(report)


def test_no_manifest_no_tables(tmp_path: Path) -> None:
    docs = ingested(2)
    for doc in docs:
        doc["batch"] |= {"tables": None, "manifest_hash": "", "total_rows": 0}
    assert facts(verify_folder(put(tmp_path / "pas", relink(docs))), "error", "warning") == []


def test_links_of_the_ingesters_chain(tmp_path: Path) -> None:
    docs = ingested(6)
    assert facts(verify_folder(put(tmp_path / "gone", [*docs[:3], *docs[4:]]))) == [
        ("missing_event", 4, "104-106")
    ]
    assert facts(verify_folder(put(tmp_path / "gap", relink([*docs[:3], *docs[4:]])))) == [
        ("gap", 4, "104-106")
    ]
    twice = relink([*ingested(4), *ingested(6)[3:]])
    twice[4]["timestamp"] = "2026-02-02T03:04:05Z"
    assert ("duplicate_range", 5, "104-106") in facts(
        verify_folder(put(tmp_path / "twice", relink(twice)))
    )
    docs = ingested(3)
    docs[2]["batch"]["ledger_count"] = 2
    assert facts(verify_folder(put(tmp_path / "count", relink(docs))), "warning") == [
        ("row_count", 3, "101-103")
    ]
    put(tmp_path / "name", ingested(2))
    path = tmp_path / "name" / name_of(ingested(2)[0])
    path.rename(path.with_name("pas_95_97_20200101T000000Z.json"))
    assert facts(verify_folder(tmp_path / "name")) == [("name_mismatch", 1, "95-97")]


def test_a_fork_after_its_restart_is_explained(tmp_path: Path) -> None:
    """Restarted, it takes pas_98 for the newest, behind pas_101."""
    docs = ingested(4)
    docs[3]["previous_hash"] = docs[1]["event_hash"]
    docs[3]["event_hash"] = ingester_hash(docs[3])
    report = verify_folder(put(tmp_path / "pas", docs))
    (found,) = [f for f in report.all_findings() if f.kind == "fork"]
    assert "pas_99 behind pas_100" in found.cause


BAD: dict[str, tuple[str, Callable[[Doc], Any]]] = {
    "an unknown key": ("unknown_key", lambda d: d.update(note="x")),
    "an unknown key inside": ("unknown_key", lambda d: d["batch"].update(note="x")),
    "a key is gone": ("malformed", lambda d: d["producer"].pop("id")),
    "another version": ("malformed", lambda d: d.update(version="2")),
    "a hash with a prefix": ("malformed", lambda d: d.update(event_hash="sha256:" + "0" * 64)),
    "a range backwards": ("malformed", lambda d: d["batch"].update(ledger_end=1)),
    "a number as text": ("malformed", lambda d: d["batch"].update(total_rows="7")),
    "tables of another type": ("malformed", lambda d: d["batch"].update(tables={})),
    "a table that is none": ("malformed", lambda d: d["batch"].update(tables=[3])),
    "a table twice": (
        "malformed",
        lambda d: d["batch"].update(tables=[{"name": "a", "row_count": 1}] * 2),
    ),
    "a time of another form": ("malformed", lambda d: d.update(timestamp="2026-01-02 03:04")),
    "a name of many parts": ("malformed", lambda d: d["producer"].update(network="a/b")),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_none_of_its_events(tmp_path: Path, what: str) -> None:
    kind, act = BAD[what]
    docs = ingested(2)
    name = name_of(docs[1])
    act(docs[1])
    folder = put(tmp_path / "pas", docs[:1])
    (folder / name).write_text(json.dumps(docs[1]))
    report = verify_folder(folder)
    assert [(f.kind, f.file) for f in report.findings if f.severity == "error"] == [(kind, name)]
    (folder / name).write_text("{")
    assert [f.severity for f in verify_folder(folder).findings] == ["error"], "its name is known"


def test_other_commands_take_no_ingester_events(tmp_path: Path) -> None:
    folder = put(tmp_path / "pas", ingested(2))
    assert read_folder(folder).files == ()
    words = ["verify", str(folder), "--no-memory", "--level", "file", "--data", str(tmp_path)]
    (tmp_path / "a" / "b" / "c" / "ledgers_lcm_raw").mkdir(parents=True)
    result = CliRunner().invoke(group, words)
    assert isinstance(result.exception, UsageError)
    assert "DuckLake" in result.exception.what


# The older hash of joined fields.


def joined_hash(event: AuditEvent) -> str:
    text = f"{event.ledger_start}|{event.ledger_end}|{event.prev_event_hash}|{event.network}|"
    text += f"{event.era_id}|{event.version_label}|"
    text += "".join(f"{name}:{table.checksum}|" for name, table in event.tables)
    return "sha256:" + sha256(text.encode()).hexdigest()


def joined(
    chain: list[AuditEvent], weak: Callable[[int], bool] = lambda _: True
) -> list[AuditEvent]:
    made: list[AuditEvent] = []
    for n, event in enumerate(chain):
        prev = made[-1].event_hash if made else ""
        fresh = replace(event, prev_event_hash=prev, event_hash="")
        own = joined_hash(fresh) if weak(n) else event_hash(fresh)
        made.append(replace(fresh, event_hash=own))
    return made


def put_v11(folder: Path, chain: list[AuditEvent]) -> Path:
    folder.mkdir(exist_ok=True)
    for event in chain:
        (folder / event_name(event)).write_bytes(file_bytes(event))
    return folder


def test_a_chain_of_joined_hashes(tmp_path: Path) -> None:
    report = verify_folder(put_v11(tmp_path / "pas", joined(make_chain(5))))
    assert report.ok
    (chain,) = report.chains
    assert chain.rules == ("joined",)
    (found,) = [f for f in chain.findings if f.kind == "weaker_hash"]
    assert (found.severity, found.event) == ("warning", 1)
    assert "5 events" in found.message
    assert "timestamp, event_id, producer" in found.message
    assert "leaves no trace" in to_text(report)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "pubnet"},
        {"era_id": "other"},
        {"version_label": "v9"},
        {"ledger_start": 1019},
        {"ledger_end": 1030},
        {"prev_event_hash": "sha256:" + "0" * 64},
        {"tables": (("renamed", make_chain(3)[2].tables[0][1]),)},
        {"tables": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_field_that_joined_hashes_cover(tmp_path: Path, change: dict[str, Any]) -> None:
    chain = joined(make_chain(5))
    if change == {"tables": ()}:
        (name, table), *_ = chain[2].tables
        change = {"tables": ((name, replace(table, checksum="sha256:" + "0" * 64)),)}
    chain[2] = replace(chain[2], **change)
    report = verify_folder(put_v11(tmp_path / "pas", chain))
    assert "hash_mismatch" in {f.kind for f in report.all_findings()}


@pytest.mark.parametrize("what", ["timestamp", "event_id", "row_count", "storage_path", "git_sha"])
def test_a_field_that_joined_hashes_do_not_cover_is_named(tmp_path: Path, what: str) -> None:
    chain = joined(make_chain(5))
    event = chain[2]
    (name, table), *_ = event.tables
    chain[2] = {
        "timestamp": replace(event, timestamp="2001-01-01T00:00:00Z"),
        "event_id": replace(event, event_id="pas_evt_00000000000000ff"),
        "row_count": replace(event, tables=((name, replace(table, row_count=11)),)),
        "storage_path": replace(event, tables=((name, replace(table, storage_path="x")),)),
        "git_sha": replace(event, producer=replace(event.producer, git_sha="x")),
    }[what]
    report = verify_folder(put_v11(tmp_path / "pas", chain))
    assert report.ok, "its hash cannot show that"
    said = json.loads(to_json(report))["chains"][0]["not_covered"]
    assert {"git_sha": "producer"}.get(what, what) in said[0]


def test_text_that_could_be_read_in_two_ways_is_no_proof(tmp_path: Path) -> None:
    chain = joined([replace(make_chain(1)[0], era_id="a|b")])
    moved = replace(chain[0], era_id="a", version_label="b|v1")
    assert joined_hash(replace(moved, event_hash="")) == chain[0].event_hash, "one hash of two"
    for name, event in (("one", chain[0]), ("two", moved)):
        assert "hash_mismatch" in {
            f.kind for f in verify_folder(put_v11(tmp_path / name, [event])).all_findings()
        }


def test_both_rules_in_one_chain(tmp_path: Path) -> None:
    older = joined(make_chain(6), lambda n: n < 3)
    report = verify_folder(put_v11(tmp_path / "older", older))
    assert report.ok
    assert report.chains[0].rules == ("joined", "v1.1")
    assert "3 events" in next(f.message for f in report.chains[0].findings)
    back = joined(make_chain(6), lambda n: n == 4)
    report = verify_folder(put_v11(tmp_path / "back", back))
    assert facts(report) == [("hash_rule_changed", 5, "1040-1049")]


def test_both_shapes_in_one_folder(tmp_path: Path) -> None:
    folder = put(tmp_path / "pas", ingested(4))
    put_v11(folder, make_chain(3))
    report = verify_folder(folder)
    assert report.ok
    assert [c.rules for c in report.chains] == [("ingester",), ("v1.1",)]
    assert facts(report, "warning") == [("head_missing", None, ""), ("mixed_shapes", None, "")]
    stray = replace(make_chain(1)[0], prev_event_hash=f"sha256:{ingested(4)[3]['event_hash']}")
    stray = replace(stray, version_label="v9", event_hash="")
    put_v11(folder, [replace(stray, event_hash=event_hash(stray))])
    assert ("foreign_event", 1, "1000-1009") in facts(verify_folder(folder))


def test_the_verifier_remembers_these_heads_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = put(tmp_path / "pas", ingested(5))
    assert CliRunner().invoke(group, ["verify", str(folder)]).exit_code == 0
    (folder / name_of(ingested(5)[4])).unlink()
    result = CliRunner().invoke(group, ["verify", str(folder)])
    assert "chain_shrank" in result.output
