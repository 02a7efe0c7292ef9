"""Asks the configured source for the same ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bronze_tui.domain.errors import BronzeError, LedgerMismatch, UsageError
from bronze_tui.domain.ledger import LedgerFacts, LedgerRange
from bronze_tui.inspect.checks import Check
from bronze_tui.inspect.setup import Setup

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import LedgerSource
    from bronze_tui.hooks.manager import PluginHost


class Origin:
    """The source, opened when first asked for."""

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
