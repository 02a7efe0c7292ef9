"""Keys, signed heads and proofs as an operator makes them and an auditor verifies them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bronze_tui.audit.canonical import event_hash, file_bytes, heads_bytes
from bronze_tui.audit.names import HEADS_FILE, event_name
from bronze_tui.audit.note import parse_vkey
from bronze_tui.audit.signedhead import unchecked_head
from bronze_tui.cli import group
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import BronzeError
from bronze_tui.testing.emitter_contract import make_chain

CHAIN = make_chain(9)
CONTENT = b"the Parquet file of the fourth partition"


def with_file(chain: Sequence[AuditEvent], at: int, content: bytes) -> list[AuditEvent]:
    """The chain with ``content`` announced by event ``at``."""
    made: list[AuditEvent] = []
    for n, event in enumerate(chain):
        (name, table), *_ = event.tables
        if n == at:
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            table = replace(table, checksum=digest, byte_size=len(content))
        prev = made[-1].event_hash if made else ""
        fresh = replace(event, tables=((name, table),), prev_event_hash=prev, event_hash="")
        made.append(replace(fresh, event_hash=event_hash(fresh)))
    return made


REAL = with_file(CHAIN, 3, CONTENT)


class Operator:
    """A folder of events and a key."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pas = root / "pas-backup"
        self.pas.mkdir()
        self.key = root / "signing.key"
        self.vkey = bronze("key", "new", "example.com/b", "--out", self.key).stdout.strip()
        self.put(REAL[:5])

    def put(self, events: Sequence[AuditEvent]) -> None:
        for event in events:
            (self.pas / event_name(event)).write_bytes(file_bytes(event))
        heads = heads_bytes({events[-1].chain_key: events[-1].event_hash})
        (self.pas / HEADS_FILE).write_bytes(heads)

    def sign(self) -> Result:
        return bronze("head", self.pas, "--key", self.key)

    def proof(self, *args: object) -> Path:
        path = self.root / "event.tlog-proof"
        bronze("proof", *args, "--pas", self.pas, "--out", path)
        return path

    def check(self, proof: Path, *args: object) -> Result:
        return bronze("verify", "--proof", proof, "--vkey", self.vkey, *args)


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    for name in ("BRONZE_SIGNING_KEY", "BRONZE_VKEY"):
        monkeypatch.delenv(name, raising=False)
    return Operator(tmp_path)


def call(*args: object) -> Result:
    return CliRunner().invoke(group, [str(a) for a in args])


def bronze(*args: object) -> Result:
    result = call(*args)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def failure(code: int, *args: object) -> str:
    error = call(*args).exception
    assert isinstance(error, BronzeError), error
    assert error.exit_code == code, error
    return str(error)


def test_a_key(operator: Operator) -> None:
    assert operator.key.stat().st_mode & 0o777 == 0o600
    assert operator.key.read_text().startswith("PRIVATE+KEY+example.com/b+")
    assert parse_vkey(operator.vkey).name == "example.com/b"
    assert bronze("key", "show", operator.key).stdout.strip() == operator.vkey
    assert "here already" in failure(2, "key", "new", "other", "--out", operator.key)
    assert "cannot be called" in failure(2, "key", "new", "a b", "--out", operator.root / "k")


def test_a_key_that_others_can_read(operator: Operator) -> None:
    operator.key.chmod(0o644)
    assert "chmod 600" in failure(2, "head", operator.pas, "--key", operator.key)


