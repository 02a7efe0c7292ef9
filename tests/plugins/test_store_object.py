"""The object store: the contract on obstore's memory store and on a small S3 server, lost answers,
leases, and what the errors say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import md5, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

import pytest
from obstore.exceptions import GenericError, NotSupportedError, PermissionDeniedError
from obstore.store import LocalStore, MemoryStore

from bronze_store_object import bronze_register_stores, open_object
from bronze_store_object.remote import ObstoreClient, public_url, store_error
from bronze_tui.domain.errors import (
    ConfigError,
    LockedError,
    StoreConflict,
    StoreError,
    StoreRefused,
    StoreThrottled,
    StoreUnavailable,
)
from bronze_tui.hooks.contracts import Store, StoreOptions
from bronze_tui.remote.clock import ATTEMPTS, Clock
from bronze_tui.remote.lease import HEARTBEAT_SECONDS, SKEW_SECONDS, TTL_SECONDS
from bronze_tui.remote.store import BucketStore
from bronze_tui.testing.store_contract import KEY, StoreContract, staged

LOCK = "ds/_lock.json"


def quick_clock() -> Clock:
    return Clock(sleep=lambda seconds: None)


def memory_store(staging: Path, client: Any, clock: Clock) -> BucketStore:
    return BucketStore(ObstoreClient(client, "memory://b"), staging, clock=clock)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return memory_store(tmp_path / "staging", MemoryStore(), clock=quick_clock())


class TestMemoryStore(StoreContract):
    """The shared promises, on obstore's memory store."""


class TestS3Server(StoreContract):
    """The shared promises, through obstore's S3 client and real sockets."""

    @pytest.fixture
    def store(self, s3: S3Server, tmp_path: Path) -> Store:
        return s3.open(tmp_path)


@dataclass
class S3Server:
    """As much S3 as the store uses, without signatures; ``respond`` may answer a request first."""

    objects: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)
    respond: Callable[[S3Handler], bool] = lambda handler: False
    puts: list[dict[str, str]] = field(default_factory=list)
    endpoint: str = ""

    def open(self, staging: Path, url: str = "s3://bucket") -> Store:
        return open_object(
            StoreOptions(
                backend="s3",
                url=url,
                staging_dir=staging,
                region="us-east-1",
                endpoint=self.endpoint,
                anonymous=True,
            )
        )


class S3Handler(BaseHTTPRequestHandler):
    """One request against :class:`S3Server`."""

    protocol_version = "HTTP/1.1"
    s3: S3Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", headers.pop("size", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.reply(status, f"<Error><Code>{code}</Code></Error>".encode())

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/bucket").lstrip("/")

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.s3.respond(self):
            return None
        with self.s3.guard:
            self.s3.puts.append(dict(self.headers))
            standing = self.s3.objects.get(self.key)
            if self.headers["If-None-Match"] == "*" and standing is not None:
                return self.refuse(412, "PreconditionFailed")
            wanted = self.headers["If-Match"]
            if wanted and (standing is None or wanted != tag(standing[0])):
                return self.refuse(412, "PreconditionFailed")
            self.s3.objects[self.key] = (data, time.time())
        return self.reply(200, ETag=tag(data))

    def do_GET(self) -> None:
        if self.s3.respond(self):
            return None
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            return self.list(query.get("prefix", [""])[0])
        with self.s3.guard:
            standing = self.s3.objects.get(self.key)
        if standing is None:
            return self.refuse(404, "NoSuchKey")
        data, written = standing
        meta = {"ETag": tag(data), "Last_Modified": formatdate(written, usegmt=True)}
        span = self.headers["Range"]
        if span is None:
            return self.reply(200, data, **meta)
        first, last = (int(text) for text in span.removeprefix("bytes=").split("-"))
        if first >= len(data):
            return self.refuse(416, "InvalidRange")
        last = min(last, len(data) - 1)
        meta["Content_Range"] = f"bytes {first}-{last}/{len(data)}"
        return self.reply(206, data[first : last + 1], **meta)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """The multi-object deletion, which never says that a key was absent."""
        data = self.rfile.read(int(self.headers["Content-Length"])).decode()
        keys = re.findall("<Key>.*?</Key>", data)
        with self.s3.guard:
            for key in keys:
                self.s3.objects.pop(unescape(key[5:-6]), None)
        rows = "".join(f"<Deleted>{key}</Deleted>" for key in keys)
        self.reply(200, f"<DeleteResult>{rows}</DeleteResult>".encode())

    def list(self, prefix: str) -> None:
        with self.s3.guard:
            found = {k: v for k, v in self.s3.objects.items() if k.startswith(prefix)}
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{tag(data)}</ETag>"
            "</Contents>"
            for key, (data, _) in found.items()
        )
        self.reply(200, f"<ListBucketResult>{rows}</ListBucketResult>".encode())


