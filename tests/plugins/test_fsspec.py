"""The fsspec store and source: the contracts on S3, GCS and memory, and what else they refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from servers.gcs import FakeGcsServer
from servers.seaweed import PUBLIC, REGION, SeaweedServer

import bronze_store_fsspec
from bronze_store_fsspec import open_source, open_store
from bronze_store_fsspec.causes import Kind, cause_of
from bronze_store_fsspec.client import S3Client
from bronze_store_fsspec.place import Place, open_place
from bronze_tui.domain.errors import (
    ConfigError,
    SourceDenied,
    StoreConflict,
    StoreRefused,
    StoreThrottled,
    StoreUnavailable,
)
from bronze_tui.hooks.contracts import LedgerSource, SourceOptions, Store, StoreOptions
from bronze_tui.hooks.metering import RequestMeter
from bronze_tui.remote.store import BucketStore
from bronze_tui.testing.source_contract import SourceContract
from bronze_tui.testing.store_contract import KEY, StoreContract, staged
from bronze_tui.testing.tiny_lake import TinyLake

POISON = b"before\n--==0==--\nafter" * 40
LAYOUT = {"ledgers_per_file": 1, "files_per_partition": 64_000}

for package in ("fsspec", "s3fs", "gcsfs"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)


def s3_keys(server: SeaweedServer, **changes: str) -> tuple[tuple[str, str], ...]:
    keys = {"key": server.access_key, "secret": server.secret_key} | changes
    return tuple(sorted(keys.items()))


def s3_store(server: SeaweedServer, bucket: str, staging: Path, **changes: Any) -> Store:
    settings: dict[str, Any] = {"extra": s3_keys(server), "endpoint": server.endpoint} | changes
    url = f"s3://{bucket}/lake"
    return open_store(
        StoreOptions("fsspec", url, staging, region=REGION, path_style=True, **settings)
    )


def gcs_store(server: FakeGcsServer, bucket: str, staging: Path, **changes: Any) -> Store:
    url = f"gs://{bucket}/lake"
    return open_store(
        StoreOptions("fsspec", url, staging, endpoint=server.endpoint, anonymous=True, **changes)
    )


@pytest.fixture
def memory() -> Iterator[str]:
    """A URL below which nothing stands in this process's memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    yield "memory://bucket/lake"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


class TestS3Store(StoreContract):
    racers = 5

    @pytest.fixture(scope="class")
    def place(self, seaweed: SeaweedServer) -> Place:
        """One client for all tests: each costs botocore a second."""
        url = f"s3://{seaweed.common_bucket}"
        extra = s3_keys(seaweed)
        options = SourceOptions("fsspec", url, endpoint=seaweed.endpoint, extra=extra)
        return open_place("storage", options)

    @pytest.fixture
    def store(self, place: Place, s3_folder: str, tmp_path: Path) -> Store:
        mine = replace(place, root=s3_folder, location=f"s3://{s3_folder}")
        return BucketStore(S3Client(mine), tmp_path)

    def test_opened_by_its_options(
        self, seaweed: SeaweedServer, s3_bucket: str, tmp_path: Path
    ) -> None:
        store = s3_store(seaweed, s3_bucket, tmp_path)
        assert store.create(KEY, b"x") == "created"
        assert seaweed.objects(s3_bucket) == {f"lake/{KEY}": b"x"}


class TestGcsStore(StoreContract):
    @pytest.fixture
    def store(self, fake_gcs: FakeGcsServer, gcs_bucket: str, tmp_path: Path) -> Store:
        return gcs_store(fake_gcs, gcs_bucket, tmp_path)


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self, memory: str, tmp_path: Path) -> Store:
        return open_store(StoreOptions("fsspec", memory, tmp_path))


class TestS3Lake(SourceContract):
    @pytest.fixture
    def opened(self, seaweed: SeaweedServer, s3_lake: str) -> Callable[..., LedgerSource]:
        def opened(prefix: str, **changes: Any) -> LedgerSource:
            settings: dict[str, Any] = {"extra": s3_keys(seaweed)} | changes
            return open_source(
                SourceOptions(
                    "fsspec", f"s3://{s3_lake}/{prefix}", endpoint=seaweed.endpoint, **settings
                )
            )

        return opened

    @pytest.fixture
    def source(self, opened: Callable[..., LedgerSource]) -> LedgerSource:
        return opened("ledgers")

    @pytest.fixture
    def empty_source(self, opened: Callable[..., LedgerSource]) -> LedgerSource:
        return opened("none", **LAYOUT)

    def test_wrong_key_is_named(self, opened: Callable[..., LedgerSource]) -> None:
        with pytest.raises(SourceDenied, match=r"access refused.*source.anonymous"):
            opened("ledgers", extra=(("key", "nobody"), ("secret", "wrong")))


