"""The real command in a process of its own, and what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from copying import Site


class Copy:
    """The running command and what it says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.records: list[dict[str, Any]] = []
        self._said = ""

    def read(self, kind: str, **values: Any) -> dict[str, Any]:
        """The next record of this kind with these values."""
        for record in self.lines():
            if record["kind"] == kind and values.items() <= record.items():
                return record
        raise AssertionError(f"the run ended without {kind} {values}: {self.complaint()}")

    def lines(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line.endswith(b"\n"):
                self.records.append(json.loads(line))
                yield self.records[-1]

    def complaint(self) -> str:
        """All of its standard error, once it has ended."""
        assert self.process.stderr is not None
        self._said += self.process.stderr.read().decode()
        return self._said

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def open_gate(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> int:
        """Read to the end; the exit code."""
        list(self.lines())
        code = self.process.wait(timeout=60)
        assert "Traceback" not in (said := self.complaint()), said
        return code

    def ranges(self, kind: str) -> list[str]:
        return [r["partition"] for r in self.records if r["kind"] == kind]


@contextmanager
def copying(site: Site, *program: str) -> Iterator[Copy]:
    words = program or ("-m", "bronze_tui.cli")
    sets = [part for text in site.sets() for part in ("--set", text)]
    process = subprocess.Popen(
        [sys.executable, *words, "run", "--no-tui", "--json", *sets],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield Copy(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
