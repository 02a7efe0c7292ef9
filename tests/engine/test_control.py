"""Steering a run through its control socket: what it says, what each command does, who is kept
out. The source has a gate, so every command meets the run at a known place."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from copying import Site, digests

from bronze_tui.audit.folder import resolve, verify_folder
from bronze_tui.cli import main
from bronze_tui.domain.errors import EngineUnreachable, Exit, LockedError, UsageError
from bronze_tui.domain.events import RunFinished
from bronze_tui.journal.wire import call, engine_info
from bronze_tui.lake.source import LakeSource

LONG = 60.0


class Gate:
    """Holds the reads of builds, not those of the engine's start."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._changed = threading.Condition()
        self._left: float = 0
        self.passed = 0
        real = LakeSource.read

        def read(source: LakeSource, ref: Any) -> bytes:
            if threading.current_thread().name.startswith("fetch"):
                self._enter()
            return real(source, ref)

        patch.setattr(LakeSource, "read", read)

    def _enter(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._left > 0, LONG)
            self._left -= 1
            self.passed += 1
            self._changed.notify_all()

    def allow(self, reads: float = float("inf")) -> None:
        """Let so many more objects through."""
        with self._changed:
            self._left += reads
            self._changed.notify_all()

    def wait(self, reads: int) -> None:
        """Until so many objects went through."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.passed >= reads, LONG)


class Live:
    """An engine that runs in a thread beside the test."""

    def __init__(self, site: Site, **changes: Any) -> None:
        self.site = site
        self._changed = threading.Condition()
        self.process, self.records = site.engine(listen=self._heard, **changes)
        self.finished: RunFinished | None = None
        self._thread = threading.Thread(target=self._run, name="engine")
        self._thread.start()

    def _run(self) -> None:
        self.finished = self.process.run()

    def _heard(self, record: dict[str, Any]) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait(self, kind: str, count: int = 1, **values: Any) -> None:
        """Until the journal has so many records of a kind with these values."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.of(kind, **values)) >= count, LONG)

    def of(self, kind: str, **values: Any) -> list[dict[str, Any]]:
        found = [r for r in list(self.records) if r["kind"] == kind]
        return [r for r in found if values.items() <= r.items()]

    def ask(self, command: str, **args: Any) -> dict[str, Any]:
        return call(self.site.state, command, **args)

    def end(self) -> RunFinished:
        self._thread.join(LONG)
        assert self.finished is not None, "the run did not end"
        return self.finished


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


@contextmanager
def running(site: Site, gate: Gate, builders: int = 2, **changes: Any) -> Iterator[Live]:
    """A run whose builders all wait for their first ledger."""
    live = Live(site, perf__workers=builders, **changes)
    try:
        live.wait("partition_started", builders)
        yield live
    finally:
        gate.allow()
        live.process.control.stop("the test's end")
        live.end()


def assert_like_an_undisturbed_copy(site: Site, **changes: Any) -> None:
    again = site.run(**changes)
    assert again.code == 0, again.finished.message
    clean = Site(site.root / "clean", site.lake)
    assert clean.run(**changes).code == 0
    assert digests(site.table, "**/*.parquet") == digests(clean.table, "**/*.parquet")
    assert site.ranges() == clean.ranges()
    report = verify_folder(resolve(site.pas))
    assert report.ok, report


def test_status_tells_what_goes_on(site: Site, gate: Gate) -> None:
    with running(site, gate) as live:
        status = live.ask("status")
        assert status["state"] == "running"
        assert status["workers"] == 2
        assert status["source_tip"] == 65
        assert status["partitions_committed"] == 0
        assert sorted(status["in_flight"]) == ["18-33", "2-17"]
        assert status["chains"][0]["chain_key"] == "testnet/first/v1"
        assert status["chains"][0]["last_ledger"] is None


