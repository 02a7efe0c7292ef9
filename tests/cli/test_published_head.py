"""``bronze verify PATH --vkey``: what was signed against what is in the folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bronze_tui.audit.canonical import event_hash, file_bytes, heads_bytes
from bronze_tui.audit.names import HEADS_FILE, event_name
from bronze_tui.audit.note import SigningKey, sign_note
from bronze_tui.audit.signedhead import leaf_hashes, origin_of, sign_head
from bronze_tui.cli import group
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import BronzeError, SourceDenied, UsageError
from bronze_tui.testing.emitter_contract import make_chain

CHAIN = make_chain(9)
KEY = SigningKey("example.com/b", bytes(range(32)))
STRANGER = SigningKey("example.com/b", bytes(range(1, 33)))
VKEY = str(KEY.verify_key)
CHAIN_KEY = CHAIN[0].chain_key


@pytest.fixture
def pas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BRONZE_VKEY", raising=False)
    folder = tmp_path / "pas-backup"
    folder.mkdir()
    put(folder, CHAIN[:5])
    sign(folder, CHAIN[:5])
    return folder


def put(folder: Path, events: Sequence[AuditEvent]) -> None:
    for path in folder.glob("*.json"):
        path.unlink()
    for event in events:
        (folder / event_name(event)).write_bytes(file_bytes(event))
    if events:
        heads = {events[-1].chain_key: events[-1].event_hash}
        (folder / HEADS_FILE).write_bytes(heads_bytes(heads))


def head_of(folder: Path) -> Path:
    return folder / f"{CHAIN_KEY.replace('/', '_')}.signed-head"


def sign(folder: Path, events: Sequence[AuditEvent], key: SigningKey = KEY) -> Path:
    path = head_of(folder)
    path.write_bytes(sign_head(leaf_hashes(events), CHAIN_KEY, key))
    return path


def rewritten(events: Sequence[AuditEvent], at: int) -> list[AuditEvent]:
    """Another time in event ``at``, and everything behind it linked anew."""
    made: list[AuditEvent] = []
    for n, event in enumerate(events):
        prev = made[-1].event_hash if made else ""
        at_time = "2020-01-01T00:00:00Z" if n == at else event.timestamp
        fresh = replace(event, timestamp=at_time, prev_event_hash=prev, event_hash="")
        made.append(replace(fresh, event_hash=event_hash(fresh)))
    return made


def verify(folder: Path, *args: object) -> Result:
    words = ["verify", str(folder), "--no-memory", *map(str, args)]
    return CliRunner().invoke(group, words, standalone_mode=False)


def report(folder: Path, *args: object) -> dict[str, Any]:
    result = verify(folder, "--json", *args)
    if isinstance(result.exception, BronzeError):
        raise result.exception
    return dict(json.loads(result.stdout))


def judged(folder: Path, *args: object) -> tuple[str, list[tuple[str, str]]]:
    """The head's state, and the findings about it."""
    doc = report(folder, "--vkey", VKEY, *args)
    found = [*doc["findings"], *(f for chain in doc["chains"] for f in chain["findings"])]
    pairs = [(f["kind"], f["severity"]) for f in found if f["kind"].startswith("signed_head")]
    assert doc["verdict"] == ("broken" if ("error" in dict(map(reversed, pairs))) else "ok")
    state = doc["chains"][0]["signed_head"]["state"] if doc["chains"] else ""
    return state, pairs


def test_the_head_of_all_events(pas: Path) -> None:
    assert judged(pas) == ("current", [])
    doc = report(pas, "--vkey", VKEY)["chains"][0]["signed_head"]
    assert (doc["size"], doc["signers"]) == (5, "example.com/b")
    text = verify(pas, "--vkey", VKEY).stdout
    assert "signed head 5 events, signed by example.com/b: the chain's last event" in text
    assert "Head not pinned" not in text
    page = pas.parent / "report.md"
    verify(pas, "--vkey", VKEY, "--report", page)
    assert "signed head | 5 events, signed by example.com/b" in page.read_text()
    assert "signed head" not in verify(pas).stdout, "nobody said whose signature counts"


def test_a_head_older_than_the_chain_is_shown_to_be_its_beginning(pas: Path) -> None:
    put(pas, CHAIN)
    assert judged(pas) == ("behind", [])
    assert "the chain only grew since, by 4 events" in verify(pas, "--vkey", VKEY).stdout


def test_missing_events_are_loud(pas: Path) -> None:
    put(pas, CHAIN[:3])
    assert verify(pas).exit_code == 0, "from the folder alone the chain is whole"
    assert judged(pas) == ("ahead", [("signed_head_ahead", "error")])
    text = verify(pas, "--vkey", VKEY).stdout
    assert "EVENTS ARE MISSING: 5 were signed and 3 are here, 2 of them are gone" in text
    put(pas, [])
    assert judged(pas)[1] == [("signed_head_ahead", "error")], "no event is left at all"
    bare = pas.rename(pas.parent / "events")
    assert judged(bare)[1] == [("signed_head_ahead", "error")]


