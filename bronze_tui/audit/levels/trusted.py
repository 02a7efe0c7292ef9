"""Files that a verifier brings along: trusted ledger hashes, and validators' keys with names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bronze_tui.audit.folder import read_capped
from bronze_tui.audit.levels.pinned import validators_of_toml
from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.ledger import MAX_LEDGER
from bronze_tui.domain.text import safe_text

_MOST = 256 << 20
_HASH = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"G[A-Z2-7]{55}")
_TOML = re.compile(r"(?m)^\s*\[\[\s*VALIDATORS\s*\]\]")


def merged_anchors(files: Mapping[Path, Mapping[int, str]]) -> dict[int, str]:
    """Trusted ledger hashes of several files together.

    Raises:
        UsageError: one contradicts another.
    """
    merged: dict[int, str] = {}
    for path, found in files.items():
        for ledger, text in found.items():
            if merged.setdefault(ledger, text) != text:
                raise _not(path, f"in accord with another file about ledger {ledger}")
    return merged


def read_anchors(path: Path) -> dict[int, str]:
    """Trusted ledger hashes: what ``stellar-core verify-checkpoints`` writes, a JSON list of
    ``[sequence, "hex hash"]``.

    Raises:
        UsageError: it is something else. SourceDenied: it cannot be read.
    """
    doc = _json(path)
    anchors: dict[int, str] = {}
    if type(doc) is not list or not doc:
        raise _not(path, 'a list of [ledger, "hash"] pairs')
    for number, pair in enumerate(doc, 1):
        match pair:
            case [int(sequence), str(text)] if 0 < sequence <= MAX_LEDGER and _HASH.fullmatch(text):
                if anchors.setdefault(sequence, text) != text:
                    raise _not(path, f"free of contradictions: ledger {sequence} has two hashes")
            case _:
                raise _not(path, f'[ledger, "64 hex digits"] at entry {number}')
    return anchors


def read_validators(path: Path) -> dict[str, str]:
    """Validator keys: TOML with ``[[VALIDATORS]]``, lines of ``G… name`` (``#`` begins a comment),
    or a JSON object.

    Raises:
        UsageError: it is something else. SourceDenied: it cannot be read.
    """
    raw = read_capped(path, _MOST)
    try:
        pairs = _pairs(path, raw)
    except (ValueError, RecursionError) as error:
        raise _not(path, f"a list of validators ({safe_text(str(error))[:200]})") from None
    from stellar_sdk import StrKey

    for key, _ in pairs:
        if not _KEY.fullmatch(key) or not StrKey.is_valid_ed25519_public_key(key):
            raise _not(path, f"a list of validator keys: {key[:60]!a} is none")
    if not pairs:
        raise _not(path, "a list of validator keys: it is empty")
    return dict(pairs)


def _pairs(path: Path, raw: bytes) -> list[tuple[str, str]]:
    if raw.lstrip().startswith(b"{"):
        doc = _json(path)
        return [(key, str(name)) for key, name in doc.items()]
    text = _text(path, raw)
    if _TOML.search(text):
        return list(validators_of_toml(text).items())
    lines = (line.partition("#")[0].split(None, 1) for line in text.splitlines())
    return [(words[0], words[1].strip() if words[1:] else "") for words in lines if words]


def _json(path: Path) -> Any:
    raw = read_capped(path, _MOST)
    if len(raw) > _MOST:
        raise _not(path, f"smaller than {_MOST} bytes")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _not(path, f"JSON ({error})") from error


def _text(path: Path, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _not(path, f"UTF-8 ({error})") from error


def _not(path: Path, what: str) -> UsageError:
    return UsageError(f"not {what}", where=str(path))
