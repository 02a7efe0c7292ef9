"""Rows are read by a process that may die of a file: the verifier says so and goes on."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from bronze_tui.audit.filecheck import Stopped
from bronze_tui.audit.levels import rowreader
from bronze_tui.audit.levels.rowreader import RowReaders
from bronze_tui.audit.levels.trust import Trust
from bronze_tui.audit.levels.unit import Outcome, Unit
from bronze_tui.domain.ledger import LedgerRange

BEGIN = "import os, signal, sys, time\nrequest = sys.stdin.readline()\n"


def child(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(rowreader, "COMMAND", (sys.executable, "-c", BEGIN + body))


def outcome() -> Outcome:
    return Outcome(Unit("testnet/a/v1", LedgerRange(2, 5), ()))


def check(readers: RowReaders, path: Path) -> Outcome:
    out = outcome()
    readers.check(out, "the key", path, None, rows=False, halt=lambda: None)
    return out


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "parquet_unreadable", "SIGSEGV"),
        ("os.abort()", "parquet_unreadable", "SIGABRT"),
        ("sys.exit(3)", "parquet_unreadable", "ended with code 3"),
        ("print('nonsense', flush=True); sys.stdin.read()", "parquet_unreadable", "no answer"),
        ("print('[1]', flush=True); sys.stdin.read()", "parquet_unreadable", "no answer"),
        ('print(\'{"outcome": {"rows": 3}}\'); sys.exit()', "parquet_unreadable", "no answer"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "file_unreadable", "SIGKILL"),
        ("sys.stdin.read()", "file_unreadable", "no sign of life"),
    ],
)
def test_a_reader_that_dies_hangs_or_lies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, kind: str, words: str
) -> None:
    child(monkeypatch, body)
    if "life" in words:
        monkeypatch.setattr(rowreader, "PATIENCE", 0.3)
    readers = RowReaders(None)
    try:
        (found,) = check(readers, tmp_path / "x").findings
        assert (found.kind, found.severity, found.file) == (kind, "error", "the key")
        assert words in found.message
    finally:
        readers.close()


def test_the_next_partition_gets_another_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    readers = RowReaders(Trust())
    try:
        child(monkeypatch, "os.abort()")
        assert check(readers, tmp_path / "x").findings
        monkeypatch.undo()
        (tmp_path / "x").write_bytes(b"PAR1 nothing PAR1")
        (found,) = check(readers, tmp_path / "x").findings
        assert found.kind == "parquet_unreadable"
        assert "no readable Parquet file" in found.message, "the real reader says why"
    finally:
        readers.close()


def test_heartbeats_keep_a_slow_reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = {"findings": [], "edges": None, "ledgers": 7, "signers": {}, "unsigned": 0}
    answer |= {"first_signed": {}}
    answer |= {"unchecked": 0, "anchors": [], "left_out": 0, "rows": []}
    beat = "for _ in range(8):\n    print('{\"alive\": 1}', flush=True); time.sleep(0.1)\n"
    child(monkeypatch, f"{beat}import json; print(json.dumps({{'outcome': {answer!r}}}))")
    monkeypatch.setattr(rowreader, "PATIENCE", 0.6)
    readers = RowReaders(None)
    try:
        out = check(readers, tmp_path / "x")
        assert (out.findings, out.ledgers) == ([], 7)
    finally:
        readers.close()


def test_stopping_ends_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child(monkeypatch, f"open({str(note)!r}, 'w').write(str(os.getpid())); sys.stdin.read()")
    started = threading.Event()

    def halt() -> None:
        if note.exists() and note.read_text():
            started.set()
            raise Stopped

    readers = RowReaders(None)
    try:
        with pytest.raises(Stopped):
            readers.check(outcome(), "key", tmp_path / "x", None, rows=False, halt=halt)
        assert started.is_set()
        with pytest.raises(ProcessLookupError):
            os.kill(int(note.read_text()), 0)
    finally:
        readers.close()


def test_the_reader_has_no_keys_to_give_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    note = tmp_path / "environment"
    monkeypatch.setenv("BRONZE_SIGNING_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    child(monkeypatch, f"open({str(note)!r}, 'w').write(repr(dict(os.environ)))")
    readers = RowReaders(None)
    try:
        check(readers, tmp_path / "x")
        assert "PATH" in note.read_text()
        assert "secret" not in note.read_text()
    finally:
        readers.close()