def tag(data: bytes) -> str:
    return f'"{md5(data).hexdigest()}"'


@pytest.fixture
def s3() -> Iterator[S3Server]:
    fake = S3Server()
    handler = type("Handler", (S3Handler,), {"s3": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        fake.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield fake
        server.shutdown()
        thread.join()


class FaultyClient:
    """A client that runs ``faults`` before or instead of its first calls of a method."""

    def __init__(self, client: Any, method: str, faults: list[Callable[..., Any]]) -> None:
        self._client = client
        self._method = method
        self.faults = faults
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if name != self._method:
            return real

        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            return (
                self.faults.pop(0)(real, *args, **options)
                if self.faults
                else real(*args, **options)
            )

        return call


def no_answer(real: Any, *args: Any, **options: Any) -> Any:
    raise GenericError("Generic S3 error: connection reset")


def lost_answer(real: Any, *args: Any, **options: Any) -> Any:
    real(*args, **options)
    raise GenericError("Generic S3 error: connection reset")


def faulty(
    tmp_path: Path, faults: list[Callable[..., Any]], method: str = "put"
) -> tuple[BucketStore, FaultyClient]:
    client = FaultyClient(MemoryStore(), method, faults)
    return memory_store(tmp_path, client, clock=quick_clock()), client


def test_registers_its_backends_without_obstore() -> None:
    seen = {}
    bronze_register_stores(lambda name, factory, **_: seen.update({name: factory}))
    assert seen == dict.fromkeys(("s3", "gcs", "object"), open_object)
    code = "import sys, bronze_store_object; sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_outcome_is_put_again(tmp_path: Path) -> None:
    store, client = faulty(tmp_path, [no_answer, no_answer])
    assert store.create(KEY, staged(store, b"x")) == "created"
    assert client.calls == 3


def test_lost_answer_is_found_to_be_ours(tmp_path: Path) -> None:
    store, _ = faulty(tmp_path, [lost_answer])
    path = staged(store, b"x")
    assert store.create(KEY, path) == "same"
    assert not path.exists()
    assert store.get(KEY) == b"x"


def test_lost_answer_to_somebody_else_is_a_conflict(tmp_path: Path) -> None:
    def other_wins(real: Any, key: str, body: Any, **options: Any) -> Any:
        real(key, b"theirs", mode="create")
        raise GenericError("Generic S3 error: connection reset")

    store, _ = faulty(tmp_path, [other_wins])
    path = staged(store, b"ours")
    with pytest.raises(StoreConflict):
        store.create(KEY, path)
    assert path.read_bytes() == b"ours"


def test_store_that_never_answers_is_unavailable(tmp_path: Path) -> None:
    store, client = faulty(tmp_path, [no_answer] * 99)
    path = staged(store, b"x")
    for use in (store.create, store.replace):
        client.calls = 0
        with pytest.raises(StoreUnavailable, match="connection reset"):
            use(KEY, path)
        assert client.calls == ATTEMPTS
    assert path.read_bytes() == b"x"


def test_comparison_that_fails_is_tried_again(tmp_path: Path) -> None:
    store, client = faulty(tmp_path, [], "get")
    store.create(KEY, b"x")
    client.calls, client.faults = 0, [no_answer]
    assert store.create(KEY, b"x") == "same"
    assert client.calls == 2


def test_refused_race_is_put_again(tmp_path: Path) -> None:
    def conflict_409(real: Any, *args: Any, **options: Any) -> Any:
        real("occupied", b"")
        return real("occupied", b"", mode="create")

    store, client = faulty(tmp_path, [conflict_409])
    assert store.create(KEY, b"x") == "created"
    assert client.calls == 4 - 2


def test_permanent_refusal_is_not_repeated(tmp_path: Path) -> None:
    def denied(real: Any, *args: Any, **options: Any) -> Any:
        raise PermissionDeniedError("Generic S3 error: status code: 403 Forbidden")

    store, client = faulty(tmp_path, [denied])
    with pytest.raises(StoreRefused, match="access refused"):
        store.create(KEY, b"x")
    assert client.calls == 1


def test_truncated_object_is_noticed(tmp_path: Path) -> None:
    def truncate(real: Any, key: str, body: Any, **options: Any) -> Any:
        return real(key, bytes(body)[:24], **options)

    for use in ("create", "replace"):
        store, _ = faulty(tmp_path, [truncate])
        with pytest.raises(StoreRefused, match="24 of 1035 bytes"):
            getattr(store, use)(KEY, b"z" * 1035)


def test_dead_staged_files_are_cleaned(store: Store, tmp_path: Path) -> None:
    assert store.clean() == 0
    path = store.stage("x")
    code = "from bronze_tui.domain.writers import temp_name; print(temp_name())"
    name = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (path.parent / name.stdout.strip()).write_bytes(b"half")
    assert store.clean() == 1


def test_consumed_staged_file_is_reported(store: Store) -> None:
    path = staged(store, b"x")
    store.create(KEY, path)
    with pytest.raises(StoreRefused, match="staged file is gone"):
        store.create("other", path)


def test_reads_what_a_local_client_holds(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"0123")
    store = BucketStore(ObstoreClient(LocalStore(tmp_path), "file:///x"), tmp_path)
    assert store.get("a/b") == b"0123"
    assert store.get_range("a/b", 2, 9) == b"23"
    assert [(o.key, o.size) for o in store.list("a/")] == [("a/b", 4)]
    assert store.head("a/c") is None


class TestRequests:
    """What goes over the wire."""

    def test_put_carries_condition_checksum_and_digest(self, s3: S3Server, tmp_path: Path) -> None:
        store = s3.open(tmp_path, "s3://bucket/prefix/")
        store.create("a", b"ledgers")
        sent = {name.lower(): value for name, value in s3.puts[0].items()}
        assert sent["if-none-match"] == "*"
        assert sent["x-amz-meta-sha256"] == sha256(b"ledgers").hexdigest()
        assert "x-amz-checksum-sha256" in sent
        assert list(s3.objects) == ["prefix/a"]
        assert store.uri("a") == "s3://bucket/prefix/a"

    def test_one_request_for_a_large_staged_file(self, s3: S3Server, tmp_path: Path) -> None:
        store = s3.open(tmp_path)
        data = b"0123456789abcdef" * (1 << 20)
        assert store.create(KEY, staged(store, data)) == "created"
        assert len(s3.puts) == 1
        assert s3.objects[KEY][0] == data

    def test_server_error_after_the_commit_is_resolved(self, s3: S3Server, tmp_path: Path) -> None:
        store = s3.open(tmp_path)
        answers = [503]

        def commit_then_fail(handler: S3Handler) -> bool:
            if handler.command != "PUT" or not answers:
                return False
            s3.objects[KEY] = (b"x", time.time())
            handler.refuse(answers.pop(), "SlowDown")
            return True

        s3.respond = commit_then_fail
        assert store.create(KEY, b"x") == "same"

    @pytest.mark.parametrize(
        ("status", "code", "words"),
        [
            (403, "AccessDenied", "access refused"),
            (404, "NoSuchBucket", "no such bucket"),
            (400, "InvalidRequest", "request refused"),
            (507, "InsufficientStorage", "store is full"),
            (301, "PermanentRedirect", "another region"),
        ],
    )
    def test_permanent_answers(
        self, s3: S3Server, tmp_path: Path, status: int, code: str, words: str
    ) -> None:
        store = s3.open(tmp_path)
        asked = []

        def answer(handler: S3Handler) -> bool:
            asked.append(handler.command)
            handler.refuse(status, code)
            return True

        s3.respond = answer
        with pytest.raises(StoreRefused, match=words):
            store.create(KEY, b"x")
        with pytest.raises(StoreRefused, match=words):
            store.lock(LOCK, "x")
        assert s3.objects == {}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Server returned non-2xx status code: 500 Internal", StoreUnavailable),
        ("Server returned non-2xx status code: 429 Too Many", StoreThrottled),
        ("Server returned non-2xx status code: 503 Slow Down", StoreThrottled),
        ("Server returned non-2xx status code: 409 Conflict", StoreUnavailable),
        ("error sending request: operation timed out", StoreUnavailable),
        ("Server returned non-2xx status code: 400 Bad", StoreRefused),
        ("error sending request to http://169.254.169.254/token", StoreRefused),
        ("<Code>QuotaExceeded</Code>", StoreRefused),
    ],
)
def test_error_families(text: str, kind: type[StoreError]) -> None:
    failure = store_error(GenericError(f"Generic S3 error: {text}\n\nDebug source:\nmore"), "k")
    assert type(failure) is kind
    assert "Debug source" not in str(failure)


