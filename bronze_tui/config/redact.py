"""Secrets out of any text (logs, errors, screens) and out of settings; errs on the safe side.

This module loads nothing but ``re``, so that logging may import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"

_WORD = (
    r"(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|credentials?|signature)"
)
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Userinfo in its proper place, then passwords that hold / or ? or # without escape.
    (re.compile(r"(://)[^\s/?#\"'<>]{0,512}@"), rf"\1{HIDDEN}@"),
    (
        re.compile(r"(://)(?!\*\*\*@)[^\s/:@\"'<>]{0,512}:(?![0-9]{1,5}[/?#])[^\s\"'<>]{0,512}@"),
        rf"\1{HIDDEN}@",
    ),
    (
        re.compile(
            rf"(?i)({_WORD}[a-z0-9_-]{{0,40}}[\"']?\s{{0,8}}=\s{{0,8}})(?:{_QUOTED}|[^\s&,;}}\"']+)"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(rf"(?i)({_WORD}[a-z0-9_-]{{0,40}}[\"']\s{{0,8}}:\s{{0,8}})(?:{_QUOTED})"),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(r"(?i)((?:password|passwd|secret)\s{0,8}:\s{1,8})[^\s,;}\"']+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), HIDDEN),
    (
        re.compile(r"(?i)(X-(?:Amz|Goog)-[a-z0-9-]{1,40}\s{0,8}[=:]\s{0,8})[^\s&\"']+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)([?&]sig=)[^\s&\"']+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(Bearer\s{1,8})[^\s\"',;]+"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?i)\b(Authorization[\"']?\s{0,8}[:=]\s{0,8}[\"']?)(?!Bearer)[^\"'\r\n]+"),
        rf"\1{HIDDEN}",
    ),
    # Secret seeds of Stellar accounts.
    (re.compile(r"\bS[A-Z2-7]{55}\b"), HIDDEN),
)
_SECRET_NAME = re.compile(rf"(?i){_WORD}|auth|(?:^|[_-])(?:key|pass|dsn)$")


def redact(text: str, known: Iterable[str] = ()) -> str:
    """``text`` with everything that looks like a secret, and every ``known`` one, as ``***``."""
    for secret in sorted((s for s in known if s), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def redact_dsn(dsn: str) -> str:
    """A connection string with its credentials hidden; all of it when it has no known form."""
    if not dsn:
        return ""
    hidden = redact(dsn)
    scheme, separator, rest = hidden.partition("://")
    if separator and rest.startswith(f"{HIDDEN}@") and "@" not in rest[len(HIDDEN) + 1 :]:
        return hidden
    if separator and "@" not in rest:
        return hidden
    if not separator and re.fullmatch(
        rf"(?:\s{{0,8}}[a-z_]+\s{{0,8}}=\s{{0,8}}(?:{_QUOTED}|[^\s']+))+\s{{0,8}}", hidden
    ):
        return hidden
    return f"{scheme}://{HIDDEN}" if separator else HIDDEN


def holds_secret(text: str) -> bool:
    """Whether ``redact`` would hide a part of ``text`` that is more than a user's name."""
    bare = re.sub(r"(://)[^\s/?#:@]*@", r"\1", text)
    return redact(bare) != bare


def is_secret_name(name: str) -> bool:
    """Whether a plugin's setting of this name is a secret, by its name."""
    return _SECRET_NAME.search(name) is not None
