"""Proofs as text files, made from a folder's events and verified without it.

An inclusion proof is a C2SP tlog-proof whose ``extra`` line is the event's canonical form. A
consistency proof is the body of a C2SP tlog-witness ``add-checkpoint`` request.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from bronze_tui.audit import tree
from bronze_tui.audit.canonical import HASH_PREFIX, hashed_bytes
from bronze_tui.audit.event import MAX_EVENT_BYTES, parse_event
from bronze_tui.audit.note import MAX_NOTE_BYTES, VerifyKey, unbase64
from bronze_tui.audit.signedhead import (
    TreeHead,
    leaf_hashes,
    open_head,
    origin_of,
    parse_hash,
    unchecked_head,
)
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import UsageError

INCLUSION = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 2 * MAX_NOTE_BYTES
_MAX_HASHES = 128
_OPEN_END = b'"event_hash":""}}'
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Included:
    """What an inclusion proof has shown: this event is number ``index`` (from 0) under ``head``."""

    event: AuditEvent
    index: int
    head: TreeHead


@dataclass(frozen=True, slots=True)
class Continued:
    """What a consistency proof has shown: ``head`` only added events to ``old``."""

    old: TreeHead
    head: TreeHead


def prove_inclusion(line: Sequence[AuditEvent], index: int, signed_head: bytes) -> bytes:
    """The proof that event ``index`` of a chain is under a signed head of this chain.

    Args:
        line: the chain's events in link order.

    Raises:
        ProofRejected: the head is not one of these events. UsageError: it does not reach the event.
    """
    head = unchecked_head(signed_head)
    leaves = matching_leaves(line, head)
    if index >= head.size:
        raise UsageError(
            f"the signed head has {head.size} events, and this is number {index + 1}",
            todo="sign a newer head first: 'bronze head'",
        )
    extra = base64.b64encode(hashed_bytes(line[index])).decode()
    path = tree.inclusion_proof(leaves, index, head.size)
    top = [INCLUSION, f"extra {extra}", f"index {index}"]
    return _joined([*top, *map(_b64, path)], signed_head)


def prove_consistency(line: Sequence[AuditEvent], old_head: bytes, signed_head: bytes) -> bytes:
    """The proof that a signed head only adds events to an older one.

    Raises:
        ProofRejected: one of the heads is not one of these events. UsageError: two logs.
    """
    old, head = unchecked_head(old_head), unchecked_head(signed_head)
    _same_log(old, head)
    matching_leaves(line, old)
    leaves = matching_leaves(line, head)
    if old.size > head.size:
        raise UsageError(
            f"the old head has {old.size} events, and the new one {head.size}",
            todo="sign a newer head first: 'bronze head'",
        )
    path = tree.consistency_proof(leaves, old.size, head.size)
    return _joined([f"old {old.size}", *map(_b64, path)], signed_head)


def matching_leaves(line: Sequence[AuditEvent], head: TreeHead) -> list[bytes]:
    """Leaf hashes of the events under ``head``.

    Raises:
        ProofRejected: the events are fewer, or others.
    """
    if head.size > len(line):
        raise ProofRejected(
            f"the chain has {len(line)} events, and its signed head has {head.size}: "
            "the end of the chain was cut off, or not copied here",
        )
    leaves = leaf_hashes(line[: head.size])
    found = tree.root(leaves)
    if found != head.root:
        raise ProofRejected(
            f"the first {head.size} events are not those that the signed head is about: "
            f"root {head.root.hex()} was signed, {found.hex()} is here; the chain was rewritten",
        )
    return leaves


def verify_inclusion(data: bytes, keys: Iterable[VerifyKey]) -> Included:
    """Verify an inclusion proof; nothing but the file and the keys is needed.

    Raises:
        ProofRejected: it does not show what it claims to. EventRejected: it holds no event.
    """
    top, signed_head = _split(data)
    if len(top) < 3 or not top[1].startswith("extra ") or not _INDEX.fullmatch(top[2]):
        raise ProofRejected("not a proof of an event: extra and index lines are expected")
    try:
        leaf = unbase64(top[1].removeprefix("extra "))
    except ValueError as error:
        raise ProofRejected(f"the event in the proof is {error}") from None
    index = int(top[2].removeprefix("index "))
    head = open_head(signed_head, keys)
    path = [parse_hash(line) for line in top[3:]]
    tree.check_inclusion(tree.leaf_hash(leaf), index, head.size, path, head.root)
    event = _event(leaf)
    if not head.origin.endswith(origin_of("", event.chain_key)):
        raise ProofRejected(f"the event is one of {event.chain_key}, and the head of {head.origin}")
    return Included(event, index, head)


def verify_consistency(data: bytes, old_head: bytes, keys: Iterable[VerifyKey]) -> Continued:
    """Verify a consistency proof against the signed head that was kept.

    Raises:
        ProofRejected: it does not show what it claims to. UsageError: the heads are of two logs.
    """
    trusted = tuple(keys)
    top, signed_head = _split(data)
    said = _OLD.fullmatch(top[0])
    if said is None:
        raise ProofRejected("not a consistency proof: its first line is 'old SIZE'")
    old, head = open_head(old_head, trusted), open_head(signed_head, trusted)
    _same_log(old, head)
    if int(said[1]) != old.size:
        raise ProofRejected(f"the proof starts at {said[1]} events, the old head has {old.size}")
    path = [parse_hash(line) for line in top[1:]]
    tree.check_consistency(old.size, old.root, head.size, head.root, path)
    return Continued(old, head)


def is_inclusion(data: bytes) -> bool:
    """Whether a proof is one of an event, going by its first line."""
    return data.startswith(INCLUSION.encode() + b"\n")


def _same_log(old: TreeHead, head: TreeHead) -> None:
    if old.origin != head.origin:
        raise UsageError(f"the two heads are of two logs: {old.origin!a} and {head.origin!a}")


def _event(leaf: bytes) -> AuditEvent:
    """The event whose canonical form ``leaf`` is, in every byte."""
    if not leaf.endswith(_OPEN_END) or len(leaf) > MAX_EVENT_BYTES:
        raise ProofRejected("what was proven is not an event's canonical form")
    digest = HASH_PREFIX + sha256(leaf).hexdigest()
    whole = leaf[: -len(_OPEN_END)] + f'"event_hash":"{digest}"}}}}'.encode()
    event = parse_event(whole, where="the event in the proof")
    if hashed_bytes(event) != leaf:
        raise ProofRejected("what was proven is not an event's canonical form")
    return event


def _split(data: bytes) -> tuple[list[str], bytes]:
    if len(data) > MAX_PROOF_BYTES:
        raise ProofRejected(f"not a proof: larger than {MAX_PROOF_BYTES} bytes")
    top, blank, signed_head = data.partition(b"\n\n")
    try:
        lines = top.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise ProofRejected(f"not a proof: byte {error.start} is no ASCII") from None
    if not blank or len(lines) > _MAX_HASHES:
        raise ProofRejected("not a proof: an empty line and a signed head are expected")
    if lines[0] != INCLUSION and not _OLD.fullmatch(lines[0]):
        raise ProofRejected(f"not a proof: its first line is neither {INCLUSION} nor 'old SIZE'")
    return lines, signed_head


def _joined(top: list[str], signed_head: bytes) -> bytes:
    return "\n".join(top).encode() + b"\n\n" + signed_head


def _b64(node: bytes) -> str:
    return base64.b64encode(node).decode()
