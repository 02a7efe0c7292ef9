"""Failing system calls, kills, full disks: the old file or the whole new one, nothing between."""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bronze_store_local.store import STAGING, LocalStore
from bronze_tui.domain.errors import StoreRefused
from bronze_tui.domain.files import create, replace, sweep

OLD, NEW = b"old" * 100, b"new!" * 1000
LARGE = bytes(1_600_000)
WRITING = ("open", "write", "fsync", "fchmod", "link", "rename", "close", "read", "stat", "fstat")


def leftovers(folder: Path) -> list[Path]:
    return sorted(folder.rglob(".tmp-*"))


class FailAt:
    """Makes the n-th call of one ``os`` function fail; a failing close still closes."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str, code: int, n: int) -> None:
        self.left = n
        real = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left:
                return real(*args, **options)
            if name == "close":
                real(*args)
            if name == "write":
                real(args[0], bytes(args[1][:100]))
            raise OSError(code, os.strerror(code))

        patch.setattr(os, name, call)

    @property
    def reached(self) -> bool:
        return self.left <= 0


Write = Callable[[Path, bytes | Path], object]


@pytest.mark.parametrize("write", [create, replace])
@pytest.mark.parametrize("staged", [False, True], ids=["bytes", "staged"])
@pytest.mark.parametrize("standing", [None, OLD, NEW], ids=["absent", "old", "new"])
@pytest.mark.parametrize("call", WRITING)
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_any_failing_call_leaves_old_or_new(
    tmp_path: Path, write: Write, staged: bool, standing: bytes | None, call: str, code: int
) -> None:
    for n in itertools.count(1):
        folder = tmp_path / str(n)
        (folder / "staging").mkdir(parents=True)
        path, ready = folder / "a", folder / "staging/ready"
        if standing is not None:
            path.write_bytes(standing)
        if staged:
            ready.write_bytes(NEW)
        raised = None
        with pytest.MonkeyPatch.context() as patch:
            fault = FailAt(patch, call, code, n)
            try:
                write(path, ready if staged else NEW)
            except OSError as error:
                raised = error
        assert leftovers(folder) == []
        after = path.read_bytes() if path.exists() else None
        if raised is None:
            assert after == NEW
            assert not ready.exists()
        else:
            assert after in (standing, NEW)
        if write is create and standing is not None:
            assert after == standing
        if not fault.reached:
            assert raised is None or isinstance(raised, FileExistsError)
            break


def test_open_files_do_not_leak(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    if not before:
        pytest.skip("needs /proc to count open files")
    for call in WRITING:
        for n in range(1, 6):
            folder = tmp_path / f"{call}{n}"
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                FailAt(patch, call, errno.EIO, n)
                try:
                    create(folder / "a", b"x")
                except OSError:
                    pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


CHILD = """
import itertools, sys
from pathlib import Path
from bronze_store_local.store import LocalStore
store = LocalStore(Path(sys.argv[1]))
for n in itertools.count(int(sys.argv[2])):
    data = b"%d-" % n * 20_000
    key = f"net/e1/v1/t/range={n}/part-{n}"
    if n % 2:
        store.create(key, data)
    else:
        staged = store.stage("part")
        staged.write_bytes(data)
        store.create(key, staged)
    store.replace("heads.json", data)
    print(n, flush=True)
"""


def test_killed_writers_leave_only_whole_files(tmp_path: Path) -> None:
    rng = random.Random(20)
    store, acknowledged, first = LocalStore(tmp_path), set[int](), 1
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(first)],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            for _ in range(rng.randint(1, 25)):
                acknowledged.add(int(child.stdout.readline()))
            child.kill()
            acknowledged.update(int(line) for line in child.stdout if line.endswith("\n"))
        store.clean()
        assert leftovers(tmp_path) == []
        seen = set()
        for found in store.list("net/"):
            n = int(found.key.rpartition("-")[2])
            assert store.get(found.key) == b"%d-" % n * 20_000
            seen.add(n)
        assert acknowledged <= seen
        head = store.get("heads.json")
        assert head == (head.partition(b"-")[0] + b"-") * 20_000
        first = max(seen) + 1


ONE_STEP = """
import sys
from pathlib import Path
from bronze_tui.domain.files import create, replace
folder, step = Path(sys.argv[1]), sys.argv[2]
data = b"new!" * 1000
if step == "replace":
    replace(folder / "a", data)
elif step == "staged":
    (folder / "s/staged").write_bytes(data)
    create(folder / "a", folder / "s/staged")
else:
    create(folder / "a", data)
