"""Attacks on a chain, each found at its first wrong event with a cause in plain words."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.audit.canonical import event_hash
from bronze_tui.audit.chain import ChainReport, verify_chains
from bronze_tui.audit.findings import KINDS
from bronze_tui.audit.links import EventFile
from bronze_tui.audit.names import event_name, event_name_apart
from bronze_tui.audit.ranges import Covered
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.testing.emitter_contract import make_chain

KEY = "testnet/p23_plus/v1"


def rehash(event: AuditEvent, **changes: object) -> AuditEvent:
    changed = replace(event, **changes)
    return replace(changed, event_hash=event_hash(changed))


def relink(events: list[AuditEvent]) -> list[AuditEvent]:
    """Link events anew in the order given, as a forger would."""
    linked: list[AuditEvent] = []
    for event in events:
        prev = linked[-1].event_hash if linked else ""
        linked.append(rehash(event, prev_event_hash=prev))
    return linked


def named(events: list[AuditEvent]) -> list[EventFile]:
    return [EventFile(event_name(e), e) for e in events]


def judge(
    files: list[EventFile] | list[AuditEvent], head: str | None = None, **options: object
) -> ChainReport:
    items = [f if isinstance(f, EventFile) else EventFile(event_name(f), f) for f in files]
    random.Random(7).shuffle(items)
    heads = {KEY: head} if head is not None else None
    reports = verify_chains(items, heads=heads, **options)
    return next(r for r in reports if r.chain_key == KEY)


def facts(report: ChainReport) -> list[tuple[str, int | None, str]]:
    return [(f.kind, f.event, f.ledgers) for f in report.errors]


def test_a_whole_chain() -> None:
    chain = make_chain(20)
    report = judge(chain, chain[-1].event_hash)
    assert report.ok
    assert report.findings == ()
    assert (report.events, report.head) == (20, chain[-1].event_hash)
    assert report.ledgers == (LedgerRange(1000, 1199),)
    assert (report.last_event_time, report.last_ledgers) == (chain[-1].timestamp, "1190-1199")
    assert [i.event for i in report.line] == chain


def test_order_comes_from_links_not_from_names() -> None:
    chain = make_chain(12, first_ledger=95)
    assert sorted(map(event_name, chain)) != list(map(event_name, chain))
    assert [i.event for i in judge(chain).line] == chain


def test_no_chain_at_all() -> None:
    assert verify_chains([]) == ()


def test_edited_event() -> None:
    chain = make_chain(9)
    chain[4] = replace(chain[4], timestamp="2020-01-01T00:00:00Z")
    report = judge(chain, chain[-1].event_hash)
    assert facts(report) == [("hash_mismatch", 5, "1040-1049")]
    finding = report.first_wrong
    assert finding is not None
    assert finding.expected == chain[4].event_hash
    assert finding.found == event_hash(chain[4])
    assert "altered" in finding.cause


def test_the_other_hash_of_the_go_copier_is_recognised() -> None:
    event = make_chain(1)[0]
    table = event.tables[0][1].checksum
    joined = f"1000|1009||testnet|p23_plus|v1|ledgers_lcm_raw:{table}|"
    event = replace(event, event_hash="sha256:" + sha256(joined.encode()).hexdigest())
    report = judge([event])
    assert facts(report) == [("hash_mismatch", 1, "1000-1009")]
    assert "joined by |" in report.first_wrong.cause


@pytest.mark.parametrize("at", [0, 4, 8])
def test_edited_and_hashed_anew(at: int) -> None:
    chain = make_chain(9)
    head = chain[-1].event_hash
    chain[at] = rehash(chain[at], timestamp="2020-01-01T00:00:00Z")
    report = judge(chain, head)
    if at == 8:
        assert [f.kind for f in report.errors] == ["head_mismatch"]
    else:
        assert facts(report) == [("broken_link", at + 1, str(chain[at].partition))]
        assert report.first_wrong.expected == chain[at + 1].prev_event_hash


def test_edited_link() -> None:
    chain = make_chain(5)
    chain[3] = replace(chain[3], prev_event_hash="sha256:" + "0" * 64)
    report = judge(chain)
    assert {f.kind for f in report.errors} == {"hash_mismatch", "broken_link"}
    assert {f.event for f in report.errors} == {4}


def test_middle_missing() -> None:
    chain = make_chain(9)
    report = judge(chain[:3] + chain[5:], chain[-1].event_hash)
    assert facts(report) == [("missing_event", 4, "1030-1049")]
    assert report.first_wrong.expected == chain[4].event_hash
    assert "deleted" in report.first_wrong.cause


def test_middle_damaged() -> None:
    chain = make_chain(4)
    report = judge([chain[0], *chain[2:]], damaged=frozenset({event_name(chain[1])}))
    assert facts(report) == [("missing_event", 2, "1010-1019")]
    assert "holds no readable event" in report.first_wrong.cause


def test_beginning_missing() -> None:
    chain = make_chain(5)
    report = judge(chain[2:], chain[-1].event_hash)
    assert facts(report) == [("missing_event", 1, "1019 and before")]
    assert "pruned" in report.first_wrong.cause


@pytest.mark.parametrize("cut", [1, 3])
def test_a_cut_tail_needs_a_head(cut: int) -> None:
    chain = make_chain(9)
    head, rest = chain[-1].event_hash, chain[:-cut]
    assert judge(rest, rest[-1].event_hash).ok, "the folder alone cannot show it"
    assert [f.kind for f in judge(rest, head).errors] == ["head_mismatch"]
    pinned = judge(rest, rest[-1].event_hash, pins={KEY: head})
    assert [f.kind for f in pinned.errors] == ["pinned_head_missing"]
    assert "cut off" in pinned.first_wrong.cause


def test_a_pinned_head_that_the_chain_grew_past() -> None:
    chain = make_chain(5)
    report = judge(chain, chain[-1].event_hash, pins={KEY: chain[2].event_hash})
    assert report.ok
    assert [(f.kind, f.severity, f.event) for f in report.findings] == [
        ("pinned_head_passed", "note", 3)
    ]
    assert judge(chain, pins={KEY: chain[-1].event_hash}).findings == ()


def test_all_events_removed() -> None:
    report = verify_chains([], heads={KEY: "sha256:" + "1" * 64})[0]
    assert [f.kind for f in report.errors] == ["head_mismatch"]


def test_removed_and_linked_anew() -> None:
    chain = make_chain(9)
    forged = relink(chain[:3] + chain[4:])
    report = judge(forged, forged[-1].event_hash)
    assert facts(report) == [("gap", 4, "1030-1039")]
    assert report.ledgers == (LedgerRange(1000, 1029), LedgerRange(1040, 1089))


def test_a_declared_hole_is_still_a_hole() -> None:
    chain = make_chain(9)
    forged = relink(chain[:3] + chain[4:])
    report = judge(forged, holes={KEY: [LedgerRange(1030, 1039)]})
    assert facts(report) == [("declared_gap", 4, "1030-1039")]


def test_a_hole_filled_late() -> None:
    chain = make_chain(9)
    late = relink(chain[:3] + chain[4:7] + [chain[3]] + chain[7:])
    report = judge(late, late[-1].event_hash, holes={KEY: [LedgerRange(1030, 1039)]})
    assert report.ok
    assert [(f.kind, f.severity, f.event) for f in report.findings] == [("hole_filled", "note", 7)]
    assert facts(judge(late)) == [("out_of_order", 4, "1040-1049")]


def test_a_gap_filled_in_part() -> None:
    chain = make_chain(9)
    late = relink(chain[:3] + chain[6:] + [chain[4]])
    report = judge(late)
    assert facts(report) == [
        ("out_of_order", 4, "1060-1069"),
        ("gap", 4, "1030-1039"),
        ("gap", 4, "1050-1059"),
    ]


def test_reordered_and_linked_anew() -> None:
    chain = make_chain(6)
    chain[2], chain[3] = chain[3], chain[2]
    forged = relink(chain)
    assert facts(judge(forged, forged[-1].event_hash)) == [("out_of_order", 3, "1030-1039")]


def test_an_event_from_before_the_first() -> None:
    chain = make_chain(4)
    forged = relink([*chain[1:], chain[0]])
    assert facts(judge(forged)) == [("out_of_order", 4, "1000-1009")]


def test_reordered_without_linking() -> None:
    chain = make_chain(6)
    one, two = chain[2], chain[3]
    chain[2] = rehash(one, ledger_start=two.ledger_start, ledger_end=two.ledger_end)
    chain[3] = rehash(two, ledger_start=one.ledger_start, ledger_end=one.ledger_end)
    report = judge(chain)
    assert not report.ok
    assert report.first_wrong.event == 3


class TestFork:
    def test_the_refused_event_of_the_go_copier(self) -> None:
        chain = make_chain(6)
        orphan, tail = chain[2], relink(chain[:2] + chain[3:])[2:]
        report = judge([*chain[:2], orphan, *tail], tail[-1].event_hash)
        assert facts(report) == [("fork", 3, "1020-1029")], "no gap besides: the event is there"
        finding = report.first_wrong
        assert finding.file == event_name(orphan)
        assert f"the HTTP endpoint refused event 1020-1029 ({orphan.event_id})" in finding.cause
        assert "went on from the old head" in finding.cause

    def test_two_histories(self) -> None:
        chain = make_chain(8)
        other = relink(
            chain[:4] + [rehash(e, event_id=e.event_id[:-4] + "ffff") for e in [chain[4]]]
        )
        for event in chain[5:7]:
            other.append(
                rehash(
                    event,
                    prev_event_hash=other[-1].event_hash,
                    event_id=f"pas_evt_{event.ledger_start:016x}",
                )
            )
        files = named(chain) + [EventFile(event_name_apart(e), e) for e in other[4:]]
        report = judge(files, chain[-1].event_hash)
        assert facts(report) == [("fork", 5, "1040-1049")]
        assert "two copiers" in report.first_wrong.cause
        assert report.head == chain[-1].event_hash
        pinned_to_other = judge(files, other[-1].event_hash)
        assert pinned_to_other.head == other[-1].event_hash, "the recorded head's line is kept"

    def test_three_ways(self) -> None:
        chain = make_chain(4)
        twins = [rehash(chain[2], event_id=f"pas_evt_{n:016x}") for n in (100, 101)]
        files = named(chain) + [EventFile(event_name_apart(e), e) for e in twins]
        assert [f.kind for f in judge(files).errors] == ["fork", "fork"]

    def test_a_fork_on_the_losing_side(self) -> None:
        chain = make_chain(6)
        side = [rehash(chain[1], event_id="pas_evt_" + "a" * 16)]
        for letter in "bc":
            side.append(
                rehash(
                    chain[2],
                    prev_event_hash=side[0].event_hash,
                    event_id="pas_evt_" + letter * 16,
                )
            )
        files = named(chain) + [EventFile(event_name_apart(e), e) for e in side]
        report = judge(files)
        assert facts(report) == [("fork", 2, "1010-1019")]
        assert report.events == 9

    def test_two_starts(self) -> None:
        chain = make_chain(3) + make_chain(3, first_ledger=1030)
        chain[3:] = relink(
            [rehash(e, event_id=f"pas_evt_{e.ledger_start:016x}") for e in chain[3:]]
        )
        report = judge(chain, chain[-1].event_hash)
        assert facts(report) == [("two_starts", 4, "1030-1039")]
        assert "pas-chain-heads.json was lost" in report.first_wrong.cause


def test_a_copy_of_an_old_event() -> None:
    chain = make_chain(5)
    copy = EventFile("testnet_p23_plus_v1_1050-1059.json", chain[1])
    report = judge([*named(chain), copy], chain[-1].event_hash)
    assert facts(report) == [("duplicate_event", 2, "1010-1019")]
    assert report.first_wrong.file == copy.file


def test_the_same_range_again() -> None:
    chain = make_chain(5)
    again = rehash(chain[1], prev_event_hash=chain[-1].event_hash, event_id="pas_evt_" + "f" * 16)
    report = judge([*named(chain), EventFile(event_name_apart(again), again)])
    assert facts(report) == [("duplicate_range", 6, "1010-1019")]
    assert "by event 2" in report.first_wrong.message


def test_an_event_id_twice() -> None:
    chain = make_chain(5)
    again = rehash(chain[1], prev_event_hash=chain[-1].event_hash)
    report = judge([*named(chain), EventFile(event_name_apart(again), again)])
    assert {f.kind for f in report.errors} == {"duplicate_range", "duplicate_event_id"}


def test_overlap() -> None:
    chain = make_chain(5)
    chain[2] = replace(chain[2], ledger_start=1015)
    report = judge(relink(chain))
    assert facts(report) == [("overlap", 3, "1015-1029")]
    assert report.first_wrong.found == "1015-1019"


def test_an_event_of_another_network() -> None:
    chain = make_chain(6)
    chain[2] = replace(chain[2], network="pubnet")
    forged = relink(chain)
    files = named(forged)
    ours = judge(files, forged[-1].event_hash)
    assert facts(ours) == [("foreign_event", 3, "1030-1039")]
    theirs = next(r for r in verify_chains(files) if r.chain_key == "pubnet/p23_plus/v1")
    assert facts(theirs) == [("foreign_event", 1, "1020-1029")]
    assert "testnet/p23_plus/v1" in theirs.first_wrong.message


@pytest.mark.parametrize(
    "rename",
    [
        lambda e: event_name(e).replace("1010", "9999"),
        lambda e: event_name(e).upper(),
        lambda e: event_name(e)[:-5] + ".00000000.json",
        lambda e: "event.json",
    ],
)
def test_a_name_that_is_not_the_events(rename: Callable[[AuditEvent], str]) -> None:
    chain = make_chain(3)
    files = named(chain)
    files[1] = EventFile(rename(chain[1]), chain[1])
    assert facts(judge(files)) == [("name_mismatch", 2, "1010-1019")]


def test_links_in_a_circle() -> None:
    one, two = make_chain(2)
    one = replace(one, prev_event_hash=two.event_hash)
    report = judge([one, two])
    assert [f.kind for f in report.errors].count("circular_links") == 2
    assert not report.ok


class TestHeads:
    def test_missing_and_stale_are_warnings(self) -> None:
        chain = make_chain(4)
        missing, stale = judge(chain, ""), judge(chain, chain[1].event_hash)
        assert missing.ok
        assert stale.ok
        assert [(f.kind, f.severity) for f in missing.findings] == [("head_missing", "warning")]
        assert [(f.kind, f.severity) for f in stale.findings] == [("head_stale", "warning")]
        assert "2 events behind" in stale.findings[0].message

    def test_foreign(self) -> None:
        report = judge(make_chain(4), "sha256:" + "9" * 64)
        assert [f.kind for f in report.errors] == ["head_mismatch"]


def test_rows_are_fewer_than_ledgers() -> None:
    chain = make_chain(3)
    name, table = chain[1].tables[0]
    chain[1] = replace(chain[1], tables=((name, replace(table, row_count=9)),))
    report = judge(relink(chain))
    assert report.ok
    assert [(f.kind, f.severity, f.event) for f in report.findings] == [("row_count", "warning", 2)]


def test_ledger_one_has_no_row() -> None:
    chain = make_chain(2, first_ledger=0)
    name, table = chain[0].tables[0]
    chain[0] = replace(chain[0], tables=((name, replace(table, row_count=8)),))
    assert judge(relink(chain)).findings == ()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=12))
def test_covered_against_a_set(pairs: list[tuple[int, int]]) -> None:
    ranges = [LedgerRange(s, s + n) for s, n in pairs]
    expected = {n for r in ranges for n in range(r.start, r.end + 1)}
    covered = Covered(ranges)
    found = covered.ranges()
    assert {n for r in found for n in range(r.start, r.end + 1)} == expected
    assert all(a.end + 1 < b.start for a, b in pairwise(found))
    probe = LedgerRange(10, 40)
    missing = {n for r in covered.missing(probe) for n in range(r.start, r.end + 1)}
    assert missing == set(range(10, 41)) - expected


EDITS = ("drop", "edit", "rehash", "swap", "copy", "relabel", "insert")


@settings(deadline=None)
@given(st.data())
def test_any_tampering_but_a_cut_tail_is_seen(data: st.DataObject) -> None:
    chain = make_chain(7)
    files = named(chain)
    at = data.draw(st.integers(0, 5))
    edit = data.draw(st.sampled_from(EDITS))
    event = chain[at]
    if edit == "drop":
        del files[at]
    elif edit == "edit":
        files[at] = EventFile(files[at].file, replace(event, event_id="pas_evt_" + "e" * 16))
    elif edit == "rehash":
        files[at] = EventFile(files[at].file, rehash(event, timestamp="2020-01-01T00:00:00Z"))
    elif edit == "swap":
        files[at], files[at + 1] = (
            EventFile(files[at].file, files[at + 1].event),
            EventFile(files[at + 1].file, files[at].event),
        )
    elif edit == "copy":
        files.append(EventFile(files[at].file.replace("p23", "p24"), event))
    elif edit == "relabel":
        files[at] = EventFile(files[at].file, rehash(event, version_label="v2"))
    else:
        twin = rehash(event, event_id="pas_evt_" + "d" * 16)
        files.append(EventFile(event_name_apart(twin), twin))
    assert not judge(files, chain[-1].event_hash).ok


hashes = st.sampled_from(["", *(f"sha256:{n:064x}" for n in range(6))])


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(hashes, hashes.filter(bool), st.integers(0, 9), st.integers(0, 3)), max_size=8
    )
)
def test_any_links_and_ranges_end_in_a_report(shape: list[tuple[str, str, int, int]]) -> None:
    base = make_chain(1)[0]
    files = []
    for n, (prev, own, start, more) in enumerate(shape):
        changes = {"ledger_start": start, "ledger_end": start + more}
        event = replace(base, prev_event_hash=prev, event_hash=own, **changes)
        files.append(EventFile(f"{n}.json", event))
    for report in verify_chains(files, heads={KEY: "sha256:" + "0" * 64}):
        assert not report.ok
        assert {f.kind for f in report.findings} <= set(KINDS)
        assert len(report.line) <= report.events
