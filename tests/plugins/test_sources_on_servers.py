"""The lake source on real servers: S3 (SeaweedFS), GCS (fake-gcs-server), Azure (Azurite), HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers.azurite import ACCOUNT, AzuriteServer
from servers.gcs import FakeGcsServer
from servers.seaweed import PUBLIC, REGION, SeaweedServer
from servers.web import WebServer

from bronze_source_lake import open_lake
from bronze_tui.domain.errors import ConfigError, SourceDenied, SourceUnavailable
from bronze_tui.hooks.contracts import LedgerSource, SourceOptions
from bronze_tui.hooks.metering import RequestMeter
from bronze_tui.testing.source_contract import SourceContract
from bronze_tui.testing.tiny_lake import TinyLake

LAYOUT = {"ledgers_per_file": 1, "files_per_partition": 64_000}


def s3_options(server: SeaweedServer, url: str, **changes: Any) -> SourceOptions:
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key}
    extra = tuple(sorted((keys | changes.pop("keys", {})).items()))
    settings = {"region": REGION, "endpoint": server.endpoint, "extra": extra} | changes
    return SourceOptions("s3", url, **settings)


class TestS3Lake(SourceContract):
    @pytest.fixture
    def source(self, seaweed: SeaweedServer, s3_lake: str) -> LedgerSource:
        return open_lake(s3_options(seaweed, f"s3://{s3_lake}/ledgers"))

    @pytest.fixture
    def empty_source(self, seaweed: SeaweedServer, s3_lake: str) -> LedgerSource:
        return open_lake(s3_options(seaweed, f"s3://{s3_lake}/none", **LAYOUT))


class TestGcsLake(SourceContract):
    @pytest.fixture
    def opened(self, fake_gcs: FakeGcsServer, gcs_lake: str) -> Callable[..., LedgerSource]:
        def opened(prefix: str, **changes: Any) -> LedgerSource:
            url = f"gs://{gcs_lake}/{prefix}"
            return open_lake(
                SourceOptions("gcs", url, endpoint=fake_gcs.endpoint, anonymous=True, **changes)
            )

        return opened

    @pytest.fixture
    def source(self, opened: Callable[..., LedgerSource]) -> LedgerSource:
        return opened("ledgers")

    @pytest.fixture
    def empty_source(self, opened: Callable[..., LedgerSource]) -> LedgerSource:
        return opened("none", **LAYOUT)


class TestAzureLake(SourceContract):
    @pytest.fixture
    def opened(self, azurite: AzuriteServer, azure_lake: str) -> Callable[..., LedgerSource]:
        extra = (("account_key", azurite.key), ("account_name", ACCOUNT))

        def opened(prefix: str, **changes: Any) -> LedgerSource:
            url = f"az://{azure_lake}/{prefix}"
            return open_lake(
                SourceOptions("lake", url, endpoint=azurite.endpoint, extra=extra, **changes)
            )

        return opened

    @pytest.fixture
    def source(self, opened: Callable[..., LedgerSource]) -> LedgerSource:
        return opened("ledgers")

    @pytest.fixture
    def empty_source(self, opened: Callable[..., LedgerSource]) -> LedgerSource:
        return opened("none", **LAYOUT)


class TestWebLake(SourceContract):
    @pytest.fixture
    def source(self, web: WebServer, lake: TinyLake) -> LedgerSource:
        (web.folder / "ledgers").symlink_to(lake.root)
        return open_lake(SourceOptions("lake", f"{web.url}/ledgers"))

    @pytest.fixture
    def empty_source(self, web: WebServer) -> LedgerSource:
        return open_lake(SourceOptions("lake", f"{web.url}/none", **LAYOUT))

    def test_a_lake_that_grows_is_followed_from_where_it_ended(
        self, web: WebServer, lake: TinyLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bronze_tui.lake.source._TIP_SECONDS", 0.0)
        shutil.copytree(lake.root, tmp_path / "growing")
        (web.folder / "growing").symlink_to(tmp_path / "growing")
        last = tmp_path / "growing" / lake.path(lake.ledgers.end).relative_to(lake.root)
        data = last.read_bytes()
        last.unlink()
        source = open_lake(SourceOptions("lake", f"{web.url}/growing"))
        assert source.tip() == lake.ledgers.end - 1
        web.asked.clear()
        last.write_bytes(data)
        assert source.tip() == lake.ledgers.end
        assert len(web.asked) <= 8


class TestCauses:
    """Errors say which setting is wrong."""

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"keys": {"secret_access_key": "wrong"}}, r"access refused .HTTP 403.*credentials"),
            ({"anonymous": True, "extra": ()}, r"access refused .HTTP 403.*anonymous"),
        ],
    )
    def test_s3_credentials(
        self, seaweed: SeaweedServer, s3_bucket: str, changes: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(SourceDenied, match=words):
            open_lake(s3_options(seaweed, f"s3://{s3_bucket}", **changes))

    def test_s3_bucket(self, seaweed: SeaweedServer) -> None:
        with pytest.raises(SourceDenied, match=r"no such bucket; correct source.url"):
            open_lake(s3_options(seaweed, "s3://no-such-bucket/ledgers"))

    def test_public_bucket_needs_no_credentials(
        self, seaweed: SeaweedServer, lake: TinyLake
    ) -> None:
        seaweed.upload(lake.root, PUBLIC, "ledgers")
        url = f"s3://{PUBLIC}/ledgers"
        source = open_lake(s3_options(seaweed, url, anonymous=True, extra=()))
        assert source.tip() == lake.ledgers.end

    def test_requester_pays_is_an_s3_setting(self, web: WebServer) -> None:
        with pytest.raises(ConfigError, match="only S3"):
            open_lake(SourceOptions("lake", web.url, requester_pays=True))


class TestCounting:
    """Requests, bytes, retries and throttles are plain numbers."""

    def test_a_read_is_one_request(
        self, seaweed: SeaweedServer, s3_bucket: str, lake: TinyLake
    ) -> None:
        seaweed.upload(lake.root, s3_bucket, "")
        meter = RequestMeter()
        source = open_lake(s3_options(seaweed, f"s3://{s3_bucket}", meter=meter))
        before = meter.counts()
        assert before.requests == {"get": 1, "list": 1}
        size = sum(len(source.read(ref)) for ref in source.batches(lake.ledgers))
        after = source.counters()  # type: ignore[attr-defined]
        assert after.requests["get"] - before.requests["get"] == len(lake.ledgers)
        assert after.bytes_in - before.bytes_in == size
        assert (after.retries, after.throttles, after.bytes_out) == (0, 0, 0)

    def test_busy_server_is_asked_again(self, web: WebServer, lake: TinyLake) -> None:
        (web.folder / "l").symlink_to(lake.root)
        meter = RequestMeter()
        source = open_lake(SourceOptions("lake", f"{web.url}/l", meter=meter))
        ref = source.batches(lake.ledgers)[0]
        path = f"/l/{ref.key}"
        web.refuse[path] = 503
        with pytest.raises(SourceUnavailable, match="503"):
            source.read(ref)
        counts = meter.counts()
        assert counts.retries == 4
        assert counts.throttles == web.asked.count(path) == 5
        del web.refuse[path]
        assert source.read(ref) == (lake.root / ref.key).read_bytes()
