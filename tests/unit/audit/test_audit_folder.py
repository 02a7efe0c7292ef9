"""Folders on disk: finding them, the Go copier's real ones, leftovers, damage, adoption."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bronze_tui.audit.backup import head_of, heads_from_events, read_backup
from bronze_tui.audit.canonical import file_bytes, heads_bytes
from bronze_tui.audit.folder import declared_holes, read_folder, resolve, verify_folder
from bronze_tui.audit.names import HEADS_FILE, event_name
from bronze_tui.audit.report import to_json, to_text
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import SourceDenied, StateError, UsageError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.testing.emitter_contract import make_chain

KEY = "testnet/p23_plus/v1"
SOUND = ("run-pipeline", "run-sequential", "run-datastore-gcs", "run-restart", "run-escaping")


def write(folder: Path, events: list[AuditEvent], head: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for event in events:
        (folder / event_name(event)).write_bytes(file_bytes(event))
    heads = {e.chain_key: e.event_hash for e in events}
    (folder / HEADS_FILE).write_bytes(heads_bytes(heads if not head else {KEY: head}))
    return folder


@pytest.fixture
def permissions(tmp_path: Path) -> None:
    """Skips where modes do not bind the user, as root's."""
    probe = tmp_path / "probe"
    probe.write_bytes(b"")
    probe.chmod(0)
    try:
        probe.read_bytes()
    except PermissionError:
        return
    finally:
        probe.unlink()
    pytest.skip("this user may read anything")


@pytest.mark.parametrize("run", SOUND)
def test_sound_chains_of_the_go_copier(shared: Path, run: str) -> None:
    report = verify_folder(resolve(shared / "go-copier" / run))
    assert report.ok
    assert list(report.all_findings()) == []
    assert report.chains[0].events == 6
    assert report.chains[0].ledgers == (LedgerRange(982180, 982203),)


def test_the_go_copiers_fork(shared: Path) -> None:
    report = verify_folder(resolve(shared / "go-copier/bad-http-fork"))
    (finding,) = report.all_findings()
    assert (finding.kind, finding.event, finding.ledgers) == ("fork", 3, "982188-982191")
    assert "the HTTP endpoint refused event 982188-982191" in finding.cause


def test_the_go_copiers_hole_is_in_its_rows(shared: Path) -> None:
    report = verify_folder(resolve(shared / "go-copier/bad-hole"))
    assert report.ok, "the chain itself is whole"
    (finding,) = report.all_findings()
    assert (finding.kind, finding.severity, finding.event) == ("row_count", "warning", 3)
    assert (finding.expected, finding.found) == ("4", "3")


