"""Byte-exact forms of a PAS v1.1 event: what is hashed, what is filed, how time is written.

Both forms are those of Go's ``encoding/json`` for a struct (declaration order, HTML escaping on),
so that chains begun by the Go copier and by us continue each other. ``docs/pas.md`` specifies them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

from bronze_tui.domain.audit import AuditEvent

HASH_PREFIX = "sha256:"

_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_ESCAPED = {chr(c): f"\\u{c:04x}" for c in (*range(0x20), 0x2028, 0x2029, *b"<>&")} | _SHORT
_LONG = {"\b": "\\u0008", "\f": "\\u000c"}
_REPLACEMENT = {"\ufffd": "\\ufffd"}
_SPECIAL = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ufffd]')

# Go before 1.22 wrote the long forms; Go writes the escape where it replaced an invalid byte.
ACCEPTED_ESCAPES: tuple[Mapping[str, str], ...] = (
    _ESCAPED,
    _ESCAPED | _LONG,
    _ESCAPED | _REPLACEMENT,
    _ESCAPED | _LONG | _REPLACEMENT,
)


def go_string(text: str, escapes: Mapping[str, str] = _ESCAPED) -> str:
    """``text`` as Go's ``json.Marshal`` writes it, quotes included."""
    if not _SPECIAL.search(text):
        return f'"{text}"'
    return '"' + _SPECIAL.sub(lambda match: escapes.get(match[0], match[0]), text) + '"'


def canonical(event: AuditEvent) -> bytes:
    """The bytes whose SHA-256 is the event's hash: compact JSON with ``event_hash`` empty."""
    return _compact(event, _ESCAPED)


def event_hash(event: AuditEvent) -> str:
    """``sha256:`` and the lowercase hex SHA-256 of ``canonical(event)``."""
    return HASH_PREFIX + sha256(canonical(event)).hexdigest()


def recompute(event: AuditEvent) -> str:
    """The event's stored hash if one of the accepted escapings gives it, else the expected one."""
    expected = event_hash(event)
    if expected == event.event_hash:
        return expected
    for escapes in ACCEPTED_ESCAPES[1:]:
        if HASH_PREFIX + sha256(_compact(event, escapes)).hexdigest() == event.event_hash:
            return event.event_hash
    return expected


def hashed_bytes(event: AuditEvent) -> bytes:
    """The bytes that give the event's stored hash, in whichever accepted escaping; the canonical
    form where none does. They are the data of the event's leaf in a tree."""
    for escapes in ACCEPTED_ESCAPES:
        data = _compact(event, escapes)
        if HASH_PREFIX + sha256(data).hexdigest() == event.event_hash:
            return data
    return canonical(event)


def is_joined_hash(event: AuditEvent) -> bool:
    """Whether the stored hash is the Go copier's other form, which never reaches its own files.

    That form joins range, link, names and checksums by ``|``; it covers neither time nor counts.
    """
    parts = [str(event.ledger_start), str(event.ledger_end), event.prev_event_hash]
    parts += [event.network, event.era_id, event.version_label]
    parts += [f"{name}:{table.checksum}" for name, table in event.tables]
    digest = sha256("".join(f"{part}|" for part in parts).encode()).hexdigest()
    return event.event_hash == HASH_PREFIX + digest


def file_bytes(event: AuditEvent) -> bytes:
    """The event's file: Go's ``MarshalIndent`` with two spaces, no newline at the end."""
    q = go_string
    tables = ",\n".join(
        f'    {q(name)}: {{\n      "checksum": {q(t.checksum)},\n'
        f'      "row_count": {t.row_count},\n      "storage_path": {q(t.storage_path)},\n'
        f'      "byte_size": {t.byte_size}\n    }}'
        for name, t in event.tables
    )
    return (
        f'{{\n  "version": {q(event.version)},\n  "event_type": {q(event.event_type)},\n'
        f'  "event_id": {q(event.event_id)},\n  "timestamp": {q(event.timestamp)},\n'
        f'  "partition": {{\n    "network": {q(event.network)},\n'
        f'    "era_id": {q(event.era_id)},\n    "version_label": {q(event.version_label)},\n'
        f'    "ledger_start": {event.ledger_start},\n    "ledger_end": {event.ledger_end}\n  }},\n'
        f'  "tables": {{\n{tables}\n  }},\n'
        f'  "producer": {{\n    "name": {q(event.producer.name)},\n'
        f'    "version": {q(event.producer.version)},\n'
        f'    "git_sha": {q(event.producer.git_sha)}\n  }},\n'
        f'  "chain": {{\n    "prev_event_hash": {q(event.prev_event_hash)},\n'
        f'    "event_hash": {q(event.event_hash)}\n  }}\n}}'
    ).encode()


