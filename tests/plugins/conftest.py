"""One small lake for the tests of sources, on disk and, below ``ledgers``, on each server. None of
them writes to it."""

from __future__ import annotations

import pytest
from servers.azurite import AzuriteServer
from servers.gcs import FakeGcsServer
from servers.seaweed import SeaweedServer

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.testing.tiny_lake import TinyLake, write_tiny_lake

LAKE = "ledgers"


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Twenty ledgers, eight files a partition."""
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), count=20, files_per_partition=8)


@pytest.fixture
def held(lake: TinyLake) -> LedgerRange:
    """What the source contract asks for."""
    return lake.ledgers


@pytest.fixture(scope="session")
def s3_lake(seaweed: SeaweedServer, lake: TinyLake) -> str:
    """Its bucket on the S3 server."""
    bucket = seaweed.make_bucket()
    seaweed.upload(lake.root, bucket, LAKE)
    return bucket


@pytest.fixture(scope="session")
def gcs_lake(fake_gcs: FakeGcsServer, lake: TinyLake) -> str:
    """Its bucket on the GCS server."""
    bucket = fake_gcs.make_bucket()
    fake_gcs.upload(lake.root, bucket, LAKE)
    return bucket


@pytest.fixture(scope="session")
def azure_lake(azurite: AzuriteServer, lake: TinyLake) -> str:
    """Its container on the Azure server."""
    container = azurite.make_container()
    azurite.upload(lake.root, container, LAKE)
    return container