def test_only_the_owner_may_steer(site: Site, gate: Gate) -> None:
    with running(site, gate):
        info = engine_info(site.state)
        assert info is not None
        for path in (Path(info.socket), site.state / "engine.json"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_ISSOCK(Path(info.socket).stat().st_mode)


def test_nothing_answers_after_the_end(site: Site, gate: Gate) -> None:
    with running(site, gate) as live:
        info = engine_info(site.state)
        gate.allow()
        assert live.end().exit_code == 0
    assert info is not None
    assert not Path(info.socket).exists()
    assert not (site.state / "engine.json").exists()
    with pytest.raises(EngineUnreachable) as raised:
        call(site.state, "status")
    assert raised.value.exit_code == Exit.UNREACHABLE


def test_pause_holds_builds_until_resume(site: Site, gate: Gate) -> None:
    with running(site, gate) as live:
        assert live.ask("pause")["state"] == "paused"
        live.wait("state_changed", state="paused", by="control socket")
        gate.allow()
        gate.wait(32)
        status = live.ask("status")
        assert status["state"] == "paused"
        assert sorted(status["in_flight"]) == ["18-33", "2-17"]
        assert not live.of("partition_built")
        assert live.ask("resume")["state"] == "running"
        assert live.end().exit_code == 0
        live.wait("state_changed", state="running", by="control socket")
        paused, resumed = live.of("state_changed")[:2]
        assert (paused["state"], resumed["state"]) == ("paused", "running")
        assert all(r["seq"] > resumed["seq"] for r in live.of("partition_committed"))
    assert site.ranges() == ["2-17", "18-33", "34-49", "50-65"]


def test_a_paused_run_can_be_drained(site: Site, gate: Gate) -> None:
    with running(site, gate) as live:
        live.ask("pause")
        assert live.ask("drain")["state"] == "draining"
        gate.allow()
        assert live.end().outcome == "drained"
    assert site.ranges() == ["2-17", "18-33"]


def test_drain_commits_what_is_under_way(site: Site, gate: Gate) -> None:
    with running(site, gate) as live:
        assert live.ask("drain")["state"] == "draining"
        live.wait("state_changed", state="draining")
        gate.allow()
        finished = live.end()
    assert (finished.exit_code, finished.outcome) == (0, "drained")
    assert finished.partitions_committed == 2
    assert site.ranges() == ["2-17", "18-33"]
    assert_like_an_undisturbed_copy(site)


def test_stop_gives_up_a_build_in_its_middle(site: Site, gate: Gate) -> None:
    size = {"era__partition_size": 32}
    with running(site, gate, builders=1, **size) as live:
        gate.allow(20)
        gate.wait(20)
        assert live.ask("stop")["state"] == "stopping"
        live.wait("state_changed", state="stopping", by="control socket")
        gate.allow()
        finished = live.end()
    assert (finished.exit_code, finished.outcome) == (0, "stopped")
    assert finished.partitions_committed == 0
    assert site.ranges() == []
    assert site.parquet() == []
    assert not list((site.data / ".bronze-staging").iterdir())
    assert_like_an_undisturbed_copy(site, **size)


def test_stop_keeps_what_is_committed(site: Site, gate: Gate) -> None:
    with running(site, gate, builders=1) as live:
        gate.allow(16)
        live.wait("partition_committed", partition="2-17")
        live.wait("partition_started", partition="18-33")
        live.ask("stop")
        gate.allow()
        assert live.end().outcome == "stopped"
    assert site.ranges() == ["2-17"]
    assert len(site.events()) == 1
    assert_like_an_undisturbed_copy(site)


def test_workers_are_added_and_taken_away(site: Site, gate: Gate) -> None:
    with running(site, gate, builders=1) as live:
        assert live.ask("workers", count=2)["workers"] == 2
        live.wait("partition_started", 2)
        assert live.ask("workers", count=4)["workers"] == 4
        live.wait("partition_started", 4)
        assert len(live.ask("status")["in_flight"]) == 4
        assert live.ask("workers", count=1)["workers"] == 1
        gate.allow()
        assert live.end().exit_code == 0
        said = [(r["state"], r["detail"]) for r in live.of("state_changed")]
        assert said == [("workers", "2"), ("workers", "4"), ("workers", "1")]
    assert site.ranges() == ["2-17", "18-33", "34-49", "50-65"]


def test_fewer_workers_take_fewer_partitions(site: Site, gate: Gate) -> None:
    with running(site, gate, era__partition_size=8) as live:
        live.ask("workers", count=1)
        gate.allow()
        assert live.end().exit_code == 0
        later = live.of("partition_started")[2:]
        assert {record["worker"] for record in later} == {0}


@pytest.mark.parametrize("count", [0, -1, 65, 1000, "2", None, True, 1.5])
def test_a_senseless_number_of_workers_is_refused(site: Site, gate: Gate, count: Any) -> None:
    with running(site, gate) as live:
        with pytest.raises(UsageError) as raised:
            live.ask("workers", count=count)
        assert raised.value.exit_code == Exit.USAGE
        assert live.ask("status")["workers"] == 2


def test_an_unknown_command_is_refused_and_the_run_goes_on(site: Site, gate: Gate) -> None:
    with running(site, gate) as live:
        with pytest.raises(UsageError, match="unknown command"):
            live.ask("explode")
        gate.allow()
        assert live.end().exit_code == 0


def test_ctl_steers_and_shows(site: Site, gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--state-dir", str(site.state)]
    with running(site, gate) as live:
        assert main(["ctl", "status", "--json", *where]) == 0
        assert json.loads(capsys.readouterr().out)["state"] == "running"
        assert main(["ctl", "pause", *where]) == 0
        assert "paused" in capsys.readouterr().out
        assert main(["ctl", "workers", "3", *where]) == 0
        assert live.ask("status")["workers"] == 3
        assert main(["ctl", "drain", *where]) == 0
        gate.allow()
        assert live.end().outcome == "drained"
    assert main(["ctl", "status", *where]) == Exit.UNREACHABLE
    assert "no engine is running" in capsys.readouterr().err


def test_a_second_engine_on_the_state_folder_is_refused(site: Site, gate: Gate) -> None:
    with running(site, gate) as live:
        with pytest.raises(LockedError) as raised:
            site.run()
        assert raised.value.exit_code == Exit.LOCKED
        sets = [part for text in site.sets() for part in ("--set", text)]
        command = [sys.executable, "-m", "bronze_tui.cli", "run", "--no-tui", *sets]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 6
        assert "another engine works with this state folder" in done.stderr
        assert "Traceback" not in done.stderr
        assert live.ask("status")["state"] == "running"
        gate.allow()
        assert live.end().exit_code == 0


def test_a_second_copier_on_the_dataset_is_refused(site: Site, gate: Gate) -> None:
    """With a state folder of its own."""
    with running(site, gate) as live:
        other = Site(site.root / "other", site.lake, {"storage.local_dir": site.data})
        run = other.run()
        assert run.code == Exit.LOCKED
        assert "locked" in run.finished.message
        assert not other.pas.exists()
        gate.allow()
        assert live.end().exit_code == 0
    assert site.ranges() == ["2-17", "18-33", "34-49", "50-65"]