class TestResolve:
    def test_what_names_a_folder(self, tmp_path: Path) -> None:
        pas = write(tmp_path / "state" / "pas-backup", make_chain(1))
        assert resolve(pas) == pas
        assert resolve(tmp_path / "state") == pas
        assert resolve(tmp_path) == pas
        other = write(tmp_path / "audit-files", make_chain(1))
        assert resolve(other) == other
        with pytest.raises(UsageError, match=r"several PAS folders"):
            resolve(tmp_path)

    def test_none(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        (tmp_path / "catalog.json").write_text("{}")
        for path, text in (
            (tmp_path, "pas-chain-heads.json"),
            (tmp_path / "file", "not a folder"),
            (tmp_path / "nothing", "no such folder"),
        ):
            with pytest.raises(UsageError, match=text):
                resolve(path)

    def test_an_event_alone_makes_a_folder(self, tmp_path: Path) -> None:
        event = make_chain(1)[0]
        (tmp_path / event_name(event)).write_bytes(file_bytes(event))
        assert resolve(tmp_path) == tmp_path

    def test_no_permission(self, tmp_path: Path, permissions: None) -> None:
        folder = write(tmp_path / "pas", make_chain(2))
        folder.chmod(0)
        try:
            with pytest.raises(SourceDenied):
                resolve(folder)
        finally:
            folder.chmod(0o755)


class TestReading:
    def test_leftovers_are_listed_and_other_files_left_alone(self, tmp_path: Path) -> None:
        folder = write(tmp_path, make_chain(2))
        for name in ("pas-chain-heads.json.tmp", ".tmp-1-ab", "x_y_z_1-2.json.damaged-1"):
            (folder / name).write_bytes(b"")
        (folder / "README.md").write_text("hello")
        (folder / "sub").mkdir()
        report = verify_folder(folder)
        assert report.ok
        assert [(f.kind, f.severity) for f in report.findings] == [("leftover_file", "note")] * 3

    def test_damaged_event_files(self, tmp_path: Path) -> None:
        chain = make_chain(3)
        folder = write(tmp_path, chain)
        (folder / event_name(chain[1])).write_bytes(b"")
        (folder / "notes.json").write_text("hello")
        (folder / "sub_b_c_1-2.json").mkdir()
        report = verify_folder(folder)
        assert [(f.kind, f.severity, f.file) for f in report.findings] == [
            ("unreadable", "warning", "notes.json"),
            ("unreadable", "error", "sub_b_c_1-2.json"),
            ("unreadable", "error", event_name(chain[1])),
        ]
        assert "empty" in report.findings[2].message
        assert report.chains[0].first_wrong.kind == "missing_event"
        assert "holds no readable event" in report.chains[0].first_wrong.cause

    def test_hidden_content(self, tmp_path: Path) -> None:
        chain = make_chain(2)
        folder = write(tmp_path, chain)
        path = folder / event_name(chain[1])
        path.write_bytes(path.read_bytes().replace(b'"version"', b'"note": 1,\n  "version"'))
        assert [f.kind for f in verify_folder(folder).findings] == ["unknown_key"]

    @pytest.mark.parametrize(
        "data", [b"", b"{", b"[]", b'{"a":"b"}', b'{"a":1}', b"\xff", b"[" * 9999]
    )
    def test_a_damaged_heads_file(self, tmp_path: Path, data: bytes) -> None:
        folder = write(tmp_path, make_chain(2))
        (folder / HEADS_FILE).write_bytes(data)
        report = verify_folder(folder)
        assert [(f.kind, f.severity) for f in report.all_findings()] == [
            ("head_unreadable", "error")
        ]

    def test_no_heads_file(self, tmp_path: Path) -> None:
        folder = write(tmp_path, make_chain(2))
        (folder / HEADS_FILE).unlink()
        assert [f.kind for f in verify_folder(folder).all_findings()] == ["head_missing"]

    def test_an_empty_folder_proves_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / "pas-backup"
        folder.mkdir()
        assert [f.kind for f in verify_folder(resolve(folder)).all_findings()] == ["no_events"]

    def test_a_pipe_does_not_hang_us(self, tmp_path: Path) -> None:
        folder = write(tmp_path, make_chain(2))
        os.mkfifo(folder / "a_b_c_1-2.json")
        assert [f.kind for f in verify_folder(folder).findings] == ["unreadable"]

        (folder / HEADS_FILE).unlink()
        os.mkfifo(folder / HEADS_FILE)
        assert "head_unreadable" in {f.kind for f in verify_folder(folder).findings}

    def test_a_listing_that_misses_what_a_copier_just_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chain = make_chain(4)
        folder = write(tmp_path, chain)
        real, calls = os.scandir, []

        @contextmanager
        def hasty(path: Path) -> Iterator[list[os.DirEntry[str]]]:
            calls.append(path)
            with real(path) as entries:
                hidden = event_name(chain[2]) if len(calls) == 1 else ""
                yield [e for e in entries if e.name != hidden]

        monkeypatch.setattr(os, "scandir", hasty)
        assert list(verify_folder(folder).all_findings()) == []

    def test_an_unreadable_event_is_not_a_broken_chain(
        self, tmp_path: Path, permissions: None
    ) -> None:
        chain = make_chain(2)
        folder = write(tmp_path, chain)
        (folder / event_name(chain[0])).chmod(0)
        with pytest.raises(SourceDenied):
            verify_folder(folder)

    def test_an_input_output_error_is_not_a_broken_chain(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write(tmp_path, make_chain(2))

        def broken(*_: object, **__: object) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "read", broken)
        with pytest.raises(SourceDenied, match="Input/output error") as caught:
            verify_folder(folder)
        assert caught.value.exit_code == 7


class TestSeveralChains:
    def test_each_is_judged(self, tmp_path: Path) -> None:
        one, two = make_chain(3), make_chain(3, network="pubnet")
        folder = write(tmp_path, one + two[:1] + two[2:])
        report = verify_folder(folder)
        assert [(c.chain_key, c.ok) for c in report.chains] == [
            ("pubnet/p23_plus/v1", False),
            (KEY, True),
        ]
        assert verify_folder(folder, chain_key=KEY).ok
        with pytest.raises(UsageError, match="no chain"):
            verify_folder(folder, chain_key="testnet/p23_plus/v2")
        with pytest.raises(UsageError, match="several chains"):
            verify_folder(folder, pin=one[-1].event_hash)
        assert verify_folder(folder, pin=one[-1].event_hash, chain_key=KEY).ok

    def test_damage_of_another_chain_is_not_this_chains(self, tmp_path: Path) -> None:
        folder = write(tmp_path, make_chain(2) + make_chain(1, network="pubnet"))
        (folder / "pubnet_p23_plus_v1_1010-1019.json").write_bytes(b"")
        assert not verify_folder(folder).ok
        assert verify_folder(folder, chain_key=KEY).ok
        assert not verify_folder(folder, chain_key="pubnet/p23_plus/v1").ok


class TestBackup:
    def test_in_link_order_with_the_files_own_bytes(self, tmp_path: Path) -> None:
        chain = make_chain(12, first_ledger=95)
        folder = write(tmp_path, chain + make_chain(2, network="pubnet"))
        taken = read_backup(folder, KEY)
        assert [e for _, _, e in taken] == chain
        assert all((folder / name).read_bytes() == data for name, data, _ in taken)
        assert head_of(folder, KEY) == chain[-1].event_hash
        assert heads_from_events(folder) == json.loads((folder / HEADS_FILE).read_bytes())

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert read_backup(tmp_path / "none", KEY) == []
        assert head_of(tmp_path / "none", KEY) == ""
        assert head_of(tmp_path, KEY) == ""

    def test_the_go_copiers_fork_is_refused(self, shared: Path) -> None:
        folder = shared / "go-copier/bad-http-fork/pas-backup"
        with pytest.raises(StateError, match=r"fork.*run bronze verify"):
            read_backup(folder, KEY)
        with pytest.raises(StateError):
            head_of(folder, KEY)

    def test_damage_at_the_tail_is_no_obstacle_elsewhere_it_is(self, tmp_path: Path) -> None:
        chain = make_chain(4)
        folder = write(tmp_path, chain, head=chain[2].event_hash)
        (folder / event_name(chain[3])).write_bytes(b"")
        assert head_of(folder, KEY) == chain[2].event_hash
        (folder / event_name(chain[1])).write_bytes(b"")
        with pytest.raises(StateError, match="missing_event"):
            head_of(folder, KEY)

    def test_a_head_whose_event_is_gone_is_refused(self, tmp_path: Path) -> None:
        chain = make_chain(4)
        folder = write(tmp_path, chain)
        (folder / event_name(chain[3])).unlink()
        with pytest.raises(StateError, match="head_mismatch"):
            head_of(folder, KEY)

    @pytest.mark.parametrize("heads", [b"", b"{", None])
    def test_a_damaged_or_missing_heads_file_is_no_obstacle(
        self, tmp_path: Path, heads: bytes | None
    ) -> None:
        chain = make_chain(3)
        folder = write(tmp_path, chain)
        (folder / HEADS_FILE).unlink()
        if heads is not None:
            (folder / HEADS_FILE).write_bytes(heads)
        assert head_of(folder, KEY) == chain[-1].event_hash

    def test_hidden_content_is_refused(self, tmp_path: Path) -> None:
        chain = make_chain(2)
        folder = write(tmp_path, chain, head=chain[0].event_hash)
        path = folder / event_name(chain[1])
        path.write_bytes(path.read_bytes().replace(b'"version"', b'"note": 1,\n  "version"'))
        with pytest.raises(StateError, match="unknown_key"):
            head_of(folder, KEY)

    def test_declared_holes_may_be_continued(self, tmp_path: Path) -> None:
        from test_audit_chain import relink

        chain = make_chain(5)
        folder = write(tmp_path, relink(chain[:2] + chain[3:]))
        with pytest.raises(StateError, match="gap"):
            head_of(folder, KEY)
        assert head_of(folder, KEY, holes=[LedgerRange(1020, 1029)])


def test_declared_holes(tmp_path: Path) -> None:
    folder = tmp_path / "bronze" / KEY / "_holes"
    folder.mkdir(parents=True)
    for name in ("1020-1029.json", "1000-1009.json", "notes.txt", "x-y.json"):
        (folder / name).write_bytes(b"{}")
    assert declared_holes(folder) == {KEY: [LedgerRange(1000, 1009), LedgerRange(1020, 1029)]}
    with pytest.raises(UsageError):
        declared_holes(folder.parent)


class TestReport:
    def test_third_party_text_cannot_steer_the_terminal(self, tmp_path: Path) -> None:
        chain = make_chain(2, era_id="era\x1b]0;owned\x07\u202e\n")
        folder = write(tmp_path, chain)
        (folder / "\x1b[2J.json.tmp").write_bytes(b"")
        report = verify_folder(folder)
        text = to_text(report)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert r"chain testnet/era\x1b]0;owned\x07\u202e\x0a/v1" in text
        assert to_json(report).isascii()
        assert json.loads(to_json(report))["chains"][0]["chain_key"] == chain[0].chain_key

    def test_names_that_are_not_utf8(self, tmp_path: Path) -> None:
        folder = write(tmp_path, make_chain(1))
        with open(os.fsencode(folder) + b"/\xff_b_c_1-2.json", "wb") as file:
            file.write(b"")
        report = verify_folder(folder)
        to_text(report).encode()
        assert json.loads(to_json(report))["findings"][0]["kind"] == "unreadable"

    def test_long_lists_are_cut_in_text_only(self, tmp_path: Path) -> None:
        from dataclasses import replace

        chain = [replace(e, timestamp="2020-01-01T00:00:00Z") for e in make_chain(50)]
        report = verify_folder(write(tmp_path, chain))
        assert to_text(report).count("error hash_mismatch") == 20
        assert "and 30 more findings" in to_text(report)
        assert len(json.loads(to_json(report))["chains"][0]["findings"]) == 50


def test_time_grows_as_the_chain_does(tmp_path: Path) -> None:
    def seconds(events: int) -> float:
        folder = write(tmp_path / str(events), make_chain(events))
        times = []
        for _ in range(3):
            start = time.process_time()
            assert verify_folder(folder).ok
            times.append(time.process_time() - start)
        shutil.rmtree(folder)
        return min(times)

    assert seconds(4000) < 10 * seconds(1000), "sixteen times were the square"


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, bronze_tui.commands.verify, bronze_tui.audit.backup\n"
        "heavy = 'textual rich duckdb pyarrow numpy numba stellar_sdk sqlalchemy obstore pydantic '"
        "'aiohttp fsspec s3fs gcsfs psycopg pluggy yaml zstandard'\n"
        "print([m for m in heavy.split() if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_read_folder_keeps_names_sorted(tmp_path: Path) -> None:
    folder = write(tmp_path, make_chain(3))
    assert [f.file for f in read_folder(folder).files] == sorted(
        event_name(e) for e in make_chain(3)
    )
