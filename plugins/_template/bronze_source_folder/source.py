"""Ledgers from files named ``{sequence}.xdr``, each one uncompressed LedgerCloseMetaBatch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bronze_tui.domain.errors import ConfigError, GapError, SourceDenied
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.contracts import BatchRef, Codec, SourceInfo, SourceOptions


class FolderSource:
    """A LedgerSource; it keeps no state, so any number of threads may use it."""

    codec: Codec = "none"

    def __init__(self, options: SourceOptions) -> None:
        url = urlsplit(options.url)
        if url.scheme != "file" or url.netloc or not url.path.startswith("/"):
            raise ConfigError([f"source.url {options.url!r} is not file:///absolute/path"])
        self._folder = Path(unquote(url.path))

    def describe(self) -> SourceInfo:
        """Kind and location."""
        return SourceInfo("folder", str(self._folder), ledgers_per_batch=1)

    def tip(self) -> int | None:
        """The greatest number among the file names."""
        try:
            names = [path.stem for path in self._folder.glob("*.xdr")]
        except OSError as error:
            raise self._denied(self._folder, error) from error
        return max((int(name) for name in names if name.isascii() and name.isdigit()), default=None)

    def batches(self, ledgers: LedgerRange) -> Sequence[BatchRef]:
        """One file a ledger."""
        return [BatchRef(f"{n}.xdr", n, n) for n in range(ledgers.start, ledgers.end + 1)]

    def read(self, ref: BatchRef) -> bytes:
        """The file's bytes.

        Raises:
            GapError: there is no such file. SourceDenied: it cannot be read.
        """
        path = self._folder / ref.key
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise GapError(
                f"ledger {ref.first} is missing", where=str(path), todo="add the file and run again"
            ) from error
        except OSError as error:
            raise self._denied(path, error) from error

    def close(self) -> None:
        """Nothing is held open."""

    def _denied(self, path: Path, error: OSError) -> SourceDenied:
        return SourceDenied(
            f"cannot be read ({error.strerror})", where=str(path), todo="check its permissions"
        )
