"""A partition that waits after a failed attempt is tried at once when somebody asks for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from copying import Site
from test_control import Gate, Live, running

from bronze_tui.cli import main
from bronze_tui.domain.errors import Exit, SourceUnavailable, UsageError
from bronze_tui.journal.wire import call
from bronze_tui.lake.source import LakeSource

HOURS = {"perf__retry_attempts": 3, "perf__retry_backoff_ms": 3_600_000}
"""Without a retry on request these tests would not end."""


class Outage:
    """The source does not answer for one ledger until it is mended."""

    def __init__(self, patch: pytest.MonkeyPatch, ledger: int) -> None:
        self.over = False
        real = LakeSource.read

        def read(source: LakeSource, ref: Any) -> bytes:
            fetching = threading.current_thread().name.startswith("fetch")
            if fetching and ref.first <= ledger <= ref.last and not self.over:
                raise SourceUnavailable("no answer")
            return real(source, ref)

        patch.setattr(LakeSource, "read", read)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch, 20)


@pytest.fixture
def waiting(site: Site, outage: Outage) -> Iterator[Live]:
    """A run whose partition 18-33 waits an hour for its second attempt."""
    live = Live(site, **HOURS)
    try:
        live.wait("partition_retried", partition="18-33")
        yield live
    finally:
        live.process.control.stop("the test's end")
        live.end()


def test_a_retry_ends_the_wait(waiting: Live, outage: Outage, site: Site) -> None:
    outage.over = True
    assert waiting.ask("retry", partition="18-33")["state"] == "running"
    assert waiting.end().exit_code == 0
    assert site.ranges() == ["2-17", "18-33", "34-49", "50-65"]
    said = waiting.of("alert", level="info", component="engine")
    assert [r["message"] for r in said] == ["partition 18-33 is tried now, by control socket"]
    tries = waiting.of("partition_started", partition="18-33")
    assert [r["attempt"] for r in tries] == [1, 2]


def test_a_retry_that_fails_again_waits_again(waiting: Live, outage: Outage) -> None:
    waiting.ask("retry", partition="18-33")
    waiting.wait("partition_retried", 2, partition="18-33")
    waiting.ask("retry", partition="18-33")
    finished = waiting.end()
    assert finished.outcome == "failed"
    assert finished.exit_code == Exit.UNREACHABLE


def test_what_cannot_be_retried_is_said(waiting: Live, site: Site) -> None:
    waiting.wait("partition_committed", partition="2-17")
    waiting.wait("partition_built", partition="34-49")
    for partition, words in (
        ("2-17", "partition 2-17 is committed, and is never built again"),
        ("34-49", "partition 34-49 is built and waits for its turn to commit"),
        ("1000-1015", "1000-1015 is no partition of this run"),
        ("18-34", "18-34 is no partition of this run"),
        ("x", "'x' is not a partition"),
    ):
        with pytest.raises(UsageError, match=words):
            waiting.ask("retry", partition=partition)
    assert waiting.ask("status")["state"] == "running"


def test_what_is_at_work_or_has_not_begun_is_said(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with running(site, gate, builders=1) as live:
        with pytest.raises(UsageError, match="partition 2-17 is being built now"):
            live.ask("retry", partition="2-17")
        with pytest.raises(UsageError, match="partition 50-65 has not begun"):
            live.ask("retry", partition="50-65")


def test_a_hole_is_filled_by_repair_not_by_retry(
    own_lake: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(own_lake.lake.rglob("*--20*.zst")).write_bytes(b"no frame")
    live = Live(own_lake, perf__on_failure="skip", era__ledger_end=0, perf__workers=1)
    try:
        live.wait("partition_committed", partition="50-65")
        with pytest.raises(UsageError, match=r"18-33 is a declared hole; .*--repair"):
            live.ask("retry", partition="18-33")
    finally:
        live.process.control.stop("the test's end")
        live.end()


def test_a_pause_holds_a_retry_until_it_is_resumed(
    waiting: Live, outage: Outage, site: Site
) -> None:
    outage.over = True
    waiting.ask("pause")
    assert waiting.ask("retry", partition="18-33")["state"] == "paused"
    assert len(waiting.of("partition_started", partition="18-33")) == 1
    waiting.ask("resume")
    assert waiting.end().exit_code == 0


def test_scripts_retry_with_ctl(
    waiting: Live, outage: Outage, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--state-dir", str(site.state)]
    waiting.wait("partition_committed", partition="2-17")
    assert main(["ctl", "retry", "2-17", *where]) == Exit.USAGE
    assert "never built again" in capsys.readouterr().err
    outage.over = True
    assert main(["ctl", "retry", "18-33", *where]) == 0
    assert capsys.readouterr().out.startswith("retry: 18-33 is tried now\n")
    assert waiting.end().exit_code == 0


def test_a_stop_ends_the_wait_too(waiting: Live, outage: Outage, site: Site) -> None:
    waiting.wait("partition_committed", partition="2-17")
    waiting.wait("partition_built", partition="34-49")
    call(site.state, "stop")
    finished = waiting.end()
    assert (finished.outcome, finished.exit_code) == ("stopped", 0), finished.message
    assert site.ranges() == ["2-17"], "what was built behind it is not committed before it"
    outage.over = True
    assert site.run().code == 0
    assert site.ranges() == ["2-17", "18-33", "34-49", "50-65"]
