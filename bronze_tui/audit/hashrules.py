"""By which rule an event's hash holds, and what that rule does not cover.

Version 1.1's own rule covers every field. Two others are known from elsewhere and are verified by
themselves; what they leave out is said in every report, because nobody can notice its change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from bronze_tui.audit.canonical import is_joined_hash, recompute
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.ingester import ingester_hash, ingester_name
from bronze_tui.audit.links import EventFile
from bronze_tui.audit.names import agrees, event_name
from bronze_tui.domain.audit import AuditEvent

HashRule = Literal["v1.1", "joined", "ingester"]

RULE_WORDS: dict[HashRule, str] = {
    "v1.1": "PAS v1.1, every field",
    "joined": "the older rule of joined fields",
    "ingester": "the DuckLake ingester's rule",
}
NOT_COVERED: dict[HashRule, str] = {
    "joined": "timestamp, event_id, producer, and each table's row_count, byte_size and "
    "storage_path",
    "ingester": "the timestamp below milliseconds, and the order in which tables are written",
}
"""Fields that can be altered without any trace, by rule."""


def is_joined(event: AuditEvent) -> bool:
    """Whether the stored hash is that of joined fields, and their text can be read in one way only.

    Fields are joined without escaping: ``|`` within one, or ``:`` in a table's name, would let a
    part of one field pass as a part of the next.
    """
    texts = [event.network, event.era_id, event.version_label]
    texts += [table.checksum for _, table in event.tables]
    plain = not any("|" in text for text in texts)
    return (
        plain
        and not any("|" in name or ":" in name for name, _ in event.tables)
        and is_joined_hash(event)
    )


def hash_of(item: EventFile) -> tuple[HashRule, str]:
    """The rule that the event's stored hash was made by (its shape's own where none gives it), and
    the hash that its content gives by that rule."""
    if item.ingester is not None:
        return "ingester", ingester_hash(item.event, item.ingester)
    computed = recompute(item.event)
    if computed != item.event.event_hash and is_joined(item.event):
        return "joined", item.event.event_hash
    return "v1.1", computed


def name_agrees(item: EventFile) -> bool:
    """Whether the file's name is the event's."""
    if item.ingester is not None:
        return item.file == ingester_name(item.event)
    return agrees(item.file, item.event)


def expected_name(item: EventFile) -> str:
    """The name that the file should have."""
    return ingester_name(item.event) if item.ingester is not None else event_name(item.event)


def rule_findings(
    chain_key: str, line: Sequence[EventFile], rules: Mapping[str, HashRule]
) -> Iterator[Finding]:
    """Weaker hashes, a change back to them, and figures of ingester's events that disagree.

    Args:
        line: the events in link order. rules: by file name.
    """
    yield from _weaker(chain_key, line, rules)
    for number, item in enumerate(line, 1):
        if item.ingester is not None:
            yield from _figures(chain_key, number, item)


def _weaker(
    chain_key: str, line: Sequence[EventFile], rules: Mapping[str, HashRule]
) -> Iterator[Finding]:
    strong = ""
    told = False
    count = sum(rules[item.file] == "joined" for item in line)
    for number, item in enumerate(line, 1):
        if rules[item.file] != "joined":
            strong = item.event.event_hash
            continue
        if not told:
            told = True
            text = (
                f"{count:,} events of the chain are hashed by {RULE_WORDS['joined']}, which does "
            )
            text += f"not cover {NOT_COVERED['joined']}"
            cause = "software from before the Go copier's present rule wrote them; what is not "
            cause += "covered may have been altered without any trace"
            yield _finding("weaker_hash", "warning", chain_key, number, item, text, cause)
        if strong:
            strong = ""
            text = "an event hashed by joined fields follows one whose hash covers every field"
            cause = "no copier goes back to the weaker rule: somebody made this event by hand"
            yield _finding("hash_rule_changed", "error", chain_key, number, item, text, cause)


def _figures(chain_key: str, number: int, item: EventFile) -> Iterator[Finding]:
    more, event = item.ingester, item.event
    assert more is not None
    rows = sum(table.row_count for _, table in event.tables)
    for what, said, is_so in (
        ("ledger_count", more.ledger_count, len(event.partition)),
        ("total_rows", more.total_rows, rows if event.tables else more.total_rows),
    ):
        if said != is_so:
            text = f"{what} is {said:,}, the event's own figures give {is_so:,}"
            cause = "the ingester left ledgers out, or somebody wrote this event by hand"
            yield _finding("row_count", "warning", chain_key, number, item, text, cause)


def _finding(
    kind: str, severity: str, key: str, number: int, item: EventFile, text: str, cause: str
) -> Finding:
    ledgers = str(item.event.partition)
    return Finding(kind, severity, key, text, number, ledgers, item.file, cause=cause)  # type: ignore[arg-type]
