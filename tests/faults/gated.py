"""The real command with a gate in its source: each object of a build waits for one byte on the
standard input, and the end of the input opens the gate for good."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from bronze_tui.lake.source import LakeSource


def main() -> int:
    real = LakeSource.read

    def read(self: LakeSource, ref: Any) -> bytes:
        # The engine's start reads a sample of the lake in its main thread.
        if threading.current_thread() is not threading.main_thread():
            os.read(0, 1)
        return real(self, ref)

    LakeSource.read = read  # type: ignore[method-assign]
    from bronze_tui.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
