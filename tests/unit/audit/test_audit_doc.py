"""``docs/pas.md`` is true: its vectors, its table of findings."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from bronze_tui.audit.canonical import canonical, event_hash, file_bytes
from bronze_tui.audit.chain import verify_chains
from bronze_tui.audit.event import parse_event
from bronze_tui.audit.findings import DATA_KINDS, KINDS
from bronze_tui.audit.hashrules import hash_of
from bronze_tui.audit.ingester import read_event_file
from bronze_tui.audit.links import EventFile
from bronze_tui.audit.names import event_name

DOC = (Path(__file__).parents[3] / "docs" / "pas.md").read_text(encoding="utf-8")
VECTOR = re.compile(r"```json\n(.*?)\n```\n\n```text\n(.*?)\n```\n\n`(sha256:\w+)`", re.DOTALL)
VECTORS = VECTOR.findall(DOC)


def test_vectors() -> None:
    assert len(VECTORS) == 3
    for file, form, expected in VECTORS:
        event = parse_event(file.encode(), where="docs/pas.md")
        assert file_bytes(event) == file.encode()
        assert canonical(event) == form.encode()
        assert "sha256:" + sha256(form.encode()).hexdigest() == expected
        assert event_hash(event) == event.event_hash == expected


def test_vectors_chain() -> None:
    events = [parse_event(file.encode(), where="docs/pas.md") for file, _, _ in VECTORS]
    for report in verify_chains(EventFile(event_name(e), e) for e in events):
        assert report.findings == ()
    assert events[1].prev_event_hash == events[0].event_hash


def test_vectors_of_other_rules() -> None:
    joined = re.search(r"### 4.*?```text\n(.*?)\n```\n\n`(sha256:\w+)`", DOC, re.DOTALL)
    assert joined is not None
    assert "sha256:" + sha256(joined[1].encode()).hexdigest() == joined[2]
    event = parse_event(VECTORS[0][0].encode(), where="docs/pas.md")
    weak = EventFile(event_name(event), replace(event, event_hash=joined[2]))
    assert hash_of(weak) == ("joined", joined[2])
    vector = re.search(
        r"### 5.*?```json\n(.*?)\n```\n\n```text\n(.*?)\n```\n\n`(\w+)`", DOC, re.DOTALL
    )
    assert vector is not None
    assert sha256(vector[2].encode()).hexdigest() == vector[3]
    item = read_event_file("pas_95_97_20260102T030400Z.json", vector[1].encode())
    assert hash_of(item) == ("ingester", f"sha256:{vector[3]}")
    (report,) = verify_chains([item], foreign=True)
    assert report.findings == ()


def test_every_kind_of_finding_is_explained() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (?:error|warning|note) \|", DOC, re.MULTILINE)
    assert sorted(w for row in rows for w in re.findall(r"\w+", row)) == sorted(KINDS)


def test_every_kind_of_finding_below_the_chain_is_explained() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "verify.md").read_text("utf-8")
    levels = "manifest|file|row|ledger|source"
    rows = re.findall(rf"^\| ((?:`\w+`(?:, )?)+) \| (?:`(?:{levels})`|any) \|", page, re.MULTILINE)
    assert sorted(w for row in rows for w in re.findall(r"\w+", row)) == sorted(DATA_KINDS)
