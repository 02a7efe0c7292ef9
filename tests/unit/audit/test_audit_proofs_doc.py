"""``docs/proofs.md`` is true: its vectors give what the code gives, and the other way round."""

from __future__ import annotations

import re
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

from bronze_tui.audit import tree
from bronze_tui.audit.attestation import contradictions, open_attestation, sign_attestation
from bronze_tui.audit.event import parse_event
from bronze_tui.audit.note import parse_signing_key
from bronze_tui.audit.proof import (
    prove_consistency,
    prove_inclusion,
    verify_consistency,
    verify_inclusion,
)
from bronze_tui.audit.signedhead import leaf_hashes, sign_head

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "proofs.md").read_text("utf-8")
EVENTS = [
    parse_event(found.encode(), where="docs/pas.md")
    for found in re.findall(r"(?s)```json\n(.*?)\n```", (DOCS / "pas.md").read_text("utf-8"))[:2]
]
KEYS, HEAD, INCLUSION, CONSISTENCY, ATTESTATION = re.findall(r"(?s)```text\n(.*?)```", PAGE)
KEY = parse_signing_key(KEYS.splitlines()[0])


def test_keys() -> None:
    assert KEY.seed == bytes(range(32))
    assert f"{KEY.secret_text()}\n{KEY.verify_key}\n" == KEYS


def test_hashes() -> None:
    leaves = leaf_hashes(EVENTS)
    shown = re.findall(r"(?m)^\| .* \| `([0-9a-f]{64})` \|$", PAGE)
    assert shown == [leaves[0].hex(), leaves[1].hex(), tree.root(leaves).hex()]


def test_files_are_made_like_this() -> None:
    leaves = leaf_hashes(EVENTS)
    key, chain = KEY, EVENTS[0].chain_key
    old, new = sign_head(leaves[:1], chain, key), sign_head(leaves, chain, key)
    assert old.decode() == HEAD
    assert prove_inclusion(EVENTS, 0, new).decode() == INCLUSION
    assert prove_consistency(EVENTS, old, new).decode() == CONSISTENCY


def test_files_verify() -> None:
    trusted = [KEY.verify_key]
    assert verify_inclusion(INCLUSION.encode(), trusted).event == EVENTS[0]
    found = verify_consistency(CONSISTENCY.encode(), HEAD.encode(), trusted)
    assert (found.old.size, found.head.size) == (1, 2)


def test_the_attestation() -> None:
    said = open_attestation(ATTESTATION.encode(), [KEY.verify_key])
    assert sign_attestation(said, KEY).decode() == ATTESTATION
    assert [part.event_hash for part in said.partitions] == [e.event_hash for e in EVENTS]
    assert contradictions(said, {event.event_hash: event for event in EVENTS}) == []


def test_another_implementer_needs_only_the_page() -> None:
    """The inclusion proof by hand, from the page's formulas."""
    from nacl.signing import VerifyKey

    top, body, signatures = INCLUSION.split("\n\n")
    _, extra, index, sibling = top.split("\n")
    assert index == "index 0"
    leaf = sha256(b"\x00" + b64decode(extra.removeprefix("extra "))).digest()
    root = sha256(b"\x01" + leaf + b64decode(sibling)).digest()
    origin, size, shown = body.split("\n")
    assert (origin, size) == ("example.com/bronze/testnet/p25/v1", "2")
    assert b64decode(shown) == root
    name, key_id, public = KEYS.splitlines()[1].split("+", 2)
    raw = b64decode(public)
    assert sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == key_id
    blob = b64decode(signatures.split(" ")[2])
    assert blob[:4].hex() == key_id
    VerifyKey(raw[1:]).verify(f"{body}\n".encode(), blob[4:])
