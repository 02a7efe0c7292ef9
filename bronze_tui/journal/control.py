"""The control socket: a running engine obeys its owner, and nobody else, over a Unix socket.

Requests and answers are JSON lines; ``engine.json`` in the state folder says who runs, and where
its socket and journal are. Nothing here decides anything: the engine's handler does.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bronze_tui import __version__
from bronze_tui.domain.errors import (
    BronzeError,
    EngineUnreachable,
    Exit,
    LockedError,
    StoreRefused,
)
from bronze_tui.domain.writers import temp_name
from bronze_tui.journal.wire import (
    ENGINE_FILE,
    MAX_REQUEST,
    TIMEOUT,
    Answer,
    EngineInfo,
    Lines,
    TooLong,
    call,
    engine_info,
    parse_request,
    send,
)
from bronze_tui.journal.writer import JOURNAL_NAME

__all__ = ["ControlServer", "EngineInfo", "call", "engine_info"]

SOCKET_NAME = "engine.sock"
MAX_PATH = 100
"""Bytes of a socket path: Linux takes 107, macOS 103."""
MAX_PEERS = 16

Handler = Callable[[str, dict[str, Any]], Answer]


class ControlServer:
    """Answers on the control socket from threads of its own.

    Args:
        state_dir: gets ``engine.json``, and the socket where its path is short enough.
        run_id: written to ``engine.json``.
        handler: called as ``handler(command, args)``, one call at a time; its dictionary is
            the answer, its BronzeError becomes a refusal with the error's exit code.
        journal: the journal's path for ``engine.json``.
        timeout: seconds a peer may be silent.
    """

    def __init__(
        self,
        state_dir: Path,
        run_id: str,
        handler: Handler,
        *,
        journal: Path | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._state_dir = state_dir
        self._run_id = run_id
        self._handler = handler
        self._journal = journal or state_dir / JOURNAL_NAME
        self._timeout = timeout
        self._calling = threading.Lock()
        self._peers: dict[socket.socket, threading.Thread] = {}
        self._peers_lock = threading.Lock()
        self._closing = threading.Event()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._private_dir: Path | None = None
        self.path = Path()

    def start(self) -> EngineInfo:
        """Listen, and say so in ``engine.json``.

        Raises:
            LockedError: a living engine answers on this state folder's socket.
            StoreRefused: the socket or the file cannot be made.
        """
        try:
            self._state_dir.mkdir(parents=True, exist_ok=True)
            _refuse_second_engine(self._state_dir)
            self._listener = self._bind()
            info = EngineInfo(
                pid=os.getpid(),
                run_id=self._run_id,
                socket=str(self.path),
                journal=str(self._journal),
                started_at=time.time(),
                version=__version__,
            )
            _write_private(self._state_dir / ENGINE_FILE, json.dumps(asdict(info), indent=2))
        except OSError as error:
            self.close()
            raise StoreRefused(
                f"the control socket cannot be made ({error.strerror or error})",
                where=str(self._state_dir),
                todo="make the state folder writable for this user",
            ) from error
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()
        return info

    def close(self) -> None:
        """Stop answering, remove socket and ``engine.json``; idempotent, never raises."""
        self._closing.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
            self._forget()
        self._wait_for_answers()
        if self._private_dir is not None:
            with contextlib.suppress(OSError):
                self._private_dir.rmdir()

    def _wait_for_answers(self) -> None:
        """Let answers under way (that of ``stop``, say) reach their peers; idle peers hang up."""
        with self._peers_lock:
            threads = [self._thread, *self._peers.values()]
            for peer in self._peers:
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RD)
        for thread in threads:
            if thread is not None and thread is not threading.current_thread():
                thread.join(1.0)

    def _forget(self) -> None:
        file = self._state_dir / ENGINE_FILE
        with contextlib.suppress(OSError, BronzeError):
            info = engine_info(self._state_dir)
            if info is not None and info.run_id == self._run_id:
                file.unlink(missing_ok=True)

    def _bind(self) -> socket.socket:
        """Bind, narrow the mode to 0600, and only then listen: before that nobody can connect."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path = (self._state_dir / SOCKET_NAME).absolute()
            if len(os.fsencode(path)) > MAX_PATH:
                path = self._private_path()
            _remove_stale(path)
            try:
                listener.bind(str(path))
            except PermissionError:
                raise
            except OSError:
                # Some shared filesystems hold files but no sockets.
                path = self._private_path()
                listener.bind(str(path))
            path.chmod(0o600)
            self.path = path
            listener.listen(MAX_PEERS)
        except BaseException:
            listener.close()
            raise
        return listener

    def _private_path(self) -> Path:
        """A socket path in a fresh folder of mode 0700 that is short enough."""
        for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
            if base and Path(base).is_dir() and len(os.fsencode(base)) < MAX_PATH - 40:
                try:
                    self._private_dir = Path(tempfile.mkdtemp(prefix="bronze-", dir=base))
                except OSError:
                    continue
                return self._private_dir / SOCKET_NAME
        raise OSError(0, "no folder with a short enough path takes a socket: set XDG_RUNTIME_DIR")

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None and not self._closing.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                if self._closing.is_set() or listener.fileno() < 0:
                    return
                # Out of descriptors, most likely: they come back.
                self._closing.wait(0.1)
                continue
            with self._peers_lock:
                if len(self._peers) >= MAX_PEERS:
                    peer.close()
                    continue
                thread = threading.Thread(
                    target=self._converse, args=(peer,), name="control-peer", daemon=True
                )
                self._peers[peer] = thread
                thread.start()

    def _converse(self, peer: socket.socket) -> None:
        try:
            with peer:
                peer.settimeout(self._timeout)
                if _is_ours(peer):
                    self._answer_lines(peer)
                else:
                    send(peer, _refusal("only the engine's own user may control it"))
        except OSError:
            return
        finally:
            with self._peers_lock:
                self._peers.pop(peer, None)

    def _answer_lines(self, peer: socket.socket) -> None:
        lines = Lines(peer, MAX_REQUEST)
        try:
            while not self._closing.is_set() and (line := lines.next()) is not None:
                send(peer, self._answer(line))
        except TooLong:
            send(peer, _refusal(f"a request may have {MAX_REQUEST} bytes"))

    def _answer(self, line: bytes) -> Answer:
        try:
            command, args = parse_request(line)
            with self._calling:
                return {"ok": True, **self._handler(command, args)}
        except BronzeError as error:
            return _refusal(str(error), error.exit_code)
        except Exception as error:
            return _refusal(f"the engine failed to answer ({type(error).__name__})", Exit.FAILED)