@pytest.mark.parametrize(
    ("url", "words"),
    [("file:///x", "backend local"), ("s3://", "no bucket"), ("ftp://b", "no s3, gs or az")],
)
def test_other_urls_are_refused(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        open_object(StoreOptions("s3", url, tmp_path))


def test_unknown_setting_is_refused(tmp_path: Path) -> None:
    options = StoreOptions("s3", "s3://b", tmp_path, extra=(("colour", "red"),))
    with pytest.raises(ConfigError, match="colour"):
        open_object(options)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_clouds_open_without_contact(scheme: str, tmp_path: Path) -> None:
    options = StoreOptions(
        "object",
        f"{scheme}://bucket/lake",
        tmp_path,
        anonymous=True,
        extra=(("account_name", "someone"),) if scheme == "az" else (),
    )
    assert open_object(options).uri("a") == f"{scheme}://bucket/lake/a"


def test_address_shows_no_credentials() -> None:
    assert public_url("s3://user:secret@bucket/p/?token=1") == "s3://bucket/p"


class Times:
    """A clock that the test moves; the memory store stamps objects with the real time."""

    def __init__(self) -> None:
        self.past = 0.0
        self.ahead = 0.0

    def move(self, seconds: float) -> None:
        self.past += seconds
        self.ahead += seconds

    def clock(self) -> Clock:
        return Clock(
            wall=lambda: time.time() + self.ahead,
            steady=lambda: self.past,
            sleep=lambda seconds: None,
        )


class TestLease:
    """What a lock that runs out can and cannot do."""

    def test_runs_out_and_is_taken(self, tmp_path: Path) -> None:
        times, client = Times(), MemoryStore()
        stores = [memory_store(tmp_path, client, clock=times.clock()) for _ in "12"]
        first = stores[0].lock(LOCK, "copier-one")
        times.move(TTL_SECONDS)
        with pytest.raises(LockedError, match="copier-one"):
            stores[1].lock(LOCK, "copier-two")
        times.move(SKEW_SECONDS + 1)
        second = stores[1].lock(LOCK, "copier-two")
        times.ahead = 0.0
        with pytest.raises(LockedError, match="somebody else took it"):
            first.heartbeat()
        first.release()
        second.heartbeat()
        with pytest.raises(LockedError, match="copier-two"):
            stores[0].lock(LOCK, "copier-one")

    def test_a_dead_process_of_this_machine_holds_nothing(self, tmp_path: Path) -> None:
        """A restart after kill -9 goes on at once instead of waiting for the lease to run out."""
        times, client = Times(), MemoryStore()
        store = memory_store(tmp_path, client, clock=times.clock())
        store.lock(LOCK, "killed")
        note = json.loads(bytes(client.get(LOCK).bytes()))
        client.put(LOCK, json.dumps({**note, "ticks": note["ticks"] - 1}).encode())
        second = store.lock(LOCK, "restarted")
        second.heartbeat()
        with pytest.raises(LockedError, match="restarted"):
            store.lock(LOCK, "third")

    def test_two_heirs_of_one_lease(self, tmp_path: Path) -> None:
        def heir_was_faster(real: Any, key: str, note: bytes, **options: Any) -> Any:
            real(key, note.replace(b"slow", b"fast").replace(b'"token": "', b'"token": "f'))
            return real(key, note, **options)

        store, client = faulty(tmp_path, [])
        store.lock(LOCK, "first").release()
        client.faults = [lambda real, *args, **options: real(*args, **options), heir_was_faster]
        with pytest.raises(LockedError, match="fast"):
            store.lock(LOCK, "slow")

    def test_heartbeat_renews_at_most_every_interval(self, tmp_path: Path) -> None:
        times = Times()
        client = FaultyClient(MemoryStore(), "put", [])
        lease = memory_store(tmp_path, client, clock=times.clock()).lock(LOCK, "one")
        lease.heartbeat()
        assert client.calls == 1
        times.move(HEARTBEAT_SECONDS)
        lease.heartbeat()
        lease.heartbeat()
        assert client.calls == 2

    def test_silent_server_is_forgiven_until_the_lease_ends(self, tmp_path: Path) -> None:
        times = Times()
        client = FaultyClient(MemoryStore(), "put", [])
        lease = memory_store(tmp_path, client, clock=times.clock()).lock(LOCK, "one")
        client.faults = [no_answer] * 9
        times.move(TTL_SECONDS - 1)
        lease.heartbeat()
        times.move(1)
        with pytest.raises(LockedError, match="connection reset"):
            lease.heartbeat()

    def test_lost_answers_are_still_ours(self, tmp_path: Path) -> None:
        times = Times()
        client = FaultyClient(MemoryStore(), "put", [lost_answer])
        store = memory_store(tmp_path, client, clock=times.clock())
        lease = store.lock(LOCK, "one")
        client.faults = [lost_answer]
        for _ in range(3):
            times.move(HEARTBEAT_SECONDS)
            lease.heartbeat()
        with pytest.raises(LockedError, match="one"):
            store.lock(LOCK, "two")
        lease.release()
        store.lock(LOCK, "two").release()

    def test_server_without_compare_and_swap_is_refused(self, tmp_path: Path) -> None:
        def unsupported(real: Any, *args: Any, **options: Any) -> Any:
            raise NotSupportedError("Operation not supported: status code: 501")

        store, client = faulty(tmp_path, [])
        store.lock(LOCK, "one").release()
        client.faults = [lambda real, *args, **options: real(*args, **options), unsupported]
        with pytest.raises(StoreRefused):
            store.lock(LOCK, "two")

    def test_unreadable_note_holds_until_it_is_old(self, tmp_path: Path) -> None:
        times = Times()
        store = memory_store(tmp_path, MemoryStore(), clock=times.clock())
        for note in (b"", b"\xff", b"[]", json.dumps({"ttl_seconds": "x"}).encode()):
            store.replace(LOCK, note)
            with pytest.raises(LockedError):
                store.lock(LOCK, "one")
        times.move(TTL_SECONDS + SKEW_SECONDS + 1)
        store.lock(LOCK, "one").release()
