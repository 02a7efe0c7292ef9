"""The doctor on real servers: an S3 bucket as source and store, PostgreSQL as the catalog."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from servers.postgres import Database
from servers.proxy import SilentProxy
from servers.seaweed import SeaweedServer

from bronze_tui.config.load import load
from bronze_tui.inspect.doctor.examine import Examination
from bronze_tui.inspect.doctor.finding import Finding, exit_code
from bronze_tui.inspect.doctor.groups import GROUPS
from bronze_tui.inspect.doctor.subject import Subject, data_root_of
from bronze_tui.testing.tiny_lake import write_tiny_lake


def examined(site: Site, *groups: str, **changes: Any) -> dict[tuple[str, str], Finding]:
    settings = load(None, site.sets(**changes), {}).settings
    root, pas = data_root_of(settings), settings.emitter_options().backup_dir
    subject = Subject(settings, True, root, pas, 1_900_000_000.0, 65_536)
    wanted = [group for group in GROUPS if not groups or group.name in groups]
    examination = Examination(subject, wanted)
    found = [finding for _, finding in examination if finding is not None]
    assert examination.close() == []
    return {(finding.group, finding.name): finding for finding in found}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    write_tiny_lake(tmp_path / "lake", first=2, count=16)
    return Site(tmp_path, tmp_path / "lake", {"era.ledger_end": 17, "era.partition_size": 8})


@pytest.fixture
def bucket(
    seaweed: SeaweedServer, s3_bucket: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A bucket with the lake in it, and a site that reads and writes there."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    seaweed.upload(site.lake, s3_bucket, "lake")
    site.settings |= {
        "source.mode": "s3",
        "source.url": f"s3://{s3_bucket}/lake",
        "source.endpoint": seaweed.endpoint,
        "storage.backend": "s3",
        "storage.url": f"s3://{s3_bucket}/out",
        "storage.endpoint": seaweed.endpoint,
    }
    return s3_bucket


def test_a_bucket_is_probed_and_left_as_it_was(
    seaweed: SeaweedServer, bucket: str, site: Site
) -> None:
    before = seaweed.objects(bucket)
    found = examined(site)
    assert [f for f in found.values() if f.state == "fail"] == []
    assert found["store", "create"].state == "ok"
    assert found["source", "newest"].text == "newest ledger 17"
    assert found["source", "batch"].state == "ok"
    assert found["clock", "server"].state == "ok"
    assert seaweed.objects(bucket) == before


def test_a_copier_on_a_bucket_keeps_its_lease(
    seaweed: SeaweedServer, bucket: str, site: Site
) -> None:
    from bronze_tui.hooks.manager import load_plugins

    settings = load(None, site.sets(), {}).settings
    store = load_plugins().store("s3")(settings.store_options())
    lock = store.lock("bronze/testnet/first/v1/_lock", "night-copier")
    try:
        before = seaweed.objects(bucket)
        found = examined(site, "plugins", "store")
        assert found["store", "lock"].text == "testnet/first/v1 is being copied by night-copier"
        assert found["store", "create"].state == "ok"
        assert seaweed.objects(bucket) == before
        lock.heartbeat()
    finally:
        lock.release()
        store.close()
    found = examined(site, "plugins", "store")
    assert found["store", "lock"].text == "no copier works on testnet/first/v1"


def test_credentials_that_may_only_read(
    seaweed: SeaweedServer, bucket: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.reader_key)
    found = examined(site, "plugins", "source", "store")
    assert found["source", "batch"].state == "ok"
    assert found["store", "write"].state == "fail"
    assert found["store", "write"].todo


def test_one_cause_is_one_finding(bucket: str, site: Site) -> None:
    """Nothing was made, so nothing has to be removed, which would fail as well."""
    assert bucket
    site.settings["storage.url"] = "s3://no-such-bucket"
    found = examined(site, "plugins", "store")
    failed = {name: finding for (_, name), finding in found.items() if finding.state == "fail"}
    assert sorted(failed) == ["open", "write"]
    for finding in failed.values():
        assert "no such bucket" in finding.detail
        assert finding.todo == "make it, or correct the bucket's name"


def test_a_server_that_ignores_the_condition_is_found_out(
    bucket: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like S3 servers of old: a put with If-None-Match overwrites."""
    objects: dict[str, bytes] = {}

    class Careless(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _say(self, status: int, body: bytes = b"", size: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if size is None else size))
            self.send_header("ETag", f'"{abs(hash(objects.get(self._key, b"")))}"')
            self.send_header("Last-Modified", "Wed, 21 Oct 2026 07:28:00 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        @property
        def _key(self) -> str:
            return self.path.partition("?")[0]

        def do_PUT(self) -> None:
            objects[self._key] = self.rfile.read(int(self.headers["Content-Length"]))
            self._say(200)

        def do_GET(self) -> None:
            if self._key in objects:
                self._say(200, objects[self._key])
            else:
                self._say(404, b"<Error><Code>NoSuchKey</Code></Error>")

        do_HEAD = do_GET

        def do_DELETE(self) -> None:
            objects.pop(self._key, None)
            self._say(204)

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            for key in re.findall(r"<Key>(.*?)</Key>", text):
                objects.pop(f"/{bucket}/{key}", None)
            self._say(200, b"<DeleteResult></DeleteResult>")

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Careless) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_address[1]}"
            found = examined(site, "plugins", "store", storage__endpoint=endpoint)
        finally:
            server.shutdown()
    assert found["store", "create"].state == "fail"
    assert "do not copy to this store" in found["store", "create"].todo
    assert objects == {}


def test_a_postgresql_catalog(site: Site, postgres: Database) -> None:
    dsn = {"catalog__postgres_dsn": postgres.dsn}
    found = examined(site, "catalog", "clock", **dsn)
    assert "tables are not there yet" in found["catalog", "schema"].text
    assert found["catalog", "write"].state == "ok"
    assert found["clock", "server"].state == "ok"
    assert site.run(**dsn).code == 0
    found = examined(site, "catalog", "audit", **dsn)
    assert exit_code(found.values()) == 0
    assert found["catalog", "rows"].text == "2 partitions of testnet/first/v1, the last 10-17"
    assert found["audit", "head"].state == "ok"


def test_a_postgresql_that_does_not_answer(site: Site) -> None:
    dsn = "postgres://u:hunter2@127.0.0.1:1/x"
    found = examined(site, "catalog", catalog__postgres_dsn=dsn)
    assert exit_code(found.values()) == 7
    assert "hunter2" not in repr(found)
    assert found["catalog", "open"].todo.startswith("start PostgreSQL, or correct host and port")


def test_a_silent_server_is_named(
    site: Site, seaweed: SeaweedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    proxy = SilentProxy(seaweed.port)
    proxy.be_silent()
    site.settings |= {
        "source.mode": "s3",
        "source.url": "s3://somewhere/lake",
        "source.endpoint": f"http://127.0.0.1:{proxy.port}",
    }
    settings = load(None, site.sets(), {}).settings
    subject = Subject(settings, False, None, settings.emitter_options().backup_dir, 1.9e9, 65_536)
    wanted = [group for group in GROUPS if group.name in ("plugins", "source")]
    try:
        examination = Examination(subject, wanted, 2.0)
        (failed,) = [f for _, f in examination if f is not None and f.state == "fail"]
    finally:
        proxy.close()
    assert failed.text == "no answer within 2 s"
    assert failed.detail.startswith(f"http://127.0.0.1:{proxy.port} s3://somewhere/lake: ")
    examination.close()