@pytest.mark.parametrize("size", [5, 9])
def test_a_rewritten_chain(pas: Path, size: int) -> None:
    put(pas, rewritten(CHAIN[:size], 2))
    assert verify(pas).exit_code == 0
    assert judged(pas) == ("mismatch", [("signed_head_mismatch", "error")])
    put(pas, rewritten(CHAIN, 7))
    assert judged(pas) == ("behind", []), "what came after the head it does not cover"


def test_signatures_that_do_not_count(pas: Path) -> None:
    text = head_of(pas).read_text()
    sign(pas, CHAIN[:5], STRANGER)
    assert judged(pas) == ("unknown_key", [("signed_head_unknown_key", "error")])
    head_of(pas).write_text(text.replace("\n5\n", "\n4\n"))
    assert judged(pas) == ("bad_signature", [("signed_head_bad_signature", "error")])
    head_of(pas).write_text("no note")
    assert judged(pas) == ("malformed", [("signed_head_malformed", "error")])
    head_of(pas).write_bytes(sign_note("one line\n", KEY))
    assert judged(pas) == ("malformed", [("signed_head_malformed", "error")])


def test_a_head_of_another_log(pas: Path) -> None:
    other = sign_head(leaf_hashes(CHAIN[:5]), "testnet/other/v1", KEY)
    head_of(pas).write_bytes(other)
    assert judged(pas) == ("other_origin", [("signed_head_other_origin", "error")])


def test_no_head_is_an_error_where_a_key_was_given(
    pas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head_of(pas).unlink()
    assert judged(pas) == ("missing", [("signed_head_missing", "error")])
    monkeypatch.setenv("BRONZE_VKEY", VKEY)
    result = verify(pas)
    assert result.exit_code == 0, "the variable may be set for other folders"
    assert "warning signed_head_missing" in result.stdout


def test_a_head_that_was_kept_elsewhere(pas: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(head_of(pas).read_bytes())
    put(pas, CHAIN)
    head_of(pas).unlink()
    state, found = judged(pas, "--old-head", kept)
    assert (state, found) == ("missing", [("signed_head_missing", "warning")])
    fork = rewritten(CHAIN, 3)
    put(pas, fork)
    sign(pas, fork)
    state, found = judged(pas, "--old-head", kept)
    assert state == "current", "the folder's own head agrees with its own events"
    assert found == [("signed_head_mismatch", "error")]
    kept.write_bytes(sign_head(leaf_hashes(CHAIN), "a/b/c", KEY))
    assert ("signed_head_ahead", "error") in judged(pas, "--old-head", kept)[1]


def test_levels_below_the_chain_and_one_chain_of_several(pas: Path, tmp_path: Path) -> None:
    other = tuple(replace(event, era_id="other") for event in CHAIN[:2])
    linked = rewritten(other, -1)
    for event in linked:
        (pas / event_name(event)).write_bytes(file_bytes(event))
    args = ("--vkey", VKEY, "--chain", CHAIN_KEY)
    assert [c["signed_head"]["state"] for c in report(pas, *args)["chains"]] == ["current"]
    kept = tmp_path / "kept"
    kept.write_bytes(sign_head(leaf_hashes(linked), linked[0].chain_key, KEY))
    assert judged(pas, "--chain", CHAIN_KEY, "--old-head", kept)[1] == [
        ("signed_head_other_origin", "error")
    ], "the head of the chain that nobody asked about"
    doc = report(pas, "--vkey", VKEY)
    assert {c["chain_key"]: c["signed_head"]["state"] for c in doc["chains"]} == {
        CHAIN_KEY: "current",
        linked[0].chain_key: "missing",
    }


def test_what_cannot_be_said(pas: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="whose signature"):
        report(pas, "--old-head", head_of(pas))
    with pytest.raises(SourceDenied):
        report(pas, "--vkey", VKEY, "--old-head", tmp_path / "nothing")
    with pytest.raises(UsageError, match="not a verification key"):
        report(pas, "--vkey", "nonsense")
    head_of(pas).unlink()
    head_of(pas).mkdir()
    with pytest.raises(SourceDenied):
        report(pas, "--vkey", VKEY)


def test_origins_are_escaped() -> None:
    from bronze_tui.audit.publishedhead import chain_of_origin

    assert chain_of_origin(origin_of("a.b/c", "n/e 1/v%")) == "n/e 1/v%"
    assert chain_of_origin("nothing") == ""
