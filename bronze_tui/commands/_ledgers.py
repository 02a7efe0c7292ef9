"""Ledgers one by one, from a lake object, a Parquet file of a copy, or the configured source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bronze_tui.domain.errors import SourceDataError
from bronze_tui.domain.text import safe_text

_PARQUET = b"PAR1"
_BATCH = 32


def ledgers_of(
    text: str, config: Path | None, sets: tuple[str, ...]
) -> Iterator[tuple[str, memoryview]]:
    """Where each ledger is, for people, and its LedgerCloseMeta.

    Args:
        text: a file, or a ledger number of the configured source.

    Raises:
        UsageError, SourceError: there are none.
    """
    from bronze_tui.commands.ledger import ledgers_in_file, ledgers_in_source

    if text.isascii() and text.isdigit():
        found = ledgers_in_source(int(text), config, sets)
    elif _is_parquet(Path(text)):
        yield from _rows(Path(text))
        return
    else:
        found = ledgers_in_file(Path(text))
    for name, xdr, facts in found:
        yield safe_text(name), memoryview(xdr)[facts.start : facts.end]


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PARQUET)) == _PARQUET
    except OSError:
        return False


def _rows(path: Path) -> Iterator[tuple[str, memoryview]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = safe_text(str(path))
    try:
        with pq.ParquetFile(str(path), pre_buffer=False) as file:
            columns = ["ledger_sequence", "xdr_bytes"]
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns, use_threads=False):
                for row in batch.to_pylist():
                    sequence, xdr = row["ledger_sequence"], row["xdr_bytes"]
                    if type(xdr) is not bytes:
                        raise ValueError("xdr_bytes is no binary column")
                    yield f"{where} ledger {sequence}", memoryview(xdr)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise SourceDataError(f"no partition of ledgers ({text})", where=where) from error
