"""How the app leaves on a signal: a living terminal is given back, a lost one is let go of.

Only the view ends; the engine is another process in another session.
"""

from __future__ import annotations

import os
import termios
import threading

GRACE = 3.0
"""Seconds for an orderly end without a terminal; a thread may hang on the one that is gone."""


def lost_terminal(fd: int = 2) -> bool:
    """Whether the terminal behind ``fd`` has hung up."""
    try:
        termios.tcgetattr(fd)
    except termios.error:
        return True
    return False


def let_go() -> None:
    """Point stdin, stdout and stderr at nothing: a write to a lost terminal is an error."""
    sink = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(sink, number)
    os.close(sink)


def end_without_terminal(code: int) -> None:
    """Let go of a lost terminal and see to it that the process ends."""
    let_go()
    timer = threading.Timer(GRACE, os._exit, (code,))
    timer.daemon = True
    timer.start()
