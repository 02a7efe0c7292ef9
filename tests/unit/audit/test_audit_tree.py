"""The tree against known roots, against the RFC's own recursion, and under wrong proofs."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.audit.tree import (
    EMPTY_ROOT,
    ProofRejected,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
)

LEAVES = [bytes.fromhex(h) for h in ("", "00", "10", "2021", "3031", "40414243")] + [
    bytes.fromhex("5051525354555657"),
    bytes.fromhex("606162636465666768696a6b6c6d6e6f"),
]
"""The eight leaves of the Certificate Transparency reference tests, and their trees' roots."""
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
MANY = [b"leaf %d" % n for n in range(70)]
HASHES = [leaf_hash(d) for d in MANY]
OTHER = sha256(b"other").digest()

sizes = st.integers(1, 70)
huge = st.integers(1, 700)


def mth(data: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word by word: the Merkle tree hash."""
    if not data:
        return sha256().digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    k = below(len(data))
    return sha256(b"\x01" + mth(data[:k]) + mth(data[k:])).digest()


def path(m: int, data: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1: PATH."""
    if len(data) == 1:
        return []
    k = below(len(data))
    if m < k:
        return [*path(m, data[:k]), mth(data[k:])]
    return [*path(m - k, data[k:]), mth(data[:k])]


def subproof(m: int, data: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 section 2.1.2: SUBPROOF."""
    if m == len(data):
        return [] if whole else [mth(data)]
    k = below(len(data))
    if m <= k:
        return [*subproof(m, data[:k], whole), mth(data[k:])]
    return [*subproof(m - k, data[k:], False), mth(data[:k])]


def below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def test_known_roots() -> None:
    hashes = [leaf_hash(d) for d in LEAVES]
    assert root([]) == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [root(hashes, n).hex() for n in range(1, 9)] == ROOTS


def test_known_paths() -> None:
    """Paths of the Certificate Transparency reference tests."""
    hashes = [leaf_hash(d) for d in LEAVES]
    assert [h.hex() for h in inclusion_proof(hashes, 0, 8)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [h.hex() for h in consistency_proof(hashes, 6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@pytest.mark.parametrize("size", range(71))
def test_every_small_tree_is_the_rfcs(size: int) -> None:
    tree = root(HASHES, size)
    assert tree == mth(MANY[:size])
    for index in range(size):
        proof = inclusion_proof(HASHES, index, size)
        assert proof == path(index, MANY[:size])
        check_inclusion(HASHES[index], index, size, proof, tree)
    for old in range(size + 1):
        proof = consistency_proof(HASHES, old, size)
        assert proof == (subproof(old, MANY[:size], True) if old else [])
        check_consistency(old, root(HASHES, old), size, tree, proof)


@given(st.data(), huge)
def test_larger_trees(data: st.DataObject, size: int) -> None:
    hashes = [leaf_hash(b"%d" % n) for n in range(size)]
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    check_inclusion(hashes[index], index, size, inclusion_proof(hashes, index), root(hashes))
    proof = consistency_proof(hashes, old)
    check_consistency(old, root(hashes, old), size, root(hashes), proof)


@given(st.data(), sizes)
def test_a_wrong_inclusion_is_refused(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    tree, proof = root(HASHES, size), inclusion_proof(HASHES, index, size)
    leaf = HASHES[index]
    wrong = data.draw(st.integers(0, size).filter(lambda n: n != index))
    lies = [
        (leaf, wrong, size, proof, tree),
        (leaf, -1, size, proof, tree),
        (leaf, index, index, proof, tree),
        (OTHER, index, size, proof, tree),
        (leaf, index, size, proof, OTHER),
        (leaf, index, size, [*proof, OTHER], tree),
        (leaf, index, 0, proof, tree),
        *((leaf, index, size, replaced, tree) for replaced in spoiled(proof)),
    ]
    for lie in lies:
        with pytest.raises(ProofRejected):
            check_inclusion(*lie)


@given(st.data(), st.integers(2, 70))
def test_a_wrong_consistency_is_refused(data: st.DataObject, size: int) -> None:
    old = data.draw(st.integers(1, size - 1))
    before, tree = root(HASHES, old), root(HASHES, size)
    proof = consistency_proof(HASHES, old, size)
    lies = [
        (old, OTHER, size, tree, proof),
        (old, before, size, OTHER, proof),
        (old, before, size, tree, [*proof, OTHER]),
        (old, before, old, tree, []),
        (size + 1, before, size, tree, proof),
        (-1, before, size, tree, proof),
        (0, before, size, tree, []),
        (size, before, size, tree, proof),
        *((old, before, size, tree, replaced) for replaced in spoiled(proof)),
    ]
    for lie in lies:
        with pytest.raises(ProofRejected):
            check_consistency(*lie)


def test_a_forked_tree_has_no_proof() -> None:
    """No hash of either tree fills the place of an honest proof."""
    forked = [*HASHES[:20], OTHER, *HASHES[21:40]]
    for old in range(21, 40):
        with pytest.raises(ProofRejected):
            check_consistency(
                old, root(HASHES, old), 40, root(forked), consistency_proof(forked, old)
            )


def test_a_node_is_no_leaf() -> None:
    """Without prefixes the concatenation of two hashes would pass as a leaf."""
    joined = HASHES[0] + HASHES[1]
    assert leaf_hash(joined) != root(HASHES, 2)


@pytest.mark.parametrize(("index", "size"), [(3, 3), (-1, 3), (0, 0), (0, 71)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no "):
        inclusion_proof(HASHES, index, size)


@pytest.mark.parametrize(("old", "size"), [(4, 3), (-1, 3), (0, 71)])
def test_there_is_no_consistency_with_the_future(old: int, size: int) -> None:
    with pytest.raises(ValueError, match="no tree"):
        consistency_proof(HASHES, old, size)


def spoiled(proof: list[bytes]) -> list[list[bytes]]:
    """The proof with one hash changed, left out, or two swapped."""
    found = []
    for k in range(len(proof)):
        found += [[*proof[:k], OTHER, *proof[k + 1 :]], [*proof[:k], *proof[k + 1 :]]]
        if k:
            found.append([*proof[: k - 1], proof[k], proof[k - 1], *proof[k + 1 :]])
    return found
