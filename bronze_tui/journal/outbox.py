"""The outbox in a few words, for every display: what waits, since when, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def outbox_words(figures: Mapping[str, Any]) -> str:
    """``3 audit events wait (oldest 0:05:12), failing``; empty when nothing waits or is known.

    Args:
        figures: the newest ``outbox_figures`` record.
    """
    waiting, parked = _count(figures, "waiting"), _count(figures, "parked")
    if not waiting:
        return ""
    text = f"{waiting:,} audit event{'s' * (waiting > 1)} wait{'s' * (waiting == 1)}"
    seconds = figures.get("oldest_seconds")
    if isinstance(seconds, int | float) and 0 < seconds < 1e9:
        whole = round(seconds)
        text += f" (oldest {whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02})"
    if parked:
        return f"{text}, {parked} parked"
    return f"{text}, delivery is failing" if figures.get("state") == "failing" else text


def _count(figures: Mapping[str, Any], name: str) -> int:
    value = figures.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