def _refusal(text: str, exit_code: int = Exit.USAGE) -> Answer:
    return {"ok": False, "error": text, "exit": int(exit_code)}


def _is_ours(peer: socket.socket) -> bool:
    """Whether the peer is this user or root; true where the system cannot tell (mode 0600 can)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, option, size))
    return uid in (os.geteuid(), 0)


def _refuse_second_engine(state_dir: Path) -> None:
    try:
        info = engine_info(state_dir)
    except EngineUnreachable:
        return
    if info is not None and _answers(Path(info.socket)):
        raise LockedError(
            f"an engine already runs here (run {info.run_id}, process {info.pid})",
            where=str(state_dir),
            todo="use 'bronze ctl status', or give this run another checkpoint folder",
        )


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(1.0)
        try:
            peer.connect(str(path))
        except TimeoutError:
            return True
        except OSError:
            return False
        return True


def _remove_stale(path: Path) -> None:
    """Remove the socket of a dead engine.

    Raises:
        LockedError: somebody listens on it.
        StoreRefused: something else stands there.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StoreRefused("is not a socket", where=str(path), todo="move it away")
    if _answers(path):
        raise LockedError(
            "an engine already listens here", where=str(path), todo="use 'bronze ctl status'"
        )
    path.unlink(missing_ok=True)


def _write_private(path: Path, text: str) -> None:
    """Replace ``path`` in one step, mode 0600."""
    temp = path.with_name(temp_name())
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(text)
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
