"""The delivery state in the catalog: order, decisions, and what happens when they cross."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bronze_tui.audit.canonical import file_bytes
from bronze_tui.catalog import schema as s
from bronze_tui.catalog.deliveries import Deliveries
from bronze_tui.catalog.store import Catalog
from bronze_tui.domain.errors import UsageError
from bronze_tui.testing.emitter_contract import make_chain

CHAIN = make_chain(4)
KEY = CHAIN[0].chain_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A catalog with four events, made before deliveries were known."""
    file = tmp_path / "catalog.sqlite"
    catalog = Catalog(file)
    with catalog.transaction() as c:
        for seq, event in enumerate(CHAIN):
            c.execute(
                s.chain.insert().values(
                    chain_key=KEY,
                    seq=seq,
                    ledger_start=event.ledger_start,
                    ledger_end=event.ledger_end,
                    prev_event_hash=event.prev_event_hash,
                    event_hash=event.event_hash,
                    event=file_bytes(event),
                    first_previous_hash="",
                    last_ledger_hash="",
                    content_hash="",
                    checksum="",
                    commit_sha256="",
                    filed=seq < 3,
                    delivered=False,
                    created_at=f"2026-01-0{seq + 1}T00:00:00Z",
                )
            )
    catalog.close()
    with sqlite3.connect(file) as raw:
        raw.execute("drop table if exists _bronze_deliveries")
        raw.execute("drop index if exists idx_bronze_chain_undelivered")
        raw.execute("update _bronze_info set value = '2' where key = 'schema_version'")
    raw.close()
    return file


@pytest.fixture
def deliveries(path: Path) -> Iterator[Deliveries]:
    catalog = Catalog(path)
    yield Deliveries(catalog)
    catalog.close()


def next_seq(deliveries: Deliveries) -> int | None:
    queued = deliveries.next(KEY)
    return None if queued is None else queued.row.seq


def test_in_chain_order_until_nothing_waits(deliveries: Deliveries) -> None:
    for seq, event in enumerate(CHAIN):
        queued = deliveries.next(KEY)
        assert queued is not None
        assert (queued.row.seq, queued.row.event) == (seq, file_bytes(event))
        assert queued.row.filed == (seq < 3)
        assert deliveries.waiting(KEY) == (4 - seq, f"2026-01-0{seq + 1}T00:00:00Z")
        deliveries.mark_delivered(KEY, seq)
    assert deliveries.next(KEY) is None
    assert deliveries.waiting(KEY) == (0, "")
    backlog = deliveries.backlog(KEY)
    assert (backlog.delivered, backlog.head, backlog.next_seq) == (4, CHAIN[3].event_hash, None)


def test_a_parked_event_stays_next_until_it_is_retried(deliveries: Deliveries) -> None:
    deliveries.park(KEY, 0, "422 no")
    queued = deliveries.next(KEY)
    assert queued is not None
    assert (queued.row.seq, queued.state, queued.reason) == (0, "parked", "422 no")
    assert deliveries.take_untold(KEY) == [], "the run that parks it tells it"
    assert deliveries.retry(KEY, "ann@host") == 0
    assert deliveries.retry(KEY, "ann@host") is None
    queued = deliveries.next(KEY)
    assert queued is not None
    assert queued.state == "waiting"
    assert [(d.seq, d.decided_by) for d in deliveries.take_untold(KEY)] == [(0, "ann@host")]
    assert deliveries.take_untold(KEY) == []


def test_skipped_events_are_passed_and_kept_with_their_reason(deliveries: Deliveries) -> None:
    deliveries.mark_delivered(KEY, 0)
    assert deliveries.skip(KEY, 0, 2, "agreed", "ann@host") == [1, 2], "not what was delivered"
    assert next_seq(deliveries) == 3
    backlog = deliveries.backlog(KEY)
    assert [(d.seq, d.reason, d.decided_by) for d in backlog.skipped] == [
        (1, "agreed", "ann@host"),
        (2, "agreed", "ann@host"),
    ]
    assert (backlog.delivered, backlog.waiting, backlog.unfiled) == (1, 1, 1)
    for first, last in ((0, 0), (7, 9)):
        with pytest.raises(UsageError, match="waits for delivery"):
            deliveries.skip(KEY, first, last, "x", "ann@host")


def test_an_acknowledgement_that_crosses_a_skip_counts(deliveries: Deliveries) -> None:
    deliveries.skip(KEY, 0, 0, "agreed", "ann@host")
    deliveries.mark_delivered(KEY, 0)
    backlog = deliveries.backlog(KEY)
    assert (backlog.delivered, backlog.skipped) == (1, ())


def test_a_refusal_that_crosses_a_skip_does_not_park(deliveries: Deliveries) -> None:
    deliveries.skip(KEY, 0, 0, "agreed", "ann@host")
    deliveries.park(KEY, 0, "422")
    assert deliveries.backlog(KEY).parked is None
    assert next_seq(deliveries) == 1


def test_sending_again_begins_at_the_first(deliveries: Deliveries) -> None:
    deliveries.mark_delivered(KEY, 0)
    deliveries.skip(KEY, 1, 1, "agreed", "ann@host")
    deliveries.park(KEY, 2, "422")
    assert deliveries.resend(KEY, "ann@host") == 4
    assert next_seq(deliveries) == 0
    assert deliveries.backlog(KEY).waiting == 4


def test_another_process_sees_and_decides_at_once(path: Path, deliveries: Deliveries) -> None:
    deliveries.park(KEY, 0, "422")
    other = Catalog(path)
    assert Deliveries(other).skip(KEY, 0, 0, "agreed", "bob@host") == [0]
    other.close()
    assert next_seq(deliveries) == 1


def test_a_catalog_without_the_table_can_be_looked_at(path: Path) -> None:
    catalog = Catalog(path, read_only=True)
    deliveries = Deliveries(catalog, read_only=True)
    backlog = deliveries.backlog(KEY)
    assert (backlog.waiting, backlog.parked, backlog.skipped) == (4, None, ())
    assert deliveries.waiting("no/such/chain") == (0, "")
    catalog.close()
