"""The attestation's text: written, signed, read strictly, and compared with a chain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.audit.attestation import (
    ATTESTED,
    Attestation,
    Attested,
    contradictions,
    fits,
    open_attestation,
    parse_attestation,
    sign_attestation,
)
from bronze_tui.audit.note import SigningKey, new_key, sign_note
from bronze_tui.audit.signedhead import unchecked_head
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.testing.emitter_contract import make_chain

KEY = SigningKey("example.com/auditor", bytes(range(32)))
CHAIN = make_chain(3)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def attested(place: int) -> Attested:
    event = CHAIN[place]
    return Attested(
        event.chain_key,
        event.partition,
        "IDENTICAL",
        event.event_hash,
        event.tables[0][1].checksum,
        digest(place),
    )


SAID = Attestation(
    "example.com/auditor",
    "2026-01-31T08:00:00Z",
    "bronze-tui v0.1.0",
    "pyarrow 26.0.1",
    "s3://lake/a b",
    "/data/bronze",
    "all",
    (digest(77),),
    tuple(map(attested, range(3))),
)
EVENTS = {event.event_hash: event for event in CHAIN}


def test_what_is_signed_is_read() -> None:
    data = sign_attestation(SAID, KEY)
    assert open_attestation(data, [KEY.verify_key]) == SAID
    assert data.decode().startswith("bronze-attestation/1\nsigner example.com/auditor\n")
    assert "lake s3://lake/a%20b\n" in data.decode()
    assert contradictions(SAID, EVENTS) == []


NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=60, deadline=None)
@given(
    chain=st.tuples(NAMES, NAMES, NAMES),
    lake=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    start=st.integers(2, 10**9),
    verdict=st.sampled_from(ATTESTED),
    event=st.booleans(),
)
def test_any_names_survive(
    chain: tuple[str, str, str], lake: str, start: int, verdict: str, event: bool
) -> None:
    one = Attested(
        "/".join(chain),
        LedgerRange(start, start + 9),
        verdict,  # type: ignore[arg-type]
        digest(1) if event else "",
        digest(2),
        digest(3),
    )
    said = replace(SAID, lake=lake, dataset=lake, partitions=(one,))
    assert parse_attestation(said.text()) == said
    assert open_attestation(sign_attestation(said, KEY), [KEY.verify_key]) == said


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_changed_byte_passes(data: st.DataObject) -> None:
    whole = bytearray(sign_attestation(SAID, KEY))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProofRejected):
        open_attestation(bytes(whole), [KEY.verify_key])


def test_other_keys() -> None:
    data = sign_attestation(SAID, KEY)
    with pytest.raises(ProofRejected, match="no trusted key"):
        open_attestation(data, [new_key("example.com/auditor").verify_key])
    with pytest.raises(ProofRejected, match="no trusted key"):
        open_attestation(data, [new_key("example.com/other").verify_key])
    with pytest.raises(ValueError, match="names the key"):
        sign_attestation(SAID, new_key("example.com/other"))
    # Somebody else's attestation under a key that is trusted.
    other = new_key("example.com/other")
    with pytest.raises(ProofRejected, match="as its signer"):
        open_attestation(sign_note(SAID.text(), other), [other.verify_key])


def test_a_signed_head_is_no_attestation_nor_the_other_way_round() -> None:
    with pytest.raises(ProofRejected, match="first line"):
        parse_attestation("example.com/auditor/testnet/p25/v1\n1\nAAAA\n")
    with pytest.raises(ProofRejected, match="not a signed head"):
        unchecked_head(sign_attestation(SAID, KEY))


def lines() -> list[str]:
    return SAID.text().split("\n")[:-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("bronze-attestation/1", "bronze-attestation/2"),
        lambda t: t.replace("signer ", "signed "),
        lambda t: t.replace("time 2026-01-31T08:00:00Z", "time yesterday"),
        lambda t: t.replace("library pyarrow 26.0.1\n", ""),
        lambda t: t.replace(" IDENTICAL ", " UNREAD "),
        lambda t: t.replace(" IDENTICAL ", " identical "),
        lambda t: t.replace("sha256:", "sha512:"),
        lambda t: t.replace("partition ", "partition  "),
        lambda t: t + t.split("\n")[-2] + "\n",
        lambda t: t + "and more\n",
        lambda t: t.partition("partition ")[0],
        lambda t: t.replace("writer sha256:", "writer "),
        lambda t: "",
        lambda t: "\n",
    ],
)
def test_other_texts_are_refused(change: object) -> None:
    text = change(SAID.text())  # type: ignore[operator]
    assert text != SAID.text()
    with pytest.raises(ProofRejected):
        parse_attestation(text)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=300) | st.permutations(lines()).map("\n".join))
def test_foreign_text_is_refused_tidily(text: str) -> None:
    try:
        said = parse_attestation(text)
    except ProofRejected:
        return
    assert set(said.text().split("\n")) - {""} == set(text.split("\n")) - {""}


def against(**changes: object) -> str:
    one = replace(SAID.partitions[1], **changes)  # type: ignore[arg-type]
    found = contradictions(replace(SAID, partitions=(one,)), EVENTS)
    return found[0][1] if found else ""


def test_against_the_chain() -> None:
    assert against() == ""
    assert "does not stand in the chain" in against(event_hash=digest(5))
    assert "names no event" in against(event_hash="")
    assert "its event is that of" in against(partition=LedgerRange(5, 6))
    assert "its event is that of" in against(chain_key="a/b/c")
    assert "another file than the event announces" in against(checksum=digest(6))
    assert "another file than the event announces" in against(verdict="SAME-CONTENT")
    assert against(verdict="SAME-CONTENT", checksum=digest(6)) == ""
    assert against(verdict="DIFFERENT", checksum=digest(6)) == ""
    assert against(verdict="DIFFERENT") == "", "something else is published than was announced"


def test_a_note_holds_thousands_of_partitions_and_not_more() -> None:
    key = "pubnet/p23_plus/v1"
    many = [(key, LedgerRange(n, n + 9)) for n in range(50_000_000, 50_030_000, 10)]
    assert fits(many)
    longest = [Attested(c, p, "IDENTICAL-BODY", *map(digest, (1, 2, 3))) for c, p in many]
    said = replace(SAID, partitions=tuple(longest))
    assert open_attestation(sign_attestation(said, KEY), [KEY.verify_key]) == said
    assert not fits(many * 2)
