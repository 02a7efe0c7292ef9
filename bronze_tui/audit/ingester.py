"""Events of Obsrvr's DuckLake ingester (v2 and v3): a shape and a hash rule of their own.

    event_hash = hex( SHA-256( compact JSON of version, previous_hash, timestamp in milliseconds,
                               producer, batch with tables sorted by name ) )

One folder is one chain, eras included; the first event links to 64 zeros. Source: the ingester's
``pas`` package, read and not copied; ``docs/pas.md`` has the rule with a test vector.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bronze_tui.audit.canonical import ACCEPTED_ESCAPES, HASH_PREFIX, go_string
from bronze_tui.audit.event import (
    INGESTER_KEYS,
    TIMESTAMP,
    EventRejected,
    event_of,
    json_document,
    strict_form,
    strict_integer,
    strict_name,
    strict_object,
    strict_text,
)
from bronze_tui.audit.links import EventFile
from bronze_tui.domain.audit import AuditEvent, EventTable
from bronze_tui.domain.ledger import MAX_LEDGER
from bronze_tui.domain.partition import Producer

EVENT_TYPE = "ducklake_batch"
ERA, VERSION_LABEL = "(all eras)", "(ingester)"
"""Stand in the chain key: the ingester's chain knows a network only."""
GENESIS = "0" * 64
VERSION = "1.1"

_HEX = re.compile(r"[0-9a-f]{64}")
_KEYS = frozenset(("version", "event_hash", "previous_hash", "timestamp", "producer", "batch"))
_PRODUCER_KEYS = frozenset(("id", "version", "network", "era_id"))
_BATCH_KEYS = frozenset(
    (
        "ledger_start",
        "ledger_end",
        "ledger_count",
        "tables",
        "manifest_hash",
        "total_rows",
        "processing_duration_ms",
    )
)


@dataclass(frozen=True, slots=True)
class IngesterEvent:
    """What such an event has beyond an AuditEvent."""

    era_id: str
    ledger_count: int
    manifest_hash: str
    total_rows: int
    processing_duration_ms: int


def read_event_file(name: str, data: bytes) -> EventFile:
    """An event of version 1.1 or of the ingester.

    Raises:
        EventRejected: neither.
    """
    doc = json_document(data)
    if type(doc) is dict and doc.keys() >= INGESTER_KEYS:
        return _parsed(name, doc)
    return EventFile(name, event_of(doc))


def ingester_name(event: AuditEvent) -> str:
    """``pas_{start}_{end}_{time}.json``."""
    digits = event.timestamp[:19].replace("-", "").replace(":", "")
    return f"pas_{event.ledger_start}_{event.ledger_end}_{digits}Z.json"


def ingester_hash(event: AuditEvent, more: IngesterEvent) -> str:
    """The event's stored hash if the rule gives it in one of Go's escapings, else the expected."""
    expected = ""
    for escapes in ACCEPTED_ESCAPES:
        digest = sha256(_canonical(event, more, escapes)).hexdigest()
        if HASH_PREFIX + digest == event.event_hash:
            return event.event_hash
        expected = expected or HASH_PREFIX + digest
    return expected


def _canonical(event: AuditEvent, more: IngesterEvent, escapes: Any) -> bytes:
    def q(text: str) -> str:
        return go_string(text, escapes)

    seconds, _, fraction = event.timestamp.removesuffix("Z").partition(".")
    previous = event.prev_event_hash.removeprefix(HASH_PREFIX) or GENESIS
    tables = ",".join(
        f'{{"name":{q(name)},"row_count":{table.row_count}'
        + (f',"checksum":{q(table.checksum)}' if table.checksum else "")
        + "}"
        for name, table in event.tables
    )
    return (
        f'{{"version":{q(event.version)},"previous_hash":{q(previous)},'
        f'"timestamp":"{seconds}.{fraction[:3]:0<3}Z","producer":{{"id":{q(event.producer.name)},'
        f'"version":{q(event.producer.version)},"network":{q(event.network)},'
        f'"era_id":{q(more.era_id)}}},"batch":{{"ledger_start":{event.ledger_start},'
        f'"ledger_end":{event.ledger_end},"ledger_count":{more.ledger_count},'
        f'"tables":[{tables}],"manifest_hash":{q(more.manifest_hash)},'
        f'"total_rows":{more.total_rows},'
        f'"processing_duration_ms":{more.processing_duration_ms}}}}}'
    ).encode()


def _parsed(name: str, doc: dict[str, Any]) -> EventFile:
    doc = strict_object(doc, "event", _KEYS)
    producer = strict_object(doc["producer"], "producer", _PRODUCER_KEYS)
    batch = strict_object(doc["batch"], "batch", _BATCH_KEYS)
    version = strict_text(doc, "version")
    if version != VERSION:
        raise EventRejected(f"version is {version!a}, only {VERSION!r} is known of the ingester")
    start, end = strict_integer(batch, "ledger_start"), strict_integer(batch, "ledger_end")
    if not start <= end <= MAX_LEDGER:
        raise EventRejected(f"{start}-{end} is not a ledger range")
    own = HASH_PREFIX + strict_form(doc, "event_hash", _HEX, "64 hex digits")
    previous = strict_form(doc, "previous_hash", _HEX, "64 hex digits")
    event = AuditEvent(
        version,
        EVENT_TYPE,
        own,
        strict_form(doc, "timestamp", TIMESTAMP, "an RFC 3339 time in UTC"),
        strict_name(producer, "network"),
        ERA,
        VERSION_LABEL,
        start,
        end,
        _tables(batch["tables"]),
        Producer(strict_text(producer, "id"), strict_text(producer, "version"), ""),
        "" if previous == GENESIS else HASH_PREFIX + previous,
        own,
    )
    more = IngesterEvent(
        strict_text(producer, "era_id"),
        strict_integer(batch, "ledger_count"),
        strict_text(batch, "manifest_hash"),
        strict_integer(batch, "total_rows"),
        strict_integer(batch, "processing_duration_ms"),
    )
    return EventFile(name, event, more)


def _tables(doc: Any) -> tuple[tuple[str, EventTable], ...]:
    """None where no manifest was made: the ingester hashes that as an empty list."""
    if doc is None:
        return ()
    if type(doc) is not list:
        raise EventRejected("batch.tables is not a list")
    found: dict[str, EventTable] = {}
    for entry in doc:
        keys = frozenset(("name", "row_count"))
        if type(entry) is dict and "checksum" in entry:
            keys |= {"checksum"}
        table = strict_object(entry, "tables", keys)
        name = strict_text(table, "name")
        if name in found:
            raise EventRejected(f"table {name!a} stands twice in one event")
        checksum = strict_text(table, "checksum") if "checksum" in table else ""
        found[name] = EventTable(checksum, strict_integer(table, "row_count"), "", 0)
    return tuple(sorted(found.items(), key=lambda pair: pair[0].encode()))
