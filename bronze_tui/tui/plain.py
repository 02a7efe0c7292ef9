"""Foreign text on screens: shown as text, never as markup, with control characters visible."""

from __future__ import annotations

from rich.text import Text

from bronze_tui.domain.text import safe_text

CUT = 1_000


def plain(value: object, style: str = "", limit: int = CUT) -> Text:
    """``value`` as one line of literal text, cut at ``limit`` characters.

    The only way third-party text (ledgers, events, object names, errors, plugin names) may reach a
    widget: a ``str`` could be parsed as markup, which can run actions or end the app.
    """
    text = safe_text(str(value)[: limit + 1])
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return Text(text, style=style, no_wrap=True, overflow="ellipsis", end="")


def lines(value: str, style: str = "") -> Text:
    """Several lines of literal text that wrap."""
    shown = "\n".join(safe_text(line) for line in value.splitlines())
    return Text(shown, style=style, overflow="fold")
