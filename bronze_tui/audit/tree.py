"""RFC 6962 Merkle tree over a chain's events: root, inclusion and consistency proofs.

Building follows RFC 6962 section 2.1, checking the loops of RFC 9162 sections 2.1.3.2 and 2.1.4.2,
so that a slip in one is not repeated in the other. SHA-256 throughout; a hash is 32 bytes. A leaf's
data is the canonical form of one event (``docs/proofs.md``). Leaves are given by their hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from bronze_tui.domain.errors import VerificationError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves."""

_LEAF, _NODE = b"\x00", b"\x01"


class ProofRejected(VerificationError):
    """A proof, a signed head or a signature does not show what it claims to."""


def leaf_hash(data: bytes) -> bytes:
    """``SHA-256(0x00 || data)``; the prefix keeps a node from passing as a leaf."""
    return sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 || left || right)``."""
    return sha256(_NODE + left + right).digest()


def root(leaves: Sequence[bytes], size: int | None = None) -> bytes:
    """Root of the tree of the first ``size`` leaves (default: all)."""
    return _subroot(leaves, 0, _checked(leaves, size))


def inclusion_proof(leaves: Sequence[bytes], index: int, size: int | None = None) -> list[bytes]:
    """Audit path of leaf ``index``, from its sibling up to the root's child.

    Raises:
        ValueError: there is no such leaf among the first ``size``.
    """
    start, end = 0, _checked(leaves, size)
    if not 0 <= index < end:
        raise ValueError(f"no leaf {index} in a tree of {end}")
    path = []
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            path.append(_subroot(leaves, split, end))
            end = split
        else:
            path.append(_subroot(leaves, start, split))
            start = split
    return path[::-1]


def consistency_proof(leaves: Sequence[bytes], old: int, size: int | None = None) -> list[bytes]:
    """Proof that the tree of the first ``old`` leaves is a prefix of that of the first ``size``.

    Empty when the two are equal or the old tree has no leaf.

    Raises:
        ValueError: there are not that many leaves.
    """
    start, end = 0, _checked(leaves, size)
    if not 0 <= old <= end:
        raise ValueError(f"no tree of {old} in one of {end}")
    path = []
    while old not in (0, end):
        split = start + _split(end - start)
        if old <= split:
            path.append(_subroot(leaves, split, end))
            end = split
        else:
            path.append(_subroot(leaves, start, split))
            start = split
    return [_subroot(leaves, start, end), *path[::-1]] if start else path[::-1]


def check_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], tree_root: bytes
) -> None:
    """Check that a leaf with hash ``leaf`` stands at ``index`` in the tree of that size and root.

    Raises:
        ProofRejected: it is not shown.
    """
    if not 0 <= index < size:
        raise ProofRejected(f"leaf {index} cannot be in a tree of {size}")
    at, last, result = index, size - 1, leaf
    for node in path:
        if not last:
            raise ProofRejected("the inclusion proof has too many hashes")
        if at & 1 or at == last:
            result = node_hash(node, result)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            result = node_hash(result, node)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofRejected("the inclusion proof has too few hashes")
    if result != tree_root:
        raise ProofRejected("the inclusion proof does not lead to the tree's root")


def check_consistency(
    old: int, old_root: bytes, size: int, tree_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the tree of ``old`` leaves is a prefix of the one of ``size`` leaves.

    Raises:
        ProofRejected: it is not shown.
    """
    if not 0 <= old <= size:
        raise ProofRejected(f"a tree of {size} cannot continue one of {old}")
    if old in (0, size):
        if path:
            raise ProofRejected("the consistency proof has too many hashes")
        if old_root != (tree_root if old else EMPTY_ROOT):
            raise ProofRejected("the two trees have another root at the same size")
        return
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    before, after = _both_roots(nodes, old, size)
    if before != old_root:
        raise ProofRejected("the consistency proof does not lead to the old root")
    if after != tree_root:
        raise ProofRejected("the consistency proof does not lead to the new root")


def _both_roots(nodes: list[bytes], old: int, size: int) -> tuple[bytes, bytes]:
    if not nodes:
        raise ProofRejected("the consistency proof has too few hashes")
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = nodes[0]
    for node in nodes[1:]:
        if not last:
            raise ProofRejected("the consistency proof has too many hashes")
        if at & 1 or at == last:
            before, after = node_hash(node, before), node_hash(node, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, node)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofRejected("the consistency proof has too few hashes")
    return before, after


def _checked(leaves: Sequence[bytes], size: int | None) -> int:
    if size is None:
        return len(leaves)
    if not 0 <= size <= len(leaves):
        raise ValueError(f"no tree of {size} over {len(leaves)} leaves")
    return size


def _split(size: int) -> int:
    """The largest power of two below ``size``, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _subroot(leaves: Sequence[bytes], start: int, end: int) -> bytes:
    if start == end:
        return EMPTY_ROOT
    whole: list[bytes] = []
    for count, k in enumerate(range(start, end), 1):
        node, left = leaves[k], count
        while not left & 1:
            node, left = node_hash(whole.pop(), node), left >> 1
        whole.append(node)
    node = whole.pop()
    while whole:
        node = node_hash(whole.pop(), node)
    return node
