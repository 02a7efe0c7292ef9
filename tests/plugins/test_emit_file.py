"""The file emitter: the contract of every emitter, then what only files can do."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bronze_emit_file import bronze_hook_api, bronze_register_emitters, durable, open_emitter
from bronze_emit_file.emitter import FileEmitter
from bronze_tui.audit.backup import head_of, read_backup
from bronze_tui.audit.canonical import event_hash, file_bytes
from bronze_tui.audit.event import new_event
from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.names import HEADS_FILE, event_name, event_name_apart
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import StateError, StoreRefused
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.contracts import Emitter, EmitterOptions
from bronze_tui.testing.emitter_contract import EmitterContract, make_chain

KEY = "testnet/p23_plus/v1"


def emit(folder: Path, *events: AuditEvent) -> None:
    emitter = FileEmitter(folder)
    for event in events:
        emitter.emit(file_bytes(event), event)


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def heads(folder: Path) -> dict[str, str]:
    return json.loads((folder / HEADS_FILE).read_bytes())


class TestFileEmitter(EmitterContract):
    def open_emitter(self, folder: Path) -> Emitter:
        return open_emitter(EmitterOptions(backup_dir=folder / "deep" / "pas-backup"))

    def delivered(self, folder: Path) -> list[bytes]:
        files = (folder / "deep" / "pas-backup").glob("*.json")
        return [p.read_bytes() for p in files if p.name != HEADS_FILE]


def test_registers_by_the_name_file() -> None:
    seen = {}
    bronze_register_emitters(
        register=lambda name, factory, config_model=None, summary="": seen.update({name: factory})
    )
    assert bronze_hook_api == 1
    assert seen == {"file": open_emitter}


def test_names_heads_and_nothing_else(tmp_path: Path) -> None:
    chain = make_chain(3)
    emit(tmp_path, *chain)
    expected = {f"testnet_p23_plus_v1_{e.partition}.json" for e in chain}
    assert names(tmp_path) == expected | {HEADS_FILE}
    assert (tmp_path / HEADS_FILE).read_bytes() == (
        f'{{\n  "{KEY}": "{chain[-1].event_hash}"\n}}'.encode()
    )
    assert (tmp_path / event_name(chain[0])).stat().st_mode & 0o777 == 0o444
    assert verify_folder(tmp_path).ok


def test_a_go_chain_is_continued(shared: Path, tmp_path: Path) -> None:
    for path in (shared / "go-copier/run-restart/pas-backup-after-first-half").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    taken_up = read_backup(tmp_path, KEY)
    assert [e.ledger_start for _, _, e in taken_up] == [982180, 982184, 982188]
    last = taken_up[-1][2]
    era = Era("testnet", "p23_plus", "v1", 982180, None, 4)
    event = new_event(
        era, LedgerRange(982192, 982195), last.tables, last.producer, head_of(tmp_path, KEY)
    )
    emit(tmp_path, event)
    report = verify_folder(tmp_path)
    assert report.ok
    assert list(report.all_findings()) == []
    assert report.chains[0].events == 4
    assert heads(tmp_path) == {KEY: event.event_hash}


def test_a_republished_range_gets_a_name_of_its_own(tmp_path: Path) -> None:
    first, second = make_chain(2)
    again = replace(first, prev_event_hash=second.event_hash, event_id="pas_evt_00000000000000ff")
    again = replace(again, event_hash=event_hash(again))
    emit(tmp_path, first, second, again, again)
    assert (tmp_path / event_name(first)).read_bytes() == file_bytes(first)
    assert (tmp_path / event_name_apart(again)).read_bytes() == file_bytes(again)
    assert heads(tmp_path) == {KEY: again.event_hash}
    kinds = {f.kind for f in verify_folder(tmp_path).all_findings()}
    assert kinds == {"duplicate_range"}, "both names are accepted, the repeat is reported"


def test_another_event_at_our_name_is_never_overwritten(tmp_path: Path) -> None:
    event = make_chain(1)[0]
    other = replace(event, timestamp="2020-01-01T00:00:00Z")
    other = replace(other, event_hash=event_hash(other))
    emit(tmp_path, other)
    before = (tmp_path / event_name(event)).read_bytes()
    with pytest.raises(StateError, match="run bronze verify"):
        emit(tmp_path, event)
    assert (tmp_path / event_name(event)).read_bytes() == before
    assert heads(tmp_path) == {KEY: other.event_hash}


def test_an_altered_file_at_our_name_is_a_state_error(tmp_path: Path) -> None:
    event = make_chain(1)[0]
    path = tmp_path / event_name(event)
    altered = file_bytes(event).replace(b'"version": "1.1"', b'"extra": 1, "version": "1.1"')
    path.write_bytes(altered)
    with pytest.raises(StateError, match="unknown key"):
        emit(tmp_path, event)
    assert path.read_bytes() == altered


@pytest.mark.parametrize("left", [b"", b'{\n  "version": "1.1",\n  "event_t', b"\0" * 800])
def test_what_a_crashed_go_copier_left_is_moved_aside(tmp_path: Path, left: bytes) -> None:
    first, second = make_chain(2)
    emit(tmp_path, first)
    name = event_name(second)
    (tmp_path / name).write_bytes(left)
    (tmp_path / f"{name}.damaged-1").write_bytes(b"older evidence")
    assert head_of(tmp_path, KEY) == first.event_hash
    emit(tmp_path, second)
    assert (tmp_path / name).read_bytes() == file_bytes(second)
    assert (tmp_path / f"{name}.damaged-1").read_bytes() == b"older evidence"
    assert (tmp_path / f"{name}.damaged-2").read_bytes() == left
    report = verify_folder(tmp_path)
    assert report.ok
    assert [f.kind for f in report.findings] == ["leftover_file", "leftover_file"]


def test_the_same_event_with_other_whitespace_stands(tmp_path: Path) -> None:
    event = make_chain(1)[0]
    loose = json.dumps(json.loads(file_bytes(event))).encode()
    (tmp_path / event_name(event)).write_bytes(loose)
    emit(tmp_path, event)
    assert names(tmp_path) == {event_name(event), HEADS_FILE}
    assert (tmp_path / event_name(event)).read_bytes() == loose


def test_bytes_that_are_not_the_event_are_refused(tmp_path: Path) -> None:
    one, two = make_chain(2)
    with pytest.raises(StateError, match="disagree"):
        FileEmitter(tmp_path).emit(file_bytes(two), one)
    wrong = replace(one, event_hash=two.event_hash)
    with pytest.raises(StateError, match="disagree"):
        FileEmitter(tmp_path).emit(file_bytes(wrong), wrong)
    with pytest.raises(StateError, match="no event"):
        FileEmitter(tmp_path).emit(b"{}", one)
    assert names(tmp_path) == set()


class TestHeads:
    def test_other_chains_keep_their_entries(self, tmp_path: Path) -> None:
        kept = {"pubnet/p1/v9": "sha256:" + "ab" * 32}
        (tmp_path / HEADS_FILE).write_text(json.dumps(kept))
        event = make_chain(1)[0]
        emit(tmp_path, event)
        assert heads(tmp_path) == {**kept, KEY: event.event_hash}

    @pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"a/b/c": 1}', b'{"a":"x","a":"x"}'])
    def test_a_damaged_file_is_moved_aside_and_made_from_events(
        self, tmp_path: Path, broken: bytes
    ) -> None:
        chain, other = make_chain(3), make_chain(2, network="pubnet")
        emit(tmp_path, *chain[:2], *other)
        (tmp_path / HEADS_FILE).write_bytes(broken)
        emit(tmp_path, chain[2])
        assert heads(tmp_path) == {
            KEY: chain[2].event_hash,
            "pubnet/p23_plus/v1": other[1].event_hash,
        }
        assert (tmp_path / f"{HEADS_FILE}.damaged-1").read_bytes() == broken

    def test_a_missing_file_is_made_from_events(self, tmp_path: Path) -> None:
        chain, other = make_chain(3), make_chain(2, network="pubnet")
        emit(tmp_path, *chain[:2], *other)
        (tmp_path / HEADS_FILE).unlink()
        emit(tmp_path, chain[0])
        assert heads(tmp_path)[KEY] == chain[1].event_hash
        assert heads(tmp_path)["pubnet/p23_plus/v1"] == other[1].event_hash

    def test_an_old_event_does_not_turn_the_head_back(self, tmp_path: Path) -> None:
        chain = make_chain(5)
        emit(tmp_path, *chain)
        emit(tmp_path, chain[1])
        assert heads(tmp_path) == {KEY: chain[4].event_hash}

    def test_a_lost_event_file_comes_back_and_the_head_stays(self, tmp_path: Path) -> None:
        chain = make_chain(5)
        emit(tmp_path, *chain)
        (tmp_path / event_name(chain[2])).unlink()
        emit(tmp_path, chain[2])
        assert heads(tmp_path) == {KEY: chain[4].event_hash}
        assert verify_folder(tmp_path).ok

    def test_a_head_behind_its_event_is_mended(self, tmp_path: Path) -> None:
        chain = make_chain(3)
        emit(tmp_path, *chain)
        (tmp_path / HEADS_FILE).write_text(json.dumps({KEY: chain[1].event_hash}))
        emit(tmp_path, chain[2])
        assert heads(tmp_path) == {KEY: chain[2].event_hash}


class TestCrash:
    @pytest.mark.parametrize("step", range(1, 12))
    def test_killed_at_any_write_and_run_again(
        self, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chain = make_chain(3)
        emit(tmp_path, chain[0])
        process = multiprocessing.get_context("fork").Process(
            target=_emit_until, args=(tmp_path, chain[1], step)
        )
        process.start()
        process.join(30)
        assert process.exitcode == (9 if step <= 10 else 0)
        emit(tmp_path, chain[1], chain[2])
        assert list(verify_folder(tmp_path).all_findings()) == []
        assert verify_folder(tmp_path).chains[0].events == 3


def _emit_until(folder: Path, event: AuditEvent, step: int) -> None:
    left = [step]

    def dying(call):
        def wrapper(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
            return call(*args, **kwargs)

        return wrapper

    for name in ("write", "fsync", "link", "rename", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    emit(folder, event)
    os._exit(0)


class TestRefusals:
    def test_disk_full_while_writing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        chain = make_chain(2)
        emit(tmp_path, chain[0])
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(durable.os, "write", full)
            with pytest.raises(StoreRefused, match="No space left"):
                emit(tmp_path, chain[1])
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
        emit(tmp_path, chain[1])
        assert verify_folder(tmp_path).ok

    def test_fsync_that_fails_files_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(durable.os, "fsync", broken)
        with pytest.raises(StoreRefused, match="Input/output"):
            emit(tmp_path, make_chain(1)[0])
        assert names(tmp_path) == set()

    def test_no_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(durable.os, "link", refuse)
        emit(tmp_path, *make_chain(3))
        assert verify_folder(tmp_path).ok
        assert not durable.create(tmp_path / HEADS_FILE, b"other")

    def test_a_file_where_the_folder_belongs(self, tmp_path: Path) -> None:
        (tmp_path / "pas").write_bytes(b"")
        with pytest.raises(StoreRefused):
            emit(tmp_path / "pas", make_chain(1)[0])

    def test_a_name_too_long_for_the_filesystem(self, tmp_path: Path) -> None:
        with pytest.raises(StoreRefused, match="too long"):
            emit(tmp_path, make_chain(1, era_id="e" * 250)[0])

    def test_no_permission(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o555)
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write anywhere")
        try:
            with pytest.raises(StoreRefused, match="Permission"):
                emit(tmp_path, make_chain(1)[0])
        finally:
            tmp_path.chmod(0o755)

    @pytest.mark.needs_root
    def test_a_small_disk_that_fills_up(self, small_disk: Path) -> None:
        chain, filler = make_chain(60), small_disk / "filler"
        emit(small_disk, chain[0])
        filler.write_bytes(b"x" * (small_disk_free(small_disk) - 12_288))
        with pytest.raises(StoreRefused, match="No space left"):
            emit(small_disk, *chain)
        report = verify_folder(small_disk)
        assert report.ok, "what is filed is whole: the head may be one behind"
        filler.unlink()
        emit(small_disk, *chain)
        assert verify_folder(small_disk).chains[0].events == 60
        assert verify_folder(small_disk).ok


def small_disk_free(path: Path) -> int:
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs root and mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
