"""What the verifier remembers, and what it says when a chain is no longer that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bronze_tui.audit.canonical import event_hash, file_bytes
from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.memory import forget, memory_folder, recall
from bronze_tui.audit.names import event_name
from bronze_tui.audit.report import VerifyReport
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.testing.emitter_contract import make_chain

CHAIN = make_chain(8)
KEY = CHAIN[0].chain_key
NOW = 1_780_000_000.0


def rewritten(chain: Sequence[AuditEvent], first: int) -> list[AuditEvent]:
    """The chain made anew from event ``first`` (0-based), whole in itself."""
    made = list(chain[:first])
    for event in chain[first:]:
        prev = made[-1].event_hash if made else ""
        fresh = replace(event, timestamp="2026-01-01T00:00:00Z", prev_event_hash=prev)
        made.append(replace(fresh, event_hash=event_hash(replace(fresh, event_hash=""))))
    return made


class Desk:
    """An audit folder, and a verifier who remembers."""

    def __init__(self, root: Path) -> None:
        self.pas, self.memory = root / "pas-backup", root / "state" / "heads"
        self.pas.mkdir()
        self.now = NOW

    def put(self, events: Sequence[AuditEvent], folder: Path | None = None) -> None:
        """The folder holds these and nothing else."""
        folder = folder or self.pas
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for event in events:
            (folder / event_name(event)).write_bytes(file_bytes(event))

    def verify(self, chain_key: str = "", folder: Path | None = None) -> VerifyReport:
        self.now += 60
        report = verify_folder(folder or self.pas, chain_key=chain_key)
        return recall(report, self.memory, now=self.now, chain_key=chain_key)

    def kinds(self, chain_key: str = "") -> list[str]:
        """Findings but those about the missing heads file."""
        found = self.verify(chain_key).all_findings()
        return [f.kind for f in found if f.kind != "head_missing"]

    def remembered(self) -> list[dict[str, object]]:
        return [json.loads(p.read_bytes()) for p in sorted(self.memory.glob("*.json"))]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_first_time_and_growth(desk: Desk) -> None:
    desk.put(CHAIN[:5])
    first = desk.verify()
    assert (first.ok, first.last_seen) == (True, "")
    assert [d["head"] for d in desk.remembered()] == [CHAIN[4].event_hash]
    desk.put(CHAIN)
    report = desk.verify()
    assert report.ok
    assert report.last_seen == "2026-05-28T20:27:40Z"
    (seen,) = desk.remembered()
    assert (seen["head"], seen["events"]) == (CHAIN[-1].event_hash, 8)
    assert desk.kinds() == []


@pytest.mark.parametrize("left", [7, 5, 1])
def test_a_chain_that_shrank(desk: Desk, left: int) -> None:
    desk.put(CHAIN)
    desk.verify()
    desk.put(CHAIN[:left])
    for _ in range(2):
        report = desk.verify()
        assert not report.ok
        (chain,) = report.chains
        finding = chain.first_wrong
        assert finding is not None
        assert finding.kind == "chain_shrank"
        heads = (CHAIN[-1].event_hash, CHAIN[left - 1].event_hash)
        assert (finding.expected, finding.found) == heads
        assert "8 events" in finding.message
        assert f"it has {left} now" in finding.message
    desk.put(CHAIN)
    assert desk.verify().ok, "the alarm is over when the events are back"


@pytest.mark.parametrize("first", [0, 3, 7])
@pytest.mark.parametrize("longer", [0, 2])
def test_a_chain_that_was_rewritten(desk: Desk, first: int, longer: int) -> None:
    desk.put(CHAIN)
    desk.verify()
    fake = rewritten(make_chain(8 + longer), first)
    desk.put(fake)
    assert verify_folder(desk.pas).ok, "whole in itself"
    for _ in range(2):
        (chain,) = desk.verify().chains
        finding = chain.first_wrong
        assert finding is not None
        assert finding.kind == "chain_changed"
        assert (finding.expected, finding.found) == (CHAIN[7].event_hash, fake[7].event_hash)
    assert [d["head"] for d in desk.remembered()] == [CHAIN[7].event_hash]


def test_a_fork_that_is_kept_beside_the_truth(desk: Desk) -> None:
    desk.put(CHAIN)
    desk.verify()
    desk.put(rewritten(make_chain(9), 7))
    (desk.pas / f"{event_name(CHAIN[7])[:-5]}.{CHAIN[7].event_hash[7:15]}.json").write_bytes(
        file_bytes(CHAIN[7])
    )
    assert "fork" in desk.kinds()
    assert not desk.verify().ok
    assert [d["head"] for d in desk.remembered()] == [CHAIN[7].event_hash]


def test_a_rewritten_shorter_chain(desk: Desk) -> None:
    desk.put(CHAIN)
    desk.verify()
    desk.put(rewritten(CHAIN[:4], 0))
    assert "chain_shrank" in desk.kinds()


def test_a_chain_that_is_gone(desk: Desk) -> None:
    other = make_chain(3, version_label="v2", first_ledger=5000)
    desk.put([*CHAIN, *other])
    assert desk.kinds() == []
    desk.put(other)
    report = desk.verify()
    assert not report.ok
    (gone,) = [f for f in report.findings if f.severity == "error"]
    assert (gone.kind, gone.chain_key, gone.expected) == ("chain_gone", KEY, CHAIN[-1].event_hash)
    assert desk.kinds(other[0].chain_key) == [], "the other was not asked about"


def test_two_chains_are_kept_apart(desk: Desk) -> None:
    other = make_chain(3, version_label="v2", first_ledger=5000)
    desk.put([*CHAIN, *other])
    desk.verify()
    desk.put([*CHAIN, *other[:2]])
    report = desk.verify()
    assert [c.ok for c in report.chains] == [True, False]
    assert report.chains[1].errors[0].kind == "chain_shrank"


def test_a_pruned_start_is_no_alarm(desk: Desk) -> None:
    desk.put(CHAIN[:5])
    desk.verify()
    for events in (CHAIN[2:5], CHAIN[4:6], CHAIN[6:]):
        desk.put(events)
        assert desk.kinds() == ["missing_event"]
    (seen,) = desk.remembered()
    assert seen["head"] == CHAIN[-1].event_hash


def test_pruned_beyond_what_was_seen(desk: Desk) -> None:
    desk.put(CHAIN[:3])
    desk.verify()
    desk.put(CHAIN[5:])
    for _ in range(2):
        assert desk.kinds() == ["remembered_head_pruned", "missing_event"]
    assert forget(desk.memory, str(desk.pas)) == 1
    assert desk.kinds() == ["missing_event"]


def test_a_rewritten_pruned_chain(desk: Desk) -> None:
    desk.put(CHAIN)
    desk.verify()
    desk.put(rewritten(CHAIN, 0)[2:])
    assert desk.kinds()[0] == "chain_changed"


def test_a_broken_chain_is_not_remembered(desk: Desk) -> None:
    desk.put([*CHAIN[:3], *CHAIN[4:]])
    desk.verify()
    assert desk.remembered() == []


def test_ledgers_left_out_do_not_hinder(desk: Desk) -> None:
    desk.put(rewritten([*CHAIN[:3], *CHAIN[4:]], 3))
    assert desk.kinds() == ["gap"]
    assert len(desk.remembered()) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"schema": "other"}', b"\xff", b"[" * 60_000, b"x" * 100_000, None],
)
def test_damaged_memory_is_said_until_it_is_forgotten(desk: Desk, content: bytes | None) -> None:
    desk.put(CHAIN)
    desk.verify()
    (file,) = desk.memory.glob("*.json")
    if content is None:
        doc = json.loads(file.read_bytes())
        content = json.dumps({**doc, "place": "/elsewhere"}).encode()
    file.write_bytes(content)
    for _ in range(2):
        report = desk.verify()
        assert report.ok
        assert report.chains[0].findings[0].kind == "memory_damaged"
        assert report.last_seen == ""
    assert file.read_bytes() == content, "evidence stays"
    assert forget(desk.memory, str(desk.pas)) == 1
    assert desk.kinds() == []
    assert desk.kinds() == []


def test_forgetting_one_chain(desk: Desk) -> None:
    other = make_chain(3, version_label="v2", first_ledger=5000)
    desk.put([*CHAIN, *other])
    desk.verify()
    assert forget(desk.memory, str(desk.pas), other[0].chain_key) == 1
    assert [d["chain_key"] for d in desk.remembered()] == [KEY]
    assert forget(desk.memory, "/nowhere") == 0
    assert forget(desk.memory / "none", str(desk.pas)) == 0


def test_another_place_is_compared_too(desk: Desk, tmp_path: Path) -> None:
    desk.put(CHAIN[:6])
    desk.verify()
    copy = tmp_path / "copy"
    desk.put(CHAIN, copy)
    assert all(f.kind == "head_missing" for f in desk.verify(folder=copy).all_findings())
    third = tmp_path / "third"
    desk.put(rewritten(CHAIN, 0), third)
    report = desk.verify(folder=third)
    assert report.ok
    (finding,) = [f for f in report.all_findings() if f.kind == "seen_elsewhere"]
    assert finding.severity == "warning"
    assert finding.expected == CHAIN[7].event_hash


def test_files_are_private(desk: Desk) -> None:
    desk.put(CHAIN)
    desk.verify()
    desk.verify()
    (file,) = desk.memory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert desk.memory.stat().st_mode & 0o777 == 0o700


def test_memory_that_cannot_be_used(desk: Desk) -> None:
    desk.put(CHAIN)
    desk.memory.parent.mkdir()
    desk.memory.write_bytes(b"a file")
    report = desk.verify()
    assert report.ok
    assert report.findings[0].kind == "memory_unusable"


def test_a_user_without_a_home(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", lost)
    assert memory_folder({}) is None
    desk.put(CHAIN)
    report = recall(verify_folder(desk.pas), None, now=NOW)
    assert report.ok
    assert report.findings[0].kind == "memory_unusable"
    assert forget(None, str(desk.pas)) == 0


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    default = Path("/home/somebody/.local/state/bronze/heads")
    assert memory_folder({}) == default
    assert memory_folder({"XDG_STATE_HOME": "relative"}) == default
    assert memory_folder({"XDG_STATE_HOME": "/state"}) == Path("/state/bronze/heads")
