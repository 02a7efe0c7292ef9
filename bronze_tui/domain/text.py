"""Text that came from elsewhere (ledgers, events, file names, plugins), made safe to show.

It guards terminals and logs against escape sequences and reordered text; markup of a rendering
library is that library's own business.
"""

from __future__ import annotations

import re

# C0, DEL and C1 controls; Arabic letter mark; zero-width and direction marks; line and paragraph
# separators; bidi embeddings, overrides and isolates; word joiner; byte-order mark; surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)


_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def safe_text(text: str) -> str:
    """``text`` on one line with every control, bidi and zero-width character made visible.

    ESC becomes ``\\x1b``, a right-to-left override ``\\u202e``; the result always encodes as
    UTF-8.
    """
    return _UNSAFE.sub(_visible, text)


def size(octets: float) -> str:
    """``1536`` is ``1.5 KiB``."""
    for unit in _SIZES[:-1]:
        if octets < 1024:
            return f"{octets:.0f} {unit}" if unit == "B" else f"{octets:.1f} {unit}"
        octets /= 1024
    return f"{octets:.1f} {_SIZES[-1]}"
