"""Readers of history archives and validator lists: exact on good bytes, one error on any others."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import StrKey
from stellar_sdk import xdr as x

from bronze_tui.audit.history import (
    MAX_FILE,
    checkpoint_name,
    checkpoint_of,
    checkpoint_range,
    parse_checkpoint,
    parse_header,
    parse_state,
    signed_for,
)
from bronze_tui.audit.levels.pinned import pinned_validators, validators_of_toml
from bronze_tui.domain.errors import SourceDataError
from bronze_tui.domain.ledger import MAX_LEDGER, LedgerRange
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.testing.tiny_ledgers import demo_ledgers
from bronze_tui.xdr.header import LedgerReader

TEST = PASSPHRASES["testnet"]


def entry(xdr: bytes) -> bytes:
    facts = LedgerReader().read(xdr)
    return xdr[facts.header_start - 32 : facts.header_end] + bytes(4)


LEDGERS = list(demo_ledgers(LedgerRange(64, 127), TEST, 0))
ENTRIES = [entry(ledger.data) for ledger in LEDGERS]


def marked(entries: list[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(e) | 1 << 31) + e for e in entries)


WHOLE = gzip.compress(marked(ENTRIES), mtime=0)


def test_the_headers_of_a_checkpoint() -> None:
    headers = parse_checkpoint(WHOLE, 127, where="here")
    assert [h.sequence for h in headers] == list(range(64, 128))
    assert [h.ledger_hash for h in headers] == [ledger.ledger_hash for ledger in LEDGERS]
    assert [h.close_time for h in headers] == [ledger.close_time for ledger in LEDGERS]
    assert all(signed_for(h, TEST) is True for h in headers)
    assert not any(signed_for(h, PASSPHRASES["pubnet"]) for h in headers)


def test_a_file_that_a_server_unpacked() -> None:
    plain = marked(ENTRIES)
    headers = parse_checkpoint(plain, 127, where="here")
    assert headers == parse_checkpoint(WHOLE, 127, where="here")
    for lie in (plain[:-1], plain + b"x", plain + plain):
        refused(lambda raw: parse_checkpoint(raw, 127, where="here"), lie)


def test_the_first_checkpoint_lacks_ledger_0() -> None:
    assert checkpoint_range(63) == LedgerRange(1, 63)
    assert checkpoint_range(127) == LedgerRange(64, 127)
    assert checkpoint_name(0x032D7BFF) == "ledger/03/2d/7b/ledger-032d7bff.xdr.gz"


@given(st.integers(1, MAX_LEDGER))
def test_every_ledger_has_one_checkpoint(ledger: int) -> None:
    top = checkpoint_of(ledger)
    assert top % 64 == 63
    assert ledger in checkpoint_range(top)


def refused(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(SourceDataError) as error:
        read(data)
    assert error.value.where.startswith("here")
    assert len(str(error.value)) < 1000


@given(st.binary(max_size=400))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    for lie in (data, gzip.compress(data), WHOLE + data + b"x", gzip.compress(marked([data] * 64))):
        refused(lambda raw: parse_checkpoint(raw, 127, where="here"), lie)
    refused(lambda raw: parse_header(raw, where="here"), data)
    refused(lambda raw: parse_state(raw, where="here"), data)


@given(st.integers(0, len(WHOLE) - 1))
def test_no_cut_file_is_taken(size: int) -> None:
    refused(lambda raw: parse_checkpoint(raw, 127, where="here"), WHOLE[:size])


@given(st.integers(0, 8 * len(ENTRIES[0]) - 1))
def test_no_changed_bit_is_taken(bit: int) -> None:
    changed = bytearray(ENTRIES[0])
    changed[bit // 8] ^= 1 << bit % 8
    refused(lambda raw: parse_header(raw, where="here"), bytes(changed))


def test_a_header_has_one_spelling() -> None:
    value = x.LedgerHeaderHistoryEntry.from_xdr_bytes(ENTRIES[0])
    value.header.scp_value.upgrades = [x.UpgradeType(b"abc")]
    value.hash = x.Hash(hashlib.sha256(value.header.to_xdr_bytes()).digest())
    plain = value.to_xdr_bytes()
    assert parse_header(plain, where="here").sequence == 64
    padded = plain.replace(b"abc\0", b"abc\1")
    assert padded != plain
    refused(lambda raw: parse_header(raw, where="here"), padded)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(MAX_FILE + 1))
    refused(lambda raw: parse_checkpoint(raw, 127, where="here"), bomb)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "null", '{"currentLedger": "1"}', '{"currentLedger": true}', "[" * 9999),
        *('{"currentLedger": 0}', '{"currentLedger": 4294967296}', '{"currentLedger": 1.0}'),
        '{"currentLedger": 63, "networkPassphrase": 1}',
    ],
)
def test_what_is_no_state(text: str) -> None:
    refused(lambda raw: parse_state(raw, where="here"), text.encode())


def test_the_keys_that_come_along() -> None:
    counts = {name: len(pinned_validators(PASSPHRASES[name])) for name in PASSPHRASES}
    assert counts["pubnet"] >= 21
    assert counts["testnet"] == counts["futurenet"] == 3
    seen: set[str] = set()
    for name in ("pubnet", "testnet", "futurenet"):
        known = pinned_validators(PASSPHRASES[name])
        assert all(StrKey.is_valid_ed25519_public_key(key) for key in known)
        assert all(label.endswith(")") for label in known.values())
        assert not seen & set(known)
        seen |= set(known)
    assert not pinned_validators("Bronze Demo Network")


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader_of_validators(text: str) -> None:
    for lie in (text, f"[[VALIDATORS]]\nPUBLIC_KEY = {text}"):
        try:
            found = validators_of_toml(lie)
        except ValueError:
            continue
        assert all(type(key) is str for key in found)


def test_both_forms_of_validator_lists() -> None:
    core = '[[HOME_DOMAINS]]\nQUALITY="HIGH"\n[[VALIDATORS]]\nNAME="a"\nPUBLIC_KEY="G1"'
    assert validators_of_toml(core + '\nHOME_DOMAIN="a.org"') == {"G1": "a (a.org)"}
    toml = '[[VALIDATORS]]\nALIAS="a1"\nDISPLAY_NAME="A 1"\nHOST="core.a.org"\nPUBLIC_KEY="G1"'
    assert validators_of_toml(toml) == {"G1": "A 1 (core.a.org)"}
    with pytest.raises(ValueError, match="two names"):
        validators_of_toml(core + "\n" + toml)
