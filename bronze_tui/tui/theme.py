"""Our two themes, and the words and signs that carry a state without colour.

Colours are from the Okabe-Ito set (blue, orange, vermillion, bluish green), which stays apart for
the common kinds of colour blindness; no state is told by colour alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.theme import Theme

DARK = "bronze-dark"
LIGHT = "bronze-light"


def themes() -> tuple[Theme, Theme]:
    """Dark and light."""
    from textual.theme import Theme

    dark = Theme(
        name=DARK,
        primary="#d9a05b",
        secondary="#7fb2d9",
        accent="#e8b878",
        foreground="#e6e1da",
        background="#15130f",
        surface="#1c1915",
        panel="#26221c",
        success="#5ec4a8",
        warning="#e9a23b",
        error="#e8694a",
        dark=True,
        variables={
            "border": "#4a4034",
            "border-blurred": "#332c24",
            "block-cursor-background": "#d9a05b",
            "block-cursor-foreground": "#15130f",
            "block-cursor-blurred-background": "#3a3228",
            "footer-key-foreground": "#e8b878",
            "scrollbar": "#4a4034",
            "scrollbar-hover": "#6b5b48",
            "scrollbar-active": "#d9a05b",
            "scrollbar-background": "#15130f",
            "scrollbar-background-hover": "#15130f",
            "scrollbar-background-active": "#15130f",
            "scrollbar-corner-color": "#15130f",
            "input-selection-background": "#d9a05b 35%",
        },
    )
    light = Theme(
        name=LIGHT,
        primary="#8a5a1c",
        secondary="#1f5f8b",
        accent="#a2691f",
        foreground="#2a241c",
        background="#faf6ef",
        surface="#f3ede2",
        panel="#e8dfcf",
        success="#00664d",
        warning="#9a5b00",
        error="#b3361b",
        dark=False,
        variables={
            "border": "#c9b99d",
            "border-blurred": "#ddd1bc",
            "block-cursor-background": "#8a5a1c",
            "block-cursor-foreground": "#faf6ef",
            "footer-key-foreground": "#8a5a1c",
            "scrollbar": "#c9b99d",
            "scrollbar-hover": "#a8946f",
            "scrollbar-active": "#8a5a1c",
            "scrollbar-background": "#faf6ef",
            "scrollbar-background-hover": "#faf6ef",
            "scrollbar-background-active": "#faf6ef",
            "scrollbar-corner-color": "#faf6ef",
        },
    )
    return dark, light


STATE_SIGNS: dict[str, tuple[str, str]] = {
    "committed": ("■", "$success"),
    "building": ("▶", "$secondary"),
    "retrying": ("↻", "$warning"),
    "held": ("◆", "$accent"),
    "failed": ("✗", "$error"),
    "hole": ("○", "$warning"),
    "missing": ("·", "$text-muted"),
}
"""Sign and theme colour of a partition's state; the sign alone tells it."""

VERDICT_STYLE: dict[str, str] = {
    "GONE": "bad",
    "CHAIN BROKEN": "bad",
    "HALTED": "bad",
    "FAILED": "bad",
    "STALLED": "worry",
    "SLOW": "worry",
    "PAUSED": "calm",
    "DRAINING": "calm",
    "STOPPING": "calm",
    "STOPPED": "calm",
    "AT TIP": "good",
    "DONE": "good",
    "STARTING": "calm",
    "RUNNING": "good",
}
"""CSS class of a verdict word."""
