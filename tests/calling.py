"""The command called in this process, where a process of its own would show nothing more: starting
one costs a second of importing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bronze_tui import cli


def run_here(
    *args: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """``bronze ARGS``: exit code and what it wrote to descriptors 1 and 2, no terminal in sight.

    Args:
        env: all of its environment, instead of this process's.
    """
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        if cwd is not None:
            patch.chdir(cwd)
        if env is not None:
            for name in os.environ.keys() - env.keys():
                patch.delenv(name)
            for name, value in env.items():
                patch.setenv(name, value)
        out, err = Path(folder, "out"), Path(folder, "err")
        with _written(1, "stdout", out), _written(2, "stderr", err):
            code = cli.main(list(args))
        return subprocess.CompletedProcess(args, code, out.read_text(), err.read_text())


@contextmanager
def _written(number: int, name: str, path: Path) -> Iterator[None]:
    """What goes to a standard stream, by whatever way, goes to a file."""
    stream = getattr(sys, name)
    stream.flush()
    before = os.dup(number)
    with path.open("wb") as file:
        os.dup2(file.fileno(), number)
    try:
        with open(number, "w", closefd=False) as fresh:
            setattr(sys, name, fresh)
            yield
    finally:
        setattr(sys, name, stream)
        os.dup2(before, number)
        os.close(before)
