"""Chooses and makes the renderer of a run; rich is imported only for the live display."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Literal, TextIO

from bronze_tui.headless.feed import Feed, Sink

Mode = Literal["progress", "text", "log-json", "jsonl"]


def choose_mode(
    *, json: bool, log_format: str, terminal: bool, env: Mapping[str, str], plain: bool = False
) -> Mode:
    """The mode of a headless run.

    Args:
        json: ``--json``: the journal on stdout.
        log_format: ``logging.format``, ``text`` or ``json``.
        terminal: whether stderr is one.
        env: a ``TERM`` of ``dumb`` or ``unknown`` cannot show a live display.
        plain: the operator wants log lines on a terminal too.
    """
    if json:
        return "jsonl"
    if log_format == "json":
        return "log-json"
    dumb = env.get("TERM", "").lower() in ("dumb", "unknown")
    return "progress" if terminal and not dumb and not plain else "text"


def renderer(
    mode: Mode,
    *,
    level: str = "info",
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    next_step: str = "",
) -> Feed:
    """A renderer on a thread of its own: call it with each record, then ``close(finished)``.

    Args:
        mode: ``progress`` (live, stderr), ``text`` and ``log-json`` (lines, stderr), ``jsonl``
            (the journal, stdout).
        level: least level of log lines: debug, info, warn, error.
        stdout, stderr: instead of the process's own.
        next_step: what the closing block advises, instead of its own advice.
    """
    out = stdout if stdout is not None else sys.stdout
    err = stderr if stderr is not None else sys.stderr
    sink: Sink
    if mode == "jsonl":
        from bronze_tui.headless.jsonl import JsonLinesSink

        sink = JsonLinesSink(out)
    elif mode == "progress":
        from rich.console import Console

        from bronze_tui.headless.progress import ProgressSink

        sink = ProgressSink(Console(file=err, highlight=False), next_step=next_step)
    else:
        from bronze_tui.headless.text import TextSink

        sink = TextSink(err, json=mode == "log-json", level=level, next_step=next_step)
    return Feed(sink)