"""


def straced(folder: Path, step: str, inject: str) -> int:
    call = inject.partition(":")[0]
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    command += ["-e", f"inject={inject}", sys.executable, "-B", "-c", ONE_STEP, str(folder), step]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False, timeout=60).returncode


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("step", ["create", "staged", "replace"])
@pytest.mark.parametrize("what", ["signal=KILL", "error=EIO"])
def test_real_system_calls_that_kill_or_fail(tmp_path: Path, step: str, what: str) -> None:
    reached = 0
    for call in ("fsync", "fchmod", "linkat", "renameat,renameat2", "unlinkat"):
        for n in itertools.count(1):
            folder = tmp_path / f"{call}-{n}"
            (folder / "s").mkdir(parents=True)
            if step == "replace":
                (folder / "a").write_bytes(OLD)
            status = straced(folder, step, f"{call}:{what}:when={n}")
            sweep(folder)
            assert (call == "unlinkat" and what == "error=EIO") or leftovers(folder) == []
            if (folder / "a").exists():
                assert (folder / "a").read_bytes() in (OLD, NEW)
            if status == 0:
                assert (folder / "a").read_bytes() == NEW
                break
            reached += 1
    assert reached >= 4


FILE_LIMIT = """
import resource, sys
from pathlib import Path
from bronze_store_local.store import LocalStore
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    LocalStore(Path(sys.argv[1])).create("a", bytes(200_000))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_file_size_limit_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(tmp_path)], capture_output=True, text=True
    )
    assert done.stdout.startswith("StoreRefused")
    assert "ulimit -f" in done.stdout
    assert list((tmp_path / STAGING).iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A 1 MiB filesystem of its own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "bronze-test", str(disk)])
    if done.returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.needs_root
def test_full_disk_is_refused_and_a_rerun_completes(small_disk: Path) -> None:
    store = LocalStore(small_disk / "lake")
    store.create("kept", b"k" * 300_000)
    for write in (store.create, store.replace):
        with pytest.raises(StoreRefused, match=r"disk is full \(\d+ bytes free\).*free space"):
            write("big", LARGE)
    assert [(found.key, found.size) for found in store.list("")] == [("kept", 300_000)]
    assert leftovers(small_disk) == []
    store.delete("kept")
    assert store.create("kept", LARGE[:900_000]) == "created"


@pytest.mark.needs_root
def test_full_disk_keeps_a_staged_file_from_its_name(small_disk: Path) -> None:
    store = LocalStore(small_disk / "lake")
    staged = store.stage("part")
    with pytest.raises(OSError, match="No space"):
        staged.write_bytes(LARGE)
    staged.unlink()
    assert list(store.list("")) == []


@pytest.mark.needs_root
def test_read_only_disk_is_refused(small_disk: Path) -> None:
    store = LocalStore(small_disk / "lake")
    store.create("kept", b"k")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    fresh = LocalStore(small_disk / "lake")
    uses: list[Callable[[], object]] = [
        lambda: fresh.lock("_lock.json", "tester"),
        lambda: fresh.stage("part"),
        lambda: fresh.create("new", b"x"),
        lambda: fresh.replace("kept", b"x"),
        lambda: fresh.delete("kept"),
    ]
    for use in uses:
        with pytest.raises(StoreRefused, match="filesystem is read-only"):
            use()
    assert fresh.get("kept") == b"k"


@pytest.mark.needs_root
def test_staging_on_another_filesystem(small_disk: Path, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.write_bytes(b"x" * 1000)
    assert create(small_disk / "a", staged) == "created"
    assert create(small_disk / "b", b"y", staging=tmp_path) == "created"
    replace(small_disk / "c", b"z", staging=tmp_path)
    assert [path.name for path in sorted(small_disk.iterdir())] == ["a", "b", "c"]
    assert not staged.exists()
    with pytest.raises(OSError, match="No space"):
        create(small_disk / "d", LARGE, staging=tmp_path)
    assert [path.name for path in sorted(small_disk.iterdir())] == ["a", "b", "c"]
    assert leftovers(tmp_path) == []


POWER_CUT = """
import sys
from pathlib import Path
from bronze_store_local.store import LocalStore
store = LocalStore(Path(sys.argv[1]))
for n in range(5):
    staged = store.stage("part")
    staged.write_bytes(b"%d-" % n * 5000)
    store.create(f"net/t/range={n}/part", staged)
    store.create(f"net/t/range={n}/_manifest.json", b"%d" % n)
    store.replace("net/heads.json", b"%d" % n)
"""


def mounted(image: Path, folder: Path) -> bool:
    folder.mkdir()
    command = ["mount", "-o", "loop", str(image), str(folder)]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.needs_root
def test_acknowledged_files_survive_a_power_cut(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not (shutil.which("mkfs.ext4") and shutil.which("mount")):
        pytest.skip("needs root and mkfs.ext4 to copy a disk in mid-flight")
    image, copy = tmp_path / "image", tmp_path / "copy"
    live, after = tmp_path / "live", tmp_path / "after"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    if not mounted(image, live):
        pytest.skip("this machine does not let root mount a loop device")
    try:
        subprocess.run([sys.executable, "-c", POWER_CUT, str(live / "lake")], check=True)
        # what the kernel still holds in memory for the mount is not in the image: a power cut
        shutil.copyfile(image, copy)
    finally:
        subprocess.run(["umount", "-l", str(live)], check=True)
    assert mounted(copy, after)
    try:
        store = LocalStore(after / "lake")
        for n in range(5):
            assert store.get(f"net/t/range={n}/part") == b"%d-" % n * 5000
            assert store.get(f"net/t/range={n}/_manifest.json") == b"%d" % n
        assert store.get("net/heads.json") == b"4"
        store.clean()
        assert leftovers(after) == []
    finally:
        subprocess.run(["umount", "-l", str(after)], check=True)
