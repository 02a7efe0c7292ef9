"""Signed heads: size and root of a chain's tree as a C2SP tlog-checkpoint, one log a chain.

    NAME/NETWORK/ERA/VERSION      origin: the key's name, then the chain key, percent-encoded
    SIZE                          events, in decimal
    ROOT                          base64 of 32 bytes

    — NAME SIGNATURE

The specification's word is "checkpoint"; here that is the copier's progress file.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bronze_tui.audit import tree
from bronze_tui.audit.canonical import hashed_bytes
from bronze_tui.audit.note import SigningKey, VerifyKey, open_note, sign_note, split_note, unbase64
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.audit import AuditEvent

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What a signed head says."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def __str__(self) -> str:
        return f"{self.origin}, {self.size} events, root {self.root.hex()}"


def origin_of(key_name: str, chain_key: str) -> str:
    """The log that a key keeps of a chain; its name is never that of another chain."""
    return "/".join([key_name, *(quote(part, safe="") for part in chain_key.split("/"))])


def leaf_hashes(events: Iterable[AuditEvent]) -> list[bytes]:
    """The hash of each event's leaf, in the order given, which must be link order."""
    return [tree.leaf_hash(hashed_bytes(event)) for event in events]


def sign_head(leaves: Sequence[bytes], chain_key: str, key: SigningKey) -> bytes:
    """The signed head of a chain's tree."""
    head = TreeHead(origin_of(key.name, chain_key), len(leaves), tree.root(leaves))
    return sign_note(head.text(), key)


def open_head(data: bytes, keys: Iterable[VerifyKey]) -> TreeHead:
    """A signed head whose signature by one of ``keys`` is good, and whose origin is that key's.

    Raises:
        ProofRejected: it is anything else.
    """
    opened = open_note(data, keys)
    head = parse_head(opened.text)
    if not any(head.origin.startswith(f"{key.name}/") for key in opened.signers):
        raise ProofRejected(
            f"the head is one of {head.origin}, which is no log of {opened.signers[0].name}"
        )
    return head


def unchecked_head(data: bytes) -> TreeHead:
    """What a signed head says, whoever signed it.

    Raises:
        ProofRejected: it is no signed head.
    """
    return parse_head(split_note(data)[0])


def parse_head(text: str) -> TreeHead:
    """Read the signed text. Further lines (extensions) are passed over.

    Raises:
        ProofRejected: it is another text.
    """
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines) or not _DECIMAL.fullmatch(lines[1]):
        raise ProofRejected("not a signed head: origin, size and root are expected")
    return TreeHead(lines[0], int(lines[1]), parse_hash(lines[2]))


def parse_hash(text: str) -> bytes:
    """The 32 bytes that a line of base64 holds.

    Raises:
        ProofRejected: it holds anything else.
    """
    try:
        found = unbase64(text)
    except ValueError:
        found = b""
    if len(found) != tree.HASH_BYTES:
        raise ProofRejected("a line that should be a hash is not base64 of 32 bytes")
    return found
