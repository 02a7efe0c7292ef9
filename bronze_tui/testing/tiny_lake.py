"""Small chain-consistent lakes for demos and tests, and ways to damage them.

Same arguments, same bytes. Ledgers are signed by keys that everybody can derive: they prove
nothing and belong to no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

from bronze_tui.domain.ledger import FIRST_LEDGER, LedgerRange
from bronze_tui.lake.frames import decompress_frame
from bronze_tui.lake.keys import MANIFEST_NAME, LakeLayout, parse_key
from bronze_tui.lake.manifest import LakeManifest, write_manifest

if TYPE_CHECKING:
    import zstandard

    from bronze_tui.testing.tiny_ledgers import DemoLedger

DEMO_PASSPHRASE = "Bronze Demo Network ; January 2026"  # noqa: S105
_MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class TinyLedger:
    """What a copy of one ledger must show; the hash is hexadecimal."""

    sequence: int
    version: int
    ledger_hash: str
    close_time: int
    tx_count: int
    operation_count: int
    xdr: tuple[int, str]
    """Length in bytes and SHA-256 (hexadecimal) of its LedgerCloseMeta."""


@dataclass(frozen=True)
class TinyLake:
    """A lake on disk and what is in it."""

    root: Path
    ledgers: LedgerRange
    layout: LakeLayout
    network_passphrase: str
    facts: tuple[TinyLedger, ...]
    """One for each ledger, in order."""

    @property
    def url(self) -> str:
        """Its ``file://`` URL."""
        return self.root.resolve().as_uri()

    def fact(self, sequence: int) -> TinyLedger:
        """What is known of ``sequence``."""
        return self.facts[sequence - self.ledgers.start]

    def path(self, sequence: int) -> Path:
        """The object that holds ``sequence``."""
        return self.root / self.layout.key(sequence)


def write_tiny_lake(
    root: Path,
    *,
    first: int = FIRST_LEDGER,
    count: int = 64,
    ledgers_per_file: int = 1,
    files_per_partition: int = 64_000,
    extension: str = "zst",
    network_passphrase: str = DEMO_PASSPHRASE,
    bare: bool = False,
    seed: int = 0,
) -> TinyLake:
    """Write at least ``count`` ledgers from ``first``, widened to whole objects as Galexie does.

    Args:
        root: the lake's folder, made if absent; existing objects are replaced.
        bare: objects are one LedgerCloseMeta without batch, and no manifest is written.
        seed: other keys, amounts and hashes.

    Raises:
        ValueError: a count below 1, an impossible layout, or ``bare`` with several ledgers a file.
    """
    from bronze_tui.testing.tiny_ledgers import demo_ledgers

    if count < 1 or first < FIRST_LEDGER or (bare and ledgers_per_file > 1):
        raise ValueError("a tiny lake begins at 2 or later and bare objects hold one ledger")
    layout = LakeLayout(ledgers_per_file, files_per_partition, extension)
    ledgers = LedgerRange(
        max(layout.file_range(first).start, FIRST_LEDGER),
        layout.file_range(first + count - 1).end,
    )
    root.mkdir(parents=True, exist_ok=True)
    if not bare:
        manifest = LakeManifest(
            ledgers_per_file, files_per_partition, network_passphrase, "1.0", "zstd"
        )
        (root / MANIFEST_NAME).write_bytes(write_manifest(manifest))
    facts = _write_objects(root, layout, demo_ledgers(ledgers, network_passphrase, seed), bare)
    return TinyLake(root, ledgers, layout, network_passphrase, facts)


def make_frame(
    data: bytes, *, checksum: bool = True, content_size: bool = False, level: int = 3
) -> bytes:
    """One zstd frame; by default as Galexie writes it, with checksum and without size."""
    return _compressor(checksum, content_size, level).compress(data)


def find_object(root: Path, sequence: int) -> Path:
    """The object that holds ``sequence``.

    Raises:
        FileNotFoundError: the lake has none.
    """
    for path in root.rglob("*.xdr.*"):
        parsed = parse_key(path.relative_to(root).as_posix())
        if parsed and sequence in parsed.ledgers:
            return path
    raise FileNotFoundError(f"no object of ledger {sequence} in {root}")


def rewrite(root: Path, sequence: int, transform: Callable[[bytes], bytes]) -> Path:
    """Change the decompressed bytes of the object that holds ``sequence``; its path."""
    path = find_object(root, sequence)
    content = decompress_frame(path.read_bytes(), _MOST_BYTES)
    path.write_bytes(make_frame(transform(content)))
    return path


def replace_object(root: Path, sequence: int, data: bytes) -> Path:
    """Put ``data``, compressed or not, where the object of ``sequence`` is; its path."""
    path = find_object(root, sequence)
    path.write_bytes(data)
    return path


def remove(root: Path, sequence: int) -> Path:
    """Delete the object that holds ``sequence``; the path it had."""
    path = find_object(root, sequence)
    path.unlink()
    return path


def _write_objects(
    root: Path, layout: LakeLayout, ledgers: Iterable[DemoLedger], bare: bool
) -> tuple[TinyLedger, ...]:
    facts: list[TinyLedger] = []
    batch: list[DemoLedger] = []
    folders: set[Path] = set()
    compressor = _compressor(checksum=True, content_size=False, level=3)
    for ledger in ledgers:
        facts.append(_fact(ledger))
        batch.append(ledger)
        if ledger.sequence < layout.file_range(ledger.sequence).end:
            continue
        path = root / layout.key(ledger.sequence)
        if path.parent not in folders:
            path.parent.mkdir(exist_ok=True)
            folders.add(path.parent)
        path.write_bytes(compressor.compress(ledger.data if bare else _batch(batch)))
        batch = []
    return tuple(facts)


def _batch(ledgers: list[DemoLedger]) -> bytes:
    """LedgerCloseMetaBatch (SEP-54)."""
    head = pack(">III", ledgers[0].sequence, ledgers[-1].sequence, len(ledgers))
    return head + b"".join(ledger.data for ledger in ledgers)


def _fact(ledger: DemoLedger) -> TinyLedger:
    return TinyLedger(
        ledger.sequence,
        ledger.version,
        ledger.ledger_hash.hex(),
        ledger.close_time,
        ledger.tx_count,
        ledger.operation_count,
        (len(ledger.data), sha256(ledger.data).hexdigest()),
    )


def _compressor(checksum: bool, content_size: bool, level: int) -> zstandard.ZstdCompressor:
    import zstandard

    return zstandard.ZstdCompressor(
        level=level, write_checksum=checksum, write_content_size=content_size
    )
