"""The console's side that lives in our process: starts the child, asks it, ends it.

Usable from any thread; one query runs at a time. Nothing here parses SQL or opens data files.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bronze_tui.domain.errors import BronzeError
from bronze_tui.query.errors import QueryCancelled, QueryDied, QueryFailed, QueryRefused
from bronze_tui.query.frames import BrokenFrame, read_frame, write_frame
from bronze_tui.query.result import Frames, Result

OBEY_SECONDS = 2.0
"""How long a cancelled query may go on before its process is killed."""

_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_FEW_THREADS = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
_END_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may take."""

    memory: int = 512 << 20
    """Bytes for DuckDB's own buffers; the process may map four times as much."""
    seconds: float = 120.0
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the console: its columns are pairs of name and DuckDB type."""

    name: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """What can be queried now."""

    tables: tuple[Table, ...]
    files: int
    """Committed data files."""
    notes: tuple[str, ...]
    """What the tables do not show, and why."""
    walls: tuple[str, ...]
    """Rights the process gave up."""


class QueryProcess:
    """A console over one store's committed partitions.

    Args:
        dataset_root: root folder of the local store.
        prefix: the store's key prefix, such as ``bronze/``.
        pas_dir: PAS folder for ``audit_events``.
    """

    command: ClassVar[Sequence[str]] = (sys.executable, "-P", "-m", "bronze_tui.query.child")

    def __init__(
        self,
        dataset_root: Path,
        prefix: str = "",
        pas_dir: Path | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._root = (dataset_root / prefix).absolute()
        self._pas = pas_dir.absolute() if pas_dir is not None else None
        self._limits = limits or Limits()
        self._busy = threading.Lock()
        self._writing = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._said: deque[str] = deque(maxlen=20)
        self._current = 0
        self._count = 0
        self._cancelled = 0
        self._late = 0
        self._hello: dict[str, Any] = {}

    @property
    def pid(self) -> int | None:
        """Process id of the child; None while there is none."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether a query is in hand."""
        return self._current != 0

    def schema(self) -> Schema:
        """Tables and columns; waits for a running query.

        Raises:
            QueryFailed, QueryDied.
        """
        with contextlib.closing(self._ask({"type": "schema"})) as frames:
            header, _ = next(frames)
        return Schema(
            tables=tuple(
                Table(t["name"], tuple((str(c), str(k)) for c, k in t["columns"]))
                for t in header["tables"]
            ),
            files=int(header["files"]),
            notes=tuple(header["notes"]),
            walls=tuple(self._hello.get("walls", ())),
        )

    def run(self, sql: str, limit: int = 10_000, *, short: bool = False) -> Result:
        """Run one query and return when its columns are known; waits for a running one.

        Args:
            limit: most rows; 0 means all.
            short: cells cut for a screen: blobs as length and first bytes, text at 1,000
                characters with control characters visible.

        Raises:
            QueryRefused: the SQL is wrong or asks for more than reading.
            QueryFailed, QueryDied, QueryCancelled.
        """
        return Result(self._ask({"type": "run", "sql": sql, "limit": limit, "short": short}))

    def cancel(self) -> bool:
        """End the running query: it is asked first, and its process killed after two seconds.

        Returns at once; whoever reads the result gets QueryCancelled. False when none runs.
        """
        current, child = self._current, self._child
        if not current or child is None:
            return False
        self._cancelled = current
        self._send(child, {"type": "cancel", "id": current})
        timer = threading.Timer(OBEY_SECONDS, self._kill, args=(current, child))
        timer.daemon = True
        timer.start()
        return True

    def close(self) -> None:
        """End the child for good; a running query ends as cancelled."""
        self._closed = True
        self._cancelled = self._current
        child, self._child = self._child, None
        if child is None:
            return
        if self.running:
            child.kill()
        _stop(child)
        # Whoever reads the result sees the end of the stream; only then may it be closed.
        if self._busy.acquire(timeout=OBEY_SECONDS):
            _close(child)
            self._busy.release()

    def __enter__(self) -> QueryProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _kill(self, query: int, child: subprocess.Popen[bytes]) -> None:
        if self._current == query and child.poll() is None:
            child.kill()

    @contextlib.contextmanager
    def _watched(self, query: int, child: subprocess.Popen[bytes]) -> Iterator[None]:
        """Kill a child that does not keep its own time limit: long strings are made in one go."""
        timer = threading.Timer(
            self._limits.seconds + OBEY_SECONDS, self._overdue, args=(query, child)
        )
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _overdue(self, query: int, child: subprocess.Popen[bytes]) -> None:
        self._late = query
        self._kill(query, child)

    def _ask(self, question: dict[str, Any]) -> Frames:
        """Frames that answer ``question``, the last one of type ``end``."""
        with self._busy:
            self._count += 1
            number = self._current = self._count
            try:
                child = self._ready()
                self._send(child, {**question, "id": number})
                with self._watched(number, child):
                    yield from self._answers(child, number)
            except (BrokenFrame, OSError) as error:
                raise self._died(number) from error
            except GeneratorExit:
                self._drain(number)
                raise
            finally:
                self._current = 0

    def _answers(self, child: subprocess.Popen[bytes], number: int) -> Frames:
        assert child.stdout is not None
        while True:
            header, body = read_frame(child.stdout)
            if header.get("id") != number:
                continue
            if header["type"] == "error":
                raise _error(header)
            if header["type"] == "end":
                self._current = 0
                yield header, body
                return
            yield header, body

    def _drain(self, number: int) -> None:
        """The reader left early: end the query and read what is still on its way."""
        child = self._child
        if child is None or not self.cancel():
            return
        with contextlib.suppress(BrokenFrame, OSError, BronzeError):
            for _ in self._answers(child, number):
                pass

    def _ready(self) -> subprocess.Popen[bytes]:
        """The child, started when there is none."""
        if self._closed:
            raise QueryCancelled("the console was closed")
        running = self._child
        if running is not None and running.poll() is None:
            return running
        if not self._root.is_dir():
            raise QueryFailed(
                "nothing is committed here yet: no such folder",
                where=os.fspath(self._root),
                todo="run a copy, or name another folder",
            )
        child = self._child = self._start()
        limits = self._limits
        self._send(
            child,
            {
                "root": os.fspath(self._root),
                "pas": os.fspath(self._pas) if self._pas is not None else None,
                "memory": limits.memory,
                "seconds": limits.seconds,
                "threads": limits.threads,
            },
        )
        assert child.stdout is not None
        self._hello, _ = read_frame(child.stdout)
        if self._hello.get("type") == "error":
            raise _error(self._hello)
        return child

    def _start(self) -> subprocess.Popen[bytes]:
        """A child without our secrets, terminal, working folder or signals."""
        keep = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        child = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={**keep, **_FEW_THREADS, "HOME": "/nonexistent"},
            start_new_session=True,
        )
        self._said.clear()
        threading.Thread(target=self._hear, args=(child,), daemon=True).start()
        return child

    def _hear(self, child: subprocess.Popen[bytes]) -> None:
        """Keep the last lines the child says when it breaks."""
        assert child.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            for line in child.stderr:
                self._said.append(line.decode(errors="replace").strip())

    def _send(self, child: subprocess.Popen[bytes], header: dict[str, Any]) -> None:
        assert child.stdin is not None
        with self._writing, contextlib.suppress(OSError, ValueError):
            write_frame(child.stdin, header)

    def _died(self, number: int) -> BronzeError:
        """What the end of the child means for the query in hand."""
        child, self._child = self._child, None
        code = 0
        if child is not None:
            code = _stop(child)
            _close(child)
        if self._closed or self._cancelled == number:
            return QueryCancelled("cancelled")
        if self._late == number:
            return QueryFailed(f"stopped after {self._limits.seconds:g} s, the most it may take")
        why = _SIGNALS.get(-code, f"signal {-code}" if code < 0 else f"exit code {code}")
        said = next((line for line in reversed(self._said) if line), "")
        return QueryDied(
            f"the console's process ended ({why}{': ' + said if said else ''})",
            todo="nothing was changed; the next query starts a new one",
        )


_SIGNALS = {
    6: "out of memory or a broken file",
    9: "killed",
    11: "crashed",
    24: "it used all its CPU time",
}
_KINDS: dict[str, Callable[..., BronzeError]] = {
    "refused": QueryRefused,
    "sql": QueryRefused,
    "cancelled": QueryCancelled,
}


def _error(header: dict[str, Any]) -> BronzeError:
    kind, what, detail = (str(header.get(name, "")) for name in ("kind", "what", "detail"))
    if kind in ("refused", "sql"):
        return QueryRefused(what, detail=detail)
    return _KINDS.get(kind, QueryFailed)(what)


def _stop(child: subprocess.Popen[bytes]) -> int:
    """Tell the child that nobody asks any more and see it end; its exit code."""
    with contextlib.suppress(OSError, ValueError):
        if child.stdin is not None:
            child.stdin.close()
    try:
        return child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _close(child: subprocess.Popen[bytes]) -> None:
    """Close the pipes that an ended child wrote to."""
    for pipe in (child.stdout, child.stderr):
        with contextlib.suppress(OSError, ValueError):
            if pipe is not None:
                pipe.close()
