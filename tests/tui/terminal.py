"""A real terminal for tests: tmux on a socket of its own, waited for by looking, never by sleeping
a fixed time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

BRONZE = f"{sys.executable} -m bronze_tui.cli"
_LOOK_EVERY = 0.05
_PATIENCE = 60.0
"""Seconds that a busy machine may take to start a program."""


class Terminal:
    """One tmux pane with a shell in it."""

    def __init__(
        self, folder: Path, width: int = 120, height: int = 40, env: Mapping[str, str] | None = None
    ) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("tmux is not installed")
        self._socket = folder / "tmux.sock"
        clean = {
            k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR", "CONFIG_FILE")
        }
        self._env = clean | {"COLORTERM": "truecolor", "PS1": "$ ", "LC_ALL": "C.UTF-8"}
        self._env |= env or {}
        size = ["-x", str(width), "-y", str(height)]
        self.environment = self._env
        self.tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder), "sh")
        self.until(lambda: bool(self.screen().strip()), "a shell")

    def tmux(self, *words: str) -> str:
        command = ["tmux", "-S", str(self._socket), *words]
        done = subprocess.run(command, capture_output=True, text=True, env=self._env, timeout=20)
        return done.stdout

    def close(self) -> None:
        self.tmux("kill-server")

    def run(self, command: str) -> None:
        """Type a command line."""
        self.tmux("send-keys", "-l", f"{command}; echo EXIT=$?.")
        self.press("Enter")

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def screen(self, *, colours: bool = False) -> str:
        return self.tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def wait(self, text: str, seconds: float = _PATIENCE) -> float:
        """Wait until ``text`` stands on the screen; seconds it took."""
        return self.until(lambda: text in self.screen(), text, seconds)

    def until(self, holds: Callable[[], bool], what: str, seconds: float = _PATIENCE) -> float:
        begin = time.monotonic()
        while not holds():
            if time.monotonic() - begin > seconds:
                raise AssertionError(f"{what!r} did not come in {seconds} s:\n{self.screen()}")
            time.sleep(_LOOK_EVERY)
        return time.monotonic() - begin

    @property
    def alternate(self) -> bool:
        return self.tmux("display", "-p", "#{alternate_on}").strip() == "1"

    @property
    def mouse(self) -> bool:
        return self.tmux("display", "-p", "#{mouse_any_flag}").strip() == "1"

    def child(self) -> int:
        """The process the shell runs."""
        shell = self.tmux("display", "-p", "#{pane_pid}").strip()
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        assert children, self.screen()
        return int(children[-1])

    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        self.run("clear; stty -a")
        self.until(lambda: "EXIT=0." in self.screen() and "speed" in self.screen(), "stty")
        words = self.screen().split()
        return "echo" in words and "-echo" not in words
