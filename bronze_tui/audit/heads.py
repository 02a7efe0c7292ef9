"""The recorded head of a chain against its events: the folder's own record and a pinned one.

The heads file is a cache that anyone who can write the folder can rewrite; only a head that was
kept elsewhere shows a tail that was cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bronze_tui.audit.canonical import HASH_PREFIX
from bronze_tui.audit.event import MAX_EVENT_BYTES, EventRejected, is_hash, unique_json
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.names import HEADS_FILE
from bronze_tui.domain.errors import StateError, UsageError

MAX_HEADS_BYTES = 64 * MAX_EVENT_BYTES


def parse_heads(data: bytes, *, where: str) -> dict[str, str]:
    """Read ``pas-chain-heads.json``: chain key to event hash.

    Raises:
        StateError: it is anything else.
    """
    try:
        if len(data) > MAX_HEADS_BYTES:
            raise ValueError(f"larger than {MAX_HEADS_BYTES} bytes")
        doc: Any = unique_json(data.decode())
    except (ValueError, RecursionError, EventRejected) as error:
        raise _damaged(where, str(error) or "nested too deeply") from None
    if type(doc) is not dict:
        raise _damaged(where, "not an object")
    for key, value in doc.items():
        if type(value) is not str or not is_hash(value):
            raise _damaged(where, f"the entry of {key!a} is not a sha256 hash")
    return dict(doc)


def parse_pin(text: str) -> str:
    """A head given by a person, with or without ``sha256:``.

    Raises:
        UsageError: it is not a SHA-256 hash.
    """
    pin = text if text.startswith(HASH_PREFIX) else HASH_PREFIX + text
    if not is_hash(pin):
        raise UsageError(
            f"{text!a} is not an event hash", todo="give sha256: and 64 lowercase hex digits"
        )
    return pin


def head_findings(chain_key: str, head: str, hashes: Sequence[str]) -> list[Finding]:
    """Compare the heads file's entry (empty: none) with the chain's hashes in link order."""
    last = hashes[-1] if hashes else ""
    if head == last:
        return []
    if not head:
        return [
            Finding(
                "head_missing",
                "warning",
                chain_key,
                "the heads file has no entry of this chain",
                expected=last,
                file=HEADS_FILE,
                cause="it was lost; a Go copier would begin a second chain here, bronze run "
                "makes it anew from the events",
            )
        ]
    if head in hashes:
        behind = len(hashes) - 1 - hashes.index(head)
        return [
            Finding(
                "head_stale",
                "warning",
                chain_key,
                f"the recorded head is {behind} event{'s' * (behind > 1)} behind",
                expected=last,
                found=head,
                file=HEADS_FILE,
                cause="a copier is at work, or was killed between event and head; a Go copier "
                "would fork the chain here, bronze run mends it",
            )
        ]
    return [
        Finding(
            "head_mismatch",
            "error",
            chain_key,
            "the recorded head is no event of this chain",
            expected=last,
            found=head,
            file=HEADS_FILE,
            cause="the chain's last events were deleted or replaced, or its events are elsewhere",
        )
    ]


def pin_findings(chain_key: str, pin: str, hashes: Sequence[str]) -> list[Finding]:
    """Compare a head that was kept apart with the chain's hashes in link order."""
    last = hashes[-1] if hashes else ""
    if pin == last:
        return []
    if pin in hashes:
        after = len(hashes) - 1 - hashes.index(pin)
        return [
            Finding(
                "pinned_head_passed",
                "note",
                chain_key,
                f"the chain has {after} event{'s' * (after > 1)} after the pinned head",
                event=hashes.index(pin) + 1,
                expected=pin,
                found=last,
                cause="it grew since the head was pinned",
            )
        ]
    return [
        Finding(
            "pinned_head_missing",
            "error",
            chain_key,
            "the pinned head is no event of this chain",
            expected=pin,
            found=last,
            cause="the chain's tail was cut off, or the chain was rewritten, after it was pinned",
        )
    ]


def _damaged(where: str, why: str) -> StateError:
    return StateError(f"the heads file is damaged ({why})", where=where)
