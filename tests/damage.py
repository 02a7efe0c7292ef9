"""Ways to spoil the small lake's ledgers, and what must hold of a dataset after bad input.

The small lake has ledgers 2 to 17 in four partitions of four; most damage is done to ledger 7,
which stands inside the second one.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

from copying import Run, Site, digests

from bronze_tui.audit.folder import resolve, verify_folder
from bronze_tui.lake.frames import decompress_frame
from bronze_tui.testing.tiny_lake import find_object, make_frame, replace_object, rewrite
from bronze_tui.xdr.header import LedgerReader

RANGES = ["2-5", "6-9", "10-13", "14-17"]
BATCH_HEAD = 12
"""Bytes before the first ledger of a batch: first, last and count."""

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_VECTOR_OF_ONE = struct.pack(">III", 16, 1, 1)
_CONTRACT_DATA_KEY = struct.pack(">II", 6, 1) + bytes(32)


def object_bytes(lake: Path, sequence: int) -> bytes:
    """The object as it lies in the lake."""
    return find_object(lake, sequence).read_bytes()


def content(lake: Path, sequence: int) -> bytes:
    """The object decompressed."""
    return decompress_frame(object_bytes(lake, sequence), 1 << 28)


def spoil(sequence: int, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change the object's stored bytes."""

    def act(lake: Path) -> None:
        replace_object(lake, sequence, change(object_bytes(lake, sequence)))

    return act


