"""The real command while its S3 server takes requests and never answers: noticed in time, told,
never taken for a dead engine, and nothing lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import copying
from copying import Site
from servers.proxy import SilentProxy
from servers.seaweed import REGION, SeaweedServer

from bronze_tui.testing.tiny_lake import TinyLake, write_tiny_lake

LAST = 21
COMMIT = b"/_commits/"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Ledgers 2 to 21: ten partitions."""
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), first=2, count=LAST - 1)


@pytest.fixture
def proxy(seaweed: SeaweedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentProxy]:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    made = SilentProxy(seaweed.port, COMMIT)
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path, lake: TinyLake, seaweed: SeaweedServer, proxy: SilentProxy) -> Site:
    """A folder to a bucket behind the proxy."""
    storage = {
        "backend": "s3",
        "url": f"s3://{seaweed.make_bucket()}",
        "endpoint": f"http://127.0.0.1:{proxy.port}",
        "region": REGION,
    }
    fixed: dict[str, Any] = {"era.ledger_end": LAST, "era.partition_size": 2}
    return Site(
        tmp_path, lake.root, fixed | {f"storage.{key}": value for key, value in storage.items()}
    )


def committed(seaweed: SeaweedServer, site: Site) -> list[str]:
    bucket = site.settings["storage.url"].removeprefix("s3://")
    return sorted(k for k in seaweed.objects(bucket) if "/_commits/" in k)


@pytest.mark.parametrize("partitions", [1, 10], ids=["nothing behind it", "others behind it"])
def test_a_commit_that_waits_for_the_store_shows_that_the_engine_lives(
    site: Site, seaweed: SeaweedServer, proxy: SilentProxy, partitions: int
) -> None:
    site.settings["era.ledger_end"] = 1 + 2 * partitions
    proxy.arm("before")
    with copying(site) as copy:
        assert proxy.fell_silent.wait(30)
        seen = [copy.read("throughput", limited_by="commit") for _ in range(2)]
        proxy.release()
        assert copy.end() == 0, copy.records[-1]
    assert seen[0]["partitions_committed"] == seen[1]["partitions_committed"] == 0
    assert len(committed(seaweed, site)) == partitions


def test_a_store_that_stays_silent_ends_the_run_and_a_rerun_goes_on(
    site: Site, seaweed: SeaweedServer, proxy: SilentProxy
) -> None:
    """What it was sent arrives after the run gave it up."""
    site.settings["storage.timeout"] = 0.2
    proxy.arm("before")
    with copying(site) as copy:
        assert copy.end() == 7
    final = copy.records[-1]["message"]
    assert "_commits/" in final
    assert "no answer" in final
    proxy.release()
    site.settings["storage.timeout"] = 60
    assert site.run().code == 0
    assert len(committed(seaweed, site)) == 10
    again = site.run()
    assert (again.code, again.finished.partitions_committed) == (0, 0)


def test_a_silent_source_is_told_and_tried_again(
    tmp_path: Path, lake: TinyLake, seaweed: SeaweedServer, proxy: SilentProxy
) -> None:
    bucket = seaweed.make_bucket()
    seaweed.upload(lake.root, bucket, "lake")
    source = {
        "mode": "s3",
        "url": f"s3://{bucket}/lake",
        "endpoint": f"http://127.0.0.1:{proxy.port}",
        "region": REGION,
        "timeout": 0.2,
    }
    settings: dict[str, Any] = {"era.ledger_end": LAST, "era.partition_size": 2}
    settings |= {f"source.{key}": value for key, value in source.items()}
    site = Site(tmp_path, lake.root, settings | {"perf.retry_attempts": 2})
    with copying(site) as copy:
        copy.read("partition_started")
        proxy.be_silent()
        told = copy.read("partition_retried")
        assert "no answer" in told["error"]
        assert copy.end() == 7
    proxy.release()
    assert site.run(source__timeout=60).code == 0
    assert len(site.parquet()) == 10
