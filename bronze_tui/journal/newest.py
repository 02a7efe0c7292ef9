"""The newest run of a journal, at once: what older runs left is not read, and of a long run's past
only what a screen is built from.

A run of weeks leaves hundreds of megabytes, nearly all of it progress that later lines replaced.
Lines are judged as bytes, and those that matter are parsed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from bronze_tui.domain.errors import UsageError
from bronze_tui.journal.reader import (
    MAX_LINE,
    Follower,
    close_all,
    last_run_id,
    open_files,
    parse,
)
from bronze_tui.journal.writer import Record

WHOLE = 2 << 20
"""Bytes at the end of which every line counts: some thousands, as many as the log keeps."""
RECENT = 4_200.0
"""Seconds of figures that count: an hour, and some."""

_PROGRESS = b'"kind":"partition_progress"'
_FIGURES = (b'"kind":"throughput"', b'"kind":"stage_figures"')
_TIME = re.compile(rb'"time":([0-9]+(?:\.[0-9]+)?)')
_RUN = re.compile(rb'"run":"((?:[^"\\]|\\.)*)"')


def newest_run(path: Path) -> str:
    """Id of the newest run that left a line; empty without one. Reads the end alone."""
    try:
        files = open_files(path)
    except UsageError:
        return ""
    try:
        return next((run for file in reversed(files) if (run := last_run_id(file))), "")
    finally:
        close_all(files)


def newest_records(path: Path) -> Iterator[Record]:
    """Records of the newest run: all that a run view is built from, old figures left out.

    Raises:
        UsageError: there is no journal, or it cannot be read.
    """
    past = _Past(open_files(path))
    try:
        yield from past.records()
    finally:
        close_all(past.files)


def follow(
    path: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    poll: float = 0.2,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Record]:
    """The newest run's records as ``newest_records`` gives them, then what is written from now on,
    across rotations; see ``reader.tail`` for the arguments."""
    follower = None
    while follower is None:
        try:
            past = _Past(open_files(path))
        except UsageError:
            if stop():
                return
            wait(poll)
            continue
        yield from past.records()
        close_all(past.files[:-1])
        follower = Follower.at(path, past.files[-1], past.rest)
    yield from follower.follow(stop, poll, wait)


class _Past:
    """The end of a journal as it stands now; the last file is left where the following begins."""

    def __init__(self, files: Sequence[IO[bytes]]) -> None:
        self.files = list(files)
        self.rest = b""
        """What stands of a line that is being written."""
        found = (run for file in reversed(files) if (run := last_run_id(file)))
        self._run = next(found, "").encode()
        self._newest = max((_time_at_end(file) for file in files[-2:]), default=0.0)
        self._sizes = [os.fstat(file.fileno()).st_size for file in files]

    def records(self) -> Iterator[Record]:
        left = sum(self._sizes)
        for number, (file, size) in enumerate(zip(self.files, self._sizes, strict=True)):
            following = self.files[number + 1 :]
            if following and not self._reaches(file):
                left -= size
                continue
            yield from self._read(file, size, left)
            left -= size

    def _reaches(self, file: IO[bytes]) -> bool:
        """Whether the file's end is of the newest run; else that run begins in a later file."""
        return (last_run_id(file) or "").encode() == self._run

    def _read(self, file: IO[bytes], size: int, left: int) -> Iterator[Record]:
        """Records of one file up to ``size``; ``left`` bytes stand from its beginning on."""
        file.seek(0)
        rest, done = b"", 0
        while done < size and (chunk := file.read(min(MAX_LINE, size - done))):
            done += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for mark in self._dropped(lines, left - done):
                lines = [line for line in lines if mark not in line]
            for line in lines:
                if self._is_ours(line):
                    record = parse(line)
                    if record is not None and record.get("run", "") == self._run.decode():
                        yield record
            if len(rest) > MAX_LINE:
                rest = b"?"  # a line without end: its tail must not be taken for a record
        self.rest = rest

    def _is_ours(self, line: bytes) -> bool:
        """False when the line is surely of another run."""
        found = _RUN.search(line)
        return found is None or b"\\" in found[1] or found[1] == self._run

    def _dropped(self, lines: Sequence[bytes], behind: int) -> tuple[bytes, ...]:
        """Marks of lines that do not matter ``behind`` bytes before the end."""
        if behind < WHOLE:
            return ()
        last = next((t for line in reversed(lines) if (t := _time_of(line))), self._newest)
        return (_PROGRESS,) if last > self._newest - RECENT else (_PROGRESS, *_FIGURES)


def _time_of(line: bytes) -> float:
    found = _TIME.search(line)
    return float(found[1]) if found else 0.0


def _time_at_end(file: IO[bytes]) -> float:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - (64 << 10)))
    return next((t for line in reversed(file.read().split(b"\n")) if (t := _time_of(line))), 0.0)
