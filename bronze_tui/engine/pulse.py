"""A sign of life while the committing thread waits inside a call that nobody can interrupt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE = 2.0
_EVERY = 1.0


class Pulse:
    """Calls ``sign`` about every second, from a thread of its own, once a ``busy`` block has
    lasted two seconds: a store or catalog that does not answer must not look like a dead engine.

    Args:
        sign: may be called by several threads.
    """

    def __init__(
        self, sign: Callable[[], None], *, patience: float = _PATIENCE, every: float = _EVERY
    ) -> None:
        self._sign = sign
        self._patience = patience
        self._every = every
        self._since: float | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A block that may wait for others."""
        if self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._work, name="pulse", daemon=True)
            self._thread.start()
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def close(self) -> None:
        """No sign is given after it; idempotent."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._closed.wait(self._every):
            since = self._since
            if since is not None and time.monotonic() - since >= self._patience:
                self._sign()
