"""``bronze ledger``: what it prints, and what it says of bad input."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zstandard
from click.testing import CliRunner, Result
from grammar_bytes import word

from bronze_tui.commands import ledger as module
from bronze_tui.domain.errors import (
    Exit,
    FrameError,
    LedgerMismatch,
    SourceDenied,
    UsageError,
    XdrError,
)
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.contracts import BatchRef


def run(*arguments: object) -> Result:
    return CliRunner().invoke(module.command, [str(a) for a in arguments])


def said(result: Result) -> dict[str, str]:
    pairs = (line.strip().partition("  ") for line in result.output.splitlines() if line.strip())
    return {name: text.strip() for name, _, text in pairs}


def test_real_object(shared: Path, testnet: bytes) -> None:
    path = next((shared / "lake" / "testnet").rglob("*.xdr.zst"))
    result = run(path)
    assert result.exit_code == 0, result.exception
    lines = said(result)
    assert lines["holds"] == "batch of 982180 to 982180"
    assert lines["bytes stored"] == str(path.stat().st_size)
    assert lines["bytes of XDR"] == "16320"
    assert lines["version"] == "LedgerCloseMeta V2"
    assert lines["closed"] == "2026-02-12T15:03:38Z"
    assert lines["header SHA-256"] == "agrees"
    assert (lines["transactions"], lines["operations"]) == ("5", "5")
    assert lines["XDR SHA-256"] == sha256(testnet[12:]).hexdigest()
    columns = [line for line in result.output.splitlines() if line.startswith(("ledger ", "hash"))]
    assert {line.index(lines["ledger"]) for line in columns[:1]} == {
        columns[1].index(lines["hash"])
    }


def test_json_is_the_sdk_decode(shared: Path, testnet: bytes) -> None:
    from stellar_sdk.xdr import LedgerCloseMetaBatch

    result = run(next((shared / "lake" / "testnet").rglob("*.xdr.zst")), "--json")
    decoded = LedgerCloseMetaBatch.from_json_dict(json.loads(result.output))
    assert decoded.to_xdr_bytes() == testnet


def test_bare_and_uncompressed(tmp_path: Path, testnet: bytes) -> None:
    from stellar_sdk.xdr import LedgerCloseMeta

    path = tmp_path / "one.xdr"
    path.write_bytes(testnet[12:])
    assert said(run(path))["holds"] == "one LedgerCloseMeta"
    decoded = LedgerCloseMeta.from_json_dict(json.loads(run(path, "--json").output))
    assert decoded.to_xdr_bytes() == testnet[12:]


def test_header_hash_that_disagrees(tmp_path: Path, testnet: bytes) -> None:
    changed = bytearray(testnet)
    changed[40] ^= 1
    path = tmp_path / "\x1b[31mred\u202e.xdr"
    path.write_bytes(changed)
    result = run(path)
    assert isinstance(result.exception, LedgerMismatch)
    assert result.exception.exit_code == Exit.HALTED
    assert "IS NOT b0821da1" in result.output
    for text in (result.output, str(result.exception)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\\x1b[31mred\\u202e" in text


@pytest.mark.parametrize("as_json", [False, True])
def test_several_ledgers_and_a_broken_last_one(
    tmp_path: Path, small_ledgers: dict[int, bytes], as_json: bool
) -> None:
    path = tmp_path / "batch.xdr"
    path.write_bytes(word(64) + word(65) + word(2) + small_ledgers[1] + small_ledgers[2][:-4])
    result = run(path, *(["--json"] if as_json else []))
    assert isinstance(result.exception, XdrError)
    assert str(result.exception).startswith(f"{path}: ")
    assert "LedgerCloseMeta.v2." in str(result.exception)
    assert result.output.count("LedgerCloseMeta V1") == (0 if as_json else 1)


def test_what_the_sdk_cannot_decode_is_an_error_of_ours(tmp_path: Path) -> None:
    from grammar_bytes import Maker

    from bronze_tui.xdr.table import load

    body = Maker(load(), 0, deep=0).make("LedgerCloseMetaV2")
    deep = (word(16) + word(1) + word(1)) * 300 + word(1) + word(0)
    path = tmp_path / "deep.xdr"
    path.write_bytes(word(2) + body[:-4] + word(1) + word(6) + word(1) + bytes(32) + deep)
    result = run(path, "--json")
    assert isinstance(result.exception, XdrError)
    assert "the Stellar SDK refuses it" in str(result.exception)


def test_close_time_beyond_the_calendar(
    tmp_path: Path, testnet: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = bytearray(testnet)
    changed[132:140] = b"\xff" * 8
    path = tmp_path / "late.xdr"
    path.write_bytes(changed)
    assert said(run(path))["closed"] == f"{2**64 - 1} seconds after 1970, beyond the calendar"


def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = run(tmp_path / "missing")
    assert isinstance(missing.exception, UsageError)
    folder = run(tmp_path).exception
    assert isinstance(folder, UsageError)
    assert folder.what == "not a file"
    path = tmp_path / "cut.xdr.zst"
    path.write_bytes(zstandard.compress(bytes(5000))[:-3])
    result = run(path)
    assert isinstance(result.exception, FrameError)
    assert str(path) in str(result.exception)
    monkeypatch.setattr(module, "MAX_BYTES", 4)
    assert isinstance(run(path).exception, UsageError)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.xdr"
    path.write_bytes(b"")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    result = run(path)
    assert isinstance(result.exception, SourceDenied)
    assert "Permission denied" in str(result.exception)


class OneObjectSource:
    """Holds one batch object and answers for every ledger with it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.closed = False

    def batches(self, ledgers: LedgerRange) -> list[BatchRef]:
        return [BatchRef(key="one.xdr", first=ledgers.start, last=ledgers.end)]

    def read(self, ref: BatchRef) -> bytes:
        return self.data

    def close(self) -> None:
        self.closed = True


def test_a_number_is_read_from_the_configured_source(
    monkeypatch: pytest.MonkeyPatch, small_ledgers: dict[int, bytes], testnet: bytes
) -> None:
    source = OneObjectSource(word(64) + word(65) + word(2) + small_ledgers[1] + testnet[12:])
    asked: list[Any] = []

    def open_source(config: Path | None, overrides: tuple[str, ...]) -> OneObjectSource:
        asked.append((config, overrides))
        return source

    context = ModuleType("bronze_tui.commands._context")
    context.open_source = open_source  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, context.__name__, context)
    result = run("982180", "--config", "c.yaml", "--set", "a=b")
    assert asked == [(Path("c.yaml"), ("a=b",))]
    assert source.closed
    assert (said(result)["ledger"], said(result)["object"]) == ("982180", "one.xdr")
    assert result.output.count("header SHA-256") == 1
    assert list(json.loads(run("982180", "--json").output)) == ["v2"]
    absent = run("7")
    assert isinstance(absent.exception, LedgerMismatch)
    assert "ledger 7 is not in its object" in str(absent.exception)
    assert isinstance(run(str(2**32)).exception, UsageError)
