"""Level ``manifest``: events, manifests, commit records and catalog say the same.

They are four witnesses that one operator keeps; where they differ, one was altered or lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bronze_tui.audit.canonical import HASH_PREFIX
from bronze_tui.audit.data import Data, Outside
from bronze_tui.audit.event import EventRejected, unique_json
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.levels.unit import Outcome, Unit
from bronze_tui.audit.ranges import Covered
from bronze_tui.domain.audit import EventTable
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.layout import RAW_TABLE
from bronze_tui.domain.ledger import LedgerRange

_LIMIT = 1 << 20
_FIELDS = ("checksum", "row_count", "byte_size")
_ALTERED = "one of the two was altered, or the partition was made again after it was announced"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a dataset's folder says of itself."""

    by_record: bool
    """Whether it has commit records; a Go copier's has none."""
    ranges: tuple[LedgerRange, ...]
    """Committed partitions in ledger order: by record, else by manifest."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """What the catalog says of one partition."""

    partition: LedgerRange
    event_hash: str
    checksum: str
    commit_sha256: str


def list_dataset(data: Data, chain_key: str) -> Listing:
    """The committed partitions of one dataset.

    Raises:
        Outside: the chain key names no folder. SourceDenied, StoreError: it cannot be listed.
    """
    records = [
        name.removesuffix(".json")
        for name in data.names(f"{chain_key}/_commits")
        if name.endswith(".json")
    ]
    if records:
        return Listing(True, tuple(sorted(_ranges(records))))
    folders = (
        name.removesuffix("/_manifest.json").removeprefix("range=")
        for name in data.names(f"{chain_key}/{RAW_TABLE}")
        if name.startswith("range=") and name.endswith("/_manifest.json")
    )
    return Listing(False, tuple(sorted(_ranges(folders))))


def unit_of_records(data: Data, chain_key: str, partition: LedgerRange, by_record: bool) -> Unit:
    """A partition without an event, as its commit record or manifest has it.

    Raises:
        StateError: that cannot be read.
    """
    folder = f"{chain_key}/{RAW_TABLE}/range={partition}"
    key = f"{chain_key}/_commits/{partition}.json" if by_record else f"{folder}/_manifest.json"
    try:
        doc = _object(data.get(key, _LIMIT))
        tables = tuple(
            (
                str(name),
                EventTable(
                    str(t["checksum"]),
                    int(t["row_count"]),
                    f"{chain_key}/{name}/range={partition}",
                    int(t["byte_size"]),
                ),
            )
            for name, t in sorted(doc["tables"].items())
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        EventRejected,
    ) as error:
        raise StateError(f"cannot be read ({error})", where=key) from error
    return Unit(chain_key, partition, tables)


def check_manifests(
    out: Outcome, data: Data, listing: Listing, catalog: Mapping[LedgerRange, CatalogEntry] | None
) -> dict[str, dict[str, Any]]:
    """Compare one partition's event with its manifests, commit record and catalog row.

    Returns:
        The manifests by table, those that could be read.
    """
    unit = out.unit
    manifests: dict[str, dict[str, Any]] = {}
    sums: dict[str, str] = {}
    for name, table in unit.tables:
        key = f"{table.storage_path}/_manifest.json"
        raw = _read(out, data, key, "manifest_missing", "manifest_malformed")
        if raw is None:
            continue
        manifests[name], sums[name] = raw[0], raw[1]
        _manifest(out, key, raw[0], name, table)
    if listing.by_record:
        _record(out, data, manifests, sums)
    if catalog is not None:
        _catalog(out, catalog.get(unit.partition))
    return manifests


def _manifest(out: Outcome, key: str, doc: dict[str, Any], name: str, table: EventTable) -> None:
    unit = out.unit
    network, era, version = unit.chain_key.split("/")
    names = {
        "start": unit.partition.start,
        "end": unit.partition.end,
        "network": network,
        "era_id": era,
        "version": version,
    }
    part = doc.get("partition")
    for field, value in names.items():
        found = part.get(field) if isinstance(part, dict) else None
        if found != value:
            _differs(out, "manifest_mismatch", key, f"partition.{field}", value, found)
    _table(out, "manifest_mismatch", key, doc, name, table)


def _table(
    out: Outcome, kind: Any, key: str, doc: dict[str, Any], name: str, table: EventTable
) -> None:
    tables = doc.get("tables")
    entry = tables.get(name) if isinstance(tables, dict) else None
    if not isinstance(entry, dict):
        _differs(out, kind, key, f"tables.{name}", "an entry", "none")
        return
    for field in _FIELDS:
        if entry.get(field) != getattr(table, field):
            _differs(out, kind, key, f"{name}.{field}", getattr(table, field), entry.get(field))


def _record(
    out: Outcome, data: Data, manifests: dict[str, dict[str, Any]], sums: dict[str, str]
) -> None:
    unit = out.unit
    key = f"{unit.chain_key}/_commits/{unit.partition}.json"
    raw = _read(out, data, key, "record_missing", "record_malformed")
    if raw is None:
        return
    doc = raw[0]
    start, end = unit.partition.start, unit.partition.end
    if doc.get("partition") != {"start": start, "end": end}:
        _differs(out, "record_mismatch", key, "partition", unit.partition, doc.get("partition"))
    if doc.get("chain_key") != unit.chain_key:
        _differs(out, "record_mismatch", key, "chain_key", unit.chain_key, doc.get("chain_key"))
    for name, table in unit.tables:
        _table(out, "record_mismatch", key, doc, name, table)
        known = doc.get("manifests")
        wanted = known.get(name) if isinstance(known, dict) else None
        if name in sums and wanted != sums[name]:
            what = f"SHA-256 of the manifest of {name}"
            _differs(out, "record_mismatch", key, what, wanted, sums[name])
        if name in manifests and doc.get("links") != manifests[name].get("links"):
            _differs(
                out, "record_mismatch", key, "links", manifests[name].get("links"), doc.get("links")
            )


def _catalog(out: Outcome, entry: CatalogEntry | None) -> None:
    unit = out.unit
    if entry is None:
        cause = "the catalog was lost or is another copy's; bronze catalog rebuild makes it anew"
        text = "the catalog has no row of this partition"
        out.add("catalog_mismatch", text, cause=cause)
        return
    if unit.event is not None and entry.event_hash != unit.event.event_hash:
        expected, found = unit.event.event_hash, entry.event_hash
        _differs(out, "catalog_mismatch", "catalog", "event hash", expected, found)
    raw = next((table for name, table in unit.tables if name == RAW_TABLE), None)
    if raw is not None and entry.checksum != raw.checksum:
        _differs(out, "catalog_mismatch", "catalog", "checksum", raw.checksum, entry.checksum)


def unannounced(
    chain_key: str, listing: Listing, units: Iterable[Unit], covered: Iterable[LedgerRange]
) -> Iterator[Finding]:
    """Committed partitions that no event announces.

    One behind the chain's last event is a copier at work; more are a tail that was cut off.

    Args:
        covered: ledgers of all events of the chain, those beside its line too.
    """
    known = {unit.partition for unit in units if unit.chain_key == chain_key}
    if not known:
        text = "no audit event announces this dataset: it is compared with its own records only"
        yield Finding("unannounced", "warning", chain_key, text, cause="pas.enabled is off")
        return
    on_line, anywhere = Covered(known), Covered(covered)
    last = max(p.end for p in known)
    left = [
        p for p in listing.ranges if p not in known and (on_line.touched(p) or anywhere.missing(p))
    ]
    behind = [p for p in left if p.start > last]
    for partition in left:
        at_work = behind == [partition]
        cause = "the chain's last events were removed, or pas.enabled was off"
        if at_work:
            cause = (
                "a copier is at work or was killed between the two; or the last event was removed"
            )
        elif partition not in behind:
            cause = "its event was removed, or the partition was put here later"
        yield Finding(
            "unannounced",
            "warning" if at_work else "error",
            chain_key,
            "the partition is committed, and no event announces it",
            None,
            str(partition),
            cause=cause,
        )


def _read(
    out: Outcome, data: Data, key: str, missing: Any, malformed: Any
) -> tuple[dict[str, Any], str] | None:
    try:
        raw = data.get(key, _LIMIT)
        return _object(raw), HASH_PREFIX + sha256(raw).hexdigest()
    except Outside:
        out.add(malformed, "the event's path leaves the data folder", found=key)
    except (FileNotFoundError, NotADirectoryError):
        what = "manifest" if missing == "manifest_missing" else "commit record"
        cause = "it was deleted or never copied here, or the event is of a partition not committed"
        out.add(missing, f"the partition has no {what}", file=key, cause=cause)
    except OSError as error:
        out.add("file_unreadable", error.strerror or str(error), file=key)
    except (ValueError, RecursionError, EventRejected) as error:
        out.add(malformed, f"is no JSON object ({error})", file=key, cause="it was cut or altered")
    return None


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > _LIMIT:
        raise ValueError(f"larger than {_LIMIT} bytes")
    doc = unique_json(raw.decode())
    if not isinstance(doc, dict):
        raise ValueError("another JSON value")
    return doc


def _differs(out: Outcome, kind: Any, key: str, what: str, expected: Any, found: Any) -> None:
    text = f"{what} is not what {'the event' if out.unit.event else 'its record'} says"
    if kind == "record_mismatch" and (what == "links" or what.startswith("SHA-256")):
        text = f"{what}: commit record and manifest differ"
    out.add(kind, text, file=key, expected=str(expected), found=str(found), cause=_ALTERED)


def _ranges(names: Iterable[str]) -> Iterator[LedgerRange]:
    for name in names:
        try:
            yield LedgerRange.parse(name)
        except ValueError:
            continue
