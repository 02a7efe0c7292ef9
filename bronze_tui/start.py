"""What the installed command calls: until everything is imported, Ctrl-C ends it without a word."""

from __future__ import annotations

import signal


def main() -> int:
    """Import and run the command line; its exit code."""
    python = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if python:
        # Else Python would show where in whose import it was interrupted.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bronze_tui.cli import main as run

    if python:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()
