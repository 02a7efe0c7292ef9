"""Bytes as the walker wants them: any buffer in, whole 4-byte words out, without copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from bronze_tui.domain.errors import XdrError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Buffer = Union[bytes, bytearray, memoryview, "NDArray[np.uint8]"]

_WORD = 4
_LARGEST = 0x7FFFFFFF


def view(buffer: Buffer) -> memoryview:
    """``buffer`` as plain bytes; numpy's stubs hide that arrays are buffers before Python 3.12."""
    return memoryview(buffer).cast("B")  # type: ignore[arg-type]


def as_words(buffer: Buffer, start: int) -> NDArray[np.uint32]:
    """The whole words from ``start``, without a copy where memory is aligned as usual.

    Read-only always, because numba compiles once for each kind of array.

    Raises:
        XdrError: ``start`` is outside, or the buffer is larger than 2 GiB.
    """
    import numpy as np

    data = view(buffer)
    size = data.nbytes
    if not 0 <= start <= size <= _LARGEST:
        raise XdrError(f"cannot walk from byte {start} of {size}", offset=start)
    if size - start < _WORD:
        words = np.zeros(0, dtype=np.uint32)
    else:
        words = np.frombuffer(data, np.uint32, (size - start) // _WORD, start)
    if not words.flags.aligned:
        words = words.copy()
    words.flags.writeable = False
    return words