def heads_bytes(heads: Mapping[str, str]) -> bytes:
    """``pas-chain-heads.json`` as Go writes it: chain keys in byte order, no final newline."""
    if not heads:
        return b"{}"
    lines = ",\n".join(f"  {go_string(k)}: {go_string(v)}" for k, v in sorted(heads.items()))
    return f"{{\n{lines}\n}}".encode()


def rfc3339_nano(ns: int) -> str:
    """Unix time in nanoseconds as Go's RFC3339Nano in UTC.

    Trailing zeros of the fraction are removed, and the dot with them when nothing is left.
    """
    seconds, fraction = divmod(ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def _compact(event: AuditEvent, escapes: Mapping[str, str]) -> bytes:
    if not _SPECIAL.search("".join(_texts(event))):
        return _compact_plain(event)
    q: Callable[[str], str] = partial(go_string, escapes=escapes)
    tables = ",".join(
        f'{q(name)}:{{"checksum":{q(t.checksum)},"row_count":{t.row_count},'
        f'"storage_path":{q(t.storage_path)},"byte_size":{t.byte_size}}}'
        for name, t in event.tables
    )
    return (
        f'{{"version":{q(event.version)},"event_type":{q(event.event_type)},'
        f'"event_id":{q(event.event_id)},"timestamp":{q(event.timestamp)},'
        f'"partition":{{"network":{q(event.network)},"era_id":{q(event.era_id)},'
        f'"version_label":{q(event.version_label)},"ledger_start":{event.ledger_start},'
        f'"ledger_end":{event.ledger_end}}},"tables":{{{tables}}},'
        f'"producer":{{"name":{q(event.producer.name)},"version":{q(event.producer.version)},'
        f'"git_sha":{q(event.producer.git_sha)}}},'
        f'"chain":{{"prev_event_hash":{q(event.prev_event_hash)},"event_hash":""}}}}'
    ).encode()


def _compact_plain(event: AuditEvent) -> bytes:
    """The same where no character is escaped, as nearly always: half the time."""
    producer = event.producer
    tables = ",".join(
        f'"{name}":{{"checksum":"{t.checksum}","row_count":{t.row_count},'
        f'"storage_path":"{t.storage_path}","byte_size":{t.byte_size}}}'
        for name, t in event.tables
    )
    return (
        f'{{"version":"{event.version}","event_type":"{event.event_type}",'
        f'"event_id":"{event.event_id}","timestamp":"{event.timestamp}",'
        f'"partition":{{"network":"{event.network}","era_id":"{event.era_id}",'
        f'"version_label":"{event.version_label}","ledger_start":{event.ledger_start},'
        f'"ledger_end":{event.ledger_end}}},"tables":{{{tables}}},'
        f'"producer":{{"name":"{producer.name}","version":"{producer.version}",'
        f'"git_sha":"{producer.git_sha}"}},'
        f'"chain":{{"prev_event_hash":"{event.prev_event_hash}","event_hash":""}}}}'
    ).encode()


def _texts(event: AuditEvent) -> Iterator[str]:
    producer = event.producer
    yield from (event.version, event.event_type, event.event_id, event.timestamp)
    yield from (event.network, event.era_id, event.version_label, event.prev_event_hash)
    yield from (producer.name, producer.version, producer.git_sha)
    for name, table in event.tables:
        yield from (name, table.checksum, table.storage_path)
