"""Output, state and audit folders that cannot be written, and copiers that meet on one dataset."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from copying import Run, Site, digests
from damage import RANGES, check_committed, check_whole

from bronze_tui.domain.errors import BronzeError, LockedError
from bronze_tui.testing.tiny_lake import TinyLake

Remount = Callable[[str], None]


@pytest.fixture
def disk(small: Site, request: pytest.FixtureRequest) -> Iterator[tuple[str, Remount]]:
    """A small tmpfs at the site's ``data``, ``state`` or ``pas`` folder, and its remounting."""
    name = request.param
    folder: Path = getattr(small, name)
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not possible here: {mounted.stderr.decode().strip()}")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    yield name, remount
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Take all space of the folder's disk but ``leave`` bytes."""
    seen = os.statvfs(folder)
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(max(0, seen.f_bavail * seen.f_frsize - leave)))
    return ballast


def start(site: Site, **changes: Any) -> Run | BronzeError:
    """A run, or why it could not begin."""
    try:
        return site.run(**changes)
    except BronzeError as error:
        return error


def code_and_text(result: Run | BronzeError) -> tuple[int, str]:
    if isinstance(result, Run):
        return result.code, result.finished.message
    return int(result.exit_code), str(result)


def check_nothing_half(site: Site, clean: dict[str, str]) -> None:
    """What is committed is a whole, sound beginning of the dataset, however long."""
    committed = site.ranges()
    assert committed == RANGES[: len(committed)]
    found = digests(site.table, "**/*.parquet")
    for name in committed:
        key = f"range={name}/part-{name}.parquet"
        assert found[key] == clean[key]


@pytest.mark.needs_root
@pytest.mark.parametrize("leave", [0, 4096, 20_000, 40_000])
@pytest.mark.parametrize("disk", ["data"], indirect=True)
def test_a_full_output_disk(
    small: Site, clean: dict[str, str], disk: tuple[str, Remount], leave: int
) -> None:
    ballast = fill(small.data, leave)
    code, text = code_and_text(start(small))
    assert code == 1, text
    assert "disk is full" in text or "No space left" in text
    assert "free space" in text
    assert str(small.data) in text
    check_nothing_half(small, clean)
    ballast.unlink()
    check_whole(small, clean)


@pytest.mark.needs_root
@pytest.mark.parametrize("leave", [0, 4096, 190_000, 200_000])
@pytest.mark.parametrize("disk", ["state"], indirect=True)
def test_a_full_state_disk(
    small: Site, clean: dict[str, str], disk: tuple[str, Remount], leave: int
) -> None:
    ballast = fill(small.state, leave)
    code, text = code_and_text(start(small))
    if leave <= 4096 or code:
        assert code == 1, text
        assert "full" in text or "No space left" in text, text
        assert str(small.state) in text
        assert "free space" in text
    check_nothing_half(small, clean)
    ballast.unlink()
    check_whole(small, clean)


@pytest.mark.needs_root
@pytest.mark.parametrize(("strict", "code"), [("false", 1), ("true", 4)])
@pytest.mark.parametrize("disk", ["pas"], indirect=True)
def test_a_full_audit_disk(
    small: Site, clean: dict[str, str], disk: tuple[str, Remount], strict: str, code: int
) -> None:
    ballast = fill(small.pas, 4096)
    run = small.run(pas__strict=strict)
    assert run.code == code, run.finished.message
    said = " ".join([run.finished.message, *(r["message"] for r in run.of("alert"))])
    assert "No space left" in said
    assert str(small.pas) in said
    assert "free space" in said
    check_nothing_half(small, clean)
    assert small.ranges() == (RANGES if strict == "false" else RANGES[:1])
    ballast.unlink()
    check_whole(small, clean)


@pytest.mark.needs_root
@pytest.mark.parametrize("disk", ["data", "state"], indirect=True)
def test_a_read_only_disk(small: Site, clean: dict[str, str], disk: tuple[str, Remount]) -> None:
    assert small.run(era__ledger_end=9).code == 0
    name, remount = disk
    remount("ro")
    code, text = code_and_text(start(small))
    remount("rw")
    assert code == 1, text
    assert "read-only" in text.lower()
    assert str(getattr(small, name)) in text
    check_committed(small, clean, RANGES[:2])
    check_whole(small, clean)


@pytest.mark.needs_root
@pytest.mark.parametrize("disk", ["pas"], indirect=True)
def test_a_read_only_audit_disk(
    small: Site, clean: dict[str, str], disk: tuple[str, Remount]
) -> None:
    assert small.run(era__ledger_end=9).code == 0
    before = digests(small.pas)
    disk[1]("ro")
    run = small.run()
    disk[1]("rw")
    assert run.code == 1, run.finished.message
    assert "2 audit events have no file yet" in run.finished.message
    assert any("Read-only file system" in r["message"] for r in run.of("alert"))
    assert digests(small.pas) == before
    assert small.ranges() == RANGES
    check_whole(small, clean)


