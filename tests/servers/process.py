"""A server process of our own: started on free ports, stopped or killed by its id, restarted."""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"
_PATIENCE = 60.0
_TRIES = 3
_PR_SET_PDEATHSIG = 1
# The kernel ends a child with the thread that started it, so that thread must live to the end.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="server-starter")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until(ready: Callable[[], bool], what: str, patience: float = _PATIENCE) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: ``what`` did not come to be.
    """
    end = time.monotonic() + patience
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} within {patience:.0f} s")
        time.sleep(0.02)


class ServerProcess:
    """One process with its log file; ends with the test run whatever happens.

    Args:
        command: program and arguments.
        log: file that takes what it prints.
        ready: tells whether it serves; may raise OSError while it does not.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._log = log
        self._ready = ready
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            RuntimeError: it ended at once; the message carries the end of its log.
        """
        assert self._process is None
        self._process = _STARTER.submit(self._spawn).result()
        wait_until(self._serves, f"{self._command[0]} serves")

    def stop(self) -> None:
        """End it politely, then for certain; idempotent."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it as a crash would (SIGKILL); idempotent."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def suspend(self) -> None:
        """Let it hang (SIGSTOP): connections are taken and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                preexec_fn=_die_with_parent,
            )

    def _serves(self) -> bool:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            self._process = None
            tail = self._log.read_bytes()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{self._command[0]} ended with {code}: {tail}")
        try:
            return self._ready()
        except OSError:
            return False


class BucketServer:
    """A server of buckets with its own folder, ports and process; subclasses say which.

    ``__init__`` takes the program, sets ``process`` and calls ours with a name.
    """

    process: ServerProcess

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"bronze-{name}-"))

    @classmethod
    def started(cls, program: str) -> Self:
        """A serving server; other ports are tried when somebody took one of them meanwhile."""
        for attempt in range(_TRIES):
            server = cls(program)
            try:
                server.process.start()
            except (RuntimeError, TimeoutError):
                server.close()
                if attempt == _TRIES - 1:
                    raise
            else:
                return server
        raise AssertionError

    def close(self) -> None:
        """End it and remove its data."""
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object, whatever was there."""
        raise NotImplementedError

    def upload(self, folder: Path, bucket: str, prefix: str) -> None:
        """Put every file of a folder into the bucket below ``prefix``."""
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            key = f"{prefix}/{path.relative_to(folder).as_posix()}".lstrip("/")
            self.put(bucket, key, path.read_bytes())


def _die_with_parent() -> None:
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except AttributeError:  # not Linux
        pass
