"""Safe zstd: exactly one frame, bounded in output and window, nothing before or after it.

The frame's blocks are walked before anything is decompressed: their headers tell where the frame
ends (truncated, trailing bytes, second frame) and bound its output, so that a buffer is allocated
once and a bomb never is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bronze_tui.domain.errors import FrameError

if TYPE_CHECKING:
    import zstandard

MAX_WINDOW = 1 << 27
"""128 MiB (RFC 8878 section 3.1.1.1.2 lets a decoder choose its limit)."""

_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"
_MAX_BLOCK = 1 << 17
_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
_TRUSTED_RATIO = 64
_TRUSTED_BYTES = 1 << 20
_SCRATCH_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class FrameShape:
    """What the headers of a whole frame say (RFC 8878 section 3.1.1)."""

    content_size: int | None
    """Declared bytes of output, None when the frame is silent."""
    window: int
    """Bytes."""
    bound: int
    """Most bytes of output its blocks can give."""
    certain: int
    """Fewest bytes of output its blocks can give."""


class FrameReader:
    """Decompresses one frame after the other; reuses its context, so keep one per thread.

    Args:
        max_bytes: the most output a frame may give.
    """

    def __init__(self, max_bytes: int) -> None:
        import zstandard

        self._max_bytes = max_bytes
        self._error = zstandard.ZstdError
        self._context = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)

    def read(self, data: bytes) -> bytes:
        """The content of the one frame that ``data`` is.

        The interpreter lock is released while decompressing.

        Raises:
            FrameError: not one whole frame, a wrong checksum, too large a window or output, a
                dictionary, or a header that lies; the text has byte counts.
        """
        shape = inspect_frame(data, self._max_bytes)
        try:
            return self._read(data, shape)
        except self._error as error:
            raise _decompress_error(error, len(data)) from None

    def _read(self, data: bytes, shape: FrameShape) -> bytes:
        capacity = shape.content_size
        if capacity is None:
            capacity = min(shape.bound, self._max_bytes)
            if shape.bound > max(_TRUSTED_BYTES, _TRUSTED_RATIO * len(data), self._max_bytes // 64):
                capacity = self._measure(data)
        # python-zstandard accepts trailing bytes when the output is smaller than the capacity,
        # whatever allow_extra_data says: inspect_frame has proven that there are none.
        content = self._context.decompress(
            data, max_output_size=max(capacity, 1), allow_extra_data=False
        )
        if shape.content_size is not None and len(content) != shape.content_size:
            raise FrameError(
                f"zstd frame declares {shape.content_size} bytes and gives {len(content)}"
            )
        return content

    def _measure(self, data: bytes) -> int:
        """Count the output through a small buffer, for a frame that may be a bomb."""
        scratch = bytearray(_SCRATCH_BYTES)
        total = 0
        with self._context.stream_reader(data, read_across_frames=False) as reader:
            while count := reader.readinto(scratch):
                total += count
                if total > self._max_bytes:
                    raise _too_large(f"at least {total}", self._max_bytes, len(data))
        return total


def decompress_frame(data: bytes, max_bytes: int) -> bytes:
    """The content of the one zstd frame that ``data`` is, at most ``max_bytes``.

    Raises:
        FrameError: see ``FrameReader.read``.
    """
    return FrameReader(max_bytes).read(data)


def inspect_frame(data: bytes, max_bytes: int) -> FrameShape:
    """Read the headers of ``data`` without decompressing anything.

    Raises:
        FrameError: not exactly one whole frame, or certain to break a limit.
    """
    _check_magic(data)
    if len(data) > max_bytes + (max_bytes >> 7) + _MAX_BLOCK:
        raise _too_large(f"{len(data)} compressed", max_bytes, len(data))
    parameters = _parameters(data)
    declared: int | None = parameters.content_size
    if declared == 0xFFFFFFFFFFFFFFFF:
        declared = None
    if declared is not None and declared > max_bytes:
        raise _too_large(f"{declared} (declared)", max_bytes, len(data))
    if parameters.window_size > MAX_WINDOW:
        raise FrameError(
            f"zstd frame wants a window of {parameters.window_size} bytes, more than {MAX_WINDOW}"
        )
    block = min(parameters.window_size, _MAX_BLOCK)
    end, certain, compressed = _walk_blocks(data, _header_bytes(data), block)
    _check_end(data, end + (4 if parameters.has_checksum else 0))
    shape = FrameShape(declared, parameters.window_size, certain + compressed * block, certain)
    _check_size(shape, max_bytes, len(data))
    return shape


def _check_magic(data: bytes) -> None:
    if not data:
        raise FrameError("the object is empty, a zstd frame was expected")
    if data[:4] == _MAGIC:
        return
    if data[1:4] == _SKIPPABLE and data[0] & 0xF0 == 0x50:
        raise FrameError("the object begins with a skippable zstd frame, a ledger was expected")
    if len(data) < 4 and _MAGIC.startswith(data):
        raise _truncated(len(data), "in its magic number")
    raise FrameError(f"not a zstd frame: it begins with bytes {data[:4].hex(' ')}")


def _parameters(data: bytes) -> zstandard.FrameParameters:
    import zstandard

    try:
        parameters = zstandard.get_frame_parameters(data)
    except zstandard.ZstdError as error:
        if "not enough data" in str(error):
            raise _truncated(len(data), "in its header") from None
        raise FrameError(f"broken zstd frame header ({error})") from None
    if parameters.dict_id:
        raise FrameError(f"zstd frame wants dictionary {parameters.dict_id}, lakes have none")
    return parameters


def _header_bytes(data: bytes) -> int:
    """Length of magic number and frame header, from the descriptor byte."""
    descriptor = data[4]
    single_segment = descriptor >> 5 & 1
    size_flag = descriptor >> 6
    content_size = (single_segment, 2, 4, 8)[size_flag]
    return 5 + (1 - single_segment) + _DICTIONARY_ID_BYTES[descriptor & 3] + content_size


def _walk_blocks(data: bytes, position: int, block_bytes: int) -> tuple[int, int, int]:
    """Follow block headers to the last block (RFC 8878 section 3.1.1.2).

    Returns:
        The offset after the last block, the output of raw and repeated blocks in bytes, and the
        number of compressed blocks.
    """
    certain = compressed = 0
    while True:
        if position + 3 > len(data):
            raise _truncated(len(data), f"at the block that begins at byte {position}")
        header = data[position] | data[position + 1] << 8 | data[position + 2] << 16
        kind, size = header >> 1 & 3, header >> 3
        if kind == 3 or size > block_bytes:
            raise FrameError(f"broken zstd block at byte {position} of {len(data)}")
        position += 3 + (1 if kind == 1 else size)
        if position > len(data):
            raise _truncated(len(data), f"inside a block that ends at byte {position}")
        if kind == 2:
            compressed += 1
        else:
            certain += size
        if header & 1:
            return position, certain, compressed


def _check_end(data: bytes, end: int) -> None:
    extra = len(data) - end
    if extra < 0:
        raise _truncated(len(data), f"in its checksum, which ends at byte {end}")
    if extra == 0:
        return
    if data[end : end + 4] == _MAGIC:
        raise FrameError(f"a second zstd frame begins at byte {end} of {len(data)}")
    raise FrameError(f"{extra} trailing bytes after the zstd frame of {end} bytes")


def _check_size(shape: FrameShape, max_bytes: int, size: int) -> None:
    declared = shape.content_size
    if shape.certain > max_bytes:
        raise _too_large(f"at least {shape.certain}", max_bytes, size)
    if declared is not None and not shape.certain <= declared <= shape.bound:
        raise FrameError(
            f"zstd frame header lies: it declares {declared} bytes, "
            f"its blocks give {shape.certain} to {shape.bound}"
        )
    if shape.bound == 0:
        raise FrameError(f"zstd frame of {size} bytes holds nothing, a ledger was expected")


def _too_large(output: str, max_bytes: int, size: int) -> FrameError:
    return FrameError(
        f"zstd frame of {size} bytes would give {output} bytes, more than {max_bytes}",
        todo="raise source.max_ledger_bytes only if such ledgers are expected",
    )


def _truncated(size: int, place: str) -> FrameError:
    return FrameError(f"truncated zstd frame: the object ends at byte {size}, {place}")


def _decompress_error(error: Exception, size: int) -> FrameError:
    text = str(error).removeprefix("decompression error: ").removeprefix("zstd decompress error: ")
    if "checksum" in text:
        return FrameError(f"checksum of the zstd frame of {size} bytes is wrong")
    return FrameError(f"corrupt zstd frame of {size} bytes ({text})")
