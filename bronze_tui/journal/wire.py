"""The control protocol and its client: JSON lines over the socket that ``engine.json`` names.

A request is ``{"command": NAME, "args": {}}``; an answer ``{"ok": true, ...}`` or
``{"ok": false, "error": TEXT, "exit": CODE}``.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bronze_tui.domain.errors import BronzeError, EngineUnreachable, Exit, UsageError
from bronze_tui.domain.ledger import LedgerRange

ENGINE_FILE = "engine.json"
COMMANDS = ("status", "pause", "resume", "drain", "stop", "workers", "retry")
MAX_WORKERS = 64
MAX_REQUEST = 64 << 10
MAX_ANSWER = 4 << 20
TIMEOUT = 5.0
"""Seconds a peer may be silent."""

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The contents of ``engine.json``; ``started_at`` is in Unix seconds."""

    pid: int
    run_id: str
    socket: str
    journal: str
    started_at: float
    version: str


def parse_request(line: bytes) -> tuple[str, dict[str, Any]]:
    """Command and arguments of a request line; ``workers`` carries ``count``, 1 to 64, ``retry``
    ``partition`` as ``START-END``.

    Raises:
        UsageError: it is not a request.
    """
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError("a request is one line of JSON") from None
    if not isinstance(request, dict) or not isinstance(request.get("args", {}), dict):
        raise UsageError('a request is {"command": NAME, "args": {}}')
    command = request.get("command")
    if command not in COMMANDS:
        raise UsageError(
            f"unknown command {str(command)[:40]!r}", todo=f"use {', '.join(COMMANDS)}"
        )
    args = request.get("args", {})
    if command == "workers":
        count = args.get("count")
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_WORKERS:
            raise UsageError(f"workers needs a count from 1 to {MAX_WORKERS}")
    if command == "retry":
        args = {**args, "partition": partition_text(args.get("partition"))}
    return command, args


def partition_text(value: Any) -> str:
    """A partition as ``START-END``.

    Raises:
        UsageError: it is something else.
    """
    try:
        return str(LedgerRange.parse(str(value)))
    except ValueError:
        raise UsageError(
            f"{str(value)[:40]!r} is not a partition", todo="name it by its ledgers, START-END"
        ) from None


def engine_info(state_dir: Path) -> EngineInfo | None:
    """Who runs, or ran last and crashed, in ``state_dir``; None when nobody says so.

    Raises:
        EngineUnreachable: ``engine.json`` is damaged or unreadable.
    """
    file = state_dir / ENGINE_FILE
    try:
        doc = json.loads(file.read_bytes())
        return EngineInfo(
            pid=int(doc["pid"]),
            run_id=str(doc["run_id"]),
            socket=str(doc["socket"]),
            journal=str(doc["journal"]),
            started_at=float(doc["started_at"]),
            version=str(doc["version"]),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EngineUnreachable(
            f"cannot be read ({error.strerror})", where=str(file), todo="run as the engine's user"
        ) from error
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise EngineUnreachable(
            "is damaged", where=str(file), todo="no engine can be found through it; start a run"
        ) from error


def call(state_dir: Path, command: str, *, timeout: float = TIMEOUT, **args: Any) -> Answer:
    """Send one command to the engine of ``state_dir``; its answer without ``ok``.

    Raises:
        EngineUnreachable: no engine runs there, or it does not answer (exit 7).
        UsageError: the engine does not take the command or its arguments.
        BronzeError: the engine refused, with the exit code it named.
    """
    info = engine_info(state_dir)
    if info is None:
        raise EngineUnreachable(
            "no engine is running",
            where=str(state_dir),
            todo="start one with 'bronze run', or name the right configuration or state folder",
        )
    answer = _exchange(info, {"command": command, "args": args}, timeout, state_dir)
    if answer.pop("ok") is True:
        return answer
    return _raise_refusal(answer)


def _exchange(info: EngineInfo, request: Answer, timeout: float, state_dir: Path) -> Answer:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(timeout)
        try:
            peer.connect(info.socket)
            # Who refuses us may have said why and closed before we wrote.
            with suppress(BrokenPipeError):
                send(peer, request)
            answer = json.loads(Lines(peer, MAX_ANSWER).next() or b"null")
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise EngineUnreachable(
                f"no engine is running (run {info.run_id}, process {info.pid}, ended without "
                "closing)",
                where=str(state_dir),
                todo="'bronze run' goes on where it stopped",
            ) from error
        except PermissionError as error:
            raise EngineUnreachable(
                "the engine belongs to another user", where=info.socket, todo="run as that user"
            ) from error
        except (OSError, ValueError, RecursionError, TooLong) as error:
            raise EngineUnreachable(
                f"the engine (process {info.pid}) gave no answer",
                where=info.socket,
                todo="try again; if it stays silent, look at its journal",
            ) from error
    if not isinstance(answer, dict) or "ok" not in answer:
        raise EngineUnreachable("the engine's answer cannot be understood", where=info.socket)
    return answer


def _raise_refusal(answer: Answer) -> Answer:
    text = str(answer.get("error", "the engine refused"))
    try:
        code = Exit(int(answer.get("exit", Exit.FAILED)))
    except (ValueError, TypeError):
        code = Exit.FAILED
    error = UsageError(text) if code is Exit.USAGE else BronzeError(text)
    error.exit_code = code
    raise error


class TooLong(Exception):
    """A line without end."""


class Lines:
    """Lines of a peer, each at most ``limit`` bytes."""

    def __init__(self, peer: socket.socket, limit: int) -> None:
        self._peer = peer
        self._limit = limit
        self._rest = b""

    def next(self) -> bytes | None:
        """The next line; None when the peer closed. Raises OSError on silence."""
        while b"\n" not in self._rest:
            if len(self._rest) > self._limit:
                raise TooLong
            chunk = self._peer.recv(1 << 16)
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        if len(line) > self._limit:
            raise TooLong
        return line


def send(peer: socket.socket, doc: Answer) -> None:
    """Write one JSON line; raises OSError."""
    peer.sendall(json.dumps(doc, separators=(",", ":"), default=str).encode() + b"\n")
