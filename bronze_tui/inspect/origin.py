"""Asks the configured source and store: the same ledger there, and whether both can be reached."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bronze_tui.domain.errors import BronzeError, LedgerMismatch, UsageError
from bronze_tui.domain.ledger import LedgerFacts, LedgerRange
from bronze_tui.inspect.checks import Check
from bronze_tui.inspect.setup import Setup

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import LedgerSource, Store
    from bronze_tui.hooks.manager import PluginHost

_PROBE = b"bronze preflight\n"


class Origin:
    """The source and the store, opened when first asked for."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._host: PluginHost | None = None
        self._source: LedgerSource | None = None

    def close(self) -> None:
        """Release connections; idempotent."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def source(self) -> LedgerSource:
        """The configured source.

        Raises:
            UsageError: no configuration is known. PluginError, SourceError.
        """
        if self._source is None:
            if not self._setup.source_mode:
                raise UsageError("no source is known here", todo="start with --config of the copy")
            factory = self._plugins().source(self._setup.source_mode)
            self._source = factory(self._setup.source_options())
        assert self._source is not None
        return self._source

    def ledger(self, sequence: int) -> tuple[bytes, LedgerFacts, str]:
        """XDR of one ledger at the source, its facts, and the object it stands in.

        Raises:
            BronzeError: the source cannot give it.
        """
        from bronze_tui.lake.frames import decompress_frame
        from bronze_tui.xdr.header import LedgerReader, iter_ledgers

        source = self.source()
        for ref in source.batches(LedgerRange(sequence, sequence)):
            data = source.read(ref)
            raw = data
            if source.codec != "none":
                raw = decompress_frame(data, self._setup.max_ledger_bytes)
            for facts in iter_ledgers(raw, LedgerReader()):
                if facts.sequence == sequence:
                    return bytes(memoryview(raw)[facts.start : facts.end]), facts, ref.key
        raise LedgerMismatch(f"ledger {sequence} is not in its object at the source")

    def compare(self, sequence: int, stored: bytes, ledger_hash: str) -> Check:
        """What the source says of a stored ledger; errors of the source are no verdict."""
        try:
            theirs, facts, key = self.ledger(sequence)
        except BronzeError as error:
            return Check("source", "none", "not compared with the source", str(error))
        if theirs == stored:
            return Check("source", "ok", "the source has the same bytes", key)
        at = next(
            (i for i, (a, b) in enumerate(zip(stored, theirs, strict=False)) if a != b),
            min(len(stored), len(theirs)),
        )
        where = f"{key}: {len(theirs):,} bytes, ours {len(stored):,}, first difference at {at:,}"
        if facts.ledger_hash.hex() == ledger_hash:
            return Check("source", "bad", "same header at the source, OTHER BYTES", where)
        return Check("source", "bad", "the source has a DIFFERENT LEDGER", where)

    def preflight(self, *, write: bool) -> Iterator[Check]:
        """Source and store, one after the other.

        Args:
            write: make and remove a small staged file; else only look at permissions.
        """
        yield from self._source_checks()
        yield from self._store_checks(write)

    def _source_checks(self) -> Iterator[Check]:
        try:
            source = self.source()
            tip = source.tip()
        except BronzeError as error:
            yield Check("source", "bad", "source NOT reachable", str(error))
            return
        where = source.describe().location
        if tip is None:
            yield Check("source", "bad", "source reachable, but EMPTY", where)
            return
        yield Check("source", "ok", f"source reachable, newest ledger {tip:,}", where)
        yield self._tip_check(tip)

    def _tip_check(self, tip: int) -> Check:
        try:
            _, facts, key = self.ledger(tip)
        except BronzeError as error:
            return Check("newest", "bad", f"newest ledger {tip:,} NOT readable", str(error))
        now = datetime.now(UTC).timestamp()
        age = now - facts.close_time
        if age < -60:
            text = f"this clock is {-age:,.0f} s BEHIND the close of ledger {tip:,}"
            return Check("newest", "bad", text, key)
        closed = datetime.fromtimestamp(facts.close_time, UTC)
        return Check("newest", "ok", f"newest ledger closed {closed:%Y-%m-%d %H:%M:%SZ}", key)

    def _store_checks(self, write: bool) -> Iterator[Check]:
        try:
            store: Store = self._plugins().store(self._setup.store_backend)(
                self._setup.store_options()
            )
        except BronzeError as error:
            yield Check("store", "bad", "store CANNOT be opened", str(error))
            return
        try:
            where = store.uri("preflight").removesuffix("preflight")
            next(iter(store.list(self._setup.prefix)), None)
            yield Check("store", "ok", "store readable", where)
            yield self._writable(store, write)
        except BronzeError as error:
            yield Check("store", "bad", "store NOT usable", str(error))
        finally:
            store.close()

    def _writable(self, store: Store, write: bool) -> Check:
        root = store.local_path("preflight")
        if write:
            path = store.stage("preflight")
            try:
                path.write_bytes(_PROBE)
            except OSError as error:
                return Check("write", "bad", "store NOT writable", f"{path}: {error.strerror}")
            finally:
                path.unlink(missing_ok=True)
            return Check("write", "ok", "store takes a staged file", str(path.parent))
        if root is None:
            text = "store not written to: this view is read-only"
            return Check("write", "none", text, "permissions of a remote store show on a write")
        folder = root.parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if os.access(folder, os.W_OK | os.X_OK):
            return Check("write", "ok", "store folder writable", str(folder))
        return Check("write", "bad", "store folder NOT writable", str(folder))

    def _plugins(self) -> PluginHost:
        from bronze_tui.hooks.manager import load_plugins

        if self._host is None:
            self._host = load_plugins(
                allow=self._setup.allow,
                disable=self._setup.disable,
                needed={self._setup.source_mode, self._setup.store_backend} - {""},
            )
        return self._host


def plugin_records(setup: Setup) -> list[dict[str, Any]]:
    """Records of all plugins as ``bronze plugins --json`` prints them, those loaded that the
    configuration names."""
    from bronze_tui.hooks.manager import load_plugins

    host = load_plugins(
        allow=setup.allow,
        disable=setup.disable,
        needed={setup.source_mode, setup.store_backend} - {""},
    )
    return [record.to_json() for record in host.records]
