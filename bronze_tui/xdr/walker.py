"""Runs the walk compiled by numba: one `Walker` for each thread and projection.

The compiled form is kept beside the package or in the user's cache folder; where neither can be
written it is made again in each process (some seconds) instead of failing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from bronze_tui.xdr import kernel
from bronze_tui.xdr.buffer import Buffer, as_words
from bronze_tui.xdr.explain import explain
from bronze_tui.xdr.projection import Projection

DEPTH_LIMIT = 1500
"""Nested vectors and recursive types; the reference reader in Go has allowed 1,500 types nested in
each other since protocol 27, and each of ours is at least one of them."""

_WORD = 4
_ROWS = 64

_compiled: Callable[..., int] | None = None
_lock = threading.Lock()


def compiled_walk() -> Callable[..., int]:
    """The machine-code form of `kernel.walk`, from the cache when there is one.

    An unwritable cache shows itself as RuntimeError when the function is wrapped, or as OSError
    when the first call stores it.
    """
    global _compiled
    with _lock:
        if _compiled is None:
            try:
                _compiled = _tried(njit(nogil=True, cache=True)(kernel.walk))
            except (RuntimeError, OSError):
                _compiled = _tried(njit(nogil=True)(kernel.walk))
    return _compiled


def _tried(function: Any) -> Callable[..., int]:
    program = np.array([kernel.HALT, 0], dtype=np.int32)
    words = np.zeros(1, dtype=np.uint32)
    words.flags.writeable = False
    cells = np.zeros(kernel.SUMS, dtype=np.int64)
    function(words, program, cells, np.zeros((1, 3), dtype=np.int64), cells, cells.copy())
    return function  # type: ignore[no-any-return]


class Walker:
    """Validates values of ``projection.root`` and says where the marked fields are.

    Not for use by two threads at once: the arrays are reused. The walk itself releases the GIL.
    """

    def __init__(self, projection: Projection, depth_limit: int = DEPTH_LIMIT) -> None:
        self.projection = projection
        program = projection.program
        self._walk = compiled_walk()
        self._code = program.code
        self._stack = np.zeros(depth_limit, dtype=np.int64)
        self._rows = np.zeros((_ROWS, 3), dtype=np.int64)
        self._opened = np.zeros(max(program.marks, 1), dtype=np.int64)
        self._state = np.zeros(kernel.SUMS + program.sums, dtype=np.int64)
        self.rows = self._rows[:0]
        """(mark, offset, bytes or elements) of the last walk, in order of offsets, which count
        in bytes from the buffer's first. Overwritten by the next walk."""

    @property
    def sums(self) -> list[int]:
        """Element counts added up in the last walk, in the order of ``projection.sums``."""
        return self._state[kernel.SUMS :].tolist()  # type: ignore[no-any-return]

    def walk(self, buffer: Buffer, start: int = 0) -> int:
        """Walk one value that begins at ``start`` and return the offset of the byte after it.

        Raises:
            XdrError: the bytes are not such a value; its offset counts from the buffer's start.
        """
        words = as_words(buffer, start)
        state = self._state
        while True:
            state.fill(0)
            state[kernel.LIMIT] = len(words)
            state[kernel.BASE] = start
            status = self._walk(words, self._code, self._stack, self._rows, self._opened, state)
            if status != kernel.ROWS_FULL:
                break
            self._rows = np.zeros((4 * len(self._rows), 3), dtype=np.int64)
        if status != kernel.DONE:
            raise explain(self.projection, status, words, self._stack, state)
        self.rows = self._rows[: state[kernel.ROWS]]
        return start + _WORD * int(state[kernel.POSITION])