class TestGcsLake(SourceContract):
    @pytest.fixture
    def opened(self, fake_gcs: FakeGcsServer, gcs_lake: str) -> Callable[..., LedgerSource]:

        def opened(prefix: str, **changes: Any) -> LedgerSource:
            url = f"gs://{gcs_lake}/{prefix}"
            return open_source(
                SourceOptions("fsspec", url, endpoint=fake_gcs.endpoint, anonymous=True, **changes)
            )

        return opened

    @pytest.fixture
    def source(self, opened: Callable[..., LedgerSource]) -> LedgerSource:
        return opened("ledgers")

    @pytest.fixture
    def empty_source(self, opened: Callable[..., LedgerSource]) -> LedgerSource:
        return opened("none", **LAYOUT)


class TestMemoryLake(SourceContract):
    @pytest.fixture
    def source(self, memory: str, lake: TinyLake) -> LedgerSource:
        from fsspec.implementations.memory import MemoryFileSystem

        for path in lake.root.rglob("*"):
            if path.is_file():
                key = path.relative_to(lake.root).as_posix()
                MemoryFileSystem().pipe_file(f"/bucket/lake/{key}", path.read_bytes())
        return open_source(SourceOptions("fsspec", memory))

    @pytest.fixture
    def empty_source(self, memory: str) -> LedgerSource:
        return open_source(SourceOptions("fsspec", memory, **LAYOUT))


def test_registers_without_loading_fsspec() -> None:
    seen: dict[str, Any] = {}
    bronze_store_fsspec.bronze_register_sources(lambda name, f, **_: seen.update({f"<{name}": f}))
    bronze_store_fsspec.bronze_register_stores(lambda name, f, **_: seen.update({f">{name}": f}))
    assert seen == {"<fsspec": open_source, ">fsspec": open_store}
    code = "import sys, bronze_store_fsspec; sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestS3Answers:
    def test_one_put_is_one_request(
        self, seaweed: SeaweedServer, s3_bucket: str, tmp_path: Path
    ) -> None:
        meter = RequestMeter()
        store = s3_store(seaweed, s3_bucket, tmp_path, meter=meter)
        store.create(KEY, staged(store, b"ledgers" * 10))
        counts = store.counters()  # type: ignore[attr-defined]
        assert (counts.requests, counts.bytes_out) == ({"put": 1}, 70)
        assert counts == meter.counts()

    @pytest.mark.parametrize(
        ("bucket", "extra", "words"),
        [
            (PUBLIC, {"secret": "wrong"}, "access refused.*right to write"),
            ("no-such-bucket", {}, "no such bucket.*make it"),
        ],
    )
    def test_causes_are_named(
        self, seaweed: SeaweedServer, tmp_path: Path, bucket: str, extra: dict[str, str], words: str
    ) -> None:
        store = s3_store(seaweed, bucket, tmp_path, extra=s3_keys(seaweed, **extra))
        with pytest.raises(StoreRefused, match=words):
            store.create(KEY, b"x")

    def test_dead_server_is_unavailable(self, seaweed: SeaweedServer, tmp_path: Path) -> None:
        store = s3_store(seaweed, "b", tmp_path, endpoint="http://127.0.0.1:9")
        store._clock = _impatient()  # type: ignore[attr-defined]
        with pytest.raises(StoreUnavailable, match="no answer"):
            store.get(KEY)

    def test_wrong_checksum_never_gets_in(
        self, seaweed: SeaweedServer, s3_bucket: str, tmp_path: Path
    ) -> None:
        from bronze_store_fsspec.client import make_client

        options = StoreOptions(
            "fsspec",
            f"s3://{s3_bucket}",
            tmp_path,
            endpoint=seaweed.endpoint,
            extra=s3_keys(seaweed),
        )
        with pytest.raises(StoreRefused):
            make_client(options).put("k", b"damaged", "create", "00" * 32)
        assert seaweed.objects(s3_bucket) == {}