def test_a_key_from_the_environment(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no signing key" in failure(2, "head", operator.pas)
    monkeypatch.setenv("BRONZE_SIGNING_KEY", operator.key.read_text())
    assert bronze("head", operator.pas).stdout.startswith("example.com/b/testnet/p23_plus/v1\n5\n")
    assert bronze("key", "show").stdout.strip() == operator.vkey
    monkeypatch.setenv("BRONZE_VKEY", operator.vkey)
    assert bronze("verify", "--proof", operator.proof("1031")).output.startswith("OK  event 4 ")


def test_a_signed_head_is_kept_and_grows(operator: Operator) -> None:
    text = operator.sign().stdout
    kept = operator.pas / "testnet_p23_plus_v1.signed-head"
    assert kept.read_text() == text
    assert bronze("verify", operator.pas, "--no-memory").output.startswith("OK")
    operator.put(REAL)
    operator.sign()
    assert unchecked_head(kept.read_bytes()).size == 9


def test_a_contradicting_head_is_never_signed(operator: Operator) -> None:
    operator.sign()
    kept = operator.pas / "testnet_p23_plus_v1.signed-head"
    before = kept.read_bytes()
    operator.put(with_file(CHAIN, 2, b"another history")[:5])
    assert "rewritten" in failure(3, "head", operator.pas, "--key", operator.key)
    operator.put(REAL[:5])
    (operator.pas / event_name(REAL[4])).unlink()
    operator.put(REAL[:4])
    assert "cut off" in failure(3, "head", operator.pas, "--key", operator.key)
    assert kept.read_bytes() == before


def test_a_key_that_was_replaced(operator: Operator) -> None:
    operator.sign()
    bronze("key", "new", "example.com/b", "--out", operator.root / "k2")
    said = failure(3, "head", operator.pas, "--key", operator.root / "k2")
    assert "move the old head away" in said
    kept = operator.pas / "testnet_p23_plus_v1.signed-head"
    kept.rename(operator.root / "old")
    bronze("head", operator.pas, "--key", operator.root / "k2")


def test_nothing_is_signed_on_top_of_a_broken_chain(operator: Operator) -> None:
    (operator.pas / event_name(REAL[2])).unlink()
    assert "missing_event" in failure(3, "head", operator.pas, "--key", operator.key)
    (operator.pas / event_name(REAL[2])).write_bytes(b"cut")
    assert "is broken" in failure(3, "head", operator.pas, "--key", operator.key)


def test_one_partition_is_proven(operator: Operator) -> None:
    operator.sign()
    for what in ("1030-1039", "1030", "1039"):
        result = operator.check(operator.proof(what))
        lines = result.output.splitlines()
        assert lines[0].startswith("OK  event 4 of testnet/p23_plus/v1, ledgers 1030-1039")
        assert REAL[3].event_hash in result.output
        assert "No data file was read" in result.output
    parquet = operator.root / "part-0.parquet"
    parquet.write_bytes(CONTENT)
    result = operator.check(operator.proof("1030"), "--parquet", parquet)
    assert "part-0.parquet is ledgers_lcm_raw" in result.output
    doc = json.loads(operator.check(operator.proof("1030"), "--json").output)
    assert (doc["schema"], doc["verdict"], doc["event"]) == ("bronze-proof/1", "ok", 4)
    assert operator.check(operator.proof("1030"), "--quiet").output.count("\n") == 1


def test_the_proof_needs_nothing_but_vkey_and_file(operator: Operator) -> None:
    operator.sign()
    proof = operator.proof("1030")
    for path in (*operator.pas.iterdir(), operator.key):
        path.unlink()
    assert operator.check(proof).output.startswith("OK  event 4 of testnet/p23_plus/v1")


def test_a_wrong_parquet_file(operator: Operator) -> None:
    operator.sign()
    parquet = operator.root / "part-0.parquet"
    parquet.write_bytes(CONTENT + b"!")
    args = ("verify", "--proof", operator.proof("1030"), "--vkey", operator.vkey)
    said = failure(3, *args, "--parquet", parquet)
    assert hashlib.sha256(CONTENT).hexdigest() in said
    assert hashlib.sha256(CONTENT + b"!").hexdigest() in said
    assert "cannot be read" in failure(7, *args, "--parquet", operator.root / "none")


def test_an_altered_proof(operator: Operator) -> None:
    operator.sign()
    proof = operator.proof("1030")
    proof.write_bytes(proof.read_bytes().replace(b"index 3", b"index 2"))
    args = ("verify", "--proof", proof, "--vkey", operator.vkey)
    assert "does not lead to the tree's root" in failure(3, *args)
    result = call(*args, "--json")
    assert json.loads(result.stdout)["verdict"] == "broken"
    stranger = bronze("key", "new", "example.com/b", "--out", operator.root / "k2").stdout.strip()
    said = failure(3, "verify", "--proof", operator.proof("1030"), "--vkey", stranger)
    assert "no trusted key" in said


def test_the_log_only_grew(operator: Operator) -> None:
    old = operator.root / "old"
    old.write_text(operator.sign().stdout)
    operator.put(REAL)
    proof = operator.proof("--consistency", old, "--key", operator.key)
    result = operator.check(proof, "--old-head", old)
    assert result.output.startswith("OK  the log only grew: 5 events of the old head, then 4 more")
    assert "--old-head" in failure(2, "verify", "--proof", proof, "--vkey", operator.vkey)
    old.write_text(bronze("head", operator.pas, "--key", operator.key).stdout)
    args = ("verify", "--proof", proof, "--vkey", operator.vkey, "--old-head", old)
    assert "starts at 5 events" in failure(3, *args)


def test_an_older_signed_head_can_be_proven_under(operator: Operator) -> None:
    old = operator.root / "old"
    old.write_text(operator.sign().stdout)
    operator.put(REAL)
    proof = operator.proof("1030", "--signed-head", old)
    assert "signed head 5 events" in operator.check(proof).output
    said = failure(2, "proof", "1070", "--pas", operator.pas, "--signed-head", old)
    assert "has 5 events, and this is number 8" in said


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "give a partition or ledger"),
        (("1030", "--consistency", "x"), "give a partition or ledger"),
        (("99",), "no event of this chain announces ledger 99"),
        (("1000-1019",), "announces partition 1000-1019"),
        (("many",), "neither START-END nor a ledger"),
        (("1030", "--chain", "a/b/c"), "no chain"),
        (("1030",), "no signed head is here"),
        (("1030", "--key", "k", "--signed-head", "h"), "one of them"),
    ],
)
def test_usage_of_proof(operator: Operator, args: tuple[str, ...], text: str) -> None:
    assert text in failure(2, "proof", *args, "--pas", operator.pas)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "what is to be verified"),
        ((".", "--proof", "x"), "not both"),
        ((".", "--parquet", "x"), "goes with --proof"),
        (("--proof", "x"), "whose signature"),
        (("--proof", "x", "--vkey", "nonsense"), "not a verification key"),
    ],
)
def test_usage_of_verify(operator: Operator, args: tuple[str, ...], text: str) -> None:
    assert text in failure(2, "verify", *args)


def test_two_chains(operator: Operator) -> None:
    other = make_chain(2, version_label="v2", first_ledger=5000)
    for event in other:
        (operator.pas / event_name(event)).write_bytes(file_bytes(event))
    said = failure(2, "head", operator.pas, "--key", operator.key)
    assert "add --chain with one of testnet/p23_plus/v1, testnet/p23_plus/v2" in said
    args = ("head", operator.pas, "--key", operator.key, "--chain", other[0].chain_key)
    assert bronze(*args).stdout.startswith("example.com/b/testnet/p23_plus/v2\n2\n")
