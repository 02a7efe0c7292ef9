"""Durable files: outcomes, order of system calls, every way a filesystem can lack something."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.domain import files, writers
from bronze_tui.domain.files import create, make_dirs, replace, sweep, sync_folder
from bronze_tui.domain.names import is_key
from bronze_tui.domain.writers import is_abandoned, process_alive, process_start, temp_name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def failing(code: int) -> Callable[..., Any]:
    def fail(*args: Any, **options: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the primitive asks of the system, in order: ``fsync file``, ``link``, ``fsync dir``."""
    seen: list[str] = []

    def record(name: str) -> None:
        real = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            folder = name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode)
            seen.append(f"fsync {'dir' if folder else 'file'}" if name == "fsync" else name)
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)

    for name in ("write", "fsync", "fchmod", "link", "rename", "unlink", "mkdir"):
        record(name)
    return seen


class TestCreate:
    """Create if absent."""

    def test_outcomes(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        assert create(path, b"one") == "created"
        assert create(path, b"one") == "same"
        with pytest.raises(FileExistsError):
            create(path, b"two")
        assert path.read_bytes() == b"one"
        assert names(tmp_path) == ["a"]

    def test_staged_outcomes(self, tmp_path: Path) -> None:
        path, staged = tmp_path / "a", tmp_path / "staged"
        staged.write_bytes(b"one")
        assert create(path, staged) == "created"
        assert names(tmp_path) == ["a"]
        staged.write_bytes(b"one")
        assert create(path, staged) == "same"
        staged.write_bytes(b"two")
        with pytest.raises(FileExistsError):
            create(path, staged)
        assert names(tmp_path) == ["a", "staged"]

    @pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o444), (0o077, 0o400)])
    def test_result_is_read_only_within_the_umask(
        self, tmp_path: Path, umask: int, expected: int
    ) -> None:
        before = os.umask(umask)
        try:
            (tmp_path / "staged").write_bytes(b"x")
            create(tmp_path / "a", b"x")
            create(tmp_path / "b", tmp_path / "staged")
        finally:
            os.umask(before)
        assert (mode(tmp_path / "a"), mode(tmp_path / "b")) == (expected, expected)

    def test_bytes_reach_the_disk_before_the_name(self, tmp_path: Path, calls: list[str]) -> None:
        create(tmp_path / "a", b"x")
        assert calls == ["write", "fchmod", "fsync file", "link", "unlink", "fsync dir"]

    def test_staged_bytes_reach_the_disk_before_the_name(
        self, tmp_path: Path, calls: list[str]
    ) -> None:
        (tmp_path / "staged").write_bytes(b"x")
        create(tmp_path / "a", tmp_path / "staged")
        assert calls == ["fchmod", "fsync file", "link", "fsync dir", "unlink"]

    def test_same_is_durable_too(self, tmp_path: Path, calls: list[str]) -> None:
        (tmp_path / "a").write_bytes(b"x")
        create(tmp_path / "a", b"x")
        assert calls[-4:] == ["link", "fsync file", "unlink", "fsync dir"]

    def test_short_writes_are_continued(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:3])))
        create(tmp_path / "a", b"0123456789")
        assert (tmp_path / "a").read_bytes() == b"0123456789"

    def test_short_reads_are_continued(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create(tmp_path / "a", b"0123456789")
        real, sizes = os.read, iter([7, 3, 1, 2, 4, 5, 9] * 9)
        monkeypatch.setattr(os, "read", lambda fd, size: real(fd, min(size, next(sizes))))
        assert create(tmp_path / "a", b"0123456789") == "same"
        with pytest.raises(FileExistsError):
            create(tmp_path / "a", b"012345678X")

    @pytest.mark.parametrize("kind", ["folder", "link", "dangling", "pipe"])
    def test_what_is_no_file_is_never_the_same(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "a"
        (tmp_path / "target").write_bytes(b"x")
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("target" if kind == "link" else "nowhere")
        with pytest.raises(FileExistsError):
            create(path, b"x")
        assert names(tmp_path) == ["a", "target"]

    def test_staged_link_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "target").write_bytes(b"x")
        (tmp_path / "staged").symlink_to("target")
        for write in (create, replace):
            with pytest.raises(OSError, match="symbolic"):
                write(tmp_path / "a", tmp_path / "staged")
        assert names(tmp_path) == ["staged", "target"]

    def test_absent_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            create(tmp_path / "no" / "a", b"x")

    def test_failed_sync_is_final(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        staged, asked = tmp_path / "staged", []

        def fail(fd: int) -> None:
            asked.append(fd)
            raise OSError(errno.EIO, "lost")

        staged.write_bytes(b"x")
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="lost"):
            create(tmp_path / "a", staged)
        with pytest.raises(OSError, match="lost"):
            create(tmp_path / "a", b"x")
        assert len(asked) == 2
        assert names(tmp_path) == []

    def test_staged_file_survives_a_failed_folder_sync(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        staged, real = tmp_path / "staged", os.fsync
        staged.write_bytes(b"x")

        def fail(fd: int) -> None:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(errno.ESTALE, "stale")
            real(fd)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="stale"):
                create(tmp_path / "a", staged)
        assert create(tmp_path / "a", staged) == "same"
        assert names(tmp_path) == ["a"]

    @settings(deadline=None)
    @given(old=st.binary(max_size=40), new=st.binary(max_size=40))
    def test_any_bytes(
        self, tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes
    ) -> None:
        path = tmp_path_factory.mktemp("any") / "a"
        assert create(path, old) == "created"
        try:
            assert create(path, new) == "same"
        except FileExistsError:
            assert old != new
        else:
            assert old == new
        assert path.read_bytes() == old


class TestPoorFilesystems:
    """No hard links, no RENAME_NOREPLACE, another filesystem, no folder sync."""

    @pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
    def linkless(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "link", failing(request.param))

    def check_outcomes(self, folder: Path) -> None:
        staged = folder / "staged"
        assert create(folder / "a", b"one") == "created"
        assert create(folder / "a", b"one") == "same"
        with pytest.raises(FileExistsError):
            create(folder / "a", b"two")
        staged.write_bytes(b"one")
        assert create(folder / "a", staged) == "same"
        staged.write_bytes(b"one")
        assert create(folder / "b", staged) == "created"
        assert names(folder) == ["a", "b"]
        assert (folder / "b").read_bytes() == b"one"
        assert mode(folder / "b") == 0o444

    @pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
    def test_without_links(self, tmp_path: Path, linkless: None, calls: list[str]) -> None:
        self.check_outcomes(tmp_path)
        assert "rename" not in calls

    def test_without_links_and_renameat2(
        self, tmp_path: Path, linkless: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "_renameat2", lambda: None)
        self.check_outcomes(tmp_path)

    def test_without_links_and_the_flag(
        self, tmp_path: Path, linkless: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "_renameat2", lambda: lambda *args: -1)
        monkeypatch.setattr(files.ctypes, "get_errno", lambda: errno.EINVAL)
        self.check_outcomes(tmp_path)

    def test_failed_reserved_rename_gives_the_name_back(
        self, tmp_path: Path, linkless: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "_renameat2", lambda: None)
        monkeypatch.setattr(os, "rename", failing(errno.EIO))
        with pytest.raises(OSError):
            create(tmp_path / "a", b"x")
        assert names(tmp_path) == []

    def test_folder_without_permission_to_link_stays_an_error(
        self, tmp_path: Path, linkless: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "_renameat2", lambda: lambda *args: -1)
        monkeypatch.setattr(files.ctypes, "get_errno", lambda: errno.EPERM)
        with pytest.raises(PermissionError):
            create(tmp_path / "a", b"x")
        assert names(tmp_path) == []

    @pytest.fixture
    def far(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A staging folder that links and renames treat as another filesystem."""
        folder = tmp_path / "far"
        folder.mkdir()
        inode = folder.stat().st_ino

        def crossing(name: str) -> None:
            real = getattr(os, name)

            def call(*args: Any, src_dir_fd: int, dst_dir_fd: int, **options: Any) -> Any:
                ends = [os.fstat(fd).st_ino == inode for fd in (src_dir_fd, dst_dir_fd)]
                if ends[0] != ends[1]:
                    raise OSError(errno.EXDEV, "cross-device")
                return real(*args, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **options)

            monkeypatch.setattr(os, name, call)

        crossing("link")
        crossing("rename")
        return folder

    def test_create_across_filesystems(self, tmp_path: Path, far: Path) -> None:
        near = tmp_path / "near"
        near.mkdir()
        (far / "staged").write_bytes(b"one" * 500_000)
        assert create(near / "a", far / "staged") == "created"
        assert create(near / "b", b"one", staging=far) == "created"
        assert create(near / "b", b"one", staging=far) == "same"
        with pytest.raises(FileExistsError):
            create(near / "b", b"two", staging=far)
        assert (near / "a").read_bytes() == b"one" * 500_000
        assert mode(near / "a") == 0o444
        assert (names(near), names(far)) == (["a", "b"], [])

    def test_replace_across_filesystems(self, tmp_path: Path, far: Path) -> None:
        near = tmp_path / "near"
        near.mkdir()
        (far / "staged").write_bytes(b"one")
        replace(near / "a", far / "staged")
        replace(near / "a", b"two", staging=far)
        assert (near / "a").read_bytes() == b"two"
        assert (names(near), names(far)) == (["a"], [])

    @pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
    def test_folders_that_cannot_be_synced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        real = os.fsync

        def fsync(fd: int) -> None:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(code, "no")
            real(fd)

        monkeypatch.setattr(os, "fsync", fsync)
        assert create(tmp_path / "a", b"x") == "created"
        sync_folder(tmp_path)


class TestReplace:
    """Atomic replacement."""

    def test_replaces_and_leaves_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        replace(path, b"one")
        replace(path, b"two")
        (tmp_path / "staged").write_bytes(b"three")
        replace(path, tmp_path / "staged")
        assert path.read_bytes() == b"three"
        assert names(tmp_path) == ["a"]

    def test_order(self, tmp_path: Path, calls: list[str]) -> None:
        replace(tmp_path / "a", b"one")
        order = [call for call in calls if call != "unlink"]
        assert order == ["write", "fchmod", "fsync file", "rename", "fsync dir"]

    @pytest.mark.parametrize("before", [0o600, 0o444, 0o644])
    def test_permissions_never_widen(self, tmp_path: Path, before: int) -> None:
        path = tmp_path / "a"
        path.write_bytes(b"one")
        path.chmod(before)
        replace(path, b"two")
        assert mode(path) == before

    def test_link_itself_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "target").write_bytes(b"kept")
        (tmp_path / "a").symlink_to("target")
        replace(tmp_path / "a", b"new")
        assert (tmp_path / "target").read_bytes() == b"kept"
        assert not (tmp_path / "a").is_symlink()

    def test_folder_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        with pytest.raises(OSError):
            replace(tmp_path / "a", b"x")
        assert names(tmp_path) == ["a"]


class TestMakeDirs:
    """Folders whose names survive."""

    def test_each_new_name_is_synced_in_its_parent(
        self, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[Path] = []
        monkeypatch.setattr(files, "sync_folder", synced.append)
        make_dirs(tmp_path / "a/b/c")
        make_dirs(tmp_path / "a/b/c")
        assert synced == [tmp_path, tmp_path / "a", tmp_path / "a/b"]
        assert calls == ["mkdir"] * 3

    def test_below_settles_what_a_crash_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "root/a/b").mkdir(parents=True)
        synced: set[Path] = set()
        monkeypatch.setattr(files, "sync_folder", synced.add)
        make_dirs(tmp_path / "root/a/b/c", below=tmp_path / "root")
        assert synced == {tmp_path / "root", tmp_path / "root/a", tmp_path / "root/a/b"}
        synced.clear()
        make_dirs(tmp_path / "root", below=tmp_path / "root")
        assert synced == set()

    @pytest.mark.parametrize("target", ["file", "file/below", "dangling", "dangling/below"])
    def test_what_is_no_folder_is_an_error(self, tmp_path: Path, target: str) -> None:
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "dangling").symlink_to("nowhere")
        with pytest.raises(OSError):
            make_dirs(tmp_path / target)
        assert names(tmp_path) == ["dangling", "file"]


class TestSweep:
    """Temp files of the dead."""

    def gone(self) -> str:
        code = "from bronze_tui.domain.writers import temp_name; print(temp_name('a-b.parquet'))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return done.stdout.decode().strip()

    def test_removes_the_dead_only(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        keep = [temp_name("mine"), "part.parquet", ".tmp-1-legacy"]
        for name in (self.gone(), f"deep/{self.gone()}", *keep):
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / self.gone()).mkdir()
        (tmp_path / f"{self.gone()}z").symlink_to(tmp_path / "part.parquet")
        assert sweep(tmp_path) == 2
        assert names(tmp_path / "deep") == []
        assert set(keep) < set(names(tmp_path))
        os.utime(tmp_path / ".tmp-1-legacy", (0, 0))
        assert sweep(tmp_path) == 1

    def test_absent_folder_has_nothing(self, tmp_path: Path) -> None:
        assert sweep(tmp_path / "no") == 0

    def test_a_child_that_was_not_waited_for_is_dead(self) -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            start = process_start(child.pid)
            assert process_alive(child.pid, start)
            assert not process_alive(child.pid, "00000000")
            child.kill()
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert not process_alive(child.pid, start)

    @pytest.mark.skipif(not process_start(os.getpid()), reason="needs /proc")
    def test_age_does_not_condemn_the_living(self) -> None:
        assert not is_abandoned(temp_name(), 0)

    def test_without_proc_age_decides_for_the_living(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writers, "_PROC", Path("/nonexistent"))
        name = temp_name()
        assert name.split("-")[2] == ""
        assert not is_abandoned(name, writers.time.time())
        assert is_abandoned(name, 0)
        assert is_abandoned(name.replace(f"-{os.getpid()}-", "-99999999-"), writers.time.time())

    @given(st.text(max_size=60))
    def test_no_name_breaks_it(self, text: str) -> None:
        assert not is_abandoned(f".tmp-{text}", writers.time.time() + 9)


@given(st.text(max_size=20))
def test_keys_stay_below_the_root(text: str) -> None:
    if is_key(text):
        assert Path("/root", text).is_relative_to("/root")
        assert os.path.normpath(f"/root/{text}") == f"/root/{text}"


@pytest.mark.parametrize("key", ["a", "a/b", "range=1-2/part-1-2.parquet", "..a/b..", "ü"])
def test_ordinary_keys_are_keys(key: str) -> None:
    assert is_key(key)
