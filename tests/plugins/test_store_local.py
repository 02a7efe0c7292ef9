"""The local store: the contract, and what only a disk can do to it."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from bronze_store_local import bronze_register_stores, lock, open_local
from bronze_store_local.store import STAGING, LocalStore, root_of
from bronze_tui.domain import files
from bronze_tui.domain.errors import (
    ConfigError,
    Exit,
    LockedError,
    StoreConflict,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from bronze_tui.domain.writers import temp_name
from bronze_tui.hooks.contracts import Store, StoreOptions
from bronze_tui.testing.store_contract import KEY, StoreContract, staged

LOCK = "ds/_lock.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake #1 ü%20"


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    opened = open_local(StoreOptions("local", root.as_uri(), root / "unused"))
    yield opened
    opened.close()


def dead_temp_name() -> str:
    """What a process that is gone by now would have called its temp file."""
    code = "from bronze_tui.domain.writers import temp_name; print(temp_name('left'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


class TestLocalStore(StoreContract):
    """The shared promises."""


def test_registers_as_local() -> None:
    seen = {}
    bronze_register_stores(lambda name, factory, **_: seen.update({name: factory}))
    assert seen == {"local": open_local}


def test_opening_writes_nothing(store: Store, root: Path) -> None:
    assert store.head(KEY) is None
    assert list(store.list("")) == []
    assert store.clean() == 0
    assert not root.exists()


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "/plain/path",
        "file://host/path",
        "file:relative",
        "file:///a?b",
        "file:///a%00",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        root_of(url)


def test_uri_leads_back_to_the_file(store: Store) -> None:
    store.create("a b/ü#1", b"here")
    assert Path(unquote(urlsplit(store.uri("a b/ü#1")).path)).read_bytes() == b"here"


def test_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(StoreRefused, match="folder"):
        LocalStore(path)


def test_objects_are_read_only_and_nothing_else_is_left(store: Store, root: Path) -> None:
    store.create(KEY, b"x")
    store.create(f"{KEY}.json", staged(store, b"y"))
    assert files_below(root) == [KEY, f"{KEY}.json"]
    for key in (KEY, f"{KEY}.json"):
        assert stat.S_IMODE((root / key).stat().st_mode) == 0o444


def test_staging_is_on_the_same_filesystem(store: Store, root: Path) -> None:
    path = store.stage("part.parquet")
    assert path.parent == root / STAGING
    path.write_bytes(b"x")
    inode = path.stat().st_ino
    store.create(KEY, path)
    assert (root / KEY).stat().st_ino == inode


def test_consumed_staged_file_is_reported(store: Store) -> None:
    path = staged(store, b"x")
    store.create(KEY, path)
    with pytest.raises(StoreRefused, match="staged file is gone"):
        store.create("other", path)


@pytest.mark.parametrize("key", ["link", "link/inside", "real/leaf"])
def test_symbolic_links_inside_the_root_are_refused(store: Store, root: Path, key: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "inside").write_bytes(b"secret")
    (root / "real").mkdir(parents=True)
    (root / "link").symlink_to(outside)
    (root / "real/leaf").symlink_to(outside / "inside")
    for use in (store.get, store.head, store.delete, lambda k: store.create(k, b"x")):
        with pytest.raises(StoreRefused, match="symbolic link"):
            use(key)
    assert list(store.list("")) == []
    assert (outside / "inside").read_bytes() == b"secret"


def test_root_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "lake").symlink_to(tmp_path / "disk")
    store = LocalStore(tmp_path / "lake")
    store.create(KEY, b"x")
    assert (tmp_path / "disk" / KEY).read_bytes() == b"x"
    assert store.uri(KEY) == f"file://{tmp_path}/lake/{KEY}"


@pytest.mark.parametrize("key", [f"{STAGING}/x", ".tmp-1", "a/.tmp-1-2-3/x"])
def test_reserved_names_are_refused(store: Store, key: str) -> None:
    with pytest.raises(StoreRefused):
        store.create(key, b"x")


def test_folder_at_the_key_is_a_conflict(store: Store, root: Path) -> None:
    (root / KEY).mkdir(parents=True)
    with pytest.raises(StoreConflict, match="no regular file"):
        store.create(KEY, b"x")
    with pytest.raises(FileNotFoundError):
        store.get(KEY)


def test_pipe_in_the_tree_neither_hangs_nor_lists(store: Store, root: Path) -> None:
    root.mkdir()
    os.mkfifo(root / "pipe")
    with pytest.raises(FileNotFoundError):
        store.get("pipe")
    assert store.head("pipe") is None
    assert list(store.list("")) == []


def test_clean_removes_what_the_dead_left_and_spares_others(store: Store, root: Path) -> None:
    living = staged(store, b"ours")
    store.create(KEY, b"x")
    pid, start, host, rand = temp_name().removeprefix(".tmp-").split("-")
    dead = [
        root / STAGING / dead_temp_name(),
        (root / KEY).parent / dead_temp_name(),
        root / STAGING / f".tmp-{pid}-{'0' * 8}-{host}-{rand}",
    ]
    fresh = root / STAGING / f".tmp-{pid}-{start}-{'0' * 8}-{rand}"
    odd = root / STAGING / ".tmp-unheard-of"
    old = root / STAGING / f".tmp-{pid}-{start}-{'f' * 8}-{rand}"
    for path in (*dead, fresh, odd, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert store.clean() == 4
    assert not any(path.exists() for path in (*dead, old))
    assert all(path.exists() for path in (living, fresh, odd))
    assert [found.key for found in store.list("")] == [KEY]


def test_lock_note_is_readable_and_goes_with_the_lock(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = store.lock(LOCK, "copier-one")
    note = json.loads((root / LOCK).read_bytes())
    assert (note["owner"], note["pid"]) == ("copier-one", os.getpid())
    assert note["started"].endswith("Z")
    (root / LOCK).write_bytes(b"{" * 5000)
    held.heartbeat()
    assert (root / LOCK).read_bytes() == b"{" * 5000
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.0)
    held.heartbeat()
    assert json.loads((root / LOCK).read_bytes())["owner"] == "copier-one"
    held.release()
    assert not (root / LOCK).exists()


def test_lock_with_a_broken_note_still_excludes(store: Store, root: Path) -> None:
    held = store.lock(LOCK, "copier-one")
    for note in (b"", b"\xff", b"[]", b'{"owner": 5}'):
        (root / LOCK).write_bytes(note)
        with pytest.raises(LockedError, match="frees itself"):
            store.lock(LOCK, "copier-two")
    held.release()


def test_removed_lock_file_is_a_lost_lock(store: Store, root: Path) -> None:
    held = store.lock(LOCK, "copier-one")
    (root / LOCK).unlink()
    with pytest.raises(LockedError, match="lost") as caught:
        held.heartbeat()
    assert caught.value.exit_code == Exit.LOCKED
    thief = store.lock(LOCK, "copier-two")
    held.release()
    thief.heartbeat()
    thief.release()


def test_lock_of_a_file_that_was_just_released_is_taken_anew(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = lock._lock_now, []

    def release_just_before(fd: int) -> bool:
        calls.append(fd)
        if len(calls) == 1:
            (root / LOCK).unlink()
        return real(fd)

    monkeypatch.setattr(lock, "_lock_now", release_just_before)
    held = store.lock(LOCK, "copier-one")
    held.heartbeat()
    with pytest.raises(LockedError):
        store.lock(LOCK, "copier-two")
    held.release()


def test_lock_is_free_after_a_kill(store: Store, root: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from bronze_store_local.store import LocalStore\n"
        "held = LocalStore(pathlib.Path(sys.argv[1])).lock(sys.argv[2], 'doomed')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(root), LOCK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"doomed .process {child.pid} on"):
            store.lock(LOCK, "heir")
        child.kill()
        child.wait()
    store.lock(LOCK, "heir").release()


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.ENOSPC, StoreRefused, "disk is full .* (bytes free|no file entries left).*; free"),
        (errno.EDQUOT, StoreRefused, "quota"),
        (errno.EROFS, StoreRefused, "read-only"),
        (errno.EACCES, StoreRefused, "no permission"),
        (errno.EPERM, StoreRefused, "no permission"),
        (errno.EFBIG, StoreRefused, "ulimit"),
        (errno.EIO, StoreRefused, "I/O error"),
        (errno.EMFILE, StoreRefused, "open files"),
        (errno.ENOMSG, StoreRefused, "No message"),
        (errno.ESTALE, StoreUnavailable, "mount"),
        (errno.ETIMEDOUT, StoreUnavailable, "mount"),
    ],
)
def test_system_errors_become_advice(
    store: Store,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[StoreError],
    words: str,
) -> None:
    def fail(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    store.create("before", b"x")
    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(kind, match=words) as caught:
        store.create(KEY, b"y")
    monkeypatch.undo()
    assert type(caught.value) is kind
    assert str(root / KEY).startswith(caught.value.where)
    assert files_below(root) == ["before"]


def test_unwritable_root_is_refused_at_the_lock(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = LocalStore(tmp_path / "file" / "root")
    for use in (lambda: store.lock(LOCK, "x"), lambda: store.stage("x")):
        with pytest.raises(StoreRefused, match="a file stands where a folder belongs"):
            use()


def test_folder_without_permission_is_refused(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    tmp_path.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(StoreRefused, match=r"no permission .* user id"):
            store.lock(LOCK, "x")
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o755)
