"""The floor: time per ledger of what nobody can avoid, one thread, over a whole lake.

Read, zstd decompress, SHA-256 of the ledger, Parquet encode of the same bytes with the same codec
and row groups, SHA-256 of the file. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from bronze_tui.engine.memory import tune_allocator
from bronze_tui.tables.rows import ROW_GROUP_BYTES, ROW_GROUP_ROWS, Arena

_SCHEMA = pa.schema([pa.field("xdr_bytes", pa.binary(), nullable=False)])


def objects(lake: Path) -> list[Path]:
    """The lake's objects in ledger order."""
    found = [p for p in lake.rglob("*.xdr.zst*") if p.is_file()]
    return sorted(found, key=lambda p: int(p.name.split("--")[1].split(".")[0].split("-")[0]))


def write_group(writer: pq.ParquetWriter, arena: Arena, offsets: list[int]) -> None:
    """One row group of the one column."""
    column = pa.BinaryArray.from_buffers(
        pa.binary(),
        len(offsets) - 1,
        [None, pa.py_buffer(np.array(offsets, dtype=np.int32)), arena.buffer()],
    )
    writer.write_table(pa.Table.from_arrays([column], schema=_SCHEMA))


def run(lake: Path, partition_size: int, codec: str, level: int | None) -> dict[str, float]:
    """Time the primitives over all objects; ``seconds`` and ``ledgers``."""
    context = zstandard.ZstdDecompressor()
    arena = Arena()
    paths = objects(lake)
    begin = time.perf_counter()
    size = 0
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(paths), partition_size):
            target = Path(folder) / "part.parquet"
            writer = pq.ParquetWriter(
                target,
                _SCHEMA,
                compression=codec,
                compression_level=level,
                use_dictionary=False,
                write_statistics=False,
                write_batch_size=8,
            )
            arena.used, offsets = 0, [0]
            for path in paths[first : first + partition_size]:
                raw = context.decompressobj().decompress(path.read_bytes())
                xdr = np.frombuffer(raw, dtype=np.uint8)[12:]
                size += xdr.size
                hashlib.sha256(xdr).digest()
                full = arena.used + xdr.size > ROW_GROUP_BYTES or len(offsets) > ROW_GROUP_ROWS
                if full and len(offsets) > 1:
                    write_group(writer, arena, offsets)
                    arena.used, offsets = 0, [0]
                arena.append(xdr)
                offsets.append(arena.used)
            write_group(writer, arena, offsets)
            writer.close()
            with target.open("rb") as file:
                hashlib.file_digest(file, "sha256")
    return {"seconds": time.perf_counter() - begin, "ledgers": len(paths), "xdr_bytes": size}


def main() -> None:
    """Parse arguments, run, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lake", type=Path)
    parser.add_argument("--partition-size", type=int, default=1000)
    parser.add_argument("--codec", default="zstd")
    parser.add_argument("--level", type=int)
    args = parser.parse_args()
    tune_allocator(1)
    figures = run(args.lake, args.partition_size, args.codec, args.level)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures["cpu_seconds"] = usage.ru_utime + usage.ru_stime
    figures["peak_rss_bytes"] = usage.ru_maxrss * 1024
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
