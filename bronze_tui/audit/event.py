"""Reading PAS v1.1 events from bytes that nobody vouches for, and making new ones.

The hash of an event covers its known fields only, so everything else is refused here: unknown and
duplicate keys, other types, other forms.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from bronze_tui.audit.canonical import event_hash, rfc3339_nano
from bronze_tui.domain.audit import AuditEvent, EventTable
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import VerificationError
from bronze_tui.domain.ledger import MAX_LEDGER, LedgerRange
from bronze_tui.domain.partition import Producer

MAX_EVENT_BYTES = 65_535
"""C2SP tlog-tiles entries have a 16-bit length; a larger event could never be logged there."""

VERSION = "1.1"
EVENT_TYPE = "bronze_partition"

_INT64_MAX = 2**63 - 1
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_EVENT_ID = re.compile(r"pas_evt_[0-9a-f]{16}")
TIMESTAMP = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?Z"
)
_EVENT_KEYS = frozenset(
    ("version", "event_type", "event_id", "timestamp", "partition", "tables", "producer", "chain")
)
INGESTER_KEYS = frozenset(("previous_hash", "batch"))
_PARTITION_KEYS = frozenset(("network", "era_id", "version_label", "ledger_start", "ledger_end"))
_TABLE_KEYS = frozenset(("checksum", "row_count", "storage_path", "byte_size"))
_PRODUCER_KEYS = frozenset(("name", "version", "git_sha"))
_CHAIN_KEYS = frozenset(("prev_event_hash", "event_hash"))


class EventRejected(VerificationError):
    """Bytes are not a PAS v1.1 event.

    ``kind`` is ``unreadable`` (no JSON text at all: empty, cut, other bytes), ``unknown_key``,
    ``duplicate_key`` or ``malformed``.
    """

    def __init__(self, what: str, *, kind: str = "malformed", where: str = "") -> None:
        super().__init__(what, where=where)
        self.kind: Final = kind


def is_hash(text: str) -> bool:
    """Whether ``text`` is ``sha256:`` and 64 lowercase hex digits."""
    return _HASH.fullmatch(text) is not None


def parse_event(data: bytes, *, where: str) -> AuditEvent:
    """Read one event strictly; the timestamp's text is kept verbatim.

    Hash and links are not checked here, that is the chain's business.

    Raises:
        EventRejected: a VerificationError that names ``where`` and the rule broken.
    """
    try:
        return event_of(json_document(data))
    except EventRejected as error:
        raise EventRejected(error.what, kind=error.kind, where=where) from None


def new_event(
    era: Era,
    partition: LedgerRange,
    tables: Iterable[tuple[str, EventTable]],
    producer: Producer,
    prev_event_hash: str,
    *,
    clock_ns: Callable[[], int] = time.time_ns,
    event_id: Callable[[], str] = lambda: f"pas_evt_{secrets.token_hex(8)}",
) -> AuditEvent:
    """A hashed v1.1 event; ``prev_event_hash`` is empty for the first of its chain."""
    event = AuditEvent(
        version=VERSION,
        event_type=EVENT_TYPE,
        event_id=event_id(),
        timestamp=rfc3339_nano(clock_ns()),
        network=era.network,
        era_id=era.era_id,
        version_label=era.version_label,
        ledger_start=partition.start,
        ledger_end=partition.end,
        tables=tuple(sorted(tables, key=lambda pair: pair[0])),
        producer=producer,
        prev_event_hash=prev_event_hash,
        event_hash="",
    )
    return replace(event, event_hash=event_hash(event))


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    doc = dict(pairs)
    if len(doc) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise EventRejected(f"key {twice!a} stands twice in one object", kind="duplicate_key")
    return doc


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates)


def unique_json(text: str) -> Any:
    """Parse JSON text in which no object has a key twice.

    Raises:
        EventRejected: a key stands twice. ValueError, RecursionError: not JSON.
    """
    return _DECODER.decode(text)


def json_document(data: bytes) -> Any:
    """The JSON of a file that is small enough to be an event and has no key twice.

    Raises:
        EventRejected: it is anything else.
    """
    if not data:
        raise EventRejected("the file is empty", kind="unreadable")
    if len(data) > MAX_EVENT_BYTES:
        raise EventRejected(f"larger than {MAX_EVENT_BYTES} bytes", kind="unreadable")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        what = f"not UTF-8 at byte {error.start}"
        raise EventRejected(what, kind="unreadable") from None
    try:
        return unique_json(text)
    except json.JSONDecodeError as error:
        at_end = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        cut = ": it is cut off" if at_end else ""
        what = f"not JSON ({error.msg} at character {error.pos}){cut}"
        raise EventRejected(what, kind="unreadable") from None
    except RecursionError:
        raise EventRejected("JSON nested too deeply", kind="malformed") from None
    except ValueError:
        raise EventRejected("a number has too many digits", kind="malformed") from None


def event_of(doc: Any) -> AuditEvent:
    """The event that a JSON document is.

    Raises:
        EventRejected: it is anything else.
    """
    if type(doc) is dict and doc.keys() >= INGESTER_KEYS:
        raise EventRejected("an event of the DuckLake ingester, which has a chain of its own form")
    doc = strict_object(doc, "event", _EVENT_KEYS)
    version = strict_text(doc, "version")
    if version != VERSION:
        raise EventRejected(f"version is {version!a}, only {VERSION!r} is known here")
    if doc["event_type"] != EVENT_TYPE:
        raise EventRejected(f"event_type is {doc['event_type']!a}, not {EVENT_TYPE!r}")
    part = strict_object(doc["partition"], "partition", _PARTITION_KEYS)
    producer = strict_object(doc["producer"], "producer", _PRODUCER_KEYS)
    chain = strict_object(doc["chain"], "chain", _CHAIN_KEYS)
    start, end = strict_integer(part, "ledger_start"), strict_integer(part, "ledger_end")
    if not start <= end <= MAX_LEDGER:
        raise EventRejected(f"{start}-{end} is not a ledger range")
    prev = strict_text(chain, "prev_event_hash")
    return AuditEvent(
        version,
        EVENT_TYPE,
        strict_form(doc, "event_id", _EVENT_ID, "pas_evt_ and 16 hex digits"),
        strict_form(doc, "timestamp", TIMESTAMP, "an RFC 3339 time in UTC"),
        strict_name(part, "network"),
        strict_name(part, "era_id"),
        strict_name(part, "version_label"),
        start,
        end,
        _tables(doc["tables"]),
        Producer(
            strict_text(producer, "name"),
            strict_text(producer, "version"),
            strict_text(producer, "git_sha"),
        ),
        prev if not prev else strict_form(chain, "prev_event_hash", _HASH, "a sha256 hash"),
        strict_form(chain, "event_hash", _HASH, "a sha256 hash"),
    )


def _tables(doc: Any) -> tuple[tuple[str, EventTable], ...]:
    if type(doc) is not dict:
        raise EventRejected("tables is not an object")
    if not doc:
        raise EventRejected("tables is empty: an event announces at least one table")
    return tuple(
        (_unicode(name, "tables"), _table(strict_object(doc[name], "tables", _TABLE_KEYS)))
        for name in sorted(doc)
    )


def _table(doc: dict[str, Any]) -> EventTable:
    return EventTable(
        strict_form(doc, "checksum", _HASH, "a sha256 hash"),
        strict_integer(doc, "row_count"),
        strict_text(doc, "storage_path"),
        strict_integer(doc, "byte_size"),
    )


def strict_object(doc: Any, name: str, keys: frozenset[str]) -> dict[str, Any]:
    """``doc``, an object with exactly these keys.

    Raises:
        EventRejected: it is anything else; ``name`` says what.
    """
    if type(doc) is not dict:
        raise EventRejected(f"{name} is not an object")
    if doc.keys() != keys:
        unknown, missing = sorted(doc.keys() - keys), sorted(keys - doc.keys())
        if unknown:
            what = f"{name} has the unknown key {unknown[0]!a}, which no hash covers"
            raise EventRejected(what, kind="unknown_key")
        raise EventRejected(f"{name} lacks the key {missing[0]!r}")
    return doc


def strict_text(doc: dict[str, Any], key: str) -> str:
    """Text that can be UTF-8.

    Raises:
        EventRejected: it is anything else.
    """
    value = doc[key]
    if type(value) is str and value.isascii():
        return value
    return _unicode(value, key)


def _unicode(value: Any, key: str) -> str:
    if type(value) is not str:
        raise EventRejected(f"{key} is not a string")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise EventRejected(f"{key} holds half of a surrogate pair") from None
    return value


def strict_name(doc: dict[str, Any], key: str) -> str:
    """A part of a chain key.

    Raises:
        EventRejected: it cannot be one.
    """
    value = strict_text(doc, key)
    if not value:
        raise EventRejected(f"{key} is empty")
    if "/" in value or "\0" in value:
        raise EventRejected(f"{key} {value!a} cannot be part of a chain key")
    return value


def strict_form(doc: dict[str, Any], key: str, form: re.Pattern[str], words: str) -> str:
    """Text that is ``form`` from end to end; ``words`` says what is expected.

    Raises:
        EventRejected: it is anything else.
    """
    value = doc[key]
    if type(value) is not str or form.fullmatch(value) is None:
        raise EventRejected(f"{key} is not {words}")
    return value


def strict_integer(doc: dict[str, Any], key: str) -> int:
    """A whole number of 63 bits.

    Raises:
        EventRejected: it is anything else.
    """
    value = doc[key]
    if type(value) is not int or not 0 <= value <= _INT64_MAX:
        raise EventRejected(f"{key} is not a whole number of 64 bits")
    return value
