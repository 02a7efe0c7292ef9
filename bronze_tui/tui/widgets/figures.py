"""Figures and short texts as the panels write them, and the one way a panel puts content up.

Content styles are theme variables, so a change of theme needs no redraw of ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import nullcontext

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from bronze_tui.journal.verdict import clock
from bronze_tui.tui.plain import plain
from bronze_tui.tui.widgets.lines import Lines, Sparing

TONES = {
    "": "",
    "good": "$success",
    "worry": "$warning",
    "bad": "bold $error",
    "calm": "$secondary",
    "muted": "$foreground 55%",
    "faint": "$primary 45%",
    "accent": "$primary",
    "strong": "bold",
}
"""What a word means to a style of the theme."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def count(number: float) -> str:
    """Thousands grouped: ``59,959,999``."""
    # An int through a float would lose digits above 2**53: total coins are above it.
    return f"{number:,}" if isinstance(number, int) else f"{number:,.0f}"


def rate(number: float) -> str:
    """A rate: one decimal below ten."""
    return f"{number:.1f}" if 0 < number < 10 else count(number)


def size(octets: float) -> str:
    """``1536`` is ``1.5 KiB``."""
    for unit in _SIZES[:-1]:
        if octets < 1024:
            return f"{octets:.0f} {unit}" if unit == "B" else f"{octets:,.1f} {unit}"
        octets /= 1024
    return f"{octets:,.1f} {_SIZES[-1]}"


def megabytes(octets: float) -> str:
    """MiB with one decimal, two for less than one."""
    return f"{octets / (1 << 20):,.{1 if octets >= 1 << 20 else 2}f}"


def hms(moment: float | None) -> str:
    """``10:22:21Z`` of Unix seconds; ``-`` when unknown or not a time."""
    if moment is None:
        return "-"
    try:
        return time.strftime("%H:%M:%SZ", time.gmtime(moment))
    except (OverflowError, OSError, ValueError):
        return "-"


def age(now: float, since: float) -> str:
    """How long ago ``since`` was, by whole seconds of both, so that all ages on a page change at
    once and not each in a drawing of its own."""
    return clock(max(0, int(now) - int(since)))


def stamp(moment: float | None) -> str:
    """Date and time in UTC of Unix seconds; ``-`` when unknown or not a time."""
    if moment is None:
        return "-"
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(moment))
    except (OverflowError, OSError, ValueError):
        return "-"


def short_hash(text: str, head: int = 4, tail: int = 2) -> str:
    """``ab12..9f`` of a hash with or without its ``sha256:``; ``-`` when there is none."""
    bare = text.removeprefix("sha256:")
    if not bare:
        return "-"
    return bare if len(bare) <= head + tail + 2 else f"{bare[:head]}..{bare[-tail:]}"


def bar(fraction: float, width: int) -> str:
    """A bar of ``width`` cells in eighths."""
    eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def part(value: object, tone: str = "", limit: int = 1_000) -> Content:
    """``value`` as one line of literal text, safe for foreign text."""
    return Content.styled(plain(value, limit=limit).plain, TONES[tone])


def line(*parts: str | tuple[str, str] | Content) -> Content:
    """Parts in a row; a pair is text and tone. Strings are ours: foreign text goes by ``part``."""
    return Content.assemble(
        *(p if not isinstance(p, tuple) else (p[0], TONES[p[1]]) for p in parts)
    )


def stack(rows: Iterable[Content]) -> Content:
    """Lines under each other."""
    return Content("\n").join(rows)


def pairs(rows: Iterable[tuple[str, str | Content]], label: int = 11, width: int = 0) -> Content:
    """Labels in a muted column, values behind them; folded there at ``width`` when it is given."""
    made = []
    for name, value in rows:
        shown = value if isinstance(value, Content) else part(value)
        folds = shown.wrap(max(8, width - label), overflow="fold") if width else [shown]
        names = [name, *[""] * (len(folds) - 1)]
        made += [line((n.ljust(label), "muted"), f) for n, f in zip(names, folds, strict=False)]
    return stack(made)


def put(widget: Static, content: Content, *, wraps: bool = False) -> bool:
    """Update only what changed: each update is bytes over somebody's slow line.

    The page is laid out again only when the number of lines changed, or when lines may wrap; of
    ``Lines`` only those that changed are drawn.
    """
    shown = getattr(widget, "_shown", None)
    if isinstance(shown, Content) and shown.is_same(content):
        return False
    widget._shown = content  # type: ignore[attr-defined]
    if isinstance(widget, Lines):
        widget.update_lines(content)
        return True
    known = isinstance(shown, Content) and shown.plain.count("\n") == content.plain.count("\n")
    widget.update(content, layout=wraps or not known)
    return True


def title(widget: Widget, text: str, subtitle: str = "") -> None:
    """Border title and subtitle, as literal text, when they changed."""
    shown = getattr(widget, "_titled", None)
    if shown == (text, subtitle):
        return
    widget._titled = (text, subtitle)  # type: ignore[attr-defined]
    with widget.border_only() if isinstance(widget, Sparing) else nullcontext():
        widget.border_title = Content(plain(text).plain)
        widget.border_subtitle = Content(plain(subtitle).plain)
