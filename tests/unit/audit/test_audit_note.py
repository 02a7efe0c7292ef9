"""Signed notes against the texts of the specification, Go's documentation and a public log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.audit.note import (
    MAX_SIGNATURES,
    SigningKey,
    VerifyKey,
    new_key,
    open_note,
    parse_signing_key,
    parse_vkey,
    sign_note,
    split_note,
)
from bronze_tui.audit.signedhead import open_head, parse_head, unchecked_head
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.errors import UsageError

SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONnc"
    "AlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
GO_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNX"
    "gKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
SUM_VKEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUM_NOTE = (
    "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n"
    "— sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvim"
    "WEPWL+o3GeoWwOoAw=\n"
).encode()
KEY = SigningKey("example.com/bronze", bytes(range(32)))
OTHER = SigningKey("example.com/bronze", bytes(32))


@pytest.mark.parametrize(
    ("vkey", "note"), [(SPEC_VKEY, SPEC_NOTE), (GO_VKEY, GO_NOTE), (SUM_VKEY, SUM_NOTE)]
)
def test_notes_of_others_open(vkey: str, note: bytes) -> None:
    key = parse_vkey(vkey)
    assert str(key) == vkey
    opened = open_note(note, [key])
    assert opened.signers == (key,)
    assert note.startswith(opened.text.encode())


def test_a_note_is_that_of_gos_implementation() -> None:
    key = parse_signing_key(GO_KEY + "\n")
    assert str(key.verify_key) == GO_VKEY
    assert key.secret_text() == GO_KEY
    assert sign_note(GO_TEXT, key) == GO_NOTE


def test_a_public_logs_head_is_read() -> None:
    head = unchecked_head(SUM_NOTE)
    assert (head.origin, head.size) == ("go.sum database tree", 6476701)
    assert SUM_NOTE.decode().startswith(head.text())


def test_a_key_signs_only_for_its_own_logs() -> None:
    with pytest.raises(ProofRejected, match="no log of sum"):
        open_head(SUM_NOTE, [parse_vkey(SUM_VKEY)])
    note = sign_note(f"example.com/bronze2/x/y/z\n0\n{'A' * 43}=\n", KEY)
    with pytest.raises(ProofRejected, match="no log of"):
        open_head(note, [KEY.verify_key])


@given(st.text(st.characters(exclude_categories=["C"]), max_size=40), st.integers(0, 999))
def test_every_changed_byte_is_seen(text: str, place: int) -> None:
    note = sign_note(f"{text}\n", KEY)
    assert open_note(note, [KEY.verify_key]).text == f"{text}\n"
    at = place % len(note)
    with pytest.raises(ProofRejected):
        open_note(note[:at] + bytes([note[at] ^ 1]) + note[at + 1 :], [KEY.verify_key])


def test_unknown_signatures_are_passed_over_and_bad_ones_are_not() -> None:
    note = sign_note("text\n", KEY)
    both = note + sign_note("text\n", OTHER).split(b"\n\n")[1]
    assert open_note(both, [KEY.verify_key]).signers == (KEY.verify_key,)
    assert len(open_note(both, [KEY.verify_key, OTHER.verify_key]).signers) == 2
    bad = note + sign_note("txet\n", OTHER).split(b"\n\n")[1]
    assert open_note(bad, [KEY.verify_key]).signers == (KEY.verify_key,)
    with pytest.raises(ProofRejected, match=r"signature of \S+ is wrong"):
        open_note(bad, [KEY.verify_key, OTHER.verify_key])


def test_nobody_trusted_signed_it() -> None:
    with pytest.raises(ProofRejected, match="no trusted key"):
        open_note(SPEC_NOTE, [KEY.verify_key])
    with pytest.raises(ProofRejected, match="no trusted key"):
        open_note(SPEC_NOTE, [])


def test_a_text_with_empty_lines() -> None:
    note = sign_note("a\n\nb\n\n", KEY)
    assert open_note(note, [KEY.verify_key]).text == "a\n\nb\n\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        SPEC_NOTE[:-1],
        SPEC_NOTE.replace("—".encode(), b"-"),
        SPEC_NOTE.replace(b"\n\n", b"\n"),
        SPEC_NOTE.replace(b"message", b"mess\rage"),
        SPEC_NOTE.replace(b"message", b"mess\xffage"),
        SPEC_NOTE.replace(b"aQM=", b"aQN="),
        SPEC_NOTE.replace(b"Uw2Q", b"Uw2Q\xc2\xa0"),
        b"text\n\n" + "— a AAAA\n".encode(),
        b"text\n\n" + SPEC_NOTE.split(b"\n\n")[1] * (MAX_SIGNATURES + 1),
        b"x" * 2_000_000,
    ],
)
def test_other_bytes_are_no_note(data: bytes) -> None:
    with pytest.raises(ProofRejected, match="not a signed note"):
        split_note(data)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for lie in (data, b"a\n\n" + data, "a\n\n— b ".encode() + data + b"\n"):
        with pytest.raises(ProofRejected):
            open_note(lie, [KEY.verify_key])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+AA==",
        SPEC_VKEY.replace("530d903a", "530d903b"),
        SPEC_VKEY.replace("530d903a", "530D903A"),
        SPEC_VKEY.replace("foo", "f o"),
        SPEC_VKEY.replace("+Aeky", "+Beky"),
        SPEC_VKEY[:-1],
        GO_KEY,
    ],
)
def test_other_texts_are_no_vkey(text: str) -> None:
    with pytest.raises(UsageError):
        parse_vkey(text)


@pytest.mark.parametrize(
    "text", ["", GO_VKEY, GO_KEY.replace("c74f20a3", "c74f20a4"), GO_KEY[:-4], GO_KEY[:-8] + "AAAA"]
)
def test_other_texts_are_no_signing_key_and_are_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_signing_key(text)
    assert "AYEK" not in str(caught.value)
    assert "AYEK" not in repr(parse_signing_key(GO_KEY))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "n" * 201, "\udcff"])
def test_names_that_no_key_has(name: str) -> None:
    with pytest.raises(UsageError, match="a key cannot be called"):
        new_key(name)


def test_a_new_key_reads_back() -> None:
    key = new_key("example.com/log")
    assert parse_signing_key(key.secret_text()) == key
    assert parse_vkey(str(key.verify_key)) == key.verify_key
    assert new_key("example.com/log").seed != key.seed
    for name in ("", "a b", "a+b", "a\u2003b", "a\nb", "x" * 300):
        with pytest.raises(UsageError):
            new_key(name)


def test_a_weak_public_key_verifies_nothing() -> None:
    """The neutral point would accept a signature of anything."""
    weak = VerifyKey("weak", b"\x01" + bytes(31))
    note = sign_note("text\n", SigningKey("weak", bytes(32))).decode()
    blob = weak.key_id + b"\x01" + bytes(63)
    import base64

    forged = note.rpartition(" ")[0] + f" {base64.b64encode(blob).decode()}\n"
    with pytest.raises(ProofRejected, match="wrong"):
        open_note(forged.encode(), [weak])


@pytest.mark.parametrize(
    "text",
    [
        "origin\n1\n",
        "origin\n01\n" + "A" * 43 + "=\n",
        "origin\n-1\n" + "A" * 43 + "=\n",
        "origin\n1\nAAAA\n",
        "\n1\n" + "A" * 43 + "=\n",
        "origin\n1\n" + "A" * 43 + "=\n\n",
        "origin\n1\n" + "A" * 42 + "B=\n",
        "origin\n" + "9" * 40 + "\n" + "A" * 43 + "=\n",
    ],
)
def test_other_texts_are_no_head(text: str) -> None:
    with pytest.raises(ProofRejected):
        parse_head(text)


def test_extensions_are_passed_over() -> None:
    assert parse_head("origin\n1\n" + "A" * 43 + "=\nmore\n").size == 1
