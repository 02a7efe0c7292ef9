"""Names that become path segments: network, era, version label, table.

Everything that is written under such a name is checked here first, so that no configuration or
plugin can leave its folder.
"""

from __future__ import annotations

import re

from bronze_tui.domain.errors import UsageError

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?")
_RESERVED = {"con", "nul", "aux", "prn"}
KEY_RULE = "relative, '/' between non-empty parts, no '.' or '..' part, no control or '\\'"
RULE = "1 to 64 of a-z 0-9 _ . -, beginning and ending with a letter or digit, without '..'"


def is_name(text: str) -> bool:
    """Whether ``text`` is safe as one path segment on every store."""
    return _NAME.fullmatch(text) is not None and ".." not in text and text not in _RESERVED


def check_name(kind: str, text: str) -> str:
    """Return ``text`` unchanged.

    Raises:
        UsageError: it cannot be one path segment.
    """
    if not is_name(text):
        raise UsageError(f"{kind} {text!r} cannot be part of a path", todo=f"use {RULE}")
    return text


def is_key(text: str) -> bool:
    """Whether ``text`` is safe as an object key on every store and stays below its root."""
    if not text or any(ord(c) < 32 or c in "\\\x7f" or 0xD800 <= ord(c) < 0xE000 for c in text):
        return False
    parts = text.split("/")
    fits = len(text.encode()) <= 1024 and all(len(part.encode()) <= 255 for part in parts)
    return fits and not {"", ".", ".."}.intersection(parts)
