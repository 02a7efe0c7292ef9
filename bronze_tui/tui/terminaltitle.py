"""The terminal's title: what tabs, window lists and tmux show of a run nobody looks at.

OSC 2 sets it; CSI 22;2t and 23;2t (xterm's title stack) keep and give back what stood there.
"""

from __future__ import annotations

from collections.abc import Callable

_MOST = 80


class TerminalTitle:
    """Writes the title when it changes; ``write`` takes text for the terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._shown: str | None = None

    def show(self, text: str) -> None:
        """Set it; what is not printable ASCII is left out, for it would steer the terminal."""
        title = "".join(c for c in text if " " <= c <= "~")[:_MOST]
        if title == self._shown:
            return
        keep = "\x1b[22;2t" if self._shown is None else ""
        self._shown = title
        self._write(f"{keep}\x1b]2;{title}\x07")

    def give_back(self) -> None:
        """Restore what stood there before."""
        if self._shown is not None:
            self._shown = None
            self._write("\x1b]2;\x07\x1b[23;2t")