class TestGcsAnswers:
    def test_poison_that_ends_a_fixed_boundary_arrives_whole(
        self, fake_gcs: FakeGcsServer, gcs_bucket: str, tmp_path: Path
    ) -> None:
        store = gcs_store(fake_gcs, gcs_bucket, tmp_path)
        assert store.create(KEY, POISON) == "created"
        assert fake_gcs.get(gcs_bucket, f"lake/{KEY}") == POISON
        store.replace(KEY, POISON + b"\n--==0==\n")
        assert fake_gcs.get(gcs_bucket, f"lake/{KEY}") == POISON + b"\n--==0==\n"

    def test_gcsfs_itself_still_truncates_it(
        self, fake_gcs: FakeGcsServer, gcs_bucket: str
    ) -> None:
        """When this fails, gcsfs has mended it, and its own writer may be used again."""
        gcsfs = pytest.importorskip("gcsfs")
        fs = gcsfs.GCSFileSystem(
            token="anon", endpoint_url=fake_gcs.endpoint, skip_instance_cache=True
        )
        fs.pipe_file(f"{gcs_bucket}/poison", POISON)
        assert len(fake_gcs.get(gcs_bucket, "poison")) < len(POISON)


class TestOtherPlaces:
    def test_place_without_conditional_create_is_refused(self, tmp_path: Path) -> None:
        options = StoreOptions("fsspec", f"local://{tmp_path}/lake", tmp_path / "staging")
        with pytest.raises(ConfigError, match=r"two copiers.*accept_unconditional_create"):
            open_store(options)

    def test_accepted_it_writes_whole_files(self, tmp_path: Path) -> None:
        extra = (("accept_unconditional_create", "true"),)
        url = f"local://{tmp_path}/lake"
        store = open_store(StoreOptions("fsspec", url, tmp_path / "staging", extra=extra))
        assert store.create(KEY, b"ledgers") == "created"
        assert store.create(KEY, b"ledgers") == "same"
        with pytest.raises(StoreConflict):
            store.create(KEY, b"others")
        assert [(o.key, o.size) for o in store.list("")] == [(KEY, 7)]
        files = [p for p in (tmp_path / "lake").rglob("*") if p.is_file()]
        assert files == [tmp_path / "lake" / KEY]
        lock = store.lock("ds/_lock.json", "one")
        lock.heartbeat()
        lock.release()

    @pytest.mark.parametrize(
        ("url", "changes", "words"),
        [
            ("sftq://host/x", {}, "sftq"),
            ("memory://b", {"region": "x"}, r"storage.region: memory:// does not know it"),
            ("memory://b", {"endpoint": "http://x"}, r"storage.endpoint"),
            ("", {}, "needs an address"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, tmp_path: Path, url: str, changes: dict[str, str], words: str
    ) -> None:
        with pytest.raises(ConfigError, match=words):
            open_store(StoreOptions("fsspec", url, tmp_path, **changes))


class Answered(Exception):
    """As botocore's ClientError carries its answer."""

    def __init__(self, status: int, code: str = "") -> None:
        super().__init__(code or str(status))
        self.response = {
            "Error": {"Code": code},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (412, "PreconditionFailed", Kind.TAKEN),
        (409, "ConditionalRequestConflict", Kind.UNAVAILABLE),
        (404, "NoSuchBucket", Kind.NO_BUCKET),
        (404, "NoSuchKey", Kind.ABSENT),
        (301, "PermanentRedirect", Kind.REGION),
        (403, "AccessDenied", Kind.DENIED),
        (503, "SlowDown", Kind.THROTTLED),
        (500, "InternalError", Kind.UNAVAILABLE),
        (400, "InvalidRequest", Kind.REFUSED),
    ],
)
def test_the_servers_answer_decides_whatever_hides_it(status: int, code: str, kind: Kind) -> None:
    hidden = OSError(22, "Invalid argument")
    hidden.__cause__ = Answered(status, code)
    assert cause_of(hidden).kind is kind


def test_a_throttled_store_says_so(
    seaweed: SeaweedServer, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = RequestMeter()
    store = s3_store(seaweed, s3_bucket, tmp_path, meter=meter)
    store._clock = _impatient()  # type: ignore[attr-defined]
    client = store._client._client  # type: ignore[attr-defined]

    def busy(*args: Any, **options: Any) -> Any:
        raise Answered(503, "SlowDown")

    monkeypatch.setattr(client._fs, "call_s3", busy)
    with pytest.raises(StoreThrottled):
        store.create(KEY, b"x")
    counts = meter.counts()
    assert (counts.requests["put"], counts.retries, counts.throttles) == (5, 4, 5)


def _impatient() -> Any:
    from bronze_tui.remote.clock import Clock

    return Clock(sleep=lambda seconds: None)
