"""The reference receiver: an archive that takes only what continues its chains, and HTTP before
it, asked over real sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bronze_tui.audit.archive import Archive, WrongPlace
from bronze_tui.audit.canonical import event_hash, file_bytes
from bronze_tui.audit.event import EventRejected
from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.names import HEADS_FILE, event_name, event_name_apart
from bronze_tui.audit.receiver import Receiver
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import LockedError, StateError, StoreRefused, UsageError
from bronze_tui.testing.emitter_contract import make_chain

KEY = "testnet/p23_plus/v1"
CHAIN = make_chain(4)


def changed(event: AuditEvent, **values: Any) -> AuditEvent:
    """Another event with a sound hash of its own."""
    other = replace(event, **values)
    return replace(other, event_hash=event_hash(other))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    opened = Archive(tmp_path)
    yield opened
    opened.close()


def filled(archive: Archive, count: int = 4) -> Archive:
    for event in CHAIN[:count]:
        assert archive.receive(file_bytes(event)).outcome == "created"
    return archive


class TestArchive:
    def test_keeps_what_verifies(self, archive: Archive, tmp_path: Path) -> None:
        filled(archive)
        assert archive.receive(file_bytes(CHAIN[1])).outcome == "same"
        assert archive.heads == {KEY: CHAIN[3].event_hash}
        assert archive.get(CHAIN[2].event_hash) == file_bytes(CHAIN[2])
        assert (tmp_path / event_name(CHAIN[0])).read_bytes() == file_bytes(CHAIN[0])
        report = verify_folder(tmp_path)
        assert report.ok
        assert list(report.all_findings()) == []

    def test_a_restart_goes_on_where_it_was(self, tmp_path: Path) -> None:
        filled(Archive(tmp_path), 2).close()
        (tmp_path / HEADS_FILE).unlink()
        (tmp_path / ".tmp-99999-0-0-0-left").write_bytes(b"half an ev")
        os.utime(tmp_path / ".tmp-99999-0-0-0-left", (0, 0))
        archive = Archive(tmp_path)
        assert archive.heads == {KEY: CHAIN[1].event_hash}
        assert archive.receive(file_bytes(CHAIN[1])).outcome == "same"
        assert archive.receive(file_bytes(CHAIN[2])).count == 3
        assert verify_folder(tmp_path).ok
        archive.close()

    def test_what_does_not_continue_the_head_is_refused(self, archive: Archive) -> None:
        filled(archive, 3)
        fork = changed(CHAIN[2], event_id="pas_evt_00000000000000ff")
        with pytest.raises(WrongPlace) as caught:
            archive.receive(file_bytes(fork))
        assert (caught.value.head, caught.value.holder) == (
            CHAIN[2].event_hash,
            CHAIN[2].event_hash,
        )
        later = changed(CHAIN[3], prev_event_hash="sha256:" + "0" * 64)
        with pytest.raises(WrongPlace) as caught:
            archive.receive(file_bytes(later))
        assert caught.value.holder == ""

    def test_a_chain_begins_at_its_first_event(self, archive: Archive) -> None:
        with pytest.raises(WrongPlace) as caught:
            archive.receive(file_bytes(CHAIN[1]))
        assert caught.value.head == ""

    @pytest.mark.parametrize(
        ("values", "text"),
        [
            ({"event_id": CHAIN[0].event_id}, "event_id was used"),
            ({"ledger_start": 1009}, "announced before"),
            ({"ledger_start": 1000, "ledger_end": 1009}, "announced before"),
            ({"network": "n" * 250}, "chain|name"),
        ],
    )
    def test_what_would_not_verify_is_refused(
        self, archive: Archive, values: dict[str, Any], text: str
    ) -> None:
        filled(archive, 1)
        first = {} if "network" not in values else {"prev_event_hash": ""}
        with pytest.raises(EventRejected, match=text):
            archive.receive(file_bytes(changed(CHAIN[1], **values, **first)))
        assert archive.events == 1

    @pytest.mark.parametrize("network", [".tmp-1", ".tmp-9-0-0-0"])
    def test_names_of_temporary_files_are_refused(self, archive: Archive, network: str) -> None:
        with pytest.raises(EventRejected, match="file's name"):
            archive.receive(file_bytes(changed(CHAIN[0], network=network)))

    def test_a_wrong_hash_and_other_bytes_are_refused(self, archive: Archive) -> None:
        wrong = file_bytes(CHAIN[0]).replace(b'"row_count": 10', b'"row_count": 11')
        for data in (wrong, b"", b"{}", b"\0" * 100, b"[" * 60_000, b" " * 65_536):
            with pytest.raises(EventRejected):
                archive.receive(data)
        assert archive.events == 0

    def test_a_declared_hole_is_taken_and_filled_later(self, archive: Archive) -> None:
        late = changed(CHAIN[1], prev_event_hash="")
        filled(archive, 1)
        skip = changed(CHAIN[2], prev_event_hash=CHAIN[0].event_hash)
        archive.receive(file_bytes(skip))
        late = changed(late, prev_event_hash=skip.event_hash)
        archive.receive(file_bytes(late))
        archive.close()
        assert Archive(archive._folder).heads == {KEY: late.event_hash}

    def test_look_alike_names_are_kept_apart(self, archive: Archive, tmp_path: Path) -> None:
        one = make_chain(1, network="a", era_id="b_c")[0]
        two = make_chain(1, network="a_b", era_id="c")[0]
        for event in (one, two):
            archive.receive(file_bytes(event))
        assert (tmp_path / event_name_apart(two)).read_bytes() == file_bytes(two)
        assert verify_folder(tmp_path).ok

    def test_one_process_at_a_time(self, archive: Archive, tmp_path: Path) -> None:
        with pytest.raises(LockedError, match="another process"):
            Archive(tmp_path)

    def test_damage_is_not_built_on(self, tmp_path: Path) -> None:
        filled(Archive(tmp_path)).close()
        (tmp_path / event_name(CHAIN[1])).unlink()
        with pytest.raises(StateError, match="missing_event"):
            Archive(tmp_path)
        (tmp_path / event_name(CHAIN[1])).write_bytes(b"")
        with pytest.raises(StateError, match="empty"):
            Archive(tmp_path)

    def test_racing_clients_make_one_chain(self, archive: Archive, tmp_path: Path) -> None:
        rivals = [changed(CHAIN[0], event_id=f"pas_evt_{n:016x}") for n in range(8)]

        def send(event: AuditEvent) -> str:
            try:
                return archive.receive(file_bytes(event)).outcome
            except WrongPlace:
                return "refused"

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(send, rivals * 3))
        assert outcomes.count("created") == 1
        assert outcomes.count("same") == 2
        assert verify_folder(tmp_path).ok


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    opened = Receiver(tmp_path / "received")
    opened.start()
    yield opened
    opened.close()


def ask(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    given = {"Content-Type": "application/json"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    connection.request(method, path, body, given)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data) if data else None, dict(answer.headers)


class TestHttp:
    def test_new_same_and_conflict(self, receiver: Receiver) -> None:
        port = receiver.port
        status, doc, _ = ask(port, "POST", "/events", file_bytes(CHAIN[0]))
        assert (status, doc["outcome"], doc["events"]) == (201, "created", 1)
        status, doc, _ = ask(port, "POST", "/events", file_bytes(CHAIN[0]))
        assert (status, doc["outcome"]) == (200, "same")
        status, doc, _ = ask(port, "POST", "/events", file_bytes(CHAIN[2]))
        assert (status, doc["head"], doc["event_hash"]) == (409, CHAIN[0].event_hash, "")
        assert ask(port, "GET", "/heads")[:2] == (200, {KEY: CHAIN[0].event_hash})
        status, doc, _ = ask(port, "GET", f"/events/{CHAIN[0].event_hash}")
        assert (status, doc) == (200, json.loads(file_bytes(CHAIN[0])))
        assert ask(port, "GET", f"/events/{CHAIN[1].event_hash}")[0] == 404
        assert ask(port, "GET", "/health")[:2] == (200, {"status": "ok", "events": 1})

    @pytest.mark.parametrize(
        ("method", "path", "body", "headers", "status"),
        [
            ("POST", "/events", b"{}", {}, 400),
            ("POST", "/events", b" " * 65_536, {}, 413),
            ("POST", "/events", b"{}", {"Content_Type": "text/plain"}, 415),
            ("POST", "/elsewhere", b"{}", {}, 404),
            ("POST", "/events", None, {"Transfer_Encoding": "chunked"}, 411),
            ("GET", "/events/../../etc/passwd", None, {}, 404),
            ("GET", "/events/sha256:zz", None, {}, 404),
            ("GET", "/", None, {}, 404),
            ("PUT", "/events", b"{}", {}, 501),
            ("DELETE", "/events", None, {}, 501),
            ("POST", "/events", b"{}", {"Host": "evil.example"}, 421),
            ("GET", "/heads", None, {"Host": "evil.example:80"}, 421),
        ],
    )
    def test_what_is_refused(
        self,
        receiver: Receiver,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        status: int,
    ) -> None:
        found, doc, _ = ask(receiver.port, method, path, body, **headers)
        assert found == status
        assert doc["error"]
        assert receiver.archive.events == 0

    def test_a_token_guards_everything_but_health(self, tmp_path: Path) -> None:
        guarded = Receiver(tmp_path, token="hush")
        guarded.start()
        try:
            data, port = file_bytes(CHAIN[0]), guarded.port
            for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": "hush"}):
                status, _, headers = ask(port, "POST", "/events", data, **wrong)
                assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
                assert ask(port, "GET", "/heads", **wrong)[0] == 401
            right = {"Authorization": "Bearer hush", "Host": "pas.example"}
            assert ask(port, "POST", "/events", data, **right)[0] == 201
            assert ask(port, "GET", "/health")[0] == 200
        finally:
            guarded.close()

    def test_other_hosts_need_a_token(self, tmp_path: Path) -> None:
        for host in ("0.0.0.0", "::", "pas.example"):
            with pytest.raises(UsageError, match="no token"):
                Receiver(tmp_path, host=host)
        Receiver(tmp_path, host="0.0.0.0", token="hush").close()

    def test_a_taken_port_is_said(self, receiver: Receiver, tmp_path: Path) -> None:
        with pytest.raises(StoreRefused, match="cannot listen"):
            Receiver(tmp_path / "other", port=receiver.port)
        Receiver(tmp_path / "other").close()

    def test_a_full_disk_is_worth_another_try(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, data: bytes) -> str:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("bronze_tui.audit.archive.create", full)
        status, doc, headers = ask(receiver.port, "POST", "/events", file_bytes(CHAIN[0]))
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "disk is full" in doc["error"]
        monkeypatch.undo()
        assert ask(receiver.port, "POST", "/events", file_bytes(CHAIN[0]))[0] == 201


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_command_serves_and_ends_by_signal(tmp_path: Path, number: int) -> None:
    words = ["pas", "serve", "--dir", str(tmp_path), "--port", "0"]

    def start() -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bronze_tui.cli", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "BRONZE_PAS_TOKEN": ""},
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line
        return process, int(line.rstrip().rpartition(":")[2].partition("/")[0])

    process, port = start()
    try:
        for event in CHAIN[:2]:
            assert ask(port, "POST", "/events", file_bytes(event))[0] == 201
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        assert said.count("POST /events HTTP/1.1 201") == 2
        assert "Traceback" not in said
        process, port = start()
        assert ask(port, "GET", "/heads")[1] == {KEY: CHAIN[1].event_hash}
        assert verify_folder(tmp_path).ok
    finally:
        process.kill()
        process.communicate()
