"""Messages between the console and its process: a JSON header, and Arrow bytes for results.

A frame is two big-endian 32-bit lengths, the header, then the body; both sides are ours, so a
frame that breaks the form means that the other side died.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_LENGTHS = struct.Struct(">II")
MAX_HEADER = 16 << 20


class BrokenFrame(EOFError):
    """The stream ended, or holds something else than frames."""


def write_frame(stream: IO[bytes], header: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Write one frame and flush.

    Raises:
        OSError: the other side is gone.
    """
    head = json.dumps(header, separators=(",", ":")).encode()
    stream.write(_LENGTHS.pack(len(head), len(body)) + head)
    stream.write(body)
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one frame: header and body.

    Raises:
        BrokenFrame: the stream ended or is not of this form.
    """
    head_size, body_size = _LENGTHS.unpack(_read(stream, _LENGTHS.size))
    if head_size > MAX_HEADER:
        raise BrokenFrame("not a frame")
    try:
        header = json.loads(_read(stream, head_size))
    except ValueError as error:
        raise BrokenFrame("not a frame") from error
    if not isinstance(header, dict):
        raise BrokenFrame("not a frame")
    return header, _read(stream, body_size)


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if data is None or len(data) != size:
        raise BrokenFrame("the stream ended")
    return data