def reword(sequence: int, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change the object's decompressed bytes; the frame stays sound."""

    def act(lake: Path) -> None:
        rewrite(lake, sequence, change)

    return act


def reframe(sequence: int, frame: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Compress the object's content anew by ``frame``."""

    def act(lake: Path) -> None:
        replace_object(lake, sequence, frame(content(lake, sequence)))

    return act


def flip(data: bytes, offset: int, bit: int = 0) -> bytes:
    """``data`` with one bit turned; negative offsets count from the end."""
    spoiled = bytearray(data)
    spoiled[offset] ^= 1 << bit
    return bytes(spoiled)


def header_offset(data: bytes) -> int:
    """Where the LedgerHeader of a batch's first ledger begins."""
    return LedgerReader().read(data, BATCH_HEAD).header_start


def set_word(data: bytes, offset: int, value: int) -> bytes:
    """``data`` with one big-endian word replaced; negative offsets count from the end."""
    offset %= len(data)
    return data[:offset] + struct.pack(">I", value) + data[offset + 4 :]


def bomb(blocks: int) -> bytes:
    """A zstd frame of ``blocks`` repeated 128 KiB blocks: four bytes each, no size declared."""
    repeat = 1 << 1 | (1 << 17) << 3
    last = repeat | 1
    body = [(repeat.to_bytes(3, "little") + b"\0") * (blocks - 1), last.to_bytes(3, "little")]
    return b"".join((ZSTD_MAGIC, b"\x00\x58", *body, b"\0"))


def five_terabytes() -> bytes:
    """A zstd frame that declares five terabytes and holds nothing."""
    return ZSTD_MAGIC + b"\xe0" + (5 << 40).to_bytes(8, "little") + b"\x01\0\0"


def lying_frame(data: bytes, declared: int) -> bytes:
    """A frame whose header declares another content size; content of 256 to 65,791 bytes."""
    frame = bytearray(make_frame(data, content_size=True))
    if frame[4] >> 6 != 1:
        raise ValueError("the content size is not the two-byte form")
    at = 5 if frame[4] & 0x20 else 6
    frame[at : at + 2] = struct.pack("<H", declared - 256)
    return bytes(frame)


def deep(data: bytes) -> bytes:
    """The V1 ledger with an evicted key of 100,000 nested vectors."""
    return data[:-8] + struct.pack(">I", 1) + _CONTRACT_DATA_KEY + _VECTOR_OF_ONE * 100_000


def reforge(data: bytes) -> bytes:
    """Another ledger of the same sequence and parent: one header bit turned, the hash renewed."""
    ledger = LedgerReader().read(data, BATCH_HEAD)
    forged = bytearray(flip(data, ledger.header_end - 20))
    header = forged[ledger.header_start : ledger.header_end]
    forged[ledger.header_start - 32 : ledger.header_start] = sha256(header).digest()
    return bytes(forged)


def without_a_result(data: bytes) -> bytes:
    """The V1 ledger with one transaction result less than its set has."""
    from stellar_sdk import xdr

    meta = xdr.LedgerCloseMeta.from_xdr_bytes(data[BATCH_HEAD:])
    assert meta.v1 is not None
    meta.v1.tx_processing.pop()
    return data[:BATCH_HEAD] + meta.to_xdr_bytes()


def mend(site: Site, lake: Path) -> None:
    """Give the site the undamaged lake again."""
    shutil.rmtree(site.lake)
    shutil.copytree(lake, site.lake)


def check_refused(
    site: Site,
    run: Run,
    clean: dict[str, str],
    error: str,
    *words: str,
    code: int = 5,
    partition: str = "6-9",
) -> None:
    """The run halted at ``partition`` and said why; what lies before it is committed."""
    assert run.code == code, run.finished.message
    [failed] = run.of("partition_failed")
    assert (failed["partition"], failed["error_type"]) == (partition, error)
    assert failed["halts"]
    assert failed["todo"]
    for word in words:
        assert word in failed["error"], failed["error"]
        assert word in run.finished.message
    assert "defect" not in run.finished.message
    check_committed(site, clean, RANGES[: RANGES.index(partition)])


def check_committed(site: Site, clean: dict[str, str], ranges: Iterable[str]) -> None:
    """Exactly these partitions are committed, in every place that says so, with clean bytes."""
    expected = list(ranges)
    assert site.ranges() == expected
    events = [e["partition"] for e in site.events()]
    assert [f"{e['ledger_start']}-{e['ledger_end']}" for e in events] == expected
    assert [f"{a}-{b}" for a, b in lineage(site)] == expected
    found = digests(site.table, "**/*.parquet")
    for name in expected:
        key = f"range={name}/part-{name}.parquet"
        assert found[key] == clean[key]


def lineage(site: Site) -> list[tuple[int, int]]:
    """First and last ledgers of the catalog's lineage rows."""
    with sqlite3.connect(site.state / "catalog.sqlite") as catalog:
        query = "select ledger_start, ledger_end from _meta_lineage order by 1"
        return list(catalog.execute(query))


def check_whole(site: Site, clean: dict[str, str]) -> None:
    """A run completes, the files are those of a clean run, the chain verifies, nothing strays."""
    run = site.run()
    assert run.code == 0, run.finished.message
    check_committed(site, clean, RANGES)
    assert digests(site.table, "**/*.parquet") == clean
    report = verify_folder(resolve(site.pas))
    assert report.ok, report
    assert strays(site) == []


def strays(site: Site) -> list[str]:
    """Temporary files anywhere below the output, audit and state folders."""
    return [
        str(Path(folder) / name)
        for root in (site.data, site.pas, site.state)
        for folder, _, names in os.walk(root)
        for name in names
        if name.startswith(".") or ".tmp" in name or "staging" in folder
    ]


def put(data: bytes) -> Callable[[Path], None]:
    """Other bytes in the file's place."""

    def act(path: Path) -> None:
        path.chmod(0o644)
        path.write_bytes(data)

    return act


def halve(path: Path) -> None:
    put(path.read_bytes()[: path.stat().st_size // 2])(path)


def delete(path: Path) -> None:
    path.unlink()


BAD_BYTES = {"empty": put(b""), "garbage": put(b"\x00\xffgarbage" * 20), "truncated": halve}


def everything(site: Site) -> dict[str, str]:
    """What no run may change: output, without the lock's leftovers, and audit events."""
    return digests(site.data) | digests(site.pas)


def check_halted(site: Site, run: Run, path: Path, *words: str) -> None:
    """Exit 5, the file by name, what to do, and nothing was begun."""
    assert run.code == 5, run.finished.message
    assert run.finished.outcome == "halted"
    for word in (path.name, *words):
        assert word in run.finished.message, run.finished.message
    assert "defect" not in run.finished.message
    [alert] = [r for r in run.of("alert") if r["level"] == "error"]
    assert alert["todo"], alert
    assert run.of("partition_started") == []
