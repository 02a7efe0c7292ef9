"""Makes text of foreign origin fit to show: object names, memos, error texts, plugin names.

It changes how text looks, never what is stored.
"""

from __future__ import annotations

from bronze_tui.domain.text import safe_text


def plain(text: str, limit: int = 1000) -> str:
    """One line without control, direction or invisible characters, cut at ``limit`` characters."""
    shown = safe_text(text[: limit + 1])
    return f"{shown[: limit - 1]}…" if len(shown) > limit else shown