@pytest.mark.parametrize("name", ["data", "state", "pas"])
def test_a_file_where_a_folder_belongs(small: Site, clean: dict[str, str], name: str) -> None:
    folder: Path = getattr(small, name)
    folder.write_text("mine")
    result = start(small)
    code, text = code_and_text(result)
    said = [r["message"] for r in result.of("alert")] if isinstance(result, Run) else []
    assert code == 1, text
    assert str(folder) in " ".join([text, *said])
    assert folder.read_text() == "mine"
    folder.unlink()
    check_whole(small, clean)


# Two copiers


def beside(site: Site) -> Site:
    """Another copier's state folder, on the same output."""
    other = Site(site.root / "second", site.lake, dict(site.settings))
    other.settings |= {"storage.local_dir": site.data, "pas.backup_dir": site.pas}
    return other


def held(site: Site, meet: Callable[[], None]) -> Run:
    """A run that does ``meet`` while it holds its locks."""
    met: list[bool] = []

    def listen(record: dict[str, Any]) -> None:
        if record["kind"] == "run_started":
            meet()
            met.append(True)

    run = site.run(listen=listen)
    assert met == [True]
    return run


def test_a_second_copier_with_the_same_state_folder_is_exit_6(
    small: Site, clean: dict[str, str]
) -> None:
    def meet() -> None:
        with pytest.raises(LockedError) as locked:
            small.run()
        assert locked.value.exit_code == 6
        assert str(small.state) in str(locked.value)
        assert f"process {os.getpid()}" in str(locked.value)
        assert locked.value.todo

    assert held(small, meet).code == 0
    check_whole(small, clean)


def test_a_second_copier_on_the_same_output_is_exit_6_and_learns_who_holds_it(
    small: Site, clean: dict[str, str]
) -> None:
    other = beside(small)

    def meet() -> None:
        run = other.run(copier_id="the-second")
        assert run.code == 6, run.finished.message
        assert "locked by the-first" in run.finished.message
        assert f"process {os.getpid()}" in run.finished.message
        assert "testnet/first/v1/_lock" in run.finished.message
        assert run.of("partition_started") == []

    small.settings["copier_id"] = "the-first"
    assert held(small, meet).code == 0
    check_whole(small, clean)


def attempt(site: Site, answers: Any) -> None:
    answers.put(code_and_text(start(site)))


@pytest.mark.parametrize("same_state", [True, False])
def test_a_second_copier_of_another_process_is_exit_6(
    small: Site, clean: dict[str, str], same_state: bool
) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    other = small if same_state else beside(small)

    def meet() -> None:
        process = context.Process(target=attempt, args=(other, answers))
        process.start()
        code, text = answers.get(timeout=60)
        process.join(60)
        assert code == 6, text
        assert f"process {os.getpid()} on" in text

    assert held(small, meet).code == 0
    check_whole(small, clean)


def test_copiers_take_turns_on_one_output(small: Site, clean: dict[str, str]) -> None:
    """Another copier goes on where the first one ended: it rebuilds its catalog from the output."""
    assert small.run(era__ledger_end=9).code == 0
    other = beside(small)
    run = other.run()
    assert run.code == 0, run.finished.message
    assert [r["recovered"] for r in run.of("partition_committed")] == [True, True, False, False]
    again = small.run()
    assert again.code == 0, again.finished.message
    check_whole(small, clean)


def test_a_lock_that_a_dead_copier_left_is_free(small: Site, clean: dict[str, str]) -> None:
    small.dataset.mkdir(parents=True)
    note = {"owner": "the dead", "pid": 1, "host": "elsewhere", "started": "2020-01-01T00:00:00Z"}
    (small.dataset / "_lock").write_text(json.dumps(note))
    check_whole(small, clean)


def test_a_lock_that_is_lost_while_copying_is_exit_6(small: Site, small_lake: TinyLake) -> None:
    """Somebody removes the lock file: nothing more may be committed."""
    shutil.rmtree(small.lake)
    shutil.copytree(small_lake.root, small.lake)
    for path in small.lake.glob("FFFFFFFF--0-63999/*--1[0-7].xdr.zst"):
        path.unlink()

    def listen(record: dict[str, Any]) -> None:
        if record["kind"] == "state_changed" and record["state"] == "at_tip":
            (small.dataset / "_lock").unlink()

    from bronze_tui.engine import opening
    from bronze_tui.engine.opening import RunFlags

    process, _ = small.engine(RunFlags(follow=True), listen, source__poll_interval="0.1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "_BEAT", 0.0)
        finished = process.run()
    assert finished.exit_code == 6, finished.message
    assert "the lock was lost" in finished.message
    assert small.ranges() == RANGES[:2]
