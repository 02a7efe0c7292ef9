"""The control socket: who may speak, what is understood, what dead engines leave behind."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bronze_tui.domain.errors import (
    BronzeError,
    EngineUnreachable,
    Exit,
    LockedError,
    StateError,
    StoreRefused,
    UsageError,
)
from bronze_tui.journal import control, wire
from bronze_tui.journal.control import ControlServer, call, engine_info


def handler(command: str, args: dict[str, Any]) -> dict[str, Any]:
    if command == "drain":
        raise StateError("not now", todo="wait")
    if command == "stop":
        raise RuntimeError("defect with a secret")
    return {"command": command, "args": args}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ControlServer]:
    server = ControlServer(tmp_path / "state", "run1", handler, timeout=1.0)
    server.start()
    yield server
    server.close()


def talk(path: Path, data: bytes) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(60)
        peer.connect(str(path))
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        with peer.makefile("rb") as answers:
            return [json.loads(line) for line in answers]


def test_commands_reach_the_handler(server: ControlServer, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert call(state, "status") == {"command": "status", "args": {}}
    assert call(state, "workers", count=3)["args"] == {"count": 3}


def test_engine_file_says_who_runs_where(server: ControlServer, tmp_path: Path) -> None:
    info = engine_info(tmp_path / "state")
    assert info is not None
    assert (info.pid, info.run_id) == (os.getpid(), "run1")
    assert Path(info.socket) == server.path
    assert Path(info.journal) == tmp_path / "state" / "bronze.jsonl"
    assert stat.S_IMODE((tmp_path / "state" / "engine.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("mask", [0, 0o077])
def test_socket_mode_is_0600_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        server = ControlServer(tmp_path, "r", handler)
        server.start()
    finally:
        os.umask(before)
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    server.close()


def test_refusals_carry_text_and_exit_code(server: ControlServer, tmp_path: Path) -> None:
    with pytest.raises(BronzeError, match="not now; wait") as caught:
        call(tmp_path / "state", "drain")
    assert caught.value.exit_code == Exit.HALTED
    with pytest.raises(BronzeError, match="RuntimeError") as caught:
        call(tmp_path / "state", "stop")
    assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match="unknown command"):
        call(tmp_path / "state", "explode")


@pytest.mark.parametrize(
    "request_line",
    [
        b"garbage",
        b"\xff\x00",
        b"[]",
        b"7",
        b'{"command":"status","args":[]}',
        b'{"command":["status"]}',
        b'{"command":"workers"}',
        b'{"command":"workers","args":{"count":0}}',
        b'{"command":"workers","args":{"count":true}}',
        b'{"command":"workers","args":{"count":"3"}}',
        b"[" * 60_000,
        b"",
    ],
)
def test_bad_requests_are_refused_and_the_line_stays_open(
    server: ControlServer, request_line: bytes
) -> None:
    bad, good = talk(server.path, request_line + b'\n{"command":"status"}\n')
    assert bad["ok"] is False
    assert bad["exit"] == Exit.USAGE
    assert good["ok"] is True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200))
def test_no_request_ends_the_server(server: ControlServer, data: bytes) -> None:
    answers = talk(server.path, data.replace(b"\n", b" ") + b'\n{"command":"status"}\n')
    assert answers[-1]["ok"] is True


def test_a_request_without_end_is_refused(server: ControlServer, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(60)
        peer.connect(str(server.path))
        peer.sendall(b"x" * (wire.MAX_REQUEST + 1))
        assert b"65536 bytes" in peer.recv(1000)
    assert call(tmp_path / "state", "status")["command"] == "status"


def test_silent_peers_do_not_block_others(server: ControlServer, tmp_path: Path) -> None:
    idle = [socket.socket(socket.AF_UNIX) for _ in range(5)]
    for peer in idle:
        peer.connect(str(server.path))
    assert call(tmp_path / "state", "status")["command"] == "status"
    idle[0].settimeout(5)
    assert idle[0].recv(1) == b""
    for peer in idle:
        peer.close()


def test_other_users_are_refused(
    server: ControlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_is_ours", lambda peer: False)
    with pytest.raises(BronzeError, match="own user"):
        call(tmp_path / "state", "status")


def test_a_refusal_is_read_though_the_engine_closed_before_we_wrote(
    server: ControlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = wire.send

    def send(peer: socket.socket, doc: dict[str, Any]) -> None:
        if "command" in doc:
            peer.recv(1, socket.MSG_PEEK)  # the answer is there
            raise BrokenPipeError(32, "Broken pipe")
        refuse(peer, doc)

    monkeypatch.setattr(wire, "send", send)
    monkeypatch.setattr(control, "_is_ours", lambda peer: False)
    with pytest.raises(BronzeError, match="own user"):
        call(tmp_path / "state", "status")


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="no SO_PEERCRED here")
def test_peer_is_known_by_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = socket.socketpair(socket.AF_UNIX)
    with one, two:
        assert control._is_ours(one)
        monkeypatch.setattr(control.struct, "unpack", lambda form, data: (1, 4242, 1))
        monkeypatch.setattr(control.os, "geteuid", lambda: 1000)
        assert not control._is_ours(one)


def test_closing_removes_socket_and_file_and_is_idempotent(tmp_path: Path) -> None:
    server = ControlServer(tmp_path, "r", handler)
    server.start()
    server.close()
    server.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EngineUnreachable, match="no engine is running") as caught:
        call(tmp_path, "status")
    assert caught.value.exit_code == Exit.UNREACHABLE


def test_an_answer_under_way_survives_the_close(tmp_path: Path) -> None:
    closer: list[threading.Thread] = []

    def stopping(command: str, args: dict[str, Any]) -> dict[str, Any]:
        closer.append(threading.Thread(target=server.close))
        closer[0].start()
        return {"state": "stopping"}

    server = ControlServer(tmp_path, "r", stopping)
    server.start()
    assert call(tmp_path, "stop") == {"state": "stopping"}
    closer[0].join()


def test_the_remains_of_a_dead_engine_are_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "engine.sock"))
    dead.close()
    info = {"pid": 1, "run_id": "old", "socket": str(tmp_path / "engine.sock")}
    (tmp_path / "engine.json").write_text(
        json.dumps(info | {"journal": "j", "started_at": 1, "version": "0"})
    )
    with pytest.raises(EngineUnreachable, match="run old"):
        call(tmp_path, "status")
    server = ControlServer(tmp_path, "new", handler)
    server.start()
    assert call(tmp_path, "status")["command"] == "status"
    server.close()


def test_a_living_engine_is_not_replaced(server: ControlServer, tmp_path: Path) -> None:
    with pytest.raises(LockedError, match="run1"):
        ControlServer(tmp_path / "state", "second", handler).start()
    (tmp_path / "state" / "engine.json").unlink()
    with pytest.raises(LockedError, match="already listens"):
        ControlServer(tmp_path / "state", "second", handler).start()


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "engine.sock").write_text("precious")
    with pytest.raises(StoreRefused, match="not a socket"):
        ControlServer(tmp_path, "r", handler).start()
    assert (tmp_path / "engine.sock").read_text() == "precious"


@pytest.mark.parametrize("runtime", [True, False])
def test_a_long_path_gets_a_private_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: bool
) -> None:
    short = Path("/tmp") / f"bronze-test-{os.getpid()}"
    short.mkdir()
    try:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short if runtime else tmp_path / ("x" * 150)))
        state = tmp_path / ("long" * 30)
        server = ControlServer(state, "r", handler)
        info = server.start()
        assert (short in Path(info.socket).parents) == runtime
        assert len(info.socket) <= control.MAX_PATH
        assert stat.S_IMODE(Path(info.socket).parent.stat().st_mode) == 0o700
        assert call(state, "status")["command"] == "status"
        server.close()
        assert not Path(info.socket).parent.exists()
    finally:
        short.rmdir()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', '{"pid": 1e999}'])
def test_a_damaged_engine_file_is_named_and_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "engine.json").write_text(text)
    with pytest.raises(EngineUnreachable, match=r"engine\.json: is damaged"):
        call(tmp_path, "status")
    server = ControlServer(tmp_path, "r", handler)
    server.start()
    assert call(tmp_path, "status")["command"] == "status"
    server.close()


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b"[]\n", b'{"x":1}\n'])
def test_a_server_that_is_not_ours_is_not_believed(tmp_path: Path, answer: bytes) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    info = {"pid": 1, "run_id": "r", "socket": str(tmp_path / "s"), "journal": "j"}
    (tmp_path / "engine.json").write_text(json.dumps(info | {"started_at": 1, "version": "0"}))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(1000)
            peer.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(EngineUnreachable):
        call(tmp_path, "status", timeout=2)
    thread.join()
    listener.close()
