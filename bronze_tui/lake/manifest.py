"""The lake's manifest ``.config.json`` (SEP-54): read, checked against settings, written.

Unknown fields are tolerated; a version we do not know is a note, since the layout alone decides
whether keys can be computed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from bronze_tui.domain.errors import ConfigError, SourceDataError
from bronze_tui.domain.ledger import MAX_LEDGER

KNOWN_VERSIONS = ("1.0", "0.1.0", "0.2.0")
COMPRESSIONS = ("zstd", "zst")
MAX_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LakeManifest:
    """What a lake says of itself; None where the manifest is silent."""

    ledgers_per_batch: int
    batches_per_partition: int
    network_passphrase: str | None = None
    version: str | None = None
    compression: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings worth showing once."""
        if self.version is None or self.version in KNOWN_VERSIONS:
            return ()
        return (f"lake manifest has unknown version {self.version!r}; its layout is used",)


def parse_manifest(data: bytes, *, where: str) -> LakeManifest:
    """Read ``.config.json``.

    Args:
        data: the file's bytes.
        where: its address, for errors.

    Raises:
        SourceDataError: not a JSON object, a field has the wrong type, the layout is missing or
            impossible, or the compression is not zstd.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise _broken(f"is {len(data)} bytes, more than {MAX_MANIFEST_BYTES}", where)
    try:
        fields = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _broken(f"is not JSON ({error})", where) from None
    if not isinstance(fields, dict):
        raise _broken("is not a JSON object", where)
    compression = _text(fields, "compression", where)
    if compression is not None and compression not in COMPRESSIONS:
        raise _broken(f"says compression {compression!r}, only zstd can be read", where)
    return LakeManifest(
        ledgers_per_batch=_count(fields, "ledgersPerBatch", where),
        batches_per_partition=_count(fields, "batchesPerPartition", where),
        network_passphrase=_text(fields, "networkPassphrase", where),
        version=_text(fields, "version", where),
        compression=compression,
    )


def check_manifest(
    manifest: LakeManifest,
    *,
    where: str,
    network_passphrase: str = "",
    ledgers_per_file: int | None = None,
    files_per_partition: int | None = None,
) -> None:
    """Compare the manifest with what the configuration says; empty and None say nothing.

    Raises:
        ConfigError: every difference, all at once.
    """
    pairs = (
        ("network passphrase", network_passphrase or None, manifest.network_passphrase),
        ("source.ledgers_per_file", ledgers_per_file, manifest.ledgers_per_batch),
        ("source.files_per_partition", files_per_partition, manifest.batches_per_partition),
    )
    problems = [
        f"{where}: the lake's manifest says {theirs!r}, the configuration's {name} is {ours!r}"
        for name, ours, theirs in pairs
        if ours is not None and theirs is not None and ours != theirs
    ]
    if problems:
        raise ConfigError(problems, where=where)


def write_manifest(manifest: LakeManifest) -> bytes:
    """The bytes of ``.config.json``, with every field that is not None."""
    fields = {
        "networkPassphrase": manifest.network_passphrase,
        "version": manifest.version,
        "compression": manifest.compression,
        "ledgersPerBatch": manifest.ledgers_per_batch,
        "batchesPerPartition": manifest.batches_per_partition,
    }
    said = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def _broken(what: str, where: str) -> SourceDataError:
    return SourceDataError(
        f"the lake's manifest {what}", where=where, todo="have its publisher repair it"
    )


def _text(fields: dict[str, object], name: str, where: str) -> str | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _broken(f"has a {name} that is not text: {value!r:.80}", where)


def _count(fields: dict[str, object], name: str, where: str) -> int:
    value = fields.get(name)
    if value is None:
        raise _broken(f"lacks {name}", where)
    if type(value) is int and 1 <= value <= MAX_LEDGER:
        return value
    raise _broken(f"has a {name} that is not 1 to {MAX_LEDGER}: {value!r:.80}", where)
