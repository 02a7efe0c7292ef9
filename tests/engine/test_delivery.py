"""Audit events on their way to an endpoint: order, every fault an answer can be, what strict and
lenient runs do, what people decide, and kills between sending and noting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from calling import run_here
from copying import Run, Site
from faultserver import FaultServer, Peer, Step, answer
from servers.postgres import Database

from bronze_tui.audit.archive import Archive
from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.receiver import Receiver
from bronze_tui.catalog.deliveries import Deliveries
from bronze_tui.catalog.store import Catalog
from bronze_tui.cli import main
from bronze_tui.domain.errors import StoreRefused
from bronze_tui.domain.events import RunFinished
from bronze_tui.engine import backlog, delivery
from bronze_tui.engine.backlog import backoff
from bronze_tui.journal.wire import call

KEY = "testnet/first/v1"
LONG = 60.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(backlog, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(delivery, "GRACE", 0.5)
    monkeypatch.setattr(delivery, "LOOK_EVERY", 0.05)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    opened = Receiver(tmp_path / "received")
    opened.start()
    yield opened
    opened.close()


@contextmanager
def nobody() -> Iterator[str]:
    """An address where nothing listens."""
    with FaultServer() as gone:
        url = gone.url
    yield url


def files(site: Site) -> list[bytes]:
    """The bytes of the event files in chain order."""
    found = {p.read_bytes() for p in site.pas.glob("*_*.json")}
    return sorted(found, key=lambda data: json.loads(data)["partition"]["ledger_start"])


def in_order(site: Site, server: FaultServer) -> None:
    """Each event went out, none before the one ahead of it."""
    wanted = files(site)
    places = [wanted.index(r.body) for r in server.requests if r.method == "POST"]
    assert places == sorted(places), "an event overtook another"
    assert server.bodies() == wanted


def refusing(start: int, status: int = 422) -> Step:
    """Refuses the event of the partition that begins at ledger ``start``."""

    def step(server: FaultServer, peer: Peer) -> bool:
        request = peer.read()
        if request is None:
            return False
        refused = request.event["partition"]["ledger_start"] == start
        if not refused:
            server.note(request)
        code = status if refused else 201
        body = b'{"error": "not this one"}' if refused else b""
        head = f"HTTP/1.1 {code} Told\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        peer.sock.sendall(head + body)
        return True

    return step


def pas(site: Site, *words: str, **changes: Any) -> int:
    sets = [part for text in site.sets(**changes) for part in ("--set", text)]
    return main(["pas", words[0], *sets, *words[1:]])


def alerts(run: Run) -> list[str]:
    return [r["message"] for r in run.of("alert") if r["component"] == "delivery"]


def test_the_receiver_holds_every_event_once_in_order(small: Site, receiver: Receiver) -> None:
    run = small.run(pas__endpoint=receiver.url)
    assert (run.code, run.finished.undelivered) == (0, 0)
    assert [r["chain_seq"] for r in run.of("event_delivered")] == [0, 1, 2, 3]
    received = verify_folder(small.root / "received")
    assert received.ok
    assert received.chains[0].head == run.finished.head
    stored = [receiver.archive.get(json.loads(d)["chain"]["event_hash"]) for d in files(small)]
    assert stored == files(small)
    again = small.run(pas__endpoint=receiver.url)
    assert (again.code, again.of("event_delivered")) == (0, [])


def test_faults_of_every_kind_are_outlived(
    small: Site, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four failures in a row may pause for longer than the end of a run waits.
    monkeypatch.setattr("bronze_tui.engine.delivery.GRACE", 60.0)
    server.script = [
        server.reset_before,
        server.reset_after,
        answer(503, {"Retry-After": "0"}),
        answer(429),
        answer(201),
        server.garbage,
        server.cut_short,
        answer(500, body=b"\x00\xff garbage"),
        answer(201),
        answer(408),
        server.reset_after,
    ]
    run = small.run(pas__endpoint=server.url)
    assert (run.code, run.finished.undelivered) == (0, 0)
    in_order(small, server)
    assert len(alerts(run)) == 2 * len([a for a in alerts(run) if "cannot be delivered" in a]), (
        "each failure is told once, each recovery once"
    )
    attempts = {r["chain_seq"]: r["attempts"] for r in run.of("event_delivered")}
    assert attempts[0] >= 4


def test_what_was_not_delivered_goes_out_with_the_next_run(
    small: Site, server: FaultServer
) -> None:
    with nobody() as url:
        run = small.run(pas__endpoint=url)
    assert (run.code, run.finished.outcome, run.finished.undelivered) == (0, "done", 4)
    assert "4 audit events not delivered yet" in run.finished.message
    assert run.of("outbox_figures")[-1]["waiting"] == 4
    assert len(small.parquet()) == 4
    again = small.run(pas__endpoint=server.url)
    assert (again.code, again.finished.undelivered) == (0, 0)
    in_order(small, server)


def test_events_of_before_there_was_an_endpoint_go_out_too(done: Site, server: FaultServer) -> None:
    assert done.run(pas__endpoint=server.url).code == 0
    in_order(done, server)


def test_an_emitter_that_is_switched_off_is_never_silently_left_out(
    small: Site, server: FaultServer
) -> None:
    run = small.run(pas__endpoint=server.url, **{"plugins.disable": "http"})
    assert (run.code, small.ranges(), server.requests) == (4, [], [])


def test_an_endpoint_that_leads_inside_is_not_connected_to(
    small: Site, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inside(host: str, port: int, **_: Any) -> list[Any]:
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr("socket.getaddrinfo", inside)
    url = f"https://pas.example:{server.port}/events"
    run = small.run(pas__endpoint=url)
    assert (run.code, run.finished.undelivered, server.requests) == (0, 4, [])
    assert "pas.allow_private is not set" in alerts(run)[0]


def test_an_event_without_a_file_is_not_posted(
    small: Site, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StoreRefused("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("bronze_emit_file.emitter.FileEmitter.emit", full)
        run = small.run(pas__endpoint=server.url)
    assert (run.code, server.requests) == (1, [])
    assert small.run(pas__endpoint=server.url).code == 0
    in_order(small, server)


class TestParked:
    def test_lenient_copies_on_and_a_script_is_told(
        self, small: Site, server: FaultServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.usual = refusing(6)
        run = small.run(pas__endpoint=server.url)
        assert (run.code, run.finished.outcome) == (1, "done")
        assert (run.finished.undelivered, run.finished.parked) == (3, 1)
        assert len(small.parquet()) == 4
        assert [r.event["partition"]["ledger_start"] for r in server.requests] == [2]
        assert [r["level"] for r in run.of("alert") if "is parked" in r["message"]] == ["error"]
        again = small.run(pas__endpoint=server.url)
        assert (again.code, len(server.requests)) == (1, 1), "a parked event is not tried again"
        assert sum("parked since an earlier" in a for a in alerts(again)) == 1

        capsys.readouterr()
        assert pas(small, "status", pas__endpoint=server.url) == 1
        said = capsys.readouterr().out
        assert "event 1 since" in said
        assert "422 Told (not this one)" in said
        assert "1; up to event 0, next is event 1" in said

    def test_retry_then_deliver(
        self, small: Site, server: FaultServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.usual = refusing(6)
        small.run(pas__endpoint=server.url)
        assert pas(small, "deliver", pas__endpoint=server.url) == 1
        assert pas(small, "retry") == 0
        assert pas(small, "deliver", pas__endpoint=server.url) == 1, "it is refused again"
        server.usual = answer(201)
        assert pas(small, "retry") == 0
        assert pas(small, "deliver", pas__endpoint=server.url) == 0
        in_order(small, server)
        capsys.readouterr()
        assert pas(small, "status", "--json", pas__endpoint=server.url) == 0
        (chain,) = json.loads(capsys.readouterr().out)["chains"]
        assert (chain["delivered"], chain["waiting"], chain["parked"]) == (4, 0, None)
        assert pas(small, "retry") == 2, "nothing is parked any more"

    def test_the_commands_work_on_a_catalog_in_postgresql(
        self,
        small: Site,
        server: FaultServer,
        postgres: Database,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        small.settings["catalog.postgres_dsn"] = postgres.dsn
        assert pas(small, "status", pas__endpoint=server.url) == 5
        assert "there is no catalog yet" in capsys.readouterr().err
        server.usual = refusing(6)
        small.run(pas__endpoint=server.url)
        assert pas(small, "status", pas__endpoint=server.url) == 1
        assert "event 1 since" in capsys.readouterr().out
        assert pas(small, "retry") == 0
        assert pas(small, "deliver", pas__endpoint=server.url) == 1
        assert pas(small, "skip", "1", "--reason", "agreed") == 0
        assert pas(small, "deliver", pas__endpoint=server.url) == 0
        starts = [r.event["partition"]["ledger_start"] for r in server.requests]
        assert starts == [2, 10, 14]
        capsys.readouterr()
        assert pas(small, "status", pas__endpoint=server.url) == 0
        assert "agreed" in capsys.readouterr().out
        assert not (small.state / "catalog.sqlite").exists()

    def test_skip_is_recorded_and_told(
        self, small: Site, server: FaultServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.usual = refusing(6)
        small.run(pas__endpoint=server.url)
        assert pas(small, "skip", "1", "--reason", "\x1b[31magreed by mail") == 0
        run = small.run(pas__endpoint=server.url)
        assert (run.code, run.finished.undelivered) == (0, 0)
        starts = [r.event["partition"]["ledger_start"] for r in server.requests]
        assert starts == [2, 10, 14]
        (told,) = [a for a in alerts(run) if "skipped by" in a]
        assert "agreed by mail" in told
        capsys.readouterr()
        assert pas(small, "status", pas__endpoint=server.url) == 0
        said = capsys.readouterr().out
        assert "agreed by mail" in said
        assert "\x1b" not in said
        again = small.run(pas__endpoint=server.url)
        assert alerts(again) == [], "told once"

    @pytest.mark.parametrize(
        "words",
        [
            ("skip", "9", "--reason", "x"),
            ("skip", "0", "--reason", "x"),
            ("skip", "x", "--reason", "x"),
            ("skip", "3-2", "--reason", "x"),
            ("skip", "1", "--reason", " "),
            ("skip", "1", "--reason", "\udcff"),
            ("skip", "1"),
            ("retry", "--chain", "a/b/c"),
        ],
    )
    def test_what_cannot_be_decided_is_said(
        self, small: Site, server: FaultServer, words: tuple[str, ...]
    ) -> None:
        small.run(era__ledger_end=5, pas__endpoint=server.url)
        assert pas(small, *words) == 2

    def test_strict_ends_with_4(self, small: Site, server: FaultServer) -> None:
        server.usual = refusing(2)
        run = small.run(pas__endpoint=server.url, pas__strict="true", pas__max_outbox=1)
        assert (run.code, run.finished.outcome) == (4, "failed")
        assert "was not taken by the endpoint" in run.finished.message
        assert len(small.ranges()) == 1
        again = small.run(pas__endpoint=server.url, pas__strict="true")
        assert (again.code, again.of("partition_started")) == (4, [])

    def test_the_other_chain_goes_on(self, small: Site, server: FaultServer) -> None:
        eras = {
            "eras.0.era_id": "first",
            "eras.0.network": "testnet",
            "eras.0.ledger_start": 2,
            "eras.0.ledger_end": 9,
            "eras.0.partition_size": 4,
            "eras.1.era_id": "second",
            "eras.1.network": "testnet",
            "eras.1.ledger_start": 10,
            "eras.1.ledger_end": 17,
            "eras.1.partition_size": 4,
        }
        server.usual = refusing(2)
        run = small.run(pas__endpoint=server.url, **eras)
        assert (run.code, run.finished.parked, run.finished.undelivered) == (1, 1, 2)
        delivered = [(r["chain_key"], r["chain_seq"]) for r in run.of("event_delivered")]
        assert delivered == [("testnet/second/v1", 0), ("testnet/second/v1", 1)]


class TestStrict:
    def test_an_endpoint_that_stays_away_fails_the_run(self, small: Site) -> None:
        with nobody() as url:
            run = small.run(pas__endpoint=url, pas__strict="true")
        assert (run.code, run.finished.outcome, run.finished.undelivered) == (4, "failed", 4)

    def test_copying_waits_for_a_full_outbox(self, small: Site, server: FaultServer) -> None:
        server.usual = answer(503)
        waiting = threading.Event()

        def listen(record: dict[str, Any]) -> None:
            if record["kind"] == "throughput" and record["limited_by"] == "delivery":
                waiting.set()
                server.usual = answer(201)

        run = small.run(
            listen=listen, pas__endpoint=server.url, pas__strict="true", pas__max_outbox=2
        )
        assert waiting.is_set()
        assert (run.code, run.finished.undelivered) == (0, 0)
        in_order(small, server)
        committed = delivered = 0
        for record in run.records:
            committed += record["kind"] == "partition_committed"
            delivered += record["kind"] == "event_delivered"
            assert committed - delivered <= 2
        assert committed == 4


def test_every_event_is_sent_again_to_an_endpoint_that_lost_them(
    small: Site, server: FaultServer, tmp_path: Path
) -> None:
    assert small.run(pas__endpoint=server.url).code == 0
    fresh = Receiver(tmp_path / "fresh")
    fresh.start()
    try:
        assert small.run(pas__endpoint=fresh.url).code == 0
        assert fresh.archive.events == 0, "they were acknowledged, by the other one"
        assert pas(small, "retry", "--all") == 0
        assert pas(small, "deliver", pas__endpoint=fresh.url) == 0
        assert fresh.archive.events == 4
        assert verify_folder(tmp_path / "fresh").ok
    finally:
        fresh.close()


class Following:
    """A copier that waits at the tip, in a thread."""

    def __init__(self, site: Site, **changes: Any) -> None:
        self.changed = threading.Condition()
        self.process, self.records = site.engine(
            listen=self._heard, era__ledger_end=0, perf__workers=1, **changes
        )
        self.finished: RunFinished | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.finished = self.process.run()

    def _heard(self, record: dict[str, Any]) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait(self, kind: str, **values: Any) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            for record in list(self.records):
                if record["kind"] == kind and values.items() <= record.items():
                    return record
            return None

        with self.changed:
            record = self.changed.wait_for(found, LONG)
        assert record, f"no {kind} {values}"
        return record

    def drain(self) -> RunFinished:
        self.process.control.drain("test")
        self.thread.join(LONG)
        assert self.finished is not None
        return self.finished


def test_people_decide_while_a_copier_runs(
    small: Site, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.usual = refusing(6)
    copier = Following(small, pas__endpoint=server.url)
    try:
        copier.wait("outbox_figures", state="parked", waiting=3)
        assert call(small.state, "status")["delivery"]["parked"] == 1
        assert pas(small, "status", pas__endpoint=server.url) == 1
        assert pas(small, "deliver", pas__endpoint=server.url) == 6
        assert "another process delivers" in capsys.readouterr().err
        server.usual = refusing(10)
        assert pas(small, "retry") == 0
        copier.wait("event_delivered", chain_seq=1)
        copier.wait("outbox_figures", state="parked", waiting=2)
        assert pas(small, "skip", "2", "--reason", "lost on purpose") == 0
        copier.wait("event_delivered", chain_seq=3)
        copier.wait("outbox_figures", state="idle", waiting=0)
    finally:
        finished = copier.drain()
    assert (finished.exit_code, finished.undelivered) == (0, 0)
    texts = [r["message"] for r in copier.records if r["kind"] == "alert"]
    assert any("tried again, asked by" in t for t in texts)
    assert any("skipped by" in t and "lost on purpose" in t for t in texts)


def test_a_run_that_is_stopped_does_not_wait_for_a_silent_endpoint(
    small: Site, server: FaultServer
) -> None:
    server.usual = server.silent
    copier = Following(small, pas__endpoint=server.url)
    server.wait_for_request()
    copier.wait("state_changed", state="at_tip")
    copier.process.control.stop("test")
    copier.thread.join(LONG)
    assert copier.finished is not None
    assert (copier.finished.exit_code, copier.finished.undelivered) == (0, 4)
    server.usual = answer(201)
    assert small.run(pas__endpoint=server.url).code == 0


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_between_sending_and_noting(small: Site, tmp_path: Path, moment: str) -> None:
    """The receiver holds each event once, in order, whatever the copier had noted."""
    archive = Archive(tmp_path / "received")
    kill = [2, 3]
    running: list[subprocess.Popen[bytes]] = []

    def take(server: FaultServer, peer: Peer) -> bool:
        request = peer.read()
        if request is None:
            return False
        server.note(request)
        number = archive.events
        doomed = bool(kill) and number == kill[0]
        if doomed and moment == "before":
            kill.pop(0)
            running[-1].send_signal(signal.SIGKILL)
            return False
        outcome = archive.receive(request.body).outcome
        if doomed:
            kill.pop(0)
            running[-1].send_signal(signal.SIGKILL)
            return False
        return answer_now(peer, 201 if outcome == "created" else 200)

    with FaultServer(usual=take) as server:
        codes = [run_command(small, server.url, running) for _ in range(3)]
        assert codes == [-9, -9, 0]
    archive.close()
    report = verify_folder(tmp_path / "received")
    assert report.ok
    assert report.chains[0].events == 4
    assert {p.read_bytes() for p in (tmp_path / "received").glob("*_*.json")} == set(files(small))
    catalog = Catalog(small.state / "catalog.sqlite")
    assert Deliveries(catalog).backlog(KEY).delivered == 4
    catalog.close()


def answer_now(peer: Peer, status: int) -> bool:
    peer.sock.sendall(f"HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n".encode())
    return True


def run_command(site: Site, url: str, running: list[subprocess.Popen[bytes]]) -> int:
    sets = [part for text in site.sets(pas__endpoint=url) for part in ("--set", text)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bronze_tui.cli", "run", "--no-tui", *sets],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "CONFIG_FILE": ""},
    )
    running.append(process)
    try:
        process.communicate(timeout=LONG)
    finally:
        process.kill()
        process.communicate()
    return process.returncode


def test_the_real_command_tells_what_is_left(small: Site) -> None:
    with nobody() as url:
        sets = [part for text in small.sets(pas__endpoint=url) for part in ("--set", text)]
        done = run_here("run", "--no-tui", "--plain", *sets)
    assert done.returncode == 0
    assert "4 audit events not delivered yet: the next run or bronze pas deliver" in done.stderr
    assert "delivered   0 audit events; 4 audit events wait" in done.stderr
    assert done.stderr.count("audit events cannot be delivered") == 1


def test_a_secret_reaches_no_output(
    small: Site, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    token = "hush-9876543210"
    server.usual = answer(403, body=f'{{"error": "no rights for {token}"}}'.encode())
    changes = {"pas__endpoint": server.url, "pas__token": token}
    small.run(**changes)
    assert server.requests[0].headers["authorization"] == f"Bearer {token}"
    assert pas(small, "status", **changes) == 1
    assert pas(small, "status", "--json", **changes) == 1
    assert main(["status", *(p for t in small.sets(**changes) for p in ("--set", t))]) == 0
    said = capsys.readouterr()
    assert "403" in said.out
    kept = b"".join(p.read_bytes() for p in small.state.rglob("*") if p.is_file())
    assert token not in said.out + said.err
    assert token.encode() not in kept


def test_status_tells_of_deliveries(
    small: Site, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.usual = refusing(6)
    small.run(pas__endpoint=server.url)
    sets = [p for t in small.sets(pas__endpoint=server.url) for p in ("--set", t)]
    assert main(["status", *sets]) == 0
    assert "1 events; 3 audit events wait" in capsys.readouterr().out
    assert main(["status", "--json", *sets]) == 0
    (chain,) = json.loads(capsys.readouterr().out)["chains"]
    assert (chain["undelivered"], chain["parked"]) == (3, 1)


def test_backoff_doubles_up_to_a_bound_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "FIRST_PAUSE", 0.5)
    assert [backoff(n, None, lambda: 1.0) for n in (1, 2, 3, 8, 99)] == [0.5, 1, 2, 60, 60]
    assert backoff(5, None, lambda: 0.0) == 0.0
    assert backoff(1, 7.0, lambda: 1.0) == 7.0
    assert backoff(9, 7.0, lambda: 1.0) == 60


def test_what_waits_is_found_by_its_index(done: Site) -> None:
    """Not by a walk over everything that was delivered."""
    catalog = Catalog(done.state / "catalog.sqlite")
    deliveries = Deliveries(catalog)
    with catalog.reading() as c:
        query = deliveries._open(KEY).order_by("seq").limit(1)
        text = str(query.compile(c, compile_kwargs={"literal_binds": True}))
        plan = " ".join(str(row) for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
    catalog.close()
    assert "idx_bronze_chain_undelivered" in plan
