from __future__ import annotations

import hashlib
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import pack
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.domain.errors import FrameError
from bronze_tui.lake.frames import FrameReader, decompress_frame, inspect_frame
from bronze_tui.testing.tiny_lake import make_frame

MIB = 1 << 20
CAP = 64 * MIB
TEXT = b"ledger close meta " * 1000
MAGIC = b"\x28\xb5\x2f\xfd"


def refused(data: bytes, cap: int = CAP) -> str:
    with pytest.raises(FrameError) as caught:
        decompress_frame(data, cap)
    return str(caught.value)


@contextmanager
def at_most(peak_bytes: int) -> Iterator[None]:
    """Fail when Python objects grow beyond ``peak_bytes`` meanwhile."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < peak_bytes


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def blocks(*parts: tuple[int, int, bytes], header: bytes) -> bytes:
    """A frame made by hand: (kind, size, body) for each block."""
    data = MAGIC + header
    for place, (kind, size, body) in enumerate(parts):
        last = place == len(parts) - 1
        data += pack("<I", size << 3 | kind << 1 | last)[:3] + body
    return data


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("content_size", [False, True])
@pytest.mark.parametrize("content", [b"x", TEXT, noise(300_000), bytes(5 * MIB)])
def test_whole_frames(content: bytes, checksum: bool, content_size: bool) -> None:
    frame = make_frame(content, checksum=checksum, content_size=content_size)
    assert decompress_frame(frame, CAP) == content


def test_one_reader_for_many_sizes() -> None:
    reader = FrameReader(CAP)
    for size in (1, 100_000, 3 * MIB, 10, 20 * MIB, 131_072, 131_073):
        content = noise(size, size)
        assert reader.read(make_frame(content)) == content


def test_a_real_ledger(shared: Path) -> None:
    (path,) = (shared / "lake" / "pubnet").rglob("*.zstd")
    content = decompress_frame(path.read_bytes(), CAP)
    assert len(content) == 372_492
    shape = inspect_frame(path.read_bytes(), CAP)
    assert shape.content_size is None
    assert shape.bound <= 3 * 131_072


def test_a_real_ledger_never_costs_the_cap(shared: Path) -> None:
    (path,) = (shared / "lake" / "pubnet").rglob("*.zstd")
    data = path.read_bytes()
    reader = FrameReader(256 * MIB)
    with at_most(MIB):
        content = reader.read(data)
    assert content == zstandard.ZstdDecompressor().decompress(data, max_output_size=256 * MIB)


def test_flushed_blocks_are_measured() -> None:
    """Many tiny blocks bound the output loosely; the buffer must not follow that bound."""
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True).compressobj()
    frame = b""
    for _ in range(2000):
        frame += compressor.compress(b"abcd" * 8) + compressor.flush(
            zstandard.COMPRESSOBJ_FLUSH_BLOCK
        )
    frame += compressor.flush()
    assert inspect_frame(frame, CAP * 8).bound > 200 * MIB
    with at_most(4 * MIB):
        assert decompress_frame(frame, CAP * 8) == b"abcd" * 16_000


@settings(deadline=None)
@given(st.binary(max_size=5000), st.booleans(), st.booleans(), st.integers(1, 9))
def test_round_trip(content: bytes, checksum: bool, size: bool, level: int) -> None:
    frame = make_frame(content, checksum=checksum, content_size=size, level=level)
    if content:
        assert decompress_frame(frame, 5000) == content
    else:
        assert "holds nothing" in refused(frame)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_give_content_or_our_error(data: bytes) -> None:
    for candidate in (data, MAGIC + data):
        try:
            assert len(decompress_frame(candidate, 100_000)) <= 100_000
        except FrameError:
            continue


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_frame_with_checksum_never_passes(data: st.DataObject) -> None:
    content = noise(2000) + bytes(2000) + TEXT[:3000]
    frame = bytearray(make_frame(content))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert decompress_frame(bytes(frame), CAP) == content
    except FrameError:
        pass


@pytest.mark.parametrize("content_size", [False, True])
@pytest.mark.parametrize("checksum", [False, True])
def test_every_truncation_is_told(checksum: bool, content_size: bool) -> None:
    frame = make_frame(TEXT + noise(400), checksum=checksum, content_size=content_size)
    for length in range(1, len(frame)):
        said = refused(frame[:length])
        assert said.startswith("truncated zstd frame")
        assert f"ends at byte {length}" in said


def test_empty_input() -> None:
    assert "empty" in refused(b"")


@pytest.mark.parametrize("content_size", [False, True])
def test_trailing_bytes(content_size: bool) -> None:
    frame = make_frame(TEXT, content_size=content_size)
    assert refused(frame + b"abc") == f"3 trailing bytes after the zstd frame of {len(frame)} bytes"


@pytest.mark.parametrize("content_size", [False, True])
def test_second_frame(content_size: bool) -> None:
    frame = make_frame(TEXT, content_size=content_size)
    assert "second zstd frame begins at byte" in refused(frame + frame)


def test_skippable_frames() -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    assert "skippable" in refused(skippable + make_frame(TEXT))
    assert "trailing" in refused(make_frame(TEXT) + skippable)


def test_other_formats_are_named_by_their_first_bytes() -> None:
    assert "1f 8b 08 00" in refused(b"\x1f\x8b\x08\0rest")


def test_wrong_checksum() -> None:
    frame = bytearray(make_frame(TEXT))
    frame[-1] ^= 1
    assert "checksum" in refused(bytes(frame))


def test_bit_flip_inside_a_block() -> None:
    frame = bytearray(make_frame(noise(5000)))
    frame[2500] ^= 4
    assert "checksum" in refused(bytes(frame))
    silent = bytearray(make_frame(noise(5000), checksum=False))
    silent[2500] ^= 4
    found = decompress_frame(bytes(silent), CAP)
    assert hashlib.sha256(found).digest() != hashlib.sha256(noise(5000)).digest()


def test_dictionary() -> None:
    samples: list[Any] = [noise(50, seed) + TEXT[:200] for seed in range(200)]
    trained = zstandard.train_dictionary(1000, samples)
    frame = zstandard.ZstdCompressor(dict_data=trained).compress(TEXT)
    assert "dictionary" in refused(frame)


def test_window_too_large() -> None:
    window_log_31 = bytes([0x00, (31 - 10) << 3])
    said = refused(blocks((0, 1, b"x"), header=window_log_31))
    assert f"window of {1 << 31} bytes" in said


def test_declared_size_over_the_cap() -> None:
    five_tib = bytes([0xC0, 0x50]) + pack("<Q", 5 << 40)
    with at_most(MIB):
        said = refused(blocks((0, 1, b"x"), header=five_tib))
    assert str(5 << 40) in said


def test_declared_size_that_the_blocks_cannot_give() -> None:
    claims_32_mib = bytes([0x80, 0x50]) + pack("<I", 32 * MIB)
    with at_most(MIB):
        said = refused(blocks((0, 1, b"x"), header=claims_32_mib))
    assert "header lies" in said


def test_declared_size_smaller_than_the_content() -> None:
    claims_one = bytes([0x80, 0x50]) + pack("<I", 1)
    assert "header lies" in refused(blocks((0, 4, b"abcd"), header=claims_one))
    frame = bytearray(make_frame(TEXT, content_size=True))
    place = zstandard.frame_header_size(bytes(frame)) - 2
    frame[place] ^= 1
    assert "zstd frame" in refused(bytes(frame))


def test_bomb_of_repeated_bytes_is_refused_by_its_headers() -> None:
    """64 KiB that would give 2 GiB, as in-place repeated blocks."""
    window_8_mib = bytes([0x00, (23 - 10) << 3])
    bomb = blocks(*[(1, 131_072, b"x")] * 16_384, header=window_8_mib)
    assert len(bomb) < 70_000
    with at_most(MIB):
        said = refused(bomb)
    assert "would give at least 2147483648 bytes" in said


def test_compressed_bomb_is_refused_through_a_small_buffer() -> None:
    compressor = zstandard.ZstdCompressor(level=19).compressobj()
    zeros = bytes(MIB)
    bomb = b"".join(compressor.compress(zeros) for _ in range(256)) + compressor.flush()
    assert len(bomb) < 40_000
    with at_most(4 * MIB):
        said = refused(bomb, 128 * MIB)
    assert "more than 134217728" in said


def test_a_frame_one_byte_over_the_cap() -> None:
    for content_size in (False, True):
        frame = make_frame(noise(100_001), content_size=content_size)
        assert "100000" in refused(frame, 100_000)
        assert len(decompress_frame(frame, 100_001)) == 100_001


def test_far_too_many_compressed_bytes() -> None:
    assert "compressed" in refused(make_frame(noise(MIB)), 1000)


def test_broken_block_header() -> None:
    window_1_kib = bytes([0x00, 0x00])
    assert "broken zstd block at byte 6" in refused(blocks((3, 1, b"x"), header=window_1_kib))
    assert "broken zstd block" in refused(blocks((0, 2000, noise(2000)), header=window_1_kib))


def test_garbage_inside_a_compressed_block() -> None:
    window_8_mib = bytes([0x00, (23 - 10) << 3])
    assert "corrupt zstd frame" in refused(blocks((2, 50, noise(50)), header=window_8_mib))
