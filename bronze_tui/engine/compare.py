"""Whether the source still has what an uncommitted partition was built from; one read tells."""

from __future__ import annotations

from bronze_tui.domain.errors import SourceError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.context import Built, EraContext
from bronze_tui.lake.frames import FrameReader
from bronze_tui.xdr.header import LedgerReader, iter_ledgers


def source_contradicts(context: EraContext, built: Built) -> bool:
    """Whether the source has another ledger where the partition ends.

    The partition's ledgers are linked, so the last one vouches for all. Without this, what was
    built from a source that was wrong would stand for ever. A source that cannot tell, because it
    lacks the ledger or it is damaged there, does not contradict.
    """
    try:
        found = _hash_at(context, built.partition.end)
    except SourceError:
        return False
    return found is not None and found.hex() != built.links.last_hash


def _hash_at(context: EraContext, sequence: int) -> bytes | None:
    source = context.source
    frames, reader = FrameReader(context.options.max_ledger_bytes), LedgerReader()
    for ref in source.batches(LedgerRange(sequence, sequence)):
        data = source.read(ref)
        raw = data if source.codec == "none" else frames.read(data)
        for facts in iter_ledgers(raw, reader):
            if facts.sequence == sequence:
                return facts.ledger_hash
    return None
