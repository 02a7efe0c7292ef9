"""Reads journals: whole, following, or only the newest run.

It forgives what a crash or a foreign hand leaves behind (a cut last line, garbage, giant lines)
and counts it; it never writes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from bronze_tui.domain.errors import UsageError
from bronze_tui.journal.writer import Record, rotated

MAX_LINE = 1 << 20
"""Bytes; a longer line is garbage and is skipped without being held in memory."""
MAX_ROTATED = 1000
_TAIL_WINDOW = 4 * MAX_LINE

_decode = json.JSONDecoder().decode


class Records(Iterator[Record]):
    """Records in order; ``garbage`` lines were skipped so far, ``cut`` says the last was torn."""

    def __init__(self, lines: Iterator[bytes], run_id: str | None = None) -> None:
        self._lines = lines
        self._run_id = run_id
        self.garbage = 0
        self.cut = False

    def __next__(self) -> Record:
        for line in self._lines:
            self.cut = not line.endswith(b"\n")
            record = parse(line)
            if record is None:
                self.garbage += bool(line.strip()) and not self.cut
            elif self._run_id is None or record.get("run") == self._run_id:
                self.cut = False
                return record
        raise StopIteration


def parse(line: bytes) -> Record | None:
    """The record of one journal line, None when it is not one."""
    try:
        # Told its encoding, the decoder need not guess it: a third of the time of a flood's lines.
        record: Any = _decode(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        return None
    return record


def read(path: Path) -> Records:
    """All records of ``path`` and its rotated files, oldest first.

    Raises:
        UsageError: there is no journal, or it cannot be read.
    """
    return Records(_all_lines(open_files(path)))


def last_run(path: Path) -> Records:
    """The records of the newest run that left one.

    Raises:
        UsageError: there is no journal, or it cannot be read.
    """
    files = open_files(path)
    runs = [last_run_id(file) for file in files]
    run_id = next((run for run in reversed(runs) if run), None)
    # It begins at the earliest in the first file that ends with it: what lies before is not read.
    first = next((i for i, run in enumerate(runs) if run == run_id), 0)
    close_all(files[:first])
    return Records(_all_lines(files[first:]), run_id)


def tail(
    path: Path,
    *,
    from_start: bool = True,
    stop: Callable[[], bool] = lambda: False,
    poll: float = 0.2,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Record]:
    """Follow a journal across rotations; a file that does not exist yet is waited for.

    Args:
        from_start: begin with the oldest rotated record, else with what comes from now on.
        stop: asked when nothing new stands there; true ends the iteration after a last look.
        poll: seconds between looks.
        wait: how to pass them.
    """
    yield from Follower(path, from_start).follow(stop, poll, wait)


class Follower:
    """Position in a chain of rotated files."""

    def __init__(self, path: Path, from_start: bool) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._skipping = False
        if from_start:
            self._file = _try_open(_oldest(path))
        else:
            self._file = _try_open(path)
            if self._file is not None:
                self._file.seek(0, os.SEEK_END)

    @classmethod
    def at(cls, path: Path, file: IO[bytes], rest: bytes) -> Follower:
        """Go on where ``file`` stands, ``rest`` being the line that begins before it."""
        follower = cls(path, from_start=True)
        follower.close()
        follower._file, follower._rest = file, rest
        return follower

    def follow(
        self, stop: Callable[[], bool], poll: float, wait: Callable[[float], None]
    ) -> Iterator[Record]:
        """Records until ``stop``, after a last look; closes the file."""
        try:
            while True:
                stopping = stop()
                yield from self.fresh()
                if stopping:
                    return
                wait(poll)
        finally:
            self.close()

    def fresh(self) -> Iterator[Record]:
        """What was written since the last call."""
        while True:
            if self._file is None:
                self._file = _try_open(_oldest(self._path))
                if self._file is None:
                    return
            # Looked up before reading on: what is written after the rotation stands in the next.
            following = self._next_path()
            yield from self._read_on()
            if following is None:
                return
            self.close()
            self._file = _try_open(following)
            self._rest = b""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read_on(self) -> Iterator[Record]:
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""
        while chunk := self._file.read(MAX_LINE):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                record = None if self._skipping else parse(line)
                self._skipping = False
                if record is not None:
                    yield record
            if len(self._rest) > MAX_LINE:
                self._rest, self._skipping = b"", True

    def _next_path(self) -> Path | None:
        """The file after the open one, None while the open one is the newest."""
        assert self._file is not None
        mine = _identity(os.fstat(self._file.fileno()))
        newer: Path | None = None
        for path in _newest_first(self._path):
            try:
                if _identity(path.stat()) == mine:
                    return newer
            except FileNotFoundError:
                continue
            newer = path
        return newer


def _newest_first(path: Path) -> Iterator[Path]:
    """The current file, then rotated ones while they exist, whether or not the first does."""
    yield path
    for number in range(1, MAX_ROTATED):
        older = rotated(path, number)
        if not older.exists():
            return
        yield older


def _oldest(path: Path) -> Path:
    return list(_newest_first(path))[-1]


def _try_open(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def open_files(path: Path) -> list[IO[bytes]]:
    """Open oldest first; opened from the newest on, so that a rotation meanwhile loses none.

    Raises:
        UsageError: there is no journal, or it cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    with ExitStack() as stack:
        files: list[IO[bytes]] = []
        try:
            for each in _newest_first(path):
                file = _try_open(each)
                if file is None:
                    continue
                stack.push(file)
                identity = _identity(os.fstat(file.fileno()))
                if identity not in seen:
                    seen.add(identity)
                    files.append(file)
        except OSError as error:
            raise UsageError(
                f"the journal cannot be read ({error.strerror})",
                where=str(path),
                todo="check its path and permissions",
            ) from error
        if not files:
            raise UsageError(
                "there is no journal",
                where=str(path),
                todo="name the journal file, or the configuration of a run that left one",
            )
        stack.pop_all()
        return files[::-1]


def close_all(files: Iterable[IO[bytes]]) -> None:
    """Close what ``open_files`` gave."""
    for file in files:
        file.close()


def _all_lines(files: list[IO[bytes]]) -> Iterator[bytes]:
    with ExitStack() as stack:
        for file in files:
            stack.push(file)
        for file in files:
            file.seek(0)
            yield from _lines(file)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE):
        if len(line) < MAX_LINE or line.endswith(b"\n"):
            yield line
            continue
        while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
            pass
        yield b"a line too long to be a record\n"


def last_run_id(file: IO[bytes]) -> str | None:
    """The run of the file's last record, looked for in its last megabytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_WINDOW))
    for line in reversed(file.read(_TAIL_WINDOW).split(b"\n")):
        record = parse(line)
        if record is not None and isinstance(record.get("run"), str):
            return str(record["run"])
    return None
