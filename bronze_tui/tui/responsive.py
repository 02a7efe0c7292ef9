"""Settings of the interpreter and of the pace at which a screen is drawn: a key must not wait."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping

HERTZ = 4.0
HERTZ_SSH = 2.0
"""Each drawing is bytes over the line."""

_YOUNG = 20_000
"""Objects between collections. Records of a flood are no cycles: looking for cycles among them, and
through all of the app each time, is most of what Python's own threshold of 700 does."""
_SWITCH = 0.001
"""Seconds the journal's reader may hold the interpreter while a key waits; else 5 ms."""


def prepare_interpreter() -> None:
    """To be called once before the app runs, with its modules loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)
    sys.setswitchinterval(_SWITCH)


def drawings_a_second(environ: Mapping[str, str] = os.environ) -> float:
    """Half as many over SSH."""
    remote = environ.get("SSH_CONNECTION") or environ.get("SSH_TTY")
    return HERTZ_SSH if remote else HERTZ
