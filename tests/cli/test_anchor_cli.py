"""Anchors are made and checked offline with the Stellar SDK as the other side."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import (
    FeeBumpTransaction,
    FeeBumpTransactionEnvelope,
    Keypair,
    Network,
    TransactionEnvelope,
)

from bronze_tui.audit.anchor import build_anchor, check_anchor, memo_of
from bronze_tui.audit.note import SigningKey
from bronze_tui.audit.signedhead import leaf_hashes, open_head, sign_head
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.cli import group
from bronze_tui.domain.errors import BronzeError
from bronze_tui.testing.emitter_contract import make_chain

KEY = SigningKey("example.com/b", bytes(range(32)))
CHAIN = make_chain(3)
SIGNED = sign_head(leaf_hashes(CHAIN), CHAIN[0].chain_key, KEY)
HEAD = open_head(SIGNED, [KEY.verify_key])
PAIR = Keypair.from_raw_ed25519_seed(bytes(range(1, 33)))
TEST, PUB = Network.TESTNET_NETWORK_PASSPHRASE, Network.PUBLIC_NETWORK_PASSPHRASE


def envelope(passphrase: str = TEST, secret: str = PAIR.secret) -> str:
    return build_anchor(HEAD, PAIR.public_key, 41, passphrase, fee=100, secret=secret)


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BRONZE_ANCHOR_SECRET", raising=False)
    monkeypatch.setenv("BRONZE_VKEY", str(KEY.verify_key))
    path = tmp_path / "signed-head"
    path.write_bytes(SIGNED)
    return path


def call(*args: object) -> Result:
    account = ("--account", PAIR.public_key, "--network", "testnet")
    return CliRunner().invoke(group, ["anchor", *map(str, args), *account])


def failure(code: int, *args: object) -> str:
    error = call(*args).exception
    assert isinstance(error, BronzeError), error
    assert error.exit_code == code
    return str(error)


def test_the_sdk_reads_what_was_made() -> None:
    read = TransactionEnvelope.from_xdr(envelope(), TEST)
    transaction = read.transaction
    assert transaction.memo.memo_hash == memo_of(HEAD)
    assert (transaction.sequence, transaction.fee) == (42, 100)
    assert transaction.source.account_id == PAIR.public_key
    (operation,) = transaction.operations
    assert operation.bump_to == 0
    PAIR.verify(read.hash(), read.signatures[0].signature)
    assert not TransactionEnvelope.from_xdr(envelope(secret=""), TEST).signatures


def test_an_anchor_is_checked() -> None:
    found = check_anchor(envelope(), HEAD, PAIR.public_key, TEST)
    assert (found.account, found.sequence) == (PAIR.public_key, 42)
    assert found.transaction == TransactionEnvelope.from_xdr(envelope(), TEST).hash_hex()


def test_an_anchor_in_a_fee_bump() -> None:
    payer = Keypair.from_raw_ed25519_seed(bytes(32))
    inner = TransactionEnvelope.from_xdr(envelope(), TEST)
    bump = FeeBumpTransactionEnvelope(FeeBumpTransaction(payer, 400, inner), TEST)
    bump.sign(payer)
    assert check_anchor(bump.to_xdr(), HEAD, PAIR.public_key, TEST).sequence == 42


@pytest.mark.parametrize(
    ("made", "network", "why"),
    [
        (envelope(secret=""), TEST, "no signature"),
        (envelope(), PUB, "no signature"),
        ("AAAA", TEST, "not a transaction envelope"),
        ("no base64", TEST, "not a transaction envelope"),
        ("A" * 200_000, TEST, "too long"),
    ],
)
def test_what_is_no_anchor(made: str, network: str, why: str) -> None:
    with pytest.raises(ProofRejected, match=why):
        check_anchor(made, HEAD, PAIR.public_key, network)


@given(st.text(max_size=80), st.binary(max_size=300))
def test_no_text_breaks_the_reader(text: str, data: bytes) -> None:
    whole = envelope()
    for lie in (text, b64encode(data).decode(), whole[: len(data)], whole[8:]):
        with pytest.raises(ProofRejected):
            check_anchor(lie, HEAD, PAIR.public_key, TEST)


def test_another_head_and_another_account() -> None:
    with pytest.raises(ProofRejected, match="the memo is"):
        check_anchor(envelope(), replace(HEAD, size=2), PAIR.public_key, TEST)
    other = Keypair.from_raw_ed25519_seed(bytes(32))
    with pytest.raises(ProofRejected, match="the source is"):
        check_anchor(envelope(), HEAD, other.public_key, TEST)


def test_the_command(head: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unsigned = call(head, "--sequence", 41)
    assert unsigned.output.strip() == envelope(secret="")
    monkeypatch.setenv("BRONZE_ANCHOR_SECRET", PAIR.secret)
    made = call(head, "--sequence", 41).output.strip()
    assert made == envelope()
    (tmp_path / "tx").write_text(made + "\n")
    result = call(head, "--check", tmp_path / "tx")
    assert result.exit_code == 0
    assert result.output.startswith("OK  transaction ")
    (tmp_path / "tx").write_text(unsigned.output)
    assert "no signature" in failure(3, head, "--check", tmp_path / "tx")


def test_usage(head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--sequence" in failure(2, head)
    monkeypatch.setenv("BRONZE_ANCHOR_SECRET", "SECRETSECRET")
    said = failure(2, head, "--sequence", 1)
    assert "SECRETSECRET" not in said
    monkeypatch.setenv("BRONZE_ANCHOR_SECRET", Keypair.random().secret)
    assert "not that of account" in failure(2, head, "--sequence", 1)
    monkeypatch.delenv("BRONZE_ANCHOR_SECRET")
    head.write_bytes(SIGNED.replace(b"\n3\n", b"\n4\n"))
    assert "is wrong" in failure(3, head, "--sequence", 1)
