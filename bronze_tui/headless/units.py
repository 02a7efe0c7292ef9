"""Figures as people read them; API, config and journal keep plain integers and seconds."""

from __future__ import annotations

from bronze_tui.domain.text import size as size


def duration(seconds: float | None) -> str:
    """``3725`` is ``1:02:05``; days are named; ``-`` when unknown."""
    if seconds is None:
        return "-"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    clock = f"{hour}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{days} d {clock}" if days else clock


def count(number: float) -> str:
    """Thousands are grouped by spaces that do not break."""
    return f"{number:,.0f}".replace(",", "\u00a0")


def rate(number: float) -> str:
    """A rate per second: one decimal where it is small."""
    return f"{number:.1f}" if 0 < number < 10 else count(number)
