"""Proof files: made from a chain, verified without it, refused when anything in them is changed."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.audit.canonical import canonical, event_hash
from bronze_tui.audit.note import SigningKey, sign_note
from bronze_tui.audit.proof import (
    matching_leaves,
    prove_consistency,
    prove_inclusion,
    verify_consistency,
    verify_inclusion,
)
from bronze_tui.audit.signedhead import (
    TreeHead,
    leaf_hashes,
    open_head,
    origin_of,
    sign_head,
    unchecked_head,
)
from bronze_tui.audit.tree import ProofRejected, leaf_hash, root
from bronze_tui.domain.errors import BronzeError, UsageError, VerificationError
from bronze_tui.testing.emitter_contract import make_chain

KEY = SigningKey("example.com/bronze", bytes(range(32)))
TRUSTED = [KEY.verify_key]
CHAIN = make_chain(13)
CHAIN_KEY = CHAIN[0].chain_key
LEAVES = leaf_hashes(CHAIN)


def head(size: int, key: SigningKey = KEY) -> bytes:
    return sign_head(LEAVES[:size], CHAIN_KEY, key)


def test_a_head() -> None:
    signed = head(13)
    found = open_head(signed, TRUSTED)
    assert found == TreeHead("example.com/bronze/testnet/p23_plus/v1", 13, root(LEAVES))
    assert unchecked_head(signed) == found
    assert LEAVES[0] == leaf_hash(canonical(CHAIN[0]))


def test_every_event_is_proven() -> None:
    for size in (1, 2, 7, 13):
        for index in range(size):
            found = verify_inclusion(prove_inclusion(CHAIN, index, head(size)), TRUSTED)
            assert (found.event, found.index, found.head.size) == (CHAIN[index], index, size)


def test_the_file_is_that_of_the_specification() -> None:
    text = prove_inclusion(CHAIN, 2, head(13)).decode()
    lines = text.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert base64.b64decode(lines[1].removeprefix("extra ")) == canonical(CHAIN[2])
    assert lines[2] == "index 2"
    assert text.endswith("\n\n" + head(13).decode())


def test_every_pair_of_heads_is_proven() -> None:
    for old in range(1, 14):
        for new in range(old, 14):
            proof = prove_consistency(CHAIN, head(old), head(new))
            found = verify_consistency(proof, head(old), TRUSTED)
            assert (found.old.size, found.head.size) == (old, new)


def test_a_rewritten_chain_has_no_proof() -> None:
    forged = make_chain(13, size=10)
    other = replace(forged[4], event_id="pas_evt_0000000000000000", event_hash="")
    forged[4] = replace(other, event_hash=event_hash(other))
    with pytest.raises(ProofRejected, match="rewritten"):
        prove_inclusion(forged, 2, head(13))
    with pytest.raises(ProofRejected, match="rewritten"):
        prove_consistency(forged, head(7), head(13))
    assert matching_leaves(forged, unchecked_head(head(4))) == LEAVES[:4]
    new = sign_head(leaf_hashes(forged), CHAIN_KEY, KEY)
    honest = prove_consistency(CHAIN, head(7), head(13))
    proof = honest.partition(b"\n\n")[0] + b"\n\n" + new
    with pytest.raises(ProofRejected):
        verify_consistency(proof, head(7), TRUSTED)


def test_a_cut_chain_has_no_proof() -> None:
    with pytest.raises(ProofRejected, match="12 events, and its signed head has 13"):
        prove_inclusion(CHAIN[:12], 2, head(13))


def test_a_head_that_does_not_reach() -> None:
    with pytest.raises(UsageError, match="number 8"):
        prove_inclusion(CHAIN, 7, head(7))
    with pytest.raises(UsageError, match="old head has 8"):
        prove_consistency(CHAIN, head(8), head(7))


def test_heads_of_two_chains() -> None:
    other = sign_head(LEAVES[:3], "testnet/p23_plus/v2", KEY)
    with pytest.raises(UsageError, match="two logs"):
        prove_consistency(CHAIN, other, head(7))
    with pytest.raises(UsageError, match="two logs"):
        verify_consistency(prove_consistency(CHAIN, head(3), head(7)), other, TRUSTED)
    with pytest.raises(ProofRejected, match="the event is one of testnet/p23_plus/v1"):
        verify_inclusion(prove_inclusion(CHAIN, 1, other), TRUSTED)


def test_somebody_elses_signature() -> None:
    thief = SigningKey(KEY.name, bytes(32))
    for proof in (prove_inclusion(CHAIN, 1, head(7, thief)),):
        with pytest.raises(ProofRejected, match="no trusted key"):
            verify_inclusion(proof, TRUSTED)
    with pytest.raises(ProofRejected, match="no trusted key"):
        verify_consistency(prove_consistency(CHAIN, head(3), head(7, thief)), head(3), TRUSTED)
    with pytest.raises(ProofRejected, match="no trusted key"):
        verify_consistency(prove_consistency(CHAIN, head(3), head(7)), head(3, thief), TRUSTED)


def test_what_is_proven_is_an_event() -> None:
    """A log could hold other bytes too: they are no event's canonical form."""
    form = canonical(CHAIN[0])
    spaced = form.replace(b'{"version"', b'{ "version"')
    extended = form.replace(b'{"version"', b'{"more":1,"version"')
    for data in (b"", b"anything", spaced, extended, form[:-1], form + b" ", b'"event_hash":""}}'):
        leaf = leaf_hash(data)
        signed = sign_head([leaf], CHAIN_KEY, KEY)
        extra = base64.b64encode(data).decode()
        proof = f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex 0\n\n".encode() + signed
        with pytest.raises(VerificationError):
            verify_inclusion(proof, TRUSTED)


