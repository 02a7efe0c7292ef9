"""What sources, stores and emitters promise. ``bronze_tui.testing`` has a suite for each.

Nothing here decodes, hashes or orders: the path of bytes is the engine's own code, so the same
ledgers give the same bytes whatever plugin carried them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.metering import RequestCounts, RequestMeter

Codec = Literal["zstd", "none"]


@dataclass(frozen=True, slots=True)
class BatchRef:
    """One readable object of a source and the ledgers it is named for.

    ``first`` may lie below the first ledger inside (SEP-54 names the genesis batch from 0).
    """

    key: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says of itself, for lineage, status and screens; never a secret."""

    kind: str
    """``source_type`` of the lineage row, the config's mode."""
    location: str
    """``source_location`` of the lineage row, without credentials."""
    network_passphrase: str | None = None
    ledgers_per_batch: int | None = None
    batches_per_partition: int | None = None
    local: bool = False
    """Reads cost no round trip: several objects are read in one go."""
    notes: tuple[str, ...] = ()
    """Warnings worth showing once, such as an unknown manifest version."""


class LedgerSource(Protocol):
    """Where ledgers come from. Every method may be called from several threads at once."""

    def describe(self) -> SourceInfo:
        """What this source is; no I/O beyond what opening it already did."""
        ...

    def tip(self) -> int | None:
        """The newest ledger held now, None when the source is empty.

        Raises:
            SourceUnavailable: retryable. SourceDenied: permanent.
        """
        ...

    def batches(self, ledgers: LedgerRange) -> Sequence[BatchRef]:
        """The objects that hold ``ledgers``, in order, computed without I/O."""
        ...

    def read(self, ref: BatchRef) -> bytes:
        """The object's bytes as stored.

        Raises:
            GapError: the object is absent (the engine tells a gap from the tip).
            SourceUnavailable: retryable. SourceDenied: permanent.
        """
        ...

    @property
    def codec(self) -> Codec:
        """How ``read`` bytes are compressed."""
        ...

    def close(self) -> None:
        """Release connections; idempotent."""
        ...


Created = Literal["created", "same"]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object seen by ``list`` or ``head``."""

    key: str
    size: int


class Store(Protocol):
    """Where partitions go. Keys are relative, slash-separated, already safe. Thread-safe."""

    def uri(self, key: str) -> str:
        """Full address for lineage and people, without credentials."""
        ...

    def stage(self, name: str) -> Path:
        """A fresh local path to build a file at; on a local store on the same filesystem.

        Raises:
            StoreRefused: no permission, read-only, disk full.
        """
        ...

    def create(self, key: str, data: bytes | Path) -> Created:
        """Make ``key`` durable with exactly these bytes, if absent; a Path came from ``stage``
        and is consumed.

        ``same`` when the object already holds these very bytes. When this returns, the bytes and
        the name survive a power cut.

        Raises:
            StoreConflict: other bytes stand there; nothing was changed and a staged file is kept.
            StoreUnavailable: retryable, the outcome is unknown. StoreRefused: permanent.
        """
        ...

    def replace(self, key: str, data: bytes | Path) -> None:
        """Atomically put these bytes at ``key``, whatever was there.

        Only for caches and for files of a partition that has no commit record.

        Raises:
            StoreUnavailable, StoreRefused.
        """
        ...

    def get(self, key: str) -> bytes:
        """The whole object.

        Raises:
            FileNotFoundError: absent. StoreUnavailable, StoreRefused.
        """
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``; fewer at the end of the object.

        Raises:
            FileNotFoundError: absent. StoreUnavailable, StoreRefused.
        """
        ...

    def head(self, key: str) -> StoredObject | None:
        """Size of the object, None when absent.

        Raises:
            StoreUnavailable, StoreRefused.
        """
        ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects below ``prefix`` (a folder with a final slash), in key order, temp files left
        out; nothing when absent.

        Raises:
            StoreUnavailable, StoreRefused.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; no error when absent. The engine only removes uncommitted files.

        Raises:
            StoreUnavailable, StoreRefused.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """The object as a file of this machine, None on a remote store."""
        ...

    def lock(self, key: str, owner: str) -> StoreLock:
        """Take the one-copier lock of a dataset.

        Raises:
            LockedError: held by a living owner, who is named. StoreRefused, StoreUnavailable.
        """
        ...

    def clean(self) -> int:
        """Remove staged files that dead copiers left; the number removed. Needs the lock."""
        ...

    def close(self) -> None:
        """Release connections; idempotent."""
        ...


class StoreLock(Protocol):
    """A held lock."""

    def heartbeat(self) -> None:
        """Say that the owner lives.

        Raises:
            LockedError: the lock was lost.
        """
        ...

    def release(self) -> None:
        """Give it back; idempotent."""
        ...


class Emitter(Protocol):
    """Where audit events go: at least once, in chain order, idempotent by event hash."""

    def emit(self, data: bytes, event: AuditEvent) -> None:
        """Deliver one event; ``data`` are its exact file bytes.

        Emitting an event again that already stands there is no error.

        Raises:
            StoreUnavailable: not delivered, or not known to be; it is tried again, not before
                the error's ``retry_after``. StoreRefused: the destination will not take it.
            StateError: the destination holds another event of this chain position.
        """
        ...

    def close(self) -> None:
        """Release connections; idempotent."""
        ...


class Counted(Protocol):
    """A source or store that counts its own requests through its options' ``meter``.

    The engine counts and paces the calls of one that does not say so.
    """

    def counters(self) -> RequestCounts:
        """Requests, bytes, retries and throttles since it was opened; no I/O."""
        ...


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The configuration's ``source`` section as a factory gets it."""

    mode: str
    url: str
    """``file:///abs/path``, ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://``, ``https://``."""
    region: str = ""
    endpoint: str = ""
    path_style: bool | None = None
    anonymous: bool = False
    requester_pays: bool = False
    ledgers_per_file: int | None = None
    files_per_partition: int | None = None
    network_passphrase: str = ""
    """When not empty, the lake's manifest must say the same."""
    first_ledger: int = 2
    """The first ledger that is wanted: where nothing can be listed, the newest is searched from
    there."""
    timeout: float = 60.0
    """Seconds that one request may take."""
    extra: tuple[tuple[str, str], ...] = ()
    """Settings of the source's client or of a third-party source, as text pairs."""
    meter: RequestMeter = field(default_factory=RequestMeter, compare=False, repr=False)
    """Told of every request, see :class:`Counted`."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The configuration's ``storage`` section as a factory gets it."""

    backend: str
    url: str
    """``file:///abs/path``, ``s3://bucket``, ``gs://bucket``; keys carry the prefix."""
    staging_dir: Path
    """Where a remote store builds files before it uploads them."""
    region: str = ""
    endpoint: str = ""
    path_style: bool | None = None
    anonymous: bool = False
    timeout: float = 120.0
    """Seconds that one request may take."""
    extra: tuple[tuple[str, str], ...] = ()
    meter: RequestMeter = field(default_factory=RequestMeter, compare=False, repr=False)
    """Told of every request, see :class:`Counted`."""


@dataclass(frozen=True, slots=True)
class EmitterOptions:
    """The configuration's ``pas`` section as a factory gets it."""

    backup_dir: Path
    endpoint: str = ""
    strict: bool = False
    token: str = field(default="", repr=False)
    """A secret: never part of an error or a log."""
    allow_private: bool = False
    """Addresses that are not public may be posted to."""
    extra: tuple[tuple[str, str], ...] = ()
