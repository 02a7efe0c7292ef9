from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore, S3Store

import bronze_source_lake
from bronze_source_lake import MODES, open_lake
from bronze_source_lake.local import LocalObjects
from bronze_source_lake.objects import local_root
from bronze_source_lake.remote import RemoteObjects, open_remote
from bronze_tui.domain.errors import (
    BronzeError,
    ConfigError,
    GapError,
    SourceDataError,
    SourceDenied,
    SourceUnavailable,
)
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.contracts import BatchRef, LedgerSource, SourceOptions
from bronze_tui.lake.frames import decompress_frame
from bronze_tui.lake.keys import LakeLayout
from bronze_tui.lake.objects import MAX_OBJECT_BYTES, public_url
from bronze_tui.lake.source import LakeSource
from bronze_tui.testing.source_contract import SourceContract
from bronze_tui.testing.tiny_lake import DEMO_PASSPHRASE, TinyLake, remove, write_tiny_lake


def options(url: str, **changes: Any) -> SourceOptions:
    return SourceOptions(mode="lake", url=url, **changes)


def open_at(root: Path, **changes: Any) -> LakeSource:
    source = open_lake(options(root.as_uri(), **changes))
    assert isinstance(source, LakeSource)
    return source


def fill(store: MemoryStore, root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            obstore.put(store, path.relative_to(root).as_posix(), path.read_bytes())


LAYOUTS: dict[str, dict[str, Any]] = {
    "one ledger a file": {},
    "batches": {"ledgers_per_file": 8, "files_per_partition": 4},
    "batches without folders": {"ledgers_per_file": 16, "files_per_partition": 1},
    "single without folders": {"files_per_partition": 1, "first": 1000},
    "several folders, old extension": {"files_per_partition": 10, "extension": "zstd"},
    "bare": {"bare": True, "first": 982_180},
}


@pytest.fixture(scope="module", params=list(LAYOUTS))
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    root = tmp_path_factory.mktemp("lake")
    return write_tiny_lake(root, count=40, **LAYOUTS[request.param])


@pytest.fixture
def held(lake: TinyLake) -> LedgerRange:
    return lake.ledgers


@pytest.fixture
def single(tmp_path: Path) -> TinyLake:
    return write_tiny_lake(tmp_path / "lake", count=12, files_per_partition=5)


class TestLocalLake(SourceContract):
    @pytest.fixture
    def source(self, lake: TinyLake) -> Iterator[LedgerSource]:
        source = open_lake(options(lake.url))
        yield source
        source.close()

    @pytest.fixture
    def empty_source(self, tmp_path: Path) -> LedgerSource:
        return open_at(tmp_path, ledgers_per_file=1, files_per_partition=64_000)


class TestRemoteLake(SourceContract):
    @pytest.fixture
    def source(self, lake: TinyLake) -> Iterator[LedgerSource]:
        store = MemoryStore()
        fill(store, lake.root)
        source = LakeSource(RemoteObjects(store, "memory://lake"), options("memory://lake"))
        yield source
        source.close()

    @pytest.fixture
    def empty_source(self) -> LedgerSource:
        layout = options("memory://lake", ledgers_per_file=1, files_per_partition=64_000)
        return LakeSource(RemoteObjects(MemoryStore(), "memory://lake"), layout)


def test_registers_every_mode_without_loading_anything() -> None:
    seen: dict[str, Any] = {}

    def register(name: str, factory: Any, config_model: Any = None, summary: str = "") -> None:
        assert summary
        seen[name] = factory

    bronze_source_lake.bronze_register_sources(register)
    assert set(seen) == set(MODES) == {"datastore", "local", "gcs", "s3", "lake"}
    assert set(seen.values()) == {open_lake}
    assert bronze_source_lake.bronze_hook_api == 1
    program = (
        "import sys, bronze_source_lake; "
        "sys.exit(any(m in sys.modules for m in ('obstore', 'zstandard', 'numpy', 'stellar_sdk')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_local_lake_does_not_load_obstore(single: TinyLake) -> None:
    program = (
        "import sys; from bronze_source_lake import open_lake; "
        "from bronze_tui.hooks.contracts import SourceOptions; "
        f"assert open_lake(SourceOptions('lake', {single.url!r})).tip() == 13; "
        "sys.exit('obstore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_describe_tells_layout_and_network(single: TinyLake) -> None:
    info = open_at(single.root).describe()
    assert info.kind == "lake"
    assert info.location == single.url
    assert info.network_passphrase == DEMO_PASSPHRASE
    assert (info.ledgers_per_batch, info.batches_per_partition) == (1, 5)
    assert info.notes == ()
    assert info.local
    remote = RemoteObjects(MemoryStore(), "memory://x")
    assert not LakeSource(remote, options("memory://x")).describe().local


def test_go_copier_archive_without_manifest(shared: Path) -> None:
    source = open_at(shared / "go-copier" / "archive-bare")
    assert source.tip() == 982_203
    assert source.describe().batches_per_partition == 64_000
    refs = source.batches(LedgerRange(982_180, 982_203))
    assert len([source.read(ref) for ref in refs]) == 24


def test_go_copier_archive_with_a_hole(shared: Path) -> None:
    source = open_at(shared / "go-copier" / "archive-bare-hole")
    (ref,) = source.batches(LedgerRange(982_188, 982_188))
    with pytest.raises(GapError, match="982188"):
        source.read(ref)
    assert source.tip() == 982_203


def test_real_lakes(shared: Path) -> None:
    for name, tip in (("pubnet", 53_312_000), ("testnet", 982_180)):
        source = open_at(shared / "lake" / name)
        assert source.tip() == tip
        (ref,) = source.batches(LedgerRange(tip, tip))
        assert len(decompress_frame(source.read(ref), 1 << 24)) > 16_000


def test_manifest_and_configuration_must_agree(single: TinyLake) -> None:
    open_at(single.root, ledgers_per_file=1, files_per_partition=5)
    with pytest.raises(ConfigError, match=r"source\.ledgers_per_file is 64"):
        open_at(single.root, ledgers_per_file=64)
    with pytest.raises(ConfigError, match="'Another Network'"):
        open_at(single.root, network_passphrase="Another Network")


def test_manifest_and_names_must_agree(single: TinyLake) -> None:
    path = single.root / ".config.json"
    path.write_text(json.dumps({"ledgersPerBatch": 64, "batchesPerPartition": 5}))
    with pytest.raises(SourceDataError, match="FFFFFFF5--10-14/FFFFFFF2--13"):
        open_at(single.root)


def test_configuration_and_names_must_agree(single: TinyLake) -> None:
    (single.root / ".config.json").unlink()
    assert open_at(single.root).tip() == 13
    assert open_at(single.root, files_per_partition=5).tip() == 13
    with pytest.raises(ConfigError, match="named otherwise"):
        open_at(single.root, files_per_partition=64_000)


def test_broken_manifest(single: TinyLake) -> None:
    (single.root / ".config.json").write_text("{")
    with pytest.raises(SourceDataError, match=r"\.config\.json: the lake's manifest is not JSON"):
        open_at(single.root)


def test_unknown_manifest_version_is_a_note(single: TinyLake) -> None:
    path = single.root / ".config.json"
    path.write_text(path.read_text().replace('"1.0"', '"7.0"'))
    assert "'7.0'" in open_at(single.root).describe().notes[0]


def test_foreign_files_and_empty_folders_are_passed_over(single: TinyLake) -> None:
    (single.root / "FFFF05FF--64000-127999").mkdir()
    (single.root / "FFFFFFF0--15-19").mkdir()
    (single.root / "0-notes").mkdir()
    (single.root / "0-notes" / "x").write_text("x")
    newest = single.path(13).parent
    for name in ("00000000--4294967295.xdr.zst.tmp", "0", "FFFFFFF1--13.xdr.zst"):
        (newest / name).write_text("x")
    (single.root / "FFFFFF00--255.xdr.zst").write_text("of another layout")
    assert open_at(single.root).tip() == 13


def test_mixed_extensions_are_read_and_noted(single: TinyLake) -> None:
    before = open_at(single.root)
    for sequence in (4, 5, 13):
        path = single.path(sequence)
        path.rename(path.with_suffix(".zstd"))
    source = open_at(single.root)
    assert "mixes" in source.describe().notes[0]
    assert source.tip() == 13
    for opened in (source, before):
        assert len([opened.read(ref) for ref in opened.batches(single.ledgers)]) == 12


def test_tip_follows_new_objects(single: TinyLake, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = single.path(13).read_bytes()
    remove(single.root, 13)
    source = open_at(single.root)
    assert source.tip() == 12
    single.path(13).write_bytes(kept)
    monkeypatch.setattr("bronze_tui.lake.source._TIP_SECONDS", 0.0)
    assert source.tip() == 13


def test_an_empty_lake_learns_its_layout_later(tmp_path: Path) -> None:
    source = open_at(tmp_path)
    assert source.tip() is None
    with pytest.raises(SourceUnavailable, match="layout is not known"):
        source.batches(LedgerRange(2, 3))
    write_tiny_lake(tmp_path, count=8, ledgers_per_file=4, files_per_partition=2)
    (tmp_path / ".config.json").unlink()
    later = open_at(tmp_path)
    assert later.tip() == 11
    source._tip = (0.0, None)
    assert source.tip() == 11
    assert source.batches(LedgerRange(2, 2)) == LakeLayout(4, 2).batches(LedgerRange(2, 2))


def test_tip_is_cheap_in_a_full_folder(tmp_path: Path) -> None:
    layout = LakeLayout(1, 64_000)
    (tmp_path / layout.folder(64_000)).mkdir()
    for ref in layout.batches(LedgerRange(64_000, 69_999)):
        (tmp_path / ref.key).touch()
    source = open_at(tmp_path)
    calls = 0
    scan = os.scandir

    def counted(path: Any) -> Any:
        nonlocal calls
        calls += 1
        return scan(path)

    patch = pytest.MonkeyPatch()
    patch.setattr(os, "scandir", counted)
    try:
        for _ in range(100):
            assert source.tip() == 69_999
    finally:
        patch.undo()
    assert calls < 20


def test_no_such_lake(tmp_path: Path) -> None:
    with pytest.raises(SourceDenied, match="no such lake") as caught:
        open_at(tmp_path / "nothing")
    assert caught.value.exit_code == 7
    assert str(tmp_path / "nothing") in str(caught.value)
    (tmp_path / "file").write_text("x")
    with pytest.raises(SourceDenied, match="not a folder"):
        open_at(tmp_path / "file")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SourceDenied, match="symbolic links"):
        open_at(tmp_path / "loop")


def test_a_lake_that_goes_away_is_no_gap(single: TinyLake) -> None:
    source = open_at(single.root)
    ref = source.batches(LedgerRange(5, 5))[0]
    single.root.rename(single.root.parent / "elsewhere")
    with pytest.raises(SourceUnavailable, match="gone"):
        source.read(ref)
    with pytest.raises(SourceUnavailable, match="gone"):
        source.tip()


def test_a_missing_folder_is_a_gap(single: TinyLake) -> None:
    source = open_at(single.root)
    shutil.rmtree(single.path(5).parent)
    with pytest.raises(GapError) as caught:
        source.read(source.batches(LedgerRange(5, 5))[0])
    assert "5--5.xdr.zst" not in caught.value.what
    assert caught.value.where.endswith(single.layout.key(5))


def failing(code: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.EACCES, SourceDenied),
        (errno.EPERM, SourceDenied),
        (errno.EIO, SourceUnavailable),
        (errno.ESTALE, SourceUnavailable),
        (errno.EMFILE, SourceUnavailable),
    ],
)
def test_operating_system_errors(
    single: TinyLake, monkeypatch: pytest.MonkeyPatch, code: int, error: type[BronzeError]
) -> None:
    source = open_at(single.root)
    monkeypatch.setattr("bronze_source_lake.local.os.read", failing(code))
    with pytest.raises(error, match=r"FFFFFFFA--5\.xdr\.zst") as caught:
        source.read(source.batches(LedgerRange(5, 5))[0])
    assert os.strerror(code) in str(caught.value)


def test_an_unreadable_listing(single: TinyLake, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_at(single.root)
    monkeypatch.setattr("bronze_source_lake.local.os.scandir", failing(errno.EACCES))
    with pytest.raises(SourceDenied, match="read permission"):
        source.tip()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(single: TinyLake) -> None:
    single.path(5).chmod(0)
    source = open_at(single.root)
    with pytest.raises(SourceDenied, match="read permission"):
        source.read(source.batches(LedgerRange(5, 5))[0])


def test_links_inside_are_followed_and_links_outside_refused(
    single: TinyLake, tmp_path: Path
) -> None:
    source = open_at(single.root)
    inside, outside = single.path(4), single.path(5)
    moved = inside.rename(inside.with_name("moved"))
    inside.symlink_to(moved)
    secret = tmp_path / "secret"
    outside.rename(secret)
    outside.symlink_to(secret)
    four, five = source.batches(LedgerRange(4, 5))
    assert source.read(four) == moved.read_bytes()
    with pytest.raises(SourceDenied, match="link out of the lake"):
        source.read(five)
    outside.unlink()
    outside.symlink_to(outside.name)
    with pytest.raises(SourceDenied):
        source.read(five)


def test_what_is_no_file_is_refused(single: TinyLake) -> None:
    source = open_at(single.root)
    four, five = source.batches(LedgerRange(4, 5))
    single.path(4).unlink()
    os.mkfifo(single.path(4))
    with pytest.raises(SourceDenied, match="not a regular file"):
        source.read(four)
    single.path(5).unlink()
    single.path(5).mkdir()
    with pytest.raises(SourceDenied):
        source.read(five)


def test_a_huge_object_is_refused_before_it_is_read(single: TinyLake) -> None:
    with single.path(5).open("wb") as file:
        file.truncate(MAX_OBJECT_BYTES + 1)
    source = open_at(single.root)
    with pytest.raises(SourceDataError, match=str(MAX_OBJECT_BYTES + 1)):
        source.read(source.batches(LedgerRange(5, 5))[0])


def test_an_empty_object_is_bytes(single: TinyLake) -> None:
    single.path(5).write_bytes(b"")
    source = open_at(single.root)
    assert source.read(source.batches(LedgerRange(5, 5))[0]) == b""


def test_local_urls(tmp_path: Path) -> None:
    odd = tmp_path / "a b%20c"
    odd.mkdir()
    for url in (odd.as_uri(), f"file://{odd}", str(odd)):
        assert local_root(url) == odd
    with pytest.raises(ConfigError, match="absolute"):
        local_root("file://host/path")
    with pytest.raises(ConfigError, match="empty"):
        local_root("")
    assert LocalObjects(odd).location == odd.as_uri()


def test_public_urls_have_no_secrets() -> None:
    assert public_url("https://user:word@host/a/b/?sig=secret#x") == "https://host/a/b"
    assert public_url("s3://bucket/prefix/") == "s3://bucket/prefix"


@pytest.mark.parametrize(
    ("url", "said"),
    [("ftp://host/x", "'ftp'"), ("abfs://x/y", "'abfs'"), ("az://container", "az://container")],
)
def test_urls_that_cannot_be_opened(url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE")]:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigError) as caught:
        open_remote(options(url))
    assert said in str(caught.value)


def test_unknown_store_setting() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        open_remote(options("s3://bucket/x", extra=(("nonsense", "1"),)))


def test_store_options_reach_the_store() -> None:
    opened = open_remote(
        options(
            "s3://bucket/some/prefix",
            region="us-east-2",
            endpoint="http://127.0.0.1:9",
            anonymous=True,
            requester_pays=True,
        )
    )
    store = opened._store
    assert isinstance(store, S3Store)
    assert store.prefix == "some/prefix"
    assert store.config["bucket"] == "bucket"
    assert store.config["region"] == "us-east-2"
    assert store.config["endpoint"] == "http://127.0.0.1:9"
    assert str(store.config["skip_signature"]).lower() == "true"
    assert str(store.config["virtual_hosted_style_request"]).lower() == "false"
    assert str(store.config["request_payer"]).lower() == "true"
    assert opened.location == "s3://bucket/some/prefix"
    for url in ("gs://bucket/x", "https://host/lake"):
        assert open_remote(options(url, anonymous=True)).location == url


def test_remote_foreign_keys_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bronze_tui.lake.source._MOST_FOREIGN", 5)
    store = MemoryStore()
    for number in range(10):
        obstore.put(store, f"0{number}", b"x")
    layout = options("memory://x", ledgers_per_file=1, files_per_partition=1)
    with pytest.raises(SourceDenied, match=r"source\.url"):
        LakeSource(RemoteObjects(store, "memory://x"), layout).tip()


class Answer(BaseHTTPRequestHandler):
    """Answers every request in the way the test has set."""

    status = 200
    body = b""
    files: Path | None = None

    def do_GET(self) -> None:
        status, body = self.status, self.body
        if self.files:
            path = self.files / self.path.lstrip("/")
            status, body = (200, path.read_bytes()) if path.is_file() else (404, b"")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def server(**answer: Any) -> Iterator[str]:
    handler = type("Handler", (Answer,), answer)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


def s3_at(endpoint: str) -> RemoteObjects:
    store = S3Store(
        "bucket",
        prefix="lake",
        config={"endpoint": endpoint, "skip_signature": True, "region": "us-east-1"},
        client_options={"allow_http": True},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
    )
    return RemoteObjects(store, "s3://bucket/lake")


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (403, b"<Error><Code>AccessDenied</Code></Error>", SourceDenied, "source.anonymous"),
        (401, b"", SourceDenied, "HTTP 401"),
        (301, b"<Error><Code>PermanentRedirect</Code></Error>", SourceDenied, "source.region"),
        (400, b"<Code>AuthorizationHeaderMalformed</Code>", SourceDenied, "source.region"),
        (404, b"<Error><Code>NoSuchBucket</Code></Error>", SourceDenied, "no such bucket"),
        (400, b"", SourceDenied, "request refused"),
        (429, b"", SourceUnavailable, "429"),
        (408, b"", SourceUnavailable, "408"),
        (500, b"", SourceUnavailable, "500"),
        (503, b"SlowDown", SourceUnavailable, "503"),
    ],
)
def test_server_errors_name_their_cause(
    status: int, body: bytes, error: type[BronzeError], said: str
) -> None:
    with server(status=status, body=body) as endpoint:
        objects = s3_at(endpoint)
        for action in (lambda: objects.read("x"), lambda: list(objects.list_keys())):
            with pytest.raises(error) as caught:
                action()
            assert said in str(caught.value)
            assert caught.value.where.startswith("s3://bucket/lake")
            assert "Debug" not in str(caught.value)


def test_a_404_is_a_gap() -> None:
    layout = options("s3://bucket/lake", ledgers_per_file=1, files_per_partition=1)
    with server(status=404, body=b"<Error><Code>NoSuchKey</Code></Error>") as endpoint:
        objects = s3_at(endpoint)
        objects.can_list = False
        source = LakeSource(objects, layout)
        with pytest.raises(GapError, match="s3://bucket/lake/FFFFFFFD--2"):
            source.read(BatchRef("FFFFFFFD--2.xdr.zst", 2, 2))


def test_a_dead_server_is_unavailable() -> None:
    with server() as endpoint:
        pass
    with pytest.raises(SourceUnavailable) as caught:
        s3_at(endpoint).read("x")
    assert caught.value.retryable


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from bronze_source_lake.remote import source_error

    text = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1s"
    found = source_error(obstore.exceptions.GenericError(text), "s3://bucket")
    assert isinstance(found, SourceDenied)
    assert "source.anonymous" in found.todo


def test_a_lake_on_a_web_server(tmp_path: Path) -> None:
    lake = write_tiny_lake(tmp_path / "lake", count=6, extension="zstd")
    with server(files=tmp_path) as endpoint:
        source = open_lake(options(f"{endpoint}/lake"))
        assert source.describe().batches_per_partition == 64_000
        for _ in range(2):
            refs = source.batches(lake.ledgers)
            assert [source.read(ref) for ref in refs] == [
                lake.path(ref.first).read_bytes() for ref in refs
            ]
        assert refs[0].key.endswith(".zstd")
        assert source.tip() == 7
        with pytest.raises(GapError):
            source.read(source.batches(LedgerRange(9, 9))[0])
        (lake.root / ".config.json").unlink()
        with pytest.raises(ConfigError, match=r"source\.ledgers_per_file"):
            open_lake(options(f"{endpoint}/lake"))