@given(st.integers(0, 12), st.integers(0, 10_000), st.integers(1, 255))
def test_every_changed_byte_is_seen(index: int, place: int, mask: int) -> None:
    proof = prove_inclusion(CHAIN, index, head(13))
    at = place % len(proof)
    with pytest.raises(VerificationError):
        verify_inclusion(proof[:at] + bytes([proof[at] ^ mask]) + proof[at + 1 :], TRUSTED)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    whole = prove_inclusion(CHAIN, 1, head(13))
    for lie in (data, b"c2sp.org/tlog-proof@v1\n" + data, whole[: len(data)], data + whole):
        if lie != whole:
            with pytest.raises(VerificationError):
                verify_inclusion(lie, TRUSTED)
            with pytest.raises(BronzeError):
                verify_consistency(lie, head(3), TRUSTED)
    with pytest.raises(BronzeError):
        verify_consistency(b"old 3\n" + data + b"\n\n" + head(7), head(3), TRUSTED)


def test_proofs_are_not_swapped() -> None:
    with pytest.raises(ProofRejected, match="not a consistency proof"):
        verify_consistency(prove_inclusion(CHAIN, 1, head(7)), head(3), TRUSTED)
    with pytest.raises(ProofRejected, match="not a proof of an event"):
        verify_inclusion(prove_consistency(CHAIN, head(3), head(7)), TRUSTED)
    with pytest.raises(ProofRejected, match="starts at 3 events, the old head has 4"):
        verify_consistency(prove_consistency(CHAIN, head(3), head(7)), head(4), TRUSTED)


def test_origins_are_never_confused() -> None:
    assert origin_of("k", "net/a b/v+1") == "k/net/a%20b/v%2B1"
    assert origin_of("k", "net/é\n/v1") == "k/net/%C3%A9%0A/v1"
    assert origin_of("k", "net/a%20b/v1") != origin_of("k", "net/a b/v1")


def test_a_head_of_nothing_says_nothing() -> None:
    empty = sign_head([], CHAIN_KEY, KEY)
    assert open_head(empty, TRUSTED).size == 0
    assert prove_consistency(CHAIN, empty, head(2)).startswith(b"old 0\n\n")
    lying = sign_note(TreeHead(origin_of(KEY.name, CHAIN_KEY), 0, bytes(32)).text(), KEY)
    with pytest.raises(ProofRejected):
        verify_consistency(b"old 0\n\n" + head(2), lying, TRUSTED)


def test_the_go_copiers_chains(shared: Path) -> None:
    from bronze_tui.audit.chain import verify_chains
    from bronze_tui.audit.folder import read_folder

    folder = read_folder(shared / "go-copier" / "run-escaping" / "pas-backup")
    (report,) = verify_chains(folder.files)
    line = [item.event for item in report.line]
    signed = sign_head(leaf_hashes(line), report.chain_key, KEY)
    for index, event in enumerate(line):
        assert verify_inclusion(prove_inclusion(line, index, signed), TRUSTED).event == event
