"""The lake source: learns a lake's layout once, then computes keys and reads objects.

It never decompresses or decodes, so archives of bare LedgerCloseMeta are read by the same keys.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice
from threading import Lock

from bronze_tui.domain.errors import (
    ConfigError,
    GapError,
    SourceDataError,
    SourceDenied,
    SourceUnavailable,
)
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.contracts import BatchRef, Codec, SourceInfo, SourceOptions
from bronze_tui.hooks.metering import RequestCounts
from bronze_tui.lake.keys import (
    EXTENSIONS,
    MANIFEST_NAME,
    LakeLayout,
    ObjectName,
    infer_layout,
    parse_key,
)
from bronze_tui.lake.manifest import LakeManifest, check_manifest, parse_manifest
from bronze_tui.lake.objects import LakeObjects
from bronze_tui.lake.search import newest_held

_SAMPLE = 1000
_MOST_FOREIGN = 20_000
_TIP_SECONDS = 1.0


class LakeSource:
    """Ledgers of one SEP-54 lake (``LedgerSource``).

    Args:
        objects: where the lake's objects are.
        options: the configuration's view of the lake, checked against what is found.

    Raises:
        ConfigError, SourceDataError, SourceDenied, SourceUnavailable: see the plugin that opens it.
    """

    def __init__(self, objects: LakeObjects, options: SourceOptions) -> None:
        self._objects = objects
        self._options = options
        self._lock = Lock()
        self._tip: tuple[float, int | None] = (0.0, None)
        self._manifest = self._read_manifest()
        self._sample = self._read_sample()
        self._layout = self._find_layout()

    def describe(self) -> SourceInfo:
        """See ``LedgerSource.describe``."""
        manifest, layout = self._manifest, self._layout
        declared = manifest.network_passphrase if manifest else None
        return SourceInfo(
            kind=self._options.mode,
            location=self._objects.location,
            network_passphrase=declared or self._options.network_passphrase or None,
            ledgers_per_batch=layout.ledgers_per_file if layout else None,
            batches_per_partition=layout.files_per_partition if layout else None,
            local=self._objects.is_local,
            notes=self._notes(),
        )

    def counters(self) -> RequestCounts:
        """See :class:`bronze_tui.hooks.contracts.Counted`."""
        return self._options.meter.counts()

    def tip(self) -> int | None:
        """The newest ledger, at most a second old: the last ledger of the first lake key; where
        nothing can be listed, of the objects that follow ``first_ledger`` without a gap.

        Raises:
            SourceDenied: the lake holds no lake objects near the front.
            SourceUnavailable: retryable. SourceDataError: objects do not fit the manifest.
        """
        with self._lock:
            now = time.monotonic()
            if self._tip[0] <= now - _TIP_SECONDS or self._tip[0] == 0.0:
                if self._layout is None:
                    self._sample = self._read_sample()
                    self._layout = self._find_layout()
                newest = self._newest() if self._objects.can_list else self._search()
                self._tip = (now, newest)
            return self._tip[1]

    def batches(self, ledgers: LedgerRange) -> list[BatchRef]:
        """See ``LedgerSource.batches``.

        Raises:
            SourceUnavailable: an empty lake without manifest, whose layout nobody knows yet.
        """
        if self._layout is None:
            raise SourceUnavailable(
                "the lake is empty and has no manifest, so its layout is not known",
                where=self._objects.location,
                todo="wait for its first object, or set source.ledgers_per_file and "
                "source.files_per_partition",
            )
        return self._layout.batches(ledgers)

    def read(self, ref: BatchRef) -> bytes:
        """See ``LedgerSource.read``; the other of the two extensions is tried before giving up."""
        try:
            return self._objects.read(ref.key)
        except FileNotFoundError:
            stem, _, extension = ref.key.rpartition(".")
        other = next(other for other in EXTENSIONS if other != extension)
        try:
            data = self._objects.read(f"{stem}.{other}")
        except FileNotFoundError:
            raise self._gap(ref) from None
        if self._layout and not self._sample:
            # No listing told the extension; now it is known and saves a request a ledger.
            self._layout = replace(self._layout, extension=other)
        return data

    @property
    def codec(self) -> Codec:
        """Lakes are zstd (SEP-54)."""
        return "zstd"

    def close(self) -> None:
        """See ``LedgerSource.close``."""
        self._objects.close()

    def _gap(self, ref: BatchRef) -> GapError:
        return GapError(
            f"no object for ledgers {ref.first}-{ref.last}",
            where=f"{self._objects.location}/{ref.key}",
            todo="fill the lake there (galexie scan-and-fill), then run again",
        )

    def _read_manifest(self) -> LakeManifest | None:
        where = f"{self._objects.location}/{MANIFEST_NAME}"
        try:
            manifest = parse_manifest(self._objects.read(MANIFEST_NAME), where=where)
        except FileNotFoundError:
            return None
        check_manifest(
            manifest,
            where=where,
            network_passphrase=self._options.network_passphrase,
            ledgers_per_file=self._options.ledgers_per_file,
            files_per_partition=self._options.files_per_partition,
        )
        return manifest

    def _read_sample(self) -> tuple[str, ...]:
        """The newest lake keys, enough to see layout and extensions."""
        if not self._objects.can_list:
            return ()
        first_keys = islice(self._objects.list_keys(), _SAMPLE)
        return tuple(key for key in first_keys if parse_key(key))

    def _find_layout(self) -> LakeLayout | None:
        seen = infer_layout(self._sample)
        manifest, options = self._manifest, self._options
        if manifest:
            per_file: int | None = manifest.ledgers_per_batch
            per_folder: int | None = manifest.batches_per_partition
        else:
            per_file = options.ledgers_per_file or (seen.ledgers_per_file if seen else None)
            per_folder = options.files_per_partition or (seen.files_per_partition if seen else None)
        if per_file is None or per_folder is None:
            if self._objects.can_list:
                return None
            raise ConfigError(
                [
                    f"{self._objects.location}: the lake has no manifest and cannot be listed; "
                    "set source.ledgers_per_file and source.files_per_partition"
                ]
            )
        layout = LakeLayout(per_file, per_folder, seen.extension if seen else EXTENSIONS[0])
        if self._sample and not any(_belongs(key, layout) for key in self._sample):
            raise self._misfit(layout, self._sample[0])
        return layout

    def _misfit(self, layout: LakeLayout, key: str) -> ConfigError | SourceDataError:
        cut = (
            f"{layout.ledgers_per_file} ledgers a file and {layout.files_per_partition} files a "
            f"partition, but its objects are named otherwise, such as {key}"
        )
        if self._manifest:
            return SourceDataError(
                f"the lake's manifest says {cut}",
                where=self._objects.location,
                todo="have its publisher repair it",
            )
        return ConfigError([f"{self._objects.location}: the configuration says {cut}"])

    def _search(self) -> int | None:
        """The newest ledger by asking for single objects, from the newest that was there before."""
        assert self._layout is not None, "a lake that cannot be listed has a layout or is refused"
        known = self._tip[1]
        start = self._layout.file_range(self._options.first_ledger if known is None else known)
        return newest_held(self._holds, start.start, self._layout.ledgers_per_file)

    def _holds(self, sequence: int) -> bool:
        assert self._layout is not None
        stem, _, extension = self._layout.key(sequence).rpartition(".")
        other = next(other for other in EXTENSIONS if other != extension)
        return any(self._objects.holds(f"{stem}.{each}") for each in (extension, other))

    def _newest(self) -> int | None:
        for foreign, key in enumerate(self._objects.list_keys(), 1):
            parsed = self._own(key)
            if parsed:
                return parsed.ledgers.end
            if foreign > _MOST_FOREIGN:
                raise SourceDenied(
                    f"none of the first {_MOST_FOREIGN} keys is a lake object",
                    where=self._objects.location,
                    todo="correct source.url: it must end at the folder of .config.json",
                )
        return None

    def _own(self, key: str) -> ObjectName | None:
        if self._layout is None or not _belongs(key, self._layout):
            return None
        return parse_key(key)

    def _notes(self) -> tuple[str, ...]:
        notes = self._manifest.notes if self._manifest else ()
        if len({key.rpartition(".")[2] for key in self._sample}) > 1:
            notes += ("the lake mixes .zst and .zstd objects; both are read",)
        return notes


def _belongs(key: str, layout: LakeLayout) -> bool:
    """Whether ``key`` is the one this layout computes, in either extension."""
    parsed = parse_key(key)
    if parsed is None:
        return False
    computed = layout.key(parsed.ledgers.start)
    return computed.rpartition(".")[0] == key.rpartition(".")[0]
