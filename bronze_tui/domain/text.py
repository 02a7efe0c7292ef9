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


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def safe_text(text: str) -> str:
    """``text`` on one line with every control, bidi and zero-width character made visible.

    ESC becomes ``\\x1b``, a right-to-left override ``\\u202e``; the result always encodes as
    UTF-8.
    """
    return _UNSAFE.sub(_visible, text)
